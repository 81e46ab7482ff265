"""What a search returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nasjax.search.nsga2 import pareto_front
from nasjax.types import InputError


class SearchResult(NamedTuple):
    """Everything a search has scored, in the order of scoring, and the best of it.

    Attributes:
      space: the search space.
      algorithm: name of the algorithm.
      archs: int32 [n, g].
      encodings: official encodings, length n.
      columns: name -> float64 [n], the numbers behind the scores, such as those of each proxy.
      scores: float64 [n], higher is better; of several proxies merged by rank, within these n. -inf where invalid.
      valid: bool [n]; False for dead architectures, and where a number is missing.
      reasons: n texts: why an architecture is invalid.
      generation: int32 [n].
      proposed: bool [n]; False for architectures drawn at random to fill a generation.
      costs: name -> float64 [n]: "params", "flops" (multiply-adds), and what was asked for beside them.
      goals: names among ``costs`` that the front weighs against the score.
      seconds: float64 [n], time of each architecture.
      elapsed: seconds of the whole search; of all its runs, if it was stopped.
      stopped: why it ended before its budget; empty if it did not.
    """

    space: Any
    algorithm: str
    archs: np.ndarray
    encodings: list[str]
    columns: dict[str, np.ndarray]
    scores: np.ndarray
    valid: np.ndarray
    reasons: list[str]
    generation: np.ndarray
    proposed: np.ndarray
    costs: dict[str, np.ndarray]
    goals: tuple[str, ...]
    seconds: np.ndarray
    elapsed: float
    stopped: str = ""

    @property
    def best_index(self) -> int:
        """Position of the best architecture; the earlier one among equals."""
        if not self.valid.any():
            reason = next((r for r in self.reasons if r), "no reason given")
            raise InputError(
                f"none of the {len(self.scores)} architectures is valid (the first: {reason}); do: check the "
                "objective, or search longer"
            )
        return int(np.argmax(self.scores))

    @property
    def best(self) -> np.ndarray:
        """The best architecture, int32 [g]."""
        found: np.ndarray = self.archs[self.best_index]
        return found

    @property
    def encoding(self) -> str:
        """Its official encoding."""
        return self.encodings[self.best_index]

    @property
    def score(self) -> float:
        """Its score."""
        return float(self.scores[self.best_index])

    @property
    def num_params(self) -> int:
        """Its trainable parameters."""
        return int(self.costs["params"][self.best_index])

    @property
    def flops(self) -> int:
        """Its multiply-adds for one image."""
        return int(self.costs["flops"][self.best_index])

    @property
    def front(self) -> np.ndarray:
        """Pareto front of the score against ``goals``: indices int [k], the cheapest first."""
        names = self.goals or ("params",)
        members = pareto_front(np.stack([self.scores, *(-self.costs[name] for name in names)], 1))
        found: np.ndarray = members[np.argsort(self.costs[names[0]][members], kind="stable")]
        return found

    def curve(self) -> np.ndarray:
        """Best score among the first 1, 2, ..., n architectures, float64 [n]; by the final scores."""
        found: np.ndarray = np.maximum.accumulate(self.scores)
        return found

    def top(self, num: int) -> np.ndarray:
        """Indices of the best, best first: int [at most num]; valid ones alone."""
        order = np.argsort(-self.scores, kind="stable")
        found: np.ndarray = order[self.valid[order]][:num]
        return found

    def table(self) -> Any:
        """One row an architecture, in the order of scoring: pandas table."""
        import pandas as pd

        front = np.zeros(len(self.scores), bool)
        front[self.front] = True
        return pd.DataFrame(
            {
                "arch": self.encodings,
                "score": self.scores,
                **{name: values for name, values in self.columns.items() if name not in ("score", *self.costs)},
                **{name: v.astype(np.int64) if name in ("params", "flops") else v for name, v in self.costs.items()},
                "generation": self.generation,
                "proposed": self.proposed,
                "front": front,
                "valid": self.valid,
                "reason": self.reasons,
                "seconds": self.seconds,
            }
        )
