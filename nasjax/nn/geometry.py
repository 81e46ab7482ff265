"""Forward and backward of a 2-D convolution, in forms that stay fast inside loops on CPU."""

from __future__ import annotations

import functools
import operator
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from nasjax.nn.common import DIMS, contract, pad_axis, use_fast_backward
from nasjax.types import Array


class Geometry(NamedTuple):
    """Static description of one convolution."""

    stride: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    precision: Any

    def forward(self, x: Array, w: Array) -> Array:
        """The convolution: [B,H,W,I], [kh,kw,I,O] -> [B,H',W',O]."""
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
            dimension_numbers=DIMS,
            precision=self.precision,
        )
        return y[:, :-1] if extra else y

    def _products(self, x: Array, w: Array, pads: Any, lhs_dilation: tuple[int, int], stride: tuple[int, int]) -> Array:
        """Convolution as matrix products by kernel row; XLA:CPU has no fast double-precision convolution."""
        rows = self._taps(x, w, pads, lhs_dilation, stride)
        flat = w.reshape(w.shape[0], -1, w.shape[3])
        return functools.reduce(
            operator.add, (jnp.dot(row, flat[i], precision=self.precision) for i, row in enumerate(rows))
        )

    def _patches(self, x: Array, w: Array, pads: Any, lhs_dilation: tuple[int, int], stride: tuple[int, int]) -> Array:
        """Convolution as one matrix product over patches."""
        rows = self._taps(self._narrow(x), w, pads, lhs_dilation, stride)
        flat = self._narrow(w.reshape(-1, w.shape[3]))
        patches = jnp.concatenate(rows, -1)
        return jnp.dot(patches, flat, precision=self.precision, preferred_element_type=x.dtype)

    def _narrow(self, x: Array) -> Array:
        """Factors of products over patches in bfloat16 where precision "fast" allows it: patches are mostly traffic."""
        fast = self.precision in ("default", None) and x.dtype == jnp.float32
        return x.astype(jnp.bfloat16) if fast else x

    def _taps(
        self, x: Array, w: Array, pads: Any, lhs_dilation: tuple[int, int], stride: tuple[int, int]
    ) -> list[Array]:
        """What each kernel row multiplies: [B,H',W',kw I]."""
        kh, kw = w.shape[:2]
        (top, bottom), (left, right) = pads
        config = [(0, 0, 0), (top, bottom, lhs_dilation[0] - 1), (left, right, lhs_dilation[1] - 1), (0, 0, 0)]
        x = lax.pad(x, jnp.zeros((), x.dtype), config)
        spans = [
            (size - (k - 1) * d - 1) // s * s + 1
            for size, k, d, s in zip(x.shape[1:3], (kh, kw), self.dilation, stride, strict=True)
        ]
        dh, dw = self.dilation
        taps = [lax.slice_in_dim(x, j * dw, j * dw + spans[1], stride=stride[1], axis=2) for j in range(kw)]
        wide = jnp.concatenate(taps, -1)
        return [lax.slice_in_dim(wide, i * dh, i * dh + spans[0], stride=stride[0], axis=1) for i in range(kh)]

    def is_pointwise(self, kernel: tuple[int, int]) -> bool:
        """Whether the convolution is one matrix product."""
        return kernel == (1, 1) and self.stride == (1, 1) and self.pads == ((0, 0), (0, 0))

    def products(self, x: Array, w: Array) -> Array:
        """`forward` as one matrix product over patches, which batches over kernels."""
        return self._patches(x, w, self.pads, (1, 1), self.stride)

    def input_gradient(self, dy: Array, w: Array, size: tuple[int, ...], *, products: bool = False) -> Array:
        """dL/dx: dy, spread by the stride, convolved with the flipped, transposed kernel; see `products`."""
        pads = []
        for axis in range(2):
            reach = (w.shape[axis] - 1) * self.dilation[axis]
            covered = (dy.shape[1 + axis] - 1) * self.stride[axis] + reach + 1 - self.pads[axis][0]
            pads.append((reach - self.pads[axis][0], reach + size[axis] - covered))
        flipped = lax.rev(w, (0, 1)).swapaxes(2, 3)
        run = self._patches if products else self._plain
        return run(dy, flipped, pads, self.stride, (1, 1))

    def _rows(self, x: Array, dy: Array, kernel: tuple[int, int]) -> tuple[list[Array], Array, bool]:
        """Operands whose products over all positions are the kernel gradient, one kernel row each.

        Gathering the horizontal taps from dy and slicing x by rows moves the
        least memory; it needs stride 1. Otherwise the horizontal taps of x are gathered.

        Returns:
          a slice of x for each kernel row; the other operand; whether taps were gathered from dy.
        """
        (kh, kw), (sh, sw), (dh, dw) = kernel, self.stride, self.dilation
        out_h, out_w = dy.shape[1], dy.shape[2]
        (top, _), (left, _) = self.pads
        from_dy = sw == 1 and left >= 0
        if from_dy:
            # Column c of x meets output column c + left - j * dw under tap j.
            taps = [_window(dy, 2, left - j * dw, x.shape[2], 1) for j in range(kw)]
            base, other = x, jnp.concatenate(taps, -1)
        else:
            taps = [_window(x, 2, j * dw - left, out_w, sw) for j in range(kw)]
            base, other = jnp.concatenate(taps, -1), dy
        rows = [_window(base, 1, i * dh - top, out_h, sh) for i in range(kh)]
        return rows, other, from_dy

    def kernel_gradient(self, x: Array, dy: Array, kernel: tuple[int, int]) -> Array:
        """dL/dW as matrix products over batch and positions: [B,H,W,I], [B,H',W',O] -> [kh,kw,I,O]."""
        ins, outs = x.shape[-1], dy.shape[-1]
        if self.is_pointwise(kernel):
            return contract(x.reshape(-1, ins), dy.reshape(-1, outs), self.precision)[None, None]
        rows, other, from_dy = self._rows(x, dy, kernel)
        other = other.reshape(-1, other.shape[-1])
        products = jnp.stack([contract(row.reshape(-1, row.shape[-1]), other, self.precision) for row in rows])
        return _assemble(products, kernel, ins, outs, from_dy)

    def kernel_gradient_by_samples(self, x: Array, dy: Array, kernel: tuple[int, int]) -> Array:
        """`kernel_gradient` as a sum over samples, for many networks at once: one long sum each fills no device."""
        return self.sample_kernel_gradients(self._narrow(x), self._narrow(dy), kernel, dtype=x.dtype).sum(0)

    def sample_kernel_gradients(self, x: Array, dy: Array, kernel: tuple[int, int], *, dtype: Any = None) -> Array:
        """The summands of dL/dW by sample: [B,H,W,I], [B,H',W',O] -> [B,kh,kw,I,O] of a dtype, at the same cost."""
        batch, ins, outs = x.shape[0], x.shape[-1], dy.shape[-1]
        if self.is_pointwise(kernel):
            factors = x.reshape(batch, -1, ins), dy.reshape(batch, -1, outs)
            return contract(*factors, self.precision, dtype)[:, None, None]
        rows, other, from_dy = self._rows(x, dy, kernel)
        other = other.reshape(batch, -1, other.shape[-1])
        products = [contract(row.reshape(batch, -1, row.shape[-1]), other, self.precision, dtype) for row in rows]
        return _assemble(jnp.stack(products, 1), kernel, ins, outs, from_dy)


def _window(x: Array, axis: int, start: int, count: int, stride: int) -> Array:
    """``count`` entries of an axis from ``start`` on, every ``stride``-th; zeros where there are none."""
    last = start + (count - 1) * stride + 1
    x = pad_axis(x, axis, -start, last - x.shape[axis])
    return lax.slice_in_dim(x, 0, None, stride=stride, axis=axis) if stride > 1 else x


def _avoid_library(x: Array, w: Array) -> bool:
    return use_fast_backward() and x.dtype == jnp.float32 and min(w.shape[2], w.shape[3]) >= 32


def _assemble(products: Array, kernel: tuple[int, int], ins: int, outs: int, from_dy: bool) -> Array:
    """Products [..., kh, a, b] of `_Geometry._rows` -> kernels [..., kh, kw, I, O]."""
    lead = products.shape[:-2]
    if from_dy:
        return products.reshape(*lead, ins, kernel[1], outs).swapaxes(-2, -3)
    return products.reshape(*lead, kernel[1], ins, outs)
