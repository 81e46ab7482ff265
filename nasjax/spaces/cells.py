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
from nasjax.spaces.dag import EDGES
from nasjax.types import Array, PyTree

_CONVOLUTIONS = ("pointwise", "kernel", "reduce")


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


def _convolve(config: EdgeConfig, op: str, node: Array, weights: dict[str, Array], moments: PyTree) -> Array:
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
        )
    halves = [x if config.stride == 1 else x[:, ::2, ::2]]
    if op == "reduce":
        halves.append(odd_positions(x))
    parts = [
        nn.conv(half, weights[name], precision=config.precision, moments=own(name), fast=config.fast)
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


def _normalise(y: Array, args: EdgeArgs, norm: str) -> tuple[Array, Array, Array]:
    out, stats = nn.batch_norm(y, args.scale, args.shift, stats=(args.mean, args.var), mode=norm)
    assert stats is not None
    return out, stats[0], stats[1]


def _empty(config: EdgeConfig, node: Array, args: EdgeArgs) -> Array:
    """Zeros of the shape of the edge's output."""
    size = [-(-n // config.stride) for n in node.shape[1:3]]
    return jnp.zeros((node.shape[0], *size, args.scale.shape[0]), node.dtype)


# Inner jit: the edges of a cell are traced once.
@functools.partial(jax.jit, static_argnums=0)
def _edge_value(config: EdgeConfig, op: Array, node: Array, args: EdgeArgs) -> tuple[tuple[Array, Array, Array], Array]:
    """((edge output, running mean, running variance), convolution output)."""
    zero = _empty(config, node, args)

    def idle(out: Array) -> tuple[tuple[Array, Array, Array], Array]:
        return (out, args.mean, args.var), zero

    def convolved(name: str) -> tuple[tuple[Array, Array, Array], Array]:
        y = _convolve(config, name, node, args.weights, None)
        return _normalise(y, args, config.norm), y

    def branch(name: str) -> Any:
        if name in _CONVOLUTIONS:
            return lambda: convolved(name)
        pool = functools.partial(nn.avg_pool, node, 3, padding=1, fast=config.fast)
        free: dict[str, Any] = {"none": lambda: zero, "skip": lambda: node, "pool": pool}
        return lambda: idle(free[name]())

    return lax.switch(op, [branch(name) for name in config.ops])


@functools.partial(jax.jit, static_argnums=0)
def _edge_gradient(
    config: EdgeConfig, op: Array, node: Array, args: EdgeArgs, moments: PyTree, y: Array, dout: Array
) -> tuple[Array, EdgeArgs, PyTree]:
    """Gradients with respect to the node, the arrays of the edge, and the moments."""
    zero_args = jax.tree.map(jnp.zeros_like, args)
    zero_moments = jax.tree.map(jnp.zeros_like, moments)

    def idle(dnode: Array) -> Any:
        return dnode, zero_args, zero_moments

    def convolved(name: str) -> Any:
        used = {n: args.weights[n] for n in _names(name)}
        own = None if moments is None else {n: moments[n] for n in _names(name)}
        # The convolution output is at hand here; a reader of outputs need not wait for it to be computed again.
        of_samples, of_outputs = nn.split_readers(own)

        def after(y: Array, scale: Array, shift: Array, own: PyTree) -> Array:
            return _normalise(_observe(y, own), args._replace(scale=scale, shift=shift), config.norm)[0]

        def before(node: Array, weights: dict[str, Array], own: PyTree) -> Array:
            return _convolve(config, name, node, weights, own)

        dy, dscale, dshift, doutputs = jax.vjp(after, y, args.scale, args.shift, of_outputs)[1](dout)
        dnode, dweights, dsamples = jax.vjp(before, node, used, of_samples)[1](dy)
        new_moments = zero_moments if moments is None else {**zero_moments, **(dsamples or doutputs)}
        new_args = zero_args._replace(weights={**zero_args.weights, **dweights}, scale=dscale, shift=dshift)
        return dnode, new_args, new_moments

    def branch(name: str) -> Any:
        if name in _CONVOLUTIONS:
            return lambda: convolved(name)
        free: dict[str, Any] = {
            "none": lambda: jnp.zeros_like(node),
            "skip": lambda: dout,
            "pool": lambda: jax.vjp(lambda v: nn.avg_pool(v, 3, padding=1), node)[1](dout)[0],
        }
        return lambda: idle(free[name]())

    return lax.switch(op, [branch(name) for name in config.ops])


def _cell_value(config: CellConfig, arch: Array, x: Array, edges: tuple[EdgeArgs, ...]) -> Any:
    """((nodes, running means, running variances), convolution outputs of the six edges)."""
    nodes, stats, ys = [x], [], []
    for target in (1, 2, 3):
        total: Any = 0
        for e, (source, end) in enumerate(EDGES):
            if end == target:
                (out, mean, var), y = _edge_value(config.edge(e), arch[e], nodes[source], edges[e])
                total = total + out
                stats.append((mean, var))
                ys.append(y)
        nodes.append(total)
    means, variances = (jnp.stack([s[i] for s in stats]) for i in range(2))
    return (tuple(nodes), means, variances), tuple(ys)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def cell(
    config: CellConfig, arch: Array, x: Array, edges: tuple[EdgeArgs, ...], moments: tuple[PyTree, ...]
) -> tuple[tuple[Array, ...], Array, Array]:
    """Nodes and running statistics of one cell.

    Its own vjp keeps one array of residuals an edge: autodiff of a switch would keep those of every branch.

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
    return _cell_value(config.plain(), arch, x, edges)[0]


def _cell_fwd(config: CellConfig, arch: Array, x: Array, edges: tuple[EdgeArgs, ...], moments: Any) -> Any:
    # What is differentiated further is this function, by forward mode (GraSP): layers with a vjp of their own refuse.
    out, ys = _cell_value(config.plain(), arch, x, edges)
    return out, (arch, edges, moments, out[0][:3], ys)


def _cell_bwd(config: CellConfig, saved: Any, cotangents: tuple[tuple[Array, ...], Array, Array]) -> Any:
    arch, edges, moments, nodes, ys = saved
    dnodes = list(cotangents[0])  # running statistics carry no gradient
    grads: list[Any] = []
    # Edges are ordered by target, so in reverse a node's gradient is complete before it is read.
    for e, (source, target) in reversed(list(enumerate(EDGES))):
        dnode, dedge, dmoments = _edge_gradient(
            config.edge(e), arch[e], nodes[source], edges[e], moments[e], ys[e], dnodes[target]
        )
        dnodes[source] = dnodes[source] + dnode
        grads.append((dedge, dmoments))
    dedges, dmoments = (tuple(g[i] for g in reversed(grads)) for i in range(2))
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
