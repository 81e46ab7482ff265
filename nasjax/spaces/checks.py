"""Checks that the spaces share: sizes, precision, and whatever may be given as architectures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from nasjax.types import InputError

PRECISIONS = ("highest", "high", "default")  # of `jax.lax.Precision`
_LONGEST = 120  # characters of a value in a message
_LONGEST_MESSAGE = 1200  # characters; what was given may be a whole file
_MALFORMED = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)


def is_positive(value: Any) -> bool:
    """Whether a value is a positive integer, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def check_sizes(space: Any, *fields: str) -> None:
    """Refuses a space whose sizes are no positive integers, or whose precision is none.

    Args:
      space: has ``name``, ``precision`` and the fields.
      *fields: its sizes.

    Raises:
      InputError: names the field, its value and what is allowed.
    """
    for field in fields:
        value = getattr(space, field)
        if not is_positive(value):
            raise InputError(f"{space.name}: {field}={shown(value)}; allowed is a positive integer.")
    check_precision(space.name, space.precision)


def check_precision(name: str, precision: Any) -> None:
    """Refuses what is no matrix precision.

    Raises:
      InputError: it is not.
    """
    if precision not in PRECISIONS:
        raise InputError(f"{name}: precision={precision!r}; allowed are {', '.join(PRECISIONS)}.")


def population(
    name: str,
    encodings: Any,
    *,
    one: Callable[[Any], np.ndarray],
    rows: Callable[[np.ndarray], np.ndarray],
    single: Callable[[Any], bool],
    example: str,
) -> np.ndarray:
    """The population that encodings stand for, whatever was given.

    Args:
      name: of the space.
      encodings: an array of numbers, one encoding, or several.
      one: decodes one encoding.
      rows: checks an array of architectures [n, ...].
      single: whether a value that can be iterated over is one encoding; texts, mappings and what cannot be iterated
        over always are.
      example: of an encoding.

    Returns:
      int32 [n, ...].

    Raises:
      InputError: nothing was given, or an encoding is none; the message names it, what is allowed and what to do.
    """
    allowed = f"allowed: an encoding such as {example}, a sequence of encodings, or an integer array"
    if isinstance(encodings, np.ndarray | jax.Array) and np.asarray(encodings).dtype.kind in "OUS":
        encodings = np.asarray(encodings).tolist()
    if isinstance(encodings, np.ndarray | jax.Array):
        array = np.atleast_2d(np.asarray(encodings))
        if not array.size:
            raise InputError(f"{name}: no architecture given; {allowed}; do: give at least one")
        return guarded(name, rows, array, allowed)
    is_one = isinstance(encodings, str | bytes | Mapping) or not isinstance(encodings, Iterable) or single(encodings)
    items = [encodings] if is_one else list(encodings)
    if not items:
        raise InputError(f"{name}: no architecture given; {allowed}; do: give at least one")
    return np.stack([guarded(name, one, item, allowed) for item in items])


def guarded(name: str, decode: Callable[[Any], np.ndarray], encoding: Any, allowed: str) -> np.ndarray:
    """Decodes; what a decoder trips over is refused like what it knows to refuse.

    Raises:
      InputError: the encoding is none.
    """
    try:
        return decode(encoding)
    except InputError as error:
        text = str(error)
        if len(text) <= _LONGEST_MESSAGE:
            raise
        raise InputError(f"{text[: _LONGEST_MESSAGE // 2]} ... {text[-_LONGEST_MESSAGE // 2 :]}") from None
    except _MALFORMED as error:
        raise InputError(
            f"{name}: {shown(encoding)} is no architecture ({type(error).__name__}: {error}); {allowed}; "
            "do: compare it with the forms in docs/spaces.md"
        ) from error


def shown(value: Any) -> str:
    """The value as a message shows it, cut if it is long."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
