"""Rows of finished epochs (SQLite): one file, or one a process, merged on read.

An epoch of a block is saved in this order: first the state of its networks, by `nasjax.checkpoint`, together with the
rows of that epoch; then the rows, here, in one transaction. A kill between the two leaves a state whose rows are
missing: the next run takes them from the state. So no epoch is trained twice, and as a row is known by architecture,
task, seed and epoch, writing one again changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pathlib
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from nasjax.records import database
from nasjax.types import InputError

FILENAME = "benchmark.sqlite"
_LAYOUT = database.Layout(
    0x6E617362,  # "nasb"
    1,
    (
        """CREATE TABLE IF NOT EXISTS epochs (
          arch TEXT NOT NULL, task TEXT NOT NULL, seed INTEGER NOT NULL, epoch INTEGER NOT NULL,
          train_loss REAL, valid_loss REAL, valid_accuracy REAL, test_accuracy REAL, seconds REAL,
          device TEXT NOT NULL, valid INTEGER NOT NULL, reason TEXT NOT NULL,
          PRIMARY KEY (arch, task, seed, epoch)) WITHOUT ROWID""",
        """CREATE TABLE IF NOT EXISTS runs (
          started REAL NOT NULL, process INTEGER NOT NULL, description TEXT NOT NULL,
          PRIMARY KEY (started, process)) WITHOUT ROWID""",
    ),
)


class Row(NamedTuple):
    """One epoch of the training of one architecture.

    Attributes:
      arch: official encoding.
      task: name of the task.
      seed: of the training.
      epoch: counted from 1.
      train_loss: mean loss over the steps of the epoch.
      valid_loss: mean loss over the validation images, after the epoch.
      valid_accuracy: percent of the validation images, after the epoch.
      test_accuracy: percent of the test images, after the last epoch; NaN before.
      seconds: wall time of the epoch's training and evaluation, the block's by the number of its architectures;
        compilation excluded.
      device: kind of the device.
      valid: whether loss and accuracies are numbers.
      reason: why not; empty when valid.
    """

    arch: str
    task: str
    seed: int
    epoch: int
    train_loss: float
    valid_loss: float
    valid_accuracy: float
    test_accuracy: float
    seconds: float
    device: str
    valid: bool
    reason: str


class EpochStore:
    """The rows of a benchmark; use it as a context manager."""

    def __init__(self, directory: str | os.PathLike[str], *, process: int | None = None, read_only: bool = False):
        """Opens the store of a directory, made on first use.

        Args:
          directory: where the files lie.
          process: number of this process, whose file is written; None writes the one common file.
          read_only: never make a file, and refuse ``put``.

        Raises:
          InputError: there is nothing to read, or a file is foreign, damaged or cannot be written.
        """
        self.directory = pathlib.Path(directory)
        base = self.directory / FILENAME
        self.path = base if process is None else base.with_name(f"{base.stem}-{process:d}{base.suffix}")
        self._process = process or 0
        if read_only:
            files = _files(self.directory)
            if not files:
                raise InputError(f"No benchmark in {directory}: expected {FILENAME}. Run launch.benchmark with this"
                                 " --workdir first, or name another directory.")  # fmt: skip
            self.path = self.path if self.path in files else files[0]
        else:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"Cannot make the directory {directory}: {error.strerror}. Name a directory that you"
                                 " may write to.") from None  # fmt: skip
        self._connection = database.connect(self.path, read_only=read_only, layout=_LAYOUT)

    def __enter__(self) -> Self:
        """Returns the store itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes the store."""
        self.close()

    def close(self) -> None:
        """Closes the file; nothing is lost without it."""
        self._connection.close()

    def put(self, rows: Iterable[Row]) -> None:
        """Writes rows in one durable transaction; a row of the same architecture, task, seed and epoch is replaced.

        Args:
          rows: all or none of them are in the store when this returns or fails.

        Raises:
          InputError: the file cannot be written.
        """
        values = [[*row[:4], *map(float, row[4:9]), row.device, int(row.valid), row.reason] for row in rows]
        if values:
            marks = ", ".join("?" * len(Row._fields))
            with database.transaction(self._connection, self.path) as connection:
                connection.executemany(f"INSERT OR REPLACE INTO epochs VALUES ({marks})", values)

    def rows(self, *, task: str | None = None, seed: int | None = None) -> list[Row]:
        """Reads the rows of all files.

        Args:
          task: only this task.
          seed: only this seed.

        Returns:
          The rows by architecture, task, seed and epoch; those of this store's own file win.

        Raises:
          InputError: a file is damaged or foreign.
        """
        query = "SELECT * FROM epochs WHERE task = coalesce(?, task) AND seed = coalesce(?, seed)"
        found = {row[:4]: row for row in self._select(query, task, seed)}
        return [_row(found[key]) for key in sorted(found)]

    def begin(self, description: Mapping[str, Any]) -> None:
        """Notes that a run starts.

        Args:
          description: versions of packages, devices; what JSON can hold.
        """
        text = json.dumps(description, sort_keys=True)
        with database.transaction(self._connection, self.path) as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (time.time(), self._process, text))

    def runs(self) -> list[dict[str, Any]]:
        """The runs of all processes, oldest first: what ``begin`` was told, with "started" and "process"."""
        rows = sorted(self._select("SELECT * FROM runs"))
        return [{"started": started, "process": process} | json.loads(text) for started, process, text in rows]

    def _select(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of all files, those of this store's own file last."""
        rows: list[tuple[Any, ...]] = []
        for file in (f for f in _files(self.directory) if f != self.path):
            with contextlib.closing(database.connect(file, read_only=True, layout=_LAYOUT)) as connection:
                rows += database.fetch(connection, file, query, values)
        return rows + database.fetch(self._connection, self.path, query, values)


def _files(directory: pathlib.Path) -> list[pathlib.Path]:
    """The existing files of a store."""
    return sorted(f for f in directory.glob("benchmark*.sqlite") if re.fullmatch(r"benchmark(-\d+)?\.sqlite", f.name))


def _row(values: tuple[Any, ...]) -> Row:
    """A row of the table; SQLite keeps NaN as NULL."""
    row = Row._make(math.nan if value is None else value for value in values)
    return row._replace(valid=bool(row.valid))
