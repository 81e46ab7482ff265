"""Figures of a search: how alpha moved, how sure it became, and the frames of the chosen cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nasjax.das.search_result import SearchResult
from nasjax.figure_style import PALETTES, PHONE, Palette, Theme, chart, sheet, style

_COLUMNS = 5  # small panels a row
_DASHES = ("-", "--", ":", "-.")


def alpha_figure(result: SearchResult, *, theme: Theme = "light", narrow: bool = False) -> Figure:
    """Draws the weights of the operations over the epochs, an edge a panel.

    Args:
      result: of a search.
      theme: colours.
      narrow: for a phone, `nasjax.figure_style.PHONE` inches wide.

    Returns:
      The figure; a ring marks the operation that was chosen, where the edge was kept.
    """
    palette, edges = PALETTES[theme], result.cell.edges
    columns = min(2 if narrow else _COLUMNS, len(edges))
    rows = -(-len(edges) // columns)
    size = (PHONE, 1.1 + 1.55 * rows) if narrow else (max(1.2 + 2.0 * columns, 6.5), 1.1 + 1.75 * max(rows, 1.5))
    figure = sheet(size, palette)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    weights = _softmax(result.alphas)
    kept = {(gene.node, gene.source): gene.op for gene in result.genotype.genes}
    names, colors = result.cell.names, _colors(result.cell.names, palette)
    lines: list[Any] = []
    for place, axis in enumerate(grid.flat):
        if place >= len(edges):
            axis.set_visible(False)
            continue
        style(axis, palette)
        lines = [axis.plot(weights[:, place, k], color=colors[k][0], linestyle=colors[k][1], linewidth=1.4)[0]
                 for k in range(len(names))]  # fmt: skip
        if place + columns >= len(edges):  # nothing below it
            axis.tick_params(labelbottom=True)
        node, source = edges[place]
        axis.set_title(f"{_state(source, result)} to node {node}", color=palette.ink, fontsize=8 if narrow else 9)
        axis.xaxis.set_major_locator(MaxNLocator(4 if narrow else "auto", integer=True))
        if (node, source) in kept:
            k = names.index(kept[node, source])
            axis.plot(len(weights) - 1, weights[-1, place, k], "o", markersize=7, markerfacecolor="none",
                      markeredgecolor=colors[k][0], clip_on=False)  # fmt: skip
    figure.legend(lines, [name.replace("_", " ") for name in names], loc="outside upper center", frameon=False,
                  ncols=min(2 if narrow else 5, len(names)), labelcolor=palette.ink, fontsize=9)  # fmt: skip
    figure.supxlabel("epoch", color=palette.ink, fontsize=10)
    figure.supylabel("weight", color=palette.ink, fontsize=10)
    return figure


def entropy_figure(result: SearchResult, *, theme: Theme = "light") -> Figure:
    """Draws the entropy of every edge over the epochs, as a share of the largest, with their mean.

    Args:
      result: of a search.
      theme: colours.

    Returns:
      The figure.
    """
    palette, entropy = PALETTES[theme], result.entropy
    figure, axis = chart((7.0, 3.6), palette)
    axis.plot(entropy, color=palette.muted, alpha=0.45, linewidth=1)
    axis.plot(entropy.mean(1), color=palette.accents[0], linewidth=2.2)
    axis.set_xlabel("epoch", color=palette.ink)
    axis.set_ylabel("entropy of the operations", color=palette.ink)
    return figure


def course_figure(result: SearchResult, *, theme: Theme = "light") -> Figure:
    """Draws the loss on both halves of the images over the epochs.

    Args:
      result: of a search.
      theme: colours.

    Returns:
      The figure; a line marks where choices begin.
    """
    palette = PALETTES[theme]
    figure, axis = chart((7.0, 3.6), palette)
    epochs = [row["epoch"] + 1 for row in result.history]
    for name, label, color in (("train_loss", "images of the weights", palette.accents[0]),
                               ("valid_loss", "images of alpha", palette.accents[1])):  # fmt: skip
        axis.plot(epochs, [row[name] for row in result.history], color=color, linewidth=1.8, label=label)
    if result.events:
        axis.axvline(result.config.epochs, color=palette.muted, linewidth=1, linestyle="--")
    axis.legend(frameon=False, labelcolor=palette.ink, fontsize=9)
    axis.set_xlabel("epoch", color=palette.ink)
    axis.set_ylabel("loss", color=palette.ink)
    return figure


def frames_figure(videos: Any, levels: Sequence[int], *, theme: Theme = "light", narrow: bool = False) -> Figure:
    """Draws videos, a video a row, a frame a column.

    Args:
      videos: float [videos, frames, height, width, channels], in 0..1; what lies outside is cut. Three channels or more
        are shown as red, green and blue, fewer as the grey of the first.
      levels: of the frames.
      theme: colours.
      narrow: for a phone, `nasjax.figure_style.PHONE` inches wide.

    Returns:
      The figure.
    """
    palette, shown = PALETTES[theme], np.clip(np.asarray(videos, float), 0, 1)
    number, frames = shown.shape[:2]
    side = PHONE / frames if narrow else 1.15
    figure = sheet((side * frames + 0.4 * (not narrow), 0.4 + side * number), palette)
    grid = figure.subplots(number, frames, squeeze=False)
    wide = frames > 5 and narrow
    for row, video in enumerate(shown):
        for t, frame in enumerate(video):
            axis = grid[row][t]
            axis.imshow(frame[..., :3] if frame.shape[-1] > 2 else frame[..., 0], cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
            if row == 0:
                axis.set_title(f"{levels[t]}" if wide else f"level {levels[t]}", color=palette.muted, fontsize=8.5)
    return figure


def _softmax(alphas: np.ndarray) -> np.ndarray:
    weights = np.exp(alphas - alphas.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def _colors(names: Sequence[str], palette: Palette) -> list[tuple[str, str]]:
    """Colour and line of each operation: the identity muted, the others in turn."""
    others = [name for name in names if name != "identity"]
    found = []
    for name in names:
        if name == "identity":
            found.append((palette.muted, "-"))
            continue
        turn, place = divmod(others.index(name), len(palette.accents))
        found.append((palette.accents[place], _DASHES[turn % len(_DASHES)]))
    return found


def _state(source: int, result: SearchResult) -> str:
    inputs = result.cell.num_inputs
    return f"input {source}" if source < inputs else f"node {source - inputs}"
