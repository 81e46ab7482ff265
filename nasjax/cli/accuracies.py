"""The table of accuracies that scores are compared with, in the encoding of the run's space."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import pandas as pd

from nasjax import records
from nasjax.cli.archs import value
from nasjax.data import tables
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


def load(name: str, space: str | None) -> pd.DataFrame:
    """Loads a table; a file may write its architectures in any encoding of the space.

    Args:
      name: a built-in table, or a file with the column arch.
      space: name of the space, or None for a table that is taken as it is.

    Returns:
      The table. Rows that name the same architecture are one, with the mean of their numbers.

    Raises:
      InputError: no such table, or a built-in one of another space.
    """
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
