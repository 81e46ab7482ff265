"""The DARTS supernet: every node reads all earlier ones through a weighted sum of all operations.

As in the search network of DARTS, the norms in the cells neither scale nor shift, and a norm follows each pool. The
weights of the sums are data, float [2, 14, 8]: normal and reduction cell, the 14 edges by target and then by source,
operations in the order of `nasjax.spaces.darts_codec.OPS`. An operation of weight zero is not computed, so a pruning
search, which sets one weight after the other to zero, gets faster as it goes, and never compiles again.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_params as parameters
from nasjax.spaces import initial
from nasjax.spaces.darts_cells import CellConfig, CellResult
from nasjax.spaces.darts_network import RunCell
from nasjax.spaces.darts_ops import KERNELS, LARGEST, SEPARABLE, Edge, Result, operation
from nasjax.spaces.darts_params import ENTRIES, lead
from nasjax.spaces.darts_plan import Segment, Sizes
from nasjax.types import Array, InputError, PyTree, Variables

EDGES = tuple((source, target) for target in range(2, 6) for source in range(target))
MASK_SHAPE = (2, len(EDGES), len(codec.OPS))
KINDS = tuple(KERNELS)  # operations with kernels of their own, in the order of the arrays
_SIDES = np.array([KERNELS[op] for op in KINDS])
FROM_INPUTS = tuple(e for e, (source, _) in enumerate(EDGES) if source < 2)
_FROM_NODES = tuple(e for e, (source, _) in enumerate(EDGES) if source >= 2)


def check_mask(mask: Any) -> Array:
    """The weights of the sums as an array [2, 14, 8].

    Raises:
      InputError: another shape.
    """
    if np.shape(mask) != MASK_SHAPE:
        raise InputError(
            f"mask of shape {list(np.shape(mask))}; allowed: {list(MASK_SHAPE)}: cell, edge (source, target) in the "
            f"order {EDGES[0]}, {EDGES[1]}, {EDGES[2]}, ..., operation {', '.join(codec.OPS)}"
        )
    return jnp.asarray(mask)


def mask_of(arch: Any) -> np.ndarray:
    """The mask under which the supernet is one architecture: float64 [2, 14, 8], 1 for each of its edges."""
    ops, sources = codec.parts(codec.check(np.asarray(arch)))
    mask = np.zeros(MASK_SHAPE)
    for c in range(2):
        for op, source, target in zip(ops[c].tolist(), sources[c].tolist(), codec.TARGETS.tolist(), strict=True):
            mask[c, EDGES.index((source, target)), op] += 1
    return mask


def edge_shapes(segment: Segment) -> dict[str, tuple[int, ...]]:
    """Weights of all operations on all edges of one cell."""
    c, n, kinds = segment.channels, len(EDGES), len(KINDS)
    shapes: dict[str, tuple[int, ...]] = {
        "depthwise": (n, kinds, 2, LARGEST, LARGEST, 1, c),
        "pointwise": (n, kinds, 2, 1, 1, c, c),
    }
    return shapes | ({"skip": (len(FROM_INPUTS), 2, 1, 1, c, c // 2)} if segment.reduction else {})


def _norm_shapes(sizes: Sizes) -> PyTree:
    return parameters.norm_shapes(sizes, (len(EDGES), len(codec.OPS), 2))


def held_weights() -> dict[str, np.ndarray]:
    """Which weights the operations with kernels have: bool arrays that broadcast to those of one edge."""
    rim = (LARGEST - _SIDES[:, None]) // 2
    inside = (np.arange(LARGEST) >= rim) & (np.arange(LARGEST) < LARGEST - rim)
    halves = np.array([[True, op in SEPARABLE] for op in KINDS]).reshape(-1, 2, 1, 1, 1, 1)
    middle = halves & (inside[:, :, None] & inside[:, None]).reshape(-1, 1, LARGEST, LARGEST, 1, 1)
    return {"depthwise": middle, "pointwise": halves}


def init(key: Array, sizes: Sizes, law: str, dtype: Any) -> Variables:
    """Random variables; laws as of the space, fans are those of each operation's own layers."""
    shapes = parameters.weight_shapes(sizes, edge_shapes)
    draws = parameters.outer_draws(shapes, law)
    taps = (_SIDES**2).reshape(-1, 1, 1, 1, 1, 1).astype(dtype)
    for segment in sizes.segments():
        own = {name: initial.weight(shape, law) for name, shape in shapes[segment.name].items()}
        depthwise = own["depthwise"].shape
        own["depthwise"] = initial.weight(depthwise, law, fan=(taps, taps * segment.channels))
        for name, held in held_weights().items():
            scale = own[name].scale * held.astype(dtype)
            own[name] = own[name]._replace(scale=scale.reshape((1,) * len(lead(segment)) + (1, *scale.shape)))
        draws[segment.name] = own | {
            name: parameters.entry_draw(segment, i, law, dtype) for i, name in enumerate(ENTRIES)
        }
    params = parameters.finish(key, sizes, draws, _norm_shapes(sizes), law, dtype, without=(*ENTRIES, "edges"))
    return Variables(params, initial.norms(_norm_shapes(sizes), dtype)[1])


def mixed_cell(mask: Array) -> RunCell:
    """What runs the edges of a cell of the supernet."""

    def run_cell(config: CellConfig, inputs: Array, own: PyTree) -> CellResult:
        config = config._replace(edge=config.edge._replace(pool_norm=True))
        return _cell(config, mask[int(config.reduction)], inputs, own)

    return run_cell


def _cell(config: CellConfig, mask: Array, inputs: Array, own: PyTree) -> CellResult:
    given = (own["weights"], own.get("moments"))
    weights, moments = ({n: t[n] for n in ("depthwise", "pointwise")} if t is not None else None for t in given)
    arrays = {
        "weights": weights,
        "moments": moments,
        "mean": own["mean"]["edges"],
        "var": own["var"]["edges"],
        "mask": mask,
    }
    arrays |= {"source": np.array([s for s, _ in EDGES]), "target": np.array([t for _, t in EDGES])}

    def run(nodes: Array, values: Array, edges: tuple[int, ...], stride: int, skip: PyTree, offset: int) -> Any:
        """Adds edges in order to the nodes; they read ``values``, or the nodes themselves."""

        @jax.checkpoint  # the chosen operations are computed again: keeping what each needs costs far more memory
        def step(nodes: Array, xs: Any) -> Any:
            edge, skip = xs
            source, target = edge["source"] - (offset if stride == 1 else 0), edge["target"] - offset
            x = lax.dynamic_index_in_dim(values if stride == 2 else nodes, source, keepdims=False)
            y, inner, mean, var = _mixture(config, stride, x, edge, skip)
            return nodes.at[target].add(y), (inner if config.inner else None, mean, var)

        chosen = jax.tree.map(lambda a: jnp.asarray(a)[np.array(edges)], arrays)
        return lax.scan(step, nodes, (chosen, skip))

    if not config.reduction:
        nodes = jnp.pad(inputs, ((0, 4), *((0, 0),) * 4))
        nodes, (inner, mean, var) = run(nodes, nodes, tuple(range(len(EDGES))), 1, None, 0)
        return CellResult(nodes, _flat(inner), mean, var)
    _, batch, height, width, channels = inputs.shape
    nodes = jnp.zeros((4, batch, height // 2, width // 2, channels), inputs.dtype)
    # What the inputs bring does not depend on the nodes, and comes first.
    skip = tuple(None if tree is None else tree["skip"] for tree in given)
    nodes, outer = run(nodes, inputs, FROM_INPUTS, 2, skip, 2)
    nodes, later = run(nodes, nodes, _FROM_NODES, 1, None, 2)
    order = np.argsort(np.array([*FROM_INPUTS, *_FROM_NODES]))
    inner, mean, var = jax.tree.map(lambda a, b: jnp.concatenate([a, b])[order], outer, later)
    return CellResult(nodes, _flat(inner), mean, var)


def _flat(inner: Array | None) -> Array | None:
    """Edges and operations as one axis."""
    return None if inner is None else inner.reshape(-1, *inner.shape[2:])


def _mixture(
    config: CellConfig, stride: int, x: Array, edge: PyTree, skip: PyTree
) -> tuple[Array, Array, Array, Array]:
    """Weighted sum of all operations, inputs of second rectifiers [2, ...], running means and variances [8, 2, C]."""
    means, variances = [edge["mean"][0]], [edge["var"][0]]
    inner = []
    zero = jnp.zeros((x.shape[0], x.shape[1] // stride, x.shape[2] // stride, x.shape[3]), x.dtype)
    total = zero
    for op in range(1, len(codec.OPS)):
        kind = KINDS.index(op) if op in KERNELS else 0
        weights, moments = jax.tree.map(lambda a, k=kind: a[k], (edge["weights"], edge["moments"]))
        if skip is not None:
            weights = weights | {"skip": skip[0]}
            moments = None if moments is None else moments | {"skip": skip[1]}
        own = Edge(weights, None, None, edge["mean"][op], edge["var"][op])

        def there(op: int = op, own: Edge = own, moments: PyTree = moments) -> Result:
            return operation(config.edge, op, stride, x, own, moments)

        def absent(own: Edge = own) -> Result:
            return Result(zero, zero, own.mean, own.var)

        found = lax.cond(edge["mask"][op] != 0, there, absent)
        total = total + edge["mask"][op] * found.output
        means.append(found.mean)
        variances.append(found.var)
        if op in SEPARABLE:
            inner.append(found.inner)
    return total, jnp.stack(inner), jnp.stack(means), jnp.stack(variances)


def inherit(variables: Variables, arch: Any, sizes: Sizes, template: Variables) -> Variables:
    """Variables of one architecture with the weights and statistics of the supernet.

    Args:
      variables: of the supernet.
      arch: int [32], not traced.
      sizes: of the network.
      template: variables of the architecture; norms on edges and in front of cells are taken from it.

    Returns:
      variables that the space's ``apply`` takes.
    """
    ops, sources = codec.parts(codec.check(np.asarray(arch)))
    mask = parameters.weight_mask(sizes, jnp.asarray(arch))
    params = {**template.params, "weights": dict(variables.params["weights"]), "bias": variables.params["bias"]}
    params |= {field: {**template.params[field]} for field in ("scale", "shift")}
    for field in ("scale", "shift"):
        shared = {name: tree for name, tree in variables.params[field].items() if name in ("stem", "auxiliary")}
        params[field] |= shared
    if sizes.auxiliary:
        params["auxiliary"] = variables.params["auxiliary"]
    stats = {field: dict(tree) for field, tree in variables.stats.items()}
    for segment in sizes.segments():
        c, name = int(segment.reduction), segment.name
        edges = np.array([EDGES.index(e) for e in zip(sources[c].tolist(), codec.TARGETS.tolist(), strict=True)])
        kinds = np.array([KINDS.index(op) if op in KERNELS else 0 for op in ops[c].tolist()])
        # Two arrays of indices side by side pick one entry each, behind the axis of cells.
        cells = (slice(None),) * len(lead(segment))
        own = dict(variables.params["weights"][name])
        for part in ("depthwise", "pointwise"):
            own[part] = jnp.where(mask[name][part], own[part][(*cells, edges, kinds)], 0)
        if segment.reduction:
            outer = np.array([FROM_INPUTS.index(e) if e in FROM_INPUTS else 0 for e in edges.tolist()])
            own["skip"] = jnp.where(mask[name]["skip"], own["skip"][outer], 0)
        params["weights"][name] = own
        for tree in stats.values():
            tree[name] = {**tree[name], "edges": tree[name]["edges"][(*cells, edges, ops[c])]}
    return Variables(params, stats)
