"""Tests of nasjax.spaces.autoformer and its network, on a tiny configuration in float64."""

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from nasjax import interop
from nasjax.proxies import passes
from nasjax.spaces import registry
from nasjax.spaces.autoformer import AutoFormer, AutoFormerBase, AutoFormerSmall, AutoFormerTiny
from nasjax.spaces.base import bind_one
from nasjax.types import InputError, Variables

SPACE = AutoFormer(
    embed_dims=(6, 8), depths=(1, 2), heads=(1, 2), mlp_ratios=(1.5, 2.0),
    num_classes=5, image_size=6, patch_size=2, head_dim=4, max_distance=1,
)  # fmt: skip
BOUND = SPACE.bind("8")
SHALLOW, MIXED, FULL, NARROW = SPACE.decode(
    [(1, 1.5, 2, 8), (2, 2.0, 1.5, 1, 2, 8), (2, 2.0, 2.0, 2, 2, 8), (2, 1.5, 2.0, 2, 1, 6)]
)
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((4, 6, 6, 3)), np.array([0, 1, 2, 4])


@pytest.fixture(scope="module")
def init(double):
    return jax.jit(lambda key, arch, law: BOUND.init(key, arch, law=law), static_argnames="law")


@pytest.fixture(scope="module")
def full(init):
    """Variables of the largest architecture of width 8, biases and shifts filled too."""
    rng = np.random.default_rng(0)
    variables = init(jax.random.key(0), FULL, law="torch")
    return jax.tree.map(lambda a: a + 0.3 * rng.standard_normal(a.shape), variables)


@pytest.fixture(scope="module")
def own(full):
    """Variables of an architecture: those of the largest, cut."""
    return lambda arch: BOUND.inherit(full, arch)


@pytest.fixture(scope="module")
def gradient(double):
    """Loss and gradient, one program for every architecture of a width; a second trace is an error."""

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(params, arch, images, labels):
        def loss(params):
            output = BOUND.apply(Variables(params, {}), arch, images)
            return BOUND.loss(output, labels), output

        return jax.value_and_grad(loss, has_aux=True)(params)

    return run


# The network by an independent, plain loop.


def plain_norm(x, scale, shift):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * scale + shift


def plain_logits(space, params, arch, images):
    """Loops over blocks, heads and pairs of tokens; reads only what the architecture has."""
    p = jax.tree.map(np.asarray, params)
    w, b, t = p["weights"], p["bias"], p["tokens"]
    depth, side, size, head = int(arch[1]), space.image_size // space.patch_size, space.patch_size, space.head_dim
    heads, tenths = np.split(np.asarray(arch[2:]), 2)
    width, units = int(arch[0]), space.heads[-1] * head
    tokens = [np.broadcast_to(t["token"][0, 0], (len(images), width))]
    for i in range(side):
        for j in range(side):
            patch = images[:, i * size : (i + 1) * size, j * size : (j + 1) * size]
            tokens.append(np.einsum("bhwc,hwce->be", patch, w["patch"]) + b["patch"])
    x = np.stack(tokens, 1) + t["position"]
    for i in range(depth):
        y = plain_norm(x, p["scale"]["attention"][i], p["shift"]["attention"][i])
        qkv = y @ w["qkv"][i] + b["qkv"][i]
        out = []
        for h in range(heads[i]):
            q, k, v = (qkv[..., part * units + h * head :][..., :head] for part in range(3))
            attention, value = np.empty((len(x), x.shape[1], x.shape[1])), np.empty((x.shape[1], x.shape[1], head))
            for n in range(x.shape[1]):
                for m in range(x.shape[1]):
                    row = column = 0
                    if n and m:
                        far = lambda d: int(np.clip(d, -space.max_distance, space.max_distance))  # noqa: E731
                        row = far((m - 1) // side - (n - 1) // side) + space.max_distance + 1
                        column = far((m - 1) % side - (n - 1) % side) + space.max_distance + 1
                    key = k[:, m] + t["key_vertical"][i, row] + t["key_horizontal"][i, column]
                    value[n, m] = t["value_vertical"][i, row] + t["value_horizontal"][i, column]
                    attention[:, n, m] = (q[:, n] * key).sum(-1) / math.sqrt(head)
            attention = np.exp(attention)
            attention /= attention.sum(-1, keepdims=True)
            out.append(attention @ v + np.einsum("bnm,nmd->bnd", attention, value))
        out = np.concatenate(out, -1)
        x = x + out @ w["proj"][i, : out.shape[-1]] + b["proj"][i]
        hidden = width * tenths[i] // 10
        y = plain_norm(x, p["scale"]["mlp"][i], p["shift"]["mlp"][i])
        y = y @ w["fc1"][i, :, :hidden] + b["fc1"][i, :hidden]
        x = x + (y * (1 + erf(y / math.sqrt(2))) / 2) @ w["fc2"][i, :hidden] + b["fc2"][i]
    x = plain_norm(x, p["scale"]["head"], p["shift"]["head"])[:, 1:].mean(1)
    return x @ w["head"] + b["head"]


@pytest.mark.parametrize("arch", [SHALLOW, MIXED, FULL])
def test_logits_equal_a_plain_loop(arch, gradient, own, data):
    output = gradient(own(arch).params, arch, *data)[0][1]
    expected = plain_logits(SPACE, own(arch).params, arch, data[0])
    np.testing.assert_allclose(output.logits, expected, rtol=1e-10, atol=1e-11)


def test_loss_and_norm_modes(own, data):
    output = BOUND.apply(own(MIXED), MIXED, data[0], norm="running", rescale=True)
    assert output.stats == {} and output.taps["log_scale"] == 0
    logits = np.asarray(output.logits)
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(BOUND.loss(output, data[1]), -logp[np.arange(4), data[1]].mean(), rtol=1e-12)
    with pytest.raises(InputError, match="norm='layer'; allowed are batch, running, sample, none"):
        BOUND.apply(own(MIXED), MIXED, data[0], norm="layer")
    with pytest.raises(InputError, match=r"images of shape \(4, 8, 8, 3\); allowed is \[batch, 6, 6, 3\]"):
        BOUND.apply(own(MIXED), MIXED, np.zeros((4, 8, 8, 3)))


def test_one_trace_serves_a_width_and_the_gradient_is_the_slope(gradient, own, data):
    rng = np.random.default_rng(2)
    for arch in (SHALLOW, MIXED):
        params = own(arch).params
        grads = gradient(params, arch, *data)[1]
        way = jax.tree.map(lambda a: rng.standard_normal(a.shape), params)

        def at(step, way=way, arch=arch, params=params):
            return gradient(jax.tree.map(lambda a, d: a + step * d, params, way), arch, *data)[0][0]

        along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.vdot(g, d), grads, way)))
        np.testing.assert_allclose(along, (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-5, atol=1e-7)


def exact(arch):
    """The space whose slots are exactly those of one architecture of equal blocks."""
    depth, ratio, heads = int(arch[1]), float(arch[4]) / 10, int(arch[2])
    return dataclasses.replace(BOUND, depths=(depth,), heads=(heads,), mlp_ratios=(ratio,))


def test_slots_make_no_difference(gradient, own, full, data):
    """Logits and gradients of a masked network equal those of a network without room for more."""
    tight = exact(SHALLOW)
    arch = tight.decode((1, 1.5, 2, 8))[0]
    cut = tight.inherit(full, arch)

    def loss(params):
        return tight.loss(tight.apply(Variables(params, {}), arch, data[0]), data[1])

    value, grads = jax.jit(jax.value_and_grad(loss))(cut.params)
    (wide, _), wide_grads = gradient(own(SHALLOW).params, SHALLOW, *data)
    np.testing.assert_allclose(wide, value, rtol=1e-12)
    for name in ("weights", "bias", "tokens", "scale"):
        for small, large in zip(jax.tree.leaves(grads[name]), jax.tree.leaves(wide_grads[name]), strict=True):
            inside = np.zeros(large.shape, bool)
            inside[tuple(slice(n) for n in small.shape)] = True
            np.testing.assert_allclose(np.asarray(large)[inside].reshape(small.shape), small, rtol=1e-9, atol=1e-12)
            assert not np.asarray(large)[~inside].any()


def test_parameters_are_counted_exactly(init):
    for arch in (SHALLOW, FULL):
        space = exact(arch)
        tree = jax.eval_shape(lambda s=space, a=arch: s.init(jax.random.key(0), s.decode(SPACE.encode(a))[0]))
        leaves = jax.tree.leaves(tree.params)
        assert SPACE.num_params(arch) == sum(leaf.size for leaf in leaves)
        tokens = {"patch": 9, "head": 1}
        weights = tree.params["weights"]
        assert SPACE.flops(arch) == sum(tokens.get(name, 10) * leaf.size for name, leaf in weights.items())
    both = [SPACE.num_params(arch) for arch in (SHALLOW, FULL)]
    np.testing.assert_array_equal(SPACE.num_params(np.stack([SHALLOW, FULL])), both)


# Initialisation and inheritance.


def test_the_default_law(init):
    space = AutoFormer((40,), (2,), (2,), (4.0,), num_classes=50, image_size=16, patch_size=8, head_dim=20)
    arch = space.decode((2, 4.0, 4.0, 2, 2, 40))[0]
    params = space.init(jax.random.key(0), arch).params
    for name in ("qkv", "proj", "fc1", "fc2", "head"):
        assert np.std(params["weights"][name]) == pytest.approx(0.02, rel=0.05)
        assert not np.asarray(params["bias"][name]).any()
    bound = 1 / math.sqrt(8 * 8 * 3)
    patch = np.asarray(params["weights"]["patch"])
    assert 0.98 * bound < abs(patch).max() <= bound and np.std(patch) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert 0 < abs(np.asarray(params["bias"]["patch"])).max() <= bound
    assert np.std(params["tokens"]["key_vertical"]) == pytest.approx(0.02, rel=0.1)
    assert (np.asarray(params["scale"]["mlp"]) == 1).all() and not np.asarray(params["shift"]["mlp"]).any()


@pytest.mark.parametrize(
    ("law", "proj", "fc1", "fc2"),
    [("normal", 1, 1, 1), ("kaiming_fan_in", 8 / 4, 1, 16 / 12), ("kaiming_fan_out", 1, 16 / 12, 1)],
)
def test_fans_are_those_of_the_sub_network(law, proj, fc1, fc2, init):
    """One key draws the same numbers for both, so they differ by the ratio of deviations alone."""
    large = init(jax.random.key(0), FULL, law=law).params["weights"]
    small = init(jax.random.key(0), MIXED, law=law).params["weights"]
    ratios = {
        "proj": (small["proj"][0, :4], large["proj"][0, :4], proj),
        "fc1": (small["fc1"][1, :, :12], large["fc1"][1, :, :12], fc1),
        "fc2": (small["fc2"][1, :12], large["fc2"][1, :12], fc2),
    }
    for few, many, ratio in ratios.values():
        np.testing.assert_allclose(few, np.asarray(many) * math.sqrt(ratio), rtol=1e-12)
    assert not np.asarray(small["fc1"][1, :, 12:]).any() and not np.asarray(small["proj"][0, 4:]).any()


def test_unknown_law_and_traced_width_are_refused():
    with pytest.raises(InputError, match="init law 'he'"):
        SPACE.init(jax.random.key(0), FULL, law="he")
    with pytest.raises(InputError, match=r"space.bind\(signature\)"):
        jax.jit(lambda arch: SPACE.init(jax.random.key(0), arch))(FULL)
    assert SPACE.init(jax.random.key(0), NARROW).params["weights"]["head"].shape == (6, 5)


def official(space, arch, seed):
    """Made-up tensors of the official network with exactly the sizes of an architecture."""
    rng = np.random.default_rng(seed)
    width, depth, (heads, tenths) = int(arch[0]), int(arch[1]), np.split(np.asarray(arch[2:]), 2)
    shapes = {
        "pos_embed": (1, 10, width),
        "cls_token": (1, 1, width),
        "patch_embed_super.proj": (width, 3, 2, 2),
        "norm": (width,),
        "head": (5, width),
    }
    for i in range(depth):
        units, hidden = 4 * int(heads[i]), width * int(tenths[i]) // 10
        shapes |= {
            f"blocks.{i}.attn.qkv": (3 * units, width),
            f"blocks.{i}.attn.proj": (width, units),
            f"blocks.{i}.fc1": (hidden, width),
            f"blocks.{i}.fc2": (width, hidden),
            f"blocks.{i}.attn_layer_norm": (width,),
            f"blocks.{i}.ffn_layer_norm": (width,),
        }
        for part in "kv":
            shapes |= {f"blocks.{i}.attn.rel_pos_embed_{part}.embeddings_table_{axis}": (4, 4) for axis in "vh"}
    tensors = {}
    for name, shape in shapes.items():
        lone = "embed" in name.rpartition(".")[2] or name == "cls_token"
        for field, size in (("", shape),) if lone else ((".weight", shape), (".bias", shape[:1])):
            tensors[name + field] = rng.standard_normal(size)
    return tensors


def test_inheritance_slices_as_the_official_supernet(data):
    """Rows i::3 of qkv.weight are q, k or v there; qkv.bias and all others are sliced plainly."""
    supernet = dataclasses.replace(SPACE, embed_dims=(8, 10)).supernet()
    assert (supernet.embed_dims, supernet.depths, supernet.heads, supernet.mlp_ratios) == ((10,), (2,), (2,), (2.0,))
    whole = supernet.decode((2, 2.0, 2.0, 2, 2, 10))[0]
    tensors = official(supernet, whole, 3)
    inherited = BOUND.inherit(interop.from_torch(supernet, whole, tensors), MIXED)

    cut = official(SPACE, MIXED, 3)
    for name, small in cut.items():
        large = tensors[name]
        if name.endswith("qkv.weight"):
            third = len(small) // 3
            cut[name] = np.concatenate([large[i::3][:third, :8] for i in range(3)])
        elif name in ("pos_embed", "cls_token"):
            cut[name] = large[..., :8]
        else:
            cut[name] = large[tuple(slice(n) for n in small.shape)]
    expected = interop.from_torch(SPACE, MIXED, cut)
    jax.tree.map(np.testing.assert_array_equal, inherited.params["weights"], expected.params["weights"])
    jax.tree.map(np.testing.assert_array_equal, inherited.params["bias"], expected.params["bias"])
    run = jax.jit(lambda v: BOUND.apply(v, MIXED, data[0]).logits)
    np.testing.assert_array_equal(run(inherited), run(expected))


def test_a_small_supernet_is_refused(own):
    with pytest.raises(InputError, match="too small for the sub-network"):
        dataclasses.replace(BOUND, heads=(1, 3)).inherit(own(FULL), FULL)
    supernets = [s().supernet() for s in (AutoFormerTiny, AutoFormerSmall, AutoFormerBase)]
    assert [s.embed_dims for s in supernets] == [(256,), (448,), (640,)]


# Taps, statistics, graph.


def test_taps_see_every_unit_once(own, data):
    calls = SPACE.site_calls(MIXED)
    taps = jax.jit(lambda v, a: BOUND.apply(v, a, data[0], tap=lambda site, x: x).taps)(own(MIXED), MIXED)
    assert {k: v.shape for k, v in taps.items()} == {"mlp/1.5": (2, 4, 10, 12), "mlp/2.0": (2, 4, 10, 4)}
    np.testing.assert_array_equal(calls["mlp/1.5"].sum(-1), [1, 1])
    np.testing.assert_array_equal(calls["mlp/2.0"].sum(-1), [1, 0])


@pytest.fixture(scope="module")
def statistics(own, data):
    """Statistics of a pass on one architecture."""

    def run(p, arch, images, labels):
        program = jax.jit(lambda v, a: passes.run_with(BOUND, p, v, a, images, labels))
        return passes.to_host(program(own(arch), arch))

    return run


def test_patterns_and_kernel_equal_those_of_the_tight_network(statistics, own, full, data):
    p = passes.ActivationPass(kernel=True, patterns=True)
    images, labels = data[0][None], data[1][None]
    tight = exact(SHALLOW)
    arch = tight.decode((1, 1.5, 2, 8))[0]
    expected = passes.to_host(passes.run_with(tight, p, tight.inherit(full, arch), arch, images, labels))
    found = statistics(p, SHALLOW, images, labels)
    np.testing.assert_array_equal(found["kernel"], expected["kernel"])
    np.testing.assert_array_equal(found["patterns"], expected["patterns"])
    assert found["kernel"][0, 0] == 10 * 12  # every unit of the one block, whatever its sign


def test_sample_moments_equal_single_images(statistics, own, data, gradient):
    """Layer norm couples no samples, so a summand of the batch gradient is the gradient of a batch of that image."""
    p = passes.GradientPass(num_batches=1, granularity="sample")
    layers = statistics(p, MIXED, data[0][None], data[1][None])["layers"]

    alone = [gradient(own(MIXED).params, MIXED, *(np.repeat(a[i : i + 1], 4, 0) for a in data)) for i in range(4)]
    single = jax.tree.map(lambda *g: np.abs(np.stack(g)), *(grads["weights"] for _, grads in alone))
    deviations = jax.tree.map(lambda g: g.std(0), single)
    expected = BOUND.layer_sums(jax.tree.map(lambda s: np.where(s > 0, 1 / np.where(s > 0, s, 1), 0), deviations))
    np.testing.assert_allclose(layers["inv_std_abs"], expected, rtol=1e-9)


def test_second_derivatives_exist(own, data):
    """The gradient of the squared gradient norm, along a direction."""

    def norm(weights):
        def loss(weights):
            params = {**own(SHALLOW).params, "weights": weights}
            return BOUND.loss(BOUND.apply(Variables(params, {}), SHALLOW, data[0]), data[1])

        return sum(jnp.square(g).sum() for g in jax.tree.leaves(jax.grad(loss)(weights)))

    weights = own(SHALLOW).params["weights"]
    run = jax.jit(jax.value_and_grad(norm))
    grads = run(weights)[1]
    moved = lambda h: run(jax.tree.map(lambda w, g: w + h * g, weights, grads))[0]  # noqa: E731
    slope = sum(jnp.square(g).sum() for g in jax.tree.leaves(grads))
    np.testing.assert_allclose((moved(1e-6) - moved(-1e-6)) / 2e-6, slope, rtol=1e-4)


def test_every_product_has_the_precision(own, data):
    space = dataclasses.replace(BOUND, precision="high")

    def loss(params):
        return space.loss(space.apply(Variables(params, {}), MIXED, data[0]), data[1])

    text = str(jax.make_jaxpr(jax.grad(loss))(own(MIXED).params))
    assert text.count("dot_general") > 20
    assert text.count("Precision.HIGH,") + text.count("HIGH)") >= text.count("dot_general")


def test_registered_names():
    for space in (AutoFormerTiny, AutoFormerSmall, AutoFormerBase):
        made = registry.get_space(space().name, image_size=32, patch_size=8, num_classes=10)
        assert made == space(image_size=32, patch_size=8, num_classes=10)
        assert registry.get_space(made.name, **made.options) == made


def test_names_widths_and_graph():
    assert [s().name for s in (AutoFormerTiny, AutoFormerSmall, AutoFormerBase)] == [
        "autoformer_tiny", "autoformer_small", "autoformer_base",
    ]  # fmt: skip
    assert SPACE.signature(np.stack([FULL, NARROW])) == ["8", "6"] and bind_one(SPACE, NARROW).embed_dims == (6,)
    assert SPACE.is_valid(MIXED) == (True, "") and SPACE.canonical(MIXED) == SPACE.encode(MIXED)[0]
    graph = SPACE.to_graph(MIXED)
    assert graph.nodes[:5] == ("input", "patch_embedding(8)", "attention(1)", "add", "mlp(2.0)")
    assert len(graph.nodes) == 2 + 4 * 2 + 2 and all(a < b for a, b in graph.edges)
    sources = [sum(b == node for _, b in graph.edges) for node in range(len(graph.nodes))]
    assert [n for n, s in zip(graph.nodes, sources, strict=True) if s == 2] == ["add"] * 4
    assert len(SPACE.neighbours(MIXED)) == 1 + 4 + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 7}, "image_size=7 with patch_size=2; allowed is a multiple"),
        ({"heads": (2, 1)}, "heads=\\(2, 1\\); allowed are positive integers, increasing"),
        ({"depths": ()}, "depths=\\(\\)"),
        ({"mlp_ratios": (1.23,)}, "allowed are positive multiples of 0.1"),
        ({"num_classes": 0}, "num_classes=0; allowed is a positive integer"),
        ({"embed_dims": (True,)}, "embed_dims"),
    ],
)
def test_bad_configurations_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SPACE, **change)


def test_configurations_are_values():
    same = dataclasses.replace(SPACE, heads=[1, 2], mlp_ratios=(1.5, 2))
    assert same == SPACE and hash(same) == hash(SPACE)
    assert SPACE.options["mlp_ratios"] == [1.5, 2.0] and "precision" not in SPACE.options


def test_a_population_of_two_widths_is_scored():
    import nasjax
    from nasjax.data import Batches

    rng = np.random.default_rng(3)
    batches = Batches.from_arrays(
        rng.normal(size=(8, 6, 6, 3)), np.arange(8) % 5, batch_size=4, num_batches=2, dtype="float64", num_classes=5
    )
    archs = np.stack([NARROW, MIXED, SHALLOW])
    names = ("params", "nwot")
    result = nasjax.score(SPACE, archs, batches, names, key=jax.random.key(0), engine="jit", chunk=2)
    for name in names:
        assert result.valid[name].all() and len(set(result.scores[name])) == 3
    alone = nasjax.score(SPACE, archs[1:2], batches, names, key=jax.random.key(0), engine="jit", chunk=2)
    for name in names:
        np.testing.assert_allclose(alone.scores[name], result.scores[name][1:2], rtol=1e-9)


def test_blocks_are_the_halves_of_the_network(own, data):
    """Walked block by block, the features give the same logits; slots beyond the depth are not active."""
    variables = own(SHALLOW)

    def visit(block, function, x):
        return function(x), (jnp.asarray(block.number), jnp.asarray(block.active), jnp.square(function(x)[0]).sum())

    walk = jax.jit(lambda v, a: BOUND.blocks(v, a, data[0], visit))(variables, SHALLOW)
    order = [walk.seen[name] for name in ("stem", "mlp", "attention", "last", "head")]
    index, active, size = (np.concatenate([np.ravel(part[i]) for part in order]) for i in range(3))
    np.testing.assert_array_equal(index, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(active, [True, True, False, False, True])
    assert size[1] == size[2] == size[3] != size[0]
    logits = walk.features.mean(1) @ variables.params["weights"]["head"] + variables.params["bias"]["head"][None]
    np.testing.assert_allclose(logits, plain_logits(SPACE, variables.params, SHALLOW, data[0]), rtol=1e-9)


def test_masks_mark_what_is_not_zero(own):
    mask, weights = BOUND.weight_mask(MIXED), own(MIXED).params["weights"]
    for name, held in mask.items():
        np.testing.assert_array_equal(np.broadcast_to(held, weights[name].shape), np.asarray(weights[name]) != 0)
    assert jax.tree.structure(BOUND.named_weights(own(MIXED).params)[0]) == jax.tree.structure(weights)
