"""Cells of `nasjax.spaces.cells` as loops over their edges, for passes that look inside.

A loop compiles each operation once a stage, where unrolled edges compile it six times; it runs a little slower.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax import nn
from nasjax.spaces import cells
from nasjax.spaces.cells import EdgeArgs, EdgeConfig
from nasjax.spaces.dag import EDGES
from nasjax.spaces.optional import ModuleVisit, OutputVisit, ResponseVisit
from nasjax.types import Array, PyTree

_SOURCES, _TARGETS = np.array(EDGES, np.int32).T
# Modules of the official code that put an operation's value out: the operation itself, and the containers around it.
_OUTPUTS = {"none": 1, "skip": 1, "pointwise": 3, "kernel": 3, "pool": 2}


def edge_args(stage: PyTree) -> EdgeArgs:
    """Arrays of a cell, edges leading, out of those of `nasjax.spaces.nasbench201_blocks.Layers.stage`."""
    return EdgeArgs(*(stage[f] for f in EdgeArgs._fields))


# Inner jit: the edges of a cell are traced once.
@functools.partial(jax.jit, static_argnums=0)
def _edge_value(config: EdgeConfig, op: Array, node: Array, args: EdgeArgs) -> tuple[Array, Array, Array, Array]:
    """Output of an edge, running mean, running variance, convolution output (zeros if there is none)."""
    size = [-(-n // config.stride) for n in node.shape[1:3]]
    zero = jnp.zeros((node.shape[0], *size, args.scale.shape[0]), node.dtype)

    def convolved(name: str) -> tuple[Array, Array, Array, Array]:
        y = cells.convolve(config, name, node, args.weights, None)
        return *cells.normalise(y, args, config.norm), y

    def branch(name: str) -> Any:
        if name in cells.CONVOLUTIONS:
            return lambda: convolved(name)
        pool = functools.partial(nn.avg_pool, node, 3, padding=1, fast=config.fast)
        free: dict[str, Any] = {"none": lambda: zero, "skip": lambda: node, "pool": pool}
        return lambda: (free[name](), args.mean, args.var, zero)

    out: tuple[Array, Array, Array, Array] = lax.switch(op, [branch(name) for name in config.ops])
    return out


def _value(config: EdgeConfig, arch: Array, x: Array, edges: EdgeArgs) -> tuple[Array, Any]:
    """Nodes [4, ...], and of the edges (output, running mean, running variance, convolution output), edges leading."""

    def step(nodes: Array, xs: Any) -> tuple[Array, Any]:
        op, source, target, args = xs
        out, mean, var, y = _edge_value(config, op, nodes[source], args)
        return nodes.at[target].add(out), (out, mean, var, y)

    nodes = jnp.zeros((4, *x.shape), x.dtype).at[0].set(x)
    # Edges are ordered by target, so a node is complete before it is read.
    return lax.scan(step, nodes, (arch, _SOURCES, _TARGETS, edges))


@functools.partial(jax.jit, static_argnums=0)
def _node_gradient(config: EdgeConfig, op: Array, node: Array, args: EdgeArgs, y: Array, dout: Array) -> Array:
    """Gradient of one edge's input alone; that of its arrays would cost as much again."""

    def convolved(name: str) -> Array:
        normalise = lambda y: cells.normalise(y, args, config.norm)[0]  # noqa: E731
        dy = jax.vjp(normalise, y)[1](dout)[0]
        return jax.vjp(lambda node: cells.convolve(config, name, node, args.weights, None), node)[1](dy)[0]

    def branch(name: str) -> Any:
        if name in cells.CONVOLUTIONS:
            return lambda: convolved(name)
        pool = lambda: jax.vjp(lambda v: nn.avg_pool(v, 3, padding=1), node)[1](dout)[0]  # noqa: E731
        return {"none": lambda: jnp.zeros_like(node), "skip": lambda: dout, "pool": pool}[name]

    return lax.switch(op, [branch(name) for name in config.ops])


def _gradient(
    config: EdgeConfig, arch: Array, nodes: Array, edges: EdgeArgs, ys: Array, dy: Array
) -> tuple[Array, Array]:
    """Gradients of the cell's input, and of each edge's own input, edges leading."""

    def step(dnodes: Array, xs: Any) -> tuple[Array, Array]:
        op, source, target, args, y = xs
        dnode = _node_gradient(config, op, nodes[source], args, y, dnodes[target])
        return dnodes.at[source].add(dnode), dnode

    dnodes = jnp.zeros_like(nodes).at[3].set(dy)
    dnodes, through = lax.scan(step, dnodes, (arch, _SOURCES, _TARGETS, edges, ys), reverse=True)
    return dnodes[0], through


def cell(config: EdgeConfig, arch: Array, x: Array, edges: EdgeArgs) -> tuple[Array, Array, Array]:
    """A cell whose edges are alike. Its arrays are constants: gradients flow to the input alone.

    Args:
      config: static options; stride 1.
      arch: int [6], operation numbers.
      x: float [batch, height, width, channels].
      edges: arrays with a leading axis of edges.

    Returns:
      node 3; running means and variances of the edges, float [6, channels].
    """
    return _cell(config, arch, x, lax.stop_gradient(edges))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _cell(config: EdgeConfig, arch: Array, x: Array, edges: EdgeArgs) -> tuple[Array, Array, Array]:
    nodes, (_, means, variances, _) = _value(config, arch, x, edges)
    return nodes[3], means, variances


def _cell_fwd(config: EdgeConfig, arch: Array, x: Array, edges: EdgeArgs) -> Any:
    nodes, (_, means, variances, ys) = _value(config, arch, x, edges)
    return (nodes[3], means, variances), (arch, nodes, edges, ys)


def _cell_bwd(config: EdgeConfig, saved: Any, cotangents: tuple[Array, Array, Array]) -> Any:
    arch, nodes, edges, ys = saved
    dx, _ = _gradient(config, arch, nodes, edges, ys, cotangents[0])  # running statistics carry none
    return np.zeros(arch.shape, jax.dtypes.float0), dx, jax.tree.map(jnp.zeros_like, edges)


_cell.defvjp(_cell_fwd, _cell_bwd)


def node_signs(config: EdgeConfig, arch: Array, x: Array, edges: EdgeArgs) -> tuple[Array, Array, Array]:
    """Signs of the three nodes that rectifiers may read, False where none does: bool [3, ...].

    Also whether those nodes and node 3 are finite, bool []; and node 3.
    """
    nodes = _value(config, arch, x, edges)[0]
    read = (module_counts(config, arch)[:3] > 0).reshape(3, *(1,) * x.ndim)
    finite = (jnp.isfinite(nodes[:3]) | ~read).all() & jnp.isfinite(nodes[3]).all()
    return (nodes[:3] > 0) & read, finite, nodes[3]


def convolutions(config: EdgeConfig, arch: Array) -> Array:
    """int32 [6]: 1 for an edge with a convolution, and so with a rectifier before it."""
    return jnp.asarray([int(op in ("pointwise", "kernel")) for op in config.ops], jnp.int32)[arch]


def module_counts(config: EdgeConfig, arch: Array) -> Array:
    """How many modules put out each value that `show` gives to its visitor, int32 [16]."""
    convs = convolutions(config, arch)
    rectifiers = jnp.zeros(3, jnp.int32).at[_SOURCES].add(convs)
    outputs = jnp.asarray([_OUTPUTS[op] for op in config.ops], jnp.int32)[arch]
    return jnp.concatenate([rectifiers, convs, outputs, jnp.ones(1, jnp.int32)])


def show(config: EdgeConfig, arch: Array, x: Array, edges: EdgeArgs, visit: ModuleVisit) -> tuple[Array, PyTree]:
    """Output of a cell, and what the visitor makes of its modules.

    Args:
      config: static options; stride 1.
      arch: int [6].
      x: float [batch, height, width, channels].
      edges: arrays with a leading axis of edges.
      visit: see `nasjax.spaces.optional.HasModules`; the values are the three rectified nodes, the six
        convolutions, the six outputs of edges and the output of the cell.

    Returns:
      node 3, and the visitor's result.
    """
    nodes, (outputs, _, _, ys) = _value(config, arch, x, edges)
    values = jnp.concatenate([jax.nn.relu(nodes[:3]), ys, outputs, nodes[3:]])
    return nodes[3], visit(values, module_counts(config, arch))


def show_convolutions(
    config: EdgeConfig, arch: Array, x: Array, edges: EdgeArgs, visit: OutputVisit
) -> tuple[Array, PyTree]:
    """Node 3 of a cell, and what the visitor makes of its six convolutions; zero for an edge without one.

    Arguments as in `show`, ``visit`` as in `nasjax.spaces.optional.HasLayerOutputs`.
    """
    nodes, (_, _, _, ys) = _value(config, arch, x, edges)
    return nodes[3], visit(ys)


def show_edges(
    config: cells.CellConfig, arch: Array, x: Array, edges: tuple[EdgeArgs, ...], visit: OutputVisit
) -> tuple[Array, PyTree]:
    """Node 3 of a cell whose edges differ, and what the visitor makes of its convolutions, edge by edge.

    An edge with the operation "reduce" has two more of them, which give half of the channels each.

    Args:
      config: static options.
      arch: int [6].
      x: float [batch, height, width, channels].
      edges: arrays of each edge.
      visit: see `nasjax.spaces.optional.OutputVisit`.

    Returns:
      node 3, and the visitor's result.
    """
    nodes: list[Any] = [x]
    values, missing = [], []
    for e, (source, target) in enumerate(EDGES):
        own = config.edge(e)
        out, _, _, y = _edge_value(own, arch[e], nodes[source], edges[e])
        nodes = [*nodes, out] if target == len(nodes) else [*nodes[:target], nodes[target] + out, *nodes[target + 1 :]]
        if "reduce" not in own.ops:
            values.append(y)
            missing.append(0)
            continue
        halves, reduces = y.shape[-1] // 2, arch[e] == own.ops.index("reduce")
        zero, rest = jnp.zeros_like(y), jnp.zeros_like(y[..., :halves])
        parts = [jnp.concatenate([y[..., i * halves : (i + 1) * halves], rest], -1) for i in range(2)]
        values += [jnp.where(reduces, zero, y), *(jnp.where(reduces, part, zero) for part in parts)]
        missing += [0, *[y.shape[1] * y.shape[2] * halves] * 2]
    return nodes[3], visit(jnp.stack(values), jnp.asarray(missing, jnp.int32))


def respond(
    config: EdgeConfig, arch: Array, x: Array, edges: EdgeArgs, dy: Array, index: Array | int, visit: ResponseVisit
) -> tuple[Array, PyTree]:
    """Gradient of a cell's input, and what the visitor makes of its rectifiers.

    Args:
      config: static options; stride 1.
      arch: int [6].
      x: float [batch, height, width, channels].
      edges: arrays with a leading axis of edges.
      dy: gradient of node 3.
      index: number of the block, handed on to the visitor.
      visit: see `nasjax.spaces.optional.HasResponses`; one rectifier an edge.

    Returns:
      gradient of x, and the visitor's result.
    """
    nodes, (_, _, _, ys) = _value(config, arch, x, edges)
    dx, through = _gradient(config, arch, nodes, edges, ys, dy)
    return dx, visit(index, nodes[_SOURCES], through, convolutions(config, arch))
