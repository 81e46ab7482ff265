"""Several proxies merged into one score: ranks, logarithms of ranks, products and votes.

Pure functions of the scores given, in float64: every rank is taken within these architectures, so the same function
serves a table of thousands and the few that a search has seen so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from nasjax.types import InputError

Invalid = Literal["worst", "raise"]

KINDS = ("ranksum", "logrank", "denserank", "product", "vote")
_BLOCK = 256  # architectures compared with all others at a time


def aggregate(
    scores: Mapping[str, Any],
    *,
    kind: str = "ranksum",
    signs: Sequence[int] | None = None,
    invalid: Invalid = "worst",
) -> np.ndarray:
    """Merges the scores of several proxies into one, higher is better.

    With r_k(i) the average rank of architecture i by proxy k, 1 the worst, among the n given:

    - ``ranksum``: ``sum_k r_k / n``;
    - ``logrank``: ``sum_k log(r_k / n)``, the rule of AZ-NAS: one bad rank weighs more than one good rank;
    - ``denserank``: the rank sum of TE-NAS, whose equal scores share one place and leave no gap behind it:
      ``sum_k d_k / max d_k``;
    - ``product``: ``sum_k log v_k``, the order of the product of the scores themselves, as T-CET and L-SWAG take it.
      A proxy with a value of 0 or less is shifted by its minimum first; a product of 0 is put below all others;
    - ``vote``: how many of the other architectures are beaten by a majority of the proxies, half for a draw, over
      n - 1: the vote of zero-cost-nas, held between all pairs.

    Args:
      scores: name -> numbers [n], n at least 1, higher is better.
      kind: one of ``KINDS``.
      signs: +1 or -1 a proxy, in the order of ``scores``: multiplies its scores; all +1 by default.
      invalid: what NaN means: "worst" ranks it below every number, as -inf is ("product": the product is 0);
        "raise" refuses NaN and -inf.

    Returns:
      float64 [n], finite.

    Raises:
      InputError: no proxy, unequal lengths, something that is no number, an unknown kind, a wrong sign, or invalid
        scores with ``invalid="raise"``.

    References:
      Lee and Ham, AZ-NAS, CVPR 2024, Eq. 8. Chen et al., TE-NAS, ICLR 2021, Section 3.3. Abdelfattah et al.,
      Zero-Cost Proxies for Lightweight NAS, ICLR 2021, Section 3.2.

    Examples:
      >>> aggregate({"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 2.0, 4.0, 3.0]}).tolist()
      [0.5, 1.0, 1.75, 1.75]
    """
    if kind not in KINDS:
        raise InputError(f"aggregation {kind!r}: allowed: {', '.join(KINDS)}; do: choose one of them")
    if invalid not in ("worst", "raise"):
        raise InputError(f"invalid={invalid!r}; allowed: 'worst', 'raise'; do: choose one of them")
    values = _values(scores, signs)
    bad = np.isnan(values) | np.isneginf(values)
    if invalid == "raise" and bad.any():
        named = [f"{name} ({int(row.sum())})" for name, row in zip(scores, bad, strict=True) if row.any()]
        raise InputError(
            f"scores hold NaN or -inf: {', '.join(named)} of {values.shape[1]}; allowed: numbers; do: remove these "
            "architectures, or give invalid='worst' to rank them last"
        )
    values[bad] = -np.inf
    number = values.shape[1]
    if kind == "ranksum":  # summed as halves of whole numbers, so that ties are exact
        return ranks(values).sum(0) / number
    if kind == "logrank":
        return _exact_ties(np.log(ranks(values) / number).sum(0))
    if kind == "denserank":
        dense = _dense(values)
        return _exact_ties((dense / dense.max(1, keepdims=True)).sum(0))
    return _product(values) if kind == "product" else _votes(values)


def ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks of every row.

    Args:
      values: float64 [rows, n], without NaN.

    Returns:
      float64 [rows, n], from 1 (lowest) up.
    """
    from scipy import stats  # takes a second to import

    return np.asarray(stats.rankdata(values, axis=1), np.float64)


def _values(scores: Mapping[str, Any], signs: Sequence[int] | None) -> np.ndarray:
    """Checked scores times signs, float64 [proxies, n]."""
    if not isinstance(scores, Mapping) or not len(scores):
        raise InputError(f"{len(scores) if isinstance(scores, Mapping) else scores!r} proxies to merge; allowed: a "
                         "mapping of one or more names to numbers [n]; do: give scores")  # fmt: skip
    columns = {name: column(values, name) for name, values in scores.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1 or not min(lengths.values()):
        text = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InputError(f"numbers of scores: {text}; allowed: one score an architecture for all; do: join them first")
    signs = (1,) * len(columns) if signs is None else tuple(signs)
    if len(signs) != len(columns) or any(sign not in (1, -1) for sign in signs):
        raise InputError(f"signs={signs!r}; allowed: +1 or -1 for each of the {len(columns)} proxies; do: correct them")
    return np.stack([values * sign for values, sign in zip(columns.values(), signs, strict=True)])


def column(values: Any, name: str) -> np.ndarray:
    """A column of numbers.

    Args:
      values: numbers [n].
      name: what they are, for the message.

    Returns:
      float64 [n], a copy.

    Raises:
      InputError: of another shape, or no numbers.
    """
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} holds something that is no number ({error}); allowed: numbers; do: correct or leave"
                         " out the column") from None  # fmt: skip
    if array.ndim != 1:
        raise InputError(f"{name} has shape {array.shape}; allowed: [n]; do: give one number an architecture")
    return array


def _dense(values: np.ndarray) -> np.ndarray:
    """Ranks without gaps, from 1 up, float64 [rows, n]."""
    return np.stack([np.unique(row, return_inverse=True)[1].reshape(-1) + 1.0 for row in values])


def _exact_ties(total: np.ndarray) -> np.ndarray:
    """Sums without their last digits: equal ranks in another order are a tie, not a matter of rounding."""
    return np.round(total, 12)


def _product(values: np.ndarray) -> np.ndarray:
    """Logarithm of the product of each column; one step below the least where it is 0."""
    highest = np.finfo(np.float64).max
    total = np.zeros(values.shape[1])
    for row in values:
        finite = row[np.isfinite(row)]
        least = finite.min() if len(finite) else 0.0
        shifted = np.clip(row, -highest, highest) - least if least <= 0 else np.minimum(row, highest)
        with np.errstate(divide="ignore"):
            total += np.log(np.maximum(shifted, 0.0))
    real = total[np.isfinite(total)]
    return np.where(np.isfinite(total), total, real.min() - 1.0 if len(real) else 0.0)


def _votes(values: np.ndarray) -> np.ndarray:
    """Share of the others that each beats by a majority, half for a draw."""
    number = values.shape[1]
    won = np.empty(number)
    for start in range(0, number, _BLOCK):
        margin = np.zeros((min(_BLOCK, number - start), number), np.int32)
        for row in values:
            mine = row[start : start + _BLOCK, None]
            margin += mine > row
            margin -= mine < row
        won[start : start + _BLOCK] = (margin > 0).sum(1) + ((margin == 0).sum(1) - 1) / 2  # less itself
    return won / max(number - 1, 1)
