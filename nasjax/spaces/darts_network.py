"""DARTS networks as one program for all architectures of given depth and width.

The cells of a stage have equal shapes and run in one ``lax.scan``; see `nasjax.spaces.darts_plan` for the skeleton.
Behind a reduction, even and odd pixels of the older output are put side by side, so that the first cell of a stage
reads arrays of the shapes that the others read: its entering convolutions are the two blocks of one kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_params as parameters
from nasjax.spaces import darts_stem as stem
from nasjax.spaces.cells import rescale
from nasjax.spaces.darts_cells import CellConfig, CellResult, cell, output
from nasjax.spaces.darts_ops import Edge, EdgeConfig, even_and_odd
from nasjax.spaces.darts_params import ENTRIES
from nasjax.spaces.darts_plan import Segment, Sizes
from nasjax.spaces.runner import Forward, Runner
from nasjax.types import Array, InputError, PyTree, Site, Tap, Variables

_AUXILIARY_POOL = 5  # pixels of a side of the pool of the auxiliary head
EDGE_WEIGHTS = ("depthwise", "pointwise", "skip")
RunCell = Callable[[CellConfig, Array, PyTree], CellResult]  # (options, inputs, arrays of the cell)


def check_image(sizes: Sizes, height: int, width: int, where: str) -> None:
    """Refuses images that the strides do not divide.

    Raises:
      InputError: a side is no multiple of the network's stride, or does not suit the auxiliary head.
    """
    stride = 2 ** sizes.halvings()
    if height % stride or width % stride or min(height, width) < stride:
        raise InputError(
            f"{where}={height if height == width else (height, width)} with {sizes.num_reductions()} reduction cells"
            f"{' behind a stem of stride 8' if sizes.kind.deep else ''}; "
            f"allowed are multiples of {stride}, so that every reduction halves the image; "
            f"do: take {max(-(-height // stride), 1) * stride}"
        )
    if sizes.auxiliary:
        halvings, step = sizes.halvings(sizes.auxiliary_cell + 1), sizes.kind.auxiliary_stride
        sides, least = [n // 2**halvings for n in (height, width)], _AUXILIARY_POOL + step
        if any(not least <= side < least + step for side in sides):
            raise InputError(
                f"{where}={height if height == width else (height, width)} with auxiliary=True, whose head sees "
                f"{sides[0]}x{sides[1]} pixels; allowed are {least} to {least + step - 1}, an image of "
                f"{least * 2**halvings}; "
                "do: take that, or auxiliary=False"
            )


def segment_arrays(run: Runner, segment: Segment) -> dict[str, PyTree]:
    """Arrays of the cells of a segment: weights, vectors, running statistics, readers."""
    name = segment.name
    weights = dict(run.params["weights"][name])
    if segment.entries[0][0].reduces:  # what lies beyond the blocks must get no gradient
        kernel = weights["pre0"]
        weights["pre0"] = jnp.where(parameters.entry_mask(segment, 0), kernel, jnp.zeros_like(kernel))
    own = {"weights": weights, "mean": run.mean[name], "var": run.var[name]}
    own |= {field: run.params[field][name] for field in ("scale", "shift")}
    if run.paths is not None:
        first = segment.cells[0]
        own["kept"] = run.paths[first] if segment.reduction else run.paths[first : first + len(segment.cells)]
    return own | {"moments": None if run.moments is None else run.moments[name]}


def enter(options: Forward, own: PyTree, name: str, x: Array) -> tuple[Array, tuple[Array, Array], Array]:
    """Rectifier, entering convolution and norm; new running statistics; output of the convolution."""
    reader = None if own["moments"] is None else own["moments"][name]
    y = nn.conv(jax.nn.relu(x), own["weights"][name], precision=options.precision, moments=reader)
    stats = (own["mean"][name], own["var"][name])
    affine = (own[field].get(name) for field in ("scale", "shift"))
    z, new = nn.batch_norm(y, *affine, stats=stats, mode=options.norm)
    assert new is not None
    return z, new, y


def edge_of(own: PyTree) -> tuple[Edge, PyTree]:
    """Arrays of the edges of a cell, and their readers or None."""
    weights = {name: own["weights"][name] for name in EDGE_WEIGHTS if name in own["weights"]}
    moments = None if own["moments"] is None else {name: own["moments"][name] for name in weights}
    affine = [own[field].get("edges") for field in ("scale", "shift")]
    return Edge(weights, affine[0], affine[1], own["mean"]["edges"], own["var"]["edges"], own.get("kept")), moments


def _read(tap: Tap | None, name: str, calls: Array, values: Array) -> dict[str, PyTree]:
    """What the tap makes of values with a leading axis, one after the other."""
    if tap is None:
        return {}
    return {name: lax.map(lambda pair: tap(Site(name, pair[0]), pair[1]), (calls, values))}


def one_cell(
    run: Runner,
    config: CellConfig,
    run_cell: RunCell,
    name: str,
    older: Array,
    newer: Array,
    own: PyTree,
    calls: dict[str, Array],
) -> tuple[Array, PyTree, dict[str, PyTree]]:
    """Output of a cell, its running statistics {"mean", "var"}, and what the tap returned by site."""
    entered = [enter(run.options, own, part, x) for part, x in zip(ENTRIES, (older, newer), strict=True)]
    inputs = jnp.stack([x for x, _, _ in entered])
    result = run_cell(config, inputs, own)
    stats: PyTree = {"mean": {"edges": result.mean}, "var": {"edges": result.var}}
    for part, (_, new, _) in zip(ENTRIES, entered, strict=True):
        stats["mean"][part], stats["var"][part] = new
    y = output(result)
    taps: dict[str, PyTree] = {}
    if run.tap is not None:
        if config.reduction:
            taps |= _read(run.tap, f"{name}/input", calls[f"{name}/input"], inputs)
        # Nothing in the cell reads the last node.
        taps |= _read(run.tap, f"{name}/node", calls[f"{name}/node"], result.nodes[:-1])
        assert result.inner is not None
        taps |= _read(run.tap, f"{name}/inner", calls[f"{name}/inner"], result.inner)
        site = f"{name}/output"
        taps[site] = run.tap(Site(site, calls[site]), y)
    return y, stats, taps


def widen(x: Array, channels: int) -> Array:
    """Zeros behind the channels."""
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, channels - x.shape[-1])))


def run_segment(
    run: Runner, sizes: Sizes, segment: Segment, run_cell: RunCell, older: Array, newer: Array
) -> tuple[Array, Array]:
    """Runs the cells of a segment: outputs of the last two cells before it -> those of the last two cells."""
    edge = EdgeConfig(run.options.norm, run.options.precision, sizes.kind.pool_norm)
    config = CellConfig(edge, segment.reduction, run.tap is not None)
    if segment.entries[0][0].reduces:
        older = jnp.concatenate(even_and_odd(older), -1)
    entered = newer.shape[-1]
    older, newer = (widen(x, width) for x, width in zip((older, newer), segment.widths(), strict=True))
    name = segment.name
    calls = {site: own for site, own in run.calls.items() if run.tap is not None and site.startswith(f"{name}/")}

    def step(carry: tuple[Array, Array, Array], xs: tuple[PyTree, dict[str, Array]]) -> Any:
        older, newer, log_scale = carry
        y, stats, taps = one_cell(run, config, run_cell, name, older, newer, *xs)
        y, total = rescale(y, log_scale, run.options.rescale)
        if run.options.rescale:  # both outputs that the next cell reads are scaled alike
            newer = newer * jnp.exp(log_scale - total)
        return (newer, y, total), (stats, taps)

    start = (older, newer, run.log_scale)
    if segment.reduction:
        (newer, y, run.log_scale), (stats, taps) = step(start, (segment_arrays(run, segment), calls))
    else:
        n = len(segment.cells)
        single = f"{name}/output"  # the one site that a cell has once
        calls = {site: c if site == single else c.reshape(n, -1, c.shape[-1]) for site, c in calls.items()}
        (newer, y, run.log_scale), (stats, taps) = lax.scan(step, start, (segment_arrays(run, segment), calls))
        flat = functools.partial(jax.tree.map, lambda a: a.reshape(-1, *a.shape[2:]))
        taps = {site: value if site == single else flat(value) for site, value in taps.items()}
    run.mean[name], run.var[name] = stats["mean"], stats["var"]
    run.taps |= taps
    # With one cell, the output before its own is what entered, without the padding.
    return (newer[..., :entered] if len(segment.cells) == 1 else newer), y


def _auxiliary(run: Runner, sizes: Sizes, x: Array) -> Array:
    """Logits of the auxiliary head: rectifier, pool, two convolutions, matrix."""
    weights = run.params["auxiliary"]
    x = nn.avg_pool(jax.nn.relu(x), _AUXILIARY_POOL, stride=sizes.kind.auxiliary_stride, padding="VALID")
    for i, name in enumerate(("first", "second")):
        y = nn.conv(x, weights[name], padding="VALID", precision=run.options.precision)
        x = jax.nn.relu(run.norm(y, "auxiliary", name) if i < sizes.kind.auxiliary_norms else y)
    flat = x.reshape(x.shape[0], -1)
    return run.bias(nn.linear(flat, weights["head"], precision=run.options.precision), "auxiliary")


def forward(
    options: Forward,
    sizes: Sizes,
    variables: Variables,
    run_cell: RunCell,
    images: Array,
    calls: dict[str, Array],
    tap: Tap | None,
    moments: PyTree | None,
    auxiliary: bool,
    paths: Array | None = None,
) -> tuple[Array, Array | None, Runner]:
    """Runs the network.

    Args:
      options: static options.
      sizes: static sizes.
      variables: see `nasjax.spaces.darts_params`.
      run_cell: what runs the edges of a cell.
      images: float [batch, height, width, in_channels].
      calls: activation calls of every tap site.
      tap: called at every site on the input of its rectifiers, or None.
      moments: tree of readers shaped like the weights, or None.
      auxiliary: whether the auxiliary head runs.
      paths: float [cells, 8, batch], what the output of each edge is multiplied by, but for identities; or None.

    Returns:
      logits float [batch, num_classes]; those of the auxiliary head, or None; the runner with statistics, taps and
      scale.

    Raises:
      InputError: the strides do not divide the images.
    """
    check_image(sizes, images.shape[1], images.shape[2], "image size")
    run = Runner(options, variables.params, variables.stats, calls, tap, moments, images.dtype, paths=paths)
    older, newer = stem.apply(run, sizes, images)
    extra = None
    for segment in sizes.segments():
        older, newer = run_segment(run, sizes, segment, run_cell, older, newer)
        if auxiliary and segment.cells[-1] == sizes.auxiliary_cell:
            extra = _auxiliary(run, sizes, newer)
    return run.linear(newer.mean((1, 2)), "head"), extra, run


def chosen_cell(arch: Array) -> RunCell:
    """What runs the edges of an architecture int [32]."""
    ops, sources = codec.parts(arch)

    def run_cell(config: CellConfig, inputs: Array, own: PyTree) -> CellResult:
        c = int(config.reduction)
        return cell(config, ops[c], sources[c], inputs, *edge_of(own))

    return run_cell
