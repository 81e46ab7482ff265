"""Kronecker products of directed acyclic graphs, and texts shared by isomorphic ones.

With ``S`` the graph of the blocks and ``R`` the wiring of a block, both strictly upper triangular,
``A = (I + S) (x) (I + R) - I`` joins vertex u of block b to v of block c where each factor has an edge or a loop. Unit
upper triangular matrices have such a product, so A is acyclic for any factors and the order of numbers is topological.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nasjax.types import InputError


def kron_dag(outer: Any, inner: Any, outer_loops: bool = True, inner_loops: bool = True) -> np.ndarray:
    """Adjacency matrix of the product of two directed acyclic graphs.

    Args:
      outer: [m, m], 0 or 1, strictly upper triangular; the graph of the blocks.
      inner: [n, n], the same; the wiring of a block.
      outer_loops: whether the identity is added to ``outer``, which keeps the edges within a block.
      inner_loops: whether it is added to ``inner``: a vertex then feeds its own like in the next block.

    Returns:
      bool [m n, m n], strictly upper triangular; vertex u of block b has the number b n + u.

    Raises:
      InputError: a factor is no square matrix of zeros and ones, or not strictly upper triangular.
    """
    factors = []
    for name, matrix, loops in (("outer", outer, outer_loops), ("inner", inner, inner_loops)):
        a = check_factor(name, matrix)
        factors.append(a | np.eye(len(a), dtype=bool) if loops else a)
    product = np.kron(factors[0], factors[1])
    np.fill_diagonal(product, False)
    return np.asarray(product, bool)


def check_factor(name: str, matrix: Any) -> np.ndarray:
    """A factor as bool [n, n].

    Raises:
      InputError: it is none.
    """
    a = np.asarray(matrix)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or not a.size or not np.isin(a, (0, 1)).all():
        raise InputError(f"kron_dag: {name} of shape {list(a.shape)}; allowed is a square matrix of zeros and ones.")
    if np.tril(a).any():
        row, column = np.argwhere(np.tril(a))[0].tolist()
        raise InputError(
            f"kron_dag: {name} has an edge {row} -> {column}; allowed are edges from lower to higher numbers, which "
            "makes it acyclic; do: number the vertices in a topological order"
        )
    return a.astype(bool)


def closure(xp: Any, adjacency: Any) -> Any:
    """Which vertices lead to which, each to itself: bool [..., n, n] -> bool [..., n, n]; traceable."""
    n = adjacency.shape[-1]
    reach = adjacency | xp.eye(n, dtype=bool).reshape((1,) * (adjacency.ndim - 2) + (n, n))
    for _ in range(max(n - 1, 1).bit_length()):
        reach = xp.matmul(reach.astype(np.float32), reach.astype(np.float32)) > 0
    return reach


def is_connected(xp: Any, adjacency: Any, there: Any) -> Any:
    """Whether the vertices that are there are weakly connected.

    Args:
      xp: numpy or jax.numpy.
      adjacency: bool [..., n, n].
      there: bool [..., n], of which the first is True; edges of others are ignored.

    Returns:
      bool [...].
    """
    both = (adjacency | adjacency.swapaxes(-1, -2)) & there[..., :, None] & there[..., None, :]
    return (closure(xp, both)[..., 0, :] | ~there).all(-1)


def canonical_order(adjacency: np.ndarray, labels: Sequence[Any]) -> list[int]:
    """An order of the vertices that is the same for isomorphic graphs, and topological.

    Colours start from the longest path to a vertex and its label and are refined by those of the neighbours
    (Weisfeiler and Lehman). Where equal ones remain, each of them in turn is made different, but for twins, which have
    the same neighbours, and the smallest graph wins: exact, unlike the colours alone.

    Args:
      adjacency: bool [n, n], strictly upper triangular.
      labels: of the vertices; comparable.

    Returns:
      old numbers in the new order.
    """
    n = len(adjacency)
    into = [np.flatnonzero(adjacency[:, v]).tolist() for v in range(n)]
    out = [np.flatnonzero(adjacency[v]).tolist() for v in range(n)]
    depth: list[int] = []
    for v in range(n):
        depth.append(1 + max((depth[p] for p in into[v]), default=-1))

    def ranks(values: list[Any]) -> list[int]:
        place = {value: i for i, value in enumerate(sorted(set(values)))}
        return [place[value] for value in values]

    def refine(colours: list[int]) -> list[int]:
        while True:
            near = [
                (colours[v], sorted(colours[p] for p in into[v]), sorted(colours[t] for t in out[v])) for v in range(n)
            ]
            finer = ranks([(own, tuple(a), tuple(b)) for own, a, b in near])
            if max(finer) == max(colours):
                return finer
            colours = finer

    def form(order: list[int]) -> list[list[bool]]:
        return adjacency[np.ix_(order, order)].tolist()

    def search(colours: list[int]) -> list[int]:
        colours = refine(colours)
        if max(colours) == n - 1:
            return sorted(range(n), key=colours.__getitem__)
        cells = [[v for v in range(n) if colours[v] == c] for c in range(max(colours) + 1)]
        cell = next(cell for cell in cells if len(cell) > 1)
        twins = {(tuple(into[v]), tuple(out[v])): v for v in reversed(cell)}
        found = [search([2 * c + (c == colours[v] and w != v) for w, c in enumerate(colours)]) for v in twins.values()]
        return min(found, key=form)

    return search(ranks([(depth[v], labels[v]) for v in range(n)])) if n > 1 else [0]


def to_networkx(adjacency: np.ndarray, labels: Sequence[Any]) -> Any:
    """The graph as ``networkx.DiGraph``, labels in the attribute "op"."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from((v, {"op": label}) for v, label in enumerate(labels))
    graph.add_edges_from(np.argwhere(adjacency).tolist())
    return graph
