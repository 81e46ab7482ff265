"""RandAugment, TrivialAugment and colour jitter: which operation, and how much of it."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.data import augment_ops
from nasjax.data.augment_mix import units_of
from nasjax.data.augment_ops import NUMBER, OPS
from nasjax.types import Array

# Of RandAugment (Cubuk et al., 2020) and TrivialAugment (Mueller and Hutter, 2021).
PAPER_OPS = (
    "identity", "auto_contrast", "equalize", "rotate", "solarize", "color", "posterize", "contrast", "brightness",
    "sharpness", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
# Of the training recipes of DeiT and AutoFormer.
DEIT_OPS = (
    "auto_contrast", "equalize", "invert", "rotate", "posterize", "solarize", "solarize_add", "color", "contrast",
    "brightness", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
MAXIMUM = 10.0  # magnitude of RandAugment at the end of the ranges
BINS = 31  # magnitudes of TrivialAugment
WIDE_PIXELS = 32  # furthest translation of TrivialAugment

# Operation -> (value at magnitude zero, at the largest magnitude, whether a coin decides on the sign).
Ranges = dict[str, tuple[float, float, bool]]
_FACTORS = ("color", "contrast", "brightness", "sharpness")
STANDARD: Ranges = {
    "shear_x": (0.0, 0.3, True),
    "shear_y": (0.0, 0.3, True),
    "translate_x": (0.0, 0.45, True),
    "translate_y": (0.0, 0.45, True),
    "rotate": (0.0, 30.0, True),
    "solarize": (256 / 255, 0.0, False),
    "solarize_add": (0.0, 110 / 255, False),
    "posterize": (8.0, 4.0, False),
    **{name: (0.1, 1.9, False) for name in _FACTORS},
}


def wide(height: int, width: int) -> Ranges:
    """The wide ranges of TrivialAugment; translations of 32 pixels as shares of the image."""
    return STANDARD | {
        "shear_x": (0.0, 0.99, True),
        "shear_y": (0.0, 0.99, True),
        "translate_x": (0.0, WIDE_PIXELS / width, True),
        "translate_y": (0.0, WIDE_PIXELS / height, True),
        "rotate": (0.0, 135.0, True),
        "posterize": (8.0, 2.0, False),
        **{name: (0.01, 2.0, False) for name in _FACTORS},
    }


def value(op: Array, share: Array, sign: Array, ranges: Ranges, *, increasing: bool = False) -> Array:
    """What an operation gets at a share of its range.

    Args:
      op: int32 [], a number of ``augment_ops.OPS``.
      share: float [], 0..1.
      sign: float [], 1 or -1.
      ranges: see ``STANDARD``.
      increasing: factors of blends move away from 1 by ``sign * share`` of half their range, instead of from
        the lower end to the upper one.

    Returns:
      float [].
    """
    table = np.zeros((len(OPS), 4))
    for name, (least, most, signed) in ranges.items():
        if increasing and name in _FACTORS:
            table[NUMBER[name]] = (0.0, (most - least) / 2, 1.0, 1.0)
        else:
            table[NUMBER[name]] = (least, most, float(signed), 0.0)
    least, most, signed, offset = (jnp.asarray(column, share.dtype)[op] for column in table.T)
    found = offset + jnp.where(signed > 0, sign, 1) * (least + (most - least) * share)
    return jnp.where(op == NUMBER["posterize"], jnp.round(found), found)


def rand_augment(
    key: Array,
    image: Array,
    *,
    number: int,
    magnitude: float,
    deviation: float = 0.0,
    probability: float = 1.0,
    ops: tuple[str, ...] = PAPER_OPS,
    increasing: bool = False,
    interpolation: str = "nearest",
    fill: tuple[float, ...] = (0.0,),
) -> Array:
    """RandAugment on one image (Cubuk et al., 2020): operations drawn uniformly, with replacement.

    Args:
      key: typed random key.
      image: float [height, width, channels], in 0..1.
      number: operations one after the other.
      magnitude: 0..10; 10 is the end of the ranges.
      deviation: standard deviation of the magnitude around it, cut to 0..10.
      probability: of each drawn operation to be applied.
      ops: names to draw from.
      increasing: see :func:`value`.
      interpolation: see :func:`nasjax.data.augment_ops.apply`.
      fill: likewise.

    Returns:
      image of the same shape and dtype.
    """

    def draw(units: Array) -> tuple[Array, Array]:
        op = choose(units[0], ops)
        level = jnp.asarray(magnitude, image.dtype)
        if deviation:
            level = jnp.clip(level + deviation * jax.scipy.special.ndtri(units[1]), 0, MAXIMUM)
        amount = value(op, level / MAXIMUM, _sign(units[2]), STANDARD, increasing=increasing)
        if probability < 1:
            op = jnp.where(units[3] < probability, op, NUMBER["identity"])
        return op, amount

    return _chain(key, image, number, draw, ops=ops, interpolation=interpolation, fill=fill)


def trivial_augment(
    key: Array, image: Array, *, interpolation: str = "nearest", fill: tuple[float, ...] = (0.0,)
) -> Array:
    """TrivialAugment, wide (Mueller and Hutter, 2021): one operation, one of 31 magnitudes, both uniform.

    Args:
      key: typed random key.
      image: float [height, width, channels], in 0..1.
      interpolation: see :func:`nasjax.data.augment_ops.apply`.
      fill: likewise.

    Returns:
      image of the same shape and dtype.
    """
    ranges = wide(*image.shape[:2])

    def draw(units: Array) -> tuple[Array, Array]:
        op = choose(units[0], PAPER_OPS)
        share = jnp.floor(units[1] * BINS) / (BINS - 1)
        return op, value(op, share, _sign(units[2]), ranges)

    return _chain(key, image, 1, draw, ops=PAPER_OPS, interpolation=interpolation, fill=fill)


def color_jitter(key: Array, image: Array, strengths: tuple[float, ...]) -> Array:
    """Brightness, contrast, colour and hue, in random order, by random amounts.

    Args:
      key: typed random key.
      image: float [height, width, channels], in 0..1.
      strengths: of brightness, contrast and colour, factors are uniform in ``max(0, 1 - s) .. 1 + s``; and
        optionally of hue, 0..0.5, turns are uniform in ``-s .. s`` of the circle (red, green, blue only).

    Returns:
      image of the same shape and dtype.
    """
    names = ("brightness", "contrast", "color")
    units, places = units_of(key, (2, len(strengths)), image.dtype)
    order = jnp.argsort(places)
    low = [max(0.0, 1 - s) for s in strengths[:3]] + [-s for s in strengths[3:]]
    high = [1 + s for s in strengths[:3]] + list(strengths[3:])
    low, high = jnp.asarray(low, image.dtype), jnp.asarray(high, image.dtype)
    amounts = low + (high - low) * units
    numbers = jnp.asarray([NUMBER[name] for name in names] + [NUMBER["identity"]] * (len(strengths) - 3), jnp.int32)

    def step(image: Array, which: Array) -> tuple[Array, None]:
        out = augment_ops.apply(image, numbers[which], amounts[which], ops=names)
        if len(strengths) > 3 and image.shape[-1] == 3:
            out = jnp.where(which == 3, augment_ops.shift_hue(image, amounts[which]), out)
        return out, None

    return lax.scan(step, image, order)[0]


def choose(unit: Array, ops: tuple[str, ...]) -> Array:
    """One of some operations, each as likely: int32 [], a number of ``augment_ops.OPS``."""
    numbers = jnp.asarray([NUMBER[name] for name in ops], jnp.int32)
    return numbers[jnp.floor(unit * len(ops)).astype(jnp.int32)]


def _sign(unit: Array) -> Array:
    """1 or -1."""
    return jnp.where(unit < 0.5, 1, -1).astype(unit.dtype)


def _chain(
    key: Array,
    image: Array,
    number: int,
    draw: Callable[[Array], tuple[Array, Array]],
    *,
    ops: tuple[str, ...],
    interpolation: str,
    fill: tuple[float, ...],
) -> Array:
    """Operations one after the other, one traced program for all of them."""

    def step(image: Array, units: Array) -> tuple[Array, None]:
        op, amount = draw(units)
        return augment_ops.apply(image, op, amount, ops=ops, interpolation=interpolation, fill=fill), None

    return lax.scan(step, image, units_of(key, (number, 4), image.dtype))[0]
