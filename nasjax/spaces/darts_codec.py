"""Encodings of DARTS architectures.

Inside the library an architecture is int32 [32], read as [2, 8, 2]: normal and reduction cell; eight edges, two for
each of the nodes 2..5 in order; number of the operation in ``OPS`` and node that the edge comes from. Nodes 0 and 1
are the inputs of the cell, its output concatenates nodes 2..5.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasjax.types import InputError

# The order of DARTS. The compact codes of NAS-Bench-301 leave out ``none``: their number is one less.
OPS: tuple[str, ...] = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NONE, MAX, AVG, SKIP, SEP3, SEP5, DIL3, DIL5 = range(len(OPS))
CELLS = ("normal", "reduce")
NUM_EDGES = 8
LENGTH = 2 * NUM_EDGES * 2
SHAPE = (2, NUM_EDGES, 2)
TARGETS = np.arange(NUM_EDGES) // 2 + 2  # node that each edge leads to
_NODES = [2, 3, 4, 5]
_CONFIG = "NetworkSelectorDatasetInfo:darts:"
_FORMS = (
    "allowed: a genotype Genotype(normal=[(op, node), ...], normal_concat=range(2, 6), reduce=[...], "
    "reduce_concat=range(2, 6)), a dictionary with 'normal' and 'reduce', a configuration of NAS-Bench-301, its "
    f"compact form ([(node, number), ...], [...]), any of these as text, or an integer array [{LENGTH}]"
)


def parts(arch: Any) -> tuple[Any, Any]:
    """Operations and sources: int [..., 32] -> two int [..., 2, 8]; traceable."""
    shaped = arch.reshape(*arch.shape[:-1], *SHAPE)
    return shaped[..., 0], shaped[..., 1]


def join(ops: Any, sources: Any, xp: Any = np) -> Any:
    """Inverse of `parts`; ``xp`` is the array module, traceable with jax.numpy."""
    return xp.stack([ops, sources], -1).reshape(*ops.shape[:-2], LENGTH).astype(np.int32)


def encode(arch: Any) -> str:
    """Official genotype of an architecture int [32], as text that ``decode`` reads."""
    ops, sources = parts(np.asarray(arch))
    texts = []
    for name, own_ops, own_sources in zip(CELLS, ops.tolist(), sources.tolist(), strict=True):
        edges = [(OPS[op], source) for op, source in zip(own_ops, own_sources, strict=True)]
        texts.append(f"{name}={edges}, {name}_concat={_NODES}")
    return f"Genotype({', '.join(texts)})"


def compact(arch: Any) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Compact form of NAS-Bench-301, ((node, number), ...) for both cells.

    Raises:
      InputError: the architecture has an operation ``none``, which the form lacks.
    """
    ops, sources = parts(np.asarray(arch))
    if (ops == NONE).any():
        raise InputError("The compact form of NAS-Bench-301 has no 'none'; use the genotype (encode).")
    return tuple(
        tuple((source, op - 1) for op, source in zip(*cell, strict=True))
        for cell in zip(ops.tolist(), sources.tolist(), strict=True)
    )


def decode(encoding: Any) -> np.ndarray:
    """Architecture of any single encoding.

    Args:
      encoding: genotype of DARTS as object, dictionary or text; configuration of NAS-Bench-301
        ("NetworkSelectorDatasetInfo:darts:edge_normal_0", ...); its compact form, as tuples or text; or an integer
        array [32].

    Returns:
      int32 [32].

    Raises:
      InputError: it is none of these, or no architecture of the space; the message says where it is wrong.
    """
    if hasattr(encoding, "__array__"):
        return check(np.asarray(encoding))
    found = _parse(encoding) if isinstance(encoding, str) else encoding
    if not isinstance(found, Mapping) and hasattr(found, "normal") and hasattr(found, "reduce"):
        names = [f"{cell}{part}" for cell in CELLS for part in ("", "_concat")]
        found = {name: getattr(found, name) for name in names if hasattr(found, name)}
    if isinstance(found, Mapping):
        if any(str(key).startswith(_CONFIG) for key in found):
            return _stack([_configured(found, cell) for cell in CELLS])
        if set(found) >= set(CELLS):
            for cell in CELLS:
                _check_concat(found, cell)
            return _stack([[(op, source) for op, source in _pairs(found[cell], cell)] for cell in CELLS])
    elif isinstance(found, Sequence) and not isinstance(found, str) and len(found) == 2:
        return _stack([[(_shifted(op), source) for source, op in _pairs(own, c)] for own, c in _named(found)])
    raise InputError(f"{encoding!r} is no DARTS architecture; {_FORMS}")


def check(arch: np.ndarray) -> np.ndarray:
    """An array as an architecture int32 [32].

    Raises:
      InputError: wrong shape, type or values.
    """
    if arch.shape != (LENGTH,) or not np.issubdtype(arch.dtype, np.integer):
        raise InputError(
            f"array of shape {list(arch.shape)} and type {arch.dtype} is no DARTS architecture; allowed: int [{LENGTH}]"
        )
    return _stack([list(map(tuple, cell)) for cell in arch.reshape(SHAPE).tolist()])


def _named(cells: Sequence[Any]) -> list[tuple[Any, str]]:
    return list(zip(cells, CELLS, strict=True))


def _parse(text: str) -> Any:
    """Value of a text: a literal, or a genotype as Python prints it."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Genotype" and not node.args:
            return {str(word.arg): _literal(word.value) for word in node.keywords}
        return ast.literal_eval(node)
    except (ValueError, SyntaxError, TypeError) as error:
        reason = str(error).partition(": <")[0]  # without the address of a node
        raise InputError(f"{text!r} is no DARTS architecture ({reason}); {_FORMS}") from None


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "range":
        return list(range(*(ast.literal_eval(part) for part in node.args)))
    return ast.literal_eval(node)


def _check_concat(genotype: Mapping[str, Any], cell: str) -> None:
    nodes = genotype.get(f"{cell}_concat", _NODES)
    if not hasattr(nodes, "__iter__") or list(nodes) != _NODES:
        raise InputError(f"{cell}_concat={nodes!r}; allowed: {_NODES}, the output of a cell is all four nodes")


def _pairs(edges: Any, cell: str) -> list[Any]:
    """The eight pairs of a cell."""
    good = isinstance(edges, Sequence) and not isinstance(edges, str)
    if not good or not all(isinstance(edge, Sequence) and len(edge) == 2 for edge in edges):
        raise InputError(f"{cell} cell {edges!r}; allowed: {NUM_EDGES} pairs; {_FORMS}")
    if len(edges) != NUM_EDGES:
        node = 2 + len(edges) // 2
        at = f"; node {node} lacks {2 - len(edges) % 2} of its two" if len(edges) < NUM_EDGES else ""
        raise InputError(
            f"{cell} cell has {len(edges)} edges; allowed: {NUM_EDGES}, two for each of the nodes 2..5 in order{at}"
        )
    return list(edges)


def _configured(config: Mapping[str, Any], cell: str) -> list[tuple[Any, int]]:
    """Edges of a cell in a configuration, whose edges are numbered over all sources of all nodes."""
    edges: list[tuple[Any, int]] = []
    for node, start in zip(_NODES, (0, 2, 5, 9), strict=True):
        keys = {source: f"{_CONFIG}edge_{cell}_{start + source}" for source in range(node)}
        own = [(config[key], source) for source, key in keys.items() if key in config]
        if len(own) != 2:
            raise InputError(
                f"configuration has {len(own)} edges into node {node} of the {cell} cell; allowed: two of "
                f"edge_{cell}_{start}..{start + node - 1}"
            )
        edges += own
    return edges


def _shifted(number: Any) -> Any:
    """Operation of a compact code, which does not count ``none``."""
    if isinstance(number, int) and 0 <= number < len(OPS) - 1:
        return number + 1
    raise InputError(
        f"operation {number!r} of a compact code; allowed: 0..{len(OPS) - 2} for {', '.join(OPS[1:])}, behind the "
        "node: (node, number)"
    )


def _stack(cells: list[list[tuple[Any, Any]]]) -> np.ndarray:
    found = [
        [_edge(op, source, int(TARGETS[e]), f"edge {e} of the {cell} cell") for e, (op, source) in enumerate(edges)]
        for edges, cell in _named(cells)
    ]
    return np.array(found, np.int32).reshape(LENGTH)


def _edge(op: Any, source: Any, target: int, where: str) -> tuple[int, int]:
    if isinstance(source, str | bool) or not isinstance(source, int | np.integer):
        raise InputError(f"{where} comes from {source!r}; allowed: a node number 0..{target - 1}, behind the operation")
    if not 0 <= source < target:
        raise InputError(
            f"{where} leads from node {source} to node {target}; allowed: from nodes 0..{target - 1}; do: list the "
            "edges in the order of their nodes, two into each of 2, 3, 4 and 5"
        )
    if op in OPS:
        return OPS.index(op), int(source)
    if isinstance(op, int | np.integer) and not isinstance(op, bool) and 0 <= op < len(OPS):
        return int(op), int(source)
    near = difflib.get_close_matches(str(op), OPS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "use one of these"
    raise InputError(f"operation {op!r} of {where} is not in the space; allowed: {', '.join(OPS)}; do: {hint}")
