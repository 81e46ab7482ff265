"""The NAS-Bench-201 supernet: every edge is a weighted sum of all five operations.

The weights of the sums are data, float [6, 5]: edges and operations in the order of the official string. Both
convolutions of an edge have a norm of their own. An operation of weight zero is not computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax import nn
from nasjax.spaces import dag, initial, slots
from nasjax.spaces import nasbench201_network as network
from nasjax.spaces.cell201 import OPS, check_arch
from nasjax.spaces.cells import EdgeArgs, EdgeConfig, convolve, normalise
from nasjax.spaces.dag import EDGES
from nasjax.types import Array, InputError, LayerTable, PyTree, Variables

MASK_SHAPE = (len(EDGES), len(OPS))
KINDS = (network.POINTWISE, network.KERNEL)  # operations with weights and a norm, in the order of the norms
_SKIP, _POOL = network.OPS.index("skip"), network.OPS.index("pool")
_SOURCES, _TARGETS = np.array(EDGES, np.int32).T


def check_mask(mask: Any) -> Array:
    """The weights of the sums as an array [6, 5].

    Raises:
      InputError: another shape.
    """
    if np.shape(mask) != MASK_SHAPE:
        raise InputError(
            f"mask of shape {list(np.shape(mask))}; allowed: {list(MASK_SHAPE)}: edge (source, target) in the order "
            f"{', '.join(map(str, EDGES))}, operation {', '.join(OPS)}"
        )
    return jnp.asarray(mask)


def mask_of(arch: Any) -> np.ndarray:
    """The mask under which the supernet is one architecture: float64 [6, 5], 1 for the operation of each edge."""
    return np.eye(len(OPS))[check_arch(np.asarray(arch))]


def norm_shapes(sizes: network.Sizes) -> PyTree:
    """Shapes of one vector of every batch norm; two on each edge."""
    stages = tuple((sizes.cells, len(EDGES), len(KINDS), c) for c in sizes.widths())
    return network.norm_shapes(sizes) | {"stages": stages}


def init(key: Array, sizes: network.Sizes, law: str, dtype: Any) -> Variables:
    """Random variables; weights and laws as of the space."""
    params = network.init_params(key, sizes, law, dtype)
    affine, stats = initial.norms(norm_shapes(sizes), dtype)
    return Variables(params | affine, stats)


def mixed_cell(options: network.Forward, mask: Array) -> network.RunCell:
    """What runs the cells of the supernet; ``mask`` float [6, 5]."""
    config = EdgeConfig(options.norm, options.precision, network.OPS)

    def run_cell(x: Array, own: PyTree) -> tuple[Array, Array, Array]:
        @jax.checkpoint  # the chosen operations are computed again: keeping what each needs costs far more memory
        def step(nodes: Array, xs: Any) -> Any:
            source, target, weights, arrays = xs
            node = lax.dynamic_index_in_dim(nodes, source, keepdims=False)
            y, mean, var = _mixture(config, weights, node, arrays)
            return nodes.at[target].add(y), (mean, var)

        nodes = jnp.pad(x[None], ((0, 3), *((0, 0),) * x.ndim))
        # Edges are ordered by target, so a node is complete before it is read.
        nodes, (means, variances) = lax.scan(step, nodes, (_SOURCES, _TARGETS, mask, own))
        return nodes, means, variances

    return run_cell


def _mixture(config: EdgeConfig, weights: Array, x: Array, own: PyTree) -> tuple[Array, Array, Array]:
    """Weighted sum of all operations of an edge, and running means and variances [2, channels]."""
    zero = jnp.zeros_like(x)
    pooled = lax.cond(weights[_POOL] != 0, lambda: nn.avg_pool(x, 3, padding=1), lambda: zero)
    total = weights[_SKIP] * x + weights[_POOL] * pooled
    means, variances = [], []
    for i, op in enumerate(KINDS):
        name = network.OPS[op]
        vectors = {f: own[f][i] for f in ("scale", "shift", "mean", "var")}
        args = EdgeArgs({name: own["weights"][name]}, **vectors)
        readers = None if own["moments"] is None else {name: own["moments"][name]}

        def there(name: str = name, args: EdgeArgs = args, readers: PyTree = readers) -> tuple[Array, Array, Array]:
            return normalise(convolve(config, name, x, args.weights, readers), args, config.norm)

        def absent(args: EdgeArgs = args) -> tuple[Array, Array, Array]:
            return zero, args.mean, args.var

        y, mean, var = lax.cond(weights[op] != 0, there, absent)
        total = total + weights[op] * y
        means.append(mean)
        variances.append(var)
    return total, jnp.stack(means), jnp.stack(variances)


def layer_names(base: Sequence[str]) -> tuple[str, ...]:
    """Slot names: those of the space, with two slots for that of an edge."""
    kinds = [OPS[op] for op in KINDS]
    return tuple(n for name in base for n in ([f"{name}.{k}" for k in kinds] if ".layers." in name else [name]))


def layer_table(base: Sequence[str], mask: Array) -> LayerTable:
    """The weight layers of a supernet, one row a slot; traceable.

    Args:
      base: slot names of the space.
      mask: [6, 5]; an operation is there where it is not zero.

    Returns:
      the table.
    """
    cells = sum(".layers." in name for name in base) // (3 * len(EDGES))
    edges = jnp.tile((mask[:, np.array(KINDS)] != 0).reshape(-1), cells)
    block, one = jnp.ones(3, bool), jnp.ones(1, bool)
    return slots.layer_table(layer_names(base), jnp.concatenate([one, edges, block, edges, block, edges, one]))


def site_calls(table: LayerTable, cells: int) -> dict[str, Array]:
    """Activation calls by bin: "stage{s}" int32 [cells, 3 nodes, 10]; "reduction{s}/a", "/b" and "head" int32 [10]."""
    hot = slots.calls_before(table)
    calls, start, width = {}, 1, len(EDGES) * len(KINDS)
    for s in range(3):
        stage = hot[start : start + width * cells].reshape(cells, len(EDGES), len(KINDS), -1).sum(2, dtype=jnp.int32)
        calls[f"stage{s}"] = jnp.einsum("ne,ceb->cnb", jnp.asarray(dag.SOURCES, jnp.int32), stage)
        start += width * cells
        if s < 2:
            calls[f"reduction{s}/a"], calls[f"reduction{s}/b"] = hot[start], hot[start + 1]
            start += 3
    return calls | {"head": hot[start]}


def layer_sums(terms: PyTree) -> Array:
    """Sums a tree shaped like the weights over each slot, in forward order: float [L]."""
    parts = [terms["stem"].sum()[None]]
    for s in range(3):
        stage = terms["stages"][s]
        kinds = [stage[network.OPS[op]].sum((2, 3, 4, 5)) for op in KINDS]
        parts.append(jnp.stack(kinds, -1).reshape(-1))
        if s < 2:
            parts.append(jnp.stack([terms["reductions"][s][k].sum() for k in ("conv_a", "conv_b", "shortcut")]))
    return jnp.concatenate([*parts, terms["head"].sum()[None]])


def inherit(variables: Variables, arch: Any) -> Variables:
    """Variables of one architecture with the weights and norms of the supernet.

    Args:
      variables: of the supernet.
      arch: int [6], not traced.

    Returns:
      variables that the space's ``apply`` takes; an edge without convolution has the norm of the first.
    """
    ops = check_arch(np.asarray(arch))
    kinds = np.where(ops == network.KERNEL, KINDS.index(network.KERNEL), 0)

    def pick(tree: PyTree) -> PyTree:
        return tree | {"stages": tuple(a[:, np.arange(len(EDGES)), kinds] for a in tree["stages"])}

    params = variables.params | {f: pick(variables.params[f]) for f in ("scale", "shift")}
    return Variables(params, {f: pick(tree) for f, tree in variables.stats.items()})
