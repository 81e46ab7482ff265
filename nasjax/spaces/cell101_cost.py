"""Parameters and multiply-adds of NAS-Bench-101 networks, exact and for whole populations at once.

The network: a 3x3 stem, ``stacks`` stacks of ``cells`` cells with a 2x2 maximum pooling and twice the channels
from one stack to the next, mean over positions, a linear layer. Convolutions have a batch norm and no bias.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nasjax.spaces.cell101_graph import OPS, OUTPUT, prune, widths

# Taps of a convolution by kind of vertex, absent ones first.
_TAPS = np.array([0, *({"conv3x3-bn-relu": 9, "conv1x1-bn-relu": 1}.get(op, 0) for op in OPS)], np.int64)


class Shape(NamedTuple):
    """Sizes of the network; see `nasjax.spaces.nasbench101.NasBench101`."""

    channels: int
    stacks: int
    cells: int
    num_classes: int
    in_channels: int


def num_params(arch: np.ndarray, shape: Shape) -> np.ndarray:
    """Trainable parameters: convolutions, batch norms (scale and shift) and the classifier.

    Args:
      arch: int [..., 26].
      shape: sizes.

    Returns:
      int64 [...].
    """
    weights, norms = _terms(arch, shape)
    top = shape.channels * 2 ** (shape.stacks - 1)
    stem = 9 * shape.in_channels * shape.channels + 2 * shape.channels
    return sum(weights) + 2 * sum(norms) + stem + (top + 1) * shape.num_classes


def macs(arch: np.ndarray, shape: Shape, image_size: int) -> np.ndarray:
    """Multiply-adds of convolutions and the classifier for one image.

    Args:
      arch: int [..., 26].
      shape: sizes.
      image_size: height and width.

    Returns:
      int64 [...].
    """
    weights, _ = _terms(arch, shape)
    top = shape.channels * 2 ** (shape.stacks - 1)
    stem = 9 * shape.in_channels * shape.channels * image_size**2
    return sum(w * (image_size // 2**s) ** 2 for s, w in enumerate(weights)) + stem + top * shape.num_classes


def _terms(arch: np.ndarray, shape: Shape) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Kernel weights and normalised channels of the cells of each stack, int64 [...] each."""
    pruned = prune(np.asarray(arch))
    first, whole = pruned.matrix[..., 0, 1:OUTPUT], pruned.matrix[..., 0, OUTPUT]
    taps = _TAPS[pruned.kinds]
    weights, norms = [], []
    for s in range(shape.stacks):
        outs = shape.channels * 2**s
        width = widths(pruned, outs)
        projected = (first * width).sum(-1) + whole * outs
        convolved = (taps * width * width).sum(-1)
        # The first cell of a later stack reads half the channels.
        ins = shape.cells * outs - (outs // 2 if s else 0)
        weights.append(ins * projected + shape.cells * convolved)
        norms.append(shape.cells * (projected + ((taps > 0) * width).sum(-1)))
    return weights, norms
