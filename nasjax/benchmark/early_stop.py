"""When a ranking is settled: rank correlation between the epochs of training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nasjax import metrics
from nasjax.types import InputError

OFFLINE = 0.90
ONLINE = 0.95


def rank_stability(curves: Any) -> dict[str, np.ndarray]:
    """Compares the ranking of every epoch with the last one and with the one before.

    Args:
      curves: validation accuracy, float [n, E], of n architectures after epochs 1 to E; rows that hold NaN (failed
        trainings) are left out.

    Returns:
      Columns float64 [E]: "epoch" from 1, "spearman" and "kendall" (tau-b) with epoch E, "step" (Spearman with the
      epoch before; NaN for the first). NaN where all architectures are equal.

    Raises:
      InputError: fewer than three architectures, or not two dimensions.
    """
    values = _checked(curves)
    last = values[:, -1]
    epochs = values.shape[1]
    step = [math.nan] + [metrics.spearman(values[:, e], values[:, e - 1]) for e in range(1, epochs)]
    return {
        "epoch": np.arange(1, epochs + 1, dtype=np.float64),
        "spearman": np.array([metrics.spearman(values[:, e], last) for e in range(epochs)]),
        "kendall": np.array([metrics.kendall(values[:, e], last) for e in range(epochs)]),
        "step": np.array(step),
    }


def offline_epoch(curves: Any, *, threshold: float = OFFLINE) -> int | None:
    """The smallest epoch e with Spearman(e, E) of at least a threshold; for a pilot trained to the end.

    Args:
      curves: float [n, E], see ``rank_stability``.
      threshold: of the correlation.

    Returns:
      The epoch, counted from 1; None where accuracies of the last epoch are all equal.

    Raises:
      InputError: see ``rank_stability``.
    """
    reached = np.flatnonzero(rank_stability(curves)["spearman"] >= threshold)
    return int(reached[0]) + 1 if len(reached) else None


def online_epoch(curves: Any, *, threshold: float = ONLINE, twice: int = 2) -> int | None:
    """The epoch at which training may stop: Spearman(e, e - 1) of at least a threshold ``twice`` running.

    It knows nothing of later epochs, so it can be asked while networks train.

    Args:
      curves: float [n, E] so far, see ``rank_stability``.
      threshold: of the correlation.
      twice: how many epochs running.

    Returns:
      The epoch, counted from 1; None if training should go on.

    Raises:
      InputError: see ``rank_stability``.
    """
    running = 0
    for epoch, value in enumerate(rank_stability(curves)["step"], 1):
        running = running + 1 if value >= threshold else 0
        if running == twice:
            return epoch
    return None


def _checked(curves: Any) -> np.ndarray:
    values = np.asarray(curves, np.float64)
    if values.ndim != 2 or values.shape[1] < 1:
        raise InputError(f"curves have shape {values.shape}; allowed: [architectures, epochs]; do: give one row each")
    kept = values[np.isfinite(values).all(axis=1)]
    if len(kept) < 3:
        raise InputError(
            f"{len(kept)} architectures with an accuracy at every epoch; allowed: three or more; do: train more"
        )
    return kept
