"""Populations of architectures as labelled graphs: what the predictor reads.

All graphs of a population lie in arrays of one size, so that splitting, training and ranking index arrays and build no
objects. Node 0.. of a graph need not be used in order: an operation number of -1 marks a place without a node.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasjax.types import Graph, InputError

INPUT, OUTPUT = "input", "output"
ABSENT = -1
SHAPE = ("height", "width", "channels in", "channels out", "stride")


@dataclasses.dataclass(frozen=True, eq=False)
class Graphs:
    """A population of n graphs with at most N nodes each.

    Attributes:
      space: name of the space; a predictor refuses graphs of another.
      vocabulary: labels of nodes; ``ops`` counts in it.
      ops: int32 [n, N], label number of each node, -1 where there is none.
      adjacency: bool [n, N, N], an edge from the first to the second node; acyclic.
      shapes: float32 [n, N, 5], vertex shapes: height and width of the output, channels in and out, stride, each 1 or
        more; 0 where there is no node or the encoder knows none.
      proxies: name -> float64 [n], scores or costs of the whole network; NaN where unknown.
      node_proxies: name -> float64 [n, N], one a node, NaN where unknown.
      dataset: float64 [n, 2], number of classes and of training images, or None.
      encoding: options of the encoder that made the graphs, as pairs of name and value; a predictor refuses graphs of
        others. Empty where the encoder has none.
    """

    space: str
    vocabulary: tuple[str, ...]
    ops: np.ndarray
    adjacency: np.ndarray
    shapes: np.ndarray
    proxies: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    node_proxies: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    dataset: np.ndarray | None = None
    encoding: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Checks labels, edges and sizes."""
        check_ops(self.ops, self.vocabulary)
        count, size = self.ops.shape
        if self.adjacency.shape != (count, size, size) or self.shapes.shape != (count, size, len(SHAPE)):
            raise InputError(
                f"adjacency {list(self.adjacency.shape)} and shapes {list(self.shapes.shape)} for {count} graphs of "
                f"{size} nodes; allowed: [{count}, {size}, {size}] and [{count}, {size}, {len(SHAPE)}]"
            )
        present = self.ops != ABSENT
        if (self.adjacency & ~(present[:, :, None] & present[:, None, :])).any():
            raise InputError("an edge leads to a place without a node; do: remove it, or give the node a label")
        check_acyclic(self.adjacency)

    def __len__(self) -> int:
        """Number of graphs."""
        return len(self.ops)

    @property
    def num_nodes(self) -> int:
        """Places for nodes in each graph."""
        return int(self.ops.shape[1])

    def __getitem__(self, rows: Any) -> Graphs:
        """Some of the graphs, by slice, numbers or mask."""
        rows = np.asarray([rows]) if np.ndim(rows) == 0 and not isinstance(rows, slice) else rows
        return dataclasses.replace(
            self,
            ops=self.ops[rows],
            adjacency=self.adjacency[rows],
            shapes=self.shapes[rows],
            proxies={name: values[rows] for name, values in self.proxies.items()},
            node_proxies={name: values[rows] for name, values in self.node_proxies.items()},
            dataset=None if self.dataset is None else self.dataset[rows],
        )

    def with_proxies(self, proxies: Mapping[str, Any]) -> Graphs:
        """The same graphs with scores of networks, or of their nodes.

        Args:
          proxies: name -> numbers [n], or [n, N] for one a node; NaN where unknown. They replace those of equal name.

        Returns:
          new graphs.

        Raises:
          InputError: a column is of another length.
        """
        whole, nodes = dict(self.proxies), dict(self.node_proxies)
        for name, given in proxies.items():
            values = np.asarray(given, np.float64)
            if values.shape == self.ops.shape:
                nodes[name] = values
            elif values.shape == (len(self),):
                whole[name] = values
            else:
                raise InputError(
                    f"proxy {name!r} has shape {list(values.shape)} for {len(self)} graphs; allowed: [{len(self)}], or "
                    f"{list(self.ops.shape)} for one number a node"
                )
        return dataclasses.replace(self, proxies=whole, node_proxies=nodes)

    def with_dataset(self, *, num_classes: float, num_images: float) -> Graphs:
        """The same graphs with what is known of the images.

        Args:
          num_classes: of the data set.
          num_images: training images of the data set.

        Returns:
          new graphs.

        Raises:
          InputError: a number is below 1.
        """
        facts = np.array([num_classes, num_images], np.float64)
        if not (np.isfinite(facts) & (facts >= 1)).all():
            raise InputError(f"num_classes={num_classes!r}, num_images={num_images!r}; allowed: numbers of at least 1")
        return dataclasses.replace(self, dataset=np.tile(facts, (len(self), 1)))


    def relabelled(self, vocabulary: Sequence[str]) -> Graphs:
        """The same graphs with labels counted in another vocabulary, such as that of more graphs.

        Args:
          vocabulary: labels, among them all that occur here.

        Returns:
          new graphs.

        Raises:
          InputError: a label is not among them.
        """
        known = {label: i for i, label in enumerate(vocabulary)}
        used = [self.vocabulary[i] for i in np.unique(self.ops[self.ops != ABSENT])]
        missing = [label for label in used if label not in known]
        if missing:
            raise InputError(
                f"graphs of {self.space!r} with other labels: {', '.join(missing)} is not among "
                f"{', '.join(vocabulary)}; do: encode both alike, or train on graphs that hold all labels"
            )
        number = np.array([known.get(label, ABSENT) for label in self.vocabulary] + [ABSENT], np.int32)
        return dataclasses.replace(self, vocabulary=tuple(vocabulary), ops=number[self.ops])


def from_graphs(
    graphs: Sequence[Graph],
    *,
    space: str = "custom",
    vocabulary: Sequence[str] | None = None,
    shapes: Sequence[Any] | None = None,
) -> Graphs:
    """Graphs of any kind as a population.

    Args:
      graphs: labelled graphs, as ``space.to_graph`` gives them.
      space: name to know them by.
      vocabulary: all labels there may be; those that occur, sorted, by default.
      shapes: numbers [nodes, 5] of each graph (`SHAPE`), or None where none are known.

    Returns:
      the population.

    Raises:
      InputError: no graph, a label that the vocabulary lacks, an edge to a missing node, a cycle.
    """
    if not graphs:
        raise InputError("no graph is given; allowed: one or more")
    known = tuple(vocabulary) if vocabulary is not None else tuple(sorted({op for g in graphs for op in g.nodes}))
    number = {label: i for i, label in enumerate(known)}
    size = max(len(graph.nodes) for graph in graphs)
    ops = np.full((len(graphs), size), ABSENT, np.int32)
    adjacency = np.zeros((len(graphs), size, size), bool)
    sizes = np.zeros((len(graphs), size, len(SHAPE)), np.float32)
    for row, graph in enumerate(graphs):
        for node, label in enumerate(graph.nodes):
            if label not in number:
                raise InputError(f"graph {row}: unknown operation {label!r}; allowed: {', '.join(known)}; do: add it to"
                                 " the vocabulary")  # fmt: skip
            ops[row, node] = number[label]
        for source, target in graph.edges:
            if not (0 <= source < len(graph.nodes) and 0 <= target < len(graph.nodes)):
                raise InputError(f"graph {row}: edge {source} -> {target} leads outside its {len(graph.nodes)} nodes")
            adjacency[row, source, target] = True
        if shapes is not None:
            sizes[row, : len(graph.nodes)] = np.asarray(shapes[row], np.float32)
    return Graphs(space, known, ops, adjacency, sizes)


def concatenate(parts: Sequence[Graphs]) -> Graphs:
    """One population of several.

    Args:
      parts: populations of one space.

    Returns:
      all graphs in order, with the proxies that all parts have.

    Raises:
      InputError: there is no part, or they are of different spaces.
    """
    if not parts:
        raise InputError("no graphs are given; allowed: one or more populations")
    first = parts[0]
    for part in parts[1:]:
        check_same_space(part, first.space, first.vocabulary, first.encoding)
    size = max(part.num_nodes for part in parts)

    def wide(values: np.ndarray, fill: Any, axes: int = 1) -> np.ndarray:
        room = [(0, 0), *((0, size - n) for n in values.shape[1 : 1 + axes])]
        return np.pad(values, room + [(0, 0)] * (values.ndim - len(room)), constant_values=fill)

    def shared(name: str) -> list[str]:
        return [key for key in getattr(first, name) if all(key in getattr(part, name) for part in parts)]

    return Graphs(
        first.space,
        first.vocabulary,
        np.concatenate([wide(part.ops, ABSENT) for part in parts]),
        np.concatenate([wide(part.adjacency, False, 2) for part in parts]),
        np.concatenate([wide(part.shapes, 0) for part in parts]),
        {name: np.concatenate([part.proxies[name] for part in parts]) for name in shared("proxies")},
        {name: np.concatenate([wide(p.node_proxies[name], np.nan) for p in parts]) for name in shared("node_proxies")},
        None if any(p.dataset is None for p in parts) else np.concatenate([np.asarray(p.dataset) for p in parts]),
        first.encoding,
    )


def as_graphs(given: Any) -> Graphs:
    """What users may give as graphs: a population, or a sequence of them.

    Args:
      given: `Graphs`, or a sequence of `Graphs` of one space.

    Returns:
      the population.

    Raises:
      InputError: it is neither, or of different spaces.
    """
    if isinstance(given, Graphs):
        return given
    if isinstance(given, list | tuple) and all(isinstance(part, Graphs) for part in given):
        return concatenate(given)
    raise InputError(
        f"graphs of type {type(given).__name__}; allowed: what nasjax.grasp.encode(space, archs) gives, or a list of"
        " such; do: encode the architectures first"
    )


def check_same_space(
    graphs: Graphs, space: str, vocabulary: Sequence[str], encoding: Sequence[tuple[str, Any]]
) -> None:
    """Refuses graphs of another space, or encoded in another way.

    Args:
      graphs: what is given.
      space: name that is needed.
      vocabulary: labels that are needed.
      encoding: options of the encoder that are needed.

    Raises:
      InputError: they are of another space, or labelled or encoded in another way.
    """
    if graphs.space != space:
        raise InputError(f"graphs of two spaces: {graphs.space!r} beside {space!r}; allowed: one space; do: train a"
                         " predictor for each")  # fmt: skip
    if tuple(graphs.vocabulary) != tuple(vocabulary):
        raise InputError(
            f"graphs of {space!r} with other labels: {', '.join(graphs.vocabulary)} beside {', '.join(vocabulary)}; "
            "do: encode both alike"
        )
    if tuple(graphs.encoding) != tuple(encoding):
        here, there = (", ".join(f"{k}={v!r}" for k, v in e) or "no options" for e in (graphs.encoding, encoding))
        raise InputError(f"graphs of {space!r} encoded with {here} beside {there}; do: encode both alike")


def check_ops(ops: np.ndarray, vocabulary: Sequence[str]) -> None:
    """Refuses label numbers outside the vocabulary.

    Args:
      ops: int [n, N].
      vocabulary: labels.

    Raises:
      InputError: a number is out of range, or a graph has no node.
    """
    if ops.ndim != 2 or not np.issubdtype(ops.dtype, np.integer):
        raise InputError(f"operations of shape {list(ops.shape)} and type {ops.dtype}; allowed: int [n, N]")
    bad = (ops < ABSENT) | (ops >= len(vocabulary))
    if bad.any():
        row, node = np.argwhere(bad)[0]
        raise InputError(
            f"graph {row}, node {node}: unknown operation number {ops[row, node]}; allowed: 0..{len(vocabulary) - 1} "
            f"({', '.join(vocabulary)}), and -1 for no node"
        )
    empty = np.flatnonzero((ops == ABSENT).all(1))
    if len(empty):
        raise InputError(f"graph {empty[0]} has no node; allowed: one or more; do: leave it out")


def check_acyclic(adjacency: np.ndarray) -> None:
    """Refuses cycles.

    Args:
      adjacency: bool [n, N, N].

    Raises:
      InputError: a graph has a cycle.
    """
    if not np.tril(adjacency).any():
        return  # numbered in topological order
    left = np.ones(adjacency.shape[:2], bool)
    for _ in range(adjacency.shape[1]):
        left &= (adjacency & left[:, :, None]).any(1)  # nodes without a predecessor go
    bad = np.flatnonzero(left.any(1))
    if len(bad):
        raise InputError(
            f"graph {bad[0]} has a cycle (nodes {np.flatnonzero(left[bad[0]]).tolist()}); allowed: directed acyclic "
            "graphs; do: check the direction of its edges"
        )


def depths(adjacency: np.ndarray) -> np.ndarray:
    """Length of the longest path that ends in each node: bool [n, N, N] -> int [n, N]."""
    depth = np.zeros(adjacency.shape[:2], np.int64)
    for _ in range(adjacency.shape[1]):
        reached = np.where(adjacency, depth[:, :, None] + 1, 0).max(1, initial=0)
        if (reached == depth).all():
            break
        depth = reached
    return depth
