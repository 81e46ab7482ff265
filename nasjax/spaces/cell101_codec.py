"""Encodings of a NAS-Bench-101 cell: official matrix and operations, the text of NAS-Bench-Suite-Zero, arrays."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nasjax.spaces.cell101_graph import EDGES, LENGTH, NUM_INNER, NUM_VERTICES, OPS, OUTPUT, is_valid, spec
from nasjax.types import InputError

_SUITE_OPS = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")  # codes of NAS-Bench-Suite-Zero
_SUITE_TEXT = re.compile(r"([01]{49}):([0-4]{7})")
_PADDING = -3
EXAMPLE = '{"matrix": [[0,1,1],[0,0,1],[0,0,0]], "ops": ["input", "conv3x3-bn-relu", "output"]}'
_FORMS = (
    f"allowed: JSON or a dictionary such as {EXAMPLE}, a pair (matrix, ops), 49 bits and 7 codes as in "
    f"NAS-Bench-Suite-Zero, or an integer array [{LENGTH}]"
)


def encode(arch: Any) -> str:
    """Official matrix and operations of the pruned cell, as JSON.

    Args:
      arch: int [26].

    Returns:
      text that ``decode`` reads; equal for arrays that prune to the same cell.
    """
    rows, ops = spec(np.asarray(arch))
    return json.dumps({"matrix": rows, "ops": ops}, separators=(",", ":"))


def decode(encoding: Any) -> np.ndarray:
    """Cell of any single encoding.

    Args:
      encoding: JSON text or dictionary with "matrix" (0 and 1) and "ops" (with or without the ends; names, or the
        official numbers -1 input, 0 conv3x3, 1 conv1x1, 2 maxpool3x3, -2 output, -3 no vertex); a pair
        (matrix, ops); 49 adjacency bits row by row, ":" and 7 operation codes as in NAS-Bench-Suite-Zero; or an
        integer array [26], see `cell101_graph`.

    Returns:
      int32 [26]. Vertices that lie on no path are kept, as in the official ``original_matrix``.

    Raises:
      InputError: it is none of these, or no cell of the space; the message says what is wrong.
    """
    if hasattr(encoding, "__array__"):
        return check(np.asarray(encoding))
    rows, ops = _parts(encoding)
    if not isinstance(ops, list | tuple | np.ndarray):
        raise InputError(f"operations {ops!r} are no list; {_FORMS}")
    if isinstance(ops, list | tuple) and _PADDING in ops:  # published tables fill up smaller graphs
        size = ops.index(_PADDING)
        rows, ops = _square(rows)[:size, :size], ops[:size]
    return check(_array(rows, ops))


def check(arch: np.ndarray) -> np.ndarray:
    """An array as a cell int32 [26].

    Raises:
      InputError: wrong shape or values, no path, or too many edges.
    """
    if arch.shape != (LENGTH,) or not np.issubdtype(arch.dtype, np.integer):
        raise InputError(f"array of shape {list(arch.shape)} and type {arch.dtype} is no cell; allowed: int [{LENGTH}]")
    edges, ops = arch[: len(EDGES)], arch[len(EDGES) :]
    if not np.isin(edges, (0, 1)).all() or not np.isin(ops, range(len(OPS))).all():
        raise InputError(
            f"{arch.tolist()} is no cell; allowed: {len(EDGES)} edges 0 or 1, then {NUM_INNER} operations 0..2"
        )
    valid, reason = is_valid(arch)
    if not valid:
        raise InputError(f"{encode(arch)} is no cell of NAS-Bench-101: {reason}; do: change its edges")
    return arch.astype(np.int32)


def _parts(encoding: Any) -> tuple[Any, Any]:
    """Matrix and operations of an encoding that is no array."""
    found = encoding
    if isinstance(encoding, str):
        suite = _SUITE_TEXT.fullmatch(encoding.strip())
        if suite:
            bits = np.array(list(suite[1]), dtype=int).reshape(NUM_VERTICES, NUM_VERTICES)
            return bits.tolist(), [_SUITE_OPS[int(code)] for code in suite[2]]
        try:
            found = json.loads(encoding)
        except ValueError as error:
            raise InputError(f"{encoding!r} is no NAS-Bench-101 cell ({error}); {_FORMS}") from None
    if isinstance(found, dict) and set(found) >= {"matrix", "ops"}:
        return found["matrix"], found["ops"]
    if isinstance(found, list | tuple) and len(found) == 2:
        return found[0], found[1]
    raise InputError(f"{encoding!r} is no NAS-Bench-101 cell; {_FORMS}")


def _square(rows: Any) -> np.ndarray:
    """The matrix, if it is one."""
    try:
        full = np.atleast_1d(rows)
    except ValueError:
        full = np.zeros(0)
    size = len(full)
    if full.shape != (size, size) or not 2 <= size <= NUM_VERTICES or not np.isin(full, (0, 1)).all():
        raise InputError(
            f"matrix {rows!r}; allowed: a square matrix of 0 and 1 with 2 to {NUM_VERTICES} rows; do: check its rows"
        )
    return full


def _array(rows: Any, ops: Sequence[Any]) -> np.ndarray:
    """Checks matrix and operations, and lays them out with the output as vertex 6."""
    full = _square(rows)
    size = len(full)
    below = np.argwhere(np.tril(full))
    if len(below):
        source, target = below[0]
        raise InputError(
            f"edge {source}>{target} leads backwards; allowed: edges to later vertices (a matrix with zeros on and "
            "below the diagonal); do: sort the vertices"
        )
    inner = _inner_ops(list(ops), size)
    arch = np.zeros(LENGTH, np.int32)
    place = [*range(size - 1), OUTPUT]
    for source, target in np.argwhere(full):
        arch[EDGES.index((place[source], place[target]))] = 1
    connected = np.asarray(full.any(0) | full.any(1))
    for vertex, op in enumerate(inner, start=1):
        arch[len(EDGES) + vertex - 1] = _number(op, vertex) if connected[vertex] else 0
    return arch


def _inner_ops(ops: list[Any], size: int) -> list[Any]:
    """Operations of the vertices between input and output."""
    if len(ops) == size and ops[0] in ("input", -1) and ops[-1] in ("output", -2):
        ops = ops[1:-1]
    if len(ops) != size - 2:
        raise InputError(
            f"{len(ops)} operations {ops} for {size} vertices; allowed: {size - 2}, or {size} with 'input' first and "
            "'output' last; do: give one for each vertex"
        )
    return ops


def _number(op: Any, vertex: int) -> int:
    if isinstance(op, int) and 0 <= op < len(OPS):
        return op
    if op in OPS:
        return OPS.index(op)
    near = difflib.get_close_matches(str(op), OPS, n=1, cutoff=0.3)
    hint = f"did you mean {near[0]!r}?" if near else "use one of these"
    raise InputError(f"operation {op!r} of vertex {vertex} is not in the space; allowed: {', '.join(OPS)}; do: {hint}")
