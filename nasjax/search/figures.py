"""Figures of a search: how the best score grew, score against cost, and the network that was found."""

from __future__ import annotations

import collections

import numpy as np
from matplotlib.figure import Figure

from nasjax.figure_style import PALETTES, Theme, chart
from nasjax.graph_layout import layout as layout
from nasjax.search.result import SearchResult
from nasjax.types import Graph

_READABLE = {"params": "parameters, millions", "flops": "multiply-adds, millions"}
_WIDTH, _HEIGHT = 1.45, 0.6  # inches of a node with its surroundings
_EDGE = 0.24  # half the height of a box, in such heights


def progress_figure(result: SearchResult, *, theme: Theme = "light") -> Figure:
    """Draws the score of each architecture in the order of scoring, and the best so far.

    Args:
      result: of a search.
      theme: colours.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    figure, axis = chart((8.0, 4.2), palette)
    number = np.arange(1, len(result.scores) + 1)
    good = result.valid
    axis.scatter(number[good], result.scores[good], s=12, color=palette.accents[0], alpha=0.45, linewidths=0)
    curve = result.curve()
    shown = np.isfinite(curve)
    axis.step(number[shown], curve[shown], where="post", color=palette.accents[1], linewidth=2)
    low, high = np.quantile(result.scores[good], [0.02, 1.0])
    room = max(high - low, 1e-12)
    axis.set_ylim(low - 0.12 * room, high + 0.12 * room)  # a few very low scores would flatten all the rest
    axis.set_xlabel("architectures scored", color=palette.ink, fontsize=10.5)
    axis.set_ylabel("score (higher is better)", color=palette.ink, fontsize=10.5)
    return figure


def front_figure(result: SearchResult, cost: str, *, theme: Theme = "light") -> Figure:
    """Draws score over cost, an architecture a point, the Pareto front and the best architecture marked.

    Args:
      result: of a search.
      cost: one of ``result.costs``.
      theme: colours.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    figure, axis = chart((8.0, 4.6), palette)
    scale = 1e6 if cost in _READABLE else 1.0
    x, y, good = result.costs[cost] / scale, result.scores, result.valid
    axis.scatter(x[good], y[good], s=14, color=palette.accents[0], alpha=0.4, linewidths=0)
    front = result.front
    axis.step(x[front], y[front], where="post", color=palette.accents[1], linewidth=1.6)
    axis.scatter(x[front], y[front], s=26, color=palette.accents[1], linewidths=0, zorder=3)
    best = result.best_index
    axis.scatter(x[best], y[best], s=110, facecolors="none", edgecolors=palette.ink, linewidths=1.6, zorder=4)
    low = np.quantile(y[good], 0.02)
    room = max(y[good].max() - low, 1e-12)
    axis.set_ylim(low - 0.12 * room, y[good].max() + 0.12 * room)
    axis.set_xlabel(_READABLE.get(cost, cost.replace("_", " ")), color=palette.ink, fontsize=10.5)
    axis.set_ylabel("score (higher is better)", color=palette.ink, fontsize=10.5)
    return figure


def graph_figure(graph: Graph, *, theme: Theme = "light") -> Figure:
    """Draws a network from top to bottom; parts that are not connected stand side by side, long chains in columns.

    Args:
      graph: labelled directed acyclic graph.
      theme: colours.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    x, y = layout(graph)
    width, height = x.max() - x.min() + 1, y.max() - y.min() + 1
    figure = Figure(figsize=(max(4.0, _WIDTH * width), max(2.0, _HEIGHT * height + 0.3)))
    figure.set_facecolor(palette.paper)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.set_xlim(x.min() - 0.6, x.max() + 0.6)
    axis.set_ylim(y.min() - 0.7, y.max() + 0.7)
    around = 0
    for source, target in graph.edges:
        start, end = (x[source], y[source] - _EDGE), (x[target], y[target] + _EDGE)
        style_ = {"arrowstyle": "-|>", "color": palette.muted, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
        if y[source] <= y[target]:  # to the next column: along the gap between the two, into the side of the box
            gap = (x[source] + x[target]) / 2 - 0.1 + 0.1 * (around % 3)
            low, around = y[source] - 0.45 - 0.08 * (around % 3), around + 1
            way = np.array([start, (x[source], low), (gap, low), (gap, y[target])])
            axis.plot(*way.T, color=palette.muted, linewidth=1.0, solid_joinstyle="round")
            start, end = (gap, y[target]), (x[target] - _half(graph.nodes[target]), y[target])
        elif y[source] - y[target] > 1.01 and abs(x[source] - x[target]) <= 0.3:
            style_["connectionstyle"] = "arc3,rad=0.45"  # around the boxes between
        axis.annotate("", end, start, arrowprops=style_)
    colors = _colors(graph, palette.accents)
    for number, label in enumerate(graph.nodes):
        color = colors.get(_kind(label), palette.muted)
        box = {"boxstyle": "round,pad=0.35", "facecolor": palette.paper, "edgecolor": color, "linewidth": 1.4}
        axis.text(x[number], y[number], label, ha="center", va="center", fontsize=8.5, color=palette.ink, bbox=box)
    return figure


def _half(label: str) -> float:
    """Half the width of a box, about, in widths of a node."""
    return (0.052 * len(label) + 0.16) / 2


def _kind(label: str) -> str:
    """Operation without its numbers: attention(6) and attention(7) share a colour."""
    return label.partition("(")[0]


def _colors(graph: Graph, accents: tuple[str, ...]) -> dict[str, str]:
    """Colours of the most frequent operations."""
    plain = ("input", "output", "add", "head", "c_{k-2}", "c_{k-1}")
    counts = collections.Counter(_kind(label) for label in graph.nodes if label not in plain)
    return {kind: accents[i] for i, (kind, _) in enumerate(counts.most_common(len(accents)))}
