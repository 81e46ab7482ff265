"""Bins and entropies against hand-made cases."""

import math

import numpy as np
import pytest

from nasjax.search.entropy import binned, default_bins, entropy
from nasjax.types import InputError


def test_number_of_bins():
    assert default_bins(1000) == 24
    assert default_bins(7108) == 30
    assert default_bins(1) == 2


def test_bins_of_equal_width():
    assert binned(np.array([0.0, 0.9, 1.0, 2.5, 4.0]), 4).tolist() == [0, 0, 1, 2, 3]
    # One outlier puts all others into a single bin: the suite's -1e8 does that.
    assert binned(np.array([-1e8, 1.0, 2.0, 3.0]), 24).tolist() == [0, 23, 23, 23]


def test_bins_of_equal_frequency():
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 1000.0])
    assert binned(values, 3, binning="frequency").tolist() == [0, 0, 1, 1, 2, 2]
    assert len(set(binned(np.array([5.0, 5.0, 5.0, 9.0]), 4, binning="frequency")[:3])) == 1


def test_entropy_in_bits():
    fair = np.array([0, 1, 0, 1])
    assert entropy([fair]) == 1.0
    assert entropy([np.zeros(4, int)]) == 0.0
    assert entropy([fair, np.array([0, 0, 1, 1])]) == 2.0
    assert entropy([fair, fair]) == 1.0


def test_entropy_of_independent_columns_adds():
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(5), np.array([0, 0, 1])))
    assert entropy([x, y]) == pytest.approx(entropy([x]) + entropy([y]))
    assert entropy([y]) == pytest.approx(-(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3)))


def test_miller_and_madow_add_what_the_plain_estimate_lacks():
    column = np.array([0, 0, 1, 2])
    assert entropy([column], estimator="miller_madow") == pytest.approx(entropy([column]) + 2 / (8 * math.log(2)))


def test_unknown_words():
    with pytest.raises(InputError, match="allowed: width, frequency"):
        binned(np.arange(4.0), 2, binning="log")
    with pytest.raises(InputError, match="allowed: plugin, miller_madow"):
        entropy([np.arange(4)], estimator="bayes")
