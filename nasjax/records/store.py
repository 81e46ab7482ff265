"""Crash-safe store of scores (SQLite).

A store is one file, ``scores.sqlite``, or one file a process (``scores-0.sqlite``, ...) where several
machines share a file system; reading merges them. Every ``put`` is one durable transaction: after a
kill, a power cut or a full disk a store holds exactly the rows whose ``put`` has returned.

The journal is SQLite's rollback journal and not its write-ahead log: the log needs shared memory, which
network file systems lack, and leaves rows in a second file that a copy of the first would miss.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pathlib
import re
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nasjax.records import database
from nasjax.records.workdir import write_scores
from nasjax.types import InputError

if TYPE_CHECKING:
    import pandas as pd

FILENAME = "scores.sqlite"
_SUFFIXES = (".sqlite", ".sqlite3", ".db")


class Record(NamedTuple):
    """The score of one architecture by one proxy.

    Attributes:
      context: identifies everything the score depends on but the architecture (space and options, proxy
        configuration and version, passes, data fingerprint, precision, seed).
      arch: official encoding of the architecture.
      proxy: name of the proxy.
      score: higher is better; NaN and infinities are kept as they are.
      raw: the value before direction and guards.
      valid: whether the score may be ranked.
      reason: why it may not; empty when valid.
      seconds: wall time spent on this architecture.
    """

    context: str
    arch: str
    proxy: str
    score: float
    raw: float
    valid: bool
    reason: str
    seconds: float


class Store:
    """A store of records; make one by ``Store.open`` and close it, or use it as a context manager."""

    def __init__(self, base: pathlib.Path, path: pathlib.Path, connection: sqlite3.Connection) -> None:
        """Wraps an open connection; users call ``Store.open``."""
        self._base = base
        self._path = path
        self._connection = connection

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, process: int | None = None, read_only: bool = False
    ) -> Store:
        """Opens the store of a directory, made on first use.

        Args:
          path: a directory, or a file ending in .sqlite, .sqlite3 or .db.
          process: number of this process when several write on a shared file system, each into its own
            file; None writes the one common file.
          read_only: never make a file and refuse ``put``.

        Returns:
          The open store.

        Raises:
          InputError: there is no store to read, or the file is foreign, damaged, of a newer version, or
            cannot be written.
        """
        base = _base_file(pathlib.Path(path))
        target = base if process is None else base.with_name(f"{base.stem}-{process:d}{base.suffix}")
        if read_only:
            files = _files(base)
            if not files:
                raise InputError(f"No score store in {base.parent}: expected {base.name}. Run launch.score with this"
                                 " --workdir first, or name another directory.")
            target = target if target in files else files[0]
        else:
            try:
                base.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"Cannot make the directory {base.parent}: {error.strerror}. Name a directory that"
                                 " you may write to.") from None
        return cls(base, target, database.connect(target, read_only=read_only))

    def __enter__(self) -> Store:
        """Returns the store itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes the store."""
        self.close()

    def close(self) -> None:
        """Closes the file; nothing is lost without it."""
        self._connection.close()

    @property
    def path(self) -> pathlib.Path:
        """The file that this store writes."""
        return self._path

    def put(self, rows: Iterable[Record]) -> None:
        """Writes rows in one durable transaction; a row of the same context, architecture and proxy is replaced.

        Args:
          rows: the records, all or none of which are in the store when this returns or fails.

        Raises:
          InputError: the file cannot be written (read-only, disk full, locked for a minute, damaged).
        """
        values = [
            (r.context, r.arch, r.proxy, float(r.score), float(r.raw), int(r.valid), r.reason, float(r.seconds))
            for r in rows
        ]
        if values:
            with database.transaction(self._connection, self._path) as connection:
                connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def get(
        self, context: str, archs: Iterable[str] | None = None, *, proxy: str | None = None
    ) -> dict[str, Record]:
        """Reads the records of one context from all files of the store.

        Args:
          context: the context to read.
          archs: only these architectures; None reads all.
          proxy: only this proxy; needed where a context holds several.

        Returns:
          The records by architecture.

        Raises:
          InputError: a file of the store is damaged or foreign.
          ValueError: the context holds several proxies and none was chosen.
        """
        wanted = None if archs is None else set(archs)
        found: dict[str, Record] = {}
        query = "SELECT * FROM scores WHERE context = ?1 AND (?2 IS NULL OR proxy = ?2)"
        for row in self._select(query, context, proxy):
            record = _record(row)
            if found.setdefault(record.arch, record).proxy != record.proxy:
                raise ValueError(f"context {context} holds several proxies; name one of them")
            found[record.arch] = record
        return found if wanted is None else {arch: r for arch, r in found.items() if arch in wanted}

    def describe(self, context: str, mapping: Mapping[str, Any]) -> None:
        """Writes what a context stands for, as JSON.

        Args:
          context: the context.
          mapping: anything that JSON can hold.
        """
        text = json.dumps(mapping, sort_keys=True)
        query = "SELECT description FROM contexts WHERE context = ?"
        if database.fetch(self._connection, self._path, query, (context,)) != [(text,)]:
            with database.transaction(self._connection, self._path) as connection:
                connection.execute("INSERT OR REPLACE INTO contexts VALUES (?, ?, ?)", (context, text, time.time()))

    def is_empty(self) -> bool:
        """Whether no file of the store holds a record."""
        return not self._select("SELECT 1 FROM scores LIMIT 1")

    def contexts(self) -> list[tuple[str, str]]:
        """Lists the described contexts, oldest first.

        Returns:
          Pairs of context and its description in JSON.
        """
        rows = sorted(self._select("SELECT created, context, description FROM contexts"))
        return list({context: (context, text) for _, context, text in rows}.values())

    def to_frame(self) -> pd.DataFrame:
        """Reads everything.

        Returns:
          A long table: a row for each record, its columns the fields of ``Record``.
        """
        import pandas as pd

        frame = pd.DataFrame(self._records(), columns=list(Record._fields))
        return frame.astype({"score": "float64", "raw": "float64", "seconds": "float64", "valid": "bool"})

    def write_csv(
        self,
        path: str | os.PathLike[str],
        *,
        contexts: Sequence[str] | None = None,
        archs: Sequence[str] | None = None,
    ) -> int:
        """Writes a wide table: an architecture a row, then the score of each proxy, valid and reason.

        Every number is written so that reading it gives the same float64. A score that the store does not have
        is an empty cell. Where two contexts share a proxy's name, the columns are ``proxy@context``.

        Args:
          path: the file, replaced in one step.
          contexts: which contexts become columns, in this order; None takes all.
          archs: which architectures become rows, in this order; None takes all, sorted.

        Returns:
          The number of rows.

        Raises:
          InputError: the file cannot be written, or the store cannot be read.
        """
        cells: dict[tuple[str, str], dict[str, Record]] = {}
        for record in self._records():
            cells.setdefault((record.context, record.proxy), {})[record.arch] = record
        columns = sorted(cells, key=lambda key: key[::-1])
        if contexts is not None:
            place = {context: i for i, context in enumerate(contexts)}
            columns = sorted((c for c in columns if c[0] in place), key=lambda c: place[c[0]])
        rows = sorted({arch for c in columns for arch in cells[c]}) if archs is None else list(dict.fromkeys(archs))
        names = [proxy for _, proxy in columns]
        titles = [p if names.count(p) == 1 else f"{p}@{c[:8]}" for c, p in columns]
        write_scores(path, rows, dict(zip(titles, (cells[c] for c in columns), strict=True)))
        return len(rows)

    def _records(self) -> list[Record]:
        rows = self._select("SELECT * FROM scores ORDER BY context, arch, proxy")
        return list({row[:3]: _record(row) for row in rows}.values())

    def _select(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of all files; those of this store's own file last, so that they win."""
        rows: list[tuple[Any, ...]] = []
        for file in (f for f in _files(self._base) if f != self._path):
            connection = database.connect(file, read_only=True)
            with contextlib.closing(connection):
                rows += database.fetch(connection, file, query, values)
        return rows + database.fetch(self._connection, self._path, query, values)


def _base_file(path: pathlib.Path) -> pathlib.Path:
    """The common file of a store given as a directory or a file."""
    if not path.is_dir() and (path.is_file() or path.suffix in _SUFFIXES):
        return path
    return path / FILENAME


def _files(base: pathlib.Path) -> list[pathlib.Path]:
    """The existing files of a store: the common one, then those of the processes."""
    pattern = re.compile(re.escape(base.stem) + r"-(\d+)" + re.escape(base.suffix))
    parts = [(int(m[1]), f) for f in base.parent.glob(f"*{base.suffix}") if (m := pattern.fullmatch(f.name))]
    return [f for f in [base] if f.is_file()] + [f for _, f in sorted(parts)]


def _record(row: Sequence[Any]) -> Record:
    """A row of the table; SQLite keeps NaN as NULL."""
    context, arch, proxy, score, raw, valid, reason, seconds = row
    score, raw, seconds = (math.nan if v is None else v for v in (score, raw, seconds))
    return Record(context, arch, proxy, score, raw, bool(valid), reason, seconds)
