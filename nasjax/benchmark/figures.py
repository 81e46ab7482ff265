"""Figures of a benchmark: learning curves, and how early a ranking is settled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nasjax.benchmark.early_stop import OFFLINE, offline_epoch, online_epoch, rank_stability
from nasjax.figure_style import PALETTES, Theme, chart

_SHOWN = 400  # curves on one sheet


def stability_figure(curves: Mapping[str, np.ndarray], *, theme: Theme = "light") -> Figure:
    """Draws Spearman's correlation of each epoch's ranking with the last one, a line a task.

    Args:
      curves: task -> validation accuracy, float [n, E].
      theme: colours.

    Returns:
      The figure; the circle is the offline rule's epoch, the square the online rule's.
    """
    palette = PALETTES[theme]
    figure, axis = chart((8.0, 4.4), palette)
    axis.axhline(OFFLINE, color=palette.muted, linewidth=1, linestyle=(0, (2, 3)))
    for i, (task, values) in enumerate(curves.items()):
        color = palette.accents[i % len(palette.accents)]
        found = rank_stability(values)
        axis.plot(found["epoch"], found["spearman"], "-", color=color, linewidth=1.8, label=task)
        for stop, mark in ((offline_epoch(values), "o"), (online_epoch(values), "s")):
            if stop is not None:
                axis.plot([stop], [found["spearman"][stop - 1]], mark, color=color, markersize=8)
    axis.set_xlabel("epoch", color=palette.ink, fontsize=10.5)
    axis.set_ylabel("Spearman correlation with the last epoch", color=palette.ink, fontsize=10.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend = axis.legend(loc="lower right", frameon=False, fontsize=10)
    for text in legend.get_texts():
        text.set_color(palette.ink)
    return figure


def curves_figure(curves: np.ndarray, *, task: str, theme: Theme = "light") -> Figure:
    """Draws the validation accuracy of architectures over the epochs.

    Args:
      curves: float [n, E], percent.
      task: its name.
      theme: colours.

    Returns:
      The figure; the best architecture of the last epoch in the second colour.
    """
    palette = PALETTES[theme]
    values = np.asarray(curves, np.float64)
    figure, axis = chart((8.0, 4.4), palette)
    epochs = np.arange(1, values.shape[1] + 1)
    axis.plot(epochs, values[:_SHOWN].T, color=palette.accents[0], linewidth=1, alpha=0.35)
    if np.isfinite(values[:, -1]).any():
        axis.plot(epochs, values[np.nanargmax(values[:, -1])], color=palette.accents[1], linewidth=2)
    axis.set_xlabel("epoch", color=palette.ink, fontsize=10.5)
    axis.set_ylabel(f"{task}: validation accuracy, %", color=palette.ink, fontsize=10.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
