"""Image operations of automatic augmentation, on one image in 0..1, with the operation chosen by a number.

The operations fall into three families that share their arithmetic: affine warps, blends with a
degenerate image, and functions of the value. An image passes each family once, and the family that was
not chosen returns it unchanged. So a batch costs one warp, one blend and one table instead of every
operation, which is what a switch costs under ``vmap``.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nasjax.types import Array

WARPS = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
BLENDS = ("color", "contrast", "brightness", "sharpness")
VALUES = ("auto_contrast", "equalize", "invert", "solarize", "solarize_add", "posterize")
OPS = ("identity", *WARPS, *BLENDS, *VALUES)
NUMBER = {name: number for number, name in enumerate(OPS)}
INTERPOLATIONS = ("nearest", "bilinear")

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as PIL turns RGB into grey


def apply(
    image: Array,
    op: Array | int,
    value: Array | float,
    *,
    ops: tuple[str, ...] = OPS,
    interpolation: str = "nearest",
    fill: tuple[float, ...] = (0.0,),
) -> Array:
    """One operation on one image.

    =================== ============================================================= =====================
    operation           what ``value`` is                                              nothing changes at
    =================== ============================================================= =====================
    shear_x, shear_y    slope; about the upper left corner                             0
    translate_x, _y     share of width or height                                       0
    rotate              degrees, counter-clockwise about the centre                    0
    color, contrast,    factor: 0 is grey, the mean grey, black and the smoothed       1
    brightness,         image
    sharpness
    solarize            values from this one on (0..1) are inverted                    above 1
    solarize_add        added to values below 128 / 255                                0
    posterize           bits kept, 0..8                                                8
    auto_contrast,      not read
    equalize, invert,
    identity
    =================== ============================================================= =====================

    Args:
      image: float [height, width, channels], in 0..1.
      op: int32 [], a number of ``OPS``.
      value: float [], see above.
      ops: static; the operations that ``op`` may name. What is not among them costs nothing.
      interpolation: of warps, "nearest" (as PIL and the published policies) or "bilinear".
      fill: what a warp shows beyond the border, one number or one a channel.

    Returns:
      image of the same shape and dtype, in 0..1.
    """
    op, value = jnp.asarray(op), jnp.asarray(value, image.dtype)
    chosen = set(ops)
    out = image
    if chosen & set(WARPS):
        warped = warp(image, _matrix(op, value, image.shape), interpolation=interpolation, fill=fill)
        out = jnp.where(_among(op, WARPS), warped, out)
    if chosen & set(BLENDS):
        out = jnp.where(_among(op, BLENDS), _blend(image, op, value, chosen), out)
    if chosen & set(VALUES):
        out = jnp.where(_among(op, VALUES), _value(image, op, value, chosen), out)
    return out


def warp(image: Array, matrix: Array, *, interpolation: str = "nearest", fill: tuple[float, ...] = (0.0,)) -> Array:
    """Affine warp by the inverse map, in coordinates where pixel (i, j) covers [j, j+1) x [i, i+1).

    Output pixel with centre ``(x, y)`` shows the input at ``(a x + b y + c, d x + e y + f)``, as PIL's
    ``Image.transform``.

    Args:
      image: float [height, width, channels].
      matrix: float [6], a to f.
      interpolation: "nearest" or "bilinear"; the latter blends with ``fill`` at the border.
      fill: one number, or one a channel.

    Returns:
      float [height, width, channels].
    """
    height, width, channels = image.shape
    x = jnp.arange(width, dtype=image.dtype)[None, :] + 0.5
    y = jnp.arange(height, dtype=image.dtype)[:, None] + 0.5
    ones = jnp.ones((height, width), image.dtype)
    a, b, c, d, e, f = (matrix[i] for i in range(6))
    source_x, source_y = (a * x) * ones + (b * y) * ones + c, (d * x) * ones + (e * y) * ones + f
    flat = image.reshape(height * width, channels)
    background = jnp.broadcast_to(jnp.asarray(fill, image.dtype), (channels,)).reshape(1, 1, channels)

    def tap(row: Array, column: Array) -> Array:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
        return jnp.where(inside[..., None], flat[index], background)

    if interpolation == "nearest":
        return tap(jnp.floor(source_y).astype(jnp.int32), jnp.floor(source_x).astype(jnp.int32))
    left, top = jnp.floor(source_x - 0.5), jnp.floor(source_y - 0.5)
    right_share, low_share = (source_x - 0.5 - left)[..., None], (source_y - 0.5 - top)[..., None]
    column, row = left.astype(jnp.int32), top.astype(jnp.int32)
    upper = tap(row, column) * (1 - right_share) + tap(row, column + 1) * right_share
    lower = tap(row + 1, column) * (1 - right_share) + tap(row + 1, column + 1) * right_share
    return upper * (1 - low_share) + lower * low_share


def grey(image: Array) -> Array:
    """Brightness of an image: float [height, width, 1]; the mean of channels that are not red, green, blue."""
    channels = image.shape[-1]
    weights = LUMA if channels == 3 else (1 / channels,) * channels
    return (image * jnp.asarray(weights, image.dtype).reshape(1, 1, channels)).sum(-1, keepdims=True)


def smooth(image: Array) -> Array:
    """PIL's SMOOTH filter, ones around a five divided by 13; border pixels stay as they are."""
    height, width, _ = image.shape
    if min(height, width) < 3:
        return image
    rows = image[:-2] + image[1:-1] + image[2:]
    ring = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    inner = (ring + 4 * image[1:-1, 1:-1]) / 13
    return image.at[1:-1, 1:-1].set(inner)


def equalize(image: Array) -> Array:
    """Equalises the histogram of every channel in 256 steps, as PIL's ``ImageOps.equalize``.

    Args:
      image: float [height, width, channels], in 0..1; rounded to 8 bits.

    Returns:
      float [height, width, channels].
    """
    height, width, channels = image.shape
    levels = jnp.round(image * 255).astype(jnp.int32).reshape(-1, channels)
    offsets = jnp.arange(channels, dtype=jnp.int32)[None, :] * 256
    counts = jnp.zeros(256 * channels, jnp.int32).at[levels + offsets].add(1).reshape(channels, 256)
    level = jnp.arange(256, dtype=jnp.int32)[None, :]
    last = jnp.where(counts > 0, level, 0).max(-1, keepdims=True)
    of_last = jnp.take_along_axis(counts, last, -1)
    step = (height * width - of_last) // 255
    below = jnp.cumsum(counts, -1) - counts
    table = jnp.clip((step // 2 + below) // jnp.maximum(step, 1), 0, 255)
    table = jnp.where(step == 0, level, table)
    out = table.reshape(-1)[levels + offsets]
    return (out.astype(image.dtype) / 255).reshape(image.shape)


def shift_hue(image: Array, shift: Array) -> Array:
    """Turns the hue of an RGB image by a share of the circle, keeping saturation and value (HSV).

    Args:
      image: float [height, width, 3], in 0..1.
      shift: float [], -0.5..0.5.

    Returns:
      float [height, width, 3].
    """
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    high, low = image.max(-1), image.min(-1)
    chroma = high - low
    safe = jnp.where(chroma > 0, chroma, 1)
    sixth = jnp.where(
        high == red,
        (green - blue) / safe,
        jnp.where(high == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixth = jnp.where(chroma > 0, sixth, 0) + 6 * shift
    # A channel falls from the maximum to the minimum over one sixth, two sixths after it peaks.
    peaks = jnp.asarray([5.0, 3.0, 1.0], image.dtype).reshape(1, 1, 3)
    position = jnp.mod(peaks + sixth[..., None], 6)
    return high[..., None] - chroma[..., None] * jnp.clip(jnp.minimum(position, 4 - position), 0, 1)


def _among(op: Array, names: tuple[str, ...]) -> Array:
    """Whether ``op`` is one of a family, whose numbers follow each other."""
    return (op >= NUMBER[names[0]]) & (op <= NUMBER[names[-1]])


def _matrix(op: Array, value: Array, shape: tuple[int, ...]) -> Array:
    """The inverse map of a warp: float [6]."""
    height, width = shape[0], shape[1]

    def of(name: str) -> Array:
        return jnp.where(op == NUMBER[name], value, 0)

    angle = of("rotate") * (np.pi / 180)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = width / 2, height / 2
    return jnp.stack(
        [
            cos,
            of("shear_x") - sin,
            of("translate_x") * width + x - cos * x + sin * y,
            of("shear_y") + sin,
            cos,
            of("translate_y") * height + y - sin * x - cos * y,
        ]
    )


def _blend(image: Array, op: Array, value: Array, chosen: set[str]) -> Array:
    """``degenerate + value * (image - degenerate)``, cut to 0..1."""
    luma = grey(image)
    base = jnp.zeros_like(image)
    base = jnp.where(op == NUMBER["color"], luma, base)
    base = jnp.where(op == NUMBER["contrast"], luma.mean((0, 1), keepdims=True), base)
    if "sharpness" in chosen:
        base = jnp.where(op == NUMBER["sharpness"], smooth(image), base)
    return jnp.clip(base + value * (image - base), 0, 1)


def _value(image: Array, op: Array, value: Array, chosen: set[str]) -> Array:
    """Operations that map every value by itself, and the histogram."""
    low, high = image.min((0, 1), keepdims=True), image.max((0, 1), keepdims=True)
    spread = jnp.where(high > low, high - low, 1)
    stretched = jnp.where(high > low, (image - low) / spread, image)
    out = jnp.where(op == NUMBER["auto_contrast"], stretched, image)
    inverted = 1 - image
    out = jnp.where(op == NUMBER["invert"], inverted, out)
    out = jnp.where(op == NUMBER["solarize"], jnp.where(image < value, image, inverted), out)
    brighter = jnp.where(image < 128 / 255, jnp.minimum(image + value, 1), image)
    out = jnp.where(op == NUMBER["solarize_add"], brighter, out)
    width = jnp.exp2(8 - value)
    kept = jnp.floor(jnp.round(image * 255) / width) * width / 255
    out = jnp.where(op == NUMBER["posterize"], kept, out)
    if "equalize" in chosen:
        out = jnp.where(op == NUMBER["equalize"], equalize(image), out)
    return out
