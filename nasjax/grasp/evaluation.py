"""How well scores rank held-out architectures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax import metrics
from nasjax.types import InputError

KS = (1, 5, 10, 50)


class Evaluation(NamedTuple):
    """Metrics of one ranking; numbers at k are dictionaries k -> value.

    Attributes:
      number: architectures compared.
      kendall: Kendall's tau-b.
      spearman: Spearman's rank correlation.
      precision: share of the k best by target among the k best by score.
      best: best target among the k best by score.
      regret: best target of all less ``best``.
      best_rank: N@k: rank by target, from 1, of the best architecture among the k best by score.
      selected: target of the architecture among the k best by score that is best by ``validation``: what a search gets
        that may not look at the target. Empty without validation.
    """

    number: int
    kendall: float
    spearman: float
    precision: dict[int, float]
    best: dict[int, float]
    regret: dict[int, float]
    best_rank: dict[int, float]
    selected: dict[int, float]

    def row(self) -> dict[str, float]:
        """All numbers under flat names, such as "precision@10" and "N@10".

        Returns:
          name -> number.
        """
        named = {"precision": self.precision, "best": self.best, "regret": self.regret, "N": self.best_rank,
                 "selected": self.selected}  # fmt: skip
        flat = {f"{name}@{k}": value for name, values in named.items() for k, value in values.items()}
        return {"number": self.number, "kendall": self.kendall, "spearman": self.spearman, **flat}


def evaluate(scores: Any, targets: Any, *, ks: Sequence[int] = KS, validation: Any = None) -> Evaluation:
    """Compares scores with targets.

    Args:
      scores: numbers [n] of architectures that were not trained on.
      targets: finite numbers [n], higher is better.
      ks: sizes of the top; those above n are left out.
      validation: numbers [n] that may choose within the top, such as validation accuracies.

    Returns:
      the metrics.

    Raises:
      InputError: lengths differ, fewer than two architectures, NaN, or no k that fits.
    """
    tau, rho = metrics.kendall(scores, targets), metrics.spearman(scores, targets)
    scores, targets = np.asarray(scores, np.float64), np.asarray(targets, np.float64)
    fitting = [int(k) for k in ks if 1 <= k <= len(scores)]
    if not fitting:
        raise InputError(f"ks={tuple(ks)} for {len(scores)} architectures; allowed: 1..{len(scores)}")
    # Ties of scores are broken by position.
    order, rank = np.argsort(-scores, kind="stable"), _rank(targets)
    precision = {k: metrics.precision_at_k(scores, targets, k) for k in fitting}
    regret = {k: metrics.regret(scores, targets, k) for k in fitting}
    best = {k: float(targets.max() - regret[k]) for k in fitting}
    best_rank = {k: float(rank[order[:k]].min()) for k in fitting}
    selected: dict[int, float] = {}
    if validation is not None:
        chosen = np.asarray(validation, np.float64)
        if chosen.shape != scores.shape or np.isnan(chosen).any():
            raise InputError(f"validation of shape {list(chosen.shape)}, or with NaN; allowed: numbers [{len(scores)}]")
        selected = {k: float(targets[order[:k][np.argmax(chosen[order[:k]])]]) for k in fitting}
    return Evaluation(len(scores), tau, rho, precision, best, regret, best_rank, selected)


def _rank(targets: np.ndarray) -> np.ndarray:
    """1 for the best; equals share the best rank."""
    ordered = np.sort(targets)
    return len(targets) - np.searchsorted(ordered, targets, side="right") + 1
