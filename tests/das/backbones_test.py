"""Video networks: parameter counts, the plain 2-D case, consensus, neighbours, bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nasjax.das import networks
from nasjax.das.temporal import TemporalConfig
from nasjax.types import InputError

SMALL = {"depth": 18, "width": 8, "stem": "cifar", "num_classes": 3, "stages": (1, 1)}


@functools.cache
def variables_of(network, size=8):
    """Random variables, without a compilation: shapes are traced, numbers drawn by NumPy."""
    rng = np.random.default_rng(0)
    found = networks.shapes(network, image_size=size)

    def draw(path, a):
        # Positive scales keep every channel alive behind a ReLU.
        values = rng.uniform(0.5, 1.5, a.shape) if "scale" in str(path[-1]) else rng.normal(size=a.shape) / 3
        return jnp.asarray(values, jnp.float32)

    params = jax.tree_util.tree_map_with_path(draw, found["params"])
    stats = jax.tree.map(lambda a: jnp.asarray(rng.uniform(0.5, 2, a.shape), jnp.float32), found["batch_stats"])
    return {"params": params, "batch_stats": stats}


def compiled(fn, *args):
    """Result of a function that is compiled as a whole: quicker than operation by operation."""
    return jax.jit(fn).lower(*args).compile()(*args)


def images(n=2, frames=1, size=8, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, frames, size, size, 3)), jnp.float32)


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032), ("mobilenet_v2", 3_504_872),
     ("efficientnet_b0", 5_288_548)],
)  # fmt: skip
def test_parameter_counts_are_those_of_torchvision(name, count):
    network = networks.get_backbone(name, temporal="none")
    assert networks.count_params(networks.shapes(network, image_size=32)["params"]) == count


@pytest.mark.parametrize(
    ("name", "temporal", "extra"),
    [
        ("resnet18", TemporalConfig(ratio=0.25), 14_240),
        ("resnet18", TemporalConfig(ratio=1.0), 56_000),
        ("resnet50", TemporalConfig(ratio=0.25), 28_016),
        ("resnet50", TemporalConfig(ratio=1.0), 110_144),
        ("resnet50", TemporalConfig(ratio=0.25, relative_to="output"), 110_144),
        ("resnet18", TemporalConfig(kind="tsm"), 0),
    ],
)
def test_parameters_of_the_temporal_modules(name, temporal, extra):
    plain = {"resnet18": 11_689_512, "resnet50": 25_557_032}[name]
    network = networks.get_backbone(name, temporal=temporal)
    assert networks.count_params(networks.shapes(network)["params"]) == plain + extra
    assert network.num_temporal == {"resnet18": 8, "resnet50": 16}[name]


def plain_resnet(variables, x, stages):
    """A 2-D ResNet of basic blocks on images, written with lax alone."""
    params, stats = variables["params"], variables["batch_stats"]

    def conv(p, s, x, stride):
        kernel = p["conv"]["kernel"]
        pad = kernel.shape[0] // 2
        y = lax.conv_general_dilated(x, kernel, (stride, stride), [(pad, pad)] * 2,
                                     dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest")  # fmt: skip
        return norm(p["norm"], s["norm"], y)

    def norm(p, s, y):
        factor = lax.rsqrt(s["var"] + 1e-5) * p["scale"]
        mean, factor, bias = (a[None, None, None] for a in (s["mean"], factor, p["bias"]))
        return (y - mean) * factor + bias

    x = jax.nn.relu(conv(params["first"], stats["first"], x, 1))
    for stage, blocks in enumerate(stages):
        for block in range(blocks):
            p, s = (tree[f"stage{stage + 1}_block{block}"] for tree in (params, stats))
            stride = 2 if stage and not block else 1
            y = jax.nn.relu(conv(p["conv1"], s["conv1"], x, stride))
            last = {"conv": p["last"]["conv"]["conv"], "norm": p["last"]["norm"]}
            y = conv(last, s["last"], y, 1)
            x = jax.nn.relu(y + (conv(p["shortcut"], s["shortcut"], x, stride) if "shortcut" in p else x))
    head = params["classifier"]
    return jnp.dot(x.mean((1, 2)), head["kernel"], precision="highest") + head["bias"][None]


def test_one_frame_without_a_module_is_the_plain_network_bit_for_bit():
    network = networks.resnet(temporal="none", **SMALL)
    variables, x = variables_of(network), images()
    np.testing.assert_array_equal(network.apply(variables, x), plain_resnet(variables, x[:, 0], (1, 1)))


def test_consensus_is_the_mean_of_logits():
    network = networks.resnet(temporal="none", **SMALL)
    variables, x = variables_of(network), images(frames=3)
    each = compiled(lambda v, x: network.apply(v, x, output="frames"), variables, x)
    assert each.shape == (2, 3, 3)
    alone = compiled(network.apply, variables, x.reshape(6, 1, 8, 8, 3)).reshape(2, 3, 3)
    np.testing.assert_allclose(each, alone, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(compiled(network.apply, variables, x), each.mean(1), rtol=1e-5, atol=1e-6)


def depends(network, frames=4):
    """Which frames the logits of the first frame depend on."""
    variables, x = variables_of(network), images(1, frames)
    gradient = compiled(jax.grad(lambda x, v: network.apply(v, x, output="frames")[0, 0].sum()), x, variables)
    return [bool(np.abs(gradient[0, t]).max() > 0) for t in range(frames)]


@pytest.mark.parametrize(
    ("temporal", "expected"),
    [("none", [1, 0, 0, 0]), ("tsm", [1, 1, 1, 0]), ("gsf", [1, 1, 1, 1]),
     (TemporalConfig(kind="tsm", direction="past"), [1, 0, 0, 0])],
    ids=["none", "tsm", "gsf", "past"],
)  # fmt: skip
def test_frames_see_their_neighbours(temporal, expected):
    network = networks.resnet(temporal=temporal, **SMALL)
    assert depends(network) == [bool(e) for e in expected]


@pytest.mark.parametrize("make", [networks.mobilenet_v2, networks.efficientnet_b0])
def test_inverted_blocks_have_modules(make):
    network = make(num_classes=3, width=0.1, stem="cifar", temporal="gsf")
    found = networks.shapes(network, image_size=8)["params"]
    blocks = [name for name, p in found.items() if "mixing" in p.get("last", {})]
    assert len(blocks) == network.num_temporal > 5


def test_width_stem_and_dilation():
    wide = networks.resnet(depth=10, width=4, stem="cifar", temporal="none", num_classes=2)
    deep = networks.resnet(depth=10, width=4, stem="deep", temporal="none", num_classes=2)
    dilated = networks.resnet(depth=10, width=4, stem="cifar", temporal="none", num_classes=2, strides=(1, 2, 1, 1),
                              dilations=(1, 1, 2, 4))  # fmt: skip

    def sizes(network):
        maps = jax.eval_shape(lambda x: network.init_with_output(jax.random.key(0), x, output="features")[0],
                              jax.ShapeDtypeStruct((1, 2, 32, 32, 3), jnp.float32))  # fmt: skip
        return [m.shape for m in maps]

    assert sizes(wide) == [(2, 32, 32, 4), (2, 16, 16, 8), (2, 8, 8, 16), (2, 4, 4, 32)]
    assert [s[1] for s in sizes(deep)] == [8, 4, 2, 1]
    assert [s[1] for s in sizes(dilated)] == [32, 16, 16, 16]
    kernel = networks.shapes(networks.resnet(kernel=5, temporal="none", **SMALL))["params"]["stage1_block0"]["conv1"]
    assert kernel["conv"]["kernel"].shape == (5, 5, 8, 8)


def test_training_draws_and_changes_statistics():
    network = networks.resnet(temporal="gsf", dropout=0.5, **SMALL)
    variables, x = variables_of(network), images(2, 2)

    def run(variables, x, keys):
        apply = functools.partial(network.apply, variables, x, train=True, mutable=["batch_stats"])
        return [apply(rngs={"dropout": key}) for key in keys]

    (one, stats), (two, _) = compiled(run, variables, x, jax.random.split(jax.random.key(0)))
    assert not np.array_equal(one, two)
    before, after = (tree["batch_stats"]["first"]["norm"]["mean"] for tree in (variables, stats))
    assert not np.array_equal(before, after)


def test_results_do_not_depend_on_the_batch():
    network = networks.resnet(temporal="gsm", **SMALL)
    variables, x = variables_of(network), images(3, 2)
    whole = compiled(network.apply, variables, x)
    one = jax.jit(network.apply).lower(variables, x[:1]).compile()
    parts = jnp.concatenate([one(variables, x[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(whole, parts, rtol=1e-5, atol=1e-5)


def test_every_product_has_a_stated_precision():
    network = networks.resnet(temporal="gsf", bottleneck=True, **SMALL)
    variables = networks.shapes(network)
    video = jax.ShapeDtypeStruct((1, 2, 16, 16, 3), jnp.float32)
    text = str(jax.make_jaxpr(network.apply)(variables, video))
    products = text.count("dot_general[") + text.count("conv_general_dilated[")
    assert products > 15 and text.count("precision=None") == 0


@pytest.mark.parametrize(
    "options",
    [{"depth": 19}, {"stem": "large"}, {"temporal": "lstm"}, {"precision": "low"}, {"strides": (1,)}, {"kernel": 4},
     {"width": 0}, {"num_classes": 0}, {"stages": ()}],
)  # fmt: skip
def test_bad_options(options):
    with pytest.raises(InputError, match="allowed|need"):
        networks.resnet(**({"depth": 18} | options))


def test_bad_names_and_videos():
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        networks.get_backbone("resnet-18")
    with pytest.raises(InputError, match="widht"):
        networks.get_backbone("resnet18", widht=3)
    network = networks.resnet(**SMALL)
    for shape in ((2, 8, 8, 3), (2, 0, 8, 8, 3)):
        with pytest.raises(InputError, match="images\\[:, None\\]"):
            network.init(jax.random.key(0), jnp.zeros(shape))
    with pytest.raises(InputError, match="output"):
        network.init(jax.random.key(0), images(), output="map")
