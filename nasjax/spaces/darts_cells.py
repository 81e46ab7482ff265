"""Cells of DARTS as one program for every choice of operations and sources.

The edges run in a loop over a buffer of nodes: a switch over the operations, compiled once a shape of cell, reads the
source of the edge and adds to its target. The cell has a vjp of its own that keeps the nodes and computes the chosen
operation again: autodiff of a switch would keep what every operation needs.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.spaces.darts_codec import OPS, TARGETS
from nasjax.spaces.darts_ops import Edge, EdgeConfig, Result, operation
from nasjax.types import Array, PyTree

_NUM_INNER = 4


class CellConfig(NamedTuple):
    """Static options of a cell.

    Attributes:
      edge: of its edges.
      reduction: whether edges from the inputs halve the image.
      inner: whether the inputs of second rectifiers are wanted.
    """

    edge: EdgeConfig
    reduction: bool
    inner: bool

    def plain(self) -> CellConfig:
        """The same, of layers without a vjp of their own."""
        return self._replace(edge=self.edge._replace(fast=False))

    def branches(self) -> list[tuple[int, int]]:
        """(operation, stride) of each branch of the switch."""
        return [(op, stride) for stride in ((1, 2) if self.reduction else (1,)) for op in range(len(OPS))]

    def branch(self, op: Array, source: Array) -> Array:
        """Number of the branch of an edge."""
        return op + len(OPS) * (source < 2) if self.reduction else op


class CellResult(NamedTuple):
    """What a cell gives.

    Attributes:
      nodes: float [6, batch, height, width, C], the inputs first; in a reduction cell [4, ...], without them.
      inner: float [8, batch, height, width, C], inputs of second rectifiers by edge; None unless asked for.
      mean: float [8, 2, C], running.
      var: float [8, 2, C], running.
      outputs: float [8, k, batch, height, width, C], of the convolutions on each edge; None unless asked for.
    """

    nodes: Array
    inner: Array | None
    mean: Array
    var: Array
    outputs: Array | None = None


class _Views(NamedTuple):
    """What an edge may read: a node of the cell's size, and in a reduction cell an input of twice the size."""

    low: Array
    high: Array | None


def output(result: CellResult) -> Array:
    """The four inner nodes side by side: float [batch, height, width, 4 C]."""
    return jnp.concatenate(list(result.nodes[-_NUM_INNER:]), -1)


def _views(config: CellConfig, nodes: Array, inputs: Array | None, source: Array) -> _Views:
    if not config.reduction:
        return _Views(lax.dynamic_index_in_dim(nodes, source, keepdims=False), None)
    low = lax.dynamic_index_in_dim(nodes, jnp.maximum(source - 2, 0), keepdims=False)
    assert inputs is not None
    return _Views(low, lax.dynamic_index_in_dim(inputs, jnp.minimum(source, 1), keepdims=False))


# Inner jit: one trace for forward and backward passes that share the shapes.
@functools.partial(jax.jit, static_argnums=0)
def _edge_value(config: CellConfig, branch: Array, views: _Views, edge: Edge) -> Result:
    def run(op: int, stride: int) -> Any:
        return lambda views, edge: operation(config.edge, op, stride, views[stride - 1], edge, None)

    result: Result = lax.switch(branch, [run(*b) for b in config.branches()], views, edge)
    return result


@functools.partial(jax.jit, static_argnums=0)
def _edge_gradient(
    config: CellConfig, branch: Array, views: _Views, edge: Edge, moments: PyTree, dout: Array, dinner: Array | None
) -> tuple[_Views, Edge, PyTree]:
    """Gradients with respect to what the edge may read, its arrays, and the readers."""

    def run(op: int, stride: int) -> Any:
        def gradient(views: _Views, edge: Edge, moments: PyTree, dout: Array, dinner: Array | None) -> Any:
            def function(x: Array, weights: PyTree, scale: Any, shift: Any, moments: PyTree) -> Any:
                own = edge._replace(weights=weights, scale=scale, shift=shift)
                found = operation(config.edge, op, stride, x, own, moments)
                return found.output, found.inner if config.inner else None

            given = (views[stride - 1], edge.weights, edge.scale, edge.shift, moments)
            dx, dweights, dscale, dshift, dmoments = jax.vjp(function, *given)[1]((dout, dinner))
            dviews = jax.tree.map(jnp.zeros_like, views)
            dviews = dviews._replace(low=dx) if stride == 1 else dviews._replace(high=dx)
            zeros = jnp.zeros_like(edge.mean)
            dedge = Edge(dweights, dscale, dshift, zeros, zeros, jax.tree.map(jnp.zeros_like, edge.kept))
            return dviews, dedge, dmoments

        return gradient

    branches = [run(*b) for b in config.branches()]
    gradients: Any = lax.switch(branch, branches, views, edge, moments, dout, dinner)
    return gradients


def _start(config: CellConfig, inputs: Array) -> tuple[Array, Array | None, np.ndarray]:
    """Empty nodes, inputs that lie apart from them, and the place of each edge's target among the nodes."""
    if not config.reduction:
        return jnp.pad(inputs, ((0, _NUM_INNER), *((0, 0),) * 4)), None, TARGETS.astype(np.int32)
    _, batch, height, width, channels = inputs.shape
    nodes = jnp.zeros((_NUM_INNER, batch, height // 2, width // 2, channels), inputs.dtype)
    return nodes, inputs, (TARGETS - 2).astype(np.int32)


def _value(config: CellConfig, ops: Array, sources: Array, inputs: Array, edges: Edge) -> CellResult:
    """See `cell`."""
    # What is differentiated further is this function, by forward mode (GraSP): layers with a vjp of their own refuse.
    config = config.plain()
    nodes, apart, targets = _start(config, inputs)

    def step(nodes: Array, xs: Any) -> Any:
        op, source, target, edge = xs
        found = _edge_value(config, config.branch(op, source), _views(config, nodes, apart, source), edge)
        kept = (found.inner if config.inner else None, found.mean, found.var, found.outputs)
        return nodes.at[target].add(found.output), kept

    # Edges are ordered by target, so a node is complete before it is read.
    nodes, kept = lax.scan(step, nodes, (ops, sources, targets, edges))
    return CellResult(nodes, *kept)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def cell(config: CellConfig, ops: Array, sources: Array, inputs: Array, edges: Edge, moments: PyTree) -> CellResult:
    """Runs a cell.

    Args:
      config: static options.
      ops: int32 [8], operations of the edges.
      sources: int32 [8], nodes that they come from.
      inputs: float [2, batch, height, width, C], both inputs behind their convolutions.
      edges: arrays of the edges, with a leading axis of edges.
      moments: zeros of readers of `nasjax.nn` shaped like the weights of the edges, or None.

    Returns:
      nodes and running statistics.
    """
    del moments
    return _value(config, ops, sources, inputs, edges)


def _cell_fwd(config: CellConfig, ops: Array, sources: Array, inputs: Array, edges: Edge, moments: PyTree) -> Any:
    result = _value(config, ops, sources, inputs, edges)
    return result, (ops, sources, inputs if config.reduction else None, edges, moments, result.nodes)


def _cell_bwd(config: CellConfig, saved: Any, cotangents: CellResult) -> Any:
    ops, sources, inputs, edges, moments, nodes = saved
    targets = (TARGETS - (2 if config.reduction else 0)).astype(np.int32)
    dinputs = None if inputs is None else jnp.zeros_like(inputs)

    def step(carry: tuple[Array, Array | None], xs: Any) -> Any:
        dnodes, dinputs = carry
        op, source, target, edge, own, dinner = xs
        views = _views(config, nodes, inputs, source)
        dviews, dedge, dmoments = _edge_gradient(
            config, config.branch(op, source), views, edge, own, dnodes[target], dinner
        )
        if dinputs is None:
            return (dnodes.at[source].add(dviews.low), None), (dedge, dmoments)
        dnodes = dnodes.at[jnp.maximum(source - 2, 0)].add(dviews.low)
        return (dnodes, dinputs.at[jnp.minimum(source, 1)].add(dviews.high)), (dedge, dmoments)

    # Running statistics carry no gradient.
    xs = (ops, sources, targets, edges, moments, cotangents.inner)
    (dnodes, dinputs), (dedges, dmoments) = lax.scan(step, (cotangents.nodes, dinputs), xs, reverse=True)
    none = np.zeros(ops.shape, jax.dtypes.float0)
    return none, none, dnodes[:2] if dinputs is None else dinputs, dedges, dmoments


cell.defvjp(_cell_fwd, _cell_bwd)
