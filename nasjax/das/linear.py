"""The cell of linear warps, computed together: what is fast about it.

For fixed magnitudes and weights a cell of warps is linear in the image, so work is shared where the sum over operations
and edges allows:

- frames of one level are computed once, and those of level 0 are not computed at all;
- shifts along x, of all edges between two states and with the identity, are one matrix; so are shifts along y;
- the first halves of all zooms are one product, the second halves another;
- a rotation looks an index up once for a pixel of all images (`nasjax.das.rotation`).

Images lie as [height, width, n], n = batch * channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.das import rotation, warps
from nasjax.das.config import DASConfig
from nasjax.das.ops import frame_magnitude
from nasjax.types import Array


class _Edge(NamedTuple):
    """What an edge does, at all levels; None where it does not.

    Attributes:
      identity: float [], weight.
      x: float [levels, width, width], weighted shift along x.
      y: float [levels, height, height], weighted shift along y.
      zoom: its two matrices, float [levels, height, height] and weighted [levels, width, width].
      turns: weight and tables of each rotation and shear.
    """

    identity: Array | None
    x: Array | None
    y: Array | None
    zoom: tuple[Array, Array] | None
    turns: list[tuple[Array, rotation.Reader]]


def applies(config: DASConfig) -> bool:
    """Whether a cell is made of warps alone, bilinear and filled with zeros."""
    known = {"identity", *warps.WARPS}
    return set(config.names) <= known and config.interpolation == "bilinear" and config.fill == "zeros"


def cell(
    inputs: Sequence[Array], weights: Array, magnitudes: Array, *, config: DASConfig, used: np.ndarray | None = None
) -> Array:
    """Output of one cell at all moved levels, without the division by its gain.

    Args:
      inputs: input states, float [height, width, n] (the same at all levels) or [levels, height, width, n].
      weights: float [edges, operations].
      magnitudes: float [edges, operations], base magnitudes.
      config: of the cell; `applies` says whether it fits.
      used: static bool [edges, operations]; what is False has weight zero and is left out. All by default.

    Returns:
      float [levels, height, width, n].
    """
    height, width = inputs[0].shape[-3:-1]
    needed = np.ones(weights.shape, bool) if used is None else np.asarray(used, bool)
    edges = _edges(config, weights, magnitudes, needed, height, width)
    states = list(inputs)
    for node in range(config.num_nodes):
        total = jnp.zeros((len(config.moved), *inputs[0].shape[-3:]), inputs[0].dtype)
        own = [e for e in config.node_edges(node) if needed[e].any()]
        seen: list[int] = []
        for e in own:  # edges from one and the same array are taken together
            source = states[config.edges[e][1]]
            if e in seen:
                continue
            together = [o for o in own if states[config.edges[o][1]] is source]
            seen += together
            total = total + _between(source, [edges[o] for o in together], config)
        states.append(total)
    return states[-1]


def _edges(
    config: DASConfig, weights: Array, magnitudes: Array, needed: np.ndarray, height: int, width: int
) -> list[_Edge]:
    """What all edges do. Operators of an operation are made for all of its edges at once, which compiles faster."""
    edges = [_Edge(None, None, None, None, []) for _ in config.edges]
    pixels = (height, width) if config.whole_pixels else None
    for k, operation in enumerate(config.operations):
        own, name = np.flatnonzero(needed[:, k]), operation.name
        if name == "identity":
            for e in own:
                edges[e] = edges[e]._replace(identity=weights[e, k])
        if name == "identity" or not len(own):
            continue
        frames = [frame_magnitude(operation, magnitudes[own, k], level, pixels=pixels) for level in config.moved]
        value = jnp.stack([jnp.asarray(frame) for frame in frames], 1)  # [edges, levels]
        if name in warps.GATHERED:
            tables = rotation.reader(name, value, height, width)
            for i, e in enumerate(own):
                edges[e].turns.append((weights[e, k], rotation.Reader(*(table[i] for table in tables))))
            continue
        y, x = warps.axes(name, value, height, width)
        rows = None if y is None else warps.hat_operator(y, height)
        columns = None if x is None else warps.hat_operator(x, width)
        for i, e in enumerate(own):
            weight = weights[e, k]
            if rows is not None and columns is not None:
                edges[e] = edges[e]._replace(zoom=(rows[i], weight * columns[i]))
            elif rows is not None:
                edges[e] = edges[e]._replace(y=weight * rows[i])
            elif columns is not None:
                edges[e] = edges[e]._replace(x=weight * columns[i])
    return edges


def _between(source: Array, edges: list[_Edge], config: DASConfig) -> Array:
    """Sum over all edges from one state to another: float [levels, height, width, n]."""
    precision = lax.Precision.HIGHEST if config.precision == "highest" else None
    levels = len(config.moved)
    height, width, number = source.shape[-3:]
    per_level = source.ndim == 4
    out = jnp.zeros((levels, height, width, number), source.dtype)
    identity = sum(edge.identity for edge in edges if edge.identity is not None)
    shift_x = [edge.x for edge in edges if edge.x is not None]
    shift_y = [edge.y for edge in edges if edge.y is not None]
    zooms = [edge.zoom for edge in edges if edge.zoom is not None]
    if shift_y:
        out = out + _along_y(sum(shift_y), source, precision)
    if shift_x:
        out = out + _along_x(sum(shift_x), source, precision)
    if zooms:
        # Rows of all zooms lie next to each other, so that what they make is what the second halves read: no copy.
        rows = jnp.stack([zoom[0] for zoom in zooms], 2).reshape(levels, height * len(zooms), height)
        halves = _along_y(rows, source, precision).reshape(levels, height, len(zooms) * width, number)
        out = out + _along_x(jnp.concatenate([zoom[1] for zoom in zooms], 2), halves, precision)
    if any(edge.identity is not None for edge in edges):
        out = out + identity * (source if per_level else source[None])
    turns = [turn for edge in edges for turn in edge.turns]
    if turns:
        flat = source.reshape(*source.shape[:-3], height * width, number)
        turned = sum(weight * rotation.read(flat, table) for weight, table in turns)
        out = out + jnp.asarray(turned).reshape(out.shape)
    return out


def _along_y(operator: Array, source: Array, precision: lax.Precision | None) -> Array:
    """[levels, g, height] times [(levels,) height, width, n]: [levels, g, width, n]."""
    levels, outs, height = operator.shape
    width, number = source.shape[-2:]
    flat = source.reshape(*source.shape[:-3], height, width * number)
    equation = "lgh,lhm->lgm" if flat.ndim == 3 else "lgh,hm->lgm"
    return jnp.einsum(equation, operator, flat, precision=precision).reshape(levels, outs, width, number)


def _along_x(operator: Array, source: Array, precision: lax.Precision | None) -> Array:
    """[levels, width, w] times [(levels,) height, w, n]: [levels, height, width, n]."""
    levels, width, ins = operator.shape
    height, _, number = source.shape[-3:]
    each = jnp.broadcast_to(operator[:, None], (levels, height, width, ins))
    source = jnp.broadcast_to(source, (levels, height, ins, number))
    return jnp.einsum("lhvw,lhwn->lhvn", each, source, precision=precision)
