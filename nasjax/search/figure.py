"""Figure of a choice by LIBRA: correlations, gains and biases, and what was chosen by each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from nasjax.figure_style import PALETTES, PHONE, Palette, Theme, sheet, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nasjax.search.combine import Choice


def choice_figure(choice: Choice, *, theme: Theme = "light", narrow: bool = False) -> Figure:
    """Draws the three steps of LIBRA side by side, a proxy a line; one below the other on a phone.

    Args:
      choice: what ``libra`` returned.
      theme: colours.
      narrow: for a phone, `nasjax.figure_style.PHONE` inches wide.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    rows = choice.rows()[::-1]  # the best on top
    size = (PHONE, 3 * (0.8 + 0.22 * len(rows))) if narrow else (10.5, 1.5 + 0.3 * len(rows))
    figure = sheet(size, palette)
    axes = figure.subplots(3, 1) if narrow else figure.subplots(1, 3, sharey=True)
    for axis in axes:
        style(axis, palette)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    y = np.arange(len(rows))
    best = choice.spearman[choice.proxies[0]]
    candidate = np.array([bool(row["candidate"]) for row in rows])

    axes[0].axvspan(best - choice.config.margin, best, color=palette.accents[0], alpha=0.14, linewidth=0)
    _dots(axes[0], [row["spearman"] for row in rows], y, candidate, palette)
    _mark(axes[0], rows, "spearman", "z1", palette)
    _label(axes[0], "Spearman with accuracy", f"z1: the best; candidates within {choice.config.margin:g}", palette)

    gains = np.array([row["gain"] for row in rows])
    drawn = np.isfinite(gains)
    colors = [palette.accents[0] if chosen else palette.grid for chosen in candidate[drawn]]
    axes[1].barh(y[drawn], gains[drawn], height=0.55, color=colors)
    _mark(axes[1], rows, "gain", "z2", palette)
    _label(axes[1], "information gain, bits", "z2: the candidate that adds least", palette)

    axes[2].axvline(choice.accuracy_bias, color=palette.muted, linewidth=1.4, linestyle=(0, (4, 3)))
    _dots(axes[2], [row["bias"] for row in rows], y, candidate, palette)
    _mark(axes[2], rows, "bias", "z3", palette)
    feature = "parameters" if choice.config.bias == "params" else choice.config.bias
    _label(axes[2], f"bias: Spearman with {feature}", "z3: nearest to accuracy's own (dashed)", palette)

    for axis in axes if narrow else axes[:1]:
        axis.set_yticks(y, [row["proxy"] for row in rows], fontsize=9 if narrow else 10.5, color=palette.ink)
        for tick, row in zip(axis.get_yticklabels(), rows, strict=True):
            tick.set_color(palette.ink)
            tick.set_fontweight("bold" if row["role"] else "normal")
        axis.set_ylim(-0.6, len(rows) - 0.4)
    return figure


def _dots(axis: Axes, x: list[float], y: np.ndarray, candidate: np.ndarray, palette: Palette) -> None:
    values = np.asarray(x, float)
    for rows, color in ((~candidate, palette.muted), (candidate, palette.accents[0])):
        axis.plot(values[rows], y[rows], "o", color=color, markersize=6)


def _mark(axis: Axes, rows: list[dict], column: str, role: str, palette: Palette) -> None:
    """Writes the role beside what was chosen by this column."""
    for place, row in enumerate(rows):
        if row["role"] == role:
            axis.plot(row[column], place, "o", color=palette.accents[1], markersize=8)
            axis.annotate(
                role, (row[column], place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=10,
                fontweight="bold", color=palette.accents[1],
            )  # fmt: skip


def _label(axis: Axes, x: str, title: str, palette: Palette) -> None:
    axis.set_xlabel(x, color=palette.ink, fontsize=10)
    axis.set_title(title, loc="left", fontsize=10, color=palette.ink)
    axis.margins(x=0.14)
