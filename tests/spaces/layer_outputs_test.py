"""What spaces show of their layers is what the layers put out, one by one, as the network runs."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.proxies.t_cet import AgreementPass
from nasjax.spaces.darts import Darts
from nasjax.spaces.kronecker import Kronecker
from nasjax.spaces.nasbench101 import NasBench101
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.spaces.nasbench_macro import NasBenchMacro
from nasjax.spaces.transnas_macro import TransNasMacro
from nasjax.spaces.transnas_micro import TransNasMicro
from nasjax.types import InputError

CONV, PLAIN, POOL = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
GENOTYPE = {
    "normal": [
        ("sep_conv_3x3", 1), ("max_pool_3x3", 0), ("dil_conv_5x5", 2), ("skip_connect", 0),
        ("none", 3), ("avg_pool_3x3", 1), ("dil_conv_3x3", 4), ("sep_conv_5x5", 2),
    ],
    "reduce": [
        ("skip_connect", 0), ("sep_conv_5x5", 1), ("max_pool_3x3", 1), ("dil_conv_3x3", 2),
        ("sep_conv_3x3", 0), ("skip_connect", 3), ("avg_pool_3x3", 0), ("dil_conv_5x5", 1),
    ],
}  # fmt: skip
CELL = ([[0, 1, 1, 0, 1], [0, 0, 1, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0] * 5], [CONV, PLAIN, POOL])
CASES = {
    "nasbench201": (
        NasBench201(channels=2, cells=1, num_classes=3, image_size=8),
        "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    ),
    "nasbench101": (NasBench101(channels=5, stacks=2, cells=2, num_classes=3, image_size=8), CELL),
    "nasbench_macro": (NasBenchMacro(channels=2, head_channels=5, num_classes=3, image_size=9), "01201120"),
    "darts": (Darts(channels=2, cells=4, num_classes=3, image_size=8), GENOTYPE),  # two reductions in a row
    "kronecker": (
        Kronecker(channels=2, num_blocks=2, num_stages=2, min_vertices=2, max_vertices=3, num_classes=3, image_size=8),
        {"vertices": 3, "edges": [[0, 1], [0, 2], [1, 2]], "ops": ["conv3x3", "maxpool3x3", "conv1x1"]},
    ),
    "transnas_micro": (TransNasMicro(channels=2, num_classes=3, image_size=32), "1_20_312"),
    "decoder": (TransNasMicro(channels=2, task="segmentsemantic", num_classes=2, image_size=32), "0_30_013"),
    "transnas_macro": (TransNasMacro(channels=2, num_classes=3, image_size=64), "1234"),
}
COLUMNS = 4


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def recorded():
    """Outputs of the layers that run, in the order in which they do."""
    outputs = []
    monkeypatch = pytest.MonkeyPatch()
    jax.clear_caches()  # what was traced before records nothing, and what is traced here must not stay
    for name in ("conv", "depthwise_conv", "linear"):
        original = getattr(nn, name)

        def recording(*args, original=original, **options):
            y = original(*args, **options)
            jax.debug.callback(lambda y: outputs.append(np.asarray(y)), y, ordered=True)
            return y

        monkeypatch.setattr(nn, name, recording)
    yield outputs
    monkeypatch.undo()
    jax.clear_caches()


def summary(y):
    """What tells an output apart: two sums, the number of positive entries, and entries a sample."""
    return [y.sum(), np.abs(y).sum(), (y > 0).sum(), y.size / len(y)]


def visit(values, padding=0):
    axes = tuple(range(1, values.ndim))
    size = np.prod(values.shape[2:]) - jnp.broadcast_to(jnp.asarray(padding), values.shape[:1])
    return jnp.stack([values.sum(axes), jnp.abs(values).sum(axes), (values > 0).sum(axes), size], -1)


def expected_rows(names, outputs):
    """Summaries by layer; both halves of a cut convolution of DARTS are convolved at once."""
    rows, left = [], list(outputs)
    for name in names:
        if "preprocess" in name and "conv_" in name:
            half = left[0].shape[-1] // 2
            first = name.endswith("conv_1")
            rows.append(summary(left[0][..., :half] if first else left[0][..., half:]))
            left = left if first else left[1:]
        else:
            rows.append(summary(left.pop(0)))
    assert not left
    return np.array(rows)


long = pytest.mark.skipif("NASJAX_LONG_TESTS" not in os.environ, reason="takes a while; set NASJAX_LONG_TESTS=1")
LONG = ("nasbench201", "decoder", "transnas_macro")


@pytest.mark.slow
@pytest.mark.parametrize("case", [pytest.param(c, marks=[long] if c in LONG else []) for c in CASES])
def test_every_layer_is_shown_once_and_in_order(case, recorded):
    space, encoding = CASES[case]
    arch = space.decode([encoding])[0]
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, space.image_size, space.image_size, 3)))
    # Biases at zero: they are added behind what is recorded.
    run = jax.jit
    variables = run(lambda key: space.init(key, arch, law="kaiming_fan_in"))(jax.random.key(0))
    recorded.clear()
    logits = run(lambda v, x: space.apply(v, arch, x, norm="running").logits)(variables, images)
    jax.effects_barrier()
    outputs = list(recorded)
    shown = run(lambda v, x: space.layer_outputs(v, arch, x, visit, norm="running"))(variables, images)
    rows = np.concatenate([np.asarray(part).reshape(-1, COLUMNS) for part in shown])
    table = space.layers(arch)
    active = np.asarray(table.active)
    assert len(rows) == len(active)
    assert not rows[~active, :3].any()
    names = [name for name, there in zip(table.names, active, strict=True) if there]
    if case == "nasbench101":  # zeros fill up what is narrower than its array
        outputs = [y[..., y.any(tuple(range(y.ndim - 1)))] for y in outputs]
    found, expected = rows[active], expected_rows(names, outputs)
    np.testing.assert_allclose(found[-1], summary(np.asarray(logits)), rtol=1e-9, atol=1e-12)
    # The shortcut runs first, and is listed last; projections run before a stage, and are listed with their vertex.
    if case in ("transnas_macro", "kronecker"):
        found, expected = (rows[np.argsort(rows[:, 1])] for rows in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)  # callbacks get single precision


@long
@pytest.mark.slow
def test_an_image_of_jigsaw_shows_those_of_its_tiles():
    whole = TransNasMicro(channels=2, task="jigsaw", num_classes=3, image_size=96)
    tile = TransNasMicro(channels=2, num_classes=3, image_size=32)
    arch = whole.decode("1_20_312")[0]
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 96, 96, 3)))
    tiles = images.reshape(2, 3, 32, 3, 32, 3).transpose(1, 3, 0, 2, 4, 5).reshape(9, 2, 32, 32, 3)
    run = jax.jit
    variables = run(lambda key: whole.init(key, arch))(jax.random.key(0))
    p = AgreementPass()
    found = run(lambda v, x: p.measure(whole, v, arch, x[None], None)["kernels"])(variables, images)
    head = {"head": variables.params["weights"]["head"]["head"][:16]}
    own = variables._replace(params={**variables.params, "weights": {**variables.params["weights"], "head": head}})
    of_tile = run(lambda v, x: p.measure(tile, v, arch, x[None], None)["kernels"])
    expected = sum(np.asarray(of_tile(own, x)) for x in tiles)
    np.testing.assert_array_equal(found[:-1], expected[:-1])
    with pytest.raises(InputError, match="jigsaw with norms over the batch"):
        jax.eval_shape(lambda v, x: whole.layer_outputs(v, arch, x, visit), variables, images)
