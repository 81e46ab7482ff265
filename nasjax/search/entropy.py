"""Entropies of binned numbers, in bits: what LIBRA measures information by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nasjax.types import InputError

BINNINGS = ("width", "frequency")
ESTIMATORS = ("plugin", "miller_madow")


def default_bins(number: int) -> int:
    """How many bins NAS-Bench-Suite-Zero takes: round(1 + 3.322 ln n), 24 for a thousand.

    Args:
      number: architectures, n.

    Returns:
      At least 2. Sturges' rule has the logarithm to base 10 there, so these are twice as many.
    """
    return max(2, round(1 + 3.322 * math.log(number)))


def binned(values: np.ndarray, bins: int, *, binning: str = "width") -> np.ndarray:
    """Numbers of bins.

    Args:
      values: float64 [n], finite.
      bins: how many, at least 2.
      binning: "width": bins of equal width from the lowest to the highest value; one outlier then puts all others into
        a single bin. "frequency": bins of equally many values; equal values share one.

    Returns:
      int64 [n], from 0 up.

    Raises:
      InputError: unknown binning.
    """
    if binning == "width":
        edges = np.linspace(values.min(), values.max(), bins + 1)
        edges[-1] += 1.0  # the highest value belongs to the last bin
        return np.digitize(values, edges) - 1
    if binning == "frequency":
        from scipy import stats

        places = stats.rankdata(values) - 0.5
        return np.minimum((places * bins / len(values)).astype(np.int64), bins - 1)
    raise InputError(f"binning={binning!r}; allowed: {', '.join(BINNINGS)}; do: choose one of them")


def entropy(columns: Sequence[np.ndarray], *, estimator: str = "plugin") -> float:
    """Joint entropy of columns of bins.

    Args:
      columns: int [n] each.
      estimator: "plugin": ``-sum p log2 p`` of the observed frequencies; "miller_madow" adds (m - 1) / (2 n ln 2), m
        the number of different rows, since the first is too low on average.

    Returns:
      Bits.

    Raises:
      InputError: unknown estimator.
    """
    if estimator not in ESTIMATORS:
        raise InputError(f"entropy={estimator!r}; allowed: {', '.join(ESTIMATORS)}; do: choose one of them")
    cells = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        cells = cells * (column.max() + 1) + column
    _, counts = np.unique(cells, return_counts=True)
    shares = np.sort(counts) / len(columns[0])  # sorted: equal partitions have equal sums to the last bit
    found = float(-(shares * np.log2(shares)).sum())
    if estimator == "miller_madow":
        found += (len(counts) - 1) / (2 * len(columns[0]) * math.log(2))
    return found
