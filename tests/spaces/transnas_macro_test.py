"""Tests of nasjax.spaces.transnas_macro and its network, on a tiny configuration in float64."""

import dataclasses
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import transnas_macro_plan as macro_plan
from nasjax.spaces.base import bind_one
from nasjax.spaces.transnas_macro import TransNasMacro
from nasjax.spaces.transnas_tasks import TASKS
from nasjax.types import InputError, Variables

SPACE = TransNasMacro(channels=2, num_classes=4, image_size=64)
CODES = ("1234", "444111", "2232", "133134")
ARCHS = SPACE.decode(list(CODES))
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def init(double):
    return jax.jit(lambda key, arch: SPACE.init(key, arch))


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(1).standard_normal((4, 64, 64, 3)), np.array([0, 1, 2, 3])


def shaken(variables):
    """Norms and statistics off their initial values, so that a wrong place shows; weights as they are."""
    rng = np.random.default_rng(0)
    shake = lambda tree: jax.tree.map(lambda a: a + rng.uniform(0.1, 0.5, a.shape), tree)  # noqa: E731
    params = {k: v if k == "weights" else shake(v) for k, v in variables.params.items()}
    return Variables(params, shake(variables.stats))


# Block by block.


@pytest.mark.slow
def test_a_bound_space_computes_the_same(init, data):
    images, labels = data
    arch = ARCHS[1]
    variables = shaken(init(jax.random.key(4), arch))

    def run(space):
        def loss(weights):
            own = variables._replace(params=space.with_weights(variables.params, weights))
            output = space.apply(own, arch, images, tap=lambda site, value: value.sum())
            return space.loss(output, labels), output

        (_, output), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(space.weights(variables.params))
        return output.logits, output.stats, gradients, output.taps

    bound = bind_one(SPACE, arch)
    assert bound.peak == 0 and bound.options == SPACE.options
    (*found, taps), (*expected, all_taps) = run(bound), run(SPACE)
    chex.assert_trees_all_close(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sum(t.sum() for t in taps.values()), sum(t.sum() for t in all_taps.values()), rtol=1e-9)
    calls = bound.site_calls(arch)
    assert calls.keys() == taps.keys() and len(taps) < len(all_taps)


def test_the_shapes_of_blocks():
    assert macro_plan.NUM_CHANGES == 43 and macro_plan.NUM_STATES + macro_plan.NUM_CHANGES == 63
    sizes = SPACE._sizes
    assert sizes.sides() == [16, 8, 4, 2, 1] and sizes.capacity() == 16 * 256
    shapes = sizes.shapes()
    assert len(set(shapes)) == len(shapes) == 63
    assert shapes[0] == (2, 2, 16, 1) and shapes[20:23] == ((2, 4, 16, 1), (2, 2, 16, 2), (2, 4, 16, 2))
    ends = [high for _, high in sizes.segments()]
    assert set(sizes.lengths()) == set(ends) and ends == sorted(ends)


@pytest.mark.parametrize(("peak", "states", "shapes", "largest"), [(0, 16, 49, 1), (1, 18, 56, 2), (3, 20, 63, 8)])
def test_buffers_of_a_signature(peak, states, shapes, largest):
    sizes = dataclasses.replace(SPACE, peak=peak)._sizes
    assert len(sizes.kept_states()) == states and len(sizes.shapes()) == len(set(sizes.shapes())) == shapes
    assert sizes.capacity() == sizes.segments()[-1][1] == largest * 2 * 256
    own = SPACE.all()[macro_plan.peaks(SPACE.all()) == peak]
    everything = jax.device_get(jax.jit(jax.vmap(macro_plan.plan))(own))
    for numbers, table, count in (
        (everything.after, sizes.state_numbers(), states),
        (everything.first, sizes.shape_numbers(), shapes),
        (everything.shortcut, sizes.change_numbers(), shapes - states),
    ):
        present = everything.exists > 0 if count != shapes - states else numbers < macro_plan.NUM_CHANGES
        assert (table[numbers[present]] < count).all() and table[-1] == count


def test_every_architecture_follows_its_digits():
    plans = jax.device_get(jax.jit(jax.vmap(macro_plan.plan))(SPACE.all()))
    shapes = SPACE._sizes.shapes()
    states = SPACE._sizes.states()
    used = set()
    for i in range(0, 3256, 5):
        channels, side = 2, 16
        for k, digit in enumerate(np.repeat(SPACE.all()[i], 2)):
            before = (channels, side)
            if digit == 0:
                assert plans.first[i, k] == plans.second[i, k] == 63 and plans.shortcut[i, k] == 43
                assert not plans.exists[i, k]
                continue
            if k % 2 == 0:
                channels *= 2 if digit in (2, 4) else 1
                side = -(-side // 2) if digit in (3, 4) else side
            assert states[plans.before[i, k]] == before and states[plans.after[i, k]] == (channels, side)
            first, second = shapes[plans.first[i, k]], shapes[plans.second[i, k]]
            assert first == (before[0], channels, before[1], 1 if before[1] == side else 2)
            assert second == (channels, channels, side, 1)
            assert (plans.shortcut[i, k] < 43) == (k % 2 == 0 and digit > 1)
            used.add(plans.first[i, k])
    assert len(used) == 63


# The network.


def plain_logits(plain, variables, arch, images):
    params, stats = jax.tree.map(np.asarray, tuple(variables))
    w, trees = params["weights"], (params["scale"], params["shift"], stats["mean"], stats["var"])

    def norm(x, *path, **options):
        def pick(tree):
            for part in path:
                tree = tree[part]
            return tree if isinstance(path[-1], str) else tree[: x.shape[-1]]

        scale, shift, mean, var = (pick(tree) for tree in trees)
        return plain.norm(x, scale, shift, (mean, var), "batch", **options)

    x = norm(plain.conv(images, w["stem"]["first"], 2), "stem", "first")
    x = norm(plain.conv(np.maximum(x, 0), w["stem"]["second"], 2), "stem", "second")
    for k, digit in enumerate(np.repeat(arch, 2)):
        if digit == 0:
            continue
        changes = k % 2 == 0 and digit > 1
        c = x.shape[-1]
        d, stride = (2 * c if changes and digit in (2, 4) else c), (2 if changes and digit > 2 else 1)
        y = norm(plain.conv(np.maximum(x, 0), w["convs"][k, 0][:, :, :c, :d], stride), "convs", k, 0)
        y = norm(plain.conv(np.maximum(y, 0), w["convs"][k, 1][:, :, :d, :d]), "convs", k, 1)
        if changes:
            x = norm(plain.conv(x, w["shortcuts"][k][:, :, :c, :d], stride), "shortcuts", k, eps=1.0)
        x = x + y
    features = x.mean((1, 2))
    return features @ w["head"]["head"][: features.shape[1]] + params["bias"]["head"]["head"]


@pytest.mark.slow
def test_one_program_serves_all(plain, init, data):
    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(params, stats, arch, images, labels):
        def loss(params):
            output = SPACE.apply(Variables(params, stats), arch, images)
            return SPACE.loss(output, labels), output

        return jax.value_and_grad(loss, has_aux=True)(params)

    rng = np.random.default_rng(2)
    for arch in ARCHS:
        mask = SPACE.weight_mask(arch)
        variables = shaken(init(jax.random.key(0), arch))
        (loss, output), grads = run(*variables, arch, *data)
        np.testing.assert_allclose(output.logits, plain_logits(plain, variables, arch, data[0]), rtol=1e-8, atol=1e-8)
        assert jax.tree.structure(output.stats) == jax.tree.structure(variables.stats) and np.isfinite(loss)
        unused = jax.tree.map(lambda g, m: np.where(m, 0, g), grads["weights"], mask)
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(unused))
        moved = SPACE.layer_sums(jax.tree.map(lambda g: (g != 0).astype(float), grads["weights"]))
        np.testing.assert_array_equal(np.asarray(moved) > 0, SPACE.layers(arch).active)
        way = jax.tree.map(lambda a: rng.standard_normal(a.shape), variables.params)
        at = [
            run(jax.tree.map(lambda a, d, s=s: a + s * d, variables.params, way), variables.stats, arch, *data)[0][0]
            for s in (1e-8, -1e-8)
        ]
        along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.vdot(g, d), grads, way)))
        np.testing.assert_allclose(along, (at[0] - at[1]) / 2e-8, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_blocks_walk_the_same_network(plain, init, data):
    def visit(block, function, x):
        y, stats = function(x)
        return (y, stats), (jnp.asarray(block.number), jnp.asarray(block.active), jnp.abs(y).sum())

    for arch in ARCHS[:1]:
        variables = shaken(init(jax.random.key(0), arch))
        with jax.disable_jit():  # 63 branches compile for longer than the ones in use run
            walk = SPACE.blocks(variables, jnp.asarray(arch), jnp.asarray(data[0]), visit)
        logits = plain_logits(plain, variables, arch, data[0])
        state = int(macro_plan.plan(arch).after[-1])
        channels, side = SPACE._sizes.states()[state]
        features = walk.features[:, : channels * side**2].reshape(4, side, side, channels).mean((1, 2))
        own = features @ variables.params["weights"]["head"]["head"][:channels]
        np.testing.assert_allclose(own + variables.params["bias"]["head"]["head"][None], logits, rtol=1e-8, atol=1e-8)
        index, active, _ = walk.seen["blocks"]
        np.testing.assert_array_equal(active, np.repeat(arch, 2) > 0)
        np.testing.assert_array_equal(index[np.asarray(active)], 1 + np.flatnonzero(active))


def test_initialisation_by_true_fans(init):
    for arch in ARCHS[:2]:
        params, mask = init(jax.random.key(1), arch).params, SPACE.weight_mask(arch)
        weights = jax.tree.map(np.asarray, params["weights"])
        for leaf, used in zip(jax.tree.leaves(weights), jax.tree.leaves(mask), strict=True):
            np.testing.assert_array_equal(leaf != 0, np.broadcast_to(used, leaf.shape))
    # The last two blocks of 444111 have 16 channels: fan out 9 x 16.
    last = weights["convs"][8:, :]
    assert last.std() == pytest.approx((2 / 144) ** 0.5, rel=0.03)


@pytest.mark.parametrize("task", TASKS)
def test_outputs_and_taps_of_every_task(task):
    size = 192 if task == "jigsaw" else 64
    space = TransNasMacro(channels=4, task=task, image_size=size)
    arch = ARCHS[0]

    def run(key, x):
        own = space.init(key, arch)
        return space.apply(own, arch, x, tap=lambda site, value: (value.sum(), site.calls))

    output = jax.eval_shape(run, jax.random.key(0), jnp.zeros((2, size, size, 3)))
    dense = TASKS[task].head in ("generative", "segmentation")
    assert output.logits.shape == ((2, size, size, space.num_classes) if dense else (2, space.num_classes))
    calls = space.site_calls(arch)
    assert {name: own[1].shape for name, own in output.taps.items()} == {n: own.shape for n, own in calls.items()}


def test_site_calls_fill_the_activations():
    sizes = SPACE._sizes
    lengths = {f"blocks/{j}": high - low for j, (low, high) in enumerate(sizes.segments())}
    for arch in ARCHS:
        calls, own = SPACE.site_calls(arch), macro_plan.plan(arch)
        read = sum(lengths[n] * np.asarray(calls[n]).sum(-1) for n in lengths)
        states = np.stack([own.before, own.after], 1).reshape(-1)
        np.testing.assert_array_equal(read, np.where(np.repeat(own.exists, 2) > 0, sizes.lengths()[states], 0))
        assert calls["stem"].sum() == 1


def test_layers_by_hand():
    table = SPACE.layers(ARCHS[0])
    active = [name for name, here in zip(table.names, table.active, strict=True) if here]
    assert active[:4] == ["stem.0", "stem.2.ops.1", "layer0.0.conv_a.ops.1", "layer0.0.conv_b.ops.1"]
    module = ["layer1.0.conv_a.ops.1", "layer1.0.conv_b.ops.1", "layer1.0.downsample.0"]
    assert active[6:11] == [*module, "layer1.1.conv_a.ops.1", "layer1.1.conv_b.ops.1"]
    assert table.depth == len(active) == 2 + 4 + 3 * 5 + 1 and len(table.names) == 33


def test_sizes_are_those_of_the_weights():
    for arch in SPACE.all()[::301]:
        mask = SPACE.weight_mask(arch)
        shapes = SPACE.weights(jax.eval_shape(lambda a=arch: SPACE.init(jax.random.key(0), a)).params)
        counts = SPACE.layer_sums(jax.tree.map(lambda m, s: np.broadcast_to(m, s.shape).astype(float), mask, shapes))
        own = macro_plan.plan(arch)
        channels = np.array([c for c, _ in SPACE._sizes.states()])[own.after]
        norms = (channels * (2 * own.exists + (own.shortcut < 43))).sum() + 1 + 2
        assert SPACE.num_params(arch) == np.sum(counts) + 2 * norms + 4
    everything = SPACE.num_params(SPACE.all())
    assert everything.shape == (3256,) and everything[7] == SPACE.num_params(SPACE.all()[7])


def test_published_sizes():
    space = TransNasMacro(num_classes=63)
    found = [space.num_params(arch) for arch in space.decode(["64-4414-basic", "64-111234-basic", "64-133424-basic"])]
    assert found == [13432159, 3712351, 11523167]
    thin = TransNasMacro(channels=16, num_classes=63)
    assert thin.flops(thin.decode("4411")).tolist() == [9433024]


def test_counts_of_the_golden_files(shared):
    golden = json.loads((shared / "golden" / "tnb_macro.json").read_text())
    params = json.loads((shared / "golden" / "tnb_macro_params.json").read_text())
    space = TransNasMacro(channels=16, num_classes=63)
    for entry in golden["archs"]:
        (arch,) = space.decode([entry["arch"]])
        assert space.encode(arch) == [entry["arch"]]
        assert (space.num_params(arch), space.flops(arch)) == (entry["params"], entry["macs_conv_linear"])
        assert TransNasMacro(num_classes=63).num_params(arch) == entry["params_base64_63classes"]
        table, layers = space.layers(arch), entry["lswag_f64"]["layers"]
        places = [i for i in np.argsort(table.order) if table.active[i]]
        assert [(table.names[i], table.bins[i]) for i in places] == [(layer["name"], layer["bin"]) for layer in layers]
        names = {name for name in space.torch_places(arch) if "running" not in name}
        assert names == {name for name, _, _ in params[str(entry["index"])]["params"]}


# Moves.


def test_moves_stay_in_the_space():
    inside = {tuple(row) for row in SPACE.all().tolist()}
    keys = jax.random.split(jax.random.key(0), 300)
    mutate = jax.jit(jax.vmap(SPACE.mutate, (0, None)))
    crossover = jax.jit(jax.vmap(SPACE.crossover, (0, None, None)))
    for arch, other in zip(ARCHS, ARCHS[::-1], strict=True):
        near = {tuple(row) for row in SPACE.neighbours(arch).tolist()}
        assert near == {c for c in inside if sum(a != b for a, b in zip(c, arch, strict=True)) == 1}
        mutants = {tuple(row) for row in np.asarray(mutate(keys, arch)).tolist()}
        assert mutants <= near and len(mutants) > len(near) * 0.9
        children = np.asarray(crossover(keys, arch, other))
        assert {tuple(row) for row in children.tolist()} <= inside
        assert ((children == arch) | (children == other)).all()
        assert len(np.unique(children, axis=0)) > 2
    drawn = np.asarray(SPACE.sample(jax.random.key(1), 500))
    assert {tuple(row) for row in drawn.tolist()} <= inside and {4, 5, 6} == set((drawn > 0).sum(1))


def test_structure():
    arch = ARCHS[0]
    assert SPACE.is_valid(arch) == (True, "") and SPACE.canonical(arch) == "64-1234-basic"
    graph = SPACE.to_graph(arch)
    assert graph.nodes[1:3] == ("normal", "channels x2") and graph.edges == tuple((i, i + 1) for i in range(5))
    assert SPACE.signature(ARCHS) == ["peak=1", "peak=0", "peak=3", "peak=0"]
    with pytest.raises(InputError, match="take one at a time"):
        SPACE.canonical(ARCHS)


@pytest.mark.parametrize("options", [{"image_size": 32}, {"task": "normal", "image_size": 96}])
def test_bad_options(options):
    with pytest.raises(InputError, match=f"transnas_macro: image_size={options['image_size']}"):
        TransNasMacro(**options)
