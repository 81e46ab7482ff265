"""What is wrong with images, labels or counts, said before anything long begins."""

from __future__ import annotations

import operator
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nasjax.types import InputError


def count(value: Any, name: str, *, minimum: int = 1) -> int:
    """Checks a whole number.

    Args:
      value: the number.
      name: what the number is, for the message.
      minimum: smallest allowed value.

    Returns:
      The number as ``int``.

    Raises:
      InputError: if ``value`` is no whole number or is below ``minimum``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_):
        raise InputError(f"{name}={value!r} is no whole number; allowed: {minimum} or more; do: give an integer")
    if number < minimum:
        raise InputError(f"{name}={number} is too small; allowed: {minimum} or more; do: give a larger {name}")
    return number


def enough(available: int, batch_size: int, num_batches: int, where: str) -> None:
    """Checks that there are images for all batches, none of them used twice.

    Raises:
      InputError: if ``batch_size * num_batches`` exceeds ``available``.
    """
    needed = batch_size * num_batches
    if needed > available:
        raise InputError(
            f"batch_size={batch_size} x num_batches={num_batches} needs {needed} images, but {where} has {available}; "
            f"allowed: {available} at most, as no image is used twice; do: lower batch_size or num_batches"
        )


def images(value: Any, where: str, *, square: bool = True) -> np.ndarray:
    """Checks an array of images.

    Args:
      value: what should be uint8 or float [n, height, width, channels].
      where: where the images come from, for the message.
      square: whether height and width must agree.

    Returns:
      The images as a NumPy array, unchanged.

    Raises:
      InputError: if rank, dtype or size are wrong, there is no image, or a value is NaN or infinite.
    """
    array = np.asarray(value)
    if array.ndim != 4:
        hint = {2: "reshape to images", 3: "add the missing axis: images[..., None] for grey images"}
        raise InputError(
            f"images of {where} have shape {array.shape}; allowed: [n, height, width, channels]; "
            f"do: {hint.get(array.ndim, 'give a four-dimensional array')}"
        )
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"images of {where} have dtype {array.dtype}; allowed: uint8 (0..255) or floating point; "
            "do: images.astype('uint8') or images.astype('float32')"
        )
    number, height, width, channels = array.shape
    if number == 0:
        raise InputError(f"{where} has no images; allowed: one or more; do: check how it was made")
    if min(height, width, channels) == 0:
        raise InputError(f"images of {where} have shape {array.shape}; allowed: no axis of length 0; do: check them")
    if channels not in (1, 3, 4) and height in (1, 3, 4):
        raise InputError(
            f"images of {where} have shape {array.shape}, which looks like channels first; allowed: channels last; "
            "do: images.transpose(0, 2, 3, 1)"
        )
    if square and height != width:
        raise InputError(
            f"images of {where} are {height} x {width}; allowed: square images; "
            "do: give image_size=N to cut the centre square and resize it"
        )
    if array.dtype != np.uint8:
        finite = np.isfinite(array).all(axis=(1, 2, 3))
        if not finite.all():
            raise InputError(
                f"{int((~finite).sum())} of {number} images of {where} hold NaN or infinity (first: number "
                f"{int(np.argmin(finite))}); allowed: finite values; do: remove or repair them"
            )
    return array


def not_constant(array: np.ndarray, where: str) -> None:
    """Checks that at least one image has more than one value in some channel.

    Raises:
      InputError: if every image is constant.
    """
    if np.array_equal(array.min(axis=(1, 2)), array.max(axis=(1, 2))):
        raise InputError(
            f"all {len(array)} images of {where} are constant (no pixel differs from another); allowed: images with "
            "content; do: check how they were read or made"
        )


def labels(value: Any, number: int, where: str) -> np.ndarray:
    """Checks class labels.

    Args:
      value: what should be integers [n].
      number: how many images there are.
      where: where the labels come from, for the message.

    Returns:
      The labels, int64 [n].

    Raises:
      InputError: if labels are missing, of another shape or number, no integers, or negative.
    """
    if value is None:
        raise InputError(f"{where} has no labels; allowed: one integer an image; do: add them")
    array = np.asarray(value)
    if array.ndim != 1:
        hint = "labels[:, 0]" if array.ndim == 2 and array.shape[1] == 1 else "labels.argmax(1) if they are one-hot"
        if array.ndim == 3:
            hint = "choose a classification source (these look like segmentation masks)"
        raise InputError(
            f"labels of {where} have shape {array.shape}; allowed: [{number}], one class index an image; do: {hint}"
        )
    if len(array) != number:
        raise InputError(
            f"{where} has {len(array)} labels for {number} images; allowed: one label an image; do: make them agree"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"labels of {where} have dtype {array.dtype}; allowed: integers 0, 1, ...; do: labels.astype('int64')"
        )
    if array.size and array.min() < 0:
        raise InputError(
            f"labels of {where} go down to {array.min()}; allowed: 0 or more; do: remove unlabelled images"
        )
    return array.astype(np.int64)


def targets(value: Any, number: int, where: str) -> np.ndarray:
    """Checks targets that are no class numbers: values, masks, images.

    Args:
      value: what should be numbers [n, ...].
      number: how many images there are.
      where: where the targets come from, for the message.

    Returns:
      The targets as a NumPy array, unchanged.

    Raises:
      InputError: if they are no numbers, not one an image, or NaN or infinite.
    """
    array = np.asarray(value)
    if array.ndim < 1 or array.dtype.kind not in "iuf":
        raise InputError(
            f"targets of {where} have shape {array.shape} and dtype {array.dtype}; allowed: numbers [{number}, ...]; "
            "do: give an array of integers (class numbers) or floats (values)"
        )
    if len(array) != number:
        raise InputError(
            f"{where} has {len(array)} targets for {number} images; allowed: one target an image; do: make them agree"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"targets of {where} hold NaN or infinity; allowed: finite values; do: remove or repair them")
    return array


def classes(array: np.ndarray, num_classes: int | None, names: Sequence[str] | None, where: str) -> int:
    """The number of classes: as given, else that of the names, else the largest label plus one.

    Raises:
      InputError: if a label is not below the number of classes.
    """
    largest = int(array.max())
    own = len(names) if names else largest + 1
    number = own if num_classes is None else count(num_classes, "num_classes")
    if largest >= number:
        raise InputError(
            f"labels of {where} go up to {largest}, but there are {number} classes; allowed: 0..{number - 1}; "
            f"do: give num_classes={largest + 1} or more, or correct the labels"
        )
    return number


def existing_path(path: str | os.PathLike) -> pathlib.Path:
    """Finds a user's file or directory: as given, else under ``$NASJAX_DATA``.

    Raises:
      InputError: if it is in neither place.
    """
    given = pathlib.Path(path).expanduser()
    root = os.environ.get("NASJAX_DATA")
    candidates = [given] + ([pathlib.Path(root).expanduser() / given] if root and not given.is_absolute() else [])
    for candidate in candidates:
        if os.path.exists(candidate):  # False for what no file can be named
            return candidate
    looked = " and ".join(f"'{candidate}'" for candidate in candidates)
    raise InputError(
        f"'{path}' does not exist; looked at {looked}; allowed: a path, or a path below $NASJAX_DATA; "
        "do: check the spelling or set NASJAX_DATA"
    )
