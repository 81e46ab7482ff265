"""Tests of nasjax.spaces.cell201: the public face."""

import subprocess
import sys

import numpy as np

from nasjax.spaces import cell201


def test_every_public_name_exists_and_is_documented():
    assert sorted(cell201.__all__) == list(cell201.__all__)
    for name in cell201.__all__:
        value = getattr(cell201, name)
        assert not callable(value) or value.__doc__


def test_constants():
    assert cell201.OPS == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    assert cell201.EDGES == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert (cell201.NUM_EDGES, cell201.NUM_OPS, cell201.NUM_ARCHITECTURES) == (6, 5, 15625)
    assert cell201.NASLIB_OPS == ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
    assert cell201.NASLIB_EDGES == ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def test_functions_work_together():
    arch = cell201.decode(2566)
    assert cell201.num_params(arch) == 830426
    assert cell201.is_valid(arch) == (True, "")
    assert cell201.to_index(cell201.decode(cell201.to_tuple(arch))) == 2566
    assert {cell201.canonical(row) for row in cell201.neighbours(arch)} >= {
        cell201.canonical(cell201.neighbours(arch)[0])
    }


def test_import_does_no_work():
    code = "from nasjax.spaces import cell201, cell201_codec as c; print(c._official_orders.cache_info().currsize)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert out.stdout.strip() == "0"


def test_populations_stay_numpy():
    archs = cell201.all_architectures()[:3]
    assert isinstance(cell201.macs(archs), np.ndarray) and isinstance(cell201.live_edges(archs), np.ndarray)
