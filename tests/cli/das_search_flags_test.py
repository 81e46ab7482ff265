"""Networks that launch.das_search makes."""

import pytest

from nasjax import das
from nasjax.cli import das_search
from nasjax.types import InputError


def make(**flags):
    return das_search.make_network(das_search.DASSearchConfig(workdir="none", **flags), 7)


def test_networks_by_flags():
    assert "resnet10 width=8 stem=cifar temporal=gsf classes=7" in make().name
    assert "mobilenet_v2 width=0.5" in make(backbone="mobilenet_v2", width=0.5, temporal="tsm").name
    for flags in ({"width": 8.5}, {"backbone": "resnet11"}):
        with pytest.raises(InputError):
            make(**flags)


def test_defaults_of_presets():
    cells = {name: das_search.cell_of(das_search.DASSearchConfig(workdir="none", preset=name)) for name in (
        "geometric5", "single_edge", "video10", "autoaugment15")}  # fmt: skip
    assert [cell.num_frames for cell in cells.values()] == [4, 4, 5, 1]
    assert cells["video10"] == das.preset("video10")
