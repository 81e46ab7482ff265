"""Networks as a report draws them: nodes, edges and places, small enough to embed hundreds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax.graph_layout import layout
from nasjax.types import Graph, InputError

LIMIT = 3000  # drawings of a report: as many as a chart has points
_EDGES = 30_000  # edges of all drawings, about 450 kB; a graph of a hundred nodes has hundreds


class Drawings(NamedTuple):
    """Networks that a report can draw.

    Attributes:
      graphs: architecture, as the report writes it -> its graph.
      left_out: how many architectures have none, because there were too many.
    """

    graphs: Mapping[str, Graph]
    left_out: int = 0


def drawings(space: Any, archs: Iterable[str], *, limit: int = LIMIT) -> Drawings:
    """Collects the graphs of architectures.

    Args:
      space: search space, whose ``decode`` reads the architectures and whose ``to_graph`` draws them; None draws none.
      archs: official encodings, the most important first; repeated ones count once.
      limit: most drawings.

    Returns:
      The drawings. An architecture that the space cannot read or draw, such as an invalid one, has none.
    """
    names = list(dict.fromkeys(archs))
    graphs: dict[str, Graph] = {}
    edges = 0
    if space is None:
        return Drawings({}, 0)
    for place, name in enumerate(names):
        if len(graphs) >= limit or edges > _EDGES:
            return Drawings(graphs, len(names) - place)
        try:
            graph = space.to_graph(space.decode([name])[0])
        except InputError:
            continue
        graphs[name] = graph
        edges += len(graph.edges)
    return Drawings(graphs)


def embedded(shown: Drawings, archs: Sequence[str]) -> dict[str, Any]:
    """The drawings as the page's script reads them.

    Args:
      shown: the drawings.
      archs: architectures of the page; a drawing is found by the position of its architecture.

    Returns:
      "labels": texts of nodes; "graphs": position -> numbers of labels, edges as pairs in one list, x and y.
    """
    labels: dict[str, int] = {}
    graphs: dict[str, Any] = {}
    for number, arch in enumerate(archs):
        graph = shown.graphs.get(arch)
        if graph is None:
            continue
        x, y = layout(graph)
        graphs[str(number)] = {
            "n": [labels.setdefault(label, len(labels)) for label in graph.nodes],
            "e": [int(node) for edge in graph.edges for node in edge],
            "x": np.round(x - x.min(), 2).tolist(),
            "y": np.round(y.max() - y, 2).tolist(),
        }
    return {"labels": list(labels), "graphs": graphs}
