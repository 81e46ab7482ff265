"""The saved state of a training: the last ones, to go on from, and the best."""

from __future__ import annotations

import logging
import os
import pathlib
from typing import Any, Self

import jax
import numpy as np

from nasjax.checkpoint import Checkpoints, check_same
from nasjax.spaces.base import bind_one
from nasjax.types import InputError, PyTree, Variables

_log = logging.getLogger(__name__)
_DIRECTORY, _LAST, _BEST = "checkpoints", "last", "best"


class Saves:
    """States of one training on disk; use it as a context manager."""

    def __init__(self, workdir: str | os.PathLike[str], described: dict[str, Any]) -> None:
        """Opens the directory, made on first use.

        Args:
          workdir: of the training; states lie in ``checkpoints`` below it.
          described: what decides the numbers; a state of another training is refused.

        Raises:
          InputError: the directory cannot be made, or holds another training.
        """
        base = pathlib.Path(workdir) / _DIRECTORY
        self._described = described
        self._last = Checkpoints(base / _LAST)
        self._best = Checkpoints(base / _BEST, keep=1)
        if self._last.steps():
            meta = self._last.newest_meta()
            if meta:  # otherwise nothing can be read, which ``restore`` says
                check_same(described, meta.get("training", {}), self._last.directory, what="training")

    def __enter__(self) -> Self:
        """Returns the object itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes the directory."""
        self._last.close()
        self._best.close()

    def restore(self, like: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
        """The newest readable state and what belongs to it, or None; a state that cannot be read is reported."""
        saved = self._last.restore(like)
        return None if saved is None else (saved.arrays, saved.meta)

    def save(self, step: int, state: PyTree, meta: dict[str, Any]) -> None:
        """Saves a state.

        Args:
          step: steps that are over.
          state: a `TrainState`.
          meta: what JSON can hold.

        Raises:
          InputError: it cannot be written; the states before stay.
        """
        self._last.save(step, state, {"training": self._described, **meta})

    def save_best(self, epoch: int, variables: Variables) -> None:
        """Saves the best variables, unless they are there. Comes after ``save``, which says that they are the best."""
        if epoch not in self._best.steps():
            self._best.save(epoch, variables, {"training": self._described})

    def best(self, epoch: int, like: PyTree) -> Variables | None:
        """The best variables, if they are those of an epoch and can be read."""
        if epoch not in self._best.steps():
            return None
        try:
            saved = self._best.restore(like)
        except InputError as error:  # nothing that the training goes on from
            _log.warning("%s", error)
            return None
        return None if saved is None or saved.step != epoch else saved.arrays


def load_variables(workdir: str | os.PathLike[str], space: Any, arch: PyTree) -> Variables:
    """The best variables of a training by its evaluation; without one, the last.

    Args:
      workdir: of the training.
      space: its search space.
      arch: its architecture.

    Returns:
      Variables of NumPy arrays.

    Raises:
      InputError: there are none.
    """
    base = pathlib.Path(workdir) / _DIRECTORY / _BEST
    if not base.is_dir():
        raise InputError(f"{workdir} holds no training ({base} is missing); do: name the workdir of one")
    bound = bind_one(space, arch)
    like = jax.eval_shape(bound.init, jax.random.key(0), jax.tree.map(np.asarray, arch))
    with Checkpoints(base, keep=1) as saved:
        found = saved.restore(like)
    if found is None:
        raise InputError(f"{base} holds no state; do: let the training finish an epoch")
    return found.arrays
