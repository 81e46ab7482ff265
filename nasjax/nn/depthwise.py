"""Depthwise convolution as shifted multiply-adds."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.nn.common import Padding, pad_axis, pads_of, pair, use_fast_backward
from nasjax.nn.readers import observe, read, reads_samples
from nasjax.types import Array, InputError


class _Depthwise(NamedTuple):
    """Static description of a depthwise convolution, computed as shifted multiply-adds."""

    stride: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]

    def taps(self, x: Array, kernel: tuple[int, int], out: tuple[int, int]) -> list[list[Array]]:
        padded = pad_axis(pad_axis(x, 1, *self.pads[0]), 2, *self.pads[1])
        rows, cols = ((n - 1) * s + 1 for n, s in zip(out, self.stride, strict=True))
        table = []
        for i in range(kernel[0]):
            top = i * self.dilation[0]
            row = lax.slice_in_dim(padded, top, top + rows, stride=self.stride[0], axis=1)
            lefts = [j * self.dilation[1] for j in range(kernel[1])]
            table.append([lax.slice_in_dim(row, c, c + cols, stride=self.stride[1], axis=2) for c in lefts])
        return table

    def out_size(self, x: Array, kernel: tuple[int, int]) -> tuple[int, int]:
        sizes = [
            (x.shape[1 + a] + sum(self.pads[a]) - (kernel[a] - 1) * self.dilation[a] - 1) // self.stride[a] + 1
            for a in range(2)
        ]
        return sizes[0], sizes[1]

    def forward(self, x: Array, w: Array) -> Array:
        kernel = (w.shape[0], w.shape[1])
        taps = self.taps(x, kernel, self.out_size(x, kernel))
        products = (taps[i][j] * w[i, j, 0][None, None, None] for i in range(kernel[0]) for j in range(kernel[1]))
        return functools.reduce(operator.add, products)

    def input_gradient(self, dy: Array, w: Array, size: tuple[int, ...]) -> Array:
        config = [(0, 0, 0)]
        for axis in range(2):
            reach = (w.shape[axis] - 1) * self.dilation[axis]
            low = reach - self.pads[axis][0]
            spread = (dy.shape[1 + axis] - 1) * self.stride[axis] + 1
            config.append((low, size[axis] + reach - spread - low, self.stride[axis] - 1))
        spread_dy = lax.pad(dy, jnp.zeros((), dy.dtype), [*config, (0, 0, 0)])
        plain = _Depthwise((1, 1), ((0, 0), (0, 0)), self.dilation)
        return plain.forward(spread_dy, lax.rev(w, (0, 1)))

    def kernel_gradient(self, x: Array, dy: Array, kernel: tuple[int, int], axes: tuple[int, ...]) -> Array:
        """Sums of products over ``axes`` for each tap: [..., kh, kw, 1, C]."""
        if use_fast_backward():
            return self._looped_gradient(x, dy, kernel, axes)
        taps = self.taps(x, kernel, (dy.shape[1], dy.shape[2]))
        rows = [jnp.stack([(tap * dy).sum(axes) for tap in row], -2) for row in taps]
        return jnp.stack(rows, -3)[..., None, :]

    def _looped_gradient(self, x: Array, dy: Array, kernel: tuple[int, int], axes: tuple[int, ...]) -> Array:
        """The same as a loop: a reduction a tap makes up most of the time that XLA:CPU needs to compile a network."""
        padded = pad_axis(pad_axis(x, 1, *self.pads[0]), 2, *self.pads[1])
        (sh, sw), (dh, dw) = self.stride, self.dilation
        spans = ((dy.shape[1] - 1) * sh + 1, (dy.shape[2] - 1) * sw + 1)

        @jax.checkpoint  # a second derivative would keep every window
        def tap(padded: Array, dy: Array, place: Array) -> Array:
            start = (0, place // kernel[1] * dh, place % kernel[1] * dw, 0)
            window = lax.dynamic_slice(padded, start, (x.shape[0], *spans, x.shape[3]))
            return (window[:, ::sh, ::sw] * dy).sum(axes)

        sums = lax.map(lambda place: tap(padded, dy, place), jnp.arange(kernel[0] * kernel[1]))
        lead = sums.shape[1:-1]
        return jnp.moveaxis(sums, 0, -2).reshape(*lead, *kernel, 1, x.shape[3])

    def sample_kernel_gradients(self, x: Array, dy: Array, kernel: tuple[int, int]) -> Array:
        return self.kernel_gradient(x, dy, kernel, (1, 2))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _depthwise(geometry: _Depthwise, x: Array, w: Array) -> Array:
    return geometry.forward(x, w)


def _depthwise_fwd(geometry: _Depthwise, x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return geometry.forward(x, w), (x, w)


def _depthwise_bwd(geometry: _Depthwise, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, w = saved
    dw = geometry.kernel_gradient(x, dy, (w.shape[0], w.shape[1]), (0, 1, 2))
    return geometry.input_gradient(dy, w, x.shape[1:3]), dw


_depthwise.defvjp(_depthwise_fwd, _depthwise_bwd)


def depthwise_conv(
    x: Array,
    w: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    moments: Any = None,
    fast: bool = True,
) -> Array:
    """Depthwise convolution as shifted multiply-adds, forward and backward.

    Args:
      x: float [batch, height, width, channels].
      w: float [kernel_height, kernel_width, 1, channels].
      stride: step, one integer or (vertical, horizontal).
      padding: "SAME", "VALID", an integer, or ((top, bottom), (left, right)).
      dilation: spacing of kernel taps, one integer or a pair.
      moments: zeros of a reader, as in `conv`.
      fast: False leaves the derivative to autodiff, which forward mode needs.

    Returns:
      float [batch, out_height, out_width, channels].

    Raises:
      InputError: shapes do not fit, or an argument is out of range.
    """
    if x.ndim != 4 or w.ndim != 4 or w.shape[2] != 1 or x.shape[-1] != w.shape[3]:
        raise InputError(f"depthwise_conv: images {x.shape}, kernel {w.shape}; need [B,H,W,C] and [kh,kw,1,C].")
    strides, dilations = pair(stride, "stride"), pair(dilation, "dilation")
    pads = pads_of(padding, x.shape[1:3], w.shape[:2], strides, dilations)
    geometry = _Depthwise(strides, pads, dilations)
    if reads_samples(moments):
        return read(geometry, x, w, moments)
    return observe(_depthwise(geometry, x, w) if fast else geometry.forward(x, w), moments)
