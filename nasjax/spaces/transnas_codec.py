"""Codes of TransNAS-Bench-101 architectures (Duan et al., CVPR 2021).

A code is ``<base width>-<macro skeleton>-<cell>``: "64-41414-1_02_333" in the micro space, whose skeleton is
fixed, and "64-1234-basic" in the macro space, whose cell is fixed. Inside the library a micro
architecture is int [6], the operation of each edge in the order of the digits (edges sorted by target),
and a macro architecture is int [6], the digits of the skeleton padded with zeros.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nasjax.spaces.checks import population, shown
from nasjax.types import InputError

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")  # micro, by digit
SKELETON = "41414"
WIDTH = 64  # official base width, which every official code names
LENGTH = 6  # digits of either kind of architecture
# What a module does, by digit of a macro skeleton (0: there is none).
MODULES = ("", "normal", "channels x2", "resolution / 2", "channels x2, resolution / 2")
_LENGTHS, _DOUBLINGS, _HALVINGS = (4, 5, 6), (1, 2, 3), (1, 2, 3, 4)


def doubles(macro: Any) -> np.ndarray:
    """Whether each module doubles the channels."""
    return (macro == 2) | (macro == 4)


def halves(macro: Any) -> np.ndarray:
    """Whether each module halves the image."""
    return (macro == 3) | (macro == 4)


@functools.cache
def all_macro() -> np.ndarray:
    """All 3,256 macro architectures, int32 [3256, 6], read-only: shorter first, then by digits."""
    codes = [(*c, *(0,) * (LENGTH - n)) for n in _LENGTHS for c in itertools.product((1, 2, 3, 4), repeat=n)]
    array = np.array(codes, np.int32)
    kept = array[in_macro_space(array)]
    kept.flags.writeable = False
    return kept


def in_macro_space(macro: Any) -> Any:
    """Whether digits name an architecture of the space, bool [...]: NumPy or JAX arrays int [..., 6].

    Four to six modules, of which one to three double the channels and one to four halve the image.
    """
    length = (macro > 0).sum(-1)
    packed = ((macro[..., :-1] > 0) | (macro[..., 1:] == 0)).all(-1)
    channels, strides = doubles(macro).sum(-1), halves(macro).sum(-1)
    return (
        packed
        & (macro >= 0).all(-1)
        & (macro <= 4).all(-1)
        & (length >= _LENGTHS[0])
        & (channels >= _DOUBLINGS[0])
        & (channels <= _DOUBLINGS[-1])
        & (strides >= _HALVINGS[0])
        & (strides <= _HALVINGS[-1])
    )


def check_micro(archs: Any) -> np.ndarray:
    """Operation numbers as int32 [6] or [n, 6].

    Raises:
      InputError: wrong shape, type or an operation that is none.
    """
    array = _integers(archs, "transnas_micro", "one operation for each of the six edges")
    bad = np.argwhere((array < 0) | (array >= len(OPS)))
    if len(bad):
        where = tuple(bad[0])
        listing = ", ".join(f"{number} {op}" for number, op in enumerate(OPS))
        raise InputError(f"operation {array[where]} at edge {where[-1]} is out of range; allowed: {listing}")
    return array


def check_macro(archs: Any) -> np.ndarray:
    """Skeleton digits as int32 [6] or [n, 6], padded with zeros.

    Raises:
      InputError: wrong shape, type, or not in the space; the message says what is wrong.
    """
    array = _integers(archs, "transnas_macro", "the digits of the skeleton padded with zeros")
    for row in np.atleast_2d(array)[~np.atleast_1d(in_macro_space(array))][:1]:
        digits = "".join(map(str, row.tolist())).rstrip("0")
        raise InputError(f"skeleton {digits!r}: {_macro_fault(row)}; allowed: {_MACRO_RULE}; do: check the code")
    return array


_MACRO_RULE = "four to six digits 1..4, of which one to three are 2 or 4 and one to four are 3 or 4"


def _macro_fault(row: np.ndarray) -> str:
    digits = np.trim_zeros(row, "b")
    wrong = digits[(digits < 1) | (digits > 4)]
    if len(wrong):
        return f"digit {wrong[0]} is no module"
    if len(digits) < _LENGTHS[0]:
        return f"{len(digits)} modules are too few"
    for what, number, allowed in (
        ("double the channels", int(doubles(digits).sum()), _DOUBLINGS),
        ("halve the image", int(halves(digits).sum()), _HALVINGS),
    ):
        if number not in allowed:
            return f"{number} modules {what}"
    return "it is not in the space"


def micro_to_string(archs: Any) -> list[str]:
    """Official codes of int [n, 6]."""
    rows = np.atleast_2d(check_micro(archs)).tolist()
    return [f"{WIDTH}-{SKELETON}-{r[0]}_{r[1]}{r[2]}_{r[3]}{r[4]}{r[5]}" for r in rows]


def macro_to_string(archs: Any) -> list[str]:
    """Official codes of int [n, 6]."""
    rows = np.atleast_2d(check_macro(archs)).tolist()
    return [f"{WIDTH}-{''.join(map(str, row)).rstrip('0')}-basic" for row in rows]


def decode_micro(encodings: Any, width: int) -> np.ndarray:
    """Codes, cells ("1_02_333"), six digits or integer arrays to int32 [n, 6]; see `_decode`."""
    return _decode(encodings, _micro_digits, check_micro, "transnas_micro", "64-41414-1_02_333", width)


def decode_macro(encodings: Any, width: int) -> np.ndarray:
    """Codes, skeletons ("1234", "123400") or integer arrays to int32 [n, 6]; see `_decode`."""
    return _decode(encodings, _macro_digits, check_macro, "transnas_macro", "64-1234-basic", width)


def _decode(
    encodings: Any,
    digits_of: Callable[[str, int], list[int]],
    check: Callable[[Any], np.ndarray],
    space: str,
    example: str,
    width: int,
) -> np.ndarray:
    """A population of one or several encodings; a tuple of numbers is one architecture."""

    def one(item: Any) -> np.ndarray:
        if isinstance(item, int | np.integer) and not isinstance(item, bool):
            item = str(item)  # what a table makes of "102333"
        if isinstance(item, str):
            return check(np.array(digits_of(item.strip(), width)))
        if (isinstance(item, tuple) or hasattr(item, "__array__")) and np.ndim(item) == 1:
            return check(item)
        raise InputError(
            f"{shown(item)} does not name an architecture of {space}; allowed: a code like {example!r}, or six digits."
        )

    if hasattr(encodings, "__array__") and np.asarray(encodings).dtype.kind in "iu" and np.ndim(encodings):
        encodings = np.asarray(encodings)
    return population(
        space,
        encodings,
        one=one,
        rows=check,
        single=lambda given: isinstance(given, tuple) and _is_number(given[:1]),
        example=repr(example),
    )


def _micro_digits(text: str, width: int) -> list[int]:
    cell = text
    if "-" in text:
        skeleton, cell = _parts(text, width, "64-41414-1_02_333")
        if skeleton != SKELETON:
            raise InputError(f"{text!r}: skeleton {skeleton!r}; allowed in transnas_micro: {SKELETON!r}.")
    groups = cell.split("_")
    if [len(group) for group in groups] not in ([1, 2, 3], [LENGTH]) or not cell.replace("_", "").isdecimal():
        raise InputError(
            f"{text!r}: the cell {cell!r} is not of the form '1_02_333'; allowed: one digit for each edge into node 1, "
            "two into node 2, three into node 3."
        )
    return [int(digit) for digit in "".join(groups)]


def _macro_digits(text: str, width: int) -> list[int]:
    skeleton = text
    if "-" in text:
        skeleton, cell = _parts(text, width, "64-1234-basic")
        if cell != "basic":
            raise InputError(f"{text!r}: cell {cell!r}; allowed in transnas_macro: 'basic'.")
    if not skeleton.isdecimal() or len(skeleton) > LENGTH:
        raise InputError(f"{text!r}: the skeleton {skeleton!r} is not of the form '1234'; allowed: {_MACRO_RULE}.")
    return [int(digit) for digit in skeleton.ljust(LENGTH, "0")]


def _parts(text: str, width: int, example: str) -> tuple[str, str]:
    """Skeleton and cell of a full code."""
    parts = text.split("-")
    if len(parts) != 3:
        raise InputError(f"{text!r} has {len(parts)} parts joined by '-', not 3; allowed: a code like {example!r}.")
    if parts[0] not in (str(WIDTH), str(width)):
        raise InputError(
            f"{text!r}: base width {parts[0]!r}; allowed: '{WIDTH}', as in the benchmark, or '{width}', that of the "
            "space; do: set the space's channels."
        )
    return parts[1], parts[2]


def _integers(archs: Any, space: str, what: str) -> np.ndarray:
    try:
        array = np.asarray(archs)
    except ValueError:
        raise InputError(f"{space}: architecture {archs!r}; allowed: six integers, {what}.") from None
    if array.ndim not in (1, 2) or array.shape[-1] != LENGTH:
        raise InputError(f"{space}: architecture of shape {list(array.shape)}; allowed: [6] or [n, 6], {what}.")
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{space}: architecture of type {array.dtype}; allowed: integers.")
    small = array.astype(np.int32)
    if (small != array).any():
        raise InputError(f"{space}: {shown(array.tolist())}; allowed: six integers, {what}.")
    return small


def _is_number(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values)
