"""Layers and activations that are found in a program, however it is written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

from nasjax.own_model.analysis import analyse
from nasjax.own_model.layers import find_scales, layer_views
from nasjax.types import InputError

X = jax.ShapeDtypeStruct((4, 6), jnp.float64)
SQUARE = jax.ShapeDtypeStruct((6, 6), jnp.float64)
STACK = jax.ShapeDtypeStruct((3, 6, 6), jnp.float64)
ERF = jax.scipy.special.erf


def look(function, *leaves, images=X):
    return analyse(lambda flat, x: [function(*flat, x)], leaves, images, [True] * len(leaves))


def kinds(analysis):
    return [activation.kind for activation in analysis.activations]


RECTIFIERS = {
    "named": jax.nn.relu,
    "maximum": lambda x: jnp.maximum(x, 0),
    "maximum of zero first": lambda x: jnp.maximum(0.0, x),
    "where": lambda x: jnp.where(x > 0, x, 0),
    "product with a mask": lambda x: x * (x > 0),
    "half of a sum": lambda x: (x + jnp.abs(x)) / 2,
    "clip": lambda x: jnp.clip(x, 0, 6),
    "in bfloat16": lambda x: jnp.maximum(x.astype(jnp.bfloat16), 0).astype(jnp.float64),
}
GELUS = {
    "named": lambda x: jax.nn.gelu(x, approximate=False),
    "by hand": lambda x: x * 0.5 * (1 + ERF(x / jnp.sqrt(2.0))),
    "half first": lambda x: 0.5 * x * (1.0 + ERF(x * 0.70710678)),
}


@pytest.mark.parametrize("form", RECTIFIERS)
def test_a_rectifier_is_one_activation(form):
    assert kinds(look(lambda w, x: RECTIFIERS[form](x @ w) @ w, SQUARE)) == ["relu"]


@pytest.mark.parametrize("form", GELUS)
def test_a_gelu_is_one_activation(form):
    assert kinds(look(lambda w, x: GELUS[form](x @ w) @ w, SQUARE)) == ["gelu"]


@pytest.mark.parametrize("function", [jax.nn.hard_swish, lambda x: x * jnp.minimum(jnp.maximum(x + 3, 0), 6) / 6])
def test_the_rectifier_in_a_hard_swish_does_not_count(function):
    assert kinds(look(lambda w, x: function(x @ w), SQUARE)) == ["hard_swish"]


def test_a_rectifier_in_front_of_a_root_is_a_guard():
    def norm(w, x):
        h = x @ w
        variance = jnp.maximum(0.0, (h * h).mean(1) - h.mean(1) ** 2)
        return jax.nn.silu(h * jax.lax.rsqrt(variance[:, None] + 1e-6))

    assert kinds(look(norm, SQUARE)) == ["silu"]


def test_functions_of_the_images_alone_are_no_activations():
    assert kinds(look(lambda w, x: jax.nn.relu(x) @ w, SQUARE)) == []


def test_activations_know_how_many_layers_precede_them():
    found = look(lambda a, b, x: jax.nn.relu(jax.nn.silu(jax.nn.relu(x @ a) @ b) @ a), SQUARE, SQUARE)
    assert [(a.kind, a.before) for a in found.activations] == [("relu", 1), ("silu", 2), ("relu", 2)]


WRAPPERS = {
    "jit": lambda f: jax.jit(f),
    "checkpoint": lambda f: jax.checkpoint(f),
    "both": lambda f: jax.jit(jax.checkpoint(jax.jit(f))),
    "a known branch": lambda f: lambda w, x: jax.lax.cond(True, f, lambda w, x: x, w, x),
    "names": lambda f: lambda w, x: f(checkpoint_name(w, "weight"), checkpoint_name(x, "x")),
    "vmap": lambda f: lambda w, x: jax.vmap(f, (None, 0))(w, x),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_calls_are_seen_through(wrapper):
    found = look(WRAPPERS[wrapper](lambda w, x: jax.nn.relu(x @ w) @ w.T), SQUARE)
    assert len(found.uses) == 2 and kinds(found) == ["relu"]
    assert len(layer_views(found.uses)) == 1  # the same weights twice are one layer


LOOPS = {
    "scan over weights": lambda w, x: jax.lax.scan(lambda h, v: (jax.nn.relu(h @ v), None), x, w)[0],
    "scan backwards": lambda w, x: jax.lax.scan(lambda h, v: (jax.nn.relu(h @ v), None), x, w, reverse=True)[0],
    "scan over numbers": lambda w, x: jax.lax.scan(lambda h, i: (jax.nn.relu(h @ w[i]), None), x, jnp.arange(3))[0],
    "fori_loop": lambda w, x: jax.lax.fori_loop(0, 3, lambda i, h: jax.nn.relu(h @ w[i]), x),
    "nested": lambda w, x: jax.lax.scan(
        lambda h, v: (jax.lax.scan(lambda g, _: (jax.nn.relu(g @ v), None), h, None, length=1)[0], None), x, w
    )[0],
    "python": lambda w, x: jax.nn.relu(jax.nn.relu(jax.nn.relu(x @ w[0]) @ w[1]) @ w[-1]),
}


@pytest.mark.parametrize("loop", LOOPS)
def test_every_iteration_of_a_loop_has_its_own_layer(loop):
    found = look(LOOPS[loop], STACK)
    assert kinds(found) == ["relu"] * 3
    views = layer_views(found.uses)
    order = [2, 1, 0] if loop == "scan backwards" else [0, 1, 2]
    terms = jnp.arange(3.0)[:, None, None] * jnp.ones((3, 6, 6))
    assert [float(view.of(terms).sum()) for view in views] == [36.0 * i for i in order]


FORMS = {
    "transpose": (lambda w, x: x @ w.T, (5, 6)),
    "reshape": (lambda w, x: x @ w.reshape(6, 5), (2, 3, 5)),
    "cast": (lambda w, x: (x.astype(jnp.float32) @ w.astype(jnp.float32)).astype(jnp.float64), (6, 5)),
    "einsum": (lambda w, x: jnp.einsum("bi,hoi->bho", x, w), (2, 5, 6)),
    "weight first": (lambda w, x: jnp.einsum("oi,bi->ob", w, x).T, (5, 6)),
    "convolution": (
        lambda w, x: jax.lax.conv_general_dilated(
            x[:, None], jnp.transpose(w, (2, 1, 0)), (1,), "SAME", dimension_numbers=("NCH", "OIH", "NCH")
        ),
        (3, 1, 5),
    ),
    "a part": (lambda w, x: x @ jnp.split(w, 3, 1)[1], (6, 15)),
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_found_behind_their_form(form):
    function, shape = FORMS[form]
    found = look(function, jax.ShapeDtypeStruct(shape, jnp.float64))
    ((step, use),) = found.uses.items()
    size = 30 if form == "a part" else int(np.prod(shape))
    assert use.view.of(jnp.ones(shape)).size == size
    outputs = 10 if form == "einsum" else 5
    assert use.multiplies == 4 * size * (6 if form == "convolution" else 1)
    result = found.program.shapes[found.program.steps[step].outputs[0]]
    assert np.prod([result[axis] for axis in use.channels]) == outputs


def test_what_is_no_layer():
    """Products of images, of parameters, or with a weight that is computed."""
    assert not look(lambda w, x: x @ x.T @ x * w, jax.ShapeDtypeStruct((), jnp.float64)).uses
    assert not look(lambda w, x: x + (w @ w).sum(), SQUARE).uses
    assert not look(lambda w, x: x @ (w - w.mean()), SQUARE).uses


def test_samples_are_known_and_coupling_is_seen():
    def merged(w, x):
        return jax.nn.relu((x.reshape(8, 3) if x.shape[0] == 4 else x.reshape(16, 3)) @ w).reshape(x.shape[0], -1)

    found = look(merged, jax.ShapeDtypeStruct((3, 5), jnp.float64))
    source = found.activations[0].source
    assert found.samples(source, jnp.zeros(found.program.shapes[source])).shape == (4, 2, 5)
    assert not found.coupled
    assert look(lambda w, x: x @ w - (x @ w).mean(0, keepdims=True), SQUARE).coupled
    assert not look(lambda w, x: x @ w - (x @ w).mean(1, keepdims=True), SQUARE).coupled


def test_samples_behind_another_part_of_their_axis_are_refused():
    found = look(lambda w, x: jax.nn.relu(x.T.reshape(-1, 1) @ w).reshape(6, -1).T, jax.ShapeDtypeStruct((1, 1), "f8"))
    with pytest.raises(InputError, match="images first"):
        found.samples(found.activations[0].source, jnp.zeros((24, 1)))


def test_scales_of_norms_are_parameters_that_multiply():
    def model(scale, shift, w, x):
        h = x @ w
        return jax.lax.rsqrt(jnp.square(h).mean(1, keepdims=True)) * scale[None] * h + shift[None]

    vector = jax.ShapeDtypeStruct((6,), jnp.float64)
    assert find_scales(look(model, vector, vector, SQUARE).program) == [0]


def while_loop(w, x):
    return jax.lax.while_loop(lambda h: h.sum() < 1, lambda h: h @ w, x)


def branch(w, x):
    return jax.lax.cond(x.sum() > 0, lambda: x @ w, lambda: x)


@jax.custom_vjp
def with_own_rule(x, w):
    return x @ w


with_own_rule.defvjp(lambda x, w: (x @ w, (x, w)), lambda saved, d: (d @ saved[1].T, saved[0].T @ d))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (while_loop, "jax.lax.scan"),
        (branch, "choose the branch in Python"),
        (lambda w, x: with_own_rule(x, w), "without this wrapper"),
        (lambda w, x: jax.nn.relu(x) @ w if x.shape[0] == 4 else x @ w, "number of images"),
    ],
)
def test_what_cannot_be_seen_is_refused(function, words):
    with pytest.raises(InputError, match=words):
        look(function, SQUARE)
