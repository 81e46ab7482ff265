"""Weight layers and rectifiers of the DARTS supernet: names, which are there, sums, activation calls.

In a cell come both entering convolutions and then the edges in the order of `nasjax.spaces.darts_supernet.EDGES`, on
each edge the operations in their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_params as parameters
from nasjax.spaces import darts_stem as stem
from nasjax.spaces import slots
from nasjax.spaces.darts_ops import SEPARABLE
from nasjax.spaces.darts_plan import Segment, Sizes
from nasjax.spaces.darts_slots import entry_names
from nasjax.spaces.darts_supernet import EDGES, FROM_INPUTS, KINDS, held_weights
from nasjax.types import Array, LayerTable, PyTree

_LAYERS = ("op.1", "op.2", "op.5", "op.6")  # depthwise and pointwise convolution of both halves
_SKIPS = ("skip_connect.conv_1", "skip_connect.conv_2")
_HALVES = np.array([[True, op in SEPARABLE] for op in KINDS])  # [4, 2]
_SECOND = tuple(KINDS.index(op) for op in SEPARABLE)
_READ = 5  # nodes that an edge may read


def _parts(segment: Segment) -> tuple[str, ...]:
    """Slots of an edge."""
    kinds = tuple(f"{codec.OPS[op]}.{layer}" for op in KINDS for layer in _LAYERS)
    return (*_SKIPS, *kinds) if segment.reduction else kinds


def layer_names(sizes: Sizes) -> tuple[str, ...]:
    """Slot names in forward order."""
    names = [conv.name for conv in stem.convs(sizes)]
    for segment in sizes.segments():
        edges = [f"edges.{s}>{t}.{part}" for s, t in EDGES for part in _parts(segment)]
        for c, number in enumerate(segment.cells):
            first, second = entry_names(segment, c)
            names += [f"cells.{number}.{name}" for name in (*first, *second, *edges)]
    return (*names, "classifier")


def _from_inputs() -> np.ndarray:
    return np.isin(np.arange(len(EDGES)), FROM_INPUTS)


def layer_table(sizes: Sizes, mask: Array) -> LayerTable:
    """The weight layers, one row a slot; ``mask`` [2, 14, 8], an operation is there where it is not zero."""
    one = lambda n: jnp.ones(n, bool)  # noqa: E731
    active = [one(len(stem.convs(sizes)))]
    for segment in sizes.segments():
        alive = mask[int(segment.reduction)] != 0
        kinds = alive[:, np.array(KINDS), None, None] & jnp.asarray(_HALVES)[None, :, :, None]
        edges = jnp.broadcast_to(kinds, (len(EDGES), len(KINDS), 2, 2)).reshape(len(EDGES), -1)
        if segment.reduction:
            skip = alive[:, codec.SKIP] & jnp.asarray(_from_inputs())
            edges = jnp.concatenate([jnp.stack([skip, skip], -1), edges], -1)
        for c in range(len(segment.cells)):
            active += [one(sum(map(len, entry_names(segment, c)))), edges.reshape(-1)]
    return slots.layer_table(layer_names(sizes), jnp.concatenate([*active, one(1)]))


class _Cell(NamedTuple):
    """Rows of a table that belong to one cell: of both entering convolutions, and of the edges [14, slots, ...]."""

    segment: Segment
    number: int
    entries: tuple[Array, Array]
    edges: Array


def _cells(sizes: Sizes, rows: Array) -> Iterator[_Cell]:
    """Cuts an array [L, ...] by cells."""
    at = len(stem.convs(sizes))
    for segment in sizes.segments():
        width = len(_parts(segment))
        for c, number in enumerate(segment.cells):
            first, second = (len(names) for names in entry_names(segment, c))
            entries = (rows[at], rows[at + first])
            at += first + second
            edges = rows[at : at + len(EDGES) * width].reshape(len(EDGES), width, *rows.shape[1:])
            at += len(EDGES) * width
            yield _Cell(segment, number, entries, edges)


def site_calls(sizes: Sizes, mask: Array) -> dict[str, Array]:
    """Activation calls by site and depth-percentile bin; traceable. ``mask`` as of `layer_table`.

    Returns:
      as of `nasjax.spaces.darts_slots.site_calls`, but "stage{s}/inner" [28 n, 10] and "reduction{r}/inner" [28, 10]:
      both separable convolutions of each edge.
    """
    before = slots.calls_before(layer_table(sizes, mask))
    hot = np.array([[source == node for source, _ in EDGES] for node in range(_READ)], np.int32)
    # By number of the cell that is read; below it the outputs of the stem, -1 the newest.
    oldest = -len(stem.blocks(sizes))
    entered: dict[int, Any] = {i: 0 for i in range(oldest, sizes.cells)}
    nodes: dict[str, list[Array]] = {}
    inner: dict[str, list[Array]] = {}
    for cell in _cells(sizes, before):
        name = cell.segment.name
        for row, back in zip(cell.entries, (2, 1), strict=True):
            entered[max(cell.number - back, oldest)] += row
        skips, kinds = cell.edges[:, : -4 * len(KINDS)], cell.edges[:, -4 * len(KINDS) :]
        kinds = kinds.reshape(len(EDGES), len(KINDS), len(_LAYERS), -1)
        first = kinds[:, :, 0].sum(1, dtype=jnp.int32) + skips[:, :1].sum(1, dtype=jnp.int32)
        nodes.setdefault(name, []).append(jnp.einsum("ne,eb->nb", jnp.asarray(hot), first))
        inner.setdefault(name, []).append(kinds[:, np.array(_SECOND), 2].reshape(-1, kinds.shape[-1]))
    zero = jnp.zeros_like(before[0])
    outputs = {number: zero + found for number, found in entered.items()}
    calls = stem.site_calls(sizes, before, outputs)
    for segment in sizes.segments():
        name, read = segment.name, jnp.concatenate(nodes[segment.name])
        calls[f"{name}/inner"] = jnp.concatenate(inner[name])
        calls |= {f"{name}/input": read[:2], f"{name}/node": read[2:]} if segment.reduction else {f"{name}/node": read}
        own = jnp.stack([outputs[number] for number in segment.cells])
        calls[f"{name}/output"] = own[0] if segment.reduction else own
    return calls


def _edge_sums(segment: Segment, own: PyTree) -> Array:
    total = lambda a: a.sum((-4, -3, -2, -1))  # noqa: E731
    n = len(segment.cells)
    edges = jnp.stack([total(own["depthwise"]), total(own["pointwise"])], -1).reshape(n, len(EDGES), -1)
    if segment.reduction:
        skips = jnp.zeros((len(EDGES), 2), edges.dtype).at[np.array(FROM_INPUTS)].set(total(own["skip"]))
        edges = jnp.concatenate([skips[None], edges], -1)
    return edges.reshape(n, -1)


def layer_sums(terms: PyTree, sizes: Sizes) -> Array:
    """Sums a tree shaped like the weights over each slot: float [L]."""
    return parameters.layer_sums(terms, sizes, _edge_sums)


def weight_mask(sizes: Sizes, mask: Array) -> PyTree:
    """Which weights are there: tree shaped like the weights, bool arrays that broadcast to them."""
    found: dict[str, Any] = {"head": jnp.ones((1, 1), bool)} | stem.weight_mask(sizes)
    for segment in sizes.segments():
        alive = mask[int(segment.reduction)] != 0
        kinds = alive[:, np.array(KINDS)].reshape(len(EDGES), len(KINDS), *(1,) * 5)
        ones = (1,) * len(parameters.lead(segment))
        own = {name: parameters.entry_mask(segment, i) for i, name in enumerate(parameters.ENTRIES)}
        for name, held in held_weights().items():
            there = kinds & jnp.asarray(held)[None]
            own[name] = there.reshape(ones + there.shape)
        if segment.reduction:
            own["skip"] = alive[np.array(FROM_INPUTS), codec.SKIP].reshape(-1, *(1,) * 5)
        found[segment.name] = own
    return found
