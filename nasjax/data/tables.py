"""Tables of published accuracies."""

from __future__ import annotations

import os

import pandas as pd


def load(name_or_path: str | os.PathLike) -> pd.DataFrame:
    """Loads a table (to be filled in)."""
    raise NotImplementedError


def join(scores: pd.DataFrame, table: pd.DataFrame, *, on: str = "arch") -> tuple[pd.DataFrame, int]:
    """Joins scores with a table (to be filled in)."""
    raise NotImplementedError
