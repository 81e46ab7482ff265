"""Rotations and shears of many images at once, with a backward pass that reads instead of scattering.

Images lie as [pixels, images]: a pixel of all images is one row, so an index is looked up once for all of them. The
transpose of a bilinear rotation adds four values for each pixel to places that repeat, which is slow on every device;
yet the pixels that touch a given one lie within a 3 x 3 neighbourhood of its image under the inverse map, so the
transpose reads nine rows with weights that are mostly zero.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.das.warps import cos_sin, taps
from nasjax.types import Array


class Reader(NamedTuple):
    """Which rows a warp reads, and which its transpose reads.

    Attributes:
      rows: int32 [..., k, pixels].
      weight: float [..., k, pixels].
      back_rows: int32 [..., m, pixels], of the transpose.
      back_weight: float [..., m, pixels].
    """

    rows: Array
    weight: Array
    back_rows: Array
    back_weight: Array


def reader(name: str, magnitude: Array, height: int, width: int) -> Reader:
    """Tables of a bilinear rotation or shear, filled with zeros outside.

    Args:
      name: "rotate", "shear_x" or "shear_y".
      magnitude: float [...].
      height: of the images.
      width: of the images.

    Returns:
      the tables.
    """
    if name != "rotate":  # rows of a shear only slide, so its transpose is the shear by the opposite slope
        return Reader(*taps(name, magnitude, height, width), *taps(name, -magnitude, height, width))

    def one(angles: tuple[Array, Array, Array]) -> Reader:
        degrees, *turn = angles
        cos, sin = turn
        return Reader(*taps(name, degrees, height, width, turn=(cos, sin)), *_turned_back(cos, sin, height, width))

    angles = (magnitude, *cos_sin(magnitude))
    # A loop, so that sines are arrays: the compiler would compute them anew for every pixel and tap.
    return one(angles) if magnitude.ndim == 0 else lax.map(one, angles)


@jax.custom_vjp
def read(pixels: Array, table: Reader) -> Array:
    """Weighted sum of rows: ``out[p] = sum_k weight[k, p] pixels[rows[k, p]]``.

    Args:
      pixels: float [pixels, n], or [levels, pixels, n].
      table: for one level, [k, pixels], or a row for each level, [levels, k, pixels].

    Returns:
      float [levels, pixels, n], or [pixels, n] where neither has levels.
    """
    return _gather(pixels, table.rows, table.weight)


def _forward(pixels: Array, table: Reader) -> tuple[Array, tuple[Array, Reader]]:
    return read(pixels, table), (pixels, table)


def _backward(saved: tuple[Array, Reader], cotangent: Array) -> tuple[Array, Reader]:
    pixels, table = saved
    back = _gather(cotangent, table.back_rows, table.back_weight)
    if pixels.ndim < cotangent.ndim:
        back = back.sum(0)
    weight = _products(pixels, table.rows, cotangent)
    return back, Reader(_no(table.rows), weight, _no(table.back_rows), jnp.zeros_like(table.back_weight))


read.defvjp(_forward, _backward)


def _no(index: Array) -> Any:
    """The cotangent of whole numbers."""
    return np.zeros(index.shape, jax.dtypes.float0)


def _gather(pixels: Array, index: Array, weight: Array) -> Array:
    def one(pixels: Array, index: Array, weight: Array) -> Array:
        def tap(total: Array, own: tuple[Array, Array]) -> tuple[Array, None]:
            rows, share = own
            return total + share[:, None] * jnp.take(pixels, rows, axis=0, mode="clip"), None

        # A loop over the taps, so that the tables are arrays: the compiler would fuse what computes them into the
        # reading, and compute them anew for every image.
        start = jnp.zeros((index.shape[-1], pixels.shape[-1]), pixels.dtype)
        return lax.scan(tap, start, (index, weight))[0]

    if index.ndim == 2:
        return one(pixels, index, weight)
    return jax.vmap(one, in_axes=(0 if pixels.ndim == 3 else None, 0, 0))(pixels, index, weight)


def _products(pixels: Array, index: Array, cotangent: Array) -> Array:
    """Derivative with respect to the weights: [.., k, pixels]."""

    def one(pixels: Array, index: Array, cotangent: Array) -> Array:
        return lax.map(lambda own: (jnp.take(pixels, own, axis=0, mode="clip") * cotangent).sum(-1), index)

    if index.ndim == 2:
        return one(pixels, index, cotangent)
    return jax.vmap(one, in_axes=(0 if pixels.ndim == 3 else None, 0, 0))(pixels, index, cotangent)


def _turned_back(cosine: Array, sine: Array, height: int, width: int) -> tuple[Array, Array]:
    """Pixels whose rotation reads a given pixel: those within one of it, both axes, after the map."""
    cos, sin = cosine[..., None, None], sine[..., None, None]
    lead = (1,) * cosine.ndim
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    dy = (jnp.arange(height, dtype=cosine.dtype) - middle_y).reshape(*lead, height, 1)
    dx = (jnp.arange(width, dtype=cosine.dtype) - middle_x).reshape(*lead, 1, width)
    # The inverse map of a pixel; what reads the pixel is closer to it than the square root of two.
    row0 = jnp.floor(lax.stop_gradient(dy * cos - dx * sin) + middle_y + 0.5)
    column0 = jnp.floor(lax.stop_gradient(dx * cos + dy * sin) + middle_x + 0.5)
    index, weight = [], []
    for down, right in itertools.product((-1, 0, 1), repeat=2):
        row, column = row0 + down, column0 + right
        y, x = row - middle_y, column - middle_x
        gap_y, gap_x = y * cos + x * sin - dy, x * cos - y * sin - dx
        touch = jnp.maximum(1 - jnp.abs(gap_y), 0) * jnp.maximum(1 - jnp.abs(gap_x), 0)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        place = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
        index.append(place.astype(jnp.int32))
        weight.append(jnp.where(inside, touch, 0))
    shape = (*cosine.shape, 9, height * width)
    return jnp.stack(index, -3).reshape(shape), jnp.stack(weight, -3).reshape(shape)
