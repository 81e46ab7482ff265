"""Kronecker networks: stem, stages of vertices, crossings between stages, classifier.

Two execution forms share this file. Masked: graph and operations are data, one program for all architectures. Unrolled:
one architecture's program, with what it has alone. They agree in loss and gradients up to rounding.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax import nn
from nasjax.spaces import kronecker_stage as stages
from nasjax.spaces.kronecker_params import interleaved
from nasjax.spaces.kronecker_plan import Order, Sizes, Wiring, order
from nasjax.spaces.kronecker_stage import StageArrays, StageConfig, StageResult
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Runner
from nasjax.types import Array, InputError, PyTree, Site


def check_image(sizes: Sizes, height: int, width: int) -> None:
    """Refuses images that the strides do not divide.

    Raises:
      InputError: a side is no multiple of the network's stride.
    """
    stride = sizes.stem_stride * 2 ** (sizes.num_stages - 1)
    if height % stride or width % stride or min(height, width) < stride:
        raise InputError(
            f"kronecker: images of {height}x{width} with {sizes.num_stages} stages; "
            f"allowed are multiples of {stride}, which every stage halves."
        )


def _merge(run: Runner, name: str, part: str, edges: Any) -> Array:
    """Weights of edges: the sigmoid of their parameters, 0 where there is no edge."""
    weights = jax.nn.sigmoid(run.params["merge"][name][part])
    return jnp.where(jnp.asarray(edges), weights, 0)


def _arrays(run: Runner, name: str, edges: Any) -> tuple[StageArrays, tuple[Array, Array], PyTree]:
    """Arrays of a stage, its running statistics, and its readers or None."""
    params = run.params
    merge = _merge(run, name, "same", edges)
    arrays = StageArrays(params["weights"][name]["vertex"], params["scale"][name], params["shift"][name], merge)
    return arrays, (run.mean[name], run.var[name]), run.own_moments(name, "vertex")


def _projected(run: Runner, sums: Array, name: str, form: Any) -> Array:
    """A 1x1 convolution for each row of sums [K, batch, h, w, c]."""
    kernels, moments = run.params["weights"][name]["project"], run.own_moments(name, "project")

    def one(x: Array, kernel: Array, own: PyTree) -> Array:
        return nn.conv(x, kernel, precision=run.options.precision, moments=own)

    if form is None:
        _, out = lax.scan(lambda carry, xs: (carry, one(*xs)), None, (sums, kernels, moments))
        return out
    rows = [one(sums[k], kernels[k], jax.tree.map(lambda a, k=k: a[k], moments)) for k in range(len(kernels))]
    return jnp.stack([row if form[k] else jnp.zeros_like(row) for k, row in enumerate(rows)])


def _crossing(run: Runner, sizes: Sizes, graph: Wiring, s: int, nodes: Array, *, static: bool) -> Array:
    """What enters stage ``s`` at its slots that read the stage before: float [K, batch, h, w, C].

    The average pool comes before the weighted sum, which changes nothing but the work.
    """
    if graph.cross[s] is None:  # no way in
        size = (nodes.shape[2] // 2, nodes.shape[3] // 2)
        return jnp.zeros((1, nodes.shape[1], *size, sizes.outs(s)), nodes.dtype)
    read = sizes.slots_of(sizes.read(s - 1))
    sources = nodes[int(read[0]) : int(read[-1]) + 1] if len(read) == read[-1] - read[0] + 1 else nodes[read]
    flat = sources.reshape(-1, *sources.shape[2:])
    pooled = nn.avg_pool(flat, 2, stride=2, padding="VALID", fast=False)
    pooled = pooled.reshape(*sources.shape[:2], *pooled.shape[1:])
    merge = _merge(run, f"stage{s}", "cross", graph.cross[s])
    sums = jnp.einsum("pk,pbhwc->kbhwc", merge, pooled, precision="highest")
    return _projected(run, sums, f"stage{s}", np.asarray(graph.cross[s]).any(0) if static else None)


def _stage(run: Runner, sizes: Sizes, graph: Wiring, s: int, entry: Array, *, static: bool) -> StageResult:
    """Runs a stage; statistics and taps go to the runner."""
    name, config = f"stage{s}", StageConfig(run.options.norm, run.options.precision)
    own: Order = order(np if static else jnp, sizes, graph, s)
    arrays, stats, moments = _arrays(run, name, graph.same[s])
    function = stages.unrolled if static else stages.stage
    result = function(config, own if static else Order(*map(jnp.asarray, own)), entry, arrays, stats, moments)
    run.set_stats(result.mean, result.var, name)
    if run.tap is not None:
        site, tap = f"{name}/vertex", run.tap
        run.taps[site] = lax.map(lambda pair: tap(Site(site, pair[0]), pair[1]), (run.calls[site], result.totals))
    return result


def forward(run: Runner, sizes: Sizes, graph: Wiring, images: Array, *, static: bool) -> Array:
    """Runs the network.

    Args:
      run: at its start.
      sizes: static sizes.
      graph: of the architecture; NumPy where ``static``.
      images: float [batch, height, width, in_channels].
      static: whether the program is for this architecture alone.

    Returns:
      logits float [batch, num_classes].

    Raises:
      InputError: the strides do not divide the images.
    """
    check_image(sizes, *images.shape[1:3])
    x = run.norm(run.conv(images, "stem", stride=sizes.stem_stride, padding=1), "stem")
    nodes = run.rescale(x)[None]
    for s in range(sizes.num_stages):
        entry = _crossing(run, sizes, graph, s, nodes, static=static) if s else nodes
        nodes = run.rescale(_stage(run, sizes, graph, s, entry, static=static).nodes)
    ends = jnp.asarray(graph.ends).astype(images.dtype)
    mean = jnp.einsum("v,vbhwc->bhwc", ends / jnp.maximum(ends.sum(), 1), nodes, precision="highest")
    if sizes.head_relu:
        mean = run.activation(mean, "head")
    return run.linear(mean.mean((1, 2)), "head")


def layer_outputs(run: Runner, sizes: Sizes, graph: Wiring, images: Array, visit: OutputVisit) -> list[PyTree]:
    """What ``visit`` makes of the outputs of all layers; see `nasjax.spaces.optional.HasLayerOutputs`."""
    check_image(sizes, *images.shape[1:3])
    convolved = run.conv(images, "stem", stride=sizes.stem_stride, padding=1)
    shown = [visit(convolved[None])]
    nodes = entry = run.norm(convolved, "stem")[None]
    for s in range(sizes.num_stages):
        name, project = f"stage{s}", None
        if s:
            entry = _crossing(run, sizes, graph, s, nodes, static=False)
            project = None if graph.cross[s] is None else entry
        arrays, stats, _ = _arrays(run, name, graph.same[s])
        own = Order(*map(jnp.asarray, order(jnp, sizes, graph, s)))
        found = stages.run(StageConfig(run.options.norm, run.options.precision), own, entry, arrays, stats)
        ops = jnp.asarray(graph.ops[s])
        convolves = ((ops == stages.KERNEL) | (ops == stages.CENTRE)).reshape(-1, 1, 1, 1, 1)
        outputs = jnp.where(convolves, found.outputs, 0)
        shown.append(visit(interleaved(sizes, s, outputs, project)))
        nodes = found.nodes
    ends = jnp.asarray(graph.ends).astype(images.dtype)
    mean = jnp.einsum("v,vbhwc->bhwc", ends / jnp.maximum(ends.sum(), 1), nodes, precision="highest")
    features = (jax.nn.relu(mean) if sizes.head_relu else mean).mean((1, 2))
    return [*shown, visit(run.linear(features, "head")[None])]
