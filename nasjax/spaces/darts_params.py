"""Parameters of DARTS networks: shapes, which of them an architecture has, random values, sums by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_stem as stem
from nasjax.spaces import initial
from nasjax.spaces.darts_ops import KERNELS, LARGEST, SEPARABLE
from nasjax.spaces.darts_plan import Segment, Sizes
from nasjax.types import Array, PyTree

ENTRIES = ("pre0", "pre1")
AUXILIARY = (128, 768)  # channels of the convolutions of the auxiliary head

EdgeShapes = Callable[[Segment], dict[str, tuple[int, ...]]]


def lead(segment: Segment) -> tuple[int, ...]:
    """Leading axes of the arrays of a segment: its cells, none for a reduction cell."""
    return () if segment.reduction else (len(segment.cells),)


def edge_shapes(segment: Segment) -> dict[str, tuple[int, ...]]:
    """Weights of the edges of one cell, whatever their operations; see `nasjax.spaces.darts_ops.Edge`."""
    c, n = segment.channels, codec.NUM_EDGES
    shapes: dict[str, tuple[int, ...]] = {
        "depthwise": (n, 2, LARGEST, LARGEST, 1, c),
        "pointwise": (n, 2, 1, 1, c, c),
    }
    return shapes | ({"skip": (n, 2, 1, 1, c, c // 2)} if segment.reduction else {})


def weight_shapes(sizes: Sizes, edges: EdgeShapes = edge_shapes) -> PyTree:
    """Shapes of all convolution and linear weights but those of the auxiliary head."""
    shapes: dict[str, Any] = {"head": (sizes.top, sizes.num_classes)} | stem.weight_shapes(sizes)
    for segment in sizes.segments():
        own = {name: (1, 1, width, segment.channels) for name, width in zip(ENTRIES, segment.widths(), strict=True)}
        shapes[segment.name] = {name: lead(segment) + shape for name, shape in (own | edges(segment)).items()}
    return shapes


def auxiliary_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of the auxiliary head."""
    ins = next(s.outs for s in sizes.segments() if sizes.auxiliary_cell in s.cells)
    first, second = AUXILIARY
    return {"first": (1, 1, ins, first), "second": (2, 2, first, second), "head": (second, sizes.num_classes)}


def norm_shapes(sizes: Sizes, edges: tuple[int, ...] = (codec.NUM_EDGES, 2)) -> PyTree:
    """Shapes of one vector of every batch norm; ``edges`` are the axes of those on the edges of a cell."""
    shapes = stem.norm_shapes(sizes)
    for segment in sizes.segments():
        vector = (segment.channels,)
        own = {name: vector for name in ENTRIES} | {"edges": edges + vector}
        shapes[segment.name] = {name: lead(segment) + shape for name, shape in own.items()}
    if sizes.auxiliary:
        norms = {"first": AUXILIARY[:1], "second": AUXILIARY[1:]}
        shapes["auxiliary"] = dict(list(norms.items())[: sizes.kind.auxiliary_norms])
    return shapes


def entry_mask(segment: Segment, i: int) -> Array:
    """Which weights of an entering convolution the cells have: bool, shape of the array of ``ENTRIES[i]``.

    Narrow inputs are padded with zeros; even and odd pixels of a twice as large one lie side by side, and make up
    half of the outputs each.
    """
    width, c = segment.widths()[i], segment.channels
    own = [entry[i] for entry in segment.entries]
    column = lambda values: jnp.asarray(values).reshape(-1, 1, 1)  # noqa: E731
    rows, outs = jnp.arange(width).reshape(1, -1, 1), jnp.arange(c).reshape(1, 1, -1)
    mask = rows < column([e.width for e in own])
    same = (rows >= column([e.ins for e in own])) == (outs >= c // 2)
    mask = mask & (~column([e.reduces for e in own]) | same)
    return mask.reshape(*lead(segment), 1, 1, width, c)


def _edge_masks(ops: Array, sources: Array, reduction: bool) -> dict[str, Array]:
    """Which weights of the edges of a cell exist, bool arrays that broadcast to those of one cell."""
    first, second = (_among(ops, tuple(KERNELS)), _among(ops, SEPARABLE))
    halves = jnp.stack([first, second], -1).reshape(-1, 2, 1, 1, 1, 1)
    small = _among(ops, tuple(op for op, k in KERNELS.items() if k < LARGEST)).reshape(-1, 1, 1, 1, 1, 1)
    inside = (jnp.arange(LARGEST) >= 1) & (jnp.arange(LARGEST) < LARGEST - 1)
    middle = (inside[:, None] & inside[None]).reshape(1, 1, LARGEST, LARGEST, 1, 1)
    masks = {"depthwise": halves & (~small | middle), "pointwise": halves}
    reduces = (ops == codec.SKIP) & (sources < 2)
    return masks | ({"skip": reduces.reshape(-1, 1, 1, 1, 1, 1)} if reduction else {})


def _among(ops: Array, numbers: tuple[int, ...]) -> Array:
    return (ops[:, None] == jnp.asarray(numbers)[None]).any(-1)


def weight_mask(sizes: Sizes, arch: Array) -> PyTree:
    """Which weights an architecture has: a tree shaped like the weights, bool arrays that broadcast to them."""
    ops, sources = codec.parts(arch)
    mask: dict[str, Any] = {"head": jnp.ones((1, 1), bool)} | stem.weight_mask(sizes)
    for segment in sizes.segments():
        c = int(segment.reduction)
        edges = _edge_masks(ops[c], sources[c], segment.reduction)
        ones = (1,) * len(lead(segment))
        mask[segment.name] = {name: entry_mask(segment, i) for i, name in enumerate(ENTRIES)}
        mask[segment.name] |= {name: m.reshape(ones + m.shape) for name, m in edges.items()}
    return mask


def entry_draw(segment: Segment, i: int, law: str, dtype: Any) -> initial.Draw:
    """How an entering convolution is drawn: with the fans of the cells' own layers, zero beyond them."""
    shape = (*lead(segment), 1, 1, segment.widths()[i], segment.channels)
    own = [entry[i] for entry in segment.entries]
    outs = [segment.channels // (2 if e.reduces else 1) for e in own]
    fan = tuple(jnp.asarray(n, dtype).reshape(*lead(segment), 1, 1, 1, 1) for n in ([e.ins for e in own], outs))
    return _masked(initial.weight(shape, law, fan=(fan[0], fan[1])), entry_mask(segment, i), dtype)


def _masked(draw: initial.Draw, mask: Array, dtype: Any) -> initial.Draw:
    return draw._replace(scale=draw.scale * mask.astype(dtype))


def init_params(key: Array, sizes: Sizes, arch: Array, law: str, dtype: Any) -> PyTree:
    """Random parameters by a law, with the fans of the architecture's own layers; what it lacks is zero."""
    ops, _ = codec.parts(arch)
    mask, shapes = weight_mask(sizes, arch), weight_shapes(sizes)
    draws = outer_draws(shapes, law)
    for segment in sizes.segments():
        own = {name: initial.weight(shape, law) for name, shape in shapes[segment.name].items()}
        sides = jnp.asarray([KERNELS.get(op, LARGEST) for op in range(len(codec.OPS))], dtype)
        taps = jnp.square(sides[ops[int(segment.reduction)]]).reshape(-1, 1, 1, 1, 1, 1)
        taps = taps.reshape((1,) * len(lead(segment)) + taps.shape)
        own["depthwise"] = initial.weight(own["depthwise"].shape, law, fan=(taps, taps * segment.channels))
        own = {name: _masked(draw, mask[segment.name][name], dtype) for name, draw in own.items()}
        draws[segment.name] = own | {name: entry_draw(segment, i, law, dtype) for i, name in enumerate(ENTRIES)}
    without = () if sizes.kind.affine else ("edges",)
    return finish(key, sizes, draws, norm_shapes(sizes), law, dtype, without=without)


def outer_draws(shapes: PyTree, law: str) -> dict[str, Any]:
    """How the weights outside of the cells are drawn, out of the shapes of all."""
    outer = {name: shapes[name] for name in (stem.NAME, "head") if name in shapes}
    draws: dict[str, Any] = jax.tree.map(lambda shape: initial.weight(shape, law), outer, is_leaf=initial.is_shape)
    return draws


def finish(
    key: Array, sizes: Sizes, draws: PyTree, norms: PyTree, law: str, dtype: Any, *, without: tuple[str, ...]
) -> PyTree:
    """Draws weights, biases and auxiliary head, and adds the norms.

    Args:
      key: typed key.
      sizes: static sizes.
      draws: how the weights are drawn.
      norms: shapes of the norms.
      law: initialisation law.
      dtype: floating dtype.
      without: parts of the cells whose norms neither scale nor shift.

    Returns:
      parameters; norms start at scale one and shift zero.
    """
    biases = {"head": initial.bias(sizes.num_classes, sizes.top, law)}
    extra: dict[str, Any] = {}
    if sizes.auxiliary:
        extra = {name: initial.weight(shape, law) for name, shape in auxiliary_shapes(sizes).items()}
        biases["auxiliary"] = initial.bias(sizes.num_classes, AUXILIARY[-1], law)
    weights, bias, auxiliary = initial.draw(key, (draws, biases, extra), dtype)
    affine = dict(norms)
    for segment in sizes.segments():
        affine[segment.name] = {part: s for part, s in norms[segment.name].items() if part not in without}
    params = {"weights": weights, "bias": bias, **initial.norms(affine, dtype)[0]}
    return params | ({"auxiliary": auxiliary} if sizes.auxiliary else {})


def init_stats(sizes: Sizes, dtype: Any) -> PyTree:
    """Running statistics of a fresh network: mean 0, variance 1."""
    return initial.norms(norm_shapes(sizes), dtype)[1]


def edge_sums(segment: Segment, own: PyTree) -> Array:
    """Sums over each slot of the edges of the cells of a segment: float [cells, slots]."""
    n = len(segment.cells)
    edges = jnp.stack([_total(own["depthwise"]), _total(own["pointwise"])], -1).reshape(n, codec.NUM_EDGES, -1)
    if segment.reduction:
        edges = jnp.concatenate([edges, _total(own["skip"])[None]], -1)
    return edges.reshape(n, -1)


def _total(terms: Array) -> Array:
    return terms.sum((-4, -3, -2, -1))


def layer_sums(terms: PyTree, sizes: Sizes, edges: Callable[[Segment, PyTree], Array] = edge_sums) -> Array:
    """Sums a tree shaped like the weights over each slot, in the order of `nasjax.spaces.darts_slots`: float [L].

    ``edges`` gives those of the edges.
    """
    sums = stem.layer_sums(terms, sizes)
    for segment in sizes.segments():
        own, n = terms[segment.name], len(segment.cells)
        rows = [
            jnp.where(entry_mask(segment, i), own[name], 0).sum(-1).reshape(n, -1) for i, name in enumerate(ENTRIES)
        ]
        entries = [row.sum(-1, keepdims=True) for row in rows]
        cells = jnp.concatenate([*entries, edges(segment, own)], 1).reshape(-1)
        first = segment.entries[0][0]
        if first.reduces:  # only the first cell's: two convolutions side by side
            cells = jnp.concatenate(
                [rows[0][0, : first.ins].sum()[None], rows[0][0, first.ins :].sum()[None], cells[1:]]
            )
        sums.append(cells)
    return jnp.concatenate([*sums, terms["head"].sum()[None]])
