"""Cells of four nodes and six edges as one program for every choice of operations.

Node 0 is the input, node 3 the output, a node is the sum of what arrives. NAS-Bench-201 and the micro
space of TransNAS-Bench-101 share the graph; they differ in the list of operations and in whether the
edges from the input may halve the image.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax import nn
from nasjax.spaces.branches import update
from nasjax.spaces.dag import EDGES
from nasjax.types import Array, PyTree

CONVOLUTIONS = ("pointwise", "kernel", "reduce")


class EdgeArgs(NamedTuple):
    """Arrays one edge owns.

    Attributes:
      weights: kernels by name: "pointwise" [1, 1, in, out], "kernel" [3, 3, in, out] and, for "reduce",
        "reduce_a" and "reduce_b" [1, 1, in, out / 2].
      scale: float [out], of the batch norm.
      shift: float [out].
      mean: float [out], running.
      var: float [out], running.
    """

    weights: dict[str, Array]
    scale: Array
    shift: Array
    mean: Array
    var: Array


class EdgeConfig(NamedTuple):
    """Static options of an edge.

    Attributes:
      norm: batch-norm mode.
      precision: matrix precision.
      ops: what each operation number does: "none", "skip", "reduce" (rectifier, two pointwise convolutions
        of the even and the odd positions side by side, norm), "pointwise" and "kernel" (rectifier,
        convolution, norm), "pool" (3x3 average).
      stride: 1 or 2.
      fast: see `nasjax.nn.conv`; False where forward-mode derivatives are taken.
    """

    norm: str
    precision: Any
    ops: tuple[str, ...]
    stride: int = 1
    fast: bool | None = None


class CellConfig(NamedTuple):
    """Static options of a cell.

    Attributes:
      first: of the edges from the input.
      inner: of the other edges.
    """

    first: EdgeConfig
    inner: EdgeConfig

    def edge(self, number: int) -> EdgeConfig:
        """Options of one edge."""
        return self.first if EDGES[number][0] == 0 else self.inner

    def plain(self) -> CellConfig:
        """The same without backward passes of the layers' own."""
        return CellConfig(self.first._replace(fast=False), self.inner._replace(fast=False))


def odd_positions(x: Array) -> Array:
    """Every second row and column from the second on, with a row and column of zeros where the last is missing."""
    return jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1::2, 1::2]


def _names(op: str) -> tuple[str, ...]:
    """Kernels an operation uses."""
    return ("reduce_a", "reduce_b") if op == "reduce" else (op,)


def convolve(config: EdgeConfig, op: str, node: Array, weights: dict[str, Array], moments: PyTree) -> Array:
    """Rectifier and convolutions of an operation."""
    own = (lambda name: None) if moments is None else moments.__getitem__
    x = jax.nn.relu(node)
    if op == "kernel":
        return nn.conv(
            x,
            weights[op],
            stride=config.stride,
            padding=1,
            precision=config.precision,
            moments=own(op),
            fast=config.fast,
            together=True,
        )
    halves = [x if config.stride == 1 else x[:, ::2, ::2]]
    if op == "reduce":
        halves.append(odd_positions(x))
    parts = [
        nn.conv(half, weights[name], precision=config.precision, moments=own(name), fast=config.fast, together=True)
        for half, name in zip(halves, _names(op), strict=True)
    ]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, -1)


def _observe(y: Array, readers: PyTree) -> Array:
    """The convolution output, which readers by kernel name see."""
    if readers is None:
        return y
    parts = jnp.split(y, len(readers), -1)
    seen = [nn.observe(part, reader) for part, reader in zip(parts, readers.values(), strict=True)]
    return jnp.concatenate(seen, -1)


def normalise(
    y: Array, args: EdgeArgs, norm: str, *, fast: bool = False, moments: Any = None
) -> tuple[Array, Array, Array]:
    """Batch norm of an edge: (output, running mean, running variance); options as `nasjax.nn.batch_norm` has them."""
    out, stats = nn.batch_norm(
        y, args.scale, args.shift, stats=(args.mean, args.var), mode=norm, fast=fast, moments=moments
    )
    assert stats is not None
    return out, stats[0], stats[1]


def _zeros(op: Array, x: Array, shape: tuple[int, ...]) -> Array:
    """Zeros to add to; XLA, if it knew their value, would make them once and copy them for each sum of each cell."""
    return jnp.broadcast_to(jnp.where(op < 0, x[0, 0, 0, 0], 0), shape)


def _empty(config: EdgeConfig, op: Array, node: Array, args: EdgeArgs) -> Array:
    """Zeros of the shape of the edge's output."""
    size = [-(-n // config.stride) for n in node.shape[1:3]]
    return _zeros(op, node, (node.shape[0], *size, args.scale.shape[0]))


def _used_kernels(op: str, weights: dict[str, Array]) -> dict[str, Array]:
    """The kernels of one operation."""
    return {name: weights[name] for name in _names(op)}


# Inner jit: the edges of a cell are traced once.
@functools.partial(jax.jit, static_argnums=0)
def _add_edge(config: EdgeConfig, op: Array, node: Array, args: EdgeArgs, total: Array) -> tuple[Array, Array]:
    """(total plus the edge's output, mean and variance of the batch that its norm saw [2, out], else zeros)."""

    def convolved(name: str, operands: tuple[Array, EdgeArgs], state: Any) -> Any:
        node, args = operands
        y = convolve(config, name, node, args.weights, None)
        whole, axis = nn.batch_mode(config.norm)
        seen = nn.batch_moments(y, axis=axis) if whole else None
        out = normalise(y, args, config.norm, moments=seen)[0]
        return state[0] + out, state[1] if seen is None else jnp.stack([s.reshape(-1) for s in seen])

    def branch(name: str) -> Any:
        if name in CONVOLUTIONS:
            return functools.partial(convolved, name)
        pool = functools.partial(nn.avg_pool, window=3, padding=1, fast=config.fast)
        free: dict[str, Any] = {"skip": lambda node: node, "pool": pool}
        return None if name == "none" else lambda own, state: (state[0] + free[name](own[0]), *state[1:])

    state = (total, jnp.zeros((2, args.scale.shape[0]), total.dtype))
    out: tuple[Array, Array] = update(op, [branch(name) for name in config.ops], (node, args), state)
    return out


@functools.partial(jax.jit, static_argnums=0)
def _edge_gradient(
    config: EdgeConfig, op: Array, node: Array, args: EdgeArgs, seen: Array, moments: PyTree, dnode: Array, dout: Array
) -> tuple[Array, EdgeArgs, PyTree]:
    """``dnode`` plus the gradient of the node, gradients of the arrays of the edge, and readings."""

    def convolved(name: str, operands: Any, state: Any) -> Any:
        (node, args, seen, dout), (dnode, dargs, readings) = operands, state
        own = None if moments is None else {n: moments[n] for n in _names(name)}
        of_samples, of_outputs = nn.split_readers(own)

        def run(node: Array, weights: Any, scale: Array, shift: Array, samples: PyTree, outputs: PyTree) -> Array:
            y = _observe(convolve(config, name, node, weights, samples), outputs)
            own = args._replace(scale=scale, shift=shift)
            return normalise(y, own, config.norm, fast=True, moments=seen.reshape(2, 1, 1, 1, -1))[0]

        operands = (node, _used_kernels(name, args.weights), args.scale, args.shift, of_samples, of_outputs)
        own_dnode, dweights, dscale, dshift, dsamples, doutputs = jax.vjp(run, *operands)[1](dout)
        dargs = dargs._replace(weights={**dargs.weights, **dweights}, scale=dscale, shift=dshift)
        return dnode + own_dnode, dargs, readings if own is None else {**readings, **(dsamples or doutputs)}

    def branch(name: str) -> Any:
        if name in CONVOLUTIONS:
            return functools.partial(convolved, name)
        pool = lambda node, dout: jax.vjp(lambda v: nn.avg_pool(v, 3, padding=1), node)[1](dout)[0]  # noqa: E731
        free: dict[str, Any] = {"skip": lambda node, dout: dout, "pool": pool}
        return None if name == "none" else lambda own, state: (state[0] + free[name](own[0], own[3]), *state[1:])

    state = (dnode, *jax.tree.map(jnp.zeros_like, (args, moments)))
    operands = (node, args, seen, dout)
    out: tuple[Array, EdgeArgs, PyTree] = update(op, [branch(name) for name in config.ops], operands, state)
    return out


def _cell_value(config: CellConfig, arch: Array, x: Array, edges: tuple[EdgeArgs, ...]) -> tuple[Any, Array]:
    """(Nodes, moments that the norms saw [6, 2, out])."""
    nodes, seen = [x], []
    for e, (source, target) in enumerate(EDGES):
        if target == len(nodes):
            nodes.append(_empty(config.edge(e), arch[e], nodes[source], edges[e]))
        nodes[target], own = _add_edge(config.edge(e), arch[e], nodes[source], edges[e], nodes[target])
        seen.append(own)
    return tuple(nodes), jnp.stack(seen)


def _running(config: CellConfig, arch: Array, seen: Array, edges: tuple[EdgeArgs, ...], nodes: Any) -> Any:
    """Running means and variances of the edges after a cell, [6, out] each."""
    old = jnp.stack([own.mean for own in edges]), jnp.stack([own.var for own in edges])
    whole, axis = nn.batch_mode(config.inner.norm)
    if not whole:
        return old
    new = nn.running_stats(old, (seen[:, 0], seen[:, 1]), nn.batch_count(nodes[3], axis=axis))
    used = [jnp.asarray([op in CONVOLUTIONS for op in config.edge(e).ops])[arch[e]] for e in range(len(EDGES))]
    return tuple(jnp.where(jnp.stack(used)[:, None], *pair) for pair in zip(new, old, strict=True))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def cell(
    config: CellConfig, arch: Array, x: Array, edges: tuple[EdgeArgs, ...], moments: tuple[PyTree, ...]
) -> tuple[tuple[Array, ...], Array, Array]:
    """Nodes and running statistics of one cell.

    Its own vjp keeps the nodes alone and convolves again. Autodiff of a switch would keep the residuals of every
    branch; one convolution output an edge costs more in copies, chosen or not, than it saves.

    Args:
      config: static options.
      arch: int [6], operation numbers.
      x: float [batch, height, width, in].
      edges: arrays of each edge.
      moments: for each edge zeros of a reader of `nasjax.nn.readers` shaped like its weights, or None.

    Returns:
      the four nodes; running means and variances of the edges, float [6, out].
    """
    del moments
    nodes, seen = _cell_value(config.plain(), arch, x, edges)
    return nodes, *_running(config, arch, seen, edges, nodes)


def _cell_fwd(config: CellConfig, arch: Array, x: Array, edges: tuple[EdgeArgs, ...], moments: Any) -> Any:
    # What is differentiated further is this function, by forward mode (GraSP): layers with a vjp of their own refuse.
    nodes, seen = _cell_value(config.plain(), arch, x, edges)
    return (nodes, *_running(config, arch, seen, edges, nodes)), (arch, edges, moments, nodes[:3], seen)


def _cell_bwd(config: CellConfig, saved: Any, cotangents: tuple[tuple[Array, ...], Array, Array]) -> Any:
    arch, edges, moments, nodes, seen = saved
    dout = cotangents[0]  # running statistics carry no gradient
    dnodes = [d + _zeros(arch[i], dout[3], d.shape) for i, d in enumerate(dout[:3])] + [dout[3]]
    grads: list[Any] = []
    # Edges are ordered by target, so in reverse a node's gradient is complete before it is read.
    for e, (source, target) in reversed(list(enumerate(EDGES))):
        dnodes[source], *own = _edge_gradient(
            config.edge(e), arch[e], nodes[source], edges[e], seen[e], moments[e], dnodes[source], dnodes[target]
        )
        grads.append(own)
    dedges, dmoments = (tuple(own[i] for own in reversed(grads)) for i in range(2))
    return np.zeros(arch.shape, jax.dtypes.float0), dnodes[0], dedges, dmoments


cell.defvjp(_cell_fwd, _cell_bwd)


def split_edges(tree: PyTree) -> tuple[PyTree, ...]:
    """Six trees out of one whose leaves have a leading axis of edges; six times None out of None."""
    return tuple(jax.tree.map(lambda a, e=e: a[e], tree) for e in range(len(EDGES)))


def rescale(x: Array, log_scale: Array, enabled: bool) -> tuple[Array, Array]:
    """Moves the largest magnitude of x into the logarithm; the factor carries no gradient."""
    if not enabled:
        return x, log_scale
    top = lax.stop_gradient(jnp.max(jnp.abs(x)))
    top = jnp.where(top > 0, top, 1)
    return x / top, log_scale + jnp.log(top)
