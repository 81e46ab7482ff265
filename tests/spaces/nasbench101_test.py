"""Tests of nasjax.spaces.nasbench101 and its network, on a tiny configuration in float64."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import cell101_graph as graph
from nasjax.spaces.nasbench101 import NasBench101
from nasjax.types import InputError, Output, Variables

# Seven channels are shared unequally: 4 + 3, or 3 + 2 + 2.
SPACE = NasBench101(channels=7, stacks=2, cells=2, num_classes=4, image_size=8)
K3, K1, POOL = graph.OPS
# Both vertices and the input feed the output; the first, wider, feeds the second.
TWO = ([[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], [K3, K1])
POOLED = ([[0, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0] * 5], [POOL, K1, POOL])
WIDEST = ([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0] * 4], [K1, K3])
BARE = ([[0, 1], [0, 0]], [])
CELLS = (TWO, POOLED, WIDEST, BARE)
ARCHS = np.stack([SPACE.decode([cell])[0] for cell in CELLS])
BOUND = SPACE.bind("branches=2")
pytestmark = pytest.mark.usefixtures("double")


def shaken(space, arch):
    """Variables with norms and statistics off their initial values, so that a wrong place shows."""
    own = jax.jit(lambda key: space.init(key, arch))(jax.random.key(0))
    rng = np.random.default_rng(0)
    shake = lambda tree: jax.tree.map(lambda a: a + rng.uniform(0.1, 0.5, a.shape), tree)  # noqa: E731
    params = own.params | {name: shake(own.params[name]) for name in ("scale", "shift", "bias")}
    return Variables(params, shake(own.stats))


@pytest.fixture(scope="module")
def variables(double):
    """By number of the cell."""
    return [shaken(SPACE, arch) for arch in ARCHS]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((4, 8, 8, 3)), np.array([0, 1, 2, 3])


@pytest.fixture(scope="module")
def gradient(double):
    """Loss and gradient, one program a signature; a second trace is an error."""

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(params, stats, arch, images, labels):
        def loss(params):
            output = BOUND.apply(Variables(params, stats), arch, images)
            return BOUND.loss(output, labels), output

        return jax.value_and_grad(loss, has_aux=True)(params)

    return run


# The network by an independent, plain loop over the official description.


def plain_conv(x, w):
    pad = w.shape[0] // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows, columns = x.shape[1] - w.shape[0] + 1, x.shape[2] - w.shape[1] + 1
    return sum(x[:, i : i + rows, j : j + columns] @ w[i, j] for i in range(w.shape[0]) for j in range(w.shape[1]))


def plain_norm(x, scale, shift, stats, mode):
    axes = {"batch": (0, 1, 2), "sample": (1, 2)}.get(mode)
    if mode == "none":
        return x
    mean, var = stats if axes is None else (x.mean(axes, keepdims=True), x.var(axes, keepdims=True))
    return (x - mean) / np.sqrt(var + 1e-5) * scale + shift


def plain_pool(x):
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    size = x.shape[1] - 2
    return np.max([x[:, i : i + size, j : j + size] for i in range(3) for j in range(3)], 0)


def plain_logits(cell, variables, images, mode):
    params, stats = jax.tree.map(np.asarray, tuple(variables))
    rows, ops = graph.spec(SPACE.decode([cell])[0])
    last = len(rows) - 1
    ends = [v for v in range(1, last) if rows[v][last]]

    def layer(x, w, trees, cut=slice(None)):
        scale, shift, mean, var = (tree[..., cut] for tree in trees)
        return np.maximum(plain_norm(plain_conv(x, w[..., cut]), scale, shift, (mean, var), mode), 0)

    def trees(*path):
        found = [params["scale"], params["shift"], stats["mean"], stats["var"]]
        return [functools.reduce(lambda t, k: t[k], path, tree) for tree in found]

    x = layer(images, params["weights"]["stem"], trees("stem"))
    for s, channels in enumerate((7, 14)):
        if s:
            b, size, _, c = x.shape
            x = x.reshape(b, size // 2, 2, size // 2, 2, c).max((2, 4))
        width = {v: channels // len(ends) + (r < channels % len(ends)) for r, v in enumerate(ends)}
        for v in range(last - 1, 0, -1):
            if v not in ends:
                width[v] = max(width[t] for t in range(v + 1, last) if rows[v][t])
        for c in range(2):
            name, lead = ("rest", (0,)) if c else ("first", ())
            own = params["weights"][f"stack{s}"][name]
            tensors = {}
            for v in range(1, last):
                cut = slice(width[v])
                parts = [tensors[u][..., cut] for u in range(1, v) if rows[u][v]]
                at = (*lead, v - 1)
                if rows[0][v]:
                    kept = [t[at] for t in trees(f"stack{s}", name, "project")]
                    parts.append(layer(x, own["project"][at], kept, cut))
                total = sum(parts)
                if ops[v] == POOL:
                    tensors[v] = plain_pool(total)
                    continue
                kernel = own["vertex"][at][:, :, cut]
                kernel = kernel if ops[v] == K3 else kernel[1:2, 1:2]
                tensors[v] = layer(total, kernel, [t[at] for t in trees(f"stack{s}", name, "vertex")], cut)
            y = np.concatenate([tensors[v] for v in ends], -1) if ends else 0
            if rows[0][last]:
                kept = [t[lead] for t in trees(f"stack{s}", name, "output")]
                y = y + layer(x, own["output"][lead], kept)
            x = y
    return x.mean((1, 2)) @ params["weights"]["head"] + params["bias"]["head"]


@pytest.mark.parametrize("number", range(len(CELLS)))
def test_logits_equal_a_plain_loop(number, variables, data):
    modes = ("batch", "running") if number == 0 else ("sample",) if number == 1 else ("batch",)
    for norm in modes:
        run = jax.jit(
            lambda v, x, norm=norm: SPACE.apply(v, ARCHS[number], x, norm=norm).logits
        )
        expected = plain_logits(CELLS[number], variables[number], data[0], norm)
        np.testing.assert_allclose(run(variables[number], data[0]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_one_trace_serves_a_signature_and_the_gradient_is_the_slope(gradient, variables, data):
    rng = np.random.default_rng(2)
    second = SPACE.decode([([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4], [K1, POOL])])[0]
    assert SPACE.signature(np.stack([ARCHS[0], second])) == ["branches=2"] * 2
    for arch in (ARCHS[0], second):
        own = shaken(BOUND, arch)
        (loss, _), grads = gradient(own.params, own.stats, arch, *data)
        mask = {"weights": SPACE.weight_mask(arch)}
        way = jax.tree.map(lambda a: rng.standard_normal(a.shape), own.params)
        way |= {"weights": jax.tree.map(lambda d, m: d * m, way["weights"], mask["weights"])}
        # Nothing that the cell lacks has a gradient: neither kernels nor the channels beyond a vertex's width.
        idle = jax.tree.map(lambda g, m: np.abs(np.where(m, 0, g)).max(), grads["weights"], mask["weights"])
        assert max(jax.tree.leaves(idle)) == 0

        def at(step, way=way, arch=arch, own=own):
            moved = jax.tree.map(lambda a, d: a + step * d, own.params, way)
            return gradient(moved, own.stats, arch, *data)[0][0]

        slope = (at(1e-6) - at(-1e-6)) / 2e-6
        along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.vdot(g, d), grads, way)))
        np.testing.assert_allclose(along, slope, rtol=1e-5, atol=1e-6)
        assert np.isfinite(loss)


@pytest.mark.slow
def test_running_statistics_follow_the_batch(gradient, variables, data):
    own = variables[0]
    (_, output), _ = gradient(own.params, own.stats, ARCHS[0], *data)
    x = plain_conv(data[0], np.asarray(own.params["weights"]["stem"]))
    expected = 0.9 * np.asarray(own.stats["mean"]["stem"]) + 0.1 * x.mean((0, 1, 2))
    np.testing.assert_allclose(output.stats["mean"]["stem"], expected, rtol=1e-9)
    assert jax.tree.structure(output.stats) == jax.tree.structure(own.stats)
    # Vertex 3 is absent: its statistics stay.
    for field in ("mean", "var"):
        kept, old = (tree[field]["stack1"]["rest"]["vertex"][:, 2] for tree in (output.stats, own.stats))
        np.testing.assert_array_equal(kept, old)


def test_loss_by_hand():
    output = Output(jnp.log(jnp.array([[1.0, 1, 1, 1], [3, 1, 1, 1]])), None, {})
    assert SPACE.loss(output, jnp.array([1, 0])) == pytest.approx(1.5 * np.log(2))


# Initialisation.


@pytest.mark.parametrize("law", ["torch", "kaiming_fan_in", "kaiming_fan_out", "normal"])
def test_initialisation_has_the_fans_of_the_cell(law):
    space = NasBench101(channels=65, stacks=1, cells=2)
    arch = ARCHS[0]
    own = jax.jit(lambda key: space.init(key, arch, law=law))(jax.random.key(3))
    weights = own.params["weights"]["stack0"]["rest"]
    # Widths 33 and 32; a 3x3 kernel at vertex 1, the centre at vertex 2; projections from 65 channels.
    cases = {
        "vertex1": (weights["vertex"][0, 0], 9 * 33, 9 * 33),
        "vertex2": (weights["vertex"][0, 1, 1, 1, :32, :32], 32, 32),
        "input2": (weights["project"][0, 1, ..., :32], 65, 32),
        "output": (weights["output"][0], 65, 65),
    }
    for name, (values, fan_in, fan_out) in cases.items():
        values = np.asarray(values).ravel()
        deviation = {
            "torch": (3 * fan_in) ** -0.5,
            "kaiming_fan_in": (2 / fan_in) ** 0.5,
            "kaiming_fan_out": (2 / fan_out) ** 0.5,
            "normal": 1.0,
        }[law]
        assert abs(values.std() / deviation - 1) < 5 / np.sqrt(2 * values.size), name
        assert (np.abs(values).max() <= fan_in**-0.5) == (law == "torch")
    assert all((leaf == 1).all() for leaf in jax.tree.leaves((own.params["scale"], own.stats["var"])))


def test_what_the_cell_lacks_is_zero():
    own = jax.jit(lambda key: SPACE.init(key, ARCHS[0]))(jax.random.key(0)).params["weights"]
    for leaf, mask in zip(*(jax.tree.leaves(t) for t in (own, SPACE.weight_mask(ARCHS[0]))), strict=True):
        assert mask.ndim == leaf.ndim
        np.testing.assert_array_equal(np.asarray(leaf) != 0, np.broadcast_to(mask, leaf.shape))


def test_weights_in_use_are_the_parameters():
    for arch in ARCHS:
        shapes = jax.eval_shape(lambda arch=arch: SPACE.init(jax.random.key(0), arch)).params["weights"]
        used = jax.tree.map(lambda m, s: np.broadcast_to(m, s.shape).sum(), SPACE.weight_mask(arch), shapes)
        sums = np.asarray(
            SPACE.layer_sums(jax.tree.map(lambda m, s: np.broadcast_to(m, s.shape), SPACE.weight_mask(arch), shapes))
        )
        table = SPACE.layers(arch)
        np.testing.assert_array_equal(sums > 0, table.active)
        total = sum(jax.tree.leaves(used))
        # Two numbers a channel of every norm, and the bias.
        norms = sum(
            2 * int(channels) * active for channels, active in zip(norm_channels(arch), table.active[:-1], strict=True)
        )
        assert total + norms + 4 == SPACE.num_params(arch)


def norm_channels(arch):
    """Channels behind every convolution, by slot."""
    pruned = graph.prune(arch)
    found = [7]
    for s in range(2):
        widths = graph.widths(pruned, 7 * 2**s)
        found += 2 * [*np.repeat(widths, 2), 7 * 2**s]
    return found


# Layers and sites.


def test_layer_table_by_hand():
    table = SPACE.layers(ARCHS[1])
    # Projections to vertices 1 and 2, and the convolution of vertex 2; the others pool.
    cell = [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(table.active, [1, *cell * 4, 1])
    assert table.depth == 14 and len(set(table.names)) == len(table.names) == 46
    np.testing.assert_array_equal(np.asarray(table.order)[1:5], [2, 0, 3, 4])
    np.testing.assert_array_equal(np.asarray(table.bins)[1:5], [1, -1, 2, 2])
    names = SPACE.official_names(ARCHS[1])
    assert names[0] == "layers.0.conv_bn_relu.0" and names[-1] == "classifier"
    assert [names[i] for i in np.flatnonzero(table.active)[1:4]] == [
        "layers.1.input_op.1.conv_bn_relu.0",
        "layers.1.input_op.2.conv_bn_relu.0",
        "layers.1.vertex_op.2.conv1x1.conv_bn_relu.0",
    ]
    # The pooling between the stacks is layer 3; the output is vertex 4.
    assert SPACE.official_names(ARCHS[3])[-2] == "layers.5.input_op.1.conv_bn_relu.0"


def test_site_calls_count_the_rectifiers():
    for arch in ARCHS:
        calls = SPACE.site_calls(arch)
        main = sum(int(np.sum(c)) for name, c in calls.items() if not name.endswith("/last"))
        assert main == SPACE.layers(arch).depth - 1  # one behind every convolution
    calls = SPACE.site_calls(ARCHS[0])
    # Vertex 1 has four channels in the first stack, vertex 2 three; in the second, both have seven.
    np.testing.assert_array_equal(calls["stack0/vertex/last"].sum(1), [1, 0, 0, 0, 0] * 2)
    assert not any(name.startswith("stack1") and name.endswith("/last") for name in calls)
    table = SPACE.layers(ARCHS[0])
    np.testing.assert_array_equal(np.asarray(calls["stack1/output"]).argmax(1), np.asarray(table.bins)[[-13, -2]])


def test_taps_are_named_as_the_sites(variables, data):
    tap = lambda site, value: (value.shape[-1] + 0 * value.sum(), site.calls.sum())  # noqa: E731
    taps = jax.eval_shape(lambda: SPACE.apply(variables[0], ARCHS[0], data[0], tap=tap)).taps
    assert set(taps) == set(SPACE.site_calls(ARCHS[0]))
    assert taps["stack0/vertex"][0].shape == (10,) and taps["stem"][0].shape == ()


# Encodings and the object.


def test_encodings_both_ways():
    for arch, text in zip(ARCHS, SPACE.encode(ARCHS), strict=True):
        np.testing.assert_array_equal(SPACE.decode([text])[0], arch)
        np.testing.assert_array_equal(SPACE.decode(text), arch[None])
    np.testing.assert_array_equal(SPACE.decode(ARCHS), ARCHS)
    with pytest.raises(InputError, match="no architecture"):
        SPACE.decode([])


def test_signatures_and_binding():
    assert SPACE.signature(ARCHS) == ["branches=2", "branches=2", "branches=1", "branches=4"]
    assert BOUND.branches == 2 and BOUND.options == SPACE.options and "branches" not in SPACE.options
    assert NasBench101(channels=7, stacks=2, cells=2, num_classes=4, image_size=8) == SPACE
    with pytest.raises(InputError, match="bind the space first"):
        jax.eval_shape(lambda arch: SPACE.init(jax.random.key(0), arch), ARCHS[0])
    jax.eval_shape(lambda arch: BOUND.init(jax.random.key(0), arch), ARCHS[0])


@pytest.mark.parametrize(
    "options",
    [{"channels": 3}, {"stacks": 0}, {"cells": -1}, {"num_classes": 2.5}, {"image_size": 3}, {"in_channels": True}],
)
def test_bad_options(options):
    (name,) = options
    with pytest.raises(InputError, match=f"nasbench101: {name}="):
        NasBench101(**options)


def test_unknown_law_is_refused():
    with pytest.raises(InputError, match="'xavier'.*kaiming_fan_in"):
        SPACE.init(jax.random.key(0), ARCHS[0], law="xavier")


def test_the_object_offers_the_moves():
    key = jax.random.key(0)
    assert SPACE.sample(key, 3).shape == (3, 26) and SPACE.neighbours(ARCHS[0]).shape[1] == 26
    assert graph.is_member(np.asarray(SPACE.mutate(key, ARCHS[0]))) and SPACE.is_valid(ARCHS[0])[0]
    assert graph.is_member(np.asarray(SPACE.crossover(key, ARCHS[0], ARCHS[1])))
    assert SPACE.canonical(ARCHS[0]) != SPACE.canonical(ARCHS[1]) and SPACE.to_graph(ARCHS[0]).nodes[0] == "input"
    assert dataclasses.replace(SPACE, channels=8).flops(ARCHS[0]) > SPACE.flops(ARCHS[0])
