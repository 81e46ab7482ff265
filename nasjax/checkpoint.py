"""State of a long job on disk, by orbax: written whole or not at all, found again after any stop."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import pathlib
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from nasjax import parallel
from nasjax.locking import Lock
from nasjax.types import InputError, PyTree

_log = logging.getLogger(__name__)
_STOPPING = (signal.SIGINT, signal.SIGTERM)
# What orbax and JSON of another form raise; InputError is a ValueError.
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, MemoryError)

_ABOUT = "*/_CHECKPOINT_METADATA"  # what orbax reads of every state when it opens a directory


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

    A state that ``save`` has returned from survives a kill and a power cut; a half-written one is never seen. While it
    is open, no other job may open it. Of several processes (`nasjax.parallel.initialize`), the first reads and writes,
    and the others are given what it reads: all call all methods, and only the first needs to see the directory. With
    ``own=True`` a directory belongs to this process, whatever the others do.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, keep: int = 2, read_only: bool = False, own: bool = False
    ) -> None:
        """Opens a directory, made on first use.

        Args:
          directory: where the states lie, and nothing else.
          keep: how many of the newest are kept.
          read_only: never save, and look at the states of a job that may be going on.
          own: whether the states are those of this process alone.

        Raises:
          InputError: the directory cannot be made, what describes its states is damaged, or another job that is going
            on has it open.
        """
        self.directory = pathlib.Path(directory).absolute()
        self._manager: Any = None
        self._damaged: list[int] = []
        self._lock: Lock | None = None
        self._together = not own and parallel.process_count() > 1
        if self._together and not parallel.is_main():
            return
        import orbax.checkpoint as ocp  # takes a second to import

        _hush()
        with _clear_errors(self.directory):
            if read_only and not self.directory.is_dir():
                return
            if not read_only:
                self.directory.mkdir(parents=True, exist_ok=True)
                self._lock = Lock.take(self.directory, what="The state of a job")
            # One process alone: orbax would wait for all of them.
            process = parallel.process_index()
            alone = ocp.options.MultiprocessingOptions(
                primary_host=process, active_processes={process}, barrier_sync_key_prefix=f"process{process}"
            )
            with _quiet():
                options = ocp.CheckpointManagerOptions(
                    max_to_keep=keep, enable_async_checkpointing=False, create=False, read_only=read_only,
                    multiprocessing_options=alone,
                )
                self._manager = self._opened(ocp, options)

    def _opened(self, ocp: Any, options: Any) -> Any:
        """Orbax's manager, which reads what describes each state."""
        try:
            return ocp.CheckpointManager(self.directory, options=options)
        except _UNREADABLE as error:
            if isinstance(error, OSError) or "os_error_code" in str(error):
                raise
            if self._lock is not None:
                self._lock.release()
            broken = ", ".join(sorted(path.parent.name for path in self.directory.glob(_ABOUT) if not _is_object(path)))
            raise InputError(
                f"the states in {self.directory} cannot be opened ({error}); do: remove the directory "
                f"{broken or 'of the damaged state'} there to go on from the state before it, or restore it from a copy"
            ) from error

    def __enter__(self) -> Self:
        """Returns the object itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes the directory."""
        self.close()

    def close(self) -> None:
        """Closes the directory; nothing is lost without it."""
        if self._manager is not None:
            self._manager.close()
        if self._lock is not None:
            self._lock.release()

    def steps(self) -> list[int]:
        """Numbers of the saved states, oldest first."""
        return list(parallel.shared("steps", self._steps)) if self._together else self._steps()

    def _steps(self) -> list[int]:
        return sorted(int(step) for step in self._manager.all_steps()) if self._manager is not None else []

    def save(self, step: int, arrays: PyTree, meta: Mapping[str, Any]) -> None:
        """Saves a state and waits until it is on disk.

        Args:
          step: its number, larger than those before.
          arrays: pytree of arrays of numbers; typed keys as their words (``jax.random.key_data``).
          meta: what JSON can hold.

        Raises:
          InputError: it cannot be written; the states before stay.
        """
        if self._together and not parallel.is_main():
            return
        import orbax.checkpoint as ocp

        numbered = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(arrays))}
        shapes = {name: [array.dtype.name, *array.shape] for name, array in numbered.items()}
        texts = {"meta": dict(meta), "shapes": shapes}
        state, text = ocp.args.StandardSave(numbered), ocp.args.JsonSave(texts)
        # What fails is raised: orbax's own report of it, with a traceback, would only be in the way.
        with _uninterrupted(), _clear_errors(self.directory), _quiet(logging.CRITICAL):
            while self._damaged:  # orbax would leave out a state that is not newer than all others
                self._manager.delete(self._damaged[-1])
                self._damaged.pop()
            self._manager.save(step, args=ocp.args.Composite(state=state, texts=text))
            self._manager.wait_until_finished()

    def newest_meta(self) -> dict[str, Any]:
        """What was saved beside the newest arrays that is readable; empty if nothing is."""
        return dict(parallel.shared("meta", self._newest_meta) if self._together else self._newest_meta())

    def _newest_meta(self) -> dict[str, Any]:
        for step in reversed(self._steps()):
            with contextlib.suppress(*_UNREADABLE):
                return dict(self._texts(step)["meta"])
        return {}

    def restore(self, like: PyTree) -> Saved | None:
        """Reads the newest state that is whole; newer ones that cannot be read go with the next ``save``.

        Args:
          like: pytree of the structure that was saved; what its leaves are does not matter.

        Returns:
          The state, or None where nothing was saved.

        Raises:
          InputError: states are there, and none can be read as this structure.
        """
        if not self._together:
            return self._restore(like)
        packed = b""

        def read() -> list[Any] | None:
            nonlocal packed
            saved = self._restore(like)
            if saved is None:
                return None
            packed = _packed(jax.tree.leaves(saved.arrays))
            return [saved.step, saved.meta]

        head = parallel.shared("state", read)
        if head is None:
            return None
        arrays = _unpacked(parallel.gather_bytes("arrays", packed)[0])
        return Saved(int(head[0]), jax.tree.unflatten(jax.tree.structure(like), arrays), dict(head[1]))

    def _restore(self, like: PyTree) -> Saved | None:
        import orbax.checkpoint as ocp

        leaves, structure = jax.tree.flatten(like)
        failure: Exception | None = None
        damaged: list[int] = []
        for step in reversed(self._steps()):
            try:
                texts = self._texts(step)
                if len(texts["shapes"]) != len(leaves):
                    raise ValueError(f"{len(texts['shapes'])} arrays, expected {len(leaves)}")
                wanted = {name: np.zeros(shape, kind) for name, (kind, *shape) in texts["shapes"].items()}
                with _quiet():
                    args = ocp.args.StandardRestore(wanted)
                    found = self._manager.restore(step, args=ocp.args.Composite(state=args))["state"]
                arrays = [np.asarray(found[str(i)]) for i in range(len(leaves))]
                self._damaged = damaged
                return Saved(step, jax.tree.unflatten(structure, arrays), dict(texts["meta"]))
            except _UNREADABLE as error:
                failure = error
            damaged.append(step)
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


def _is_object(path: pathlib.Path) -> bool:
    """Whether a file holds a JSON object."""
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        return False


def _packed(arrays: list[Any]) -> bytes:
    """Arrays as bytes; unlike NumPy's own format it keeps bfloat16."""
    head = json.dumps([[array.dtype.name, *array.shape] for array in arrays]).encode("ascii")
    return b"\n".join([head, b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)])


def _unpacked(raw: bytes) -> list[np.ndarray]:
    head, content = raw.split(b"\n", 1)
    arrays, start = [], 0
    for name, *shape in json.loads(head):
        count, kind = math.prod(shape), np.dtype(name)
        arrays.append(np.frombuffer(content, kind, count, start).reshape(shape).copy())
        start += count * kind.itemsize
    return arrays


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
    """Says in one sentence what the operating system refused."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, ValueError):  # tensorstore, which writes the arrays, has no OSError
            found = re.search(r"os_error_code='(\d+)'", str(error))
            if found is None:
                raise
            reason = os.strerror(int(found[1]))
        raise InputError(
            f"Cannot write the state of the job to {directory}: {reason}. Make room or name a directory that you may "
            "write to; what was saved before is kept."
        ) from error


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Puts Ctrl-C and SIGTERM off to the end: orbax's threads would complain. Another thread never gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    ours = [number for number in _STOPPING if signal.getsignal(number) is not None]  # None: another library's, in C
    before = {number: signal.signal(number, lambda number, frame: asked.append(number)) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        handler = before[signal.Signals(asked[0])]
        if callable(handler):  # not sent again: who counts signals would take it for a second one
            handler(asked[0], None)
        else:
            signal.raise_signal(asked[0])


@contextlib.contextmanager
def _quiet(least: int = logging.ERROR) -> Iterator[None]:
    """Keeps orbax's remarks on every save out of the output; errors still show."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(least)
    try:
        yield
    finally:
        logger.setLevel(level)


def _hush() -> None:
    """Keeps from the terminal what tensorstore's threads say when one part of a state fails while others are under way.

    They report to an event loop that orbax has closed, and Python prints a traceback for each; the failure itself is
    raised where it belongs.
    """
    before = sys.unraisablehook
    if getattr(before, "hushes", False):
        return

    def hook(told: Any) -> None:
        if told.exc_type is not RuntimeError or str(told.exc_value) != "Event loop is closed":
            before(told)

    hook.hushes = True  # type: ignore[attr-defined]
    sys.unraisablehook = hook
