"""Architectures of the Kronecker space as integers and as JSON.

An architecture is int32 [1 + N (N - 1) / 2 + R N] for at most N vertices a block: the number n of vertices; the edges
of the wiring by target, (0, 1), (0, 2), (1, 2), (0, 3), ...; and the operations, one row of N for all blocks (R = 1) or
one for each (R = number of blocks). Places of vertices that are not there are 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nasjax.spaces.checks import shown
from nasjax.spaces.kronecker_graph import canonical_order, is_connected
from nasjax.types import InputError

OPS: tuple[str, ...] = ("conv3x3", "conv1x1", "maxpool3x3", "identity")
KERNEL, CENTRE, POOL, IDENTITY = range(len(OPS))
ABSENT = len(OPS)
EXAMPLE = '\'{"vertices":2,"edges":[[0,1]],"ops":["conv3x3","identity"]}\''


class Form(NamedTuple):
    """What fixes the arrays of architectures.

    Attributes:
      least: fewest vertices of a block.
      most: most vertices of a block, N.
      rows: rows of operations, 1 or the number of blocks.
    """

    least: int
    most: int
    rows: int

    @property
    def num_edges(self) -> int:
        """Places for edges."""
        return self.most * (self.most - 1) // 2

    @property
    def length(self) -> int:
        """Length of an architecture."""
        return 1 + self.num_edges + self.rows * self.most


class Parts(NamedTuple):
    """An architecture, or a population with leading axes, taken apart.

    Attributes:
      count: int [...], vertices of a block.
      there: bool [..., N], which vertices there are.
      wiring: bool [..., N, N], strictly upper triangular.
      ops: int [..., R, N]; 0 for vertices that are not there.
    """

    count: Any
    there: Any
    wiring: Any
    ops: Any


def edge_list(most: int) -> list[tuple[int, int]]:
    """Pairs (source, target) in the order of an architecture's places."""
    return [(a, b) for b in range(most) for a in range(b)]


def parts(xp: Any, form: Form, arch: Any) -> Parts:
    """Takes architectures int [..., L] apart; traceable."""
    n = form.most
    place = np.full((n, n), form.num_edges)
    for i, (a, b) in enumerate(edge_list(n)):
        place[a, b] = i
    edges = arch[..., 1 : 1 + form.num_edges] > 0
    edges = xp.concatenate([edges, xp.zeros((*edges.shape[:-1], 1), bool)], -1)
    lead = arch.shape[:-1]
    there = xp.arange(n).reshape((1,) * len(lead) + (n,)) < arch[..., :1]
    wiring = edges[..., place.reshape(-1)].reshape(*lead, n, n)
    return Parts(arch[..., 0], there, wiring, arch[..., 1 + form.num_edges :].reshape(*lead, form.rows, n))


def join(xp: Any, form: Form, count: Any, edges: Any, ops: Any) -> Any:
    """An architecture out of a count, edges int [E] and operations int [R, N]; what lies beyond the count is cut."""
    targets = np.array([b for _, b in edge_list(form.most)], np.int32)
    own_edges = xp.where(targets < count, edges, 0)
    own_ops = xp.where((xp.arange(form.most) < count)[None], ops, 0)
    pieces = [xp.reshape(xp.asarray(count), (1,)), own_edges, own_ops.reshape(-1)]
    return xp.concatenate([piece.astype(np.int32) for piece in pieces])


def make(form: Form, wiring: np.ndarray, ops: np.ndarray) -> np.ndarray:
    """An architecture int32 [L] out of a wiring bool [n, n] and operations int [R, n]."""
    n = len(wiring)
    edges = np.zeros(form.num_edges, np.int32)
    for i, (a, b) in enumerate(edge_list(n)):
        edges[i] = wiring[a, b]
    padded = np.zeros((form.rows, form.most), np.int32)
    padded[:, :n] = ops
    return np.asarray(join(np, form, np.int32(n), edges, padded))


def check(form: Form, arch: Any) -> np.ndarray:
    """An architecture as int32 [L].

    Raises:
      InputError: it is none.
    """
    arch = np.asarray(arch)
    where = f"kronecker: {shown(arch.tolist())} is no architecture"
    if arch.shape != (form.length,) or not np.issubdtype(arch.dtype, np.integer):
        raise InputError(f"{where}; allowed: {form.length} integers for at most {form.most} vertices a block")
    count = int(arch[0])
    if not form.least <= count <= form.most:
        raise InputError(f"{where}: {count} vertices; allowed: {form.least} to {form.most}; do: another max_vertices")
    own = parts(np, form, arch)
    if not np.isin(arch[1 : 1 + form.num_edges], (0, 1)).all() or not np.isin(own.ops, range(len(OPS))).all():
        raise InputError(f"{where}; allowed: edges 0 or 1, operations 0 to {len(OPS) - 1} ({', '.join(OPS)})")
    if (join(np, form, own.count, arch[1 : 1 + form.num_edges], own.ops) != arch).any():
        raise InputError(f"{where}: places beyond its {count} vertices are not 0; do: set them to 0")
    if not is_connected(np, own.wiring, own.there):
        raise InputError(f"{where}: the wiring of a block falls apart; allowed: weakly connected ones; do: add edges")
    return arch.astype(np.int32)


def to_dict(form: Form, arch: np.ndarray) -> dict[str, Any]:
    """Vertices, edges and operations of an architecture, as JSON has them."""
    own = parts(np, form, np.asarray(arch))
    n = int(own.count)
    rows = [[OPS[op] for op in row[:n]] for row in own.ops.tolist()]
    edges = [[a, b] for a, b in edge_list(n) if own.wiring[a, b]]
    return {"vertices": n, "edges": sorted(edges), "ops": rows[0] if form.rows == 1 else rows}


def encode(form: Form, arch: np.ndarray) -> str:
    """An architecture as JSON without blanks."""
    return json.dumps(to_dict(form, arch), separators=(",", ":"))


def decode(form: Form, encoding: Any, facts: Mapping[str, Any]) -> np.ndarray:
    """An architecture out of JSON, a dictionary of that form, or an array.

    Args:
      form: see `Form`.
      encoding: what to read. Keys beyond "vertices", "edges" and "ops" must be among ``facts``.
      facts: what a specification may also say about the space; it must say the same.

    Returns:
      int32 [L].

    Raises:
      InputError: a part is malformed, contradicts the space, or is no part at all.
    """
    if hasattr(encoding, "__array__") and np.ndim(encoding):
        return check(form, encoding)
    if isinstance(encoding, list | tuple):
        return check(form, np.asarray(encoding))
    given = json.loads(encoding) if isinstance(encoding, str | bytes) else encoding
    where = f"kronecker: {shown(encoding)}"
    if not isinstance(given, Mapping) or not {"vertices", "edges", "ops"} <= set(given):
        raise InputError(f"{where} lacks vertices, edges or ops; do: write it like {EXAMPLE}")
    for key in set(given) - {"vertices", "edges", "ops"}:
        if key not in facts:
            raise InputError(f"{where} has a part {key!r}; allowed: vertices, edges, ops, {', '.join(facts)}")
        if given[key] != facts[key]:
            raise InputError(
                f"{where} is of another space: {key} is {given[key]!r}, here {facts[key]!r}; "
                f"do: make the space with that {key}"
            )
    count, ops = given["vertices"], given["ops"]
    if not isinstance(count, int) or isinstance(count, bool) or not form.least <= count <= form.most:
        raise InputError(
            f"{where}: {count!r} vertices; allowed: {form.least} to {form.most}; do: a space with another max_vertices"
        )
    rows = [ops] if form.rows == 1 else ops
    if len(rows) != form.rows or any(isinstance(row, str) or len(row) != count for row in rows):
        one = f"{count} operations" if form.rows == 1 else f"{form.rows} rows, one a block, of {count} operations"
        raise InputError(f"{where}; allowed for ops: {one}")
    for op in (op for row in rows for op in row):
        if op not in OPS:
            raise InputError(f"{where}: operation {op!r}; allowed: {', '.join(OPS)}")
    wiring = np.zeros((count, count), bool)
    for a, b in given["edges"]:
        if not all(isinstance(v, int) for v in (a, b)) or not 0 <= a < b < count:
            raise InputError(
                f"{where}: edge {a!r} -> {b!r}; allowed: from a lower to a higher number below {count}, so that there "
                "is no cycle; do: number the vertices in a topological order"
            )
        wiring[a, b] = True
    return check(form, make(form, wiring, np.array([[OPS.index(op) for op in row] for row in rows])))


def canonical(form: Form, arch: np.ndarray) -> np.ndarray:
    """The isomorphic architecture that all its like share."""
    own = parts(np, form, np.asarray(arch))
    n = int(own.count)
    wiring, ops = own.wiring[:n, :n], own.ops[:, :n]
    order = canonical_order(wiring, [tuple(column) for column in ops.T.tolist()])
    return make(form, wiring[np.ix_(order, order)], ops[:, order])
