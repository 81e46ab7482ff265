"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nasjax.figure_style import PALETTES, Palette, Theme, sheet, style
from nasjax.training.objectives import KINDS
from nasjax.training.result import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARES = ("accuracy", "top5", "miou")
_LABELS = {"loss": "loss", "accuracy": "accuracy, %", "miou": "mean IoU, %", "ssim": "SSIM"}


def curves_figure(history: Sequence[Row], kind: str, *, best_epoch: int = 0, theme: Theme = "light") -> Figure:
    """Draws loss, and the measure that says which epoch is best, over epochs, in training and evaluation.

    Args:
      history: rows of `TrainResult.history`, at least one.
      kind: of the targets, a name of `nasjax.training.objectives.KINDS`.
      best_epoch: is marked; 0 for none.
      theme: colours.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    names = list(dict.fromkeys(["loss", KINDS[kind].chosen]))
    figure = sheet((4.4 * len(names), 3.9), palette)
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        style(axis, palette)
        _panel(axis, history, name, palette, best_epoch)
    return figure


def _panel(axis: Axes, history: Sequence[Row], name: str, palette: Palette, best_epoch: int) -> None:
    scale = 100.0 if name in _SHARES else 1.0
    epochs = np.array([row["epoch"] for row in history])
    for place, (part, label) in enumerate((("train", "training, augmented"), ("valid", "evaluation"))):
        values = np.array([scale * row.get(f"{part}_{name}", np.nan) for row in history], float)
        there = np.isfinite(values)
        if not there.any():
            continue
        mark: dict[str, Any] = {"marker": "o", "markersize": 3.5} if there.sum() < 25 else {}
        axis.plot(epochs[there], values[there], color=palette.accents[place], linewidth=1.8, label=label, **mark)
        if part == "valid" and best_epoch and np.isfinite(values[best_epoch - 1]):
            axis.plot(
                best_epoch, values[best_epoch - 1], "o", markersize=9, markerfacecolor="none",
                markeredgecolor=palette.ink, markeredgewidth=1.4, label="best epoch",
            )  # fmt: skip
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("epoch", color=palette.ink, fontsize=10.5)
    axis.set_ylabel(_LABELS[name], color=palette.ink, fontsize=10.5)
    axis.legend(frameon=False, fontsize=9, labelcolor=palette.ink)
