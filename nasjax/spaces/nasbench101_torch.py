"""Names of the PyTorch NAS-Bench-101 network (the port that NASLib uses), and where its tensors go."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasjax.spaces import torch_layout
from nasjax.spaces.cell101_graph import ABSENT, NUM_INNER, OUTPUT, Pruned, prune, widths
from nasjax.spaces.nasbench101_network import CENTRE, KERNEL, Sizes

_INNER = range(1, NUM_INNER + 1)
_STEM = "layers.0.conv_bn_relu"


def cell_names(sizes: Any) -> list[list[str]]:
    """Module names of the cells, by stack; stem and poolings are numbered among the layers too."""
    return [[f"layers.{1 + s * (sizes.cells + 1) + c}" for c in range(sizes.cells)] for s in range(sizes.stacks)]


def slot_names(sizes: Any) -> tuple[str, ...]:
    """Layer slots: for each vertex its projection of the cell's input and its own convolution; then the output's."""
    parts = [f"{part}_op.{t}" for t in _INNER for part in ("input", "vertex")]
    cells = [name for stack in cell_names(sizes) for name in stack]
    return (_STEM, *(f"{cell}.{part}" for cell in cells for part in (*parts, "input_op.output")), "classifier")


def official_names(sizes: Any, arch: np.ndarray) -> tuple[str, ...]:
    """Names of the official convolutions of one architecture, in the slots of `slot_names`."""
    parts = [f"{part}.0" for part in _part_names(prune(arch))]
    cells = [name for stack in cell_names(sizes) for name in stack]
    return (f"{_STEM}.0", *(f"{cell}.{part}" for cell in cells for part in parts), "classifier")


def _part_names(pruned: Pruned) -> list[str]:
    """Official module names within a cell, in the order of the slots; arbitrary where there is no convolution."""
    ops = {KERNEL: "conv3x3", CENTRE: "conv1x1"}
    names = []
    for t in _INNER:
        op = ops.get(int(pruned.kinds[t - 1]), "none")
        names += [f"input_op.{t}.conv_bn_relu", f"vertex_op.{t}.{op}.conv_bn_relu"]
    output = int((pruned.kinds != ABSENT).sum()) + 1
    return [*names, f"input_op.{output}.conv_bn_relu"]


def places(sizes: Sizes, arch: np.ndarray) -> dict[str, torch_layout.Place]:
    """Where every tensor of the official network goes; see `nasjax.spaces.torch_layout`."""
    weight, norm = torch_layout.weight, torch_layout.norm
    pruned = prune(arch)
    names = _part_names(pruned)
    every = slice(None)
    found = weight(f"{_STEM}.0", "stem") | norm(f"{_STEM}.1", "stem")
    for s, cells in enumerate(cell_names(sizes)):
        held = [slice(width) for width in widths(pruned, sizes.outs(s)).tolist()]
        for c, cell in enumerate(cells):
            path, lead = (f"stack{s}", "rest" if c else "first"), (c - 1,) if c else ()
            for t in range(NUM_INNER):
                entry, own = (f"{cell}.{name}" for name in names[2 * t : 2 * t + 2])
                if pruned.matrix[0, t + 1]:
                    found |= weight(f"{entry}.0", *path, "project", index=(*lead, t, every, every, every, held[t]))
                    found |= norm(f"{entry}.1", *path, "project", index=(*lead, t, held[t]))
                if pruned.kinds[t] in (KERNEL, CENTRE):
                    taps = every if pruned.kinds[t] == KERNEL else slice(1, 2)
                    found |= weight(f"{own}.0", *path, "vertex", index=(*lead, t, taps, taps, held[t], held[t]))
                    found |= norm(f"{own}.1", *path, "vertex", index=(*lead, t, held[t]))
            if pruned.matrix[0, OUTPUT]:
                found |= weight(f"{cell}.{names[-1]}.0", *path, "output", index=lead)
                found |= norm(f"{cell}.{names[-1]}.1", *path, "output", index=lead)
    found |= weight("classifier", "head")
    return found | {"classifier.bias": ("params", ("bias", "head"), None)}
