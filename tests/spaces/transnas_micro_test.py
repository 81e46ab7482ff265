"""Tests of nasjax.spaces.transnas_micro and its network, on a tiny configuration in float64."""

import dataclasses
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.spaces import transnas_micro_network as network
from nasjax.spaces.dag import EDGES
from nasjax.spaces.transnas_micro import TransNasMicro
from nasjax.spaces.transnas_tasks import TASKS
from nasjax.types import InputError, Variables

SPACE = TransNasMicro(channels=2, num_classes=4, image_size=32)
MIXED = np.array([1, 0, 2, 3, 1, 3], np.int32)  # a skip that halves, a skip that does not
FULL = np.array([3, 2, 3, 1, 2, 3], np.int32)
UNREAD = np.array([3, 3, 0, 1, 0, 2], np.int32)  # node 1 is fed and leads nowhere
ARCHS = (MIXED, FULL, UNREAD, np.array([1, 1, 1, 1, 1, 1], np.int32))
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def variables(double):
    own = jax.jit(SPACE.init)(jax.random.key(0), MIXED)
    rng = np.random.default_rng(0)
    shake = lambda tree: jax.tree.map(lambda a: a + rng.uniform(0.1, 0.5, a.shape), tree)  # noqa: E731
    return own._replace(params=shake(own.params), stats=shake(own.stats))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((4, 32, 32, 3)), np.array([0, 1, 2, 3])


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


def plain_logits(plain, variables, arch, images):
    params, stats = jax.tree.map(np.asarray, tuple(variables))
    w, trees = params["weights"], (params["scale"], params["shift"], stats["mean"], stats["var"])

    def norm(x, *path):
        def pick(tree):
            for part in path:
                tree = tree[part]
            return tree

        scale, shift, mean, var = (pick(tree) for tree in trees)
        return plain.norm(x, scale, shift, (mean, var), "batch")

    def cell(x, weights, strided, *path):
        nodes = [x, 0, 0, 0]
        for e, (a, b) in enumerate(EDGES):
            op, stride, own = arch[e], 2 if strided and a == 0 else 1, weights(e)
            v = np.maximum(nodes[a], 0)
            if op == 1 and stride == 1:
                y = nodes[a]
            elif op == 1:
                odd = np.pad(v, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:]
                parts = [plain.conv(v, own["reduce_a"], 2), plain.conv(odd, own["reduce_b"], 2)]
                y = norm(np.concatenate(parts, -1), *path, e)
            elif op:
                y = norm(plain.conv(v, own["pointwise" if op == 2 else "kernel"], stride), *path, e)
            else:
                y = 0
            nodes[b] = nodes[b] + y
        return nodes[3]

    x = norm(plain.conv(images, w["stem"]["first"], 2), "stem", "first")
    x = norm(plain.conv(np.maximum(x, 0), w["stem"]["second"], 2), "stem", "second")
    for s, count in enumerate((3, 3, 1)):
        stage = w[f"stage{s}"]

        def outer_or_inner(e, stage=stage):
            group, places = ("outer", (0, 1, 3)) if e in (0, 1, 3) else ("inner", (2, 4, 5))
            return {name: a[places.index(e)] for name, a in stage[group].items()}

        x = cell(x, outer_or_inner, True, f"stage{s}", "reduction")
        for c in range(count):
            own = lambda e, c=c, stage=stage: {name: a[c, e] for name, a in stage["normal"].items()}  # noqa: E731
            x = cell(x, own, False, f"stage{s}", "normal", c)
    return x.mean((1, 2)) @ w["head"]["head"] + params["bias"]["head"]["head"]


def test_logits_equal_a_plain_loop(plain, gradient, variables, data):
    for arch in (MIXED, FULL, ARCHS[-1]):
        found = gradient(*variables, arch, *data)[0][1].logits
        np.testing.assert_allclose(found, plain_logits(plain, variables, arch, data[0]), rtol=1e-8, atol=1e-8)


def test_one_trace_serves_all_and_the_gradient_is_the_slope(gradient, variables, data):
    rng = np.random.default_rng(2)
    for arch in ARCHS:
        (loss, output), grads = gradient(*variables, arch, *data)
        assert np.isfinite(loss) and output.logits.shape == (4, 4)
        assert jax.tree.structure(output.stats) == jax.tree.structure(variables.stats)
        way = jax.tree.map(lambda a: rng.standard_normal(a.shape), variables.params)

        def at(step, way=way, arch=arch):
            moved = jax.tree.map(lambda a, d: a + step * d, variables.params, way)
            return gradient(moved, variables.stats, arch, *data)[0][0]

        slope = (at(1e-6) - at(-1e-6)) / 2e-6
        along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.vdot(g, d), grads, way)))
        np.testing.assert_allclose(along, slope, rtol=1e-4, atol=1e-6)


@jax.jit
def tables(arch, grads):
    """Weights a slot uses, whether it is active and live, whether its gradient moves, and gradient outside."""
    full = jax.tree.map(lambda m, g: jnp.broadcast_to(m, g.shape), SPACE.weight_mask(arch), grads)
    sums = lambda tree: SPACE.layer_sums(jax.tree.map(lambda a: a.astype(float), tree))  # noqa: E731
    live = dataclasses.replace(SPACE, drop_dead=True).layers(arch).active
    outside = jax.tree.map(lambda g, m: (~m & (g != 0)).any(), grads, full)
    moved = sums(jax.tree.map(lambda g: g != 0, grads)) > 0
    return sums(full), SPACE.layers(arch).active, live, moved, jnp.stack(jax.tree.leaves(outside)).any()


def test_mask_sums_and_counts_are_those_of_the_gradient(gradient, variables, data):
    names = SPACE.layer_names()
    widths = np.array([norm_width(name) for name in names])
    for arch in ARCHS:
        grads = gradient(*variables, arch, *data)[1]["weights"]
        sizes, active, live, moved, outside = jax.device_get(tables(arch, grads))
        np.testing.assert_array_equal(sizes > 0, active)
        np.testing.assert_array_equal(moved, active & live)
        assert not outside
        assert SPACE.num_params(arch) == sizes.sum() + 2 * widths[active].sum() + 4


def norm_width(name):
    """Channels of the norm behind a layer of the tiny space; the halves of a reduction share one."""
    if name == "head" or name.endswith(".convs.1"):
        return 0
    if name.startswith("stem"):
        return 1 if name == "stem.0" else 2
    return 4 << (int(name[5]) // 2)


def test_layers_by_hand():
    table = SPACE.layers(MIXED)
    first = "layer0.0.edges."
    active = [name for name, here in zip(table.names, table.active, strict=True) if here]
    reduction = [f"{first}0.convs.0", f"{first}0.convs.1", f"{first}2.ops.1", f"{first}3.ops.1", f"{first}5.ops.1"]
    assert active[:7] == ["stem.0", "stem.2.ops.1", *reduction] and active[-1] == "head"
    assert active[7:10] == ["layer0.1.edges.2.ops.1", "layer0.1.edges.3.ops.1", "layer0.1.edges.5.ops.1"]
    assert table.depth == len(active) == 2 + 3 * 5 + 7 * 3 + 1
    np.testing.assert_array_equal(table.order[np.asarray(table.active)], np.arange(1, len(active) + 1))


def test_site_calls():
    for arch in ARCHS:
        calls = SPACE.site_calls(arch)
        halves = 3 * int((arch[[0, 1, 3]] == 1).sum())  # two convolutions behind one rectifier
        total = sum(int(np.sum(c)) for c in calls.values())
        assert total == SPACE.layers(arch).depth - 2 - halves
    calls = SPACE.site_calls(MIXED)
    depth = int(SPACE.layers(MIXED).depth)
    assert calls["stage0/reduction/node0"].sum() == 2 and calls["stage0/reduction/node1"].sum() == 1
    assert np.flatnonzero(calls["stem"]).tolist() == [100 // (10 * depth)]
    assert calls["stage0/node0"].shape == (3, 10) and calls["stage2/node0"].shape == (1, 10)


@pytest.mark.parametrize("task", ["class_object", "jigsaw", "normal"])
def test_taps_are_named_as_the_sites(task):
    space = TransNasMicro(channels=4, task=task, image_size=96)

    def taps(key):
        x = jnp.zeros((2, 96, 96, 3))
        return space.apply(space.init(key, FULL), FULL, x, tap=lambda site, value: (value.sum(), site.calls)).taps

    found = jax.eval_shape(taps, jax.random.key(0))
    expected = space.site_calls(FULL)
    assert {name: own[1].shape for name, own in found.items()} == {name: own.shape for name, own in expected.items()}


@pytest.mark.parametrize("task", TASKS)
def test_outputs_and_costs_of_every_task(task):
    space = TransNasMicro(channels=4, task=task, image_size=96)
    own, output = jax.eval_shape(
        lambda key, x: (v := space.init(key, FULL), space.apply(v, FULL, x)),
        jax.random.key(0),
        jnp.zeros((2, 96, 96, 3)),
    )
    dense = TASKS[task].head in ("generative", "segmentation")
    assert space.num_classes == TASKS[task].outputs
    assert output.logits.shape == ((2, 96, 96, space.num_classes) if dense else (2, space.num_classes))
    mask = jax.tree.map(lambda m, w: np.broadcast_to(m, w.shape).sum(), space.weight_mask(FULL), own.params["weights"])
    head = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(mask["head"]))
    assert head == len(jax.tree.leaves(mask["head"]))
    base = TransNasMicro(channels=4, task="class_scene", image_size=32)
    if task == "jigsaw":  # nine tiles through the encoder
        encoder = base.flops(FULL) - 32 * 63
        assert space.flops(FULL) == 9 * encoder + 9 * 32 * 1000


@pytest.mark.slow
def test_jigsaw_sees_tile_by_tile(double):
    space = TransNasMicro(channels=2, task="jigsaw", image_size=96, num_classes=5)
    x = np.random.default_rng(0).standard_normal((2, 96, 96, 3))
    variables = jax.jit(space.init)(jax.random.key(0), MIXED)
    output = jax.jit(space.apply)(variables, MIXED, x)
    single = TransNasMicro(channels=2, num_classes=16, image_size=32)
    head = {"weights": {"head": {"head": jnp.eye(16)}}, "bias": {"head": {"head": jnp.zeros(16)}}}
    params = {k: v | head.get(k, {}) for k, v in variables.params.items()}
    features, stats = [], variables.stats
    encode = jax.jit(single.apply)
    for t in range(9):
        row, column = divmod(t, 3)
        tile = encode(Variables(params, stats), MIXED, x[:, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32])
        features.append(tile.logits)
        stats = tile.stats
    expected = jnp.concatenate(features, 1) @ variables.params["weights"]["head"]["head"]
    np.testing.assert_allclose(output.logits, expected + variables.params["bias"]["head"]["head"][None], rtol=1e-9)
    chex.assert_trees_all_close(output.stats, stats, rtol=1e-9)
    zeros = jax.tree.map(nn.Moments.zeros_like, space.weights(variables.params))
    with pytest.raises(InputError, match="tile by tile"):
        jax.eval_shape(lambda: space.apply(variables, MIXED, x, moments=zeros))


def test_drop_dead():
    thin = dataclasses.replace(SPACE, drop_dead=True)
    for arch, lost in ((UNREAD, True), (FULL, False)):
        assert (thin.num_params(arch) < SPACE.num_params(arch)) == lost
        assert (thin.flops(arch) < SPACE.flops(arch)) == lost
        assert (thin.layers(arch).depth < SPACE.layers(arch).depth) == lost


def test_published_sizes():
    # The widest cell at base width 64 with 63 classes, counted by the official code.
    assert TransNasMicro().num_params(TransNasMicro().decode("64-41414-3_33_333")[0]) == 41443935
    pair = np.stack([FULL, MIXED])
    assert SPACE.num_params(pair).tolist() == [SPACE.num_params(FULL), SPACE.num_params(MIXED)]
    assert SPACE.flops(pair).tolist() == [SPACE.flops(FULL), SPACE.flops(MIXED)]


def test_counts_of_the_golden_files(shared):
    golden = json.loads((shared / "golden" / "tnb_micro.json").read_text())
    params = json.loads((shared / "golden" / "tnb_micro_params.json").read_text())
    space = TransNasMicro(channels=16, num_classes=63)
    for entry in golden["archs"]:
        (arch,) = space.decode([entry["arch"]])
        assert space.encode(arch) == [entry["arch"]]
        assert (space.num_params(arch), space.flops(arch)) == (entry["params"], entry["macs_conv_linear"])
        assert TransNasMicro(num_classes=63).num_params(arch) == entry["params_base64_63classes"]
        table, layers = space.layers(arch), entry["lswag_f64"]["layers"]
        places = [i for i in np.argsort(table.order) if table.active[i]]
        assert [(table.names[i], table.bins[i]) for i in places] == [(layer["name"], layer["bin"]) for layer in layers]
        names = {name for name in space.torch_places(arch) if "running" not in name}
        assert names == {name for name, _, _ in params[str(entry["index"])]["params"]}


def test_initialisation():
    space = TransNasMicro(channels=16, num_classes=10)
    own = jax.jit(space.init)(jax.random.key(3), MIXED).params
    kernel = np.asarray(own["weights"]["stage1"]["outer"]["kernel"])  # fan out 9 x 64
    assert kernel.std() == pytest.approx((2 / 576) ** 0.5, rel=0.02)
    head = np.asarray(own["weights"]["head"]["head"])
    assert 0.9 * 128**-0.5 < np.abs(head).max() <= 128**-0.5
    with pytest.raises(InputError, match="xavier"):
        space.init(jax.random.key(0), MIXED, law="xavier")


@pytest.mark.slow
def test_blocks_walk_the_same_network(gradient, variables, data):
    def visit(block, function, x):
        y, stats = function(x)
        return (y, stats), jnp.asarray(block.number)

    run = jax.jit(lambda v, a, x: SPACE.blocks(v, a, x, visit))
    walk = run(variables, FULL, data[0])
    output = gradient(*variables, FULL, *data)[0][1]
    chex.assert_trees_all_close(walk.stats, output.stats, rtol=1e-9)
    head = variables.params["weights"]["head"]["head"]
    logits = walk.features.mean((1, 2)) @ head + variables.params["bias"]["head"]["head"][None]
    np.testing.assert_allclose(logits, output.logits, rtol=1e-9)
    order = [walk.seen[name] for s in range(3) for name in (f"stage{s}/reduction", f"stage{s}")]
    assert np.concatenate([np.ravel(part) for part in (walk.seen["stem"], *order)]).tolist() == list(range(11))


def test_moves_and_structure():
    key = jax.random.key(0)
    assert (np.asarray(SPACE.mutate(key, MIXED)) != MIXED).sum() == 1
    child = np.asarray(SPACE.crossover(key, MIXED, FULL))
    assert ((child == MIXED) | (child == FULL)).all()
    assert SPACE.neighbours(MIXED).shape == (18, 6) and SPACE.sample(key, 5).shape == (5, 6)
    assert SPACE.is_valid(MIXED) == (True, "") and not SPACE.is_valid(np.zeros(6, np.int32))[0]
    assert SPACE.to_graph(MIXED).nodes[1] == "skip_connect" and len(SPACE.to_graph(MIXED).nodes) == 7
    assert SPACE.all().shape == (4096, 6)
    np.testing.assert_array_equal(SPACE.decode(SPACE.encode(SPACE.all()[::97])), SPACE.all()[::97])


def test_canonical_tells_reductions_apart():
    # Nobody reads node 1.
    assert SPACE.canonical([3, 2, 0, 1, 0, 2]) == SPACE.canonical([2, 2, 0, 1, 0, 2])
    # A skip from the input is no identity in a reduction cell.
    assert SPACE.canonical([1, 0, 0, 0, 3, 0]) != SPACE.canonical([0, 0, 0, 3, 0, 0])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"channels": 3}, "channels=3; allowed is an even"),
        ({"channels": 0}, "channels=0"),
        ({"task": "depth"}, "task='depth'; allowed are class_object"),
        ({"image_size": 31}, "image_size=31 is too small"),
        ({"task": "jigsaw", "image_size": 64}, "image_size=64 with task 'jigsaw'; allowed are multiples of 3"),
        ({"task": "jigsaw", "image_size": 93}, "image_size=93 is too small for the strides of task 'jigsaw'"),
        ({"task": "normal", "image_size": 48}, "image_size=48 with task 'normal'; allowed are multiples of 32"),
        ({"num_classes": 2.5}, "num_classes=2.5"),
        ({"drop_dead": "no"}, "drop_dead='no'; allowed are True and False"),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(InputError, match=match):
        TransNasMicro(**options)


def test_options_are_values():
    twin = TransNasMicro(channels=2, num_classes=4, image_size=32)
    assert twin == SPACE and hash(twin) == hash(SPACE)
    assert SPACE.options["task"] == "class_scene" and "precision" not in SPACE.options
    assert SPACE.signature([MIXED, FULL]) == ["transnas_micro"] * 2 and SPACE.bind("transnas_micro") is SPACE
    assert network.NORMAL_CELLS == (3, 3, 1)
