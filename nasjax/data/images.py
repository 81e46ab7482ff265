"""Arithmetic on arrays of images: resizing, statistics and normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from nasjax.types import InputError

# The usual constants of the whole data sets, for images in 0..1; "source" statistics are the default.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)
CIFAR100_MEAN = (0.5071, 0.4865, 0.4409)
CIFAR100_STD = (0.2673, 0.2564, 0.2762)

# So many images, evenly spaced, give mean and standard deviation to three digits.
STATISTICS_SAMPLE = 1024
_CHUNK = 1024


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Cuts the centre square of every image and resizes it, smoothed where it shrinks.

    Args:
      images: uint8 or float [n, height, width, channels].
      size: new height and width in pixels.

    Returns:
      [n, size, size, channels] of the same dtype; the input itself where nothing changes.
    """
    number, height, width, channels = images.shape
    if height == width == size:
        return images
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    images = images[:, top : top + side, left : left + side]
    out = np.empty((number, size, size, channels), np.float32)
    for index in range(number):
        for channel in range(channels):
            plane = Image.fromarray(np.ascontiguousarray(images[index, :, :, channel], dtype=np.float32))
            out[index, :, :, channel] = np.asarray(plane.resize((size, size), Image.Resampling.BILINEAR))
    if images.dtype == np.uint8:
        out = np.clip(np.rint(out), 0, 255)
    return out.astype(images.dtype)


def to_unit(images: np.ndarray) -> np.ndarray:
    """Images as float64: uint8 divided by 255, floating point as it is."""
    return images / 255.0 if images.dtype == np.uint8 else images.astype(np.float64)


def evenly_spaced(number: int, limit: int = STATISTICS_SAMPLE) -> np.ndarray:
    """At most ``limit`` indices spread over ``range(number)``, int64, in order."""
    return np.arange(number) if number <= limit else np.arange(limit) * number // limit


def statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel.

    Both are rounded to six digits, so that the order in which a processor adds does not reach the
    normalised images and their fingerprint.

    Args:
      images: uint8 (taken as 0..1) or float [n, height, width, channels].

    Returns:
      (mean, std), a float a channel; the std of a constant channel is 1, so that it becomes 0.
    """
    axes = (0, 1, 2)
    size = images[..., 0].size
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    mean = sum(to_unit(chunk).sum(axis=axes) for chunk in chunks) / size
    variance = sum(np.square(to_unit(chunk) - mean).sum(axis=axes) for chunk in chunks) / size
    std = np.sqrt(variance)
    # Rounding in the mean leaves a trace of a deviation in channels that are really constant.
    std = np.where(std <= 1e-12 * np.maximum(1.0, np.abs(mean)), 1.0, std)
    return tuple(float(f"{value:.6g}") for value in mean), tuple(float(f"{value:.6g}") for value in std)


def normalise(images: np.ndarray, mean: Sequence[float], std: Sequence[float], dtype: np.dtype) -> np.ndarray:
    """``(images - mean) / std`` a channel, computed in float64 and rounded once.

    Args:
      images: uint8 (taken as 0..1) or float [n, height, width, channels].
      mean: a number a channel.
      std: a positive number a channel.
      dtype: floating-point dtype of the result.

    Returns:
      ``dtype`` [n, height, width, channels].

    Raises:
      InputError: if the constants do not fit the channels, are not finite or not positive.
    """
    channels = images.shape[-1]
    for name, value in (("mean", mean), ("std", std)):
        if np.ndim(value) != 1:
            raise InputError(f"{name}={value!r}; allowed: one number a channel; do: give a tuple of {channels}")
        if len(value) != channels:
            raise InputError(
                f"{name}={tuple(value)} has {len(value)} numbers for {channels} channels; allowed: one a channel; "
                f"do: give {channels} numbers"
            )
        if not np.isfinite(value).all():
            raise InputError(f"{name}={tuple(value)}; allowed: finite numbers; do: correct them")
    if min(std) <= 0:
        raise InputError(f"std={tuple(std)}; allowed: positive numbers; do: correct them")
    return ((to_unit(images) - np.asarray(mean)) / np.asarray(std)).astype(dtype)
