"""Tables of architectures: published accuracies, and scores of users."""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import os
import zlib
from typing import TYPE_CHECKING

from nasjax.data import checks
from nasjax.types import InputError

# pandas takes longer to import than the rest of the package: only where a table is read.
if TYPE_CHECKING:
    import pandas as pd

BUILTIN = ("nasbench201",)
# Codes with leading zeros, which would be lost as numbers.
_TEXT_COLUMNS = {"arch": "str", "adjacency_rowmajor": "str"}


def load(name_or_path: str | os.PathLike, *, key: str = "arch") -> pd.DataFrame:
    """Loads a table with one row an architecture.

    Built in: ``nasbench201``, 12,134 of the 15,625 cells of NAS-Bench-201 with columns ``arch`` (official
    string), ``arch_index`` (official), ``iso_group`` (cells that compute the same function share it) and
    ``cifar10_test``, ``cifar100_test``, ``imagenet16_test`` (percent, after 200 epochs, mean over runs).

    Args:
      name_or_path: a built-in name, or a .csv or .csv.gz file (relative paths are also looked for below
        ``$NASJAX_DATA``).
      key: the column that names the architecture in a file; it is renamed to ``arch``.

    Returns:
      A fresh table; ``arch`` is text.

    Raises:
      InputError: if there is no such table, it cannot be read, has no row or no such column, or an
        architecture twice.
    """
    if str(name_or_path) in BUILTIN:
        return _builtin(str(name_or_path)).copy()
    if not any(mark in str(name_or_path) for mark in ("/", "\\", ".")):
        near = difflib.get_close_matches(str(name_or_path), BUILTIN, n=1, cutoff=0.4)
        advice = f"did you mean '{near[0]}'?" if near else "give the path of a .csv or .csv.gz file"
        raise InputError(f"unknown table '{name_or_path}'; allowed: {', '.join(BUILTIN)}, or a file; do: {advice}")
    import pandas as pd

    path = checks.existing_path(name_or_path)
    try:
        table = pd.read_csv(path, dtype=_TEXT_COLUMNS | {key: "str"})
    except (ValueError, OSError, EOFError, zlib.error) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"'{path}' cannot be read as a table ({error}); allowed: .csv or .csv.gz") from error
    return _check(table, str(path), key)


def join(scores: pd.DataFrame, table: pd.DataFrame, *, on: str = "arch") -> tuple[pd.DataFrame, int]:
    """Joins scores with what is known about the same architectures.

    Args:
      scores: one row an architecture.
      table: one row an architecture.
      on: the column that names the architecture in both.

    Returns:
      (joined, missing): the rows of ``scores`` that the table knows, in their order, with the columns of
      both; and how many rows of ``scores`` it does not know.

    Raises:
      InputError: if a table lacks the column, holds an architecture twice (which one counts?), shares
        another column with the other, or nothing is common.
    """
    import pandas as pd

    for name, frame in (("scores", scores), ("table", table)):
        if on not in frame.columns:
            raise InputError(_no_column(name, on, frame))
        _unique(frame, name, on)
    shared = sorted((set(scores.columns) & set(table.columns)) - {on})
    if shared:
        raise InputError(f"scores and table both have {', '.join(shared)}; allowed: only '{on}' in both; do: rename")
    left, right = scores[on], table[on]
    if not (pd.api.types.is_numeric_dtype(left) and pd.api.types.is_numeric_dtype(right)):
        left, right = left.astype("str"), right.astype("str")  # text against numbers would find nothing
    known = left.isin(set(right))
    if len(scores) and not known.any():
        raise InputError(
            f"none of the {len(scores)} architectures is in the table ({left.iloc[0]!r} against {right.iloc[0]!r}, "
            f"for example); allowed: the same encoding in column '{on}' of both; do: check that the spaces agree"
            if len(table)
            else "the table is empty; do: give another"
        )
    other = table.drop(columns=on).set_axis(right, axis=0).loc[left[known]]
    kept = scores[known].reset_index(drop=True)
    return pd.concat([kept, other.reset_index(drop=True)], axis=1), int((~known).sum())


@functools.cache
def _builtin(name: str) -> pd.DataFrame:
    """A table of the package, read once."""
    import pandas as pd

    asset = importlib.resources.files("nasjax.data") / "assets" / f"{name}.csv.gz"
    with asset.open("rb") as file:
        return pd.read_csv(file, compression="gzip", dtype=_TEXT_COLUMNS)


def _check(table: pd.DataFrame, where: str, key: str) -> pd.DataFrame:
    """Checks a user's table and names its key ``arch``."""
    if key not in table.columns:
        raise InputError(_no_column(where, key, table))
    if table.empty:
        raise InputError(f"'{where}' has no rows; allowed: one row an architecture; do: check how it was made")
    if key != "arch":
        if "arch" in table.columns:
            raise InputError(f"'{where}' has '{key}' and 'arch'; allowed: one of them as key; do: use key='arch'")
        table = table.rename(columns={key: "arch"})
    empty = int(table["arch"].isna().sum())
    if empty:
        raise InputError(f"{empty} rows of '{where}' name no architecture; do: fill or remove them")
    _unique(table, where, "arch")
    return table


def _no_column(where: str, key: str, table: pd.DataFrame) -> str:
    """Message about a missing column."""
    near = difflib.get_close_matches(key, [str(name) for name in table.columns], n=1, cutoff=0.4)
    advice = f"use '{near[0]}' as the key, or rename it" if near else "rename the column that names the architecture"
    return f"{where} has no column '{key}'; it has: {', '.join(map(str, table.columns))}; do: {advice}"


def _unique(table: pd.DataFrame, where: str, key: str) -> None:
    """Checks that no architecture appears twice."""
    twice = table.loc[table[key].duplicated(), key]
    if len(twice):
        raise InputError(
            f"{where} has {len(twice)} repeated architectures (first: {twice.iloc[0]}); allowed: one row each; "
            "do: aggregate or remove them"
        )
