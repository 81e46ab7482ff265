"""Tests of nasjax.spaces.cell101_cost."""

import csv
import gzip
import json

import numpy as np

from nasjax.spaces import cell101_cost as cost
from nasjax.spaces.cell101_codec import decode

FULL = cost.Shape(channels=128, stacks=3, cells=3, num_classes=10, in_channels=3)
SMALL = cost.Shape(channels=7, stacks=2, cells=2, num_classes=4, in_channels=1)
# Two vertices feed the output beside the input itself; the first also feeds the second.
ARCH = decode(([[0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], ["conv3x3-bn-relu", "conv1x1-bn-relu"]))


def test_parameters_by_hand():
    # Stem, then cells (in, out, widths of the two vertices): projection to vertex 1, to the output, two kernels.
    expected = 9 * 7 + 2 * 7
    for ins, outs, (a, b) in ((7, 7, (4, 3)), (7, 7, (4, 3)), (7, 14, (7, 7)), (14, 14, (7, 7))):
        expected += ins * a + 2 * a + 9 * a * a + 2 * a + b * b + 2 * b + ins * outs + 2 * outs
    expected += 14 * 4 + 4
    assert cost.num_params(ARCH, SMALL) == expected


def test_multiply_adds_by_hand():
    expected = 9 * 7 * 9**2
    for size, ins, outs, (a, b) in ((9, 7, 7, (4, 3)), (9, 7, 7, (4, 3)), (4, 7, 14, (7, 7)), (4, 14, 14, (7, 7))):
        expected += size**2 * (ins * a + 9 * a * a + b * b + ins * outs)
    assert cost.macs(ARCH, SMALL, 9) == expected + 14 * 4


def test_populations_equal_single_cells():
    other = decode(([[0, 1], [0, 0]], []))
    both = np.stack([ARCH, other])
    np.testing.assert_array_equal(cost.num_params(both, FULL), [cost.num_params(a, FULL) for a in both])
    np.testing.assert_array_equal(cost.macs(both, FULL, 32), [cost.macs(a, FULL, 32) for a in both])


def test_parameters_of_the_table(shared):
    with gzip.open(shared / "data" / "nasbench101_1k.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    archs = [
        decode((np.array(list(r["adjacency_rowmajor"]), int).reshape(7, 7).tolist(), json.loads(r["ops"])))
        for r in rows
    ]
    np.testing.assert_array_equal(cost.num_params(np.stack(archs), FULL), [int(r["params"]) for r in rows])
