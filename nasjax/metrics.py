"""How well scores rank: Spearman, Kendall, precision at k, regret, and bootstrap intervals.

NumPy in float64. Higher scores and higher accuracies are better. Ties count as ties: ranks are averaged, and
where a tie straddles the k-th place the expected value over all ways to break it is returned, so no result
depends on the order of the rows. NaN raises unless ``nan="drop"`` removes the rows that hold one; infinite
values rank at the ends.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from nasjax.types import InputError

Nan = Literal["raise", "drop"]
Statistic = Callable[[np.ndarray, np.ndarray], float]


def spearman(x: Any, y: Any, *, nan: Nan = "raise") -> float:
    """Spearman's rank correlation: Pearson's correlation of average ranks.

    Args:
      x: numbers [n], n at least 2.
      y: numbers [n].
      nan: "raise", or "drop" the pairs that hold one.

    Returns:
      A number in -1..1; NaN where ``x`` or ``y`` is constant, as the correlation is undefined.

    Raises:
      InputError: if shapes differ, fewer than two pairs are left, or there is a NaN.
    """
    x, y = _columns(nan, x=x, y=y)
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(a @ b / scale, -1.0, 1.0)) if scale > 0 else math.nan


def kendall(x: Any, y: Any, *, nan: Nan = "raise") -> float:
    """Kendall's tau-b: (concordant - discordant pairs) / sqrt(pairs untied in x * pairs untied in y).

    Takes O(n log n).

    Args:
      x: numbers [n], n at least 2.
      y: numbers [n].
      nan: "raise", or "drop" the pairs that hold one.

    Returns:
      A number in -1..1; NaN where ``x`` or ``y`` is constant.

    Raises:
      InputError: if shapes differ, fewer than two pairs are left, or there is a NaN.
    """
    from scipy import stats  # takes a second to import

    x, y = _columns(nan, x=x, y=y)
    if np.all(x == x[0]) or np.all(y == y[0]):
        return math.nan
    # Ranks are finite and order as the values do, so that infinite ones are no trouble.
    # The method concerns a p-value that is not used; the fast one divides by zero for two pairs.
    method = "asymptotic" if len(x) > 2 else "exact"
    return float(stats.kendalltau(_ranks(x), _ranks(y), method=method).statistic)


def precision_at_k(scores: Any, accuracies: Any, k: int, *, nan: Nan = "raise") -> float:
    """Which part of the k best by accuracy is among the k best by score.

    Args:
      scores: numbers [n].
      accuracies: numbers [n].
      k: 1..n.
      nan: "raise", or "drop" the pairs that hold one.

    Returns:
      A number in 0..1; with ties at the k-th place the expected value over random ways to break them.

    Raises:
      InputError: if shapes differ, ``k`` is not in 1..n, or there is a NaN.
    """
    scores, accuracies = _columns(nan, scores=scores, accuracies=accuracies)
    k = _check_k(k, len(scores))
    return float(_membership(scores, k) @ _membership(accuracies, k) / k)


def regret(scores: Any, accuracies: Any, k: int = 1, *, nan: Nan = "raise") -> float:
    """What is lost by training only the k best by score: best accuracy minus the best among those.

    Args:
      scores: numbers [n].
      accuracies: finite numbers [n].
      k: 1..n.
      nan: "raise", or "drop" the pairs that hold one.

    Returns:
      A number from 0 up, in units of the accuracies; with ties at the k-th place the expected value over
      random ways to break them.

    Raises:
      InputError: if shapes differ, ``k`` is not in 1..n, there is a NaN or an infinite accuracy.
    """
    scores, accuracies = _columns(nan, scores=scores, accuracies=accuracies)
    k = _check_k(k, len(scores))
    if not np.isfinite(accuracies).all():
        raise InputError("accuracies hold infinity; allowed: finite numbers; do: remove those rows")
    threshold = np.sort(scores)[-k]
    sure = accuracies[scores > threshold]
    tied = np.sort(accuracies[scores == threshold])[::-1]
    places = k - len(sure)
    floor = sure.max() if len(sure) else -math.inf
    expected, none_yet = 0.0, 1.0
    for index, accuracy in enumerate(tied):
        # Given that no better one of the tied was drawn, this one is with probability places / left.
        drawn = min(1.0, places / (len(tied) - index))
        expected += none_yet * drawn * max(floor, accuracy)
        none_yet *= 1.0 - drawn
        if none_yet <= 0.0:
            break
    return float(max(0.0, accuracies.max() - expected))


def bootstrap(
    stat: Statistic,
    x: Any,
    y: Any,
    *,
    num: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    nan: Nan = "raise",
) -> tuple[float, float]:
    """Percentile interval of a statistic over resampled pairs.

    Args:
      stat: function of two arrays [n], for example :func:`spearman`.
      x: numbers [n], n at least 2.
      y: numbers [n].
      num: number of resamples.
      seed: of the resamples.
      level: probability that the interval covers, in 0..1.
      nan: "raise", or "drop" the pairs that hold one.

    Returns:
      (low, high). Resamples where the statistic is undefined (all pairs equal) are left out; NaN if all are.

    Raises:
      InputError: if shapes differ, there is a NaN, or an option is out of range.
    """
    x, y = _columns(nan, x=x, y=y)
    return _interval([stat(x[rows], y[rows]) for rows in _resamples(len(x), num, seed)], level)


def paired_bootstrap(
    stat: Statistic,
    a: Any,
    b: Any,
    y: Any,
    *,
    num: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    nan: Nan = "raise",
) -> tuple[float, float, float]:
    """Difference ``stat(a, y) - stat(b, y)`` and its interval, both sides on the same resamples.

    Args:
      stat: function of two arrays [n], for example :func:`spearman`.
      a: numbers [n], n at least 2.
      b: numbers [n].
      y: numbers [n].
      num: number of resamples.
      seed: of the resamples.
      level: probability that the interval covers, in 0..1.
      nan: "raise", or "drop" the rows where any of the three holds one.

    Returns:
      (difference, low, high); an interval that leaves out 0 speaks for a real difference.

    Raises:
      InputError: if shapes differ, there is a NaN, or an option is out of range.
    """
    a, b, y = _columns(nan, a=a, b=b, y=y)
    values = [stat(a[rows], y[rows]) - stat(b[rows], y[rows]) for rows in _resamples(len(y), num, seed)]
    return (float(stat(a, y) - stat(b, y)), *_interval(values, level))


def _columns(nan: str, **columns: Any) -> list[np.ndarray]:
    """Checks columns of equal length: float64 [n] each, without NaN, n at least 2."""
    if nan not in ("raise", "drop"):
        raise InputError(f"nan={nan!r}; allowed: 'raise', 'drop'; do: choose one of them")
    arrays = {}
    for name, value in columns.items():
        try:
            arrays[name] = np.asarray(value, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} holds something that is no number ({error}); allowed: numbers") from error
        if arrays[name].ndim != 1:
            raise InputError(f"{name} has shape {arrays[name].shape}; allowed: [n]; do: give one number a row")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InputError(f"lengths differ: {text}; allowed: one value each a row; do: join them first")
    bad = np.any([np.isnan(array) for array in arrays.values()], axis=0)
    if bad.any():
        if nan == "raise":
            where = [name for name, array in arrays.items() if np.isnan(array).any()]
            raise InputError(
                f"{' and '.join(where)} hold NaN in {int(bad.sum())} of {len(bad)} rows; allowed: numbers; "
                "do: remove those rows or give nan='drop'"
            )
        arrays = {name: array[~bad] for name, array in arrays.items()}
    number = int((~bad).sum())
    if number < 2:
        raise InputError(f"{number} rows are left to compare; allowed: two or more; do: give more")
    return list(arrays.values())


def _count(value: Any, name: str, minimum: int = 1) -> int:
    """Checks a whole number."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum:
        raise InputError(f"{name}={value!r}; allowed: whole numbers from {minimum}; do: choose another {name}")
    return number


def _check_k(k: Any, number: int) -> int:
    """Checks a number of places."""
    k = _count(k, "k")
    if k > number:
        raise InputError(f"k={k} is more than the {number} rows; allowed: 1..{number}; do: lower k")
    return k


def _ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks from 1 up, float64 [n]; several times faster on short arrays than scipy's."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))  # where each tie begins
    counts = np.diff(np.append(first, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    return ranks


def _membership(values: np.ndarray, k: int) -> np.ndarray:
    """Probability [n] of each to be among the k largest, ties broken at random."""
    threshold = np.sort(values)[-k]
    above, tied = values > threshold, values == threshold
    return above + tied * ((k - above.sum()) / tied.sum())


def _resamples(number: int, num: int, seed: int) -> list[np.ndarray]:
    """Row numbers [number] drawn with replacement, ``num`` times."""
    generator = np.random.default_rng(_count(seed, "seed", 0))
    return [generator.integers(number, size=number) for _ in range(_count(num, "num"))]


def _interval(values: list[float], level: float) -> tuple[float, float]:
    """Percentile interval of the values that are numbers."""
    if not 0 < level < 1:
        raise InputError(f"level={level!r}; allowed: between 0 and 1, both excluded; do: choose 0.95")
    array = np.asarray(values, np.float64)
    array = array[~np.isnan(array)]
    if not len(array):
        return math.nan, math.nan
    low, high = np.quantile(array, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
