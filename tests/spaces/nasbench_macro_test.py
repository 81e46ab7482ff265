"""Tests of nasjax.spaces.nasbench_macro and its network, on a tiny configuration in float64."""

import csv
import functools
import gzip

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import interop
from nasjax.spaces import nasbench_macro_network as network
from nasjax.spaces.nasbench_macro import NasBenchMacro
from nasjax.types import InputError, Output

SPACE = NasBenchMacro(channels=2, head_channels=5, num_classes=4, image_size=9)
MIXED = np.array([0, 1, 2, 0, 1, 1, 2, 0], np.int32)
OTHER = np.array([1, 0, 0, 2, 2, 0, 0, 1], np.int32)
LAYERS = ((2, 4, 2), (4, 4, 1), (4, 8, 2), (8, 8, 1), (8, 8, 1), (8, 16, 2), (16, 16, 1), (16, 16, 1))
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
    return rng.standard_normal((4, 9, 9, 3)), np.array([0, 1, 2, 3])


@pytest.fixture(scope="module")
def logits(double):
    """Logits by norm mode, one program each."""
    return jax.jit(
        lambda variables, arch, images, norm: SPACE.apply(variables, arch, images, norm=norm).logits,
        static_argnames="norm",
    )


def depthwise(x, w, stride, plain):
    """Channel by channel."""
    parts = [plain.conv(x[..., c : c + 1], w[..., c : c + 1], stride) for c in range(x.shape[-1])]
    return np.concatenate(parts, -1)


def plain_logits(variables, arch, images, mode, plain):
    """The network by an independent, plain loop."""
    params, stats = jax.tree.map(np.asarray, tuple(variables))

    def pick(tree, path):
        return functools.reduce(lambda t, k: t[k], path, tree)

    def norm(x, *path):
        own = (pick(stats["mean"], path), pick(stats["var"], path))
        return plain.norm(x, pick(params["scale"], path), pick(params["shift"], path), own, mode)

    weights = params["weights"]
    x = np.maximum(norm(plain.conv(images, weights["stem"]), "stem"), 0)
    for i, (ins, outs, stride) in enumerate(LAYERS):
        name, own = f"layer{i}", weights[f"layer{i}"]
        if arch[i] == 0:
            if stride == 2:
                x = norm(plain.conv(x, own["identity"]["down"], 2), name, "identity", "down")
            continue
        block = ("mb3", "mb6")[arch[i] - 1]
        h = np.maximum(norm(plain.conv(x, own[block]["expand"]), name, block, "expand"), 0)
        h = np.maximum(norm(depthwise(h, own[block]["depthwise"], stride, plain), name, block, "depthwise"), 0)
        h = norm(plain.conv(h, own[block]["project"]), name, block, "project")
        x = h + x if ins == outs else h
    x = np.maximum(norm(plain.conv(x, weights["out"]), "out"), 0)
    return x.mean((1, 2)) @ weights["head"] + params["bias"]["head"]


@pytest.mark.parametrize(
    "norm", ["batch", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("running", "none"))]
)
def test_logits_equal_a_plain_loop(norm, logits, variables, data, plain):
    for arch in (MIXED, OTHER):
        expected = plain_logits(variables, arch, data[0], norm, plain)
        np.testing.assert_allclose(logits(variables, arch, data[0], norm), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("number", [1, 2])  # strides 1 and 2
def test_gradients_of_a_layer_equal_those_of_the_chosen_operation(number, variables):
    ins, _, stride = LAYERS[number]
    config = network.LayerConfig("batch", "highest", stride)
    trees = (
        *(variables.params[n] for n in ("weights", "scale", "shift")),
        variables.stats["mean"],
        variables.stats["var"],
    )
    own = network.Arrays(*(tree[f"layer{number}"] for tree in trees))
    x = jnp.asarray(np.random.default_rng(3).standard_normal((3, 5, 5, ins)))

    def loss(run):
        return lambda x, own: sum(jnp.sin(y).sum() for y in run(x, own)[:3])

    chosen = jax.jit(
        lambda op, x, own: jax.grad(loss(lambda x, own: network.layer(config, op, x, own, None)), (0, 1))(x, own),
    )
    for op, name in enumerate(("identity", "mb3", "mb6")):
        expected = jax.jit(
            jax.grad(loss(lambda x, own, name=name: network.operation(config, name, x, own, None)), (0, 1)),
        )(x, own)
        found = chosen(jnp.int32(op), x, own)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        # Operations that were not chosen have no gradient.
        moved = {k: any(np.any(g) for g in jax.tree.leaves(v)) for k, v in found[1].weights.items()}
        assert moved == {k: k == name for k in moved}


def test_running_statistics_follow_the_batch(variables, data):
    run = jax.jit(lambda v, x: SPACE.apply(v, MIXED, x).stats)
    stats = run(variables, data[0])
    assert jax.tree.structure(stats) == jax.tree.structure(variables.stats)
    moved = jax.tree.map(
        lambda a, b: bool(np.any(np.asarray(a) != np.asarray(b))), stats["mean"], variables.stats["mean"]
    )
    mask = {k: v for k, v in SPACE.weight_mask(MIXED).items() if k != "head"}
    assert moved == jax.tree.map(lambda m: bool(m.all()), mask)


def test_loss_by_hand():
    output = Output(jnp.log(jnp.array([[1.0, 1, 1, 1], [3, 1, 1, 1]])), None, {})
    assert SPACE.loss(output, jnp.array([1, 0])) == pytest.approx(1.5 * np.log(2))


# Layers and sites.


def test_layer_table_by_hand():
    table = SPACE.layers(MIXED)
    active = [1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1]
    np.testing.assert_array_equal(table.active, active)
    assert table.depth == 19 and len(set(table.names)) == len(table.names) == 30
    np.testing.assert_array_equal(np.asarray(table.order)[[0, 1, 5, 6, 7, 9, 29]], [1, 2, 3, 4, 5, 6, 19])
    np.testing.assert_array_equal(np.asarray(table.bins)[[0, 1, 2, 5, 29]], [0, 1, -1, 1, 9])
    assert table.names[:3] == ("stem.0", "features.0.downsample.0", "features.0.conv.0")
    assert table.names[-3:] == ("features.7.conv.6", "out.0", "classifier")


def test_site_calls_by_hand():
    calls = SPACE.site_calls(MIXED)
    total = {name: int(c.sum()) for name, c in calls.items()}
    # Stem, last convolution, and two a block.
    assert sum(v for name, v in total.items() if not name.endswith("/rest")) == 2 + 2 * 5
    for i, op in enumerate(MIXED):
        for part in ("expand", "depthwise"):
            assert (total[f"layer{i}/{part}"], total[f"layer{i}/{part}/rest"]) == (op > 0, op == 2)
    assert calls["layer1/expand"].argmax() == 1 and calls["out"].argmax() == 9  # behind layers 3 and 18 of 19


def test_layer_sums_follow_the_table():
    shapes = jax.eval_shape(lambda: SPACE.init(jax.random.key(0), MIXED)).params["weights"]
    used = jax.tree.map(lambda m, s: np.broadcast_to(m, s.shape), SPACE.weight_mask(MIXED), shapes)
    sums = np.asarray(SPACE.layer_sums(used))
    np.testing.assert_array_equal(sums > 0, SPACE.layers(MIXED).active)
    np.testing.assert_array_equal(sums[[0, 1, 5, 6, 7, 9]], [54, 8, 48, 108, 48, 4 * 24])


def test_taps_are_named_as_the_sites(variables, data):
    tap = lambda site, value: (value[0, 0, 0], site.calls)  # noqa: E731
    taps = jax.eval_shape(lambda: SPACE.apply(variables, MIXED, data[0], tap=tap)).taps
    assert set(taps) == set(SPACE.site_calls(MIXED))
    assert [taps[f"layer0/{n}"][0].shape for n in ("expand", "expand/rest", "depthwise")] == [(6,)] * 3


# Encodings, moves and costs.


def test_codes_both_ways():
    assert SPACE.encode(MIXED) == ["01201120"]
    for form in ("01201120", 1201120, ["01201120"], [1201120], MIXED, MIXED[None]):
        np.testing.assert_array_equal(SPACE.decode(form), MIXED[None])
    everything = SPACE.all()
    assert everything.shape == (6561, 8) and SPACE.encode(everything[:2]) == ["00000000", "00000001"]
    np.testing.assert_array_equal(SPACE.decode(SPACE.encode(everything[::97])), everything[::97])


@pytest.mark.parametrize("bad", ["0120112", "01201123", "identity", [], -3, np.arange(8), np.zeros(7, int), 1.5])
def test_bad_codes(bad):
    with pytest.raises(InputError, match="nasbench_macro: no|NAS-Bench-Macro .*allowed"):
        SPACE.decode([bad] if isinstance(bad, float) else bad)


def test_moves():
    key = jax.random.key(0)
    population = np.asarray(SPACE.sample(key, 500))
    assert population.shape == (500, 8) and np.bincount(population.ravel(), minlength=3).min() > 1200
    for k in jax.random.split(key, 20):
        assert (np.asarray(SPACE.mutate(k, MIXED)) != MIXED).sum() == 1
    child = np.asarray(SPACE.crossover(key, MIXED, OTHER))
    assert ((child == MIXED) | (child == OTHER)).all()
    near = SPACE.neighbours(MIXED)
    assert len(set(SPACE.encode(near))) == 16 and ((near != MIXED).sum(1) == 1).all()
    assert SPACE.is_valid(MIXED) == (True, "")
    assert SPACE.to_graph(MIXED).nodes == (
        "input", "identity", "MB3_K3", "MB6_K5", "identity", "MB3_K3", "MB3_K3", "MB6_K5", "identity", "output",
    )  # fmt: skip


def test_identities_within_a_stage_are_nothing():
    assert SPACE.canonical(MIXED) == "01210120"
    assert SPACE.canonical(SPACE.decode("01210120")[0]) == "01210120" != SPACE.canonical(OTHER)


def test_costs_by_hand():
    archs = np.stack([np.zeros(8, int), np.eye(8, dtype=int)[1] * 2])
    stem, down = 9 * 3 * 2, [2 * 4, 4 * 8, 8 * 16]
    params = stem + 4 + sum(down) + 2 * (4 + 8 + 16) + 16 * 5 + 10 + 5 * 4 + 4
    macs = stem * 81 + down[0] * 25 + down[1] * 9 + down[2] * 4 + 80 * 4 + 20
    block = 2 * 4 * 24 + 25 * 24
    np.testing.assert_array_equal(SPACE.num_params(archs), [params, params + block + 2 * (24 + 24 + 4)])
    np.testing.assert_array_equal(SPACE.flops(archs), [macs, macs + block * 25])
    strided = SPACE.flops(np.eye(8, dtype=int)[0])
    assert strided == macs - down[0] * 25 + 2 * 6 * 81 + (9 * 6 + 6 * 4) * 25
    shapes = jax.eval_shape(lambda: SPACE.init(jax.random.key(0), MIXED)).params
    mask = SPACE.weight_mask(MIXED)
    used = sum(jax.tree.leaves(jax.tree.map(lambda m, s: int(m.all()) * s.size, mask, shapes["weights"])))
    del mask["head"]
    norms = sum(jax.tree.leaves(jax.tree.map(lambda m, s: int(m.all()) * 2 * s.size, mask, shapes["scale"])))
    assert SPACE.num_params(MIXED) == used + norms + 4


def test_costs_of_the_table(shared):
    with gzip.open(shared / "data" / "nasbench_macro_cifar10.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    space = NasBenchMacro()
    archs = space.decode([row["arch"] for row in rows])
    np.testing.assert_array_equal(space.num_params(archs), [int(row["params"]) for row in rows])
    np.testing.assert_array_equal(space.flops(archs), [int(row["flops"]) for row in rows])


def test_official_tensors_find_their_places(variables):
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: SPACE.init(jax.random.key(0), MIXED))
    state = {}
    for name, (tree, path, _) in SPACE.torch_places(MIXED).items():
        leaf = functools.reduce(lambda t, k: t[k], path, getattr(shapes, tree)).shape
        turned = {4: leaf[3:] + leaf[2:3] + leaf[:2], 2: leaf[::-1], 1: leaf}[len(leaf)]
        state[name] = rng.standard_normal(turned)
    found = interop.from_torch(SPACE, MIXED, state)
    np.testing.assert_array_equal(
        found.params["weights"]["layer2"]["mb6"]["depthwise"][:, :, 0, 3], state["features.2.conv.3.weight"][3, 0]
    )
    assert not np.any(found.params["weights"]["layer2"]["mb3"]["depthwise"])
    # Convolutions, four vectors a norm, and the classifier.
    assert len(state) == 18 + 4 * 18 + 2


def test_the_object():
    assert NasBenchMacro(**SPACE.options) == SPACE and set(SPACE.signature(np.stack([MIXED, OTHER]))) == {SPACE.name}
    assert SPACE.bind(SPACE.name) is SPACE
    with pytest.raises(InputError, match="'xavier'.*kaiming_fan_in"):
        SPACE.init(jax.random.key(0), MIXED, law="xavier")
    with pytest.raises(InputError, match="nasbench_macro: channels=0"):
        NasBenchMacro(channels=0)
