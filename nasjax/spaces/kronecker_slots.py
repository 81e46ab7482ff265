"""Weight layers of a Kronecker network, its rectifiers, costs, and the shapes of its vertices."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from nasjax.spaces.base import depth_bin
from nasjax.spaces.kronecker_codec import CENTRE, KERNEL, OPS
from nasjax.spaces.kronecker_params import interleaved
from nasjax.spaces.kronecker_plan import Sizes, Wiring
from nasjax.spaces.slots import layer_table
from nasjax.types import Array, Graph, LayerTable

_NUM_BINS = 10


def layer_names(sizes: Sizes) -> tuple[str, ...]:
    """Names of the slots of layers: "stem", "block{b}.vertex{u}", "block{b}.vertex{u}.project", "head"."""
    n, names = sizes.form.most, ["stem"]
    for s in range(sizes.num_stages):
        vertex = np.array([f"block{b}.vertex{u}" for b in sizes.blocks_of(s) for u in range(n)], object)
        project = None
        if len(sizes.reading(s)):
            project = np.array([f"{vertex[slot]}.project" for slot in sizes.slots_of(sizes.reading(s))], object)
        names += interleaved(sizes, s, vertex, project, np).tolist()
    return (*names, "head")


def layers(sizes: Sizes, graph: Wiring) -> LayerTable:
    """The weight layers of an architecture; traceable."""
    one = jnp.ones(1, bool)
    active = [one]
    for s in range(sizes.num_stages):
        ops, cross = jnp.asarray(graph.ops[s]), graph.cross[s]
        convolves = (ops == KERNEL) | (ops == CENTRE)
        active.append(interleaved(sizes, s, convolves, None if cross is None else jnp.asarray(cross).any(0)))
    return layer_table(layer_names(sizes), jnp.concatenate([*active, one]))


def site_calls(sizes: Sizes, graph: Wiring) -> dict[str, Array]:
    """Activation calls by site and depth-percentile bin.

    Every vertex begins with a rectifier, whatever its operation. It belongs to the bin of the number of weight layers
    before it.

    Returns:
      "stage{s}/vertex": int32 [V, 10]; with a rectifier in the head "head": int32 [10].
    """
    table = layers(sizes, graph)
    names = {name: i for i, name in enumerate(table.names)}
    before = jnp.cumsum(table.active.astype(jnp.int32)) - table.active.astype(jnp.int32)
    bins = depth_bin(before, table.depth)
    hot = (bins[:, None] == jnp.arange(_NUM_BINS)[None]).astype(jnp.int32)
    calls = {}
    for s in range(sizes.num_stages):
        places = [names[f"block{b}.vertex{u}"] for b in sizes.blocks_of(s) for u in range(sizes.form.most)]
        calls[f"stage{s}/vertex"] = hot[np.array(places)] * jnp.asarray(graph.live[s])[:, None].astype(jnp.int32)
    if sizes.head_relu:
        calls["head"] = hot[-1]
    return calls


def _counts(sizes: Sizes, graph: Wiring) -> list[dict[str, Any]]:
    """How many kernels, pointwise convolutions, projections, vertices and merges each stage has: ints [...]."""
    found = []
    for s in range(sizes.num_stages):
        ops, cross = graph.ops[s], graph.cross[s]
        zero = np.zeros(ops.shape[:-1], np.int64)
        found.append(
            {
                "kernel": (ops == KERNEL).sum(-1),
                "centre": (ops == CENTRE).sum(-1),
                "project": zero if cross is None else cross.any(-2).sum(-1),
                "vertices": graph.live[s].sum(-1),
                "merges": graph.same[s].sum((-2, -1)) + (zero if cross is None else cross.sum((-2, -1))),
            }
        )
    return found


def num_params(sizes: Sizes, graph: Wiring) -> Any:
    """Trainable parameters, int64 [...]: kernels, norms, a merge weight an edge, projections, classifier; exact."""
    c, top = sizes.channels, sizes.outs(sizes.num_stages - 1)
    total = 9 * sizes.in_channels * c + 2 * c + (top + 1) * sizes.num_classes
    for s, own in enumerate(_counts(sizes, graph)):
        c = sizes.outs(s)
        total = total + (9 * own["kernel"] + own["centre"]) * c * c + 2 * c * own["vertices"] + own["merges"]
        total = total + own["project"] * sizes.outs(max(s - 1, 0)) * c
    return total


def macs(sizes: Sizes, graph: Wiring, image: int) -> Any:
    """Multiply-adds of convolutions and the classifier for one image, int64 [...]; exact."""
    top = sizes.outs(sizes.num_stages - 1)
    total = 9 * sizes.in_channels * sizes.channels * (image // sizes.stem_stride) ** 2 + top * sizes.num_classes
    for s, own in enumerate(_counts(sizes, graph)):
        c = sizes.outs(s)
        kernels = (9 * own["kernel"] + own["centre"]) * c * c + own["project"] * sizes.outs(max(s - 1, 0)) * c
        total = total + kernels * sizes.side(s, image) ** 2
    return total


def to_graph(sizes: Sizes, graph: Wiring) -> tuple[Graph, np.ndarray, np.ndarray]:
    """The live vertices of one architecture between an input and an output.

    Returns:
      the graph, whose nodes are "input", operations, "output"; slot of each operation, int [k]; its stage, int [k].
    """
    v = sizes.slots
    live = np.concatenate(graph.live)
    slots = np.flatnonzero(live)
    number = {slot: i for i, slot in enumerate(slots.tolist(), start=1)}
    output = len(slots) + 1
    edges = [(0, number[slot]) for slot in np.flatnonzero(graph.starts).tolist()]
    for s in range(sizes.num_stages):
        edges += [(number[a + s * v], number[b + s * v]) for a, b in np.argwhere(graph.same[s]).tolist()]
        if graph.cross[s] is not None:
            froms = (s - 1) * v + sizes.slots_of(sizes.read(s - 1))
            to = s * v + sizes.slots_of(sizes.reading(s))
            edges += [(number[int(froms[a])], number[int(to[b])]) for a, b in np.argwhere(graph.cross[s]).tolist()]
    last = (sizes.num_stages - 1) * v
    edges += [(number[last + slot], output) for slot in np.flatnonzero(graph.ends).tolist()]
    ops = np.concatenate(graph.ops)[slots].tolist()
    return Graph(("input", *(OPS[op] for op in ops), "output"), tuple(sorted(edges))), slots, slots // v


def vertex_shapes(sizes: Sizes, graph: Wiring, image: int) -> np.ndarray:
    """Shapes at the nodes of `to_graph`: int64 [nodes, 5].

    Returns:
      height and width of the output, input channels, output channels, stride. A vertex that reads the stage before
      has its channels in, and stride 2; the input node is the stem, the output node the classifier.
    """
    _, slots, stages = to_graph(sizes, graph)
    rows = [(image // sizes.stem_stride,) * 2 + (sizes.in_channels, sizes.channels, sizes.stem_stride)]
    for slot, s in zip(slots.tolist(), stages.tolist(), strict=True):
        side, cross = sizes.side(s, image), graph.cross[s]
        local = sizes.slots_of(sizes.reading(s)).tolist()
        place = slot - s * sizes.slots
        halves = cross is not None and place in local and bool(cross[:, local.index(place)].any())
        rows.append((side, side, sizes.outs(s - 1) if halves else sizes.outs(s), sizes.outs(s), 1 + halves))
    rows.append((1, 1, sizes.outs(sizes.num_stages - 1), sizes.num_classes, 1))
    return np.array(rows, np.int64)
