"""Boxes and mixtures: crops of random size, cutout, random erasing, mixup and cutmix."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.types import Array

ATTEMPTS = 10  # draws of a box that should fit into the image, as torchvision and timm do
BOX = 2 * ATTEMPTS + 2  # uniform numbers that a box takes


def cutout(key: Array, image: Array, side: int) -> Array:
    """Sets a square to zero (DeVries and Taylor, 2017); its centre is any pixel, the border cuts it.

    Args:
      key: typed random key.
      image: float [height, width, channels].
      side: length in pixels.

    Returns:
      image of the same shape and dtype.
    """
    height, width, _ = image.shape
    units = units_of(key, (2,), image.dtype)
    row = _whole(units[0] * height) - side // 2
    column = _whole(units[1] * width) - side // 2
    return jnp.where(_box(image, row, column, side, side)[..., None], 0, image)


def random_erasing(
    key: Array,
    image: Array,
    *,
    probability: float,
    area: tuple[float, float],
    ratio: tuple[float, float],
    noise: bool,
) -> Array:
    """Replaces a rectangle by noise or zeros (Zhong et al., 2020).

    Args:
      key: typed random key.
      image: float [height, width, channels].
      probability: of doing it.
      area: share of the image, least and most; uniform.
      ratio: of height to width, least and most; uniform in its logarithm.
      noise: standard normal values a pixel and channel, else zeros.

    Returns:
      image of the same shape and dtype; unchanged where none of ten drawn rectangles fits.
    """
    height, width, _ = image.shape
    box_key, fill_key = jax.random.split(key)
    units = units_of(box_key, (BOX + 1,), image.dtype)
    row, column, tall, broad, found = _random_box(units, image, area, ratio, largest=(height - 1, width - 1))
    erased = _box(image, row, column, tall, broad) & found & (units[BOX] < probability)
    new = jnp.zeros_like(image)
    if noise:
        new = jax.random.normal(fill_key, image.shape, jnp.float32).astype(image.dtype)
    return jnp.where(erased[..., None], new, image)


def resized_crop(
    key: Array, image: Array, *, size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float]
) -> Array:
    """A random rectangle, resized bilinearly and smoothed where it shrinks (Szegedy et al., 2015).

    Args:
      key: typed random key.
      image: float [height, width, channels].
      size: height and width of the result in pixels.
      area: share of the image, least and most; uniform.
      ratio: of width to height, least and most; uniform in its logarithm.

    Returns:
      float [*size, channels]; of the largest centre rectangle within ``ratio`` where none of ten drawn
      rectangles fits.
    """
    height, width, channels = image.shape
    inverse = (1 / ratio[1], 1 / ratio[0])
    units = units_of(key, (BOX,), image.dtype)
    row, column, tall, broad, found = _random_box(units, image, area, inverse, largest=(height, width))
    shape = width / height
    whole_tall = height if shape >= ratio[0] else round(width / ratio[0])
    whole_broad = width if shape <= ratio[1] else round(height * ratio[1])
    tall, broad = jnp.where(found, tall, whole_tall), jnp.where(found, broad, whole_broad)
    row = jnp.where(found, row, (height - whole_tall) // 2)
    column = jnp.where(found, column, (width - whole_broad) // 2)
    rows = _resize_weights(row, tall, height, size[0], image)
    columns = _resize_weights(column, broad, width, size[1], image)
    return jnp.einsum("ih,jw,hwc->ijc", rows, columns, image, precision="highest")


def partners(number: int) -> np.ndarray:
    """Whom each image of a batch is mixed with: int64 [number].

    Neighbours in pairs, so that a slice of a batch with an even number of images gives what the whole batch
    gives. The last image of an odd batch is its own partner.
    """
    return np.where(np.arange(number) ^ 1 < number, np.arange(number) ^ 1, np.arange(number))


def mix(
    key: Array,
    images: Array,
    labels: Array,
    *,
    mixup: float,
    cutmix: float,
    probability: float,
    switch: float,
) -> tuple[Array, Array]:
    """Mixup (Zhang et al., 2018) or cutmix (Yun et al., 2019) of neighbouring images, one share a batch.

    Args:
      key: typed random key, of the batch.
      images: float [batch, height, width, channels].
      labels: float [batch, classes], one-hot or soft.
      mixup: alpha of the Beta law of the share; 0 is off.
      cutmix: likewise for rectangles; the share is corrected to the area within the image.
      probability: of mixing a batch at all.
      switch: probability of cutmix where both are on.

    Returns:
      images and labels of the same shapes.
    """
    unit_key, up_key, cut_key = jax.random.split(key, 3)
    units = units_of(unit_key, (4,), images.dtype)
    other = partners(images.shape[0])
    applied = units[0] < probability
    blended, pasted, share = images, images, jnp.ones((), images.dtype)
    cutting = jnp.asarray(cutmix > 0) if not mixup or not cutmix else units[1] < switch
    if mixup:
        kept = _beta(up_key, mixup, images.dtype)
        blended = kept * images + (1 - kept) * images[other]
        share = kept
    if cutmix:
        height, width = images.shape[1:3]
        edge = jnp.sqrt(1 - _beta(cut_key, cutmix, images.dtype))
        tall, broad = _whole(edge * height), _whole(edge * width)
        row, column = _whole(units[2] * height) - tall // 2, _whole(units[3] * width) - broad // 2
        # The published rectangle spans half a side to both sides of its centre.
        inside = _box(images[0], row, column, tall // 2 * 2, broad // 2 * 2)
        pasted = jnp.where(inside[None, :, :, None], images[other], images)
        share = jnp.where(cutting, 1 - inside.mean(dtype=images.dtype), share)
    share = share.astype(labels.dtype)
    mixed = jnp.where(cutting, pasted, blended)
    soft = share * labels + (1 - share) * labels[other]
    return jnp.where(applied, mixed, images), jnp.where(applied, soft, labels)


def units_of(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """Uniform numbers in 0..1, the same in every precision."""
    return jax.random.uniform(key, shape, jnp.float32).astype(dtype)


def _beta(key: Array, alpha: float, dtype: jnp.dtype) -> Array:
    """A draw of Beta(alpha, alpha)."""
    if alpha > 1:
        return jax.random.beta(key, alpha, alpha, (), jnp.float32).astype(dtype)
    # Joehnk's rejection: at least half of the draws are kept, so one of 64 is, and no loop need be compiled.
    x, y = units_of(key, (2, 64), dtype) ** (1 / alpha)
    kept = (x + y <= 1) & (x + y > 0)
    first = jnp.argmax(kept)
    return jnp.where(kept[first], x[first] / (x[first] + y[first]), 0.5)


def _whole(value: Array) -> Array:
    """The whole part: int32."""
    return jnp.floor(value).astype(jnp.int32)


def _box(image: Array, row: Array, column: Array, tall: Array | int, broad: Array | int) -> Array:
    """Where a rectangle is: bool [height, width]."""
    rows, columns = jnp.arange(image.shape[0]), jnp.arange(image.shape[1])
    return ((rows >= row) & (rows < row + tall))[:, None] & ((columns >= column) & (columns < column + broad))[None, :]


def _random_box(
    units: Array, image: Array, area: tuple[float, float], ratio: tuple[float, float], *, largest: tuple[int, int]
) -> tuple[Array, Array, Array, Array, Array]:
    """The first of ten rectangles that is at most ``largest``: row, column, height, width, whether there is one.

    ``units`` are ``BOX`` uniform numbers, ``ratio`` is that of height to width.
    """
    height, width, _ = image.shape
    target = height * width * (area[0] + (area[1] - area[0]) * units[:ATTEMPTS])
    logs = [float(value) for value in np.log(ratio)]
    aspect = jnp.exp(logs[0] + (logs[1] - logs[0]) * units[ATTEMPTS : 2 * ATTEMPTS])
    talls = jnp.round(jnp.sqrt(target * aspect)).astype(jnp.int32)
    broads = jnp.round(jnp.sqrt(target / aspect)).astype(jnp.int32)
    fits = (talls > 0) & (broads > 0) & (talls <= largest[0]) & (broads <= largest[1])
    first = jnp.argmax(fits)
    tall, broad = talls[first], broads[first]
    row = _whole(units[2 * ATTEMPTS] * (height - tall + 1))
    column = _whole(units[2 * ATTEMPTS + 1] * (width - broad + 1))
    return row, column, tall, broad, fits.any()


def _resize_weights(start: Array, length: Array, size: int, new: int, image: Array) -> Array:
    """Weights of a smoothed bilinear resize of ``start .. start + length`` of ``size`` pixels: float [new, size]."""
    scale = length.astype(image.dtype) / new
    centre = start.astype(image.dtype) + (jnp.arange(new, dtype=image.dtype) + 0.5) * scale
    pixels = jnp.arange(size, dtype=image.dtype) + 0.5
    reach = jnp.maximum(scale, 1)
    weights = jnp.maximum(0, 1 - jnp.abs(pixels[None, :] - centre[:, None]) / reach)
    index = jnp.arange(size)
    weights = jnp.where(((index >= start) & (index < start + length))[None, :], weights, 0)
    return weights / weights.sum(-1, keepdims=True)
