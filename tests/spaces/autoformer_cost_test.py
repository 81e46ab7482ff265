"""Tests of nasjax.spaces.autoformer_cost against published counts."""

import json

import numpy as np
import pytest

from nasjax.spaces import autoformer_cost as cost
from nasjax.spaces.autoformer_codec import Choices, decode

IMAGENET = cost.Sizes(1000, 224, 3, 16, 64, 14)
TINY = Choices((192, 216, 240), (12, 13, 14), (3, 4), (30, 35, 40))
SMALL = Choices((320, 384, 448), (12, 13, 14), (5, 6, 7), (30, 35, 40))
BASE = Choices((528, 576, 624), (14, 15, 16), (9, 10), (30, 35, 40))
# The published AutoFormer-T, -S and -B: ratios in halves, heads.
PUBLISHED = {
    "T": (TINY, 192, "7 7 6 7 6 6 8 8 7 8 7 8 7", "3 3 3 3 3 3 3 3 3 3 4 3 3", 5.868),
    "S": (SMALL, 384, "6 7 6 7 8 8 8 8 8 8 8 7 8", "6 6 5 7 5 5 5 6 6 7 7 6 7", 22.891),
    "B": (BASE, 576, "7 7 8 7 8 7 7 6 8 8 6 8 6 7", "9 9 9 9 9 10 9 9 10 9 10 9 9 10", 53.692),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_of_parameters(name):
    choices, width, halves, heads, millions = PUBLISHED[name]
    ratios, heads = [int(h) / 2 for h in halves.split()], [int(h) for h in heads.split()]
    arch = decode(choices, (len(heads), *ratios, *heads, width))
    assert round(cost.num_params(arch, IMAGENET) / 1e6, 3) == millions


def test_range_of_the_tiny_space():
    ends = ((12, 3.5, 3, 192), (14, 4.0, 4, 240))
    archs = np.stack([decode(TINY, (d, *[r] * d, *[h] * d, e)) for d, r, h, e in ends])
    np.testing.assert_array_equal(cost.num_params(archs, IMAGENET), [5366056, 10517272])


def test_macs_by_hand():
    choices, sizes = Choices((8,), (1, 2), (1, 2), (20, 30)), cost.Sizes(5, 8, 3, 4, 4, 2)
    one, two = decode(choices, (1, 3.0, 2, 8)), decode(choices, (2, 3.0, 2.0, 2, 1, 8))
    patches, tokens = 4 * 48 * 8, 5
    first = tokens * (8 * 24 + 8 * 8 + 2 * 8 * 24)
    second = tokens * (8 * 12 + 4 * 8 + 2 * 8 * 16)
    expected = [patches + first + second + 8 * 5, patches + first + 8 * 5]
    assert cost.macs(one, sizes) == expected[1]
    np.testing.assert_array_equal(cost.macs(np.stack([two, one]), sizes), expected)


def test_official_counts(shared):
    entries = json.loads((shared / "golden" / "autoformer.json").read_text())["archs"]
    archs = np.stack([decode(TINY, entry["arch"]) for entry in entries])
    np.testing.assert_array_equal(cost.num_params(archs, IMAGENET), [e["params_official"] for e in entries])
    complexity = [e["scores_f64"]["aznas"]["complexity"] for e in entries]
    np.testing.assert_array_equal(cost.complexity(archs, IMAGENET), complexity)
