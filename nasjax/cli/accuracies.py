"""The table of accuracies that scores are compared with, in the encoding of the run's space."""

from __future__ import annotations

import json
import os
import pathlib
import zlib
from typing import Any, NamedTuple

import pandas as pd

from nasjax import records
from nasjax.benchmark import read_table, reader, shipped, wide
from nasjax.benchmark.table import ABOUT, TABLE
from nasjax.cli.archs import value
from nasjax.cli.common import nearest
from nasjax.data import checks, tables
from nasjax.spaces import registry
from nasjax.types import InputError


def space_of(workdir: str | os.PathLike[str]) -> str | None:
    """Name of the search space that a run scored, if the directory holds one.

    Args:
      workdir: directory of the run.

    Returns:
      The name, or None.
    """
    try:
        config = json.loads((pathlib.Path(workdir) / records.CONFIG_FILENAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    space = config.get("space") if isinstance(config, dict) else None
    return space if space in registry.names() else None


# Names that need no file; the second is a benchmark, with options of its space.
BUILTIN = (*tables.BUILTIN, shipped.NAME)


def _is_path(name: str) -> bool:
    return name not in BUILTIN and any(mark in name for mark in ("/", "\\", "."))


class Trained(NamedTuple):
    """The table of a benchmark, one row an architecture.

    Attributes:
      frame: as `nasjax.benchmark.wide` gives it.
      final: columns of accuracies after the last epoch, validation before test of each task.
      space: name of the search space.
    """

    frame: pd.DataFrame
    final: list[str]
    space: str


def trained(name: str) -> Trained | None:
    """Reads the table of launch.benchmark, or the one that comes with the package.

    Args:
      name: its file or its directory, or "kronecker"; anything else is no such table.

    Returns:
      The table, or None where ``name`` is another one.

    Raises:
      InputError: it is one, and damaged.
    """
    if name == shipped.NAME:
        return _trained(shipped.kronecker_table())
    if not _is_path(name):
        return None
    path = checks.existing_path(name)
    if path.is_dir():
        path = path / TABLE
        if not path.is_file():
            return None
    elif path.name != TABLE:
        try:
            if not reader.is_benchmark(pd.read_csv(path, nrows=0)):
                return None
        except (ValueError, OSError, EOFError, zlib.error):
            return None  # said by whoever reads it as a table
    rows = read_table(path)
    if rows.empty:
        raise InputError(f"{path} has no rows yet; do: wait for the first epoch of launch.benchmark")
    return _trained(rows)


def _trained(rows: pd.DataFrame) -> Trained:
    return Trained(wide(rows), reader.final_columns(rows), str(rows["space"].iloc[0]))


def space_options(name: str, column: str) -> dict[str, Any]:
    """Options of the space that a column of a benchmark was trained with: sizes, classes, images.

    Args:
      name: a table, as for ``load``.
      column: one of its columns, such as ``cifar10_valid``.

    Returns:
      Options by name; empty for other tables, and where ``benchmark.json`` does not say.
    """
    if name == shipped.NAME:
        about = shipped.kronecker_about()
    elif not _is_path(name):
        return {}
    else:
        path = checks.existing_path(name)
        file = path / ABOUT if path.is_dir() else path.with_name(ABOUT)
        if not file.is_file() or not (path.is_dir() or path.name == TABLE):
            return {}
        about = reader.about(file)
    made = about.get("benchmark")
    options = made.get("space options") if isinstance(made, dict) else None
    if not isinstance(options, dict):
        return {}
    own = [task for task in options if column.startswith(f"{task}_")]
    return dict(options[max(own, key=len)]) if own else {}


def default_columns(name: str) -> list[str]:
    """Which columns of a table to compare with where none is named.

    Args:
      name: a table, as for ``load``.

    Returns:
      Accuracies after the last epoch of a benchmark; empty for other tables, all of whose columns are.
    """
    found = trained(name)
    return [] if found is None else found.final


def as_scores(name: str) -> pd.DataFrame | None:
    """The accuracies of a benchmark as scores, to be compared with those of another table.

    Args:
      name: as for ``trained``.

    Returns:
      Columns arch, ``trained_TASK_valid`` and ``trained_TASK_test`` after the last epoch, params and flops; None where
      ``name`` is no benchmark.
    """
    # A path that leads nowhere is left to the reader of scores, who knows what is missing.
    found = trained(name) if name == shipped.NAME or (name and pathlib.Path(name).exists()) else None
    if found is None:
        return None
    return found.frame[["arch", *found.final, "params", "flops"]].rename(
        columns={column: f"trained_{column}" for column in found.final}
    )


def load(name: str, space: str | None) -> pd.DataFrame:
    """Loads a table; a file may write its architectures in any encoding of the space.

    Args:
      name: a built-in table ("nasbench201", "kronecker"), a file with the column arch, or the table of
        launch.benchmark or its directory.
      space: name of the space, or None for a table that is taken as it is.

    Returns:
      The table. Rows that name the same architecture are one, with the mean of their numbers.

    Raises:
      InputError: no such table, or a built-in one of another space.
    """
    own = trained(name)
    if own is not None:
        if space not in (None, own.space):
            raise InputError(f"--table={name} holds architectures of {own.space}, this run scored {space}. Name the"
                             " table of a benchmark of that space.")
        return own.frame
    if name not in BUILTIN and not _is_path(name):
        raise InputError(f"--table={name}: {nearest(name, BUILTIN)} Or give the path of a .csv or .csv.gz file.")
    table = tables.load(name)
    if name in tables.BUILTIN:
        if space not in (None, name):
            raise InputError(f"--table={name} holds no architectures of {space}, which this run scored. Name a CSV file"
                             " with a column arch.")
        return table
    if space is None:
        return table
    known = registry.get_space(space)
    table["arch"] = [_encoded(known, text) for text in table["arch"]]
    if table["arch"].is_unique:
        return table
    numbers = [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
    return table.groupby("arch", sort=False)[numbers].mean().reset_index()


def _encoded(space: Any, text: str) -> str:
    """The space's own encoding; the text itself where it names no architecture."""
    try:
        return str(space.encode(space.decode([value(text)]))[0])
    except InputError:
        return text
