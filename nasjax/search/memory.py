"""What a running search knows, as NumPy arrays of fixed size: the part of its state that is no algorithm's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from nasjax.search.base import History
from nasjax.search.objectives import Objective, Outcome
from nasjax.types import InputError


@dataclasses.dataclass
class Memory:
    """Scored architectures, in the order of scoring; rows from ``count`` on are unused.

    Attributes:
      archs: int32 [N, g].
      columns: float64 [N, m].
      alive: bool [N]; False for architectures whose output does not depend on the input.
      generation: int32 [N].
      proposed: bool [N].
      costs: float64 [N, c].
      seconds: float64 [N].
      reasons: ``count`` texts.
      count: how many rows are used.
    """

    archs: np.ndarray
    columns: np.ndarray
    alive: np.ndarray
    generation: np.ndarray
    proposed: np.ndarray
    costs: np.ndarray
    seconds: np.ndarray
    reasons: list[str]
    count: int = 0

    @classmethod
    def empty(cls, size: int, genes: int, columns: int, costs: int) -> Memory:
        """Nothing scored yet, with room for ``size`` architectures."""
        return cls(
            np.zeros((size, genes), np.int32),
            np.full((size, columns), np.nan),
            np.zeros(size, bool),
            np.full(size, -1, np.int32),
            np.zeros(size, bool),
            np.full((size, costs), np.nan),
            np.zeros(size),
            [],
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays, for a checkpoint."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("reasons", "count")}

    def add(
        self,
        archs: np.ndarray,
        proposed: np.ndarray,
        generation: int,
        alive: np.ndarray,
        outcome: Outcome,
        costs: np.ndarray,
    ) -> None:
        """Appends one generation."""
        rows = slice(self.count, self.count + len(archs))
        self.archs[rows], self.proposed[rows], self.generation[rows] = archs, proposed, generation
        self.alive[rows], self.columns[rows], self.costs[rows] = alive, outcome.columns, costs
        self.seconds[rows] = outcome.seconds
        self.reasons += outcome.reasons
        self.count = rows.stop

    def scores(self, objective: Objective) -> np.ndarray:
        """Scores of all rows in use, float64 [count]: merged within the living ones, -inf where invalid.

        Raises:
          InputError: the objective does not give one number an architecture.
        """
        alive = np.flatnonzero(self.alive[: self.count])
        found = np.full(self.count, -np.inf)
        if len(alive):
            own = np.asarray(objective.combine(self.columns[alive]), np.float64)
            if own.shape != (len(alive),):
                raise InputError(
                    f"the objective merged {len(alive)} architectures into an array of shape {list(own.shape)}; "
                    f"allowed: [{len(alive)}]"
                )
            found[alive] = np.where(np.isfinite(own), own, -np.inf)
        return found

    def history(self, scores: np.ndarray, goals: Sequence[int]) -> History:
        """What algorithms see.

        Args:
          scores: float64 [count].
          goals: which costs count.

        Returns:
          arrays of the full size.
        """
        size = len(self.archs)
        ranked = np.full(size, -np.inf, np.float32)
        sound = np.isfinite(scores)
        ranked[: self.count][sound] = _dense(scores[sound])
        costs = np.zeros((size, len(goals)), np.float32)
        for i, goal in enumerate(goals):
            costs[: self.count, i] = _dense(np.nan_to_num(self.costs[: self.count, goal], nan=np.inf))
        # Copies: JAX may read the memory of an array later than it is given.
        copies = [self.archs, ranked, costs, self.generation, self.proposed, np.int32(self.count)]
        return History(*(jnp.array(array) for array in copies))


def evaluate(objective: Objective, space: Any, archs: np.ndarray, progress: Any = None) -> tuple[np.ndarray, Outcome]:
    """Numbers of a generation; dead architectures are left out of the call.

    Args:
      objective: what is maximised.
      space: search space.
      archs: int32 [n, g].
      progress: called as progress(done, n).

    Returns:
      which are alive, bool [n]; the numbers, NaN and the reason for dead ones.

    Raises:
      InputError: the objective's numbers do not fit.
    """
    life = [space.is_valid(arch) for arch in archs]
    alive = np.array([sound for sound, _ in life], bool)
    columns = np.full((len(archs), len(objective.names)), np.nan)
    reasons = [reason for _, reason in life]
    seconds = np.zeros(len(archs))
    if alive.any():
        found = objective.evaluate(space, archs[alive], progress=progress)
        shape = (int(alive.sum()), columns.shape[1])
        if np.shape(found.columns) != shape:
            raise InputError(
                f"the objective gave numbers of shape {list(np.shape(found.columns))} for {shape[0]} architectures; "
                f"allowed: {list(shape)}, a column for each of {', '.join(objective.names)}"
            )
        columns[alive], seconds[alive] = found.columns, found.seconds
        for place, reason in zip(np.flatnonzero(alive), found.reasons, strict=True):
            reasons[place] = reason
    return alive, Outcome(columns, reasons, seconds)


def _dense(values: np.ndarray) -> np.ndarray:
    """0 for the lowest distinct value, 1 for the next, ...: float32 [n]."""
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.float32)
