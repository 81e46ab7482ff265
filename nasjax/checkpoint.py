"""State of a long job on disk, by orbax: written whole or not at all, found again after any stop."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pathlib
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from nasjax.types import InputError, PyTree

_log = logging.getLogger(__name__)
_UNREADABLE = (OSError, ValueError, KeyError, TypeError)


class Saved(NamedTuple):
    """One saved state.

    Attributes:
      step: number it was saved under.
      arrays: pytree of NumPy arrays.
      meta: what JSON can hold.
    """

    step: int
    arrays: PyTree
    meta: dict[str, Any]


class Checkpoints:
    """The saved states of one job; use it as a context manager.

    A state that ``save`` has returned from survives a kill and a power cut; a half-written one is never seen.
    """

    def __init__(self, directory: str | os.PathLike[str], *, keep: int = 2) -> None:
        """Opens a directory, made on first use.

        Args:
          directory: where the states lie, and nothing else.
          keep: how many of the newest are kept.

        Raises:
          InputError: the directory cannot be made.
        """
        import orbax.checkpoint as ocp  # takes a second to import

        self.directory = pathlib.Path(directory).absolute()
        with _clear_errors(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
            with _quiet():
                self._manager = ocp.CheckpointManager(self.directory, options=options)

    def __enter__(self) -> Self:
        """Returns the object itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes the directory."""
        self.close()

    def close(self) -> None:
        """Closes the directory; nothing is lost without it."""
        self._manager.close()

    def steps(self) -> list[int]:
        """Numbers of the saved states, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, arrays: PyTree, meta: Mapping[str, Any]) -> None:
        """Saves a state and waits until it is on disk.

        Args:
          step: its number, larger than those before.
          arrays: pytree of arrays of numbers; typed keys as their words (``jax.random.key_data``).
          meta: what JSON can hold.

        Raises:
          InputError: it cannot be written; the states before stay.
        """
        import orbax.checkpoint as ocp

        numbered = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(arrays))}
        shapes = {name: [array.dtype.name, *array.shape] for name, array in numbered.items()}
        texts = {"meta": dict(meta), "shapes": shapes}
        state, text = ocp.args.StandardSave(numbered), ocp.args.JsonSave(texts)
        with _uninterrupted(), _clear_errors(self.directory), _quiet():
            self._manager.save(step, args=ocp.args.Composite(state=state, texts=text))
            self._manager.wait_until_finished()

    def newest_meta(self) -> dict[str, Any]:
        """What was saved beside the newest arrays that is readable; empty if nothing is."""
        for step in reversed(self.steps()):
            with contextlib.suppress(*_UNREADABLE):
                return dict(self._texts(step)["meta"])
        return {}

    def restore(self, like: PyTree) -> Saved | None:
        """Reads the newest state that is whole.

        Args:
          like: pytree of the structure that was saved; what its leaves are does not matter.

        Returns:
          The state, or None where nothing was saved.

        Raises:
          InputError: states are there, and none can be read as this structure.
        """
        import orbax.checkpoint as ocp

        leaves, structure = jax.tree.flatten(like)
        failure: Exception | None = None
        for step in reversed(self.steps()):
            try:
                texts = self._texts(step)
                if len(texts["shapes"]) != len(leaves):
                    raise ValueError(f"{len(texts['shapes'])} arrays, expected {len(leaves)}")
                wanted = {name: np.zeros(shape, kind) for name, (kind, *shape) in texts["shapes"].items()}
                with _quiet():
                    args = ocp.args.StandardRestore(wanted)
                    found = self._manager.restore(step, args=ocp.args.Composite(state=args))["state"]
                arrays = [np.asarray(found[str(i)]) for i in range(len(leaves))]
                return Saved(step, jax.tree.unflatten(structure, arrays), dict(texts["meta"]))
            except _UNREADABLE as error:
                failure = error
            _log.warning("the state %d in %s cannot be read: %s", step, self.directory, failure)
        if failure is not None:
            raise InputError(
                f"no state in {self.directory} can be read ({failure}); do: remove the directory to begin anew, or "
                "restore it from a copy"
            ) from failure
        return None

    def _texts(self, step: int) -> dict[str, Any]:
        """What JSON holds of a state."""
        import orbax.checkpoint as ocp

        with _quiet():
            found = self._manager.restore(step, args=ocp.args.Composite(texts=ocp.args.JsonRestore()))
        return dict(found["texts"])


def check_same(now: Mapping[str, Any], there: Mapping[str, Any], where: os.PathLike[str], *, what: str) -> None:
    """Refuses a saved state of another job.

    Args:
      now: what this job is, JSON-serialisable.
      there: what the saved one is.
      where: directory of the state.
      what: kind of job, for the message.

    Raises:
      InputError: they differ; the message lists where.
    """
    differing = _differences(json.loads(json.dumps(now)), dict(there))
    if differing:
        lines = "\n".join(f"  {name}: there {json.dumps(old)}, now {json.dumps(new)}" for name, old, new in differing)
        raise InputError(
            f"{where} holds the state of another {what}:\n{lines}\nUse another directory, or the same settings as "
            "before."
        )


def _differences(now: dict[str, Any], there: dict[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """Names of the values that differ, those of inner dictionaries joined by dots, with the old and the new value."""
    found = []
    for name in sorted({*now, *there}):
        old, new = there.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(new, old, f"{prefix}{name}.")
        elif old != new:
            found.append((f"{prefix}{name}", old, new))
    return found


@contextlib.contextmanager
def _clear_errors(directory: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Cannot write the state of the job to {directory}: {error.strerror or error}. Make room or name a "
            "directory that you may write to; what was saved before is kept."
        ) from error


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Puts Ctrl-C off to the end: orbax's threads would complain at length. Another thread never gets it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
    if asked:
        signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps orbax's remarks on every save out of the output; errors still show."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
