"""Products whose operands are rounded, as matrix units of accelerators round them, on any device."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import primitives

_FLOAT32_EXPONENT = 8


def rounded(x: Any, bits: int) -> Any:
    """A float32 array with ``bits`` bits of mantissa: 10 as TF32, 7 as bfloat16. Its derivative is rounded, too."""
    return lax.reduce_precision(x, _FLOAT32_EXPONENT, bits) if x.dtype == jnp.float32 else x


def round_products(bits: int) -> None:
    """From now on, every matrix product and convolution of this process that is traced rounds its operands.

    So do those of derivatives, whose results are rounded once more. Sums stay in float32, as in matrix units.
    """
    for primitive in (primitives.dot_general_p, primitives.conv_general_dilated_p):
        primitive.bind = functools.partial(_bind, primitive.bind, bits)


def _bind(bind: Any, bits: int, x: jax.Array, y: jax.Array, **params: Any) -> Any:
    return bind(rounded(x, bits), rounded(y, bits), **params)
