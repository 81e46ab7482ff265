"""Crash-safe store of scores (SQLite), and the configuration that a working directory belongs to.

A store is one file, ``scores.sqlite``, or one file a process (``scores-0.sqlite``, ...) where several
machines share a file system; reading merges them. Every ``put`` is one durable transaction: after a
kill, a power cut or a full disk a store holds exactly the rows whose ``put`` has returned.

The journal is SQLite's rollback journal and not its write-ahead log: the log needs shared memory, which
network file systems lack, and leaves rows in a second file that a copy of the first would miss.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import pathlib
import re
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nasjax.types import InputError

if TYPE_CHECKING:
    import pandas as pd

FILENAME = "scores.sqlite"
CONFIG_FILENAME = "config.json"
APPLICATION_ID = 0x6E61736A  # "nasj": how a store is told from any other SQLite file
SCHEMA_VERSION = 1
BUSY_TIMEOUT = 60.0  # seconds to wait for another process's transaction
_MAGIC = b"SQLite format 3\0"
_SUFFIXES = (".sqlite", ".sqlite3", ".db")
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS scores (
      context TEXT NOT NULL, arch TEXT NOT NULL, proxy TEXT NOT NULL,
      score REAL, raw REAL, valid INTEGER NOT NULL, reason TEXT NOT NULL, seconds REAL,
      PRIMARY KEY (context, arch, proxy)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS contexts (
      context TEXT PRIMARY KEY, description TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID""",
)


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
        return cls(base, target, _connect(target, read_only=read_only))

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
            with _transaction(self._connection, self._path) as connection:
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
        known = self._connection.execute("SELECT description FROM contexts WHERE context = ?", (context,)).fetchone()
        if known != (text,):
            with _transaction(self._connection, self._path) as connection:
                connection.execute("INSERT OR REPLACE INTO contexts VALUES (?, ?, ?)", (context, text, time.time()))

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
        with _replaced(pathlib.Path(path)) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["arch", *titles, "valid", "reason"])
            for arch in rows:
                found = [cells[c].get(arch) for c in columns]
                bad = [(title, r.reason) for title, r in zip(titles, found, strict=True) if r and not r.valid]
                valid = not bad and any(found)
                scores = ["" if r is None else repr(r.score) for r in found]
                writer.writerow([arch, *scores, valid, _joined(bad, len(columns)) if any(found) else "not scored"])
        return len(rows)

    def _records(self) -> list[Record]:
        rows = self._select("SELECT * FROM scores ORDER BY context, arch, proxy")
        return list({row[:3]: _record(row) for row in rows}.values())

    def _select(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of all files; those of this store's own file last, so that they win."""
        rows: list[tuple[Any, ...]] = []
        for file in _files(self._base):
            if file != self._path:
                with contextlib.closing(_connect(file, read_only=True)) as connection, _clear_errors(file):
                    rows += connection.execute(query, values).fetchall()
        with _clear_errors(self._path):
            return rows + self._connection.execute(query, values).fetchall()


def claim_workdir(
    path: str | os.PathLike[str], config: Mapping[str, Any], *, ignore: Iterable[str] = ()
) -> pathlib.Path:
    """Makes a working directory belong to one configuration, written as ``config.json``.

    A second run of the same configuration goes on there; one of another configuration is refused, so that
    results of two experiments never mix.

    Args:
      path: the directory, made when absent.
      config: field -> value; whatever JSON can hold.
      ignore: fields that are recorded and not compared (they change no number).

    Returns:
      The directory.

    Raises:
      InputError: the directory belongs to another configuration (the message lists what differs), its
        ``config.json`` is damaged, or it cannot be written.
    """
    directory = pathlib.Path(path)
    target = directory / CONFIG_FILENAME
    new = json.loads(json.dumps(dict(config), sort_keys=True))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            temporary = _temporary(target)
            with temporary.open("w") as file:
                file.write(json.dumps(new, indent=2, sort_keys=True) + "\n")
                file.flush()
                os.fsync(file.fileno())
            _publish(temporary, target)
        text = target.read_text()
    except OSError as error:
        raise InputError(f"Cannot use {directory} as a working directory: {error.strerror}. Name a directory that you"
                         " may write to.") from None
    try:
        old = json.loads(text)
        if not isinstance(old, dict):
            raise ValueError
    except ValueError:
        raise InputError(f"{target} is damaged or not written by nasjax. Remove it to claim the directory again, or"
                         " use another --workdir.") from None
    skipped = set(ignore)
    differing = [k for k in sorted({*old, *new} - skipped) if old.get(k) != new.get(k) or (k in old) != (k in new)]
    if differing:
        lines = "\n".join(f"  {k}: there {_shown(old, k)}, now {_shown(new, k)}" for k in differing)
        raise InputError(f"{directory} holds results of another configuration:\n{lines}\n"
                         "Use another --workdir, or the same flags as before.")
    return directory


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


def _connect(path: pathlib.Path, *, read_only: bool) -> sqlite3.Connection:
    """Opens and checks one file; raises InputError for anything that is not a sound store."""
    with _clear_errors(path):
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise InputError(f"{path} is not a score store (no SQLite file). Move it away, or use another"
                                     " --workdir.")
        # A reader opens for writing where it may: the journal that a killed writer left must be rolled back.
        mode = "rwc" if not read_only else "rw" if os.access(path, os.W_OK) else "ro"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            connection.execute(f"PRAGMA query_only = {int(read_only)}")
            connection.execute("PRAGMA synchronous = EXTRA")
            _check(connection, path)
            if not read_only:
                with _transaction(connection, path):
                    _check(connection, path)
                    for statement in _SCHEMA:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            return connection
        except BaseException:
            connection.close()
            raise


def _check(connection: sqlite3.Connection, path: pathlib.Path) -> None:
    """Refuses a file of another program, of a newer version, or with damaged pages."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application != APPLICATION_ID and (application or tables):
        raise InputError(f"{path} is an SQLite file of another program. Move it away, or use another --workdir.")
    if version > SCHEMA_VERSION:
        raise InputError(f"{path} was written by a newer nasjax (store version {version}; this one reads up to"
                         f" {SCHEMA_VERSION}). Update nasjax, or use another --workdir.")
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise sqlite3.DatabaseError(state)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, path: pathlib.Path) -> Iterator[sqlite3.Connection]:
    """All or nothing; takes the write lock at once, so that two writers queue and never deadlock."""
    with _clear_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def _clear_errors(path: pathlib.Path) -> Iterator[None]:
    """Turns SQLite's and the system's errors into messages that say what to do."""
    try:
        yield
    except OSError as error:
        raise InputError(f"Cannot open {path}: {error.strerror}. Check the path and its permissions.") from error
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # a bug in the caller
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            advice = f"another process held it for {BUSY_TIMEOUT:.0f} s. Wait for that process, or end it"
        elif "full" in text:
            advice = "the disk is full. Make room and run the same command again; finished scores are kept"
        elif "readonly" in text or "unable to open" in text:
            advice = "it cannot be opened for writing. Check permissions, or use another --workdir"
        else:
            advice = "check the disk and the permissions"
        raise InputError(f"Score store {path}: {text}: {advice}.") from error
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path} is damaged ({error}). Restore it from a copy, or move it away and run again; the"
                         " command `sqlite3 FILE .recover` may save rows.") from error


def _record(row: Sequence[Any]) -> Record:
    """A row of the table; SQLite keeps NaN as NULL."""
    context, arch, proxy, score, raw, valid, reason, seconds = row
    score, raw, seconds = (math.nan if v is None else v for v in (score, raw, seconds))
    return Record(context, arch, proxy, score, raw, bool(valid), reason, seconds)


def _joined(bad: Sequence[tuple[str, str]], columns: int) -> str:
    """Reasons of one row: said once when all proxies agree, with the proxies' names otherwise."""
    reasons = list(dict.fromkeys(reason for _, reason in bad))
    if len(reasons) == 1 and len(bad) == columns:
        return reasons[0]
    return "; ".join(f"{', '.join(t for t, other in bad if other == reason)}: {reason}" for reason in reasons)


def _shown(config: Mapping[str, Any], field: str) -> str:
    return json.dumps(config[field]) if field in config else "absent"


def _publish(temporary: pathlib.Path, target: pathlib.Path) -> None:
    """Gives a finished file its name; the first of two processes wins."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        pass
    except OSError:  # no hard links here
        os.replace(temporary, target)
        return
    temporary.unlink()


def _temporary(path: pathlib.Path) -> pathlib.Path:
    """A name beside ``path`` that no other process uses."""
    return path.with_name(f".{path.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


@contextlib.contextmanager
def _replaced(path: pathlib.Path) -> Iterator[Any]:
    """Opens a text file that takes the place of ``path`` only when it is complete."""
    temporary = _temporary(path)
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}. Check the path and its permissions.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
