"""Tests of nasjax.spaces.cell201_cost."""

import json
import time

import numpy as np
import pytest

from nasjax.spaces import cell201_cost as cost
from nasjax.spaces.cell201_codec import from_string, from_tuple
from nasjax.spaces.cell201_moves import all_architectures
from nasjax.types import InputError

NONE, SKIP, CONV1, CONV3, POOL = range(5)


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "nasbench201.json").read_text())["archs"]


def test_golden_costs(golden):
    archs = from_string([row["arch"] for row in golden])
    assert len(archs) == 12
    assert cost.num_params(archs).tolist() == [row["params"] for row in golden]
    assert cost.macs(archs).tolist() == [row["macs_conv_linear"] for row in golden]
    assert cost.flops_xautodl(archs).tolist() == [row["flops_xautodl_M"] for row in golden]


def test_published_values():
    assert cost.num_params(from_tuple((4, 0, 3, 1, 4, 3))) == 129306
    assert cost.macs(from_tuple((4, 0, 3, 1, 4, 3))) == 15647360
    assert cost.num_params([CONV3] * 6) == 1531546
    assert cost.macs([CONV3] * 6) == 220119680


def test_published_parameters_of_the_table(shared):
    pandas = pytest.importorskip("pandas")
    columns = ["arch_index", "params"]
    proxies = pandas.read_csv(shared / "data" / "nasbench201_proxies_cifar10.csv.gz", usecols=columns)
    table = pandas.read_csv(shared / "data" / "nasbench201.csv.gz", usecols=["arch_index", "arch_string"])
    joined = proxies.merge(table, on="arch_index")
    assert len(joined) > 1000
    ours = cost.num_params(from_string(joined["arch_string"].tolist()))
    np.testing.assert_allclose(ours / 1e6, joined["params"], rtol=0, atol=1e-5)


def test_one_and_many_agree():
    archs = all_architectures()[::997]
    for function in (cost.num_params, cost.macs, cost.flops_xautodl):
        assert [function(arch) for arch in archs] == function(archs).tolist()
    assert type(cost.num_params(archs[0])) is int and type(cost.macs(archs[0])) is int
    assert cost.macs(archs).dtype == np.int64


def test_the_whole_space_is_fast():
    archs = all_architectures()
    start = time.perf_counter()
    cost.num_params(archs)
    cost.macs(archs)
    assert time.perf_counter() - start < 0.5


def _layers(arch, channels, cells, num_classes, image_size, in_channels):
    """(kernel, inputs, outputs, pixels) of every convolution and the list of batch-norm widths."""
    convs, norms = [(3, in_channels, channels, image_size**2)], [channels]
    width, side = channels, image_size
    for stage in range(3):
        if stage:
            side //= 2
            convs += [
                (3, width, 2 * width, side**2),
                (3, 2 * width, 2 * width, side**2),
                (1, width, 2 * width, side**2),
            ]
            width *= 2
            norms += [width, width]
        for _ in range(cells):
            for op in arch:
                if op in (CONV1, CONV3):
                    convs.append((1 if op == CONV1 else 3, width, width, side**2))
                    norms.append(width)
    return convs, [*norms, width], (width, num_classes)


@pytest.mark.parametrize(
    ("channels", "cells", "num_classes", "image_size", "in_channels"),
    [(16, 5, 10, 32, 3), (16, 5, 100, 32, 3), (16, 5, 120, 16, 3), (4, 1, 7, 8, 1), (3, 2, 1, 4, 5)],
)
def test_other_sizes_against_a_layer_list(channels, cells, num_classes, image_size, in_channels):
    arch = [CONV1, CONV3, SKIP, POOL, NONE, CONV1]
    convs, norms, (width, classes) = _layers(arch, channels, cells, num_classes, image_size, in_channels)
    sizes = {"channels": channels, "cells": cells, "num_classes": num_classes, "in_channels": in_channels}
    weights = sum(k * k * i * o for k, i, o, _ in convs) + 2 * sum(norms) + width * classes + classes
    assert cost.num_params(arch, **sizes) == weights
    work = sum(k * k * i * o * pixels for k, i, o, pixels in convs) + width * classes
    assert cost.macs(arch, image_size=image_size, **sizes) == work
    assert cost.flops_xautodl(arch, image_size=image_size, **sizes) == (work + classes) / 1e6


def test_dead_branches_count():
    dead = [CONV3, NONE, NONE, SKIP, NONE, NONE]
    alive = [NONE, NONE, NONE, SKIP, NONE, NONE]
    assert cost.num_params(dead) - cost.num_params(alive) == 5 * sum(9 * c * c + 2 * c for c in (16, 32, 64))


def test_no_overflow_at_large_sizes():
    assert cost.macs([CONV3] * 6, channels=1024, cells=20, image_size=1024) > 2**45


@pytest.mark.parametrize("name", ["channels", "cells", "num_classes", "image_size", "in_channels"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "16", None])
def test_bad_sizes(name, value):
    with pytest.raises(InputError, match=f"{name}=.*; allowed: integers >= 1"):
        cost.macs([0] * 6, **{name: value})
    if name != "image_size":
        with pytest.raises(InputError, match=f"{name}="):
            cost.num_params([0] * 6, **{name: value})


@pytest.mark.parametrize(("size", "advice"), [(30, 32), (1, 4), (33, 36)])
def test_image_must_halve_twice(size, advice):
    with pytest.raises(InputError, match=f"image_size={size}; allowed: multiples of 4; do: take {advice}"):
        cost.macs([0] * 6, image_size=size)


def test_bad_architecture():
    with pytest.raises(InputError, match="out of range"):
        cost.num_params([0, 0, 0, 0, 0, 7])
