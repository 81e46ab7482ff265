"""Tests of nasjax.spaces.nasbench201 and its network, on a tiny configuration in float64."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import lax

from nasjax import nn
from nasjax.proxies import passes, registry
from nasjax.proxies.derivative_passes import LabelPass, WeightPass
from nasjax.spaces import cell201
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError, Output, Variables

SPACE = NasBench201(channels=2, cells=1, num_classes=4, image_size=8)
MIXED = np.array([3, 0, 2, 1, 4, 2], np.int32)  # convolutions on edges 0>1, 1>2, 2>3
FULL = np.array([3, 3, 2, 3, 2, 3], np.int32)
UNREAD = np.array([3, 3, 0, 1, 0, 2], np.int32)  # node 1 is fed and leads nowhere
UNFED = np.array([0, 3, 2, 1, 0, 2], np.int32)  # node 1 is read and fed by nothing
ARCHS = (MIXED, FULL, UNREAD, UNFED, np.array([1, 4, 1, 4, 1, 1], np.int32))
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def variables(double):
    own = jax.jit(lambda key: SPACE.init(key, MIXED))(jax.random.key(0))
    # Norms and statistics off their initial values, so that a wrong place shows.
    rng = np.random.default_rng(0)
    shake = lambda tree: jax.tree.map(lambda a: a + rng.uniform(0.1, 0.5, a.shape), tree)  # noqa: E731
    return own._replace(params=shake(own.params), stats=shake(own.stats))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((4, 8, 8, 3)), np.array([0, 1, 2, 3])


@pytest.fixture(scope="module")
def gradient(double):
    """Loss and gradient, one program for every architecture; a second trace is an error."""

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(params, stats, arch, images, labels):
        def loss(params):
            output = SPACE.apply(Variables(params, stats), arch, images)
            return SPACE.loss(output, labels), output

        return jax.value_and_grad(loss, has_aux=True)(params)

    return run


@pytest.fixture(scope="module")
def logits(double):
    """Logits by norm mode, one program."""
    return jax.jit(
        lambda variables, arch, images, norm: SPACE.apply(variables, arch, images, norm=norm).logits,
        static_argnames="norm",
    )


# The network by an independent, plain loop.


def plain_norm(x, scale, shift, stats, mode):
    axes = {"batch": (0, 1, 2), "sample": (1, 2)}.get(mode)
    if mode == "none":
        return x
    if axes is None:
        mean, var = stats
    else:
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * scale + shift


def plain_conv(x, w, stride=1):
    pad = w.shape[0] // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    size = (x.shape[1] - w.shape[0]) // stride + 1
    return sum(
        x[:, i : i + stride * size : stride, j : j + stride * size : stride][:, :size, :size] @ w[i, j]
        for i in range(w.shape[0])
        for j in range(w.shape[1])
    )


def plain_pool(x):
    ones = plain_conv(np.ones((1, *x.shape[1:3], 1)), np.ones((3, 3, 1, 1)))
    sums = plain_conv(x, np.eye(x.shape[-1])[None, None] * np.ones((3, 3, 1, 1)))
    return sums / ones


def plain_logits(space, variables, arch, images, mode):
    params, stats = jax.tree.map(np.asarray, tuple(variables))
    w, scale, shift, mean, var = params["weights"], params["scale"], params["shift"], stats["mean"], stats["var"]

    def norm(x, *path):
        def pick(tree):
            for part in path:
                tree = tree[part]
            return tree

        return plain_norm(x, pick(scale), pick(shift), (pick(mean), pick(var)), mode)

    x = norm(plain_conv(images, w["stem"]), "stem")
    for s in range(3):
        for c in range(space.cells):
            nodes = [x, 0.0, 0.0, 0.0]
            for e, (a, b) in enumerate(cell201.EDGES):
                v, op = nodes[a], arch[e]
                if op in (2, 3):
                    kernel = w["stages"][s]["pointwise" if op == 2 else "kernel"][c, e]
                    y = norm(plain_conv(np.maximum(v, 0), kernel), "stages", s, (c, e))
                else:
                    y = {0: lambda v: 0 * v, 1: lambda v: v, 4: plain_pool}[op](v)
                nodes[b] = nodes[b] + y
            x = nodes[3]
        if s < 2:
            own = w["reductions"][s]
            h = norm(plain_conv(np.maximum(x, 0), own["conv_a"], 2), "reductions", s, "conv_a")
            h = norm(plain_conv(np.maximum(h, 0), own["conv_b"]), "reductions", s, "conv_b")
            b, size, _, channels = x.shape
            x = h + plain_conv(x.reshape(b, size // 2, 2, size // 2, 2, channels).mean((2, 4)), own["shortcut"])
    return np.maximum(norm(x, "head"), 0).mean((1, 2)) @ w["head"] + params["bias"]


@pytest.mark.parametrize("norm", ["batch", "running", "sample", "none"])
def test_logits_equal_a_plain_loop(norm, logits, variables, data):
    for arch in (MIXED, ARCHS[-1]):
        expected = plain_logits(SPACE, variables, arch, data[0], norm)
        np.testing.assert_allclose(logits(variables, arch, data[0], norm), expected, rtol=1e-9, atol=1e-9)


def test_unknown_norm_is_refused(variables, data):
    with pytest.raises(InputError, match="batchnorm"):
        SPACE.apply(variables, MIXED, data[0], norm="batchnorm")


def test_one_trace_serves_all_and_the_gradient_is_the_slope(gradient, variables, data):
    rng = np.random.default_rng(2)
    for arch in ARCHS:
        (loss, output), grads = gradient(variables.params, variables.stats, arch, *data)
        assert np.isfinite(loss) and output.logits.shape == (4, 4)
        way = jax.tree.map(lambda a: rng.standard_normal(a.shape), variables.params)

        def at(step, way=way, arch=arch):
            moved = jax.tree.map(lambda a, d: a + step * d, variables.params, way)
            return gradient(moved, variables.stats, arch, *data)[0][0]

        slope = (at(1e-6) - at(-1e-6)) / 2e-6
        along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.vdot(g, d), grads, way)))
        np.testing.assert_allclose(along, slope, rtol=1e-5, atol=1e-6)


def test_slots_not_chosen_have_no_gradient(gradient, variables, data):
    _, grads = gradient(variables.params, variables.stats, MIXED, *data)
    for stage in grads["weights"]["stages"]:
        for position, name in ((2, "pointwise"), (3, "kernel")):
            moved = np.abs(np.asarray(stage[name][0])).reshape(6, -1).sum(1) > 0
            np.testing.assert_array_equal(moved, position == MIXED)


def test_running_statistics_follow_the_batch(gradient, variables, data):
    (_, output), _ = gradient(variables.params, variables.stats, MIXED, *data)
    x = plain_conv(data[0], np.asarray(variables.params["weights"]["stem"]))
    expected = 0.9 * np.asarray(variables.stats["mean"]["stem"]) + 0.1 * x.mean((0, 1, 2))
    np.testing.assert_allclose(output.stats["mean"]["stem"], expected, rtol=1e-9)
    assert jax.tree.structure(output.stats) == jax.tree.structure(variables.stats)


def test_drop_dead_changes_no_logit(logits, variables, data):
    thin = dataclasses.replace(SPACE, drop_dead=True)
    run = jax.jit(lambda v, a, x: thin.apply(v, a, x, norm="none").logits)
    for arch in (UNREAD, UNFED, FULL):
        np.testing.assert_allclose(
            run(variables, arch, data[0]), logits(variables, arch, data[0], "none"), rtol=1e-9, atol=1e-12
        )
    for arch, lost in ((UNREAD, 1), (UNFED, 1), (FULL, 0)):
        assert SPACE.layers(arch).depth - thin.layers(arch).depth == 3 * lost  # one convolution a stage
        assert (thin.num_params(arch) < SPACE.num_params(arch)) == bool(lost)
        assert (thin.flops(arch) < SPACE.flops(arch)) == bool(lost)
        np.testing.assert_array_equal(thin._traced(arch), np.where(cell201.live_edges(arch), arch, 0))


def test_loss_by_hand():
    output = Output(jnp.log(jnp.array([[1.0, 1, 1, 1], [3, 1, 1, 1]])), None, {})
    assert SPACE.loss(output, jnp.array([1, 0])) == pytest.approx(1.5 * np.log(2))


# Initialisation.

FANS = {  # of the space below: (fan in, fan out)
    ("stem",): (27, 72),
    ("stages", 0, "pointwise"): (8, 8),
    ("stages", 1, "kernel"): (144, 144),
    ("stages", 2, "kernel"): (288, 288),
    ("reductions", 0, "conv_a"): (72, 144),
    ("reductions", 1, "conv_b"): (288, 288),
    ("reductions", 1, "shortcut"): (16, 32),
    ("head",): (32, 10),
}


@pytest.mark.parametrize("law", ["torch", "kaiming_fan_in", "kaiming_fan_out", "normal"])
def test_initialisation_laws(law):
    space = NasBench201(channels=8, cells=2)
    own = jax.jit(lambda key: space.init(key, MIXED, law=law))(jax.random.key(3))
    for path, (fan_in, fan_out) in FANS.items():
        values = own.params["weights"]
        for part in path:
            values = values[part]
        values = np.asarray(values).ravel()
        if law == "torch":
            bound = fan_in**-0.5
            assert np.abs(values).max() <= bound
            expected = scipy.stats.uniform(-bound, 2 * bound)
        else:
            variance = {"kaiming_fan_in": 2 / fan_in, "kaiming_fan_out": 2 / fan_out, "normal": 1}[law]
            expected = scipy.stats.norm(0, variance**0.5)
        assert scipy.stats.kstest(values, expected.cdf).pvalue > 1e-4, path
        assert abs(values.std() / expected.std() - 1) < 5 / np.sqrt(2 * values.size), path
    bias = np.abs(np.asarray(own.params["bias"]))
    assert (0 < bias.max() <= 32**-0.5) if law == "torch" else (bias == 0).all()
    assert all((leaf == 1).all() for leaf in jax.tree.leaves((own.params["scale"], own.stats["var"])))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves((own.params["shift"], own.stats["mean"])))


def test_initialisation_depends_on_the_key_and_not_on_the_architecture():
    draw = jax.jit(lambda key, arch: SPACE.init(key, arch, dtype=jnp.float32))
    first, same, other = draw(jax.random.key(0), MIXED), draw(jax.random.key(0), FULL), draw(jax.random.key(1), MIXED)
    chex.assert_trees_all_equal(first, same)
    for a, b in zip(*(jax.tree.leaves(v.params["weights"]) for v in (first, other)), strict=True):
        assert (np.asarray(a) != np.asarray(b)).mean() > 0.99 and a.dtype == np.float32
    drawn = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(first.params["weights"])])
    assert len(np.unique(drawn)) > 0.99 * drawn.size  # no tensor repeats another


def test_unknown_law_is_refused():
    with pytest.raises(InputError, match="'xavier'.*kaiming_fan_in"):
        SPACE.init(jax.random.key(0), MIXED, law="xavier")


# Layers and sites.


def test_layer_table_by_hand():
    table = SPACE.layers(MIXED)
    edges = [1, 0, 1, 0, 0, 1]
    np.testing.assert_array_equal(table.active, [1, *edges, 1, 1, 1, *edges, 1, 1, 1, *edges, 1])
    assert table.depth == 17
    order = [1, 2, 0, 3, 0, 0, 4, 5, 6, 7, 8, 0, 9, 0, 0, 10, 11, 12, 13, 14, 0, 15, 0, 0, 16, 17]
    bins = [0, 1, -1, 1, -1, -1, 2, 2, 3, 4, 4, -1, 5, -1, -1, 5, 6, 7, 7, 8, -1, 8, -1, -1, 9, 9]
    np.testing.assert_array_equal(table.order, order)
    np.testing.assert_array_equal(table.bins, bins)
    assert table.names[:2] == ("stem.0", "cells.0.layers.0.op.1") and table.names[-1] == "classifier"
    assert table.names[7:10] == ("cells.1.conv_a.op.1", "cells.1.conv_b.op.1", "cells.1.downsample.1")
    assert table.names[10] == "cells.2.layers.0.op.1" and table.names[24] == "cells.4.layers.5.op.1"
    assert len(set(table.names)) == len(table.names) == 26


def test_site_calls_by_hand():
    calls = SPACE.site_calls(MIXED)
    # A rectifier in front of layer k lies in the bin of k - 1 executed layers, of 17.
    where = {
        "stage0/node0": 0,  # before layer 2
        "stage0/node1": 1,
        "stage0/node2": 1,
        "reduction0/a": 2,
        "reduction0/b": 2,
        "stage1/node0": 4,  # before layer 8: 700 // 170
        "stage1/node1": 4,
        "stage1/node2": 5,
        "reduction1/a": 5,
        "reduction1/b": 6,
        "stage2/node0": 7,
        "stage2/node1": 8,
        "stage2/node2": 8,
        "head": 9,
    }
    assert set(calls) == set(where)
    for name, bin_ in where.items():
        np.testing.assert_array_equal(np.asarray(calls[name]).reshape(10), np.arange(10) == bin_, err_msg=name)


def test_site_calls_sum_to_the_rectifiers_of_the_network():
    for space in (SPACE, NasBench201(channels=2, cells=3)):
        for arch in ARCHS:
            convs = 3 * space.cells * int(np.isin(arch, (2, 3)).sum())
            total = sum(int(np.sum(c)) for c in space.site_calls(arch).values())
            assert total == convs + 4 + 1 == space.layers(arch).depth - 3


def test_layer_sums_follow_the_table():
    shapes = SPACE.weights(jax.eval_shape(lambda: SPACE.init(jax.random.key(0), FULL)).params)
    sizes = np.asarray(SPACE.layer_sums(jax.tree.map(lambda s: np.ones(s.shape), shapes)))
    assert sizes.shape == (26,)
    # An edge owns a 1x1 and a 3x3 kernel: 10 c^2 numbers.
    expected = [54, *[40] * 6, 72, 144, 8, *[160] * 6, 288, 576, 32, *[640] * 6, 32]
    np.testing.assert_array_equal(sizes, expected)


def test_taps_are_named_as_the_sites(variables, data):
    tap = lambda site, value: (value.sum(), site.calls.sum())  # noqa: E731
    taps = jax.eval_shape(lambda: SPACE.apply(variables, MIXED, data[0], tap=tap)).taps
    assert set(taps) == set(SPACE.site_calls(MIXED))
    assert taps["stage0/node0"][0].shape == (1,) and taps["head"][0].shape == ()


# Encodings and the object.


def test_encodings_both_ways():
    text = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
    assert SPACE.encode(MIXED) == [text]
    forms = [text, cell201.to_tuple(MIXED)]
    np.testing.assert_array_equal(SPACE.decode(forms), [MIXED, MIXED])
    np.testing.assert_array_equal(SPACE.decode(text), MIXED[None])
    np.testing.assert_array_equal(SPACE.decode(MIXED), MIXED[None])
    everything = SPACE.all()
    assert everything.shape == (15625, 6)
    np.testing.assert_array_equal(SPACE.decode(SPACE.encode(everything[::97])), everything[::97])
    np.testing.assert_array_equal(SPACE.decode([7, 15624]), everything[[7, 15624]])


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ("|nor_conv_3x4~0|+|none~0|none~1|+|none~0|none~1|none~2|", "nor_conv_3x4"),
        ([], "no architecture"),
        (15625, "15625"),
        (np.array([0, 1, 2, 3, 4, 5]), "5"),
    ],
)
def test_bad_encodings(bad, match):
    with pytest.raises(InputError, match=match):
        SPACE.decode(bad)


@pytest.mark.parametrize(
    "options",
    [
        {"channels": 0},
        {"cells": -1},
        {"num_classes": 2.5},
        {"image_size": 30},
        {"in_channels": True},
        {"cells": "5"},
        {"drop_dead": "no"},
    ],
)
def test_bad_options(options):
    (name,) = options
    with pytest.raises(InputError, match=f"nasbench201: {name}="):
        NasBench201(**options)


def test_spaces_are_frozen_hashable_values():
    twin = NasBench201(channels=2, cells=1, num_classes=4, image_size=8)
    assert twin == SPACE and hash(twin) == hash(SPACE) and twin != NasBench201()
    with pytest.raises(dataclasses.FrozenInstanceError):
        twin.channels = 3
    assert SPACE.options == {
        "channels": 2,
        "cells": 1,
        "num_classes": 4,
        "image_size": 8,
        "in_channels": 3,
        "drop_dead": False,
    }
    assert set(SPACE.signature([MIXED, FULL])) == {SPACE.name}


def test_moves_and_validity():
    key = jax.random.key(0)
    assert (np.asarray(SPACE.mutate(key, MIXED)) != MIXED).sum() == 1
    child = np.asarray(SPACE.crossover(key, MIXED, FULL))
    assert ((child == MIXED) | (child == FULL)).all()
    assert SPACE.neighbours(MIXED).shape == (24, 6) and SPACE.sample(key, 5).shape == (5, 6)
    assert SPACE.is_valid(MIXED)[0] and not SPACE.is_valid(np.zeros(6, np.int32))[0]
    assert SPACE.canonical(MIXED) != SPACE.canonical(FULL)
    assert SPACE.to_graph(MIXED).nodes


# Precision.


def equations(jaxpr):
    """All equations of a jaxpr, those of loops, branches and calls included."""
    for eqn in jaxpr.eqns:
        yield eqn
        for leaf in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            leaf = getattr(leaf, "jaxpr", leaf)
            if hasattr(leaf, "eqns"):
                yield from equations(leaf)


def precisions(fn, *args):
    """Precision of every floating-point convolution and product; integer ones are exact anyway."""
    found = []
    for eqn in equations(jax.make_jaxpr(fn)(*args).jaxpr):
        if eqn.primitive.name in ("conv_general_dilated", "dot_general"):
            wanted = eqn.params["precision"]
            if jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating):
                found.append(tuple(wanted) if isinstance(wanted, tuple) else (wanted, wanted))
    return found


def test_highest_precision_in_the_gradient(variables, data):
    def loss(params, space):
        return space.loss(space.apply(variables._replace(params=params), FULL, data[0]), data[1])

    found = precisions(jax.grad(lambda p: loss(p, SPACE)), variables.params)
    # Forward, and two products a convolution backward; each cell body has two convolutions an edge.
    assert len(found) >= 3 * (1 + 3 * 6 * 2 + 2 * 3 + 1) - 1
    assert set(found) == {(lax.Precision.HIGHEST,) * 2}
    fast = dataclasses.replace(SPACE, precision="default")
    assert (lax.Precision.HIGHEST,) * 2 not in precisions(jax.grad(lambda p: loss(p, fast)), variables.params)


def test_highest_precision_in_every_pass(data):
    images, labels = (np.stack([np.concatenate([part] * 4)] * 2) for part in data)  # enough for every pass
    wanted = [p for proxy in registry.parse("all", space=SPACE) for p in proxy.passes]
    wanted += [p for p in registry.get("lswag", granularity="sample").passes]
    for p in dict.fromkeys(wanted):
        if not isinstance(p, passes.CostPass):
            found = precisions(lambda key, p=p: passes.run(SPACE, p, key, FULL, images, labels), jax.random.key(0))
            products = not isinstance(p, (WeightPass, LabelPass))
            assert bool(found) == products and set(found) <= {(lax.Precision.HIGHEST,) * 2}, p


def test_moments_change_no_value(variables, data):
    def zeros():
        weights = SPACE.weights(variables.params)
        return jax.tree.map(lambda w: nn.Moments(*[jnp.zeros_like(w)] * 4), weights)

    out = jax.eval_shape(lambda: SPACE.apply(variables, FULL, data[0], moments=zeros()))
    assert out.logits.shape == (4, 4)
