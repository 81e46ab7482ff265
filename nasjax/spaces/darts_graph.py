"""Structure of DARTS architectures: what the output depends on, isomorphism, the cells as a graph, neighbours."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from nasjax.spaces.darts_codec import CELLS, NONE, NUM_EDGES, OPS, TARGETS, check, join, parts
from nasjax.types import Graph

_Cell = tuple[tuple[int, int], ...]  # (operation, source) of each edge
NO_PATH = "no path from the images to the output"


def cells_of(arch: Any) -> list[_Cell]:
    """Both cells of a checked architecture int [32]."""
    ops, sources = parts(check(np.asarray(arch)))
    both = zip(ops.tolist(), sources.tolist(), strict=True)
    return [tuple(zip(*cell, strict=True)) for cell in both]


def depends(cell: _Cell) -> tuple[bool, bool]:
    """Whether the output of a cell depends on its first and on its second input."""
    found = []
    for start in (0, 1):
        reached = {start}
        for (op, source), target in zip(cell, TARGETS.tolist(), strict=True):
            if op != NONE and source in reached:
                reached.add(target)
        found.append(len(reached) > 1)
    return found[0], found[1]


def is_valid(arch: Any, reductions: list[bool]) -> tuple[bool, str]:
    """Whether the output depends on the images.

    Args:
      arch: int [32].
      reductions: of each cell of the network, whether it is a reduction cell.

    Returns:
      answer, and the reason if not.
    """
    normal, reduce = (depends(cell) for cell in cells_of(arch))
    return reaches(normal, reduce, reductions)


def reaches(normal: tuple[bool, bool], reduce: tuple[bool, bool], reductions: list[bool]) -> tuple[bool, str]:
    """Whether the output depends on the images, by which inputs the output of either kind of cell depends on."""
    before, last = True, True
    for reduction in reductions:
        first, second = reduce if reduction else normal
        before, last = last, (first and before) or (second and last)
    return last, "" if last else NO_PATH


def canonical(arch: Any) -> str:
    """Text shared by architectures that differ in the order of their edges and nodes alone.

    Every node is part of the output, so the nodes may be renamed in any way that keeps edges leading forwards, and
    the two edges of a node swapped. Where an edge ``none`` comes from does not matter.
    """
    return "|".join(f"{name}:{_text(cell)}" for name, cell in zip(CELLS, cells_of(arch), strict=True))


@functools.lru_cache(maxsize=4096)
def _text(cell: _Cell) -> str:
    nodes = [cell[i : i + 2] for i in range(0, NUM_EDGES, 2)]
    best = None
    for order in itertools.permutations(range(len(nodes))):
        place = {0: 0, 1: 1} | {2 + node: 2 + rank for rank, node in enumerate(order)}
        renamed = []
        for rank, node in enumerate(order):
            own = sorted((op, 0 if op == NONE else place[source]) for op, source in nodes[node])
            if any(source >= 2 + rank for _, source in own):
                break
            renamed.append(own)
        else:
            best = renamed if best is None or renamed < best else best
    assert best is not None  # the identity always fits
    return "+".join(",".join(f"{OPS[op]}~{source}" for op, source in own) for own in best)


def to_graph(arch: Any) -> Graph:
    """Both cells side by side as a graph whose nodes are operations.

    Returns:
      for each cell in turn the nodes ``c_{k-2}`` and ``c_{k-1}`` (its inputs), one for each edge whose operation is
      not ``none``, and ``output``.
    """
    labels: list[str] = []
    links: list[tuple[int, int]] = []
    for cell in cells_of(arch):
        start = len(labels)
        kept = [e for e, (op, _) in enumerate(cell) if op != NONE]
        number = {e: start + 2 + place for place, e in enumerate(kept)}
        output = start + 2 + len(kept)
        labels += ["c_{k-2}", "c_{k-1}", *(OPS[cell[e][0]] for e in kept), "output"]
        for e in kept:
            source = cell[e][1]
            if source < 2:
                links.append((start + source, number[e]))
            else:
                links += [(number[other], number[e]) for other in kept if TARGETS[other] == source]
            links.append((number[e], output))
    return Graph(tuple(labels), tuple(sorted(links)))


def neighbours(arch: Any) -> np.ndarray:
    """Architectures that differ in one operation, or in where one edge comes from: int32 [n, 32].

    As in NAS-Bench-301 the new operation is never ``none``, and the two edges of a node come from different nodes.
    """
    ops, sources = parts(check(np.asarray(arch)))
    found = []
    for c, e in itertools.product(range(2), range(NUM_EDGES)):
        for op in range(1, len(OPS)):
            if op != ops[c, e]:
                changed = ops.copy()
                changed[c, e] = op
                found.append(join(changed, sources))
        for source in range(TARGETS[e]):
            if source not in (sources[c, e], sources[c, e ^ 1]):
                changed = sources.copy()
                changed[c, e] = source
                found.append(join(ops, changed))
    return np.stack(found)
