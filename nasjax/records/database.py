"""One SQLite file of a store: opening, checking, writing, and errors in plain words."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from nasjax.types import InputError

APPLICATION_ID = 0x6E61736A  # "nasj": how a store is told from any other SQLite file
SCHEMA_VERSION = 1
BUSY_TIMEOUT = 60.0  # seconds to wait for another process's transaction


class Layout(NamedTuple):
    """What kind of store a file is.

    Attributes:
      application_id: how SQLite tells it from other files.
      version: of its tables.
      statements: make its tables.
    """

    application_id: int
    version: int
    statements: tuple[str, ...]


_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS scores (
      context TEXT NOT NULL, arch TEXT NOT NULL, proxy TEXT NOT NULL,
      score REAL, raw REAL, valid INTEGER NOT NULL, reason TEXT NOT NULL, seconds REAL,
      PRIMARY KEY (context, arch, proxy)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS contexts (
      context TEXT PRIMARY KEY, description TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID""",
)
SCORES = Layout(APPLICATION_ID, SCHEMA_VERSION, _SCHEMA)


def connect(path: pathlib.Path, *, read_only: bool, layout: Layout = SCORES) -> sqlite3.Connection:
    """Opens and checks one file; raises InputError for anything that is not a sound store."""
    with clear_errors(path):
        # A reader opens for writing where it may: the journal that a killed writer left must be rolled back.
        mode = "rwc" if not read_only else "rw" if os.access(path, os.W_OK) else "ro"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            connection.execute(f"PRAGMA query_only = {int(read_only)}")
            connection.execute("PRAGMA synchronous = EXTRA")
            # One snapshot: another process may be making the tables between two statements.
            with transaction(connection, path, "DEFERRED"):
                _check(connection, path, layout)
            if not read_only:
                with transaction(connection, path):
                    _check(connection, path, layout)
                    for statement in layout.statements:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {layout.application_id}")
                    connection.execute(f"PRAGMA user_version = {layout.version}")
            return connection
        except BaseException:
            connection.close()
            raise


def _check(connection: sqlite3.Connection, path: pathlib.Path, layout: Layout) -> None:
    """Refuses a file of another program, of a newer version, or with damaged pages."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application != layout.application_id and (application or tables):
        raise InputError(f"{path} is an SQLite file of another program. Move it away, or use another --workdir.")
    if version > layout.version:
        raise InputError(f"{path} was written by a newer nasjax (store version {version}; this one reads up to"
                         f" {layout.version}). Update nasjax, or use another --workdir.")
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise sqlite3.DatabaseError(state)


def fetch(connection: sqlite3.Connection, path: pathlib.Path, query: str, values: Sequence[Any]) -> list[Any]:
    """Rows of a query; none where another process has made the file and not yet its tables."""
    with transaction(connection, path, "DEFERRED"):
        made = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' LIMIT 1").fetchone()
        return connection.execute(query, values).fetchall() if made else []


@contextlib.contextmanager
def transaction(
    connection: sqlite3.Connection, path: pathlib.Path, kind: str = "IMMEDIATE"
) -> Iterator[sqlite3.Connection]:
    """All or nothing; "IMMEDIATE" takes the write lock at once, so that two writers queue and never deadlock."""
    with clear_errors(path):
        connection.execute(f"BEGIN {kind}")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def clear_errors(path: pathlib.Path) -> Iterator[None]:
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
        if "not a database" in str(error):
            raise InputError(f"{path} is not a score store (no SQLite file). Move it away, or use another"
                             " --workdir.") from error
        raise InputError(f"{path} is damaged ({error}). Restore it from a copy, or move it away and run again; the"
                         " command `sqlite3 FILE .recover` may save rows.") from error
