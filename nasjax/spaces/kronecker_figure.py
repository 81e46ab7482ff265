"""A drawing of a Kronecker network."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasjax.types import InputError

_COLOURS = {
    "conv3x3": "#1b6ca8",
    "conv1x1": "#5aa9d6",
    "maxpool3x3": "#e08e45",
    "identity": "#9aa0a6",
    "input": "#333333",
    "output": "#333333",
}


def draw(space: Any, arch: Any, *, axes: Any = None) -> Any:
    """Draws the graph of a network: blocks from left to right, vertices of a block from top to bottom.

    Args:
      space: a `nasjax.spaces.kronecker.Kronecker`.
      arch: int [L], or anything that ``space.decode`` reads as one architecture.
      axes: matplotlib axes; new ones by default.

    Returns:
      the axes. ``axes.figure.savefig(path)`` writes a file.

    Raises:
      InputError: no architecture, or one without a path from input to output.
    """
    import matplotlib.pyplot as plt

    arch = space.decode(np.asarray(arch) if np.ndim(arch) else [arch])[0]
    valid, reason = space.is_valid(arch)
    if not valid:
        raise InputError(f"kronecker: nothing to draw: {reason}.")
    graph, rows = space.to_graph(arch), space.vertex_places(arch)
    if axes is None:
        size = (1.6 * space.num_blocks + 3, 0.55 * space.max_vertices + 1.6)
        _, axes = plt.subplots(figsize=size, layout="constrained")
    middle = rows[:, 1].mean()
    # Vertices of a block lie on an arc, so that edges between them do not hide each other.
    bend = 0.35 * np.sin(np.pi * (rows[:, 1] + 0.5) / space.max_vertices)
    x = np.concatenate([[-1.0], rows[:, 0] + bend, [space.num_blocks + 0.3]])
    y = -np.concatenate([[middle], rows[:, 1], [middle]])
    for a, b in graph.edges:
        within = a > 0 and b <= len(rows) and rows[a - 1, 0] == rows[b - 1, 0]
        style = {"color": "#1b6ca8" if within else "#b0b4ba", "lw": 0.9, "shrinkA": 6, "shrinkB": 6, "alpha": 0.7}
        arrow = {"arrowstyle": "-|>", "connectionstyle": "arc3,rad=0.08", **style}
        axes.annotate("", (x[b], y[b]), (x[a], y[a]), arrowprops=arrow)
    for op, colour in _COLOURS.items():
        own = [i for i, node in enumerate(graph.nodes) if node == op]
        if own and op not in ("input", "output"):
            axes.scatter(x[own], y[own], s=90, color=colour, zorder=3, label=op)
        elif own:
            axes.scatter(x[own], y[own], s=110, color=colour, marker="s", zorder=3)
            axes.annotate(op, (x[own[0]], y[own[0]] - 0.75), ha="center", fontsize=8)
    per_stage = space.num_blocks // space.num_stages
    for s in range(space.num_stages):
        side, width = space.image_size // (space.stem_stride * 2**s), space.channels * 2**s
        left = s * per_stage - 0.35
        axes.axvspan(left, left + per_stage, color="#f0f2f5" if s % 2 else "#ffffff", zorder=0)
        text = f"stage {s}: {side}x{side}, {width} channels"
        axes.annotate(text, (left + per_stage / 2, 0.75), ha="center", fontsize=8)
    axes.set_xlim(-1.5, space.num_blocks + 0.8)
    axes.set_ylim(-rows[:, 1].max() - 1.2, 1.3)
    axes.set_axis_off()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, -0.12), ncols=4, fontsize=8, frameon=False)
    return axes
