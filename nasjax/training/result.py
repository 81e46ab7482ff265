"""What a training gives."""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nasjax.training.config import TrainConfig
from nasjax.types import InputError, PyTree, Variables

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
HISTORY = "history.csv"


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """Result of `nasjax.training.train`.

    Attributes:
      space: search space.
      arch: the architecture.
      encoding: its official encoding.
      config: options, with the constants of normalisation.
      history: a row an epoch: "epoch" from 1, "learning_rate" of its last step, "train_loss" and other measures of the
        images as they were augmented, "valid_loss" and others of the evaluation, "seconds", and "waited", the share of
        them that the device waited for images.
      variables: after the last epoch; the moving average, if there is one.
      best_variables: after the best epoch by the evaluation; without one, after the last.
      best_epoch: its number; 0 if no epoch was finished.
      resumed: epochs of earlier runs.
      stopped: why it ended early, or "".
    """

    space: Any
    arch: PyTree
    encoding: str
    config: TrainConfig
    history: list[Row]
    variables: Variables
    best_variables: Variables
    best_epoch: int
    resumed: int
    stopped: str

    def table(self) -> pd.DataFrame:
        """The history as a table."""
        import pandas as pd

        return pd.DataFrame(self.history)


def write_history(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes the history whole, so that a reader never sees a part.

    Args:
      path: CSV file.
      rows: of the history.

    Raises:
      InputError: it cannot be written.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    draft = path.with_name(f"{path.name}.new")
    try:
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(draft, path)
    except OSError as error:
        raise InputError(
            f"Cannot write {path}: {error.strerror or error}. Make room or name a directory that you may write to; "
            "what was saved before is kept."
        ) from error
