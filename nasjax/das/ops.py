"""Operations of the search: what they do at each level of a schedule, and the sets of them that were published.

A level is a whole number: 0 leaves an image as it is, and the operation grows with it. Every operation has a base
magnitude, and the magnitude of a frame follows from it and the frame's level by the operation's rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nasjax.das import photometric, warps
from nasjax.types import Array, InputError


class Operation(NamedTuple):
    """An operation of the search.

    Attributes:
      name: of the operation.
      low: smallest base magnitude.
      high: largest.
      rule: how a frame's magnitude follows from the base magnitude m and the level l: "multiply" (m l), "power" (m^l),
        "from_neutral" (neutral + (m - neutral) l), or "none" where there is no magnitude.
      neutral: magnitude that changes nothing.
      whole: whether base magnitudes are drawn as whole numbers.
      parts: a compound does these warps one after the other; its magnitude, in -1..1, says where in the range of each
        of them their magnitudes are.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    rule: str = "none"
    neutral: float = 0.0
    whole: bool = False
    parts: tuple[str, ...] = ()


def _compound(name: str, *parts: str) -> Operation:
    return Operation(name, -1.0, 1.0, "parts", parts=parts)


_ALL = (
    Operation("identity"),
    Operation("translate_x", -0.12, 0.12, "multiply"),
    Operation("translate_y", -0.12, 0.12, "multiply"),
    Operation("zoom", 0.7, 1.3, "power", 1.0),
    Operation("rotate", -20.0, 20.0, "multiply", whole=True),
    Operation("shear_x", -0.3, 0.3, "multiply"),
    Operation("shear_y", -0.3, 0.3, "multiply"),
    _compound("translate_xy", "translate_x", "translate_y"),
    _compound("zoom_translate_y", "zoom", "translate_y"),
    _compound("rotate_zoom", "rotate", "zoom"),
    _compound("translate_rotate", "translate_x", "rotate"),
    _compound("translate_zoom_rotate", "translate_x", "zoom", "rotate"),
    Operation("brightness", 0.1, 1.9, "power", 1.0),
    Operation("color", 0.1, 1.9, "power", 1.0),
    Operation("contrast", 0.1, 1.9, "power", 1.0),
    Operation("sharpness", 0.1, 1.9, "power", 1.0),
    Operation("solarize", 0.0, 1.0, "from_neutral", 1.0),
    Operation("posterize", 4.0, 8.0, "from_neutral", 8.0),
    Operation("cutout", 0.0, 0.2, "multiply"),
    Operation("autocontrast"),
    Operation("equalize"),
    Operation("invert"),
    Operation("noise"),
    Operation("pool"),
)
OPERATIONS = {operation.name: operation for operation in _ALL}

# Ranges of the single images of stage 2, where they are wider than those between frames.
_WIDE = {"translate_x": 0.45, "translate_y": 0.45, "rotate": 30.0}
SETS: dict[str, tuple[str, ...]] = {
    "geometric5": ("identity", "translate_x", "translate_y", "zoom", "rotate"),
    "video10": ("translate_y", "translate_x", "zoom", "rotate", "translate_xy", "zoom_translate_y", "rotate_zoom",
                "pool", "translate_rotate", "translate_zoom_rotate"),
    "autoaugment15": ("noise", "translate_x", "translate_y", "pool", "rotate", "shear_x", "autocontrast", "equalize",
                      "invert", "solarize", "posterize", "contrast", "brightness", "color", "sharpness"),
}  # fmt: skip


def get_set(ops: str | Sequence[str]) -> tuple[Operation, ...]:
    """Operations by name.

    Args:
      ops: name of a set, or names of operations.

    Returns:
      The operations, in order; those of "autoaugment15" have its wider ranges.

    Raises:
      InputError: an unknown name, one that appears twice, or none at all.
    """
    if isinstance(ops, str):
        if ops not in SETS:
            raise InputError(f"op set {ops!r} is unknown; allowed: {', '.join(SETS)}, or a tuple of operations")
        found = tuple(OPERATIONS[name] for name in SETS[ops])
        if ops != "autoaugment15":
            return found
        return tuple(op._replace(low=-_WIDE[op.name], high=_WIDE[op.name]) if op.name in _WIDE else op for op in found)
    names = tuple(ops)
    unknown = [name for name in names if name not in OPERATIONS]
    if unknown or not names or len(set(names)) < len(names):
        raise InputError(f"operations {list(names)}; allowed: at least one, none twice, of {', '.join(OPERATIONS)}")
    return tuple(OPERATIONS[name] for name in names)


def frame_magnitude(
    operation: Operation, magnitude: Array | float, level: int, *, pixels: tuple[int, int] | None = None
) -> Array | float:
    """Magnitude of a frame.

    Args:
      operation: which.
      magnitude: float, its base magnitude, of any shape.
      level: of the frame.
      pixels: height and width, where shifts are rounded to whole pixels; derivatives pass straight through.

    Returns:
      float of that shape; see ``Operation.rule``. Compounds and operations without a magnitude: ``magnitude`` itself.
    """
    if operation.rule == "multiply":
        if pixels is not None and operation.name.startswith("translate"):
            size = pixels[operation.name == "translate_x"]
            shift = jnp.asarray(magnitude * level)
            return photometric.straight_through(jnp.round(shift * size) / size, shift)
        return magnitude * level
    if operation.rule == "power":
        return magnitude**level
    if operation.rule == "from_neutral":
        return operation.neutral + (magnitude - operation.neutral) * level
    return magnitude


def apply(
    images: Array,
    operation: Operation | str,
    magnitude: Array | float,
    *,
    level: int = 1,
    interpolation: str = "bilinear",
    fill: str = "zeros",
    whole_pixels: bool = False,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    key: jax.Array | None = None,
    precision: str = "highest",
) -> Array:
    """Applies an operation at a level.

    Args:
      images: float [..., height, width, channels].
      operation: which.
      magnitude: float, base magnitude, broadcastable to the leading axes of ``images``.
      level: 0 changes nothing.
      interpolation: of warps, "bilinear" or "nearest".
      fill: of warps, "zeros" or "edge"; zero is the mean colour of normalised images.
      whole_pixels: whether shifts are rounded to whole pixels.
      mean: what was subtracted from each channel of images in 0..1; operations on values undo and redo it. Empty for
        images in 0..1.
      std: what they were divided by.
      key: of noise and cutout; a fixed one by default.
      precision: of products, "highest" or "fast".

    Returns:
      float of the shape of ``images``.

    Raises:
      InputError: an unknown operation or option.
    """
    if isinstance(operation, str):
        operation = get_set((operation,))[0]
    if level == 0 or operation.name == "identity":
        return images
    how = {"interpolation": interpolation, "fill": fill, "precision": precision}
    pixels = (images.shape[-3], images.shape[-2]) if whole_pixels else None
    if operation.parts:
        for part in operation.parts:
            own = OPERATIONS[part]
            value = frame_magnitude(own, part_magnitude(own, magnitude), level, pixels=pixels)
            images = warps.warp(images, part, value, **how)
        return images
    value = frame_magnitude(operation, magnitude, level, pixels=pixels)
    if operation.name in warps.WARPS:
        return warps.warp(images, operation.name, value, **how)
    key = jax.random.key(0) if key is None else key
    shape = (1,) * (images.ndim - 1) + (-1,)
    shift = jnp.asarray(mean, images.dtype).reshape(shape) if len(mean) else jnp.zeros((), images.dtype)
    scale = jnp.asarray(std, images.dtype).reshape(shape) if len(std) else jnp.ones((), images.dtype)
    unit = images * scale + shift
    return (photometric.apply(key, unit, operation.name, jnp.asarray(value), repeats=abs(level)) - shift) / scale


def invert(
    images: Array, operation: Operation, magnitude: Array | float, *, level: int = 1, interpolation: str = "bilinear"
) -> Array:
    """Warps back what an operation has warped; operations on values leave the place of things as it is.

    Args:
      images: float [..., height, width, channels], such as logits.
      operation: which.
      magnitude: float, base magnitude.
      level: of the frame.
      interpolation: "bilinear" or "nearest".

    Returns:
      float of the shape of ``images``; what an inverse warp cannot see is zero.
    """
    if level == 0 or not is_warp(operation):
        return images
    for part in reversed(operation.parts or (operation.name,)):
        own = OPERATIONS[part]
        base = part_magnitude(own, magnitude) if operation.parts else magnitude
        undone = warps.inverse(part, frame_magnitude(own, base, level))
        images = warps.warp(images, part, undone, interpolation=interpolation)
    return images


def check_magnitude(operation: Operation, magnitude: Any, *, where: str) -> None:
    """Refuses a base magnitude that no frame can have.

    Args:
      operation: which.
      magnitude: its base magnitude.
      where: what to call it in messages.

    Raises:
      InputError: it is no finite number, or a factor that is not above zero.
    """
    if isinstance(magnitude, bool) or not isinstance(magnitude, int | float) or not math.isfinite(magnitude):
        raise InputError(f"{where}: magnitude {magnitude!r} of {operation.name}; allowed: a finite number")
    if operation.rule == "power" and magnitude <= 0:
        raise InputError(f"{where}: magnitude {magnitude!r} of {operation.name}, which is a factor; allowed: above 0; "
                         f"do: take one of {operation.low:g} to {operation.high:g}")  # fmt: skip


def part_magnitude(part: Operation, share: Array | float) -> Array | float:
    """Base magnitude of a part of a compound: ``share`` in -1..1 runs through the part's range."""
    return (part.low + part.high) / 2 + share * (part.high - part.low) / 2


def is_warp(operation: Operation) -> bool:
    """Whether an operation moves things, and is linear in the image."""
    return bool(operation.parts) or operation.name in warps.WARPS
