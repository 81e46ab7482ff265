"""Which passes join, and their statistics against explicit gradients."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies import passes
from nasjax.proxies.derivative_passes import CurvaturePass
from nasjax.proxies.passes import ActivationPass, CostPass, FisherPass, GradientPass, SynflowPass
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError, Variables

ARCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
SPACE = NasBench201(channels=2, cells=1, num_classes=4, image_size=8)


# Which passes join.


def test_activations_are_read_in_a_gradient_pass_that_runs_anyway():
    gradient, kernel, patterns = GradientPass(), ActivationPass(kernel=True), ActivationPass(patterns=True)
    served = passes.merge([kernel, gradient, patterns])
    joined = GradientPass(activations=ActivationPass(kernel=True, patterns=True))
    assert served == {kernel: joined, gradient: joined, patterns: joined}


def test_intervals_join_without_repetition():
    a = ActivationPass(intervals=((0, 3), (2, 5)))
    b = ActivationPass(intervals=((2, 5), (4, 9)), patterns=True)
    served = passes.merge([a, b])
    assert served[a] == served[b] == ActivationPass(patterns=True, intervals=((0, 3), (2, 5), (4, 9)))


@pytest.mark.parametrize("change", [{"init": "normal"}, {"norm": "sample"}, {"samples": 4}, {"repeats": 2}])
def test_another_network_or_input_stays_apart(change):
    own = ActivationPass(patterns=True, **change)
    served = passes.merge([GradientPass(), ActivationPass(kernel=True), own])
    assert served[own] == own
    assert served[GradientPass()] == GradientPass(activations=ActivationPass(kernel=True))


def test_one_of_two_gradient_passes_carries_the_activations():
    two, four = GradientPass(num_batches=2), GradientPass(num_batches=4)
    wanted = ActivationPass(kernel=True)
    served = passes.merge([two, four, wanted])
    assert served[wanted] == served[two]
    assert served[two].activations == wanted
    assert served[four] == four


def test_curvature_is_measured_by_a_gradient_pass_that_runs_anyway():
    curvature, two, fisher = CurvaturePass(), GradientPass(), FisherPass()
    served = passes.merge([curvature, two, fisher, ActivationPass(kernel=True)])
    joined = FisherPass(num_batches=2, activations=ActivationPass(kernel=True), curvature=True)
    assert set(served.values()) == {joined}
    assert joined.forward_mode and not fisher.forward_mode


@pytest.mark.parametrize("change", [{"init": "normal"}, {"norm": "sample"}, {"granularity": "sample"}])
def test_curvature_of_another_network_stays_apart(change):
    other = GradientPass(**change)
    assert passes.merge([CurvaturePass(), other]) == {CurvaturePass(): CurvaturePass(), other: other}


def test_curvature_of_several_draws_stays_apart():
    several, other = CurvaturePass(repeats=3), GradientPass()
    assert passes.merge([several, other]) == {several: several, other: other}


def test_other_passes_serve_themselves():
    wanted = [CostPass(), SynflowPass(), SynflowPass("normal")]
    assert passes.merge(wanted) == {p: p for p in wanted}


@pytest.mark.parametrize(
    ("p", "images"),
    [
        (GradientPass(num_batches=3), 24),
        (ActivationPass(), 8),
        (ActivationPass(samples=20), 20),
        (SynflowPass(), 0),
        (CostPass(), 0),
    ],
)
def test_images_needed(p, images):
    assert passes.images_needed(p, 8) == images


# Statistics of a network of two linear layers.


def linear_case(seed, batches=3, batch=5, width=4):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(3, width)), rng.normal(size=(width, 1))
    return a, b, rng.normal(size=(batches, batch, 3)), rng.integers(-2, 3, (batches, batch))


def linear_gradients(a, b, x, t):
    """Gradients of mean (x a b - t)^2 / 2 by hand; x [n, 3], t [n]."""
    error = (x @ a @ b)[:, 0] - t
    return [x.T @ (error[:, None] * b.T) / len(x), ((x @ a).T @ error)[:, None] / len(x)]


def expected_layers(observations):
    """Statistics of every layer; ``observations`` is a list of layers, each [observations, ...]."""
    out = {}
    for of, value in (("abs", np.abs), ("signed", lambda g: g)):
        stds = [value(g).std(0) for g in observations]
        used = [s > 0 for s in stds]
        means = [np.abs(g).mean(0) for g in observations]
        out[f"inv_std_{of}"] = [(1 / s[u]).sum() for s, u in zip(stds, used, strict=True)]
        out[f"ratio_{of}"] = [(m[u] / s[u]).sum() for m, s, u in zip(means, stds, used, strict=True)]
        out[f"nonzero_{of}"] = [u.sum() for u in used]
    out["std"] = [g.std(0).sum() for g in observations]
    return out


def assert_layers(found, observations, rtol=1e-9):
    for name, expected in expected_layers(observations).items():
        np.testing.assert_allclose(found[name], expected, rtol=rtol, atol=1e-12, err_msg=name)


def test_batch_moments_are_those_of_explicit_gradients(run_linear, x64):
    a, b, x, t = linear_case(0)
    stats = run_linear(GradientPass(num_batches=3), a, b, x, t)
    grads = [linear_gradients(a, b, x[i], t[i]) for i in range(3)]
    assert_layers(stats["layers"], [np.stack(layer) for layer in zip(*grads, strict=True)])
    np.testing.assert_allclose(stats["loss"], [0.5 * np.mean(((x[i] @ a @ b)[:, 0] - t[i]) ** 2) for i in range(3)])
    np.testing.assert_array_equal(stats["weights"], [12, 4])


def test_saliencies_are_those_of_the_first_batch(run_linear, x64):
    a, b, x, t = linear_case(1)
    layers = run_linear(GradientPass(num_batches=2), a, b, x, t)["layers"]
    first = linear_gradients(a, b, x[0], t[0])
    np.testing.assert_allclose(layers["grad_norm"], [np.sqrt((g**2).sum()) for g in first])
    np.testing.assert_allclose(layers["snip"], [np.abs(w * g).sum() for w, g in zip((a, b), first, strict=True)])


@pytest.mark.parametrize("num_batches", [1, 3])
def test_sample_moments_are_those_of_single_samples(num_batches, run_linear, x64):
    a, b, x, t = linear_case(2)
    p = GradientPass(norm="sample", num_batches=num_batches, granularity="sample")
    flat, targets = x[:num_batches].reshape(-1, 3), t[:num_batches].reshape(-1)
    grads = [linear_gradients(a, b, flat[i : i + 1], targets[i : i + 1]) for i in range(len(flat))]
    layers = run_linear(p, a, b, x, t)["layers"]
    assert_layers(layers, [np.stack(layer) for layer in zip(*grads, strict=True)])
    first = linear_gradients(a, b, x[0], t[0])
    np.testing.assert_allclose(layers["grad_norm"], [np.sqrt((g**2).sum()) for g in first])


def test_patterns_read_in_a_gradient_pass_are_those_of_the_first_batch(run_linear, x64):
    a, b, x, t = linear_case(3, width=40)
    own = ActivationPass(kernel=True, patterns=True, intervals=((5, 5),))
    carried = run_linear(GradientPass(activations=own), a, b, x, t)["activations"]
    alone = run_linear(own, a, b, x, t)
    assert carried.keys() == alone.keys()
    for name in alone:
        np.testing.assert_array_equal(carried[name], alone[name])
    on = [(v > 0).astype(float) for v in (x[0], x[0] @ a)]
    np.testing.assert_array_equal(alone["kernel"], sum(s @ s.T + (1 - s) @ (1 - s).T for s in on))
    rows = [set(map(tuple, s.T)) for s in on]
    assert alone["patterns"].tolist() == [len(rows[0]), 0, 0, 0, 0, len(rows[1] - rows[0]), 0, 0, 0, 0]
    assert alone["interval_patterns"].tolist() == [len(rows[1])]


def test_more_samples_than_a_batch_are_taken_from_the_next(run_linear, x64):
    a, b, x, t = linear_case(4)
    kernel = run_linear(ActivationPass(samples=8, kernel=True), a, b, x, t)["kernel"]
    flat = x.reshape(-1, 3)[:8]
    on = [(v > 0).astype(float) for v in (flat, flat @ a)]
    np.testing.assert_array_equal(kernel, sum(s @ s.T + (1 - s) @ (1 - s).T for s in on))


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (GradientPass(num_batches=4), "num_batches=4"),
        (GradientPass(granularity="pixel"), "granularity='pixel'"),
        (ActivationPass(samples=16), "16 images needed"),
    ],
)
def test_too_little_data_or_an_unknown_option_is_refused(p, words, run_linear, x64):
    with pytest.raises(InputError, match=words):
        run_linear(p, *linear_case(5))


# The tiny NAS-Bench-201 network.


@pytest.fixture(scope="module")
def cell():
    """Architecture, key, variables and data in float64."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(9)
        arch = jnp.asarray(SPACE.decode([ARCH])[0])
        key = jax.random.key(11)
        images = jnp.asarray(rng.normal(size=(2, 3, 8, 8, 3)))
        labels = jnp.asarray(rng.integers(0, 4, (2, 3)), jnp.int32)
        variables = SPACE.init(jax.random.fold_in(key, 0), arch, dtype=jnp.float64)
        yield arch, key, variables, images, labels


def explicit_gradients(cell, norm, images, labels):
    """Gradient of every weight, [observations, ...] a leaf: one loss an observation."""
    arch, _, variables, *_ = cell

    @jax.jit
    def gradient(x, y):
        def loss(weights):
            params = SPACE.with_weights(variables.params, weights)
            return SPACE.loss(SPACE.apply(Variables(params, variables.stats), arch, x, norm=norm), y)

        return jax.grad(loss)(SPACE.weights(variables.params))

    rows = [gradient(x, y) for x, y in zip(images, labels, strict=True)]
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *rows)


def cell_layers(grads, of, statistic):
    """Sums ``statistic(mean |g|, std)`` over the weights of each layer."""
    value = np.abs if of == "abs" else np.asarray

    def term(g):
        std = value(g).std(0)
        used = std > 0
        return jnp.asarray(np.where(used, statistic(np.abs(g).mean(0), np.where(used, std, 1)), 0))

    return np.asarray(SPACE.layer_sums(jax.tree.map(term, grads)))


@pytest.mark.slow
@pytest.mark.parametrize("granularity", ["sample", "batch"])
def test_moments_of_a_cell_are_those_of_explicit_gradients(granularity, cell, x64):
    arch, key, _, images, labels = cell
    norm = granularity
    p = GradientPass(norm=norm, granularity=granularity)
    stats = jax.jit(lambda x, y: passes.run(SPACE, p, key, arch, x, y))(images, labels)
    if granularity == "sample":
        grads = explicit_gradients(cell, norm, images.reshape(6, 1, 8, 8, 3), labels.reshape(6, 1))
    else:
        grads = explicit_gradients(cell, norm, images, labels)
    found = passes.to_host(stats["layers"])
    for of in ("abs", "signed"):
        expected = cell_layers(grads, of, lambda mean, std: 1 / std)
        # A gradient that vanishes in exact arithmetic leaves a deviation of rounding alone; 1/std of it says nothing.
        kept = (expected < 1e12) & (found[f"inv_std_{of}"] < 1e12)
        assert (kept & (expected > 0)).sum() >= 10
        ratio = cell_layers(grads, of, lambda m, s: m / s)
        count = cell_layers(grads, of, lambda m, s: np.ones_like(s))
        np.testing.assert_allclose(found[f"inv_std_{of}"][kept], expected[kept], rtol=1e-9)
        np.testing.assert_allclose(found[f"ratio_{of}"][kept], ratio[kept], rtol=1e-9)
        np.testing.assert_array_equal(found[f"nonzero_{of}"][kept], count[kept])


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("num_batches", [1, 3])
def test_a_gradient_pass_with_curvature_measures_what_both_do(num_batches, forward, linear_space, x64):
    a, b, x, t = linear_case(4)
    space = type("Space", (type(linear_space),), {"forward_over_reverse": forward})()
    variables, images = Variables({"a": jnp.asarray(a), "b": jnp.asarray(b)}, {}), jnp.asarray(x)[:, :, None, None]
    alone = GradientPass(num_batches=num_batches)

    @jax.jit
    def both(variables, images, labels):
        run = lambda p: passes.run_with(space, p, variables, None, images, labels)  # noqa: E731
        return run(dataclasses.replace(alone, curvature=True)), run(alone) | run(CurvaturePass())

    found, expected = both(variables, images, jnp.asarray(t))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert float(jnp.abs(found["curvature"]).sum()) > 0
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-15), found, expected)
