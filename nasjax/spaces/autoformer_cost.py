"""Parameters and multiply-adds of AutoFormer networks, exact and for whole populations at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nasjax.spaces.autoformer_codec import split


class Sizes(NamedTuple):
    """Static sizes shared by all architectures of a space."""

    num_classes: int
    image_size: int
    in_channels: int
    patch_size: int
    head_dim: int
    max_distance: int

    @property
    def patches(self) -> int:
        """Number of patches."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def patch_values(self) -> int:
        """Numbers in a patch."""
        return self.patch_size**2 * self.in_channels

    @property
    def table_rows(self) -> int:
        """Rows of a table of relative positions."""
        return 2 * self.max_distance + 2


class _Blocks(NamedTuple):
    """Widths in the blocks of architectures, int64."""

    embed_dim: Any  # [..., 1]
    attention: Any  # [..., D]; 0 beyond the depth
    hidden: Any  # [..., D]; 0 beyond the depth
    there: Any  # [..., D]


def _blocks(archs: Any, sizes: Sizes) -> _Blocks:
    parts = split(np.asarray(archs, np.int64))
    width = parts.embed_dim[..., None]
    return _Blocks(width, parts.heads * sizes.head_dim, width * parts.tenths // 10, parts.heads > 0)


def num_params(archs: Any, sizes: Sizes) -> np.ndarray:
    """Trainable parameters, tables of relative positions, position embedding and class token included.

    ``(v + 1) e + sum_blocks[4 e + 3 a (e + 1) + (a + 1) e + (e + 1) f + (f + 1) e + 4 T d] + 2 e + (e + 1) classes +
    e (2 + N)`` with v numbers a patch, e the width, a = heads x d, f = e x ratio, T rows a table, N patches.

    Args:
      archs: int [..., 2 + 2 D].
      sizes: of the space.

    Returns:
      int64 [...].
    """
    e, a, f, there = _blocks(archs, sizes)
    block = 4 * e + 3 * a * (e + 1) + a * e + e + 2 * e * f + f + e + 4 * sizes.table_rows * sizes.head_dim
    e = e[..., 0]
    outside = (sizes.patch_values + 1) * e + 2 * e + (e + 1) * sizes.num_classes + e * (2 + sizes.patches)
    return (block * there).sum(-1) + outside


def macs(archs: Any, sizes: Sizes) -> np.ndarray:
    """Multiply-adds of the patch convolution and all linear layers for one image; products of tokens are not counted.

    Args:
      archs: int [..., 2 + 2 D].
      sizes: of the space.

    Returns:
      int64 [...].
    """
    e, a, f, there = _blocks(archs, sizes)
    block = (sizes.patches + 1) * (4 * a * e + 2 * e * f)
    e = e[..., 0]
    return (block * there).sum(-1) + sizes.patches * sizes.patch_values * e + e * sizes.num_classes


def complexity(archs: Any, sizes: Sizes) -> np.ndarray:
    """The count of the official ``get_complexity``, which AZ-NAS reads as FLOPs.

    It adds products of tokens, norms and relative positions, and reckons with two tokens more than there are inside a
    block, and one more in the head.

    Args:
      archs: int [..., 2 + 2 D].
      sizes: of the space.

    Returns:
      float64 [...].
    """
    e, a, f, there = _blocks(archs, sizes)
    n, reach = sizes.patches, sizes.max_distance
    inside = n + 2
    linear = inside * (4 * a * e + 2 * e * f)
    relative = 2 * reach * inside**2 + inside**2 / 2 + inside * a / 2
    block = 2 * inside * e + linear + 2 * inside**2 * a + relative
    e = e[..., 0]
    outside = e + n * sizes.patch_values * e + (n + 1) * e / 2 + (n + 1) * e * sizes.num_classes
    return (block * there).sum(-1) + outside
