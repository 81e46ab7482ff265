"""Convolutions of many networks under ``vmap``, each with a kernel of its own, on accelerators.

Batched kernels make XLA's convolution a grouped one, whose gradients run group by group there. Here they are matrix
products over patches, one batch of products for the population; a kernel that all share stays a convolution.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nasjax.nn.common import batched_by
from nasjax.nn.geometry import Geometry
from nasjax.types import Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve(geometry: Geometry, x: Array, w: Array) -> Array:
    """`forward` with a backward of its own."""
    return forward(geometry, x, w)


def _convolve_fwd(geometry: Geometry, x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return forward(geometry, x, w), (x, w)


def _convolve_bwd(geometry: Geometry, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, w = saved
    kernel = (w.shape[0], w.shape[1])
    return input_gradient(geometry, dy, w, x.shape[1:3]), kernel_gradient(geometry, x, dy, kernel)


convolve.defvjp(_convolve_fwd, _convolve_bwd)


def forward(geometry: Geometry, x: Array, w: Array) -> Array:
    """The convolution: [B,H,W,I], [kh,kw,I,O] -> [B,H',W',O]; its derivatives are those of the plain one."""
    return _by_kernel(geometry.forward, geometry.products)(x, w)


def input_gradient(geometry: Geometry, dy: Array, w: Array, size: tuple[int, ...]) -> Array:
    """dL/dx: [B,H',W',O], [kh,kw,I,O] -> [B,H,W,I] of the given height and width."""
    plain = lambda dy, w: geometry.input_gradient(dy, w, size)  # noqa: E731
    products = lambda dy, w: geometry.input_gradient(dy, w, size, products=True)  # noqa: E731
    return _by_kernel(plain, products)(dy, w)


def kernel_gradient(geometry: Geometry, x: Array, dy: Array, kernel: tuple[int, int]) -> Array:
    """dL/dW: [B,H,W,I], [B,H',W',O] -> [kh,kw,I,O]."""

    def plain(x: Array, dy: Array) -> Array:
        w = jnp.zeros((*kernel, x.shape[-1], dy.shape[-1]), x.dtype)
        out: Array = jax.vjp(lambda w: geometry.forward(x, w), w)[1](dy)[0]
        return out

    def products(x: Array, dy: Array) -> Array:
        return geometry.kernel_gradient_by_samples(x, dy, kernel)

    def together(size: int, batched: Any, x: Array, dy: Array) -> Array:
        axes = tuple(0 if b else None for b in batched)
        return jax.vmap(products, in_axes=axes, axis_size=size)(x, dy)

    return batched_by(plain, together)(x, dy)


def _by_kernel(plain: Callable[..., Array], products: Callable[..., Array]) -> Callable[..., Array]:
    """(x, w) -> ``plain``; under ``vmap`` over kernels ``products``, and else one call with all samples."""

    def together(size: int, batched: Any, x: Array, w: Array) -> Array:
        if batched[1]:
            return jax.vmap(products, in_axes=(0 if batched[0] else None, 0))(x, w)
        y = plain(x.reshape(-1, *x.shape[2:]), w)
        return y.reshape(size, -1, *y.shape[1:])

    return batched_by(plain, together)
