"""Architectures of the search spaces as graphs with vertex shapes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from nasjax.grasp.graphs import ABSENT, INPUT, OUTPUT, SHAPE, Graphs, from_graphs
from nasjax.types import InputError


@dataclasses.dataclass(frozen=True)
class EncodeConfig:
    """How architectures become graphs. The paper's description leaves all of this open.

    Attributes:
      drop_dead: leave out operations that lead nowhere or are fed by nothing (NAS-Bench-201; BRP-NAS does so, too).
        NAS-Bench-101 prunes by its own definition.
      skip: "node" keeps ``skip_connect`` as an operation, "contract" turns it into an edge, as BRP-NAS does
        (NAS-Bench-201).
    """

    drop_dead: bool = True
    skip: str = "node"

    def __post_init__(self) -> None:
        """Checks the options."""
        if not isinstance(self.drop_dead, bool):
            raise InputError(f"drop_dead={self.drop_dead!r}; allowed: True and False")
        if self.skip not in ("node", "contract"):
            raise InputError(f"skip={self.skip!r}; allowed: 'node', 'contract'")


def encode(space: Any, archs: Any, *, config: EncodeConfig | None = None) -> Graphs:
    """Encodes a population.

    The shapes are those of the space's options (image size, channels), so that a predictor sees a change of resolution
    when it is moved to another data set. Spaces without an encoder of their own give their ``to_graph`` without shapes.

    Args:
      space: search space.
      archs: population of the space, or official encodings.
      config: how; the defaults of `EncodeConfig`.

    Returns:
      the graphs, in order.

    Raises:
      InputError: an encoding is none of the space.
    """
    config = config or EncodeConfig()
    if isinstance(archs, str) or (isinstance(archs, list | tuple) and any(isinstance(a, str) for a in archs)):
        archs = space.decode([archs] if isinstance(archs, str) else list(archs))
    own = _ENCODERS.get(space.name)
    if own is not None:
        return own(space, archs, config)
    return generic(space, archs)


def generic(space: Any, archs: Any) -> Graphs:
    """Graphs of a space as its ``to_graph`` draws them, without shapes.

    Args:
      space: search space.
      archs: population, a pytree of arrays [n, ...].

    Returns:
      the graphs. Labels are those that occur: encode all architectures that are to be compared at once.
    """
    return from_graphs([space.to_graph(arch) for arch in each(archs)], space=space.name)


def each(archs: Any) -> list[Any]:
    """The architectures of a population one by one, as NumPy arrays."""
    import jax

    leaves, tree = jax.tree.flatten(archs)
    arrays = [np.asarray(leaf) for leaf in leaves]
    return [jax.tree.unflatten(tree, [array[i] for array in arrays]) for i in range(len(arrays[0]))]


def nasbench201(space: Any, archs: Any, config: EncodeConfig) -> Graphs:
    """Cells of NAS-Bench-201: input, the six edges' operations, output; shapes of the first stage."""
    from nasjax.spaces import cell201_codec as codec
    from nasjax.spaces import dag

    cells = codec.check_arch(np.asarray(archs).reshape(-1, dag.NUM_EDGES))
    vocabulary = (INPUT, *codec.OPS[1:], OUTPUT)
    last = dag.NUM_EDGES + 1
    links = np.zeros((last + 1, last + 1), bool)
    for edge, (source, target) in enumerate(dag.EDGES, start=1):
        links[0, edge] = source == 0
        links[edge, last] = target == 3
        for other, (start, _) in enumerate(dag.EDGES, start=1):
            links[edge, other] = target == start
    used = cells != 0
    if config.drop_dead:
        used &= dag.live_edges(cells)
    ops = np.full((len(cells), last + 1), ABSENT, np.int32)
    ops[:, 0], ops[:, last] = 0, len(vocabulary) - 1
    ops[:, 1:last] = np.where(used, cells, ABSENT)  # operation k of the space is label k: "none" has none
    present = ops != ABSENT
    adjacency = links & present[:, :, None] & present[:, None, :]
    if config.skip == "contract":
        ops, adjacency = _contract(ops, adjacency, vocabulary.index("skip_connect"))
    size, channels = float(space.image_size), float(space.channels)
    shapes = np.where((ops != ABSENT)[..., None], np.array([size, size, channels, channels, 1.0]), 0.0)
    options = tuple(dataclasses.asdict(config).items())
    return Graphs(space.name, vocabulary, ops, adjacency, shapes.astype(np.float32), encoding=options)


def nasbench101(space: Any, archs: Any, config: EncodeConfig) -> Graphs:
    """Cells of NAS-Bench-101, pruned; widths of the first stack, which differ from vertex to vertex."""
    from nasjax.spaces import cell101_graph as graph

    cells = np.asarray(archs).reshape(-1, graph.LENGTH)
    pruned = graph.prune(cells)
    vocabulary = (INPUT, *graph.OPS, OUTPUT)
    inner = np.where(pruned.kinds == graph.ABSENT, ABSENT, pruned.kinds)  # kind k is label k
    ends = np.zeros((len(cells), 1), np.int32)
    ops = np.concatenate([ends, inner, ends + len(vocabulary) - 1], 1).astype(np.int32)
    channels = float(space.channels)
    width = np.concatenate([ends + channels, graph.widths(pruned, space.channels), ends + channels], 1)
    # A vertex that reads the input projects it; others pass on their own width.
    reads = np.where(pruned.matrix[:, 0], channels, width)
    shapes = np.stack([np.full(ops.shape, float(space.image_size))] * 2 + [reads, width, np.ones(ops.shape)], -1)
    shapes[ops == ABSENT] = 0
    return Graphs(space.name, vocabulary, ops, np.asarray(pruned.matrix, bool), shapes.astype(np.float32))


def darts(space: Any, archs: Any, config: EncodeConfig) -> Graphs:
    """Both cells of DARTS in one graph: the operations of the reduction cell have labels of their own.

    The shapes are those of a normal cell before and a reduction cell at the first reduction: the latter halves the
    image and doubles the channels, its edges from the cell's inputs with stride 2.
    """
    from nasjax.spaces import darts_codec as codec

    cells = np.asarray(archs).reshape(-1, codec.LENGTH)
    for row in cells:
        codec.check(row)
    names, sources = codec.parts(cells)
    vocabulary = tuple(
        f"{cell}:{label}" for cell in codec.CELLS for label in ("c_{k-2}", "c_{k-1}", *codec.OPS[1:], OUTPUT)
    )
    half, room = len(vocabulary) // 2, codec.NUM_EDGES + 3
    ops = np.full((len(cells), 2 * room), ABSENT, np.int32)
    adjacency = np.zeros((len(cells), 2 * room, 2 * room), bool)
    shapes = np.zeros((*ops.shape, len(SHAPE)))
    size, channels = float(space.image_size), float(space.channels)
    for number in range(len(codec.CELLS)):
        start, kept, source = number * room, names[:, number] != codec.NONE, sources[:, number]
        last, label = start + room - 1, number * half
        ops[:, start], ops[:, start + 1], ops[:, last] = label, label + 1, label + half - 1
        ops[:, start + 2 : last] = np.where(kept, label + 1 + names[:, number], ABSENT)
        adjacency[:, start + 2 : last, last] = kept
        for edge in range(codec.NUM_EDGES):
            for before in (0, 1):
                adjacency[:, start + before, start + 2 + edge] = kept[:, edge] & (source[:, edge] == before)
            for other in range(codec.NUM_EDGES):
                reads = source[:, edge] == codec.TARGETS[other]
                adjacency[:, start + 2 + other, start + 2 + edge] = kept[:, edge] & kept[:, other] & reads
        scale = float(1 + number)
        shapes[:, start : last + 1] = [size / scale, size / scale, channels * scale, channels * scale, 1]
        shapes[:, start : start + 2] = [size, size, channels, channels, 1]
        if number:
            shapes[:, start + 2 : last, 4] = np.where(source < 2, 2, 1)
    shapes[ops == ABSENT] = 0
    return Graphs(space.name, vocabulary, ops, adjacency, shapes.astype(np.float32))


def kronecker(space: Any, archs: Any, config: EncodeConfig) -> Graphs:
    """Whole networks of the Kronecker space: vertices that lie on a path, each with its own shape.

    JSON goes in through ``space.decode``.
    """
    from nasjax.spaces import kronecker_codec as codec

    rows = each(archs)
    shapes = [space.vertex_shapes(arch) for arch in rows]
    vocabulary = (INPUT, *codec.OPS, OUTPUT)
    return from_graphs([space.to_graph(a) for a in rows], space=space.name, vocabulary=vocabulary, shapes=shapes)


def _contract(ops: np.ndarray, adjacency: np.ndarray, skip: int) -> tuple[np.ndarray, np.ndarray]:
    """Replaces nodes of one operation by edges from all that they read to all that read them."""
    ops, adjacency = ops.copy(), adjacency.copy()
    for node in range(ops.shape[1]):
        here = ops[:, node] == skip
        bridged = adjacency[:, :, node, None] & adjacency[:, node, None, :]
        adjacency |= bridged & here[:, None, None]
        adjacency[here, node, :] = adjacency[here, :, node] = False
        ops[here, node] = ABSENT
    return ops, adjacency


_ENCODERS: dict[str, Callable[[Any, Any, EncodeConfig], Graphs]] = {
    "nasbench201": nasbench201,
    "nasbench101": nasbench101,
    "darts": darts,
    "kronecker": kronecker,
}
