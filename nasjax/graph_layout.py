"""Where the nodes of a drawn network stand."""

from __future__ import annotations

import collections

import numpy as np

from nasjax.types import Graph

ROWS = 18  # layers of a drawn network before a new column begins


def layout(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Where nodes stand.

    Args:
      graph: directed acyclic graph, nodes in topological order.

    Returns:
      x and y, float [nodes], in widths and heights of a node; a target is below its sources, or in a later column.
    """
    number = len(graph.nodes)
    depth, part = np.zeros(number, int), np.arange(number)
    sources: list[list[int]] = [[] for _ in range(number)]
    for source, target in sorted(graph.edges):
        depth[target] = max(depth[target], depth[source] + 1)
        sources[target].append(source)
    for source, target in graph.edges:
        part[part == part[target]] = part[source]
    x, y, left = np.zeros(number), np.zeros(number), 0.0
    for own in dict.fromkeys(part.tolist()):
        members = np.flatnonzero(part == own)
        for column in range(depth[members].max() // ROWS + 1):
            inside = members[depth[members] // ROWS == column]
            layers = collections.defaultdict(list)
            for node in inside:
                layers[int(depth[node])].append(int(node))
            wide = max(len(nodes) for nodes in layers.values())
            for level, nodes in sorted(layers.items()):
                nodes.sort(key=lambda node: float(np.mean([x[s] for s in sources[node]] or [0.0])))
                for place, node in enumerate(nodes):
                    x[node] = left + wide / 2 + place - (len(nodes) - 1) / 2
                    y[node] = -(level % ROWS)
            left += wide + 0.5
    return x, y
