"""Figures of predictors: the transfer matrix, and predictions beside the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from nasjax.figure_style import PALETTES, Theme, sheet, style
from nasjax.figures import number, readable

if TYPE_CHECKING:
    from nasjax.grasp.transfer import Transfer


def transfer_figure(transfer: Transfer, *, theme: Theme = "light") -> Figure:
    """Draws Kendall's tau of every pair of data sets as a heat map.

    Args:
      transfer: the matrix.
      theme: colours.

    Returns:
      The figure: mean, deviation over seeds, and the ceiling in each cell.
    """
    palette = PALETTES[theme]
    means, deviations = transfer.taus.mean(2), transfer.taus.std(2)
    rows, columns = means.shape
    figure = sheet((2.2 + 1.75 * columns, 1.6 + 0.95 * rows), palette)
    axis = figure.subplots()
    colors = LinearSegmentedColormap.from_list("tau", [palette.paper, palette.accents[0]])
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    room = max(high - low, 0.05)
    axis.imshow(means, cmap=colors, vmin=low - 0.6 * room, vmax=high + 0.6 * room, aspect="auto")
    for i in range(rows):
        for j in range(columns):
            axis.text(j, i - 0.14, f"{number(means[i, j], digits=3)} ± {number(deviations[i, j], digits=3)}",
                      ha="center", va="center", fontsize=11, color=palette.ink)  # fmt: skip
            if transfer.sources[i] != transfer.targets[j]:
                axis.text(j, i + 0.2, f"ceiling {number(transfer.ceilings[i, j], digits=3)}", ha="center", va="center",
                          fontsize=8.5, color=palette.ink)  # fmt: skip
    axis.set_xticks(range(columns), [_short(name) for name in transfer.targets], fontsize=10, color=palette.ink)
    axis.set_yticks(range(rows), [_short(name) for name in transfer.sources], fontsize=10, color=palette.ink)
    axis.set_xlabel("ranked on", fontsize=10.5, color=palette.ink)
    axis.set_ylabel("trained on", fontsize=10.5, color=palette.ink)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return figure


def prediction_figure(
    scores: np.ndarray, targets: np.ndarray, *, target: str, tau: float, theme: Theme = "light"
) -> Figure:
    """Draws the rank by target over the rank by predicted score, an architecture a point.

    Args:
      scores: float [n], predicted.
      targets: float [n], true.
      target: what they are.
      tau: Kendall's tau-b, shown.
      theme: colours.

    Returns:
      The figure: the truth over the score, and rank over rank beside it; the best tenth by truth highlighted.
    """
    palette = PALETTES[theme]
    figure = sheet((9.4, 4.4), palette)
    best = targets >= np.quantile(targets, 0.9)
    places = [np.argsort(np.argsort(-values, kind="stable"), kind="stable") + 1 for values in (scores, targets)]
    size = float(np.clip(4000 / max(len(scores), 1), 3, 26))
    floor = float(np.quantile(targets, 0.02))
    for axis, (x, y), heads in zip(
        figure.subplots(1, 2), ((scores, np.maximum(targets, floor)), places),
        (("predicted score", readable(target)), ("rank by score (1 is best)", f"rank by {readable(target)}")),
        strict=True,
    ):  # fmt: skip
        style(axis, palette)
        for part, color in ((~best, palette.accents[0]), (best, palette.accents[1])):
            axis.scatter(x[part], y[part], s=size, alpha=0.4, linewidths=0, color=color)
        axis.set_xlabel(heads[0], color=palette.ink, fontsize=10.5)
        axis.set_ylabel(heads[1], color=palette.ink, fontsize=10.5)
    axis.invert_xaxis()
    axis.invert_yaxis()
    axis.set_title(f"τ {number(tau, digits=3)}, {len(scores):,} unseen", loc="right", fontsize=9.5, color=palette.muted)
    return figure


def _short(name: str) -> str:
    return readable(name).removesuffix(" test accuracy")
