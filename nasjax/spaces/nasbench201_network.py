"""The NAS-Bench-201 network (AutoDL and NASLib form) as one program for every cell.

Stem, three stages of cells with a residual block of stride 2 between them, norm, pooling, classifier
(Dong and Yang, NAS-Bench-201, ICLR 2020). Cells of a stage run in one ``lax.scan``, every edge is a
``lax.switch`` over the five operations, so the architecture is data.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax import nn
from nasjax.spaces.cell201 import EDGES
from nasjax.types import Array, PyTree, Site, Tap

POINTWISE, KERNEL = 2, 3  # positions of nor_conv_1x1 and nor_conv_3x3 among the operations
INIT_LAWS = ("torch", "kaiming_fan_in", "kaiming_fan_out", "normal")


class Sizes(NamedTuple):
    """Static sizes of the network."""

    channels: int
    cells: int
    num_classes: int
    in_channels: int

    def widths(self) -> tuple[int, int, int]:
        """Channels of the three stages."""
        return self.channels, 2 * self.channels, 4 * self.channels


def weight_shapes(sizes: Sizes) -> PyTree:
    """Shapes of all convolution and linear weights, every operation of every edge included."""
    n, edges = sizes.cells, len(EDGES)
    stages = tuple({"pointwise": (n, edges, 1, 1, c, c), "kernel": (n, edges, 3, 3, c, c)} for c in sizes.widths())
    reductions = tuple(
        {"conv_a": (3, 3, c, 2 * c), "conv_b": (3, 3, 2 * c, 2 * c), "shortcut": (1, 1, c, 2 * c)}
        for c in sizes.widths()[:2]
    )
    return {
        "stem": (3, 3, sizes.in_channels, sizes.channels),
        "stages": stages,
        "reductions": reductions,
        "head": (sizes.widths()[2], sizes.num_classes),
    }


def norm_shapes(sizes: Sizes) -> PyTree:
    """Shapes of one vector of every batch norm."""
    widths = sizes.widths()
    return {
        "stem": (sizes.channels,),
        "stages": tuple((sizes.cells, len(EDGES), c) for c in widths),
        "reductions": tuple({"conv_a": (2 * c,), "conv_b": (2 * c,)} for c in widths[:2]),
        "head": (widths[2],),
    }


def _is_shape(node: Any) -> bool:
    return isinstance(node, tuple) and all(isinstance(v, int) for v in node)


def _scale(shape: tuple[int, ...], law: str) -> float:
    """Half-width of the uniform, or deviation of the normal law; the last two axes of a shape are (in, out)."""
    kernel = math.prod(shape[-4:-2]) if len(shape) >= 4 else 1
    fan_in, fan_out = shape[-2] * kernel, shape[-1] * kernel
    if law == "torch":
        return 1.0 / math.sqrt(fan_in)
    return {"kaiming_fan_in": math.sqrt(2 / fan_in), "kaiming_fan_out": math.sqrt(2 / fan_out), "normal": 1.0}[law]


def init_params(key: Array, sizes: Sizes, law: str, dtype: Any) -> PyTree:
    """Random parameters: weights by ``law``, norms at one and zero, classifier bias as torch draws it (or zero)."""
    leaves, tree = jax.tree.flatten(weight_shapes(sizes), is_leaf=_is_shape)
    shapes = [*leaves, (sizes.num_classes,)]
    counts = [math.prod(s) for s in shapes]
    # One draw for everything: a generator a tensor would make up most of the compile time.
    if law == "torch":
        flat = jax.random.uniform(key, (sum(counts),), dtype, -1.0, 1.0)
    else:
        flat = jax.random.normal(key, (sum(counts),), dtype)
    parts = jnp.split(flat, np.cumsum(counts)[:-1])
    drawn = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    weights = jax.tree.unflatten(tree, [part * _scale(part.shape, law) for part in drawn[:-1]])
    bias = drawn[-1] / math.sqrt(sizes.widths()[2]) if law == "torch" else jnp.zeros_like(drawn[-1])
    norms = norm_shapes(sizes)
    return {
        "weights": weights,
        "scale": jax.tree.map(lambda s: jnp.ones(s, dtype), norms, is_leaf=_is_shape),
        "shift": jax.tree.map(lambda s: jnp.zeros(s, dtype), norms, is_leaf=_is_shape),
        "bias": bias,
    }


def init_stats(sizes: Sizes, dtype: Any) -> PyTree:
    """Running statistics of a fresh network: mean 0, variance 1."""
    norms = norm_shapes(sizes)
    return {
        "mean": jax.tree.map(lambda s: jnp.zeros(s, dtype), norms, is_leaf=_is_shape),
        "var": jax.tree.map(lambda s: jnp.ones(s, dtype), norms, is_leaf=_is_shape),
    }


class _EdgeArgs(NamedTuple):
    """Arrays one edge owns."""

    pointwise: Array
    kernel: Array
    scale: Array
    shift: Array
    mean: Array
    var: Array


class _EdgeConfig(NamedTuple):
    """Static options of an edge."""

    norm: str
    precision: Any


def _normalise(y: Array, args: _EdgeArgs, norm: str) -> tuple[Array, Array, Array]:
    out, stats = nn.batch_norm(y, args.scale, args.shift, stats=(args.mean, args.var), mode=norm)
    assert stats is not None
    return out, stats[0], stats[1]


def _weight(args: _EdgeArgs, op: int) -> Array:
    return args.pointwise if op == POINTWISE else args.kernel


# Inner jit: six edges of a stage are traced once.
@functools.partial(jax.jit, static_argnums=0)
def _edge_value(
    config: _EdgeConfig, op: Array, node: Array, args: _EdgeArgs
) -> tuple[tuple[Array, Array, Array], Array]:
    """((edge output, running mean, running variance), convolution output)."""

    def idle(out: Array) -> tuple[tuple[Array, Array, Array], Array]:
        return (out, args.mean, args.var), jnp.zeros_like(node)

    def normal(position: int) -> tuple[tuple[Array, Array, Array], Array]:
        y = nn.conv(jax.nn.relu(node), _weight(args, position), precision=config.precision)
        return _normalise(y, args, config.norm), y

    branches = [
        lambda: idle(jnp.zeros_like(node)),
        lambda: idle(node),
        lambda: normal(POINTWISE),
        lambda: normal(KERNEL),
        lambda: idle(nn.avg_pool(node, 3, padding=1)),
    ]
    return lax.switch(op, branches)


@functools.partial(jax.jit, static_argnums=0)
def _edge_gradient(
    config: _EdgeConfig, op: Array, node: Array, args: _EdgeArgs, moments: PyTree, y: Array, dout: Array
) -> tuple[Array, _EdgeArgs, PyTree]:
    """Gradients with respect to the node, the arrays of the edge, and the moments."""
    zero_args = jax.tree.map(jnp.zeros_like, args)
    zero_moments = jax.tree.map(jnp.zeros_like, moments)

    def idle(dnode: Array) -> Any:
        return dnode, zero_args, zero_moments

    def normal(position: int) -> Any:
        name = "pointwise" if position == POINTWISE else "kernel"

        def after(y: Array, scale: Array, shift: Array) -> Array:
            return _normalise(y, args._replace(scale=scale, shift=shift), config.norm)[0]

        dy, dscale, dshift = jax.vjp(after, y, args.scale, args.shift)[1](dout)
        own = None if moments is None else moments[name]

        def before(node: Array, weight: Array, own: PyTree) -> Array:
            return nn.conv(jax.nn.relu(node), weight, precision=config.precision, moments=own)

        dnode, dweight, dmoments = jax.vjp(before, node, _weight(args, position), own)[1](dy)
        new_moments = zero_moments if moments is None else {**zero_moments, name: dmoments}
        return dnode, zero_args._replace(scale=dscale, shift=dshift, **{name: dweight}), new_moments

    branches = [
        lambda: idle(jnp.zeros_like(node)),
        lambda: idle(dout),
        lambda: normal(POINTWISE),
        lambda: normal(KERNEL),
        lambda: idle(jax.vjp(lambda v: nn.avg_pool(v, 3, padding=1), node)[1](dout)[0]),
    ]
    return lax.switch(op, branches)


def _edge_of(tree: PyTree, edge: int) -> PyTree:
    return jax.tree.map(lambda a: a[edge], tree)


def _cell_value(config: _EdgeConfig, arch: Array, x: Array, args: _EdgeArgs) -> Any:
    """((nodes, running means, running variances), convolution outputs of the six edges)."""
    nodes, stats, ys = [x], [], []
    for target in (1, 2, 3):
        total: Any = 0
        for e, (source, end) in enumerate(EDGES):
            if end == target:
                (out, mean, var), y = _edge_value(config, arch[e], nodes[source], _edge_of(args, e))
                total = total + out
                stats.append((mean, var))
                ys.append(y)
        nodes.append(total)
    means, variances = (jnp.stack([s[i] for s in stats]) for i in range(2))
    return (tuple(nodes), means, variances), tuple(ys)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _cell(
    config: _EdgeConfig, arch: Array, x: Array, args: _EdgeArgs, moments: PyTree
) -> tuple[tuple[Array, ...], Array, Array]:
    """Nodes and running statistics of one cell.

    Its own vjp keeps one array of residuals an edge: autodiff of a switch would keep those of every branch.
    """
    del moments
    return _cell_value(config, arch, x, args)[0]


def _cell_fwd(config: _EdgeConfig, arch: Array, x: Array, args: _EdgeArgs, moments: PyTree) -> Any:
    out, ys = _cell_value(config, arch, x, args)
    return out, (arch, args, moments, out[0][:3], ys)


def _cell_bwd(config: _EdgeConfig, saved: Any, cotangents: tuple[tuple[Array, ...], Array, Array]) -> Any:
    arch, args, moments, nodes, ys = saved
    dnodes = list(cotangents[0])  # running statistics carry no gradient
    grads: list[Any] = []
    # Edges are ordered by target, so in reverse a node's gradient is complete before it is read.
    for e, (source, target) in reversed(list(enumerate(EDGES))):
        dnode, dargs, dmoments = _edge_gradient(
            config, arch[e], nodes[source], _edge_of(args, e), _edge_of(moments, e), ys[e], dnodes[target]
        )
        dnodes[source] = dnodes[source] + dnode
        grads.append((dargs, dmoments))
    dargs, dmoments = jax.tree.map(lambda *leaves: jnp.stack(leaves), *reversed(grads))
    return np.zeros(arch.shape, jax.dtypes.float0), dnodes[0], dargs, dmoments


_cell.defvjp(_cell_fwd, _cell_bwd)


def _rescale(x: Array, log_scale: Array, enabled: bool) -> tuple[Array, Array]:
    """Moves the largest magnitude of x into the logarithm; the factor carries no gradient."""
    if not enabled:
        return x, log_scale
    top = lax.stop_gradient(jnp.max(jnp.abs(x)))
    top = jnp.where(top > 0, top, 1)
    return x / top, log_scale + jnp.log(top)


class Forward(NamedTuple):
    """Static options of a forward pass."""

    norm: str
    precision: Any
    rescale: bool


def _stage(
    options: Forward, arch: Array, x: Array, log_scale: Array, stage: PyTree, calls: Array, name: str, tap: Tap | None
) -> tuple[Array, Array, tuple[Array, Array], PyTree]:
    config = _EdgeConfig(options.norm, options.precision)

    def cell(carry: tuple[Array, Array], xs: tuple[PyTree, Array]) -> Any:
        (x, log_scale), (own, calls) = carry, xs
        args = _EdgeArgs(*(own[f] for f in _EdgeArgs._fields))
        nodes, means, variances = _cell(config, arch, x, args, own["moments"])
        taps = {}
        if tap is not None:
            taps = {f"node{i}": tap(Site(f"{name}/node{i}", calls[i]), nodes[i]) for i in range(3)}
        x, log_scale = _rescale(nodes[3], log_scale, options.rescale)
        return (x, log_scale), (means, variances, taps)

    (x, log_scale), (means, variances, taps) = lax.scan(cell, (x, log_scale), (stage, calls))
    return x, log_scale, (means, variances), {f"{name}/{node}": value for node, value in taps.items()}


def forward(
    options: Forward,
    params: PyTree,
    stats: PyTree,
    arch: Array,
    images: Array,
    calls: dict[str, Array],
    tap: Tap | None,
    moments: PyTree | None,
) -> tuple[Array, PyTree, PyTree, Array]:
    """Runs the network.

    Args:
      options: static options.
      params: see `init_params`.
      stats: see `init_stats`.
      arch: int [6].
      images: float [batch, height, width, in_channels].
      calls: activation calls of every tap site, int32 [..., 10].
      tap: called at every site on the input of its rectifier, or None.
      moments: tree of `nasjax.nn.Moments` shaped like the weights, or None.

    Returns:
      logits float [batch, num_classes]; new running statistics; taps; log of the factor by which the
      logits (without bias) were scaled down.
    """
    weights, scale, shift = params["weights"], params["scale"], params["shift"]
    mean: dict[str, Any] = {}
    var: dict[str, Any] = {}
    taps: dict[str, PyTree] = {}
    log_scale = jnp.zeros((), images.dtype)

    def norm(x: Array, *path: Any) -> tuple[Array, Array, Array]:
        pick = lambda tree: functools.reduce(lambda t, k: t[k], path, tree)  # noqa: E731
        y, new = nn.batch_norm(
            x, pick(scale), pick(shift), stats=(pick(stats["mean"]), pick(stats["var"])), mode=options.norm
        )
        assert new is not None
        return y, new[0], new[1]

    def conv(x: Array, *path: Any, **kwargs: Any) -> Array:
        pick = lambda tree: functools.reduce(lambda t, k: t[k], path, tree)  # noqa: E731
        own = None if moments is None else pick(moments)
        return nn.conv(x, pick(weights), precision=options.precision, moments=own, **kwargs)

    def activation(x: Array, name: str) -> Array:
        if tap is not None:
            taps[name] = tap(Site(name, calls[name]), x)
        return jax.nn.relu(x)

    x, mean["stem"], var["stem"] = norm(conv(images, "stem"), "stem")
    x, log_scale = _rescale(x, log_scale, options.rescale)
    mean["stages"], var["stages"], mean["reductions"], var["reductions"] = [], [], [], []
    for s in range(3):
        stage = {
            **weights["stages"][s],
            "scale": scale["stages"][s],
            "shift": shift["stages"][s],
            "mean": stats["mean"]["stages"][s],
            "var": stats["var"]["stages"][s],
            "moments": None if moments is None else moments["stages"][s],
        }
        name = f"stage{s}"
        x, log_scale, new, stage_taps = _stage(options, arch, x, log_scale, stage, calls[name], name, tap)
        taps |= stage_taps
        mean["stages"].append(new[0])
        var["stages"].append(new[1])
        if s == 2:
            break
        name = f"reduction{s}"
        h = activation(x, f"{name}/a")
        h, mean_a, var_a = norm(conv(h, "reductions", s, "conv_a", stride=2, padding=1), "reductions", s, "conv_a")
        h = activation(h, f"{name}/b")
        h, mean_b, var_b = norm(conv(h, "reductions", s, "conv_b"), "reductions", s, "conv_b")
        x = h + conv(nn.avg_pool(x, 2, stride=2, padding="VALID"), "reductions", s, "shortcut", padding="VALID")
        x, log_scale = _rescale(x, log_scale, options.rescale)
        mean["reductions"].append({"conv_a": mean_a, "conv_b": mean_b})
        var["reductions"].append({"conv_a": var_a, "conv_b": var_b})
    x, mean["head"], var["head"] = norm(x, "head")
    x = activation(x, "head").mean((1, 2))
    own = None if moments is None else moments["head"]
    logits = nn.linear(x, weights["head"], precision=options.precision, moments=own) + params["bias"][None]
    for tree in (mean, var):
        tree["stages"], tree["reductions"] = tuple(tree["stages"]), tuple(tree["reductions"])
    return logits, {"mean": mean, "var": var}, taps, log_scale
