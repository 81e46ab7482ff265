"""Tests of nasjax.spaces.kronecker and its network, on tiny configurations in float64."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

from nasjax import nn
from nasjax.spaces import kronecker_stage
from nasjax.spaces.kronecker import Kronecker
from nasjax.spaces.kronecker_codec import OPS, parts
from nasjax.spaces.kronecker_graph import kron_dag
from nasjax.types import InputError, Variables

SIZES = {"channels": 2, "num_classes": 3, "image_size": 8, "max_vertices": 3}
SPACE = Kronecker(num_blocks=2, num_stages=2, min_vertices=2, **SIZES)
# One stage, a plain product: vertices on no path are deleted. Stem with a step, rectifier in the head.
PLAIN = Kronecker(
    num_blocks=2, num_stages=1, min_vertices=3, outer_loops=False, inner_loops=False, stem_stride=2, head_relu=True,
    **SIZES,
)  # fmt: skip
ALL_OPS = {"vertices": 3, "edges": [[0, 1], [0, 2], [1, 2]], "ops": ["conv3x3", "conv1x1", "maxpool3x3"]}
OTHER = {"vertices": 2, "edges": [[0, 1]], "ops": ["identity", "conv3x3"]}
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((4, 8, 8, 3)), np.array([0, 1, 2, 0])


def shaken(space, encoding):
    """Variables of an architecture, norms, merges and statistics off their initial values."""
    arch = space.decode([encoding])[0]
    own = space.init(jax.random.key(0), arch)
    rng = np.random.default_rng(0)
    shake = lambda tree: jax.tree.map(lambda a: a + rng.uniform(0.1, 0.5, a.shape), tree)  # noqa: E731
    params = {name: tree if name == "weights" else shake(tree) for name, tree in own.params.items()}
    return arch, Variables(params, shake(own.stats))


def plain_logits(space, variables, arch, images, mode, plain):
    """The network vertex by vertex, by an independent loop."""
    params, stats = jax.tree.map(np.asarray, tuple(variables))
    own = parts(np, space._form, arch)
    n, most, per = int(own.count), space.max_vertices, space.num_blocks // space.num_stages
    outer = np.eye(space.num_blocks, k=1)
    product = kron_dag(outer, own.wiring[:n, :n], space.outer_loops, space.inner_loops)
    graph = nx.from_numpy_array(product, create_using=nx.DiGraph)
    starts = [v for v in range(n) if not graph.in_degree(v)]
    ends = [v for v in range(len(graph) - n, len(graph)) if not graph.out_degree(v)]
    paths = [set(p) for a in starts for b in ends for p in ([[a]] if a == b else nx.all_simple_paths(graph, a, b))]
    live = set().union(*paths)

    def norm(x, name, *index):
        place = index or (...,)
        vectors = (params["scale"][name][place], params["shift"][name][place])
        return plain.norm(x, *vectors, (stats["mean"][name][place], stats["var"][name][place]), mode)

    def weight(name, part, a, b):
        return 1 / (1 + np.exp(-params["merge"][name][part][a, b]))

    stem = norm(plain.conv(images, params["weights"]["stem"], space.stem_stride), "stem")
    outputs = {}
    for v in sorted(live):
        (b, u), s = divmod(v, n), v // n // per
        name, slot, total, crossing = f"stage{s}", (b - s * per) * most + u, 0.0, 0.0
        for p in graph.predecessors(v):
            if p not in live:
                continue
            if p // n // per == s:
                total = total + weight(name, "same", (p // n - s * per) * most + p % n, slot) * outputs[p]
            else:
                x = outputs[p]
                pooled = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
                crossing = crossing + weight(name, "cross", p % n, u) * pooled
        if not np.isscalar(crossing):
            total = total + crossing @ params["weights"][name]["project"][u, 0, 0]
        x = np.maximum(stem if v in starts else total, 0)
        op = OPS[own.ops[0, u]]
        kernel = params["weights"][name]["vertex"][slot]
        if op.startswith("conv"):
            x = plain.conv(x, kernel if op == "conv3x3" else kernel[1:2, 1:2])
        elif op == "maxpool3x3":
            x = plain.pool(x, "max_pool_3x3", 1)
        outputs[v] = norm(x, name, slot)
    x = np.mean([outputs[v] for v in ends if v in live], 0)
    x = np.maximum(x, 0) if space.head_relu else x
    return x.mean((1, 2)) @ params["weights"]["head"] + params["bias"]["head"]


@pytest.mark.parametrize(
    ("space", "encoding", "mode"),
    [(SPACE, ALL_OPS, "batch"), (SPACE, OTHER, "running"), (PLAIN, ALL_OPS, "sample")],
    ids=["masked, batch", "masked, running", "plain product, sample"],
)
def test_logits_equal_those_of_a_plain_loop(space, encoding, mode, data, plain):
    arch, variables = shaken(space, encoding)
    if space is PLAIN:  # only the path 0 -> 2 or 1 -> 2 of the product is left
        assert len(space.to_graph(arch).nodes) < 2 + 6
    apply = jax.jit(functools.partial(space.apply, norm=mode))
    found = apply(variables, arch, data[0]).logits
    wanted = plain_logits(space, variables, arch, data[0], mode, plain)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.fixture(scope="module")
def gradients(double, data):
    """Loss, statistics and gradients by a space: one program for each."""
    traces = []

    def value(params, stats, arch, space):
        traces.append(space)
        output = space.apply(Variables(params, stats), arch, data[0])
        return space.loss(output, data[1]), output.stats

    run = jax.jit(jax.value_and_grad(value, has_aux=True), static_argnums=3)
    return run, traces


@pytest.mark.parametrize("encoding", [ALL_OPS, OTHER])
def test_both_forms_agree(encoding, gradients):
    """Loss, gradient of every parameter, and running statistics, to 1e-10."""
    run, traces = gradients
    arch, variables = shaken(SPACE, encoding)
    unrolled = dataclasses.replace(SPACE, form="unrolled")
    bound = unrolled.bind(unrolled.signature(arch)[0])
    one, other = run(*variables, arch, SPACE), run(*variables, arch, bound)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), one, other)
    assert traces.count(SPACE) == 1 and traces.count(bound) == 1  # masked: one program for all


def test_dense_sums_of_accelerators_agree_with_the_loops_of_a_cpu(gradients, monkeypatch):
    run, _ = gradients
    arch, variables = shaken(SPACE, OTHER)  # with slots that hold no vertex
    wanted = run(*variables, arch, SPACE)
    monkeypatch.setattr(kronecker_stage, "_on_cpu", lambda: False)
    found = run(*variables, arch, dataclasses.replace(SPACE, space_seed=1))  # traced anew
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, wanted)


def test_what_an_architecture_lacks_gets_no_gradient(gradients):
    arch, variables = shaken(SPACE, OTHER)
    (_, stats), grads = gradients[0](*variables, arch, SPACE)
    mask = jax.tree.map(lambda m, w: np.broadcast_to(m, w.shape), SPACE.weight_mask(arch), variables.params["weights"])
    count = 0
    for held, g, w in zip(*map(jax.tree.leaves, (mask, grads["weights"], variables.params["weights"])), strict=True):
        assert not np.asarray(g)[~held].any() and not np.asarray(w)[~held].any()
        assert (np.asarray(w)[held] != 0).all()
        count += held.sum()
    merges = sum((np.asarray(g) != 0).sum() for g in jax.tree.leaves(grads["merge"]))
    graph = SPACE.to_graph(arch)
    assert merges == sum(a > 0 and b < len(graph.nodes) - 1 for a, b in graph.edges)
    norms = sum((np.asarray(new) != old).any(-1).sum() * new.shape[-1] for new, old in zip(
        jax.tree.leaves(stats["mean"]), jax.tree.leaves(variables.stats["mean"]), strict=True
    ))
    assert norms == 2 + 2 * 2 + 2 * 4  # stem, two vertices of 2 channels, two of 4
    assert SPACE.num_params(arch) == count + merges + 2 * norms + 3


def test_costs_by_the_shapes_of_the_vertices():
    archs = SPACE.by_id(range(12))
    assert SPACE.flops(archs).tolist() == [int(SPACE.flops(arch)) for arch in archs]
    for arch in archs:
        graph, total = SPACE.to_graph(arch), 0
        for node, (height, width, ins, outs, stride) in zip(graph.nodes, SPACE.vertex_shapes(arch), strict=True):
            taps = {"input": 9 * ins * outs, "output": ins * outs, "conv3x3": 9 * outs**2, "conv1x1": outs**2}
            total += (taps.get(node, 0) + (ins * outs if stride == 2 else 0)) * height * width
        assert SPACE.flops(arch) == total


def test_layers_and_rectifiers():
    arch = SPACE.decode(ALL_OPS)[0]
    table = SPACE.layers(jnp.asarray(arch))
    active = [name for name, on in zip(table.names, table.active, strict=True) if on]
    second = [f"block1.vertex{u}{part}" for u in range(3) for part in (".project", "") if (u, part) != (2, "")]
    assert active == ["stem", "block0.vertex0", "block0.vertex1", *second, "head"]
    assert int(table.depth) == len(active) and table.names == SPACE.layer_names()
    calls = SPACE.site_calls(jnp.asarray(arch))
    assert {name: value.shape for name, value in calls.items()} == {f"stage{s}/vertex": (3, 10) for s in range(2)}
    # Nine layers; before the vertices of the first block 1, 2 and 3 of them.
    assert np.argmax(calls["stage0/vertex"], 1).tolist() == [1, 2, 3]
    assert np.argmax(calls["stage1/vertex"], 1).tolist() == [4, 6, 8]
    other = SPACE.site_calls(jnp.asarray(SPACE.decode(OTHER)[0]))
    assert np.asarray(other["stage0/vertex"]).sum(1).tolist() == [1, 1, 0]
    sums = SPACE.layer_sums(jax.tree.map(jnp.ones_like, SPACE.init(jax.random.key(0), arch).params["weights"]))
    assert sums.shape == table.active.shape


def test_shapes_are_those_of_the_activations(data):
    arch, variables = shaken(SPACE, ALL_OPS)
    output = jax.eval_shape(lambda: SPACE.apply(variables, arch, data[0], tap=lambda site, value: value, rescale=True))
    assert set(output.taps) == {"stage0/vertex", "stage1/vertex", "log_scale"}
    for place, (height, width, _, outs, _) in zip(
        SPACE.vertex_places(arch), SPACE.vertex_shapes(arch)[1:-1], strict=True
    ):
        assert output.taps[f"stage{place[0]}/vertex"].shape == (3, 4, height, width, outs)


def test_readings_of_single_samples_sum_to_the_gradient(data):
    """Without coupling by norms, the mean of the samples' gradients is the gradient."""
    arch, variables = shaken(SPACE, ALL_OPS)
    weights = variables.params["weights"]

    def loss(weights, moments):
        params = SPACE.with_weights(variables.params, weights)
        output = SPACE.apply(Variables(params, variables.stats), arch, data[0], norm="sample", moments=moments)
        return SPACE.loss(output, data[1])

    zeros = jax.tree.map(nn.Moments.zeros_like, weights)
    grads, readings = jax.jit(jax.grad(loss, (0, 1)))(weights, zeros)
    means = jax.tree.map(lambda m: m.mean, readings, is_leaf=lambda m: isinstance(m, nn.Moments))
    jax.tree.map(lambda g, m: np.testing.assert_allclose(g, m, rtol=1e-9, atol=1e-12), grads, means)
    assert float(jnp.abs(readings["stage0"]["vertex"].m2).sum()) > 0


def test_initial_laws_have_the_fans_of_the_layers():
    arch = SPACE.decode(ALL_OPS)[0]
    space = dataclasses.replace(SPACE, channels=32)
    weights = space.init(jax.random.key(0), arch).params["weights"]
    kernels = np.asarray(weights["stage0"]["vertex"])
    assert abs(kernels[0]).max() == pytest.approx((9 * 32) ** -0.5, rel=0.01)  # 3x3
    assert abs(kernels[1]).max() == pytest.approx(32**-0.5, rel=0.02)  # 1x1
    assert not kernels[1][0].any() and not kernels[2].any()
    normal = space.init(jax.random.key(0), arch, law="kaiming_fan_in").params["weights"]["stage0"]["vertex"]
    assert np.std(normal[1][1, 1]) == pytest.approx((2 / 32) ** 0.5, rel=0.1)
    assert np.std(normal[0]) == pytest.approx((2 / 288) ** 0.5, rel=0.1)
    with pytest.raises(InputError, match="init law"):
        space.init(jax.random.key(0), arch, law="zeros")


def test_signatures():
    archs = SPACE.by_id(range(3))
    assert SPACE.signature(archs) == ["kronecker"] * 3 and SPACE.bind("kronecker") is SPACE
    unrolled = dataclasses.replace(SPACE, form="unrolled")
    assert unrolled.signature(archs) == SPACE.encode(archs)
    assert unrolled.options == SPACE.options  # the form decides no score
    with pytest.raises(InputError, match="bind the space first"):
        jax.eval_shape(lambda arch: unrolled.init(jax.random.key(0), arch), archs[0])


def test_images_of_another_size():
    arch, variables = shaken(SPACE, OTHER)
    with pytest.raises(InputError, match="7x8 with 2 stages"):
        SPACE.apply(variables, arch, jnp.zeros((1, 7, 8, 3)))


def test_a_drawing():
    import matplotlib.pyplot as plt

    arch = SPACE.decode(ALL_OPS)[0]
    axes = SPACE.draw(arch)
    texts = {text.get_text() for text in axes.texts}
    assert {"input", "output", "stage 0: 8x8, 2 channels", "stage 1: 4x4, 4 channels"} <= texts
    assert {t.get_text() for t in axes.get_legend().get_texts()} == set(ALL_OPS["ops"])
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    assert len(arrows) == len(SPACE.to_graph(arch).edges)
    axes.figure.canvas.draw()
    plt.close(axes.figure)
    dead = Kronecker(num_blocks=2, num_stages=1, min_vertices=1, outer_loops=False, inner_loops=False, **SIZES)
    with pytest.raises(InputError, match="nothing to draw: no path"):
        dead.draw({"vertices": 1, "edges": [], "ops": ["identity"]})
