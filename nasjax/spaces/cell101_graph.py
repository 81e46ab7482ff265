"""Structure of a NAS-Bench-101 cell: pruning, channel split, validity, the official hash, the cell as a graph.

A cell is int [26]: the upper triangle of the 7 x 7 adjacency matrix row by row (21 entries, 0 or 1), then the
operations of vertices 1..5, numbered as in ``OPS``. Vertex 0 is the input, vertex 6 the output; a cell of
fewer vertices leaves the others without edges. What lies on no path from input to output is *pruned*: it is
part of the array, but of no network. Functions that say so are traceable and take any leading axes.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nasjax.types import Graph

OPS: tuple[str, ...] = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")  # the official order: hashes depend on it
NUM_VERTICES = 7
NUM_INNER = NUM_VERTICES - 2
MAX_EDGES = 9
MAX_BRANCHES = 4  # five vertices before the output need ten edges
OUTPUT = NUM_VERTICES - 1
EDGES: tuple[tuple[int, int], ...] = tuple((a, b) for a in range(NUM_VERTICES) for b in range(a + 1, NUM_VERTICES))
LENGTH = len(EDGES) + NUM_INNER
ABSENT = 0  # kinds: 0 for no vertex, else operation number + 1

_SOURCES, _TARGETS = (np.array([edge[i] for edge in EDGES]) for i in range(2))


class Pruned(NamedTuple):
    """Cells without the vertices that lie on no path, the others moved together.

    Attributes:
      matrix: bool [..., 7, 7]; input 0, output 6, the inner vertices in use come first among 1..5.
      kinds: int32 [..., 5]; operation number + 1 of each inner vertex, 0 behind the last one in use.
    """

    matrix: Any
    kinds: Any


def prune(arch: Any) -> Pruned:
    """Removes what lies on no path from input to output (official ``ModelSpec``); traceable.

    Args:
      arch: int [..., 26].

    Returns:
      the pruned cells, NumPy arrays for NumPy input; without any edge where there is no path.
    """
    xp: Any = np if isinstance(arch, np.ndarray) else jnp
    full = matrix(arch)
    fed, read = _reach(xp, full), _reach(xp, full.swapaxes(-1, -2)[..., ::-1, ::-1])[..., ::-1]
    kept = fed & read
    # Distinct keys: vertices in use in their order, then the others in theirs.
    inner = xp.where(kept, 0, NUM_VERTICES)[..., 1:OUTPUT] + xp.arange(NUM_INNER)
    order = xp.argsort(inner, axis=-1)
    ends = [xp.zeros_like(order[..., :1]), order + 1, xp.full_like(order[..., :1], OUTPUT)]
    places = xp.concatenate(ends, -1)
    kept = xp.take_along_axis(kept, places, -1)
    rows = xp.take_along_axis(full, places[..., :, None], -2)
    moved = xp.take_along_axis(rows, places[..., None, :], -1)
    kinds = xp.take_along_axis(arch[..., len(EDGES) :], order, -1) + 1
    kinds = xp.where(kept[..., 1:OUTPUT], kinds, ABSENT).astype(np.int32)
    return Pruned(moved & kept[..., :, None] & kept[..., None, :], kinds)


def matrix(arch: Any) -> Any:
    """Adjacency matrices, bool [..., 7, 7], of cells int [..., 26], unpruned; traceable."""
    place = np.full((NUM_VERTICES, NUM_VERTICES), len(EDGES))
    place[_SOURCES, _TARGETS] = np.arange(len(EDGES))
    xp: Any = np if isinstance(arch, np.ndarray) else jnp
    edges = arch[..., : len(EDGES)] > 0
    padded = xp.concatenate([edges, xp.zeros_like(edges[..., :1])], -1)
    return padded[..., place.reshape(-1)].reshape(*arch.shape[:-1], NUM_VERTICES, NUM_VERTICES)


def _reach(xp: Any, full: Any) -> Any:
    """Vertices that vertex 0 reaches, bool [..., 7]."""
    reached = [xp.ones_like(full[..., 0, 0])]
    for target in range(1, NUM_VERTICES):
        reached.append(xp.stack([reached[s] & full[..., s, target] for s in range(target)]).any(0))
    return xp.stack(reached, -1)


def num_edges(pruned: Pruned) -> Any:
    """Edges of pruned cells, int [...]; traceable."""
    return pruned.matrix.sum((-2, -1))


def is_member(arch: Any) -> Any:
    """Whether cells belong to the space: a path, and at most nine edges after pruning; bool [...], traceable."""
    edges = num_edges(prune(arch))
    return (edges > 0) & (edges <= MAX_EDGES)


def branches(pruned: Pruned) -> Any:
    """Inner vertices that the output concatenates, int [...]; traceable."""
    return pruned.matrix[..., 1:OUTPUT, OUTPUT].sum(-1)


def wide(pruned: Pruned, extra: Any) -> Any:
    """Inner vertices that are one channel wider than the others; traceable.

    The output's channels are shared equally among the vertices that it concatenates, and the first ``extra``
    of them get one of the remaining channels each. Any other vertex is as wide as the widest that reads it.

    Args:
      pruned: cells.
      extra: remainder of the output's channels by the number of concatenated vertices, int, or int [...].

    Returns:
      bool [..., 5].
    """
    xp: Any = np if isinstance(pruned.matrix, np.ndarray) else jnp
    ends = pruned.matrix[..., 1:OUTPUT, OUTPUT]
    own = ends & (xp.cumsum(ends, -1) <= xp.asarray(extra)[..., None])
    found: list[Any] = []
    for vertex in range(NUM_INNER, 0, -1):
        read = [pruned.matrix[..., vertex, vertex + 1 + i] & wider for i, wider in enumerate(reversed(found))]
        passed = xp.stack(read).any(0) if read else xp.zeros_like(own[..., 0])
        found.append(xp.where(ends[..., vertex - 1], own[..., vertex - 1], passed))
    return xp.stack(found[::-1], -1)


def widths(pruned: Pruned, channels: int) -> np.ndarray:
    """Channels of the inner vertices of a cell with ``channels`` outputs; 0 for a vertex that is absent.

    Args:
      pruned: cells, NumPy.
      channels: channels of the cell's output.

    Returns:
      int64 [..., 5].
    """
    shared, extra = np.divmod(channels, np.maximum(branches(pruned), 1))
    return np.where(pruned.kinds != ABSENT, shared[..., None] + wide(pruned, extra), 0)


def spec(arch: np.ndarray) -> tuple[list[list[int]], list[str]]:
    """Official form of one pruned cell.

    Args:
      arch: int [26].

    Returns:
      adjacency matrix and operations, ends included; those of the array itself, unpruned, where there is no path.
    """
    pruned = prune(arch)
    if num_edges(pruned) == 0:
        ops = ["input", *(OPS[op] for op in arch[len(EDGES) :]), "output"]
        return matrix(arch).astype(int).tolist(), ops
    kinds = pruned.kinds[pruned.kinds != ABSENT]
    used = [0, *range(1, 1 + len(kinds)), OUTPUT]
    return pruned.matrix[np.ix_(used, used)].astype(int).tolist(), ["input", *(OPS[k - 1] for k in kinds), "output"]


def graph_hash(rows: list[list[int]], ops: list[str]) -> str:
    """Official hash of a graph: equal for isomorphic ones, and the key of the benchmark's tables.

    Every vertex starts from (out-degree, in-degree, label) and takes in the sorted hashes of its neighbours, as
    often as there are vertices; the sorted hashes are hashed at last. Labels: -1 input, -2 output, else the
    operation number.

    Args:
      rows: adjacency matrix, 0 and 1.
      ops: operations, "input" first and "output" last.

    Returns:
      MD5 in hexadecimal digits.
    """
    vertices = range(len(rows))
    labels = [-1, *(OPS.index(op) for op in ops[1:-1]), -2]
    into = [[s for s in vertices if rows[s][v]] for v in vertices]
    out = [[t for t in vertices if rows[v][t]] for v in vertices]
    hashes = [_md5(str((len(out[v]), len(into[v]), labels[v]))) for v in vertices]
    for _ in vertices:
        hashes = [
            _md5("|".join(["".join(sorted(hashes[w] for w in near)) for near in (into[v], out[v])] + [hashes[v]]))
            for v in vertices
        ]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()


def is_valid(arch: np.ndarray) -> tuple[bool, str]:
    """Whether a cell int [26] belongs to the space, and the reason if not."""
    edges = int(num_edges(prune(arch)))
    if edges == 0:
        return False, "no path from input to output"
    if edges > MAX_EDGES:
        return False, f"{edges} edges after pruning, the space allows {MAX_EDGES}"
    return True, ""


def to_graph(arch: np.ndarray) -> Graph:
    """The pruned cell int [26] as a graph whose nodes are operations."""
    rows, ops = spec(arch)
    return Graph(tuple(ops), tuple((a, b) for a, row in enumerate(rows) for b, edge in enumerate(row) if edge))
