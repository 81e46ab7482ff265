"""Convolution and linear layers with a backward pass of their own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nasjax.nn import together as networks
from nasjax.nn.common import Padding, contract, pads_of, pair, use_fast_backward
from nasjax.nn.geometry import Geometry
from nasjax.nn.readers import observe, read, reads_samples
from nasjax.types import Array, InputError


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(geometry: Geometry, x: Array, w: Array) -> Array:
    return geometry.forward(x, w)


def _conv_fwd(geometry: Geometry, x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return geometry.forward(x, w), (x, w)


def _conv_bwd(geometry: Geometry, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, w = saved
    kernel = (w.shape[0], w.shape[1])
    return geometry.input_gradient(dy, w, x.shape[1:3]), geometry.kernel_gradient(x, dy, kernel)


_conv.defvjp(_conv_fwd, _conv_bwd)


def conv(
    x: Array,
    w: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    precision: Any = "highest",
    moments: Any = None,
    fast: bool | None = None,
    together: bool = False,
) -> Array:
    """2-D convolution with a backward pass that stays fast inside scan, map and switch.

    Args:
      x: float [batch, height, width, in_channels].
      w: float [kernel_height, kernel_width, in_channels, out_channels].
      stride: step, one integer or (vertical, horizontal).
      padding: "SAME", "VALID", an integer, or ((top, bottom), (left, right)).
      dilation: spacing of kernel taps, one integer or a pair.
      precision: matrix precision, see ``jax.lax.Precision``.
      moments: zeros of a reader (see `nasjax.nn.readers`) of the kernel's shape. The "gradient" of `Moments`
        is the moments of the per-sample kernel gradients (sample n's summand of dL/dw, times the batch
        size, so that for a mean loss over uncoupled samples it is the gradient of sample n alone).
        Memory: the per-sample gradients of this one layer, while its backward runs.
      fast: whether the backward is the hand-written one; by default on CPU. Forward-mode derivatives
        of the convolution itself (jvp, not jvp of grad) need ``fast=False``.
      together: on accelerators, many networks with kernels of their own run together under ``jax.vmap`` as matrix
        products, where a grouped convolution would be slow.

    Returns:
      float [batch, out_height, out_width, out_channels].

    Raises:
      InputError: shapes do not fit, or an argument is out of range.
    """
    if x.ndim != 4 or w.ndim != 4 or x.shape[-1] != w.shape[2]:
        raise InputError(f"conv: images {x.shape} and kernel {w.shape} do not fit; need [B,H,W,I] and [kh,kw,I,O].")
    strides, dilations = pair(stride, "stride"), pair(dilation, "dilation")
    pads = pads_of(padding, x.shape[1:3], w.shape[:2], strides, dilations)
    geometry = Geometry(strides, pads, dilations, precision)
    if reads_samples(moments):
        return read(geometry, x, w, moments)
    if together and not use_fast_backward():
        run = networks.forward if fast is False else networks.convolve
        return observe(run(geometry, x, w), moments)
    fast = use_fast_backward() if fast is None else fast
    return observe(_conv(geometry, x, w) if fast else geometry.forward(x, w), moments)


class _Linear(NamedTuple):
    """Static description of a linear layer."""

    precision: Any

    def forward(self, x: Array, w: Array) -> Array:
        return jnp.dot(x, w, precision=self.precision)

    def input_gradient(self, dy: Array, w: Array, size: tuple[int, ...]) -> Array:
        del size
        return jnp.dot(dy, w.T, precision=self.precision)

    def sample_kernel_gradients(self, x: Array, dy: Array, kernel: tuple[int, int]) -> Array:
        del kernel
        batch = x.shape[0]
        return contract(x.reshape(batch, -1, x.shape[-1]), dy.reshape(batch, -1, dy.shape[-1]), self.precision)


def linear(x: Array, w: Array, *, bias: Array | None = None, precision: Any = "highest", moments: Any = None) -> Array:
    """Matrix product ``x @ w`` over the last axis.

    Args:
      x: float [batch, ..., in_features].
      w: float [in_features, out_features].
      bias: float [out_features], added; what a reader of outputs sees includes it.
      precision: matrix precision.
      moments: zeros of a reader, as in `conv`; samples are the leading axis of ``x``.

    Returns:
      float [batch, ..., out_features].
    """
    layer = _Linear(precision)
    y = read(layer, x, w, moments) if reads_samples(moments) else layer.forward(x, w)
    return observe(y if bias is None else y + bias.reshape((1,) * (x.ndim - 1) + (-1,)), moments)
