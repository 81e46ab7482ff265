"""Encodings of a NAS-Bench-201 cell.

A cell has four nodes (0 the input, 3 the output) and an operation on each of its six edges; a node
is the sum of what arrives. Inside the library a cell is int32 [6]: the operation number of each
edge, numbered as in ``OPS``, edges sorted by *target* as in ``EDGES``.

NASLib writes the same cell as a tuple with the operations in another order and the edges sorted by
*source*. To take one for the other gives a valid but wrong cell, so only ``from_tuple`` and
``to_tuple`` cross between them.

Every function takes one cell or a stack of cells and answers in kind.
"""

from __future__ import annotations

import difflib
import functools
import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nasjax.hashing import array_fingerprint
from nasjax.spaces.dag import EDGES
from nasjax.types import InputError

OPS: tuple[str, ...] = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NUM_EDGES = len(EDGES)
NUM_OPS = len(OPS)
NUM_ARCHITECTURES = NUM_OPS**NUM_EDGES

NASLIB_OPS: tuple[str, ...] = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
NASLIB_EDGES: tuple[tuple[int, int], ...] = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))

EXAMPLE = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"
_PLACES = NUM_OPS ** np.arange(NUM_EDGES - 1, -1, -1)
# Tuple position p holds our edge _EDGE_OF[p]; tuple value v means our operation _OP_OF[v].
_EDGE_OF = np.array([EDGES.index(edge) for edge in NASLIB_EDGES])
_OP_OF = np.array([OPS.index(op) for op in NASLIB_OPS], dtype=np.int32)
# The benchmark numbers its cells by a shuffle of the product with this seed.
_OFFICIAL_SEED = 88
_OFFICIAL_FINGERPRINT = "7e0d02a7bd39960d0747e64819c930268c96e7c8843ebd6d489b93f95f28d6a4"


def check_arch(arch: Any) -> np.ndarray:
    """Checks operation numbers and returns them as an array.

    Args:
      arch: integers [6] or [n, 6] in the edge order of ``EDGES``, each 0..4.

    Returns:
      int32 array of the same shape.

    Raises:
      InputError: on a wrong shape, a value that is no integer, or one out of range.
    """
    array = np.asarray(arch)
    if array.ndim not in (1, 2) or array.shape[-1] != NUM_EDGES:
        raise InputError(
            f"architecture of shape {list(array.shape)}; allowed: [6] or [n, 6]; "
            "do: give one operation number for each of the six edges"
        )
    return _check_values(array, "edge", OPS, EDGES)


def to_string(arch: Any) -> Any:
    """Official string of a cell.

    Args:
      arch: integers [6] or [n, 6].

    Returns:
      A string for [6], a list of strings for [n, 6].

    Raises:
      InputError: if ``arch`` is no architecture.

    Examples:
      >>> to_string([4, 1, 0, 2, 4, 2])
      '|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|'
    """
    array = check_arch(arch)
    texts = [_format(row) for row in np.atleast_2d(array).tolist()]
    return texts[0] if array.ndim == 1 else texts


def from_string(text: str | Sequence[str]) -> np.ndarray:
    """Cell of an official string.

    Args:
      text: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``, or a list of such strings.

    Returns:
      int32 [6], or int32 [n, 6] for a list.

    Raises:
      InputError: names the part that is wrong and, for an unknown operation, the nearest known one.
    """
    if isinstance(text, str):
        return np.array(_parse(text), dtype=np.int32)
    return np.array([_parse(item) for item in text], dtype=np.int32).reshape(-1, NUM_EDGES)


def to_tuple(arch: Any) -> Any:
    """NASLib tuple of a cell: NASLib's operation numbers, edges sorted by source.

    Args:
      arch: integers [6] or [n, 6].

    Returns:
      A tuple of six ints for [6], a list of tuples for [n, 6].

    Raises:
      InputError: if ``arch`` is no architecture.

    Examples:
      >>> to_tuple(from_string("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"))
      (1, 1, 2, 1, 1, 1)
    """
    array = check_arch(arch)
    values = np.argsort(_OP_OF)[array[..., _EDGE_OF]]
    tuples = [tuple(row) for row in np.atleast_2d(values).tolist()]
    return tuples[0] if array.ndim == 1 else tuples


def from_tuple(ops: Any) -> np.ndarray:
    """Cell of a NASLib tuple.

    Args:
      ops: six integers, operations numbered as in ``NASLIB_OPS``, edges as in ``NASLIB_EDGES``; or
        several such tuples.

    Returns:
      int32 [6], or int32 [n, 6] for several tuples.

    Raises:
      InputError: on a wrong length, a value that is no integer, or one out of range.

    Examples:
      >>> from_tuple((4, 0, 3, 1, 4, 3)).tolist()
      [4, 1, 0, 2, 4, 2]
    """
    try:
        values = np.asarray(ops)
    except ValueError as error:
        raise InputError(f"{ops!r} has tuples of unequal length; allowed: 6 numbers each; do: check each") from error
    if values.ndim not in (1, 2) or values.shape[-1] != NUM_EDGES:
        raise InputError(
            f"{ops!r} has {values.shape[-1] if values.ndim else 'no'} entries; allowed: a NASLib tuple of 6 numbers; "
            "do: give one operation number for each of the six edges, e.g. (4, 0, 3, 1, 4, 3)"
        )
    values = _check_values(values, "tuple entry", NASLIB_OPS, NASLIB_EDGES)
    arch = np.empty_like(values)
    arch[..., _EDGE_OF] = _OP_OF[values]
    return arch


def enumeration_index(arch: Any) -> Any:
    """Place of a cell in the plain enumeration of the space: a number of base 5, first edge highest.

    Args:
      arch: integers [6] or [n, 6].

    Returns:
      An int for [6], int64 [n] for [n, 6]; 0..15624.

    Raises:
      InputError: if ``arch`` is no architecture.
    """
    array = check_arch(arch)
    index = array.astype(np.int64) @ _PLACES
    return int(index) if array.ndim == 1 else index


def from_enumeration_index(index: Any) -> np.ndarray:
    """Cell at a place of the plain enumeration.

    Args:
      index: integer or integers [n], 0..15624.

    Returns:
      int32 [6] or [n, 6].

    Raises:
      InputError: if an index is out of range or no integer.
    """
    array = _check_index(index, "enumeration index")
    return (array[..., None] // _PLACES % NUM_OPS).astype(np.int32)


def to_index(arch: Any) -> Any:
    """Official index of a cell, the ``arch_index`` of NAS-Bench-201 and NATS-Bench.

    Args:
      arch: integers [6] or [n, 6].

    Returns:
      An int for [6], int64 [n] for [n, 6]; 0..15624.

    Raises:
      InputError: if ``arch`` is no architecture.
    """
    place = enumeration_index(arch)
    index = _official_orders()[1][place]
    return int(index) if isinstance(place, int) else index


def from_index(index: Any) -> np.ndarray:
    """Cell of an official index.

    Args:
      index: integer or integers [n], 0..15624.

    Returns:
      int32 [6] or [n, 6].

    Raises:
      InputError: if an index is out of range or no integer.

    Examples:
      >>> to_string(from_index(2566))
      '|none~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|'
    """
    return from_enumeration_index(_official_orders()[0][_check_index(index, "official index")])


def decode(encoding: Any) -> np.ndarray:
    """Cell of any single encoding.

    Args:
      encoding: an official string; an official index, as int or as digits; a NASLib tuple, as tuple
        or as text ``(4, 0, 3, 1, 4, 3)``; or an integer *array* [6] in the library's own order.

    Returns:
      int32 [6].

    Raises:
      InputError: if it is none of these. A *list* of numbers is refused, since it could be meant
        in NASLib's order as well as in the library's.
    """
    if isinstance(encoding, str):
        text = encoding.strip()
        if text.isdecimal():
            return from_index(int(text))
        if re.fullmatch(r"\(\s*\d+(\s*,\s*\d+)*\s*,?\s*\)", text):
            return from_tuple(tuple(int(number) for number in re.findall(r"\d+", text)))
        return from_string(text)
    if isinstance(encoding, int | np.integer) and not isinstance(encoding, bool):
        return from_index(int(encoding))
    if isinstance(encoding, tuple):
        return _one(from_tuple(encoding), encoding)
    if hasattr(encoding, "__array__"):
        array = np.asarray(encoding)
        return from_index(array) if array.ndim == 0 else _one(check_arch(array), encoding)
    raise InputError(
        f"{encoding!r} does not name an architecture; allowed: official string, official index, NASLib tuple, "
        "or integer array [6]; do: for a list of six numbers say which order is meant, "
        "tuple(...) for NASLib's or numpy.array(...) for nasjax's"
    )


def _format(ops: Sequence[int]) -> str:
    parts = iter(f"{OPS[op]}~{source}|" for op, (source, _) in zip(ops, EDGES, strict=True))
    return "+".join("|" + "".join(next(parts) for _ in range(target)) for target in (1, 2, 3))


def _parse(text: Any) -> list[int]:
    if not isinstance(text, str):
        raise InputError(f"{text!r} is no string; allowed: an official NAS-Bench-201 string; do: write {EXAMPLE}")
    groups = text.strip().split("+")
    if len(groups) != 3:
        raise _malformed(text, f"it has {len(groups)} groups joined by '+', not 3 (one for each of nodes 1, 2, 3)")
    ops = []
    for node, group in enumerate(groups, start=1):
        if len(group) < 2 or group[0] != "|" or group[-1] != "|":
            raise _malformed(text, f"the group of node {node}, {group!r}, does not start and end with '|'")
        parts = group[1:-1].split("|")
        if len(parts) != node:
            raise _malformed(text, f"the group of node {node}, {group!r}, has {len(parts)} parts, not {node}")
        for source, part in enumerate(parts):
            name, tilde, number = part.partition("~")
            if not tilde or number != str(source):
                raise _malformed(text, f"part {part!r} of node {node} should end with '~{source}' (its source node)")
            if name not in OPS:
                near = difflib.get_close_matches(name, OPS, n=1, cutoff=0.3)
                hint = f"replace it by {near[0]!r}" if near else "use one of the allowed operations"
                raise InputError(
                    f"{name!r} in part {part!r} of node {node} of {text!r} is no operation; "
                    f"allowed: {', '.join(OPS)}; do: {hint}"
                )
            ops.append(OPS.index(name))
    return ops


def _malformed(text: str, what: str) -> InputError:
    return InputError(
        f"{text!r} is no NAS-Bench-201 string: {what}; "
        f"allowed: |op~0|+|op~0|op~1|+|op~0|op~1|op~2|; do: write it like {EXAMPLE}"
    )


def _one(arch: np.ndarray, encoding: Any) -> np.ndarray:
    if arch.ndim != 1:
        raise InputError(f"{encoding!r} names several architectures; allowed: one; do: decode them one by one")
    return arch


def _check_values(
    array: np.ndarray, place: str, ops: tuple[str, ...], edges: tuple[tuple[int, int], ...]
) -> np.ndarray:
    """Operation numbers as int32; says where the first bad one is."""
    listing = ", ".join(f"{number} {op}" for number, op in enumerate(ops))
    if array.size == 0:
        return np.zeros(array.shape, dtype=np.int32)
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"operation numbers of type {array.dtype}: {array.tolist()}; allowed: integers ({listing}); "
            "do: convert them to integers"
        )
    bad = np.argwhere((array < 0) | (array >= NUM_OPS))
    if len(bad):
        where = tuple(bad[0])
        source, target = edges[where[-1]]
        row = f" of architecture {where[0]}" if array.ndim == 2 else ""
        raise InputError(
            f"operation number {array[where]} at {place} {where[-1]} ({source}>{target}){row} is out of range; "
            f"allowed: {listing}; do: check the encoding"
        )
    return array.astype(np.int32)


def _check_index(index: Any, what: str) -> np.ndarray:
    array = np.asarray(index)
    if array.shape == (0,):
        return np.zeros(0, dtype=np.int64)
    if array.ndim > 1 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"{index!r} is no {what}; allowed: integers 0..{NUM_ARCHITECTURES - 1}; do: give an int or an array [n]"
        )
    bad = array[(array < 0) | (array >= NUM_ARCHITECTURES)]
    if len(bad):
        raise InputError(
            f"{bad[0]} is no {what} of NAS-Bench-201; allowed: 0..{NUM_ARCHITECTURES - 1}; "
            "do: check the number, or give the architecture as a string"
        )
    return array.astype(np.int64)


@functools.cache
def _official_orders() -> tuple[np.ndarray, np.ndarray]:
    """Enumeration place of every official index, and the inverse: int64 [15625] each, read-only."""
    places = list(range(NUM_ARCHITECTURES))
    random.Random(_OFFICIAL_SEED).shuffle(places)
    order = np.array(places, dtype=np.int64)
    if array_fingerprint(order) != _OFFICIAL_FINGERPRINT:  # the shuffle is not promised across Python versions
        raise RuntimeError("this Python version shuffles differently: official NAS-Bench-201 indices unavailable")
    inverse = np.argsort(order)
    order.flags.writeable = inverse.flags.writeable = False
    return order, inverse
