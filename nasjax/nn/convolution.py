"""Convolution and linear layers with a backward pass of their own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nasjax.nn.common import Moments, Padding, contract, pads_of, pair, sample_moments, use_fast_backward
from nasjax.nn.geometry import Geometry
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv_moments(geometry: Geometry, x: Array, w: Array, moments: Moments) -> Array:
    del moments
    return geometry.forward(x, w)


def _conv_moments_fwd(geometry: Geometry, x: Array, w: Array, moments: Moments) -> tuple[Array, tuple[Array, Array]]:
    del moments
    return geometry.forward(x, w), (x, w)


def _conv_moments_bwd(geometry: Geometry, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array, Moments]:
    x, w = saved
    summands = geometry.sample_kernel_gradients(x, dy, (w.shape[0], w.shape[1]))
    # The loss is a mean over the batch: times B, a summand is on the scale of a single-sample gradient.
    moments = sample_moments(summands * x.shape[0])
    return geometry.input_gradient(dy, w, x.shape[1:3]), summands.sum(0), moments


_conv_moments.defvjp(_conv_moments_fwd, _conv_moments_bwd)


def conv(
    x: Array,
    w: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    precision: Any = "highest",
    moments: Moments | None = None,
    fast: bool | None = None,
) -> Array:
    """2-D convolution with a backward pass that stays fast inside scan, map and switch.

    Args:
      x: float [batch, height, width, in_channels].
      w: float [kernel_height, kernel_width, in_channels, out_channels].
      stride: step, one integer or (vertical, horizontal).
      padding: "SAME", "VALID", an integer, or ((top, bottom), (left, right)).
      dilation: spacing of kernel taps, one integer or a pair.
      precision: matrix precision, see ``jax.lax.Precision``.
      moments: dummy zero `Moments` of the kernel's shape. Their "gradient" is the moments of the
        per-sample kernel gradients (sample n's summand of dL/dw, times the batch size, so that for a
        mean loss over uncoupled samples it is the gradient of sample n alone). Memory: the per-sample
        gradients of this one layer, while its backward runs.
      fast: whether the backward is the hand-written one; by default on CPU. Forward-mode derivatives
        of the convolution itself (jvp, not jvp of grad) need ``fast=False``.

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
    if moments is not None:
        return _conv_moments(geometry, x, w, moments)
    if use_fast_backward() if fast is None else fast:
        return _conv(geometry, x, w)
    return geometry.forward(x, w)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _linear_moments(precision: Any, x: Array, w: Array, moments: Moments) -> Array:
    del moments
    return jnp.dot(x, w, precision=precision)


def _linear_moments_fwd(precision: Any, x: Array, w: Array, moments: Moments) -> tuple[Array, tuple[Array, Array]]:
    return _linear_moments(precision, x, w, moments), (x, w)


def _linear_moments_bwd(precision: Any, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array, Moments]:
    x, w = saved
    batch = x.shape[0]
    summands = contract(x.reshape(batch, -1, x.shape[-1]), dy.reshape(batch, -1, dy.shape[-1]), precision)
    return jnp.dot(dy, w.T, precision=precision), summands.sum(0), sample_moments(summands * batch)


_linear_moments.defvjp(_linear_moments_fwd, _linear_moments_bwd)


def linear(x: Array, w: Array, *, precision: Any = "highest", moments: Moments | None = None) -> Array:
    """Matrix product ``x @ w`` over the last axis, no bias.

    Args:
      x: float [batch, ..., in_features].
      w: float [in_features, out_features].
      precision: matrix precision.
      moments: dummy zero `Moments`, as in `conv`; samples are the leading axis of ``x``.

    Returns:
      float [batch, ..., out_features].
    """
    if moments is not None:
        return _linear_moments(precision, x, w, moments)
    return jnp.dot(x, w, precision=precision)
