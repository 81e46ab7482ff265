"""The NAS-Bench-201 network (AutoDL and NASLib form) as one program for every cell.

Stem, three stages of cells with a residual block of stride 2 between them, norm, pooling, classifier
(Dong and Yang, NAS-Bench-201, ICLR 2020). Cells of a stage run in one ``lax.scan``, every edge is a
``lax.switch`` over the five operations, so the architecture is data.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.spaces import initial
from nasjax.spaces.cell201 import EDGES
from nasjax.spaces.cells import CellConfig, EdgeArgs, EdgeConfig, cell, rescale, split_edges
from nasjax.spaces.runner import Forward as Forward
from nasjax.types import Array, Output, PyTree, Site, Tap

OPS = ("none", "skip", "pointwise", "kernel", "pool")
POINTWISE, KERNEL = OPS.index("pointwise"), OPS.index("kernel")

# (input, arrays of the cell) -> (nodes, running means, running variances); the arrays are those of `forward`, one cell.
RunCell = Callable[[Array, PyTree], tuple[Any, Array, Array]]


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


def init_params(key: Array, sizes: Sizes, law: str, dtype: Any) -> PyTree:
    """Random parameters: weights by ``law``, norms at one and zero, classifier bias as torch draws it (or zero)."""
    laws = jax.tree.map(lambda s: initial.weight(s, law), weight_shapes(sizes), is_leaf=initial.is_shape)
    weights, bias = initial.draw(key, (laws, initial.bias(sizes.num_classes, sizes.widths()[2], law)), dtype)
    return {"weights": weights, "bias": bias, **initial.norms(norm_shapes(sizes), dtype)[0]}


def init_stats(sizes: Sizes, dtype: Any) -> PyTree:
    """Running statistics of a fresh network: mean 0, variance 1."""
    return initial.norms(norm_shapes(sizes), dtype)[1]


def chosen_cell(options: Forward, arch: Array) -> RunCell:
    """What runs the cells of an architecture int [6]."""
    edge = EdgeConfig(options.norm, options.precision, OPS)
    config = CellConfig(edge, edge)

    def run_cell(x: Array, own: PyTree) -> Any:
        edges = split_edges(EdgeArgs(*(own[f] for f in EdgeArgs._fields)))
        return cell(config, arch, x, edges, split_edges(own["moments"]))

    return run_cell


def _stage(
    options: Forward,
    run_cell: RunCell,
    x: Array,
    log_scale: Array,
    stage: PyTree,
    calls: Array,
    name: str,
    tap: Tap | None,
) -> tuple[Array, Array, tuple[Array, Array], PyTree]:
    def step(carry: tuple[Array, Array], xs: tuple[PyTree, Array]) -> Any:
        (x, log_scale), (own, calls) = carry, xs
        nodes, means, variances = run_cell(x, own)
        taps = {}
        if tap is not None:
            taps = {f"node{i}": tap(Site(f"{name}/node{i}", calls[i]), nodes[i]) for i in range(3)}
        x, log_scale = rescale(nodes[3], log_scale, options.rescale)
        return (x, log_scale), (means, variances, taps)

    (x, log_scale), (means, variances, taps) = lax.scan(step, (x, log_scale), (stage, calls))
    return x, log_scale, (means, variances), {f"{name}/{node}": value for node, value in taps.items()}


def forward(
    options: Forward,
    params: PyTree,
    stats: PyTree,
    run_cell: RunCell,
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
      run_cell: what runs the cells, such as `chosen_cell`.
      images: float [batch, height, width, in_channels].
      calls: activation calls of every tap site, int32 [..., 10].
      tap: called at every site on the input of its rectifier, or None.
      moments: zeros of a reader of `nasjax.nn.readers`, shaped like the weights, or None.

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
        running = (pick(stats["mean"]), pick(stats["var"]))
        y, new = nn.batch_norm(x, pick(scale), pick(shift), stats=running, mode=options.norm, fast=True)
        assert new is not None
        return y, new[0], new[1]

    def conv(x: Array, *path: Any, **kwargs: Any) -> Array:
        pick = lambda tree: functools.reduce(lambda t, k: t[k], path, tree)  # noqa: E731
        own = None if moments is None else pick(moments)
        return nn.conv(x, pick(weights), precision=options.precision, moments=own, together=True, **kwargs)

    def activation(x: Array, name: str) -> Array:
        if tap is not None:
            taps[name] = tap(Site(name, calls[name]), x)
        return jax.nn.relu(x)

    x, mean["stem"], var["stem"] = norm(conv(images, "stem"), "stem")
    x, log_scale = rescale(x, log_scale, options.rescale)
    mean["stages"], var["stages"], mean["reductions"], var["reductions"] = [], [], [], []
    for s in range(3):
        stage = {
            "weights": weights["stages"][s],
            "scale": scale["stages"][s],
            "shift": shift["stages"][s],
            "mean": stats["mean"]["stages"][s],
            "var": stats["var"]["stages"][s],
            "moments": None if moments is None else moments["stages"][s],
        }
        name = f"stage{s}"
        x, log_scale, new, stage_taps = _stage(options, run_cell, x, log_scale, stage, calls[name], name, tap)
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
        x, log_scale = rescale(x, log_scale, options.rescale)
        mean["reductions"].append({"conv_a": mean_a, "conv_b": mean_b})
        var["reductions"].append({"conv_a": var_a, "conv_b": var_b})
    x, mean["head"], var["head"] = norm(x, "head")
    x = activation(x, "head").mean((1, 2))
    own = None if moments is None else moments["head"]
    logits = nn.linear(x, weights["head"], bias=params["bias"], precision=options.precision, moments=own)
    for tree in (mean, var):
        tree["stages"], tree["reductions"] = tuple(tree["stages"]), tuple(tree["reductions"])
    return logits, {"mean": mean, "var": var}, taps, log_scale


def output(options: Forward, params: PyTree, stats: PyTree, *given: Any) -> Output:
    """Result of `forward`, whose arguments it takes; the factor is in ``taps["log_scale"]`` where there may be one."""
    logits, stats, taps, log_scale = forward(options, params, stats, *given)
    return Output(logits, stats, {**taps, "log_scale": log_scale} if options.rescale else taps)
