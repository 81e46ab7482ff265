"""Tests of nasjax.spaces.darts and its network, on a tiny configuration in float64."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.proxies.derivative_passes import CurvaturePass
from nasjax.spaces.darts import Darts
from nasjax.types import InputError, Variables

SPACE = Darts(channels=2, cells=4, num_classes=3, image_size=8)  # normal, reduction, reduction, normal
SEVEN = Darts(channels=24, cells=7)  # normal, normal, reduction, normal, reduction, normal, normal
MIXED = {
    "normal": [
        ("sep_conv_3x3", 1), ("max_pool_3x3", 0), ("dil_conv_5x5", 2), ("skip_connect", 0),
        ("sep_conv_5x5", 3), ("avg_pool_3x3", 1), ("dil_conv_3x3", 4), ("sep_conv_3x3", 2),
    ],
    "reduce": [
        ("skip_connect", 0), ("sep_conv_5x5", 1), ("max_pool_3x3", 1), ("dil_conv_3x3", 2),
        ("sep_conv_3x3", 0), ("skip_connect", 3), ("avg_pool_3x3", 0), ("dil_conv_5x5", 1),
    ],
}  # fmt: skip
# With what is left: none, one source twice, pools and skips of either stride.
OTHER = {
    "normal": [
        ("none", 0), ("skip_connect", 1), ("max_pool_3x3", 2), ("sep_conv_5x5", 2),
        ("dil_conv_5x5", 0), ("none", 2), ("avg_pool_3x3", 3), ("dil_conv_3x3", 1),
    ],
    "reduce": [
        ("dil_conv_3x3", 0), ("none", 1), ("sep_conv_3x3", 2), ("max_pool_3x3", 0),
        ("avg_pool_3x3", 3), ("skip_connect", 1), ("sep_conv_5x5", 4), ("none", 2),
    ],
}  # fmt: skip
GENOTYPES = (MIXED, OTHER)
ARCHS = SPACE.decode(GENOTYPES)
NORMAL_OF = {arch.tobytes(): genotype["normal"] for arch, genotype in zip(ARCHS, GENOTYPES, strict=True)}
pytestmark = pytest.mark.usefixtures("double")


def shaken(space, arch):
    """Variables with norms and statistics off their initial values, so that a wrong place shows."""
    own = jax.jit(lambda key, arch: space.init(key, arch))(jax.random.key(0), arch)
    rng = np.random.default_rng(0)
    shake = lambda tree: jax.tree.map(lambda a: a + rng.uniform(0.1, 0.5, a.shape), tree)  # noqa: E731
    params = own.params | {name: shake(own.params[name]) for name in ("scale", "shift", "bias")}
    return Variables(params, shake(own.stats))


@pytest.fixture(scope="module")
def variables(double):
    return [shaken(SPACE, arch) for arch in ARCHS]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((3, 8, 8, 3)), np.array([0, 1, 2])


# The network by an independent, plain walk through the official modules.


class Official:
    """Modules of the DARTS code by name, out of a space's own variables."""

    def __init__(self, plain, space, arch, variables, mode):
        self.plain, self.mode, self.space = plain, mode, space
        self.trees = {"params": variables.params, "stats": variables.stats}
        self.places = space.torch_places(arch)

    def tensor(self, name, default=None):
        if name not in self.places and default is not None:
            return default
        tree, path, index = self.places[name]
        leaf = np.asarray(functools.reduce(lambda part, key: part[key], path, self.trees[tree]))
        return leaf if index is None else leaf[index]

    def norm(self, x, name):
        scale, shift = self.tensor(f"{name}.weight", 1.0), self.tensor(f"{name}.bias", 0.0)
        stats = [self.tensor(f"{name}.running_{kind}") for kind in ("mean", "var")]
        return self.plain.norm(x, scale, shift, stats, self.mode)

    def relu_conv(self, x, *names, **options):
        """Rectifier, then a convolution for each name, side by side, each on its pixels."""
        x = np.maximum(x, 0)
        parts = [x] if len(names) == 1 else [x[:, ::2, ::2], x[:, 1::2, 1::2]]
        weights = [self.tensor(f"{name}.weight") for name in names]
        return np.concatenate([self.plain.conv(p, w, **options) for p, w in zip(parts, weights, strict=True)], -1)

    def edge(self, x, op, stride, name):
        if op == "none":
            return np.zeros_like(x[:, ::stride, ::stride])
        if op == "skip_connect":
            if stride == 1:
                return x
            return self.norm(self.relu_conv(x, f"{name}.conv_1", f"{name}.conv_2"), f"{name}.bn")
        if op.endswith("pool_3x3"):
            y = self.plain.pool(x, op, stride)
            return self.norm(y, f"{name}.1") if self.space.variant == "naslib" else y
        for start in (0, 4) if op.startswith("sep") else (0,):
            w = self.tensor(f"{name}.op.{start + 1}.weight")
            assert w.shape[0] == int(op[-1])
            x = self.plain.depthwise(np.maximum(x, 0), w, stride, 2 if op.startswith("dil") else 1)
            x = x @ self.tensor(f"{name}.op.{start + 2}.weight")[0, 0]
            x, stride = self.norm(x, f"{name}.op.{start + 3}"), 1
        return x

    def logits(self, genotype, x):
        cells, reduced = self.space.cells, False
        if self.space.variant not in ("swap", "imagenet"):
            x = self.norm(self.plain.conv(x, self.tensor("stem.0.weight")), "stem.1")
        older = newer = x
        if self.space.variant == "imagenet":
            x = np.maximum(self.norm(self.plain.conv(x, self.tensor("stem0.0.weight"), 2), "stem0.1"), 0)
            older, reduced = self.norm(self.plain.conv(x, self.tensor("stem0.3.weight"), 2), "stem0.4"), True
            newer = self.norm(self.plain.conv(np.maximum(older, 0), self.tensor("stem1.1.weight"), 2), "stem1.2")
        for i in range(cells):
            reduction = i in (cells // 3, 2 * cells // 3)
            name = f"cells.{i}.preprocess0"
            if reduced:
                first = self.norm(self.relu_conv(older, f"{name}.conv_1", f"{name}.conv_2"), f"{name}.bn")
            else:
                first = self.norm(self.relu_conv(older, f"{name}.op.1"), f"{name}.op.2")
            name = f"cells.{i}.preprocess1"
            nodes = [first, self.norm(self.relu_conv(newer, f"{name}.op.1"), f"{name}.op.2")]
            edges = genotype["reduce" if reduction else "normal"]
            for e in range(0, 8, 2):
                pair = [
                    self.edge(nodes[source], op, 2 if reduction and source < 2 else 1, f"cells.{i}._ops.{e + k}")
                    for k, (op, source) in enumerate(edges[e : e + 2])
                ]
                nodes.append(pair[0] + pair[1])
            older, newer, reduced = newer, np.concatenate(nodes[2:], -1), reduction
        self.features = newer
        return newer.mean((1, 2)) @ self.tensor("classifier.weight") + self.tensor("classifier.bias")

    def auxiliary_logits(self):
        """The auxiliary head on the last features, of 8x8 pixels, or 7x7 in the network for ImageNet."""
        x, at = np.maximum(self.features, 0), (0, 2) if self.space.variant == "imagenet" else (0, 3)
        x = np.stack([np.stack([x[:, i : i + 5, j : j + 5].mean((1, 2)) for j in at], 1) for i in at], 1)
        name = "auxiliary_head.features"
        x = np.maximum(self.norm(x @ self.tensor(f"{name}.2.weight")[0, 0], f"{name}.3"), 0)
        w = self.tensor(f"{name}.5.weight")
        x = sum(x[:, i, j] @ w[i, j] for i in range(2) for j in range(2))[:, None, None]
        x = np.maximum(x if self.space.variant == "imagenet" else self.norm(x, f"{name}.6"), 0)[:, 0, 0]
        return x @ self.tensor("auxiliary_head.classifier.weight") + self.tensor("auxiliary_head.classifier.bias")


@pytest.fixture(scope="module")
def gradient(double):
    """Loss, output with taps, and gradient of parameters and readers; a second trace is an error."""

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(params, stats, arch, images, labels):
        def tap(site, value):
            return (value > 0).sum(), site.calls

        def loss(params, moments):
            own = Variables(params, stats)
            output = SPACE.apply(own, arch, images, norm="running", tap=tap, moments=moments)
            return SPACE.loss(output, labels), output

        zeros = jax.tree.map(nn.Moments.zeros_like, params["weights"])
        return jax.value_and_grad(loss, (0, 1), has_aux=True)(params, zeros)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(GENOTYPES)))
def test_logits_equal_a_plain_walk(plain, gradient, variables, data, number):
    own, arch = variables[number], ARCHS[number]
    expected = Official(plain, SPACE, arch, own, "running").logits(GENOTYPES[number], data[0])
    (_, output), _ = gradient(own.params, own.stats, arch, *data)
    np.testing.assert_allclose(output.logits, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_the_network_of_swap_with_an_auxiliary_head(plain):
    space = Darts(variant="swap", num_classes=3, image_size=16, auxiliary=True)
    own, images = shaken(space, ARCHS[1]), np.random.default_rng(4).standard_normal((3, 16, 16, 3))
    run = jax.jit(functools.partial(space.apply, train=True))
    output = run(own, ARCHS[1], images)
    official = Official(plain, space, ARCHS[1], own, "batch")
    np.testing.assert_allclose(output.logits, official.logits(OTHER, images), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(output.taps["auxiliary"], official.auxiliary_logits(), rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_the_network_for_imagenet(plain):
    space, arch, names = Darts(variant="imagenet", channels=4, cells=3, num_classes=3, image_size=32), ARCHS[0], []
    own, images = shaken(space, arch), np.random.default_rng(4).standard_normal((2, 32, 32, 3))

    def visit(block, function, x):
        names.append(block.name)
        return function(x), block.number

    def run(own, images):
        output = space.apply(own, arch, images, norm="running", tap=lambda site, value: site.calls)
        return output, space.blocks(own, arch, images, visit, norm="running")

    output, walk = jax.jit(run)(own, images)
    expected = Official(plain, space, arch, own, "running").logits(MIXED, images)
    np.testing.assert_allclose(output.logits, expected, rtol=1e-9, atol=1e-9)
    head = own.params["weights"]["head"]
    logits = walk.features.mean((1, 2)) @ head + own.params["bias"]["head"][None]
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-9)
    assert list(dict.fromkeys(names)) == ["stem", "stem/last", "stage0", "reduction0", "reduction1"]
    assert [int(n) for name in dict.fromkeys(names) for n in np.ravel(walk.seen[name])] == [0, 1, 2, 3, 4]
    chex.assert_trees_all_equal(output.taps, space.site_calls(arch))
    # Rectifiers behind the outputs of the stem: the first is read by the second, that by the third and the first cell.
    calls = {name: int(output.taps[name].sum()) for name in ("stem/first", "stem/second", "stem")}
    assert calls == {"stem/first": 1, "stem/second": 2, "stem": 2}
    entries = ("preprocess0.conv_1", "preprocess0.conv_2", "preprocess1.op.1")
    assert space.layer_names()[:6] == ("stem0.0", "stem0.3", "stem1.1", *(f"cells.0.{name}" for name in entries))


@pytest.mark.slow
def test_the_auxiliary_head_for_imagenet(plain):
    space = Darts(variant="imagenet", channels=2, cells=1, num_classes=3, image_size=112, auxiliary=True)
    own, images = shaken(space, ARCHS[1]), np.random.default_rng(4).standard_normal((2, 112, 112, 3))
    run = jax.jit(functools.partial(space.apply, train=True, norm="running"))
    output = run(own, ARCHS[1], images)
    official = Official(plain, space, ARCHS[1], own, "running")
    np.testing.assert_allclose(output.logits, official.logits(OTHER, images), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(output.taps["auxiliary"], official.auxiliary_logits(), rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_the_network_of_naslib_block_by_block(plain, data):
    space = Darts(variant="naslib", channels=2, cells=3, num_classes=3, image_size=8)
    own, names = shaken(space, ARCHS[1]), []

    def visit(block, function, x):
        names.append(block.name)
        return function(x), block.number

    run = jax.jit(lambda v, arch, x: space.blocks(v, arch, x, visit))
    walk = run(own, ARCHS[1], data[0])
    logits = walk.features.mean((1, 2)) @ own.params["weights"]["head"] + own.params["bias"]["head"][None]
    expected = Official(plain, space, ARCHS[1], own, "batch").logits(OTHER, data[0])
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-9)
    assert list(dict.fromkeys(names)) == ["stem", "stage0", "reduction0", "reduction1"]
    assert [int(n) for name in dict.fromkeys(names) for n in np.ravel(walk.seen[name])] == [0, 1, 2, 3]
    # Running statistics follow the batch where there is a norm.
    x = plain.conv(data[0], np.asarray(own.params["weights"]["stem"]))
    expected = 0.9 * np.asarray(own.stats["mean"]["stem"]) + 0.1 * x.mean((0, 1, 2))
    np.testing.assert_allclose(walk.stats["mean"]["stem"], expected, rtol=1e-9)
    assert jax.tree.structure(walk.stats) == jax.tree.structure(own.stats)
    for field in ("mean", "var"):
        new, old = (tree[field]["stage0"]["edges"][0] for tree in (walk.stats, own.stats))
        changed = np.asarray(new != old).all(-1)
        # A separable convolution has two norms, a dilated one and a pool have the first, the others none.
        np.testing.assert_array_equal(changed[:, 0], [0, 0, 1, 1, 1, 0, 1, 1])
        np.testing.assert_array_equal(changed[:, 1], [0, 0, 0, 1, 0, 0, 0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(GENOTYPES)))
def test_the_gradient_is_the_slope(gradient, variables, data, number):
    own, arch = variables[number], ARCHS[number]
    rng = np.random.default_rng(2)
    _, (grads, _) = gradient(own.params, own.stats, arch, *data)
    mask = SPACE.weight_mask(arch)
    # Nothing that the architecture lacks has a gradient.
    idle = jax.tree.map(lambda g, m: np.abs(np.where(m, 0, g)).max(), grads["weights"], mask)
    assert max(jax.tree.leaves(idle)) == 0
    way = jax.tree.map(lambda a: rng.standard_normal(a.shape), own.params)
    way |= {"weights": jax.tree.map(lambda d, m: d * m, way["weights"], mask)}

    def at(step):
        moved = jax.tree.map(lambda a, d: a + step * d, own.params, way)
        return gradient(moved, own.stats, arch, *data)[0][0]

    slope = (at(1e-6) - at(-1e-6)) / 2e-6
    along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.vdot(g, d), grads, way)))
    np.testing.assert_allclose(along, slope, rtol=1e-5, atol=1e-7)


def slope_of(space, gradient, weights, step=1e-5):
    """The gradient of weights times its central difference along them, by layers."""
    now, before, after = (
        gradient(jax.tree.map(lambda w, scale=scale: scale * np.asarray(w), weights))
        for scale in (1, 1 - step, 1 + step)
    )
    terms = jax.tree.map(lambda g, low, high: g * (high - low) / (2 * step), now, before, after)
    return jax.jit(space.layer_sums)(terms)


@pytest.mark.slow
def test_the_curvature_is_the_slope_of_the_gradient(gradient, variables, data):
    images, labels = jnp.asarray(data[0])[None], jnp.asarray(data[1])[None]
    curvature = CurvaturePass(norm="running")
    form = jax.jit(lambda own, arch: curvature.measure(SPACE, own, arch, images, labels)["curvature"])
    for own, arch in zip(variables, ARCHS, strict=True):

        def at(weights, own=own, arch=arch):
            return gradient(own.params | {"weights": weights}, own.stats, arch, *data)[1][0]["weights"]

        expected = slope_of(SPACE, at, own.params["weights"])
        np.testing.assert_allclose(form(own, arch), expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "cells"), [("naslib", 3), ("swap", 1)])
def test_the_curvature_with_statistics_of_the_batch(variant, cells):
    space = Darts(variant=variant, cells=cells, channels=4, num_classes=3, image_size=8)
    rng = np.random.default_rng(5)
    images, labels = rng.normal(size=(1, 4, 8, 8, 3)), rng.integers(0, 3, (1, 4))
    shapes = jax.eval_shape(lambda: space.init(jax.random.key(0), ARCHS[0]))
    own = jax.tree.map(lambda leaf: rng.normal(0.1, 0.5, leaf.shape), shapes)  # the batch's statistics need none

    def loss(weights, arch):
        params = own.params | {"weights": weights}
        return space.loss(space.apply(own._replace(params=params), arch, images[0]), labels[0])

    gradient = jax.jit(jax.grad(loss))
    form = jax.jit(lambda arch: CurvaturePass().measure(space, own, arch, images, labels)["curvature"])
    for arch in ARCHS:
        expected = slope_of(space, functools.partial(gradient, arch=arch), own.params["weights"])
        np.testing.assert_allclose(form(arch), expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@pytest.mark.slow
def test_readers_see_the_gradient_of_every_sample(gradient, variables, data):
    own, arch, (images, labels) = variables[0], ARCHS[0], data
    _, (_, moments) = gradient(own.params, own.stats, arch, images, labels)
    # With given statistics a batch of copies has the gradient of one of them.
    single = [
        gradient(own.params, own.stats, arch, np.repeat(images[i : i + 1], 3, 0), np.repeat(labels[i : i + 1], 3))[1][0]
        for i in range(3)
    ]
    weights = [jax.tree.leaves(g["weights"]) for g in single]
    stacked = jax.tree.unflatten(jax.tree.structure(own.params["weights"]), map(np.stack, zip(*weights, strict=True)))
    for field, expected in (
        ("mean", lambda g: g.mean(0)),
        ("m2_abs", lambda g: np.square(np.abs(g) - np.abs(g).mean(0)).sum(0)),
    ):
        found = jax.tree.map(
            lambda m, field=field: getattr(m, field), moments, is_leaf=lambda m: isinstance(m, nn.Moments)
        )
        sums = SPACE.layer_sums(jax.tree.map(expected, stacked))
        np.testing.assert_allclose(SPACE.layer_sums(found), sums, rtol=1e-8, atol=1e-12)


# Layers and sites.


def test_layer_table_by_hand():
    table = SEVEN.layers(ARCHS[0])
    names = [name for name, active in zip(table.names, table.active, strict=True) if active]
    convs = ["0.op.1", "0.op.2", "0.op.5", "0.op.6", "2.op.1", "2.op.2", "4.op.1", "4.op.2", "4.op.5", "4.op.6"]
    convs += ["6.op.1", "6.op.2", "7.op.1", "7.op.2", "7.op.5", "7.op.6"]
    first = [f"cells.0.{p}" for p in ("preprocess0.op.1", "preprocess1.op.1", *(f"_ops.{n}" for n in convs))]
    assert names[: 1 + len(first)] == ["stem.0", *first]
    # A skip that halves the image is two layers, and one that leaves it (edge 5 reads node 3) none.
    reduced = [n.removeprefix("cells.2._ops.") for n in names if n.startswith("cells.2._ops.")]
    assert reduced[:6] == ["0.conv_1", "0.conv_2", "1.op.1", "1.op.2", "1.op.5", "1.op.6"]
    assert not any(n.startswith("5.") for n in reduced)
    assert [n for n in names if n.startswith("cells.3.pre")] == [
        f"cells.3.preprocess{p}" for p in ("0.conv_1", "0.conv_2", "1.op.1")
    ]
    assert names[-1] == "classifier" and table.depth == len(names)
    np.testing.assert_array_equal(np.asarray(table.order)[np.asarray(table.active)], np.arange(1, len(names) + 1))


def test_site_calls_count_the_rectifiers():
    for arch in ARCHS:
        table, calls = SEVEN.layers(arch), SEVEN.site_calls(arch)
        # One before every layer that is no pointwise convolution of a pair, second half of a cut, stem or head.
        bare = (".op.6", "conv_2", "stem.0", "classifier")
        rectified = [n for n, a in zip(table.names, table.active, strict=True) if a and not n.endswith(bare)]
        rectified = [n for n in rectified if not ("_ops" in n and n.endswith("op.2"))]
        assert sum(int(np.sum(c)) for c in calls.values()) == len(rectified)
    calls = SEVEN.site_calls(ARCHS[1])
    # Normal cell: node 0 is read by a dilated convolution, node 1 too, node 2 by a separable one.
    np.testing.assert_array_equal(calls["stage1/node"].sum(-1), [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(calls["stage1/inner"].sum(-1), [0, 0, 0, 1, 0, 0, 0, 0])
    # Reduction cell: the skip from node 1 has a rectifier too.
    np.testing.assert_array_equal(calls["reduction0/input"].sum(-1), [1, 1])
    np.testing.assert_array_equal(calls["reduction0/node"].sum(-1), [1, 0, 1])
    # The stem is read by both entries of the first cell and one of the second; the last cell by nothing.
    assert calls["stem"].sum() == 3 and calls["stage2/output"].sum(-1).tolist() == [1, 0]
    # Stem, two entries and two convolutions lie before the second half of the first separable convolution.
    depth = int(SEVEN.layers(ARCHS[1]).depth)
    np.testing.assert_array_equal(np.flatnonzero(calls["stage0/inner"][3]), [10 * 5 // depth])


@pytest.mark.slow
def test_taps_see_every_site(gradient, variables, data):
    for arch, own in zip(ARCHS, variables, strict=True):
        calls = SPACE.site_calls(arch)
        taps = gradient(own.params, own.stats, arch, *data)[0][1].taps
        assert set(taps) == set(calls)
        for name, (positive, given) in taps.items():
            np.testing.assert_array_equal(given, calls[name], err_msg=name)
            assert positive.shape == calls[name].shape[:-1]
        # Between the halves of a separable convolution, and nothing on the other edges.
        assert (taps["stage0/inner"][0] > 0).tolist() == [op.startswith("sep") for op, _ in NORMAL_OF[arch.tobytes()]]
        assert taps["stem"][0] == (np.asarray(stem(own, data[0])) > 0).sum()


def stem(own, images):
    """Output of the stem under given statistics."""
    x = nn.conv(images, own.params["weights"]["stem"])
    mean, var = (own.stats[field]["stem"] for field in ("mean", "var"))
    return nn.batch_norm(x, *(own.params[f]["stem"] for f in ("scale", "shift")), stats=(mean, var), mode="running")[0]


# Initialisation.


@pytest.mark.slow
@pytest.mark.parametrize("law", ["torch", "kaiming_fan_out"])
def test_initialisation_has_the_fans_of_the_layers(law):
    space, arch = Darts(channels=12, cells=5), ARCHS[0]  # normal and reduction in turn
    own = jax.jit(lambda key: space.init(key, arch, law=law))(jax.random.key(3))
    weights = own.params["weights"]
    cases = {
        "first entry": (weights["stage0"]["pre0"][0, ..., :36, :], 36, 12),
        "other entry": (weights["stage1"]["pre1"][0], 96, 24),
        "even pixels": (weights["stage1"]["pre0"][0, ..., :48, :12], 48, 12),
        "odd pixels": (weights["stage1"]["pre0"][0, ..., 48:, 12:], 48, 12),
        "3x3": (weights["stage0"]["depthwise"][:, 0, :, 1:4, 1:4], 9, 9 * 12),
        "5x5": (weights["stage0"]["depthwise"][:, 4], 25, 25 * 12),
        "pointwise": (weights["stage0"]["pointwise"][:, 4], 12, 12),
        "skip": (weights["reduction0"]["skip"][0], 24, 12),
    }
    for name, (values, fan_in, fan_out) in cases.items():
        values = np.asarray(values).ravel()
        deviation = {"torch": (3 * fan_in) ** -0.5, "kaiming_fan_out": (2 / fan_out) ** 0.5}[law]
        assert abs(values.std() / deviation - 1) < 5 / np.sqrt(2 * values.size), name
        assert law != "torch" or 0.9 * fan_in**-0.5 < np.abs(values).max() <= fan_in**-0.5
    mask = jax.jit(space.weight_mask)(arch)
    beyond = jax.tree.map(lambda w, m: np.abs(np.where(m, 0, w)).max(), weights, mask)
    assert max(jax.tree.leaves(beyond)) == 0
    held = jax.tree.map(lambda m, w: np.broadcast_to(m, w.shape).astype(float), mask, weights)
    sums = jax.jit(space.layer_sums)(held)
    assert int(sums.sum()) == sum(int(np.count_nonzero(w)) for w in jax.tree.leaves(weights))
    assert all((leaf == 1).all() for leaf in jax.tree.leaves((own.params["scale"], own.stats["var"])))


# The object.


def test_the_object_offers_encodings_and_moves():
    key = jax.random.key(0)
    assert SPACE.decode(SPACE.encode(ARCHS)).tolist() == ARCHS.tolist() == SPACE.decode(ARCHS).tolist()
    assert SPACE.decode(MIXED).tolist() == ARCHS[:1].tolist()
    with pytest.raises(InputError, match="no architecture"):
        SPACE.decode([])
    assert SPACE.signature(ARCHS) == ["darts"] * 2 and SPACE.bind("darts") is SPACE
    assert jax.eval_shape(lambda key: SPACE.sample(key, 3), key).shape == (3, 32)
    assert SPACE.neighbours(ARCHS[0]).shape[1] == 32
    assert jax.eval_shape(SPACE.mutate, key, ARCHS[0]).shape == (32,)
    assert jax.eval_shape(SPACE.crossover, key, *ARCHS).shape == (32,)
    assert SPACE.canonical(ARCHS[0]) != SPACE.canonical(ARCHS[1]) and SPACE.is_valid(ARCHS[1]) == (True, "")
    assert SPACE.to_graph(ARCHS[0]).nodes[0] == "c_{k-2}"
