"""Differentiable warps of images: shift, zoom, rotation and shear, bilinear or nearest.

A shift or a zoom is two products with small matrices of hat functions, one an axis; a rotation or a shear reads four
pixels for each pixel. Both give the derivative of a magnitude where bilinear interpolation has a kink, at whole pixels
and at the identity: that towards larger magnitudes.

What a magnitude is, and what it does to the content of an image:

  ============================ ==========================================================
  ``translate_x``, ``_y``      share of width or height; to the right, downwards
  ``zoom``                     factor about the centre; above one enlarges
  ``rotate``                   degrees about the centre, counter-clockwise
  ``shear_x``, ``shear_y``     slope about the centre; lower rows to the right, right columns downwards
  ============================ ==========================================================

Coordinates count pixels; the centre of an image is ((height - 1) / 2, (width - 1) / 2). Nearest interpolation rounds
halves up and passes the bilinear derivative of the magnitude on (straight-through).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.types import Array, InputError

INTERPOLATIONS = ("bilinear", "nearest")
FILLS = ("zeros", "edge")
SEPARABLE = ("translate_x", "translate_y", "zoom")
GATHERED = ("rotate", "shear_x", "shear_y")
WARPS = SEPARABLE + GATHERED
IDENTITY = {"zoom": 1.0}  # the magnitude that changes nothing, where it is not zero


class Axis(NamedTuple):
    """Where the pixels of one axis are read.

    Attributes:
      position: float [..., n], in pixels of the input.
      side: float, broadcastable to ``position``; sign of the change of ``position`` when the magnitude grows.
    """

    position: Array
    side: Array


class Axes(NamedTuple):
    """A separable warp; None leaves an axis as it is."""

    y: Axis | None
    x: Axis | None


def warp(
    images: Array,
    name: str,
    magnitude: Array | float,
    *,
    interpolation: str = "bilinear",
    fill: str = "zeros",
    precision: str = "highest",
) -> Array:
    """Warps images, each by its own magnitude.

    Args:
      images: float [..., height, width, channels].
      name: one of ``WARPS``; its table of magnitudes heads this module.
      magnitude: float, broadcastable to the leading axes of ``images``.
      interpolation: "bilinear" or "nearest".
      fill: what lies outside of an image: "zeros", or the "edge" repeated. Bilinear interpolation blends with it.
      precision: of products, "highest" or "fast".

    Returns:
      float of the shape of ``images``.

    Raises:
      InputError: an unknown name or option, or arrays that do not fit.
    """
    check_options(name, interpolation, fill)
    if images.ndim < 3:
        raise InputError(f"images {images.shape}; allowed: [..., height, width, channels]; do: add the missing axes")
    value = jnp.asarray(magnitude, images.dtype)
    lead = images.shape[:-3]
    own = (1,) * (len(lead) - value.ndim) + value.shape
    if len(own) > len(lead) or any(m not in (1, n) for m, n in zip(own, lead, strict=True)):
        raise InputError(f"magnitude {value.shape} for images {images.shape}; allowed: what broadcasts to {lead}")
    height, width = images.shape[-3], images.shape[-2]
    how = {"interpolation": interpolation, "fill": fill}
    if name in SEPARABLE:
        y, x = axes(name, value, height, width)
        if y is not None:
            rows = hat_operator(y, height, **how)
            images = jnp.einsum("...ij,...jwc->...iwc", rows, images, precision=_precision(precision))
        if x is not None:
            columns = hat_operator(x, width, **how)
            images = jnp.einsum("...ij,...hjc->...hic", columns, images, precision=_precision(precision))
        return images
    index, weight = taps(name, value, height, width, **how)
    value_axes = value.ndim
    flat = images.reshape(*lead, height * width, images.shape[-1])

    def one(pixels: Array, index: Array, weight: Array) -> Array:
        read = jnp.take(pixels, index, axis=-2, mode="clip")  # [..., 4, pixels, channels]
        return jnp.einsum("...kpc,kp->...pc", read, weight, precision=_precision(precision))

    # Magnitudes stand for the last leading axes; those before share the taps.
    axis, read = len(lead) - value_axes, one
    wanted = lead[axis:]
    for depth in range(value_axes - 1, -1, -1):
        shared = index.shape[depth] == 1 and wanted[depth] != 1
        if shared:
            index, weight = index.squeeze(depth), weight.squeeze(depth)
        read = jax.vmap(read, in_axes=(axis, None if shared else 0, None if shared else 0), out_axes=axis)
    return read(flat, index, weight).reshape(images.shape)


def inverse(name: str, magnitude: Array | float) -> Array | float:
    """The magnitude that undoes a warp: exactly for coordinates, up to interpolation and borders for images.

    Args:
      name: one of ``WARPS``.
      magnitude: float.

    Returns:
      1 / magnitude for zoom, -magnitude otherwise.
    """
    return 1 / magnitude if name == "zoom" else -magnitude


def axes(name: str, magnitude: Array, height: int, width: int) -> Axes:
    """Where a separable warp reads.

    Args:
      name: one of ``SEPARABLE``.
      magnitude: float [...].
      height: of the images.
      width: of the images.

    Returns:
      positions [..., height] and [..., width].
    """
    value = magnitude[..., None]
    if name == "zoom":
        return Axes(*(_zoomed(value, size) for size in (height, width)))
    size = width if name == "translate_x" else height
    moved = Axis(_grid(size, value) - value * size, -jnp.ones((), value.dtype))
    return Axes(None, moved) if name == "translate_x" else Axes(moved, None)


def hat_operator(axis: Axis, size: int, *, interpolation: str = "bilinear", fill: str = "zeros") -> Array:
    """Matrix that interpolates linearly: row i holds ``max(0, 1 - |position_i - j|)`` for the pixels j.

    Args:
      axis: where to read, [..., n].
      size: pixels of the input.
      interpolation: "bilinear", or "nearest" with the derivative of bilinear.
      fill: "zeros" or "edge".

    Returns:
      float [..., n, size].
    """
    position = _inside(axis.position, size) if fill == "edge" else axis.position
    side = lax.stop_gradient(jnp.broadcast_to(axis.side, position.shape))
    pixels = jnp.arange(size, dtype=position.dtype)
    # Half-open on the side to which the position moves, so the derivative at a kink is the one-sided one.
    gap = (position[..., None] - pixels.reshape((1,) * position.ndim + (size,))) * side[..., None]
    soft = jnp.where((gap >= 0) & (gap < 1), 1 - gap, jnp.where((gap >= -1) & (gap < 0), 1 + gap, 0))
    if interpolation == "bilinear":
        return soft
    nearest = jnp.floor(lax.stop_gradient(position) + 0.5)[..., None]
    hard = (nearest == pixels.reshape((1,) * position.ndim + (size,))).astype(soft.dtype)
    return hard + (soft - lax.stop_gradient(soft))


def taps(
    name: str,
    magnitude: Array,
    height: int,
    width: int,
    *,
    interpolation: str = "bilinear",
    fill: str = "zeros",
    turn: tuple[Array, Array] | None = None,
) -> tuple[Array, Array]:
    """The four pixels that each pixel of a rotation or shear reads, and their weights.

    Args:
      name: one of ``GATHERED``.
      magnitude: float [...].
      height: of the images.
      width: of the images.
      interpolation: "bilinear", or "nearest" with the derivative of bilinear.
      fill: "zeros" (weight zero outside) or "edge".
      turn: cosine and sine of a rotation's angle, [...], where they are known.

    Returns:
      index int32 [..., 4, height * width] into the flattened image, and weight float of the same shape.
    """
    known = None if turn is None else (turn[0][..., None, None], turn[1][..., None, None])
    y, x = _field(name, magnitude[..., None, None], height, width, known)
    if fill == "edge":
        y, x = y._replace(position=_inside(y.position, height)), x._replace(position=_inside(x.position, width))
    (top, below), (left, beside) = _cell(y), _cell(x)
    corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
    index, weight = [], []
    for down, right in corners:
        row, column = top + down, left + right
        soft = (below if down else 1 - below) * (beside if right else 1 - beside)
        if interpolation == "nearest":
            hits = (row == _rounded(y.position)) & (column == _rounded(x.position))
            soft = hits.astype(soft.dtype) + (soft - lax.stop_gradient(soft))
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        place = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
        index.append(place.astype(jnp.int32))
        weight.append(jnp.where(inside, soft, 0))
    shape = (*magnitude.shape, 4, height * width)
    return jnp.stack(index, -3).reshape(shape), jnp.stack(weight, -3).reshape(shape)


def check_options(name: str, interpolation: str, fill: str) -> None:
    """Refuses what no warp knows.

    Args:
      name: of a warp.
      interpolation: of a warp.
      fill: of a warp.

    Raises:
      InputError: one of them is unknown.
    """
    for what, given, allowed in (("warp", name, WARPS), ("interpolation", interpolation, INTERPOLATIONS),
                                 ("fill", fill, FILLS)):  # fmt: skip
        if given not in allowed:
            raise InputError(f"{what} {given!r} is unknown; allowed: {', '.join(allowed)}; do: choose one of them")


def _grid(size: int, like: Array) -> Array:
    return jnp.arange(size, dtype=like.dtype).reshape((1,) * (like.ndim - 1) + (size,))


def _zoomed(factor: Array, size: int) -> Axis:
    middle = (size - 1) / 2
    offset = _grid(size, factor) - middle
    return Axis(middle + offset / factor, jnp.where(offset > 0, -1, 1).astype(factor.dtype))


def _field(
    name: str, value: Array, height: int, width: int, turn: tuple[Array, Array] | None = None
) -> tuple[Axis, Axis]:
    """Where a warp that is not separable reads: positions [..., height, width]."""
    lead = (1,) * (value.ndim - 2)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    dy = (jnp.arange(height, dtype=value.dtype) - middle_y).reshape(*lead, height, 1)
    dx = (jnp.arange(width, dtype=value.dtype) - middle_x).reshape(*lead, 1, width)
    if name == "rotate":
        cos, sin = cos_sin(value) if turn is None else turn
        y, x = dy * cos + dx * sin, dx * cos - dy * sin
        side_y, side_x = dx * cos - dy * sin, -dx * sin - dy * cos
    else:
        ones = jnp.ones((*lead, height, width), value.dtype)
        along = name == "shear_x"
        y = dy * ones if along else dy - value * dx
        x = dx - value * dy if along else dx * ones
        side_y, side_x = (ones, -dy * ones) if along else (-dx * ones, ones)
    return Axis(y + middle_y, side_y), Axis(x + middle_x, side_x)


def cos_sin(degrees: Array) -> tuple[Array, Array]:
    """Cosine and sine of an angle.

    Args:
      degrees: float [...].

    Returns:
      two arrays of the same shape.
    """
    angle = degrees * (np.pi / 180)
    return jnp.cos(angle), jnp.sin(angle)


def _cell(axis: Axis) -> tuple[Array, Array]:
    """Lower neighbour of each position, and the share of the upper one; at a whole pixel the side decides."""
    position, side = lax.stop_gradient(axis)
    lower = jnp.where(side >= 0, jnp.floor(position), jnp.ceil(position) - 1)
    return lower, axis.position - lower


def _rounded(position: Array) -> Array:
    return jnp.floor(lax.stop_gradient(position) + 0.5)


def _inside(position: Array, size: int) -> Array:
    """Positions cut to an image."""
    return jnp.where(position < 0, 0, jnp.where(position > size - 1, size - 1, position))


def _precision(name: str) -> lax.Precision | None:
    return lax.Precision.HIGHEST if name == "highest" else None
