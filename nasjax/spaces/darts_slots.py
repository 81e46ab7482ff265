"""Names and places in a DARTS network: weight layers, activation calls, tensors of the official code."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_stem as stem
from nasjax.spaces import slots, torch_layout
from nasjax.spaces.darts_ops import KERNELS, LARGEST, SEPARABLE
from nasjax.spaces.darts_plan import Segment, Sizes
from nasjax.types import Array, LayerTable

_NORMAL = ("op.1", "op.2", "op.5", "op.6")
_REDUCTION = (*_NORMAL, "conv_1", "conv_2")
_EVERY = slice(None)


def _parts(segment: Segment) -> tuple[str, ...]:
    """Layers that an edge may have, in forward order."""
    return _REDUCTION if segment.reduction else _NORMAL


def entry_names(segment: Segment, c: int) -> list[list[str]]:
    """Module names of both entering convolutions of cell ``c`` of a segment."""
    return [
        [f"preprocess{i}.{part}" for part in (("conv_1", "conv_2") if entry.reduces else ("op.1",))]
        for i, entry in enumerate(segment.entries[c])
    ]


def layer_names(sizes: Sizes) -> tuple[str, ...]:
    """Slot names: the module names of the official network, in forward order."""
    names = [conv.name for conv in stem.convs(sizes)]
    for segment in sizes.segments():
        edges = [f"_ops.{e}.{part}" for e in range(codec.NUM_EDGES) for part in _parts(segment)]
        for c, number in enumerate(segment.cells):
            first, second = entry_names(segment, c)
            names += [f"cells.{number}.{name}" for name in (*first, *second, *edges)]
    return (*names, "classifier")


def layer_table(sizes: Sizes, arch: Array) -> LayerTable:
    """The weight layers of an architecture int [32], one row a slot; traceable.

    A separable convolution is four layers, a dilated one two, a skip that halves the image two. The auxiliary head
    is no part of it.
    """
    ops, sources = codec.parts(arch)
    one = lambda n: jnp.ones(n, bool)  # noqa: E731
    active = [one(len(stem.convs(sizes)))]
    for segment in sizes.segments():
        own, origin = ops[int(segment.reduction)], sources[int(segment.reduction)]
        first = (own[:, None] == jnp.asarray(tuple(KERNELS))[None]).any(-1)
        second = (own[:, None] == jnp.asarray(SEPARABLE)[None]).any(-1)
        flags = [first, first, second, second]
        if segment.reduction:
            flags += [(own == codec.SKIP) & (origin < 2)] * 2
        edges = jnp.stack(flags, -1).reshape(-1)
        for c in range(len(segment.cells)):
            active += [one(sum(map(len, entry_names(segment, c)))), edges]
    return slots.layer_table(layer_names(sizes), jnp.concatenate([*active, one(1)]))


def site_calls(sizes: Sizes, arch: Array) -> dict[str, Array]:
    """Activation calls of the official network by site and depth-percentile bin; traceable.

    A rectifier belongs to the bin of the number of weight layers before it. Nodes are read once for every edge from
    them that begins with a rectifier, outputs of cells by the next two.

    Returns:
      "stem" int32 [10], of a deep stem also "stem/first" and "stem/second"; of stage s with n cells
      "stage{s}/node" [5 n, 10] (nodes 0..4), "stage{s}/inner" [8 n, 10] (between the halves of the convolution on each
      edge), "stage{s}/output" [n, 10]; of reduction cell r "reduction{r}/input" [2, 10], "reduction{r}/node" [3, 10],
      "reduction{r}/inner" [8, 10], "reduction{r}/output" [10].
    """
    _, sources = codec.parts(arch)
    table = layer_table(sizes, arch)
    before = slots.calls_before(table)
    index = {name: i for i, name in enumerate(table.names)}
    # By number of the cell that is read; below it the outputs of the stem, -1 the newest.
    oldest = -len(stem.blocks(sizes))
    entered: dict[int, Any] = {i: 0 for i in range(oldest, sizes.cells)}
    calls: dict[str, Array] = {}
    for segment in sizes.segments():
        origin = sources[int(segment.reduction)]
        nodes, inner = [], []
        for c, number in enumerate(segment.cells):
            for names, back in zip(entry_names(segment, c), (2, 1), strict=True):
                entered[max(number - back, oldest)] += before[index[f"cells.{number}.{names[0]}"]]
            prefix = f"cells.{number}._ops"
            first = _rows(before, index, prefix, "op.1")
            if segment.reduction:
                first = first + _rows(before, index, prefix, "conv_1")
            hot = (origin[None] == jnp.arange(codec.TARGETS.max())[:, None]).astype(jnp.int32)
            nodes.append((hot[:, :, None] * first[None]).sum(1))
            inner.append(_rows(before, index, prefix, "op.5"))
        name = segment.name
        calls[f"{name}/inner"] = jnp.concatenate(inner)
        read = jnp.concatenate(nodes)
        calls |= {f"{name}/input": read[:2], f"{name}/node": read[2:]} if segment.reduction else {f"{name}/node": read}
    zero = jnp.zeros_like(before[0])
    outputs = {number: zero + found for number, found in entered.items()}
    calls |= stem.site_calls(sizes, before, outputs)
    for segment in sizes.segments():
        own = jnp.stack([outputs[number] for number in segment.cells])
        calls[f"{segment.name}/output"] = own[0] if segment.reduction else own
    return calls


def _rows(before: Array, index: dict[str, int], prefix: str, part: str) -> Array:
    """Rows of the eight edges of a cell, [8, 10]."""
    places = np.array([index[f"{prefix}.{e}.{part}"] for e in range(codec.NUM_EDGES)])
    return before[places]


def torch_places(sizes: Sizes, arch: np.ndarray) -> dict[str, torch_layout.Place]:
    """Where every tensor of the official network goes; see `nasjax.spaces.torch_layout`.

    The names are those of the DARTS code, also for the other variants.
    """
    ops, sources = codec.parts(arch)
    found = stem.torch_places(sizes)
    for segment in sizes.segments():
        for c, number in enumerate(segment.cells):
            lead = () if segment.reduction else (c,)
            cell = int(segment.reduction)
            found |= _entry_places(segment, c, f"cells.{number}", lead)
            for e, (op, source) in enumerate(zip(ops[cell].tolist(), sources[cell].tolist(), strict=True)):
                found |= _edge_places(segment, f"cells.{number}._ops.{e}", op, source, (*lead, e), sizes)
    if sizes.auxiliary:
        found |= _auxiliary_places(sizes)
    found |= torch_layout.weight("classifier", "head")
    return found | {"classifier.bias": ("params", ("bias", "head"), None)}


def _entry_places(segment: Segment, c: int, prefix: str, lead: tuple[int, ...]) -> dict[str, torch_layout.Place]:
    found: dict[str, torch_layout.Place] = {}
    half = segment.channels // 2
    for i, entry in enumerate(segment.entries[c]):
        name, path = f"{prefix}.preprocess{i}", (segment.name, f"pre{i}")
        blocks = {"op.1": (slice(entry.ins), _EVERY)}
        if entry.reduces:
            blocks = {"conv_1": (slice(entry.ins), slice(half))}
            blocks |= {"conv_2": (slice(entry.ins, 2 * entry.ins), slice(half, None))}
        for part, block in blocks.items():
            index = (*lead, _EVERY, _EVERY, *block)
            found |= torch_layout.weight(f"{name}.{part}", *path, index=index)
        found |= torch_layout.norm(f"{name}.{'bn' if entry.reduces else 'op.2'}", *path, index=lead)
    return found


def _edge_places(
    segment: Segment, name: str, op: int, source: int, lead: tuple[int, ...], sizes: Sizes
) -> dict[str, torch_layout.Place]:
    path = segment.name
    found: dict[str, torch_layout.Place] = {}

    def norm(module: str, half: int, affine: bool) -> dict[str, torch_layout.Place]:
        places = torch_layout.norm(module, path, "edges", index=(*lead, half))
        return places if affine else {k: place for k, place in places.items() if place[0] == "stats"}

    if op in KERNELS:
        rim = (LARGEST - KERNELS[op]) // 2
        middle = slice(rim, LARGEST - rim)
        for half in range(2 if op in SEPARABLE else 1):
            depthwise, pointwise, normed = (f"{name}.op.{4 * half + i}" for i in (1, 2, 3))
            found |= torch_layout.weight(depthwise, path, "depthwise", index=(*lead, half, middle, middle))
            found |= torch_layout.weight(pointwise, path, "pointwise", index=(*lead, half))
            found |= norm(normed, half, sizes.kind.affine)
    elif op == codec.SKIP and segment.reduction and source < 2:
        for half in range(2):
            found |= torch_layout.weight(f"{name}.conv_{half + 1}", path, "skip", index=(*lead, half))
        found |= norm(f"{name}.bn", 0, sizes.kind.affine)
    elif op in (codec.MAX, codec.AVG) and sizes.kind.pool_norm:
        found |= norm(f"{name}.1", 0, False)
    return found


def _auxiliary_places(sizes: Sizes) -> dict[str, torch_layout.Place]:
    found: dict[str, torch_layout.Place] = {}
    for i, (module, name) in enumerate((("2", "first"), ("5", "second"))):
        found[f"auxiliary_head.features.{module}.weight"] = ("params", ("auxiliary", name), None)
        if i < sizes.kind.auxiliary_norms:
            found |= torch_layout.norm(f"auxiliary_head.features.{int(module) + 1}", "auxiliary", name)
    found["auxiliary_head.classifier.weight"] = ("params", ("auxiliary", "head"), None)
    return found | {"auxiliary_head.classifier.bias": ("params", ("bias", "auxiliary"), None)}
