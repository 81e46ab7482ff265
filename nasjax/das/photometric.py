"""Differentiable operations on the values of images in 0..1: [..., height, width, channels].

Where an operation is a staircase, its derivative is straight-through: with respect to the image that of the identity,
with respect to the magnitude one, as in Faster AutoAugment and DADA. Elsewhere derivatives are the true ones. Ranges
and names are those of AutoAugment; grey, smoothing and equalisation are those of `nasjax.data.augment_ops`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.data import augment_ops
from nasjax.types import Array

BLENDS = ("brightness", "color", "contrast", "sharpness")
WITHOUT_MAGNITUDE = ("autocontrast", "equalize", "invert", "noise", "pool")
NAMES = (*BLENDS, *WITHOUT_MAGNITUDE, "cutout", "posterize", "solarize")


def apply(key: jax.Array, images: Array, name: str, magnitude: Array, *, repeats: int = 1) -> Array:
    """One operation on images in 0..1.

    ===================== ==================================================================== ==================
    operation             what ``magnitude`` is                                                 nothing changes at
    ===================== ==================================================================== ==================
    brightness, color,    factor: 0 is black, grey, the mean grey, the smoothed image           1
    contrast, sharpness
    solarize              values from this one on are inverted                                  above 1
    posterize             bits kept, 1..8                                                       8
    cutout                side of a grey square with soft edges, as a share of the image        0
    autocontrast,         not read
    equalize, invert
    pool                  not read; ``repeats`` times 2x2 max-pooling, centred on black
    noise                 not read; a distractor: values of N(1/2, 1/4) that ignore the image
    ===================== ==================================================================== ==================

    Args:
      key: of noise and of the place of cutout.
      images: float [..., height, width, channels], in 0..1.
      name: one of ``NAMES``.
      magnitude: float, broadcastable to the leading axes of ``images``.
      repeats: how often pooling is repeated.

    Returns:
      float of the shape of ``images``; in 0..1, but for noise.
    """
    value = jnp.asarray(magnitude, images.dtype)[..., None, None, None]
    value = value.reshape((1,) * (images.ndim - value.ndim) + value.shape)
    if name == "noise":
        return 0.5 + 0.25 * jax.random.normal(key, images.shape, images.dtype)
    if name == "pool":
        for _ in range(repeats):
            images = _pool(images)
        return images
    if name == "cutout":
        return _cutout(key, images, value)
    return _VALUES[name](images, value)


def straight_through(hard: Array, soft: Array) -> Array:
    """The value of ``hard`` with the derivative of ``soft``.

    Args:
      hard: float, of any shape.
      soft: float of the same shape.

    Returns:
      float of that shape.
    """
    return lax.stop_gradient(hard) + (soft - lax.stop_gradient(soft))


def _per_image(function: Callable[[Array], Array], images: Array) -> Array:
    flat = images.reshape(-1, *images.shape[-3:])
    out = jax.vmap(function)(flat)
    return out.reshape(*images.shape[:-1], out.shape[-1])


def _blend(kind: str, images: Array, factor: Array) -> Array:
    if kind == "brightness":
        base = jnp.zeros_like(images)
    elif kind == "sharpness":
        base = _per_image(augment_ops.smooth, images)
    else:
        base = _per_image(augment_ops.grey, images)
        if kind == "contrast":
            base = base.mean((-3, -2), keepdims=True)
    return jnp.clip(base + factor * (images - base), 0, 1)


def _autocontrast(images: Array, unused: Array) -> Array:
    low, high = images.min((-3, -2), keepdims=True), images.max((-3, -2), keepdims=True)
    spread = jnp.where(high > low, high - low, 1)
    return jnp.where(high > low, (images - low) / spread, images)


def _equalize(images: Array, unused: Array) -> Array:
    equalized = _per_image(augment_ops.equalize, lax.stop_gradient(jnp.clip(images, 0, 1)))
    return straight_through(equalized, images)


def _solarize(images: Array, threshold: Array) -> Array:
    out = jnp.where(images < lax.stop_gradient(threshold), images, 1 - images)
    return out + (threshold - lax.stop_gradient(threshold))


def _posterize(images: Array, bits: Array) -> Array:
    bits = jnp.clip(bits, 1, 8)
    width = jnp.exp2(8 - jnp.round(bits))
    kept = jnp.floor(jnp.round(jnp.clip(images, 0, 1) * 255) / width) * width / 255
    return straight_through(kept, images + (bits - lax.stop_gradient(bits)))


def _pool(images: Array) -> Array:
    """Largest of 2x2 pixels, in the middle of a black image of the former size."""
    height, width, channels = images.shape[-3:]
    tall, wide = height // 2, width // 2
    if min(tall, wide) < 1:
        return images
    lead = images.shape[:-3]
    small = images[..., : 2 * tall, : 2 * wide, :].reshape(*lead, tall, 2, wide, 2, channels).max((-4, -2))
    top, left = (height - tall) // 2, (width - wide) // 2
    around = [(0, 0)] * len(lead) + [(top, height - tall - top), (left, width - wide - left), (0, 0)]
    return jnp.pad(small, around)


def _cutout(key: jax.Array, images: Array, share: Array) -> Array:
    """A grey square whose edges fall over one pixel, so that its size has a derivative."""
    lead = images.shape[:-3]
    centres = jax.random.uniform(key, (2, *lead), images.dtype)
    mask = jnp.ones((), images.dtype)
    for axis, centre in zip((-3, -2), centres, strict=True):
        size = images.shape[axis]
        shape = [1] * images.ndim
        shape[axis] = size
        place = jnp.arange(size, dtype=images.dtype).reshape(shape)
        middle = centre.reshape(*lead, 1, 1, 1) * (size - 1)
        mask = mask * jnp.clip(share * size / 2 + 0.5 - jnp.abs(place - middle), 0, 1)
    mask = mask * jnp.clip(share * max(images.shape[-3:-1]), 0, 1)  # a square of no size covers nothing
    return images * (1 - mask) + 0.5 * mask


_VALUES: dict[str, Callable[[Array, Array], Array]] = {
    **{kind: functools.partial(_blend, kind) for kind in BLENDS},
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "invert": lambda images, unused: 1 - images,
    "solarize": _solarize,
    "posterize": _posterize,
}
