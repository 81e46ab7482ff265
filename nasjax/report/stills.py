"""Charts as matplotlib draws them, for print, PNG files and readers without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from nasjax.figure_style import PALETTES, Palette, Theme, chart, sheet
from nasjax.figures import number


def points(
    x: np.ndarray, y: np.ndarray, *, labels: tuple[str, str], log: tuple[bool, bool] = (False, False),
    best: np.ndarray | None = None, theme: Theme = "light",
) -> Figure:  # fmt: skip
    """Draws points, an architecture each.

    Args:
      x: float [n].
      y: float [n].
      labels: of the axes.
      log: which axes are logarithmic.
      best: bool [n], drawn in the second colour.
      theme: colours.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    figure, axis = chart((8.0, 4.4), palette)
    good = np.isfinite(x) & np.isfinite(y)
    for i, values in enumerate((x, y)):
        good &= (values > 0) | (not log[i])
    marked = np.zeros(len(x), bool) if best is None else best
    size = float(np.clip(4000 / max(good.sum(), 1), 5, 26))
    for part, color in ((good & ~marked, palette.accents[0]), (good & marked, palette.accents[1])):
        axis.scatter(x[part], y[part], s=size, alpha=0.6, linewidths=0, color=color)
    if log[0]:
        axis.set_xscale("log")
    if log[1]:
        axis.set_yscale("log")
    axis.set_xlabel(labels[0], color=palette.ink, fontsize=10.5)
    axis.set_ylabel(labels[1], color=palette.ink, fontsize=10.5)
    return figure


def matrix(
    rows: Sequence[str], columns: Sequence[str], values: np.ndarray, *, limits: tuple[float, float] = (-1.0, 1.0),
    diverging: bool = True, theme: Theme = "light",
) -> Figure:  # fmt: skip
    """Draws a matrix of correlations as a heat map with its numbers.

    Args:
      rows: names.
      columns: names.
      values: float [rows, columns]; NaN is left blank.
      limits: values of the ends of the colour scale.
      diverging: whether zero is the middle of two colours.
      theme: colours.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    figure = sheet((2.4 + 0.62 * len(columns), 1.5 + 0.42 * len(rows)), palette)
    axis = figure.subplots()
    ends = [palette.accents[1], palette.paper, palette.accents[0]] if diverging else [palette.paper, palette.accents[0]]
    colors = LinearSegmentedColormap.from_list("matrix", ends)
    axis.imshow(np.ma.masked_invalid(values), cmap=colors, vmin=limits[0], vmax=limits[1], aspect="auto")
    scale = np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if np.isfinite(value):
                dark = np.dot(colors(scale[i, j])[:3], (0.299, 0.587, 0.114)) < 0.5
                color = "white" if dark else "black"
                axis.text(j, i, number(value), ha="center", va="center", fontsize=8.5, color=color)
    axis.set_xticks(range(len(columns)), _short(columns), fontsize=9, color=palette.ink, rotation=40, ha="right")
    axis.set_yticks(range(len(rows)), _short(rows), fontsize=9, color=palette.ink)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return figure


def lines(
    x: np.ndarray, series: Mapping[str, np.ndarray], *, labels: tuple[str, str], theme: Theme = "light"
) -> Figure:
    """Draws curves over one axis.

    Args:
      x: float [n].
      series: name -> float [n]; NaN is a gap.
      labels: of the axes.
      theme: colours.

    Returns:
      The figure.
    """
    palette: Palette = PALETTES[theme]
    figure, axis = chart((8.0, 4.0), palette)
    for i, (name, values) in enumerate(series.items()):
        axis.plot(x, values, "o-", markersize=4, linewidth=1.8, color=palette.accents[i % 4], label=name)
    if len(series) > 1:
        legend = axis.legend(frameon=False, fontsize=10)
        for text in legend.get_texts():
            text.set_color(palette.ink)
    axis.set_xlabel(labels[0], color=palette.ink, fontsize=10.5)
    axis.set_ylabel(labels[1], color=palette.ink, fontsize=10.5)
    return figure


def _short(names: Sequence[str]) -> list[str]:
    """Names that leave room for the matrix; matplotlib would read what stands between two dollars as a formula."""
    return [(name if len(name) <= 24 else f"{name[:23]}…").replace("$", r"\$") for name in names]
