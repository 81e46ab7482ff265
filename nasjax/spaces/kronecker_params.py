"""Parameters of Kronecker networks: shapes, random values, which of them an architecture has."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from nasjax.spaces import initial
from nasjax.spaces.kronecker_codec import CENTRE, KERNEL
from nasjax.spaces.kronecker_plan import Sizes, Wiring
from nasjax.types import Array, PyTree


def weight_shapes(sizes: Sizes) -> PyTree:
    """Shapes of all convolution and linear weights; a vertex has one 3x3 kernel, whose centre serves as the 1x1."""
    top = sizes.outs(sizes.num_stages - 1)
    shapes: PyTree = {"stem": (3, 3, sizes.in_channels, sizes.channels), "head": (top, sizes.num_classes)}
    for s in range(sizes.num_stages):
        c = sizes.outs(s)
        shapes[f"stage{s}"] = {"vertex": (sizes.slots, 3, 3, c, c)}
        if len(sizes.reading(s)):
            rows = len(sizes.slots_of(sizes.reading(s)))
            shapes[f"stage{s}"]["project"] = (rows, 1, 1, sizes.outs(s - 1), c)
    return shapes


def norm_shapes(sizes: Sizes) -> PyTree:
    """Shapes of one vector of every batch norm."""
    own = {f"stage{s}": (sizes.slots, sizes.outs(s)) for s in range(sizes.num_stages)}
    return {"stem": (sizes.channels,), **own}


def merge_shapes(sizes: Sizes) -> PyTree:
    """Shapes of the matrices of merge weights, from slot to slot."""
    shapes: PyTree = {}
    for s in range(sizes.num_stages):
        shapes[f"stage{s}"] = {"same": (sizes.slots, sizes.slots)}
        if len(sizes.reading(s)):
            ends = sizes.read(s - 1), sizes.reading(s)
            shapes[f"stage{s}"]["cross"] = tuple(len(sizes.slots_of(blocks)) for blocks in ends)
    return shapes


def weight_mask(sizes: Sizes, graph: Wiring) -> PyTree:
    """Which weights an architecture has: a tree shaped like the weights, bool arrays that broadcast to them."""
    mask: PyTree = {"stem": jnp.ones((1, 1, 1, 1), bool), "head": jnp.ones((1, 1), bool)}
    centre = jnp.zeros((3, 3), bool).at[1, 1].set(True)[None]
    for s in range(sizes.num_stages):
        ops = jnp.asarray(graph.ops[s])[:, None, None]
        used = (ops == KERNEL) | ((ops == CENTRE) & centre)
        mask[f"stage{s}"] = {"vertex": used[..., None, None]}
        if graph.cross[s] is not None:
            mask[f"stage{s}"]["project"] = jnp.asarray(graph.cross[s]).any(0)[:, None, None, None, None]
    return mask


def init_params(key: Array, sizes: Sizes, graph: Wiring, law: str, dtype: Any) -> PyTree:
    """Random weights with the fans of the architecture's own layers, zero where it has none; norms at one and zero.

    Merge weights are 0, so that every edge enters with the weight 1/2.
    """
    draws: PyTree = jax.tree.map(lambda s: initial.weight(s, law), weight_shapes(sizes), is_leaf=initial.is_shape)
    mask = weight_mask(sizes, graph)
    for s in range(sizes.num_stages):
        own = draws[f"stage{s}"]
        # A 1x1 convolution has a ninth of the fans of the 3x3 kernel that holds it.
        factor = 1.0 if law == "normal" else jnp.where(jnp.asarray(graph.ops[s]) == CENTRE, 3.0, 1.0)
        scales = {"vertex": jnp.asarray(factor, dtype).reshape(-1, 1, 1, 1, 1)}
        for part, used in mask[f"stage{s}"].items():
            scale = own[part].scale * used.astype(dtype) * scales.get(part, 1.0)
            own[part] = own[part]._replace(scale=scale)
    head = initial.bias(sizes.num_classes, sizes.outs(sizes.num_stages - 1), law)
    weights, bias = initial.draw(key, (draws, head), dtype)
    merge = jax.tree.map(lambda s: jnp.zeros(s, dtype), merge_shapes(sizes), is_leaf=initial.is_shape)
    return {"weights": weights, "bias": {"head": bias}, "merge": merge, **initial.norms(norm_shapes(sizes), dtype)[0]}


def init_stats(sizes: Sizes, dtype: Any) -> PyTree:
    """Running statistics of a fresh network: mean 0, variance 1."""
    return initial.norms(norm_shapes(sizes), dtype)[1]


def interleaved(sizes: Sizes, s: int, vertex: Any, project: Any, xp: Any = jnp) -> Any:
    """Values of the layer slots of a stage in forward order: a vertex's projection, where its block has one, first.

    Args:
      sizes: static sizes.
      s: stage.
      vertex: [V, ...].
      project: [K, ...], or None.
      xp: numpy or jax.numpy.

    Returns:
      [V + K, ...].
    """
    if project is None:
        return vertex
    n, pieces, row = sizes.form.most, [], 0
    for b in range(sizes.per_stage):
        own = vertex[b * n : (b + 1) * n]
        if b in sizes.reading(s):
            both = xp.stack([project[row : row + n], own], 1)
            own, row = both.reshape(2 * n, *both.shape[2:]), row + n
        pieces.append(own)
    return xp.concatenate(pieces)


def layer_sums(sizes: Sizes, terms: PyTree) -> Array:
    """Sums a tree shaped like the weights over each layer slot, in forward order: float [L]."""
    sums = [terms["stem"].sum()[None]]
    for s in range(sizes.num_stages):
        own = terms[f"stage{s}"]
        project = own["project"].sum((1, 2, 3, 4)) if "project" in own else None
        sums.append(interleaved(sizes, s, own["vertex"].sum((1, 2, 3, 4)), project))
    return jnp.concatenate([*sums, terms["head"].sum()[None]])
