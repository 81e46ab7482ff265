"""Means over the steps of an epoch, read with a delay that keeps the device busy."""

from __future__ import annotations

import collections
import math
from typing import Any

import numpy as np

from nasjax.training.objectives import summary
from nasjax.types import PyTree

_IN_FLIGHT = 2  # steps handed to the device before the host waits for one


class DivergenceError(Exception):
    """A loss or a weight is no finite number; the message says which, without the epoch."""


class Meter:
    """Sums what steps return.

    Attributes:
      steps: int, steps that were read.
      rate: float, learning rate of the last of them.
    """

    def __init__(self, kind: str, saved: dict[str, Any] | None = None) -> None:
        """Begins an epoch, or goes on.

        Args:
          kind: of the targets.
          saved: of ``state``, from an earlier run.
        """
        self.kind = kind
        saved = saved or {"steps": 0, "loss": 0.0, "rate": 0.0, "sums": {}}
        self.steps, self.rate = int(saved["steps"]), float(saved["rate"])
        self._loss = float(saved["loss"])
        self._sums = {name: np.asarray(value, np.float64) for name, value in saved["sums"].items()}
        self._pending: collections.deque[PyTree] = collections.deque()

    def add(self, measures: PyTree) -> None:
        """Takes what a step returned, and reads an older one.

        Raises:
          DivergenceError: its loss is no finite number.
        """
        self._pending.append(measures)
        if len(self._pending) > _IN_FLIGHT:
            self._read()

    def finish(self) -> None:
        """Reads all that was taken.

        Raises:
          DivergenceError: a loss is no finite number.
        """
        while self._pending:
            self._read()

    def _read(self) -> None:
        measures = self._pending.popleft()
        loss = float(np.asarray(measures["loss"]))
        self.steps += 1
        if not math.isfinite(loss):
            raise DivergenceError(f"the loss of step {self.steps} is {loss}")
        self._loss += loss
        self.rate = float(np.asarray(measures["learning_rate"]))
        for name, value in measures["sums"].items():
            self._sums[name] = self._sums.get(name, 0.0) + np.asarray(value, np.float64)

    def state(self) -> dict[str, Any]:
        """What JSON can hold, exactly, to go on from; after ``finish``."""
        sums = {name: value.tolist() for name, value in self._sums.items()}
        return {"steps": self.steps, "loss": self._loss, "rate": self.rate, "sums": sums}

    def measures(self) -> dict[str, float]:
        """Means of the epoch: "loss" is what was descended, the others are of augmented images."""
        return summary(self.kind, self._sums) | {"loss": self._loss / self.steps}
