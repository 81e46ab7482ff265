"""Layers made for scoring many small networks in one compiled program.

Convolutions have a backward pass of their own. XLA:CPU runs the gradients that autodiff derives for
``lax.conv_general_dilated`` 8 to 40 times slower inside ``while`` and ``switch`` than at top level;
the forms used here keep their speed there (``python -m benchmarks.conv`` measures both). Values and
derivatives of first and second order equal those of ``lax``.

Arrays are NHWC, kernels HWIO. Nothing here fixes a dtype.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.types import Array, InputError

_DIMS = ("NHWC", "HWIO", "NHWC")

Padding = str | int | Sequence[tuple[int, int]]


class Moments(NamedTuple):
    """Moments of a weight's gradient over observations (samples or mini-batches).

    Every field has the shape of the weight; ``m2`` fields are sums of squared deviations from the mean.

    Attributes:
      mean: mean of the gradient g.
      m2: sum of (g - mean)^2.
      mean_abs: mean of |g|.
      m2_abs: sum of (|g| - mean_abs)^2.
    """

    mean: Array
    m2: Array
    mean_abs: Array
    m2_abs: Array

    @classmethod
    def zeros_like(cls, weight: Array) -> Moments:
        """Moments of nothing: four zero arrays of the weight's shape and dtype."""
        return cls(*(jnp.zeros_like(weight) for _ in range(4)))


def sample_moments(gradients: Array) -> Moments:
    """Moments over the leading axis.

    Args:
      gradients: float [n, ...], one gradient an observation.

    Returns:
      Moments with fields of shape [...], centred (two passes), so that no cancellation occurs.
    """
    absolute = jnp.abs(gradients)
    mean, mean_abs = gradients.mean(0), absolute.mean(0)
    return Moments(
        mean,
        jnp.square(gradients - mean[None]).sum(0),
        mean_abs,
        jnp.square(absolute - mean_abs[None]).sum(0),
    )


def _pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(int(v) for v in value)
    if len(pair) != 2 or min(pair) < 1:
        raise InputError(f"{name}={value!r}: allowed is a positive integer or a pair of them.")
    return pair[0], pair[1]


def _pads(
    padding: Padding, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Explicit padding of both spatial axes."""
    if isinstance(padding, int):
        return ((padding, padding), (padding, padding))
    if isinstance(padding, str):
        if padding.upper() == "VALID":
            return ((0, 0), (0, 0))
        if padding.upper() != "SAME":
            raise InputError(f"padding={padding!r}: allowed are 'SAME', 'VALID', an integer or two (low, high) pairs.")
        pads = []
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            pads.append((total // 2, total - total // 2))
        return pads[0], pads[1]
    low, high = padding
    return (int(low[0]), int(low[1])), (int(high[0]), int(high[1]))


class _Geometry(NamedTuple):
    """Static description of one convolution."""

    stride: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    precision: Any

    def forward(self, x: Array, w: Array) -> Array:
        return self._plain(x, w, self.pads, (1, 1), self.stride)

    def _plain(self, x: Array, w: Array, pads: Any, lhs_dilation: tuple[int, int], stride: tuple[int, int]) -> Array:
        if x.dtype == jnp.float64 and use_fast_backward():
            return self._products(x, w, pads, lhs_dilation, stride)
        # XLA:CPU hands symmetric convolutions of 32 channels and more to a library that needs twice
        # the time of its own code; one output row too many keeps them out of it.
        extra = _avoid_library(x, w) and tuple(pads[0]) == tuple(pads[1]) and min(pads[0]) == max(pads[0]) > 0
        if extra:
            pads = ((pads[0][0], pads[0][1] + stride[0]), tuple(pads[1]))
        y = lax.conv_general_dilated(
            x,
            w,
            stride,
            pads,
            lhs_dilation=lhs_dilation,
            rhs_dilation=self.dilation,
            dimension_numbers=_DIMS,
            precision=self.precision,
        )
        return y[:, :-1] if extra else y

    def _products(self, x: Array, w: Array, pads: Any, lhs_dilation: tuple[int, int], stride: tuple[int, int]) -> Array:
        """Convolution as matrix products; XLA:CPU has no fast double-precision convolution."""
        kh, kw, ins, outs = w.shape
        (top, bottom), (left, right) = pads
        config = [(0, 0, 0), (top, bottom, lhs_dilation[0] - 1), (left, right, lhs_dilation[1] - 1), (0, 0, 0)]
        x = lax.pad(x, jnp.zeros((), x.dtype), config)
        spans = [(size - (k - 1) * d - 1) // s * s + 1
                 for size, k, d, s in zip(x.shape[1:3], (kh, kw), self.dilation, stride, strict=True)]
        dh, dw = self.dilation
        taps = [lax.slice_in_dim(x, j * dw, j * dw + spans[1], stride=stride[1], axis=2) for j in range(kw)]
        wide = jnp.concatenate(taps, -1)
        rows = [lax.slice_in_dim(wide, i * dh, i * dh + spans[0], stride=stride[0], axis=1) for i in range(kh)]
        flat = w.reshape(kh, kw * ins, outs)
        return sum(jnp.dot(row, flat[i], precision=self.precision) for i, row in enumerate(rows))

    def is_pointwise(self, kernel: tuple[int, int]) -> bool:
        return kernel == (1, 1) and self.stride == (1, 1) and self.pads == ((0, 0), (0, 0))

    def input_gradient(self, dy: Array, w: Array, size: tuple[int, int]) -> Array:
        """dL/dx: dy, spread by the stride, convolved with the flipped, transposed kernel."""
        pads = []
        for axis in range(2):
            reach = (w.shape[axis] - 1) * self.dilation[axis]
            covered = (dy.shape[1 + axis] - 1) * self.stride[axis] + reach + 1 - self.pads[axis][0]
            pads.append((reach - self.pads[axis][0], reach + size[axis] - covered))
        flipped = lax.rev(w, (0, 1)).swapaxes(2, 3)
        return self._plain(dy, flipped, pads, self.stride, (1, 1))

    def _rows(self, x: Array, dy: Array, kernel: tuple[int, int], row_axis: int) -> tuple[list[Array], Array, bool]:
        """Operands whose products over all positions are the kernel gradient, one kernel row each.

        Columns lie on axis 2. Gathering the horizontal taps from dy and slicing x by rows moves the
        least memory; it needs stride 1. Otherwise the horizontal taps of x are gathered.

        Returns:
          a slice of x for each kernel row; the other operand; whether taps were gathered from dy.
        """
        (kh, kw), (sh, sw), (dh, dw) = kernel, self.stride, self.dilation
        out_h, out_w = dy.shape[row_axis], dy.shape[2]
        (top, bottom), (left, right) = self.pads
        from_dy = sw == 1 and left >= 0
        if from_dy:
            # Column c of x meets output column c + left - j * dw under tap j.
            width, reach = x.shape[2], (kw - 1) * dw
            low, high = max(reach - left, 0), max(left + width - out_w, 0)
            spread = _pad_axis(dy, 2, low, high)
            starts = [low + left - j * dw for j in range(kw)]
            base, other = x, jnp.concatenate([lax.slice_in_dim(spread, s, s + width, axis=2) for s in starts], -1)
        else:
            padded, last = _pad_axis(x, 2, left, right), (out_w - 1) * sw + 1
            taps = [lax.slice_in_dim(padded, j * dw, j * dw + last, stride=sw, axis=2) for j in range(kw)]
            base, other = jnp.concatenate(taps, -1), dy
        base, last = _pad_axis(base, row_axis, top, bottom), (out_h - 1) * sh + 1
        rows = [lax.slice_in_dim(base, i * dh, i * dh + last, stride=sh, axis=row_axis) for i in range(kh)]
        return rows, other, from_dy

    def kernel_gradient(self, x: Array, dy: Array, kernel: tuple[int, int]) -> Array:
        """dL/dW as matrix products over batch and positions: [B,H,W,I], [B,H',W',O] -> [kh,kw,I,O]."""
        ins, outs = x.shape[-1], dy.shape[-1]
        if self.is_pointwise(kernel):
            return _contract(x.reshape(-1, ins), dy.reshape(-1, outs), self.precision)[None, None]
        # With rows leading, a vertical shift is one contiguous slice.
        rows, other, from_dy = self._rows(x.swapaxes(0, 1), dy.swapaxes(0, 1), kernel, 0)
        other = other.reshape(-1, other.shape[-1])
        products = jnp.stack([_contract(row.reshape(-1, row.shape[-1]), other, self.precision) for row in rows])
        return _assemble(products, kernel, ins, outs, from_dy)

    def sample_kernel_gradients(self, x: Array, dy: Array, kernel: tuple[int, int]) -> Array:
        """The summands of dL/dW by sample: [B,H,W,I], [B,H',W',O] -> [B,kh,kw,I,O], at the same cost."""
        batch, ins, outs = x.shape[0], x.shape[-1], dy.shape[-1]
        if self.is_pointwise(kernel):
            return _contract(x.reshape(batch, -1, ins), dy.reshape(batch, -1, outs), self.precision)[:, None, None]
        rows, other, from_dy = self._rows(x, dy, kernel, 1)
        other = other.reshape(batch, -1, other.shape[-1])
        products = [_contract(row.reshape(batch, -1, row.shape[-1]), other, self.precision) for row in rows]
        return _assemble(jnp.stack(products, 1), kernel, ins, outs, from_dy)


def _avoid_library(x: Array, w: Array) -> bool:
    return use_fast_backward() and x.dtype == jnp.float32 and min(w.shape[2], w.shape[3]) >= 32


def _pad_axis(x: Array, axis: int, low: int, high: int) -> Array:
    """Zero padding of one axis; negative amounts crop."""
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (low, high, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _contract(a: Array, b: Array, precision: Any) -> Array:
    """[..., n, i], [..., n, o] -> [..., i, o], leading axes are batch axes."""
    batch = tuple(range(a.ndim - 2))
    axis = a.ndim - 2
    return lax.dot_general(a, b, (((axis,), (axis,)), (batch, batch)), precision=precision)


def _assemble(products: Array, kernel: tuple[int, int], ins: int, outs: int, from_dy: bool) -> Array:
    """Products [..., kh, a, b] of `_Geometry._rows` -> kernels [..., kh, kw, I, O]."""
    lead = products.shape[:-2]
    if from_dy:
        return products.reshape(*lead, ins, kernel[1], outs).swapaxes(-2, -3)
    return products.reshape(*lead, kernel[1], ins, outs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(geometry: _Geometry, x: Array, w: Array) -> Array:
    return geometry.forward(x, w)


def _conv_fwd(geometry: _Geometry, x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return geometry.forward(x, w), (x, w)


def _conv_bwd(geometry: _Geometry, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, w = saved
    kernel = (w.shape[0], w.shape[1])
    return geometry.input_gradient(dy, w, x.shape[1:3]), geometry.kernel_gradient(x, dy, kernel)


_conv.defvjp(_conv_fwd, _conv_bwd)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv_moments(geometry: _Geometry, x: Array, w: Array, moments: Moments) -> Array:
    del moments
    return geometry.forward(x, w)


def _conv_moments_fwd(geometry: _Geometry, x: Array, w: Array, moments: Moments) -> tuple[Array, tuple[Array, Array]]:
    del moments
    return geometry.forward(x, w), (x, w)


def _conv_moments_bwd(
    geometry: _Geometry, saved: tuple[Array, Array], dy: Array
) -> tuple[Array, Array, Moments]:
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
    strides, dilations = _pair(stride, "stride"), _pair(dilation, "dilation")
    pads = _pads(padding, x.shape[1:3], w.shape[:2], strides, dilations)
    geometry = _Geometry(strides, pads, dilations, precision)
    if moments is not None:
        return _conv_moments(geometry, x, w, moments)
    if use_fast_backward() if fast is None else fast:
        return _conv(geometry, x, w)
    return geometry.forward(x, w)


def use_fast_backward() -> bool:
    """Whether convolutions use the hand-written backward by default: on CPU, where autodiff's is slow in loops."""
    return jax.default_backend() == "cpu"


class _Depthwise(NamedTuple):
    """Static description of a depthwise convolution, computed as shifted multiply-adds."""

    stride: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]

    def taps(self, x: Array, kernel: tuple[int, int], out: tuple[int, int]) -> list[list[Array]]:
        padded = _pad_axis(_pad_axis(x, 1, *self.pads[0]), 2, *self.pads[1])
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
        return sum(taps[i][j] * w[i, j, 0][None, None, None] for i in range(kernel[0]) for j in range(kernel[1]))

    def input_gradient(self, dy: Array, w: Array, size: tuple[int, int]) -> Array:
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
        taps = self.taps(x, kernel, (dy.shape[1], dy.shape[2]))
        rows = [jnp.stack([(tap * dy).sum(axes) for tap in row], -2) for row in taps]
        return jnp.stack(rows, -3)[..., None, :]


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


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _depthwise_moments(geometry: _Depthwise, x: Array, w: Array, moments: Moments) -> Array:
    del moments
    return geometry.forward(x, w)


def _depthwise_moments_fwd(
    geometry: _Depthwise, x: Array, w: Array, moments: Moments
) -> tuple[Array, tuple[Array, Array]]:
    del moments
    return geometry.forward(x, w), (x, w)


def _depthwise_moments_bwd(
    geometry: _Depthwise, saved: tuple[Array, Array], dy: Array
) -> tuple[Array, Array, Moments]:
    x, w = saved
    summands = geometry.kernel_gradient(x, dy, (w.shape[0], w.shape[1]), (1, 2))
    moments = sample_moments(summands * x.shape[0])
    return geometry.input_gradient(dy, w, x.shape[1:3]), summands.sum(0), moments


_depthwise_moments.defvjp(_depthwise_moments_fwd, _depthwise_moments_bwd)


def depthwise_conv(
    x: Array,
    w: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    moments: Moments | None = None,
    fast: bool = True,
) -> Array:
    """Depthwise convolution as shifted multiply-adds, forward and backward.

    Args:
      x: float [batch, height, width, channels].
      w: float [kernel_height, kernel_width, 1, channels].
      stride: step, one integer or (vertical, horizontal).
      padding: "SAME", "VALID", an integer, or ((top, bottom), (left, right)).
      dilation: spacing of kernel taps, one integer or a pair.
      moments: dummy zero `Moments`, as in `conv`.
      fast: False leaves the derivative to autodiff, which forward mode needs.

    Returns:
      float [batch, out_height, out_width, channels].

    Raises:
      InputError: shapes do not fit, or an argument is out of range.
    """
    if x.ndim != 4 or w.ndim != 4 or w.shape[2] != 1 or x.shape[-1] != w.shape[3]:
        raise InputError(f"depthwise_conv: images {x.shape}, kernel {w.shape}; need [B,H,W,C] and [kh,kw,1,C].")
    strides, dilations = _pair(stride, "stride"), _pair(dilation, "dilation")
    pads = _pads(padding, x.shape[1:3], w.shape[:2], strides, dilations)
    geometry = _Depthwise(strides, pads, dilations)
    if moments is not None:
        return _depthwise_moments(geometry, x, w, moments)
    return _depthwise(geometry, x, w) if fast else geometry.forward(x, w)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _linear_moments(precision: Any, x: Array, w: Array, moments: Moments) -> Array:
    del moments
    return jnp.dot(x, w, precision=precision)


def _linear_moments_fwd(precision: Any, x: Array, w: Array, moments: Moments) -> tuple[Array, tuple[Array, Array]]:
    return _linear_moments(precision, x, w, moments), (x, w)


def _linear_moments_bwd(precision: Any, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array, Moments]:
    x, w = saved
    batch = x.shape[0]
    summands = _contract(x.reshape(batch, -1, x.shape[-1]), dy.reshape(batch, -1, dy.shape[-1]), precision)
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _probe(reduce: Callable[[Array, Array], Any], x: Array, dummy: Any) -> Array:
    del reduce, dummy
    return x


def _probe_fwd(reduce: Callable[[Array, Array], Any], x: Array, dummy: Any) -> tuple[Array, Array]:
    del reduce, dummy
    return x, x


def _probe_bwd(reduce: Callable[[Array, Array], Any], x: Array, dy: Array) -> tuple[Array, Any]:
    return dy, reduce(x, dy)


_probe.defvjp(_probe_fwd, _probe_bwd)


def probe(x: Array, dummy: Any, reduce: Callable[[Array, Array], Any]) -> Array:
    """Identity whose backward emits a statistic as the gradient of ``dummy``.

    Args:
      x: any array.
      dummy: zero pytree of the statistic's structure, shapes and dtypes.
      reduce: pure function (value, cotangent) -> statistic; static, so define it once at module level.

    Returns:
      ``x`` unchanged.
    """
    return _probe(reduce, x, dummy)


def batch_norm(
    x: Array,
    scale: Array | None,
    bias: Array | None,
    stats: tuple[Array, Array] | None = None,
    *,
    mode: str = "batch",
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, tuple[Array, Array] | None]:
    """Batch normalisation over all axes but the last.

    Args:
      x: float [batch, height, width, channels].
      scale: float [channels] or None.
      bias: float [channels] or None.
      stats: running (mean, variance), each float [channels].
      mode: "batch": statistics of the batch (biased variance), running statistics updated with the
        unbiased one; "running": the given statistics; "sample": statistics of each sample by itself,
        which is what batch mode does to a batch of one; "none": identity, without scale and bias.
      momentum: weight of the new value in the running statistics.
      eps: added to the variance.

    Returns:
      normalised x, and the (updated) running statistics.

    Raises:
      InputError: unknown mode, or mode "running" without statistics.
    """
    if mode == "none":
        return x, stats
    if mode == "running":
        if stats is None:
            raise InputError("batch_norm: mode 'running' needs stats=(mean, variance).")
        mean, var, new = stats[0], stats[1], stats
    elif mode in ("batch", "sample"):
        axes = tuple(range(x.ndim - 1)) if mode == "batch" else tuple(range(1, x.ndim - 1))
        mean = x.mean(axes, keepdims=True)
        var = jnp.square(x - mean).mean(axes, keepdims=True)
        new = stats
        if mode == "batch" and stats is not None:
            count = int(np.prod(x.shape[:-1]))
            unbiased = var.reshape(-1) * (count / max(count - 1, 1))
            new = (
                stats[0] + momentum * (mean.reshape(-1) - stats[0]),
                stats[1] + momentum * (unbiased - stats[1]),
            )
    else:
        raise InputError(f"batch_norm: mode={mode!r}; allowed are 'batch', 'running', 'sample', 'none'.")
    lead = (1,) * (x.ndim - 1)
    y = (x - mean.reshape(mean.shape if mean.ndim > 1 else (*lead, -1))) * lax.rsqrt(
        var.reshape(var.shape if var.ndim > 1 else (*lead, -1)) + jnp.asarray(eps, x.dtype)
    )
    if scale is not None:
        y = y * scale.reshape(*lead, -1)
    if bias is not None:
        y = y + bias.reshape(*lead, -1)
    return y, new


def layer_norm(x: Array, scale: Array | None, bias: Array | None, *, eps: float = 1e-5) -> Array:
    """Layer normalisation over the last axis, with the biased variance.

    Args:
      x: float [..., features].
      scale: float [features], or None.
      bias: float [features], or None.
      eps: added to the variance.

    Returns:
      float [..., features].
    """
    mean = x.mean(-1, keepdims=True)
    y = (x - mean) * lax.rsqrt(jnp.square(x - mean).mean(-1, keepdims=True) + jnp.asarray(eps, x.dtype))
    lead = (1,) * (x.ndim - 1)
    if scale is not None:
        y = y * scale.reshape(*lead, -1)
    return y if bias is None else y + bias.reshape(*lead, -1)


def _window_sum(x: Array, axis: int, window: int, stride: int, low: int, high: int) -> Array:
    padded = _pad_axis(x, axis, low, high)
    out = (padded.shape[axis] - window) // stride + 1
    last = (out - 1) * stride + 1
    return sum(lax.slice_in_dim(padded, i, i + last, stride=stride, axis=axis) for i in range(window))


def avg_pool(
    x: Array, window: int, *, stride: int = 1, padding: Padding = "SAME", count_include_pad: bool = False
) -> Array:
    """Average pooling as shifted additions, first along rows and then along columns.

    Args:
      x: float [batch, height, width, channels].
      window: side of the square window.
      stride: step.
      padding: "SAME", "VALID", an integer, or ((top, bottom), (left, right)).
      count_include_pad: whether padded positions count in the divisor.

    Returns:
      float [batch, out_height, out_width, channels].
    """
    sides = _pads(padding, x.shape[1:3], (window, window), (stride, stride), (1, 1))
    geometry = _Pool(window, stride, sides, x.shape[1:3], count_include_pad)
    return _avg_pool(geometry, x) if stride == 1 else geometry.forward(x)


class _Pool(NamedTuple):
    """Static description of an average pooling."""

    window: int
    stride: int
    sides: tuple[tuple[int, int], tuple[int, int]]
    size: tuple[int, int]
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


def max_pool(x: Array, window: int, *, stride: int = 1, padding: Padding = "SAME") -> Array:
    """Maximum pooling; padding never wins.

    Args:
      x: float [batch, height, width, channels].
      window: height and width of the window.
      stride: step of the window.
      padding: "SAME", "VALID" or explicit.

    Returns:
      float [batch, new height, new width, channels].
    """
    sides = _pads(padding, x.shape[1:3], (window, window), (stride, stride), (1, 1))
    pads = ((0, 0), *sides, (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, stride, stride, 1), pads)
