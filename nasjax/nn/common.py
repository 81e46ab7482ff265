"""Geometry and products shared by the layers, and gradient moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.types import Array, InputError

DIMS = ("NHWC", "HWIO", "NHWC")

Padding = str | int | Sequence[tuple[int, int]]
Sides = tuple[tuple[int, int], tuple[int, int]]


class Moments(NamedTuple):
    """Moments of a weight's gradient over observations (samples or mini-batches).

    Every field has the shape of the weight; ``m2`` fields are sums of squared deviations from the mean.

    Attributes:
      mean: mean of the gradient g.
      m2: sum of (g - mean)^2.
      mean_abs: mean of ``|g|``.
      m2_abs: sum of ``(|g| - mean_abs)^2``.
    """

    mean: Array
    m2: Array
    mean_abs: Array
    m2_abs: Array

    @classmethod
    def zeros_like(cls, weight: Array) -> Moments:
        """Moments of nothing: four zero arrays of the weight's shape and dtype."""
        return cls(*(jnp.zeros_like(weight) for _ in range(4)))

    @classmethod
    def of_samples(cls, gradients: Array) -> Moments:
        """Reduces gradients [n, ...] over the leading axis."""
        return sample_moments(gradients)


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


def pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """A positive integer, or a pair of them, as a pair."""
    both = (value, value) if isinstance(value, int) else tuple(int(v) for v in value)
    if len(both) != 2 or min(both) < 1:
        raise InputError(f"{name}={value!r}: allowed is a positive integer or a pair of them.")
    return both[0], both[1]


def pads_of(
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


def pad_axis(x: Array, axis: int, low: int, high: int) -> Array:
    """Zero padding of one axis; negative amounts crop."""
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (low, high, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def contract(a: Array, b: Array, precision: Any, dtype: Any = None) -> Array:
    """[..., n, i], [..., n, o] -> [..., i, o], by default of the factors' dtype; leading axes are batch axes."""
    batch = tuple(range(a.ndim - 2))
    axis = a.ndim - 2
    numbers = (((axis,), (axis,)), (batch, batch))
    return lax.dot_general(a, b, numbers, precision=precision, preferred_element_type=dtype)


def use_fast_backward() -> bool:
    """Whether convolutions use the hand-written backward by default: on CPU, where autodiff's is slow in loops."""
    return jax.default_backend() == "cpu"


def batched_by(plain: Callable[..., Any], together: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a form of its own under ``vmap``, and the derivatives of the plain one.

    Args:
      plain: function of pytrees of arrays.
      together: (size of the batch, whether each array is batched, the arguments in turn) -> batched result; called
        where something is batched.

    Returns:
      a function like ``plain``.
    """
    function = jax.custom_batching.custom_vmap(plain)

    @function.def_vmap
    def rule(size: int, batched: Any, *given: Any) -> Any:
        out = together(size, batched, *given)
        return out, jax.tree.map(lambda _: True, out)

    # So reverse mode works, too; forward mode under vmap does where JAX keeps the rule, which loops do not.
    safe = jax.custom_jvp(lambda *given: function(*given))
    safe.defjvp(lambda given, tangents: jax.jvp(plain, given, tangents))
    return safe
