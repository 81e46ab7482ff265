"""Parameters and multiply-adds of DARTS networks, exact and for whole populations at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_stem as stem
from nasjax.spaces.darts_ops import KERNELS, SEPARABLE
from nasjax.spaces.darts_params import auxiliary_shapes, norm_shapes
from nasjax.spaces.darts_plan import Segment, Sizes

_SIDES = np.array([KERNELS.get(op, 0) for op in range(len(codec.OPS))], np.int64)
_HALVES = np.array([2 if op in SEPARABLE else int(op in KERNELS) for op in range(len(codec.OPS))], np.int64)


class _Edges(NamedTuple):
    """Convolution weights [n] and normalised channels [n] of the edges of one cell."""

    weights: np.ndarray
    normed: np.ndarray


def _edges(segment: Segment, ops: np.ndarray, sources: np.ndarray) -> _Edges:
    c = segment.channels
    weights = _HALVES[ops] * (_SIDES[ops] ** 2 * c + c * c)
    halves = _HALVES[ops]
    if segment.reduction:
        reduces = (ops == codec.SKIP) & (sources < 2)
        weights, halves = weights + reduces * c * c, halves + reduces
    return _Edges(weights.sum(-1), halves.sum(-1) * c)


def _entry_weights(segment: Segment) -> list[int]:
    """Weights of all entering convolutions; both halves of a cut one together have as many as one of them whole."""
    return [entry.ins * segment.channels for both in segment.entries for entry in both]


def num_params(archs: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Trainable parameters: convolutions, scales and shifts of norms, classifier, auxiliary head.

    Args:
      archs: int [..., 32].
      sizes: of the network.

    Returns:
      int64 [...].
    """
    ops, sources = codec.parts(archs)
    total = np.zeros(archs.shape[:-1], np.int64)
    for segment in sizes.segments():
        c = int(segment.reduction)
        edges = _edges(segment, ops[..., c, :], sources[..., c, :])
        total += len(segment.cells) * (edges.weights + 2 * edges.normed * sizes.kind.affine)
        total += sum(weights + 2 * segment.channels for weights in _entry_weights(segment))
    total += stem.num_params(sizes)
    if sizes.auxiliary:
        total += sum(math.prod(shape) for shape in auxiliary_shapes(sizes).values()) + sizes.num_classes
        total += 2 * sum(channels for (channels,) in norm_shapes(sizes)["auxiliary"].values())
    return total + (sizes.top + 1) * sizes.num_classes


def macs(archs: np.ndarray, sizes: Sizes, image_size: int) -> np.ndarray:
    """Multiply-adds of convolutions and the classifier for one image, without the auxiliary head.

    Args:
      archs: int [..., 32].
      sizes: of the network.
      image_size: height and width.

    Returns:
      int64 [...].
    """
    ops, sources = codec.parts(archs)
    of_stem, side = stem.macs(sizes, image_size)
    total = np.zeros(archs.shape[:-1], np.int64) + of_stem
    for segment in sizes.segments():
        c = int(segment.reduction)
        before, side = side, side // 2 if segment.reduction else side
        edges = _edges(segment, ops[..., c, :], sources[..., c, :])
        total += len(segment.cells) * edges.weights * side**2
        # Entering convolutions see the size of the newer input; the older one is cut to it.
        total += sum(_entry_weights(segment)) * before**2
    return total + sizes.top * sizes.num_classes


def supernet_costs(
    sizes: Sizes, image_size: int, edges: tuple[tuple[int, int], ...]
) -> dict[str, tuple[int, np.ndarray]]:
    """Costs of the supernet, whose norms in the cells neither scale nor shift.

    Args:
      sizes: of the network.
      image_size: height and width.
      edges: (source, target) of each edge of a cell.

    Returns:
      "params" and "flops": that of a network without operations, and that of each operation, int64 [2, edges, 8].
    """
    nothing = np.zeros(codec.LENGTH, np.int32)
    affine = sum(2 * 2 * segment.channels * len(segment.cells) for segment in sizes.segments())
    fixed = {
        "params": int(num_params(nothing, sizes)) - affine,
        "flops": int(macs(nothing, sizes, image_size)),
    }
    units = {cost: np.zeros((2, len(edges), len(codec.OPS)), np.int64) for cost in fixed}
    from_inputs = np.array([source < 2 for source, _ in edges])
    side = stem.macs(sizes, image_size)[1]
    for segment in sizes.segments():
        side = side // 2 if segment.reduction else side
        c, width = int(segment.reduction), segment.channels
        own = np.broadcast_to(_HALVES * (_SIDES**2 * width + width**2), units["params"].shape[1:]).copy()
        own[:, codec.SKIP] += segment.reduction * from_inputs * width**2
        units["params"][c] += len(segment.cells) * own
        units["flops"][c] += len(segment.cells) * own * side**2
    return {cost: (fixed[cost], units[cost]) for cost in fixed}
