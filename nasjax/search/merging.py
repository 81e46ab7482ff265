"""How the columns of an objective become one score, with weights; numbers of tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasjax.search.aggregation import KINDS, aggregate
from nasjax.types import InputError

_WEIGHTED = ("ranksum", "logrank", "denserank")  # sums over columns


def merge(columns: Mapping[str, np.ndarray], kind: str, weights: Sequence[float]) -> np.ndarray:
    """Scores from columns: one column as it is, several by their ranks among the rows where all are finite.

    Args:
      columns: name -> float64 [N], higher is better.
      kind: one of `nasjax.search.aggregation.KINDS`.
      weights: of each column; a negative one prefers low values.

    Returns:
      float64 [N]; -inf in rows with a number missing.
    """
    values = np.stack(list(columns.values()))
    sound = np.isfinite(values).all(0)
    scores = np.full(values.shape[1], -np.inf)
    if not sound.any():
        return scores
    if len(values) == 1:
        scores[sound] = values[0, sound] * weights[0]
        return scores
    signs = [1 if w > 0 else -1 for w in weights]
    if all(abs(w) == 1 for w in weights):
        scores[sound] = aggregate({n: c[sound] for n, c in columns.items()}, kind=kind, signs=signs)
    else:
        each = zip(columns.items(), signs, strict=True)
        parts = [aggregate({n: c[sound]}, kind=kind, signs=[sign]) for (n, c), sign in each]
        scores[sound] = np.abs(np.asarray(weights, np.float64)) @ np.stack(parts)
    return scores


def check_weights(names: Sequence[str], kind: str, weights: Sequence[float]) -> None:
    """Refuses weights that do not fit.

    Args:
      names: of the columns.
      kind: how they are merged.
      weights: one a column.

    Raises:
      InputError: there are none, one is 0 or no number, or the kind knows no weights.
    """
    if not names:
        raise InputError("the objective has no part; allowed: one or more; do: name what is to be maximised")
    if kind not in KINDS:
        raise InputError(f"aggregation {kind!r}; allowed: {', '.join(KINDS)}; do: choose one of them")
    sound = [isinstance(w, int | float) and not isinstance(w, bool) and math.isfinite(w) and w != 0 for w in weights]
    if len(weights) != len(names) or not all(sound):
        raise InputError(
            f"weights {list(weights)!r} of {', '.join(names)}; allowed: one finite number each, not 0; do: correct them"
        )
    if kind not in _WEIGHTED and any(abs(w) != 1 for w in weights):
        raise InputError(
            f"weights {list(weights)!r} with aggregation {kind!r}; allowed: 1 and -1, or one of "
            f"{', '.join(_WEIGHTED)}; do: change one of both"
        )


def numbers(table: Any, name: str) -> np.ndarray:
    """A column of a table.

    Args:
      table: pandas table.
      name: of the column.

    Returns:
      float64 [n], NaN where there is none.

    Raises:
      InputError: it holds something else than numbers.
    """
    try:
        found: np.ndarray = table[name].astype("float64").to_numpy()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"column {name!r} of the table does not hold numbers ({error}); allowed: columns of numbers; do: name "
            "another one"
        ) from None
    return found
