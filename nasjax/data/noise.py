"""Random images whose power spectrum falls as that of photographs does."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasjax.data import checks
from nasjax.data.batches import Batches
from nasjax.types import InputError

DEFAULT_SIZE = 32
# Of the variance of a pixel's channel, so much is common to red, green and blue, as in photographs.
SHARED = 0.8


def load(
    text: str,
    *,
    batch_size: int,
    num_batches: int,
    image_size: int | None,
    seed: int | None,
    num_classes: int | None,
    source: str,
    **options: Any,
) -> Batches:
    """Makes batches of noise.

    Args:
      text: options ``alpha=2.0`` (power falls as 1/f^alpha) and ``classes=10``, separated by colons.
      batch_size: images a batch.
      num_batches: number of batches; more of them leave the first ones as they are, before normalisation.
      image_size: height and width in pixels, 32 by default.
      seed: of images and labels; ``None`` is 0.
      num_classes: overrides ``classes``.
      source: what to call the images.
      **options: passed on to :meth:`nasjax.data.Batches.from_arrays`.

    Returns:
      The batches; labels are random and say nothing about the images.

    Raises:
      InputError: if an option is unknown or its value not allowed.
    """
    alpha, classes = parse(text)
    classes = classes if num_classes is None else checks.count(num_classes, "num_classes")
    number = batch_size * num_batches
    size = DEFAULT_SIZE if image_size is None else checks.count(image_size, "image_size", minimum=2)
    images, labels = make(number, size=size, alpha=alpha, classes=classes, seed=seed or 0)
    return Batches.from_arrays(
        images,
        labels,
        batch_size=batch_size,
        num_batches=num_batches,
        seed=None,
        num_classes=classes,
        source=source,
        **options,
    )


def parse(text: str) -> tuple[float, int]:
    """Reads ``alpha=2.5:classes=10``.

    Returns:
      (alpha, classes), by default (2.0, 10).

    Raises:
      InputError: if an option is unknown or its value not allowed.
    """
    alpha, classes = 2.0, 10
    for option in filter(None, text.split(":")):
        name, _, value = option.partition("=")
        try:
            if name == "alpha":
                alpha = float(value)
            elif name == "classes":
                classes = int(value)
            else:
                raise InputError(f"noise has no option '{option}'; allowed: alpha=2.0, classes=10; do: correct it")
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"noise option '{option}' is no number; allowed: alpha=2.0, classes=10") from error
    if not 0 < alpha <= 8:
        raise InputError(
            f"noise alpha={alpha:g}; allowed: above 0 (0 would be white noise) up to 8; do: choose 1 to 3, as in photos"
        )
    return alpha, checks.count(classes, "classes")


def make(number: int, *, size: int, alpha: float, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of power spectrum 1/f^alpha; image i depends on seed and i alone.

    Args:
      number: how many images.
      size: height and width in pixels.
      alpha: exponent of the power spectrum.
      classes: labels are 0..classes-1.
      seed: 0 or more.

    Returns:
      (images uint8 [number, size, size, 3], labels int64 [number]).
    """
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf  # no constant part
    amplitude = frequency ** (-alpha / 2)
    images = np.empty((number, size, size, 3), np.uint8)
    labels = np.empty(number, np.int64)
    for index in range(number):
        generator = np.random.default_rng([seed, index])
        labels[index] = generator.integers(classes)
        white = generator.standard_normal((4, size, size))
        planes = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=(size, size))
        planes /= planes.std(axis=(1, 2), keepdims=True)
        mixed = np.sqrt(SHARED) * planes[:1] + np.sqrt(1 - SHARED) * planes[1:]
        # Rounded to 8 bits like photographs: then the last bits of the transform do not matter.
        images[index] = np.clip(np.rint(127.5 + 48 * mixed), 0, 255).transpose(1, 2, 0)
    return images, labels
