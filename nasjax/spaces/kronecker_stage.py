"""A stage of a Kronecker network as one program for all architectures.

The vertices run one after another in a loop over a buffer of their outputs. Which slots they take, what they read and
their operation are data. On CPU the loop ends with the last live vertex and a vertex visits its own predecessors alone;
elsewhere it sums over all slots, weighted by 0 where there is no edge, which is one matrix product and can be batched.
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
from nasjax.spaces.kronecker_codec import CENTRE, IDENTITY, KERNEL, OPS, POOL
from nasjax.spaces.kronecker_plan import Order
from nasjax.types import Array, PyTree


class StageConfig(NamedTuple):
    """Static options of a stage.

    Attributes:
      norm: batch-norm mode.
      precision: matrix precision.
    """

    norm: str
    precision: Any


class StageArrays(NamedTuple):
    """Arrays that a stage owns, a row a slot.

    Attributes:
      kernels: float [V, 3, 3, C, C].
      scale: float [V, C], of the norms.
      shift: float [V, C].
      merge: float [V, V], weight of each edge (from, to), 0 where there is none.
    """

    kernels: Array
    scale: Array
    shift: Array
    merge: Array


class StageResult(NamedTuple):
    """What a stage gives.

    Attributes:
      nodes: float [V, batch, height, width, C], outputs of the vertices; 0 for slots without one.
      totals: the same shape, what the vertices' rectifiers read.
      mean: float [V, C], running means.
      var: float [V, C], running variances.
    """

    nodes: Array
    totals: Array
    mean: Array
    var: Array


def operate(config: StageConfig, op: int, total: Array, kernel: Array, moments: PyTree, fast: bool | None) -> Array:
    """Rectifier and operation of a vertex."""
    x = jax.nn.relu(total)
    if op == IDENTITY:
        return x
    if op == POOL:
        return nn.max_pool(x, 3, fast=fast)
    if op == CENTRE:
        kernel, moments = jax.tree.map(lambda a: a[1:2, 1:2], (kernel, moments))
    return nn.conv(x, kernel, precision=config.precision, moments=moments, fast=fast)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _gather(order: Order, slot: Array, entry: Array, merge: Array, nodes: Array) -> Array:
    """What a vertex reads: what enters the stage there, and the weighted sum of its predecessors."""
    row = order.entry[slot]
    start = jnp.where(row >= 0, entry[jnp.maximum(row, 0)], 0)
    if not _on_cpu():
        return start + jnp.tensordot(merge[:, slot], nodes, 1, precision="highest")

    def add(j: Array, total: Array) -> Array:
        source = order.sources[slot, j]
        return total + merge[source, slot] * nodes[source]

    return lax.fori_loop(0, order.degree[slot], add, start)


def _turns(order: Order) -> Any:
    """Turns of the loop over vertices."""
    return order.count if _on_cpu() else len(order.live)


def _norm(
    config: StageConfig, y: Array, scale: Array, shift: Array, stats: tuple[Array, Array], seen: Array, fast: bool
) -> Array:
    """Norm of a vertex; ``seen`` [2, C] are the moments of ``y``, for mode "batch"."""
    whole, _ = nn.batch_mode(config.norm)
    moments = (seen[0].reshape(1, 1, 1, -1), seen[1].reshape(1, 1, 1, -1)) if whole else None
    return nn.batch_norm(y, scale, shift, stats=stats, mode=config.norm, moments=moments, fast=fast)[0]


class _Run(NamedTuple):
    nodes: Array
    totals: Array
    outputs: Array  # of the operations
    seen: Array  # moments of these, [V, 2, C]


def run(
    config: StageConfig, order: Order, entry: Array, arrays: StageArrays, stats: tuple[Array, Array]
) -> _Run:
    """The forward pass, with all that the backward pass needs."""
    size, width = entry.shape[1:4], arrays.scale.shape[1]
    empty = jnp.zeros((len(order.live), *size, width), entry.dtype)

    def step(i: Array, state: _Run) -> _Run:
        slot = order.slots[i]
        total = _gather(order, slot, entry, arrays.merge, state.nodes)
        total = total if _on_cpu() else jnp.where(order.live[slot], total, 0)
        branches: list[Any] = [
            lambda own, y, op=op: operate(config, op, own[0], own[1], None, False) for op in range(len(OPS))
        ]
        kernel = arrays.kernels[slot]
        y = update(order.ops[slot], [*branches, None], (total, kernel), jnp.zeros((*size, width), entry.dtype))
        seen = jnp.zeros((2, width), y.dtype)
        whole, axis = nn.batch_mode(config.norm)
        if whole:
            seen = jnp.stack([m.reshape(-1) for m in nn.batch_moments(y, axis=axis)])
        own = (stats[0][slot], stats[1][slot])
        z = _norm(config, y, arrays.scale[slot], arrays.shift[slot], own, seen, False)
        z = z if _on_cpu() else jnp.where(order.live[slot], z, 0)
        return _Run(*(buffer.at[slot].set(new) for buffer, new in zip(state, (z, total, y, seen), strict=True)))

    start = _Run(empty, empty, empty, jnp.zeros((len(order.live), 2, width), entry.dtype))
    return lax.fori_loop(0, _turns(order), step, start)


def running(config: StageConfig, order: Order, found: _Run, stats: tuple[Array, Array]) -> tuple[Array, Array]:
    """Running statistics after the stage."""
    whole, axis = nn.batch_mode(config.norm)
    if not whole:
        return stats
    count = nn.batch_count(found.nodes[0], axis=axis)
    new = nn.running_stats(stats, (found.seen[:, 0], found.seen[:, 1]), count)
    live = jnp.asarray(order.live)[:, None]
    return jnp.where(live, new[0], stats[0]), jnp.where(live, new[1], stats[1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def stage(
    config: StageConfig,
    order: Order,
    entry: Array,
    arrays: StageArrays,
    stats: tuple[Array, Array],
    moments: PyTree,
) -> StageResult:
    """Runs a stage.

    Its own vjp keeps inputs, operation outputs and vertex outputs: autodiff of a loop would keep those of every
    branch, and convolve slowly. Running statistics carry no gradient.

    Args:
      config: static options.
      order: see `nasjax.spaces.kronecker_plan.order`.
      entry: float [rows, batch, height, width, C], what enters.
      arrays: see `StageArrays`.
      stats: running mean and variance, float [V, C] each.
      moments: zeros of a reader of `nasjax.nn.readers` shaped like the kernels, or None.

    Returns:
      outputs and running statistics.
    """
    del moments
    found = run(config, order, entry, arrays, stats)
    return StageResult(found.nodes, found.totals, *running(config, order, found, stats))


def _fwd(
    config: StageConfig,
    order: Order,
    entry: Array,
    arrays: StageArrays,
    stats: tuple[Array, Array],
    moments: PyTree,
) -> Any:
    found = run(config, order, entry, arrays, stats)
    result = StageResult(found.nodes, found.totals, *running(config, order, found, stats))
    return result, (order, entry, arrays, stats, moments, found)


class _Gradients(NamedTuple):
    nodes: Array
    entry: Array
    arrays: StageArrays
    moments: PyTree


def _op_gradient(
    config: StageConfig, op: Array, total: Array, kernel: Array, moments: PyTree, dy: Array
) -> tuple[Array, Array, PyTree]:
    """Gradients of the rectifier's input, of the kernel, and readings."""

    def branch(number: int) -> Any:
        def gradient(own: Any, state: Any) -> Any:
            total, kernel, moments, dy = own
            if number in (KERNEL, CENTRE):
                function = lambda t, k, m: operate(config, number, t, k, m, None)  # noqa: E731
                return jax.vjp(function, total, kernel, moments)[1](dy)
            dtotal = jax.vjp(lambda t: operate(config, number, t, kernel, None, None), total)[1](dy)[0]
            return dtotal, *state[1:]

        return gradient

    zeros = jax.tree.map(jnp.zeros_like, (total, kernel, moments))
    branches = [*(branch(number) for number in range(len(OPS))), None]
    out: tuple[Array, Array, PyTree] = update(op, branches, (total, kernel, moments, dy), zeros)
    return out


def _scatter(
    order: Order, slot: Array, dtotal: Array, arrays: StageArrays, nodes: Array, out: _Gradients
) -> _Gradients:
    """Adds the gradient of what a vertex reads to those of its predecessors, and of the merge weights."""
    row = jnp.maximum(order.entry[slot], 0)
    dentry = out.entry.at[row].add(jnp.where(order.entry[slot] >= 0, dtotal, 0))
    merge = arrays.merge
    if not _on_cpu():
        own = merge[:, slot]
        dnodes = out.nodes + own.reshape(-1, *(1,) * dtotal.ndim) * dtotal[None]
        dmerge = jnp.tensordot(nodes, dtotal, dtotal.ndim, precision="highest")
        return out._replace(
            nodes=dnodes, entry=dentry, arrays=out.arrays._replace(merge=out.arrays.merge.at[:, slot].set(dmerge))
        )

    def add(j: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        dnodes, dmerge = state
        source = order.sources[slot, j]
        dmerge = dmerge.at[source, slot].set((nodes[source] * dtotal).sum())
        return dnodes.at[source].add(merge[source, slot] * dtotal), dmerge

    dnodes, dmerge = lax.fori_loop(0, order.degree[slot], add, (out.nodes, out.arrays.merge))
    return out._replace(nodes=dnodes, entry=dentry, arrays=out.arrays._replace(merge=dmerge))


def _bwd(config: StageConfig, saved: Any, cotangents: StageResult) -> Any:
    order, entry, arrays, stats, moments, found = saved
    turns = _turns(order)

    def step(i: Array, out: _Gradients) -> _Gradients:
        slot = order.slots[turns - 1 - i]
        live = order.live[slot]
        dz = out.nodes[slot]
        dz = dz if _on_cpu() else jnp.where(live, dz, 0)

        def norm(y: Array, scale: Array, shift: Array) -> Array:
            own = (stats[0][slot], stats[1][slot])
            return _norm(config, y, scale, shift, own, found.seen[slot], True)

        given = (found.outputs[slot], arrays.scale[slot], arrays.shift[slot])
        dy, dscale, dshift = jax.vjp(norm, *given)[1](dz)
        own_moments = jax.tree.map(lambda a: a[slot], moments)
        dtotal, dkernel, dmoments = _op_gradient(
            config, order.ops[slot], found.totals[slot], arrays.kernels[slot], own_moments, dy
        )
        dtotal = dtotal + cotangents.totals[slot]
        dtotal = dtotal if _on_cpu() else jnp.where(live, dtotal, 0)
        out = _scatter(order, slot, dtotal, arrays, found.nodes, out)
        new = (dkernel, dscale, dshift)
        fields = ("kernels", "scale", "shift")
        rows = {f: getattr(out.arrays, f).at[slot].set(d) for f, d in zip(fields, new, strict=True)}
        readings = jax.tree.map(lambda a, d: a.at[slot].set(d), out.moments, dmoments)
        return out._replace(arrays=out.arrays._replace(**rows), moments=readings)

    zeros = jax.tree.map(jnp.zeros_like, (entry, arrays, moments))
    out = lax.fori_loop(0, turns, step, _Gradients(cotangents.nodes, *zeros))
    none = jax.tree.map(lambda a: np.zeros(a.shape, jax.dtypes.float0), order)
    return none, out.entry, out.arrays, jax.tree.map(jnp.zeros_like, stats), out.moments


stage.defvjp(_fwd, _bwd)


def unrolled(
    config: StageConfig,
    order: Order,
    entry: Array,
    arrays: StageArrays,
    stats: tuple[Array, Array],
    moments: PyTree,
) -> StageResult:
    """As `stage`, for one architecture whose order is NumPy: only what it has is in the program."""
    rows = {name: _rows(getattr(arrays, name)) for name in ("kernels", "scale", "shift")}
    size, width = entry.shape[1:4], arrays.scale.shape[1]
    zero = jnp.zeros((*size, width), entry.dtype)
    nodes, totals = [zero] * len(order.live), [zero] * len(order.live)
    new = [_rows(field) for field in stats]
    for slot in np.asarray(order.slots)[: int(order.count)].tolist():
        terms = [entry[int(order.entry[slot])]] if order.entry[slot] >= 0 else []
        terms += [
            arrays.merge[source, slot] * nodes[source] for source in order.sources[slot, : order.degree[slot]].tolist()
        ]
        total = functools.reduce(jnp.add, terms)
        own = jax.tree.map(lambda a, slot=slot: a[slot], moments)
        y = operate(config, int(order.ops[slot]), total, rows["kernels"][slot], own, None)
        nodes[slot], seen = nn.batch_norm(
            y, rows["scale"][slot], rows["shift"][slot], stats=(new[0][slot], new[1][slot]), mode=config.norm, fast=True
        )
        assert seen is not None
        totals[slot], new[0][slot], new[1][slot] = total, *seen
    return StageResult(jnp.stack(nodes), jnp.stack(totals), jnp.stack(new[0]), jnp.stack(new[1]))


def _rows(a: Array) -> list[Array]:
    """Rows of an array, whose gradients are concatenated rather than added."""
    return [row[0] for row in jnp.split(a, len(a))]
