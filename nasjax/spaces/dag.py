"""The graph that cells of four nodes share: paths, dead branches, isomorphism, moves.

Node 0 is the input, node 3 the output, a node is the sum of what its edges bring. A cell is an integer
array [..., 6], the operation number of each edge in the order of ``EDGES``; number 0 is ``none``. Nothing
here checks its arguments: the spaces do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.types import Array, Graph, InputError

EDGES: tuple[tuple[int, int], ...] = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
NUM_EDGES = len(EDGES)
NO_PATH = "no path from input to output"
# Which edges leave each node that is read, bool [3, 6].
SOURCES = np.array([[a == node for a, _ in EDGES] for node in range(3)])


def reachable(cells: np.ndarray) -> np.ndarray:
    """Nodes that something from the input reaches: int [..., 6] -> bool [..., 4]."""
    reached = np.zeros((*cells.shape[:-1], 4), dtype=bool)
    reached[..., 0] = True
    for edge, (source, target) in enumerate(EDGES):
        reached[..., target] |= reached[..., source] & (cells[..., edge] != 0)
    return reached


def live_edges(cells: np.ndarray) -> np.ndarray:
    """Edges on some path of operations from input to output: int [..., 6] -> bool [..., 6]."""
    reached = reachable(cells)
    useful = np.zeros((*cells.shape[:-1], 4), dtype=bool)
    useful[..., 3] = True
    live = np.zeros(cells.shape, dtype=bool)
    # Backwards through the targets: a node is useful once one of its outgoing edges is.
    for edge, (source, target) in reversed(list(enumerate(EDGES))):
        passes = (cells[..., edge] != 0) & useful[..., target]
        live[..., edge] = passes & reached[..., source]
        useful[..., source] |= passes
    return live


def traced_live_edges(arch: Array) -> Array:
    """As `live_edges`, for one traced cell: int [6] -> bool [6]."""
    used = arch > 0
    fed: list[Any] = [jnp.array(True)]
    for node in (1, 2, 3):
        fed.append(jnp.stack([used[e] & fed[a] for e, (a, b) in enumerate(EDGES) if b == node]).any())
    read: dict[int, Any] = {3: jnp.array(True)}
    for node in (2, 1, 0):
        read[node] = jnp.stack([used[e] & read[b] for e, (a, b) in enumerate(EDGES) if a == node]).any()
    return jnp.stack([used[e] & fed[a] & read[b] for e, (a, b) in enumerate(EDGES)])


def text(ops: Sequence[int], names: Sequence[str], is_identity: Callable[[int, int], bool]) -> str:
    """Text of a cell's function of the input ``0``; equal texts, isomorphic cells.

    An identity passes the text of its source on, ``none`` and whatever reads it directly give ``#``, the
    terms of a sum are sorted. Sums are not simplified further.

    Args:
      ops: six operation numbers.
      names: name of each operation.
      is_identity: (operation, source node) -> whether the edge is the identity.
    """
    texts = ["0"]
    for node in (1, 2, 3):
        terms = []
        for op, (source, target) in zip(ops, EDGES, strict=True):
            if target != node:
                continue
            if op == 0 or texts[source] == "#":
                terms.append("#")
            else:
                terms.append(texts[source] if is_identity(op, source) else f"({texts[source]})@{names[op]}")
        texts.append("+".join(sorted(terms)))
    return texts[-1]


def to_graph(ops: Sequence[int], names: Sequence[str]) -> Graph:
    """The cell as a graph whose nodes are operations: ``input``, one an edge that is not ``none``, ``output``."""
    kept = [edge for edge, op in enumerate(ops) if op != 0]
    number = {edge: place for place, edge in enumerate(kept, start=1)}
    output = len(kept) + 1
    links = []
    for edge in kept:
        source, target = EDGES[edge]
        if source == 0:
            links.append((0, number[edge]))
        links += [(number[other], number[edge]) for other in kept if EDGES[other][1] == source]
        if target == 3:
            links.append((number[edge], output))
    return Graph(nodes=("input", *(names[ops[edge]] for edge in kept), "output"), edges=tuple(sorted(links)))


def neighbours(cell: np.ndarray, num_ops: int) -> np.ndarray:
    """Cells that differ in one edge, edge by edge, other operations in increasing order: int32 [n, 6]."""
    edge, op = np.divmod(np.arange(NUM_EDGES * num_ops), num_ops)
    changed = np.repeat(cell[None], NUM_EDGES * num_ops, axis=0)
    changed[np.arange(len(changed)), edge] = op
    return changed[(changed != cell).any(axis=1)]


def sample(key: Array, number: int, num_ops: int) -> Array:
    """Uniform cells int32 [number, 6], with replacement.

    Raises:
      InputError: if ``number`` is negative or no integer.
    """
    check_number(number)
    return jax.random.randint(key, (number, NUM_EDGES), 0, num_ops, dtype=jnp.int32)


def check_number(number: Any) -> None:
    """Checks how many architectures are asked for.

    Raises:
      InputError: if it is negative or no integer.
    """
    if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 0:
        raise InputError(f"n={number!r} architectures; allowed: an integer >= 0; do: say how many to draw")


def mutate(key: Array, cell: Any, num_ops: int, num_edges: int) -> Array:
    """Gives ``num_edges`` different edges another operation, all equally likely; traceable.

    Raises:
      InputError: if ``num_edges`` is out of range.
    """
    if not isinstance(num_edges, int) or isinstance(num_edges, bool) or not 1 <= num_edges <= NUM_EDGES:
        raise InputError(f"num_edges={num_edges!r}; allowed: an integer 1..{NUM_EDGES}; do: change fewer edges")
    cell = jnp.asarray(cell, dtype=jnp.int32)
    edge_key, op_key = jax.random.split(key)
    _, chosen = jax.lax.top_k(jax.random.uniform(edge_key, (NUM_EDGES,)), num_edges)  # without replacement
    # A shift of 1..num_ops - 1 modulo num_ops reaches each other operation once and never the old one.
    shift = jax.random.randint(op_key, (num_edges,), 1, num_ops, dtype=jnp.int32)
    return cell.at[chosen].set((cell[chosen] + shift) % num_ops)


def crossover(key: Array, first: Any, second: Any) -> Array:
    """Takes each edge from one of two parents, with equal chance; traceable."""
    first = jnp.asarray(first, dtype=jnp.int32)
    second = jnp.asarray(second, dtype=jnp.int32)
    return jnp.where(jax.random.bernoulli(key, 0.5, first.shape), first, second)
