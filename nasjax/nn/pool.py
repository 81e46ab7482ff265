"""Average and maximum pooling."""

from __future__ import annotations

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.nn.common import Padding, Sides, pad_axis, pads_of
from nasjax.types import Array


def _window_sum(x: Array, axis: int, window: int, stride: int, low: int, high: int) -> Array:
    padded = pad_axis(x, axis, low, high)
    out = (padded.shape[axis] - window) // stride + 1
    last = (out - 1) * stride + 1
    slices = (lax.slice_in_dim(padded, i, i + last, stride=stride, axis=axis) for i in range(window))
    return functools.reduce(operator.add, slices)


def avg_pool(
    x: Array,
    window: int,
    *,
    stride: int = 1,
    padding: Padding = "SAME",
    count_include_pad: bool = False,
    fast: bool | None = None,
) -> Array:
    """Average pooling as shifted additions, first along rows and then along columns.

    Args:
      x: float [batch, height, width, channels].
      window: side of the square window.
      stride: step.
      padding: "SAME", "VALID", an integer, or ((top, bottom), (left, right)).
      count_include_pad: whether padded positions count in the divisor.
      fast: False leaves the backward to autodiff, which forward-mode derivatives need.

    Returns:
      float [batch, out_height, out_width, channels].
    """
    sides = pads_of(padding, x.shape[1:3], (window, window), (stride, stride), (1, 1))
    geometry = _Pool(window, stride, sides, x.shape[1:3], count_include_pad)
    return _avg_pool(geometry, x) if stride == 1 and fast is not False else geometry.forward(x)


class _Pool(NamedTuple):
    """Static description of an average pooling."""

    window: int
    stride: int
    sides: Sides
    size: tuple[int, ...]
    count_include_pad: bool

    def divide(self, y: Array) -> Array:
        """Divides window sums by the number of positions that count."""
        inverses = []
        for n, size, (low, _) in zip(y.shape[1:3], self.size, self.sides, strict=True):
            starts = np.arange(n) * self.stride - low
            valid = np.minimum(starts + self.window, size) - np.maximum(starts, 0)
            inverses.append(1.0 / (np.full_like(valid, self.window) if self.count_include_pad else valid))
        table = inverses[0][:, None] * inverses[1][None]
        return y * jnp.asarray(table[None, :, :, None], y.dtype)

    def forward(self, x: Array) -> Array:
        for axis, (low, high) in zip((1, 2), self.sides, strict=True):
            x = _window_sum(x, axis, self.window, self.stride, low, high)
        return self.divide(x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _avg_pool(geometry: _Pool, x: Array) -> Array:
    return geometry.forward(x)


def _avg_pool_fwd(geometry: _Pool, x: Array) -> tuple[Array, None]:
    return geometry.forward(x), None


def _avg_pool_bwd(geometry: _Pool, saved: None, dy: Array) -> tuple[Array]:
    del saved
    dx = geometry.divide(dy)
    for axis, (low, high) in zip((2, 1), geometry.sides[::-1], strict=True):
        reach = geometry.window - 1
        dx = _window_sum(dx, axis, geometry.window, 1, reach - low, reach - high)
    return (dx,)


_avg_pool.defvjp(_avg_pool_fwd, _avg_pool_bwd)


class _MaxPool(NamedTuple):
    """Static description of a maximum pooling."""

    window: int
    stride: int
    sides: Sides

    def padded(self, x: Array) -> Array:
        config = ((0, 0, 0), *((low, high, 0) for low, high in self.sides), (0, 0, 0))
        return lax.pad(x, jnp.asarray(-jnp.inf, x.dtype), config)

    def taps(self, x: Array, axis: int) -> list[Array]:
        """One slice of padded x for each position in the window, along one axis."""
        last = (x.shape[axis] - self.window) // self.stride * self.stride + 1
        return [lax.slice_in_dim(x, i, i + last, stride=self.stride, axis=axis) for i in range(self.window)]

    def forward(self, x: Array) -> Array:
        x = self.padded(x)
        for axis in (1, 2):
            x = functools.reduce(jnp.maximum, self.taps(x, axis))
        return x

    def spread(self, x: Array, dy: Array, axis: int) -> Array:
        """Gives each value of dy to the first largest of its window along one axis of padded x."""
        taps = self.taps(x, axis)
        best, place = taps[0], jnp.zeros(taps[0].shape, jnp.int8)
        for i, tap in enumerate(taps[1:], start=1):
            better = tap > best
            best, place = jnp.where(better, tap, best), jnp.where(better, jnp.int8(i), place)
        zero, last = jnp.zeros((), dy.dtype), (dy.shape[axis] - 1) * self.stride + 1
        parts = []
        for i in range(self.window):
            config = [(0, 0, 0)] * x.ndim
            config[axis] = (i, x.shape[axis] - last - i, self.stride - 1)
            parts.append(lax.pad(jnp.where(place == i, dy, zero), zero, config))
        return functools.reduce(operator.add, parts)

    def gradient(self, x: Array, dy: Array) -> Array:
        """dL/dx: to the first row that holds the largest value, and there to the first column."""
        padded = self.padded(x)
        rows = functools.reduce(jnp.maximum, self.taps(padded, 2))
        dx = self.spread(padded, self.spread(rows, dy, 1), 2)
        for axis, (low, _) in zip((1, 2), self.sides, strict=True):
            dx = lax.slice_in_dim(dx, low, low + x.shape[axis], axis=axis)
        return dx


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _max_pool(geometry: _MaxPool, x: Array) -> Array:
    return geometry.forward(x)


def _max_pool_fwd(geometry: _MaxPool, x: Array) -> tuple[Array, Array]:
    return geometry.forward(x), x


def _max_pool_bwd(geometry: _MaxPool, x: Array, dy: Array) -> tuple[Array]:
    return (geometry.gradient(x, dy),)


_max_pool.defvjp(_max_pool_fwd, _max_pool_bwd)


def max_pool(
    x: Array, window: int, *, stride: int = 1, padding: Padding = "SAME", fast: bool | None = None
) -> Array:
    """Maximum pooling by shifted comparisons, forward and backward; padding never wins.

    The gradient goes to the first of equal values, row by row, as in PyTorch. What autodiff derives from
    ``lax.reduce_window`` is slow inside scan and switch on CPU.

    Args:
      x: float [batch, height, width, channels].
      window: height and width of the window.
      stride: step of the window.
      padding: "SAME", "VALID" or explicit.
      fast: False leaves the derivative to autodiff, which forward-mode derivatives need; it shares the gradient among
        equal values.

    Returns:
      float [batch, new height, new width, channels].
    """
    sides = pads_of(padding, x.shape[1:3], (window, window), (stride, stride), (1, 1))
    geometry = _MaxPool(window, stride, sides)
    return geometry.forward(x) if fast is False else _max_pool(geometry, x)
