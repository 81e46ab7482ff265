"""Parameters and multiply-adds of NAS-Bench-201 networks, exact and for whole populations at once.

The network: a 3x3 stem, three stages of ``cells`` cells at ``channels``, 2x and 4x channels, a
residual block that halves the image before the second and third stage, batch norm, mean pool and a
linear layer. Operations in dead branches count, as in the official code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nasjax.spaces.cell201_codec import OPS, check_arch
from nasjax.types import InputError

# Weights of a convolution per (input channel x output channel), by operation number.
_TAPS = np.array([{"nor_conv_1x1": 1, "nor_conv_3x3": 9}.get(op, 0) for op in OPS], dtype=np.int64)
_STAGES = (1, 2, 4)


def num_params(arch: Any, *, channels: int = 16, cells: int = 5, num_classes: int = 10, in_channels: int = 3) -> Any:
    """Trainable parameters: convolutions, batch norms (scale and bias) and the classifier.

    Args:
      arch: integers [6] or [n, 6].
      channels: channels of the first stage.
      cells: cells in each stage.
      num_classes: outputs of the classifier.
      in_channels: channels of the image.

    Returns:
      An int for [6], int64 [n] for [n, 6].

    Raises:
      InputError: if ``arch`` is no architecture or a size is no positive integer.

    Examples:
      >>> num_params([3, 3, 3, 3, 3, 3])
      1531546
    """
    array = check_arch(arch)
    _check_sizes(channels=channels, cells=cells, num_classes=num_classes, in_channels=in_channels)
    taps = _TAPS[array]
    total = np.zeros(array.shape[:-1], dtype=np.int64)
    for scale in _STAGES:
        width = channels * scale
        conv, norm = taps.sum(axis=-1), (taps > 0).sum(axis=-1)
        total += cells * (conv * width * width + norm * 2 * width)
    fixed = 9 * in_channels * channels + 2 * channels
    for scale in _STAGES[1:]:
        width = channels * scale
        fixed += _block_weights(width) + 4 * width
    top = channels * _STAGES[-1]
    fixed += 2 * top + top * num_classes + num_classes
    total += fixed
    return int(total) if array.ndim == 1 else total


def macs(
    arch: Any,
    *,
    channels: int = 16,
    cells: int = 5,
    num_classes: int = 10,
    image_size: int = 32,
    in_channels: int = 3,
) -> Any:
    """Multiply-adds of convolutions and the linear layer for one image.

    Args:
      arch: integers [6] or [n, 6].
      channels: channels of the first stage.
      cells: cells in each stage.
      num_classes: outputs of the classifier.
      image_size: height and width in pixels, a multiple of 4.
      in_channels: channels of the image.

    Returns:
      An int for [6], int64 [n] for [n, 6].

    Raises:
      InputError: if ``arch`` is no architecture, a size is no positive integer, or ``image_size`` cannot
        be halved twice.

    Examples:
      >>> macs([3, 3, 3, 3, 3, 3])
      220119680
    """
    array = check_arch(arch)
    _check_sizes(
        channels=channels, cells=cells, num_classes=num_classes, image_size=image_size, in_channels=in_channels
    )
    if image_size % 4:
        raise InputError(f"image_size={image_size}; allowed: multiples of 4; do: take {-(-image_size // 4) * 4}")
    conv = _TAPS[array].sum(axis=-1)
    total = np.zeros(array.shape[:-1], dtype=np.int64)
    fixed = 9 * in_channels * channels * image_size**2 + channels * _STAGES[-1] * num_classes
    for scale in _STAGES:
        width, pixels = channels * scale, (image_size // scale) ** 2
        total += cells * conv * width * width * pixels
        if scale > 1:
            fixed += _block_weights(width) * pixels
    total += fixed
    return int(total) if array.ndim == 1 else total


def flops_xautodl(
    arch: Any,
    *,
    channels: int = 16,
    cells: int = 5,
    num_classes: int = 10,
    image_size: int = 32,
    in_channels: int = 3,
) -> Any:
    """What the official counter calls FLOPs: multiply-adds plus the classifier's bias, in millions.

    Args:
      arch: integers [6] or [n, 6].
      channels: channels of the first stage.
      cells: cells in each stage.
      num_classes: outputs of the classifier.
      image_size: height and width in pixels, a multiple of 4.
      in_channels: channels of the image.

    Returns:
      A float for [6], float64 [n] for [n, 6]; unit 1e6 multiply-adds.

    Raises:
      InputError: as ``macs``.
    """
    count = macs(
        arch,
        channels=channels,
        cells=cells,
        num_classes=num_classes,
        image_size=image_size,
        in_channels=in_channels,
    )
    return (count + num_classes) / 1e6


def _block_weights(width: int) -> int:
    """Convolution weights of the residual block that ends with ``width`` channels (halved before)."""
    before = width // 2
    return 9 * before * width + 9 * width * width + before * width


def _check_sizes(**sizes: Any) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise InputError(f"{name}={size!r}; allowed: integers >= 1; do: give a positive integer")
