"""What proxies promise on further spaces: a tiny configuration each, one compiled program a signature."""

import importlib
import os

import jax
import numpy as np
import pytest

import nasjax
from nasjax.data import Batches
from nasjax.spaces.autoformer import AutoFormer
from nasjax.spaces.base import by_signature
from nasjax.spaces.darts import Darts
from nasjax.spaces.kronecker import Kronecker
from nasjax.spaces.nasbench101 import NasBench101
from nasjax.spaces.nasbench_macro import NasBenchMacro

pytestmark = [pytest.mark.slow]
score_module = importlib.import_module("nasjax.proxies.score")  # the package's name `score` is the function

CONV, PLAIN, POOL = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
# Two of one signature around one of another.
CELLS = (
    ([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0] * 4], [CONV, PLAIN]),
    ([[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0] * 4], [PLAIN, POOL]),
    ([[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4], [POOL, CONV]),
)
TRANSFORMER = AutoFormer(
    (8,), (1, 2), (1, 2), (1.5, 2.0), num_classes=3, image_size=6, patch_size=2, head_dim=4, max_distance=1
)
TRANSFORMERS = ((1, 1.5, 1, 8), (2, 1.5, 2.0, 1, 2, 8), (2, 2.0, 1.5, 2, 2, 8))
# With one cell, a reduction cell, the normal one is not looked at.
GENOTYPES = tuple(
    dict.fromkeys(("normal", "reduce"), [(ops[i % 3], source) for i, source in enumerate((0, 1, 1, 2, 0, 3, 2, 4))])
    for ops in (
        ("sep_conv_3x3", "max_pool_3x3", "dil_conv_5x5"),
        ("skip_connect", "dil_conv_3x3", "avg_pool_3x3"),
        ("avg_pool_3x3", "sep_conv_5x5", "none"),
    )
)
WIRINGS = (
    {"vertices": 3, "edges": [[0, 1], [0, 2]], "ops": ["conv3x3", "conv1x1", "maxpool3x3"]},
    {"vertices": 2, "edges": [[0, 1]], "ops": ["identity", "conv3x3"]},
    {"vertices": 3, "edges": [[0, 1], [1, 2]], "ops": ["conv1x1", "conv3x3", "conv1x1"]},
)
SAME = {"rtol": 1e-9, "atol": 0}  # the same program however it is cut up, so last bits alone may differ
# Those that read the space's own functions in different ways; the others share their passes.
PROXIES = ("params", "flops", "grad_norm", "snip", "synflow", "nwot", "swap", "zico", "lswag")
FEATURES = ("t_cet", "zen", "az_expressivity", "az_progressivity", "az_trainability")
# Eight layers that no loop shares take a minute to compile for all of them.
OF_MACRO = FEATURES if "NASJAX_LONG_TESTS" in os.environ else ()
# Space, architectures, number of programs, proxies that another space lacks.
SPACES = {
    "darts": (Darts(channels=2, cells=1, num_classes=3, image_size=6), GENOTYPES, 1, ("t_cet",)),
    "nasbench101": (NasBench101(channels=5, stacks=1, cells=1, num_classes=3, image_size=6), CELLS, 2, FEATURES),
    "nasbench_macro": (
        NasBenchMacro(channels=2, head_channels=5, num_classes=3, image_size=6),
        ("01201120", "10022001", "22222222"),
        1,
        OF_MACRO,
    ),
    "kronecker": (
        Kronecker(channels=2, num_blocks=2, num_stages=2, min_vertices=2, max_vertices=3, num_classes=3, image_size=6),
        WIRINGS,
        1,
        ("t_cet", "grasp", "fisher"),
    ),
    "autoformer": (TRANSFORMER, TRANSFORMERS, 1, ("dss", "az_expressivity", "az_trainability")),
}


pytestmark = pytest.mark.usefixtures("programs_stay")


@pytest.fixture(scope="module", autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    return Batches.from_arrays(
        rng.normal(size=(12, 6, 6, 3)), np.arange(12) % 3, batch_size=6, num_batches=2, dtype="float64", num_classes=3
    )


@pytest.fixture(scope="module", params=list(SPACES))
def case(request):
    """Space, encodings, how many programs they need, and the proxies to run."""
    space, archs, programs, more = SPACES[request.param]
    return space, space.encode(space.decode(list(archs))), programs, PROXIES + more


@pytest.fixture(scope="module")
def run(batches, case):
    def run(archs, *, seed=0):
        return nasjax.score(case[0], list(archs), batches, case[3], key=jax.random.key(seed), engine="jit", chunk=2)

    return run


@pytest.fixture(scope="module")
def result(run, case):
    return run(case[1])


def traces(space):
    """How often the programs of a space were traced, by bound space."""
    return {key[0]: m.trace_count for key, m in score_module._PROGRAMS.items() if key[0].options == space.options}


def test_scores_are_finite_and_differ(result, case):
    assert result.archs == case[1]
    for name in case[3]:
        assert result.valid[name].all() and np.isfinite(result.scores[name]).all(), name
        # Six images have 64 patterns, which these networks exhaust.
        assert len(set(result.scores[name])) == 3 or name == "swap", name
    space = case[0]
    np.testing.assert_array_equal(result.scores["params"], space.num_params(space.decode(case[1])))


def test_each_signature_is_compiled_once(run, result, case):
    space, archs, programs, _ = case
    assert len(by_signature(space, space.decode(archs))) == programs
    before = traces(space)
    assert list(before.values()) == [1] * programs
    run(archs[::-1], seed=1)
    assert traces(space) == before


def test_neither_order_nor_company_matters(run, result, case):
    turned, alone = run(case[1][::-1]), run(case[1][1:2])
    for name in case[3]:
        np.testing.assert_allclose(turned.scores[name][::-1], result.scores[name], **SAME, err_msg=name)
        np.testing.assert_allclose(alone.scores[name], result.scores[name][1:2], **SAME, err_msg=name)


def test_the_key_decides(run, result, case):
    other = run(case[1], seed=1)
    for name in case[3]:
        if "swap" not in name:
            same = np.allclose(other.scores[name], result.scores[name], rtol=1e-12, atol=0)
            assert same == (name in ("params", "flops")), name
