"""A DARTS network block by block: stem and cells.

A cell reads two outputs. As a block it is a function of the newer one; the older is held fixed.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from nasjax.spaces.darts_cells import CellConfig
from nasjax.spaces.darts_network import RunCell, check_image, one_cell, segment_arrays, widen
from nasjax.spaces.darts_ops import EdgeConfig, even_and_odd
from nasjax.spaces.darts_plan import Segment, Sizes
from nasjax.spaces.runner import Runner
from nasjax.types import Array, Block, BlockFunction, PyTree, Visit, Walk


def walk(run: Runner, sizes: Sizes, run_cell: RunCell, images: Array, visit: Visit) -> Walk:
    """Walks the network.

    Args:
      run: at its start, without tap.
      sizes: static sizes.
      run_cell: what runs the edges of a cell.
      images: float [batch, height, width, in_channels].
      visit: see `nasjax.spaces.optional.HasBlocks`. Without a stem, the images are the output of the first block.

    Returns:
      features before the global pooling, running statistics, and what the visitor saw.

    Raises:
      InputError: the strides do not divide the images.
    """
    check_image(sizes, images.shape[1], images.shape[2], "image size")

    def stem(images: Array) -> tuple[Array, PyTree]:
        twin = run.twin(run.log_scale)
        y = twin.norm(twin.conv(images, "stem"), "stem") if sizes.kind.stem else images
        return y, (twin.mean.get("stem"), twin.var.get("stem"))

    seen: dict[str, PyTree] = {}
    (x, own), seen["stem"] = visit(Block("stem", 0, 0, True, True), stem, images)
    if sizes.kind.stem:
        run.set_stats(*own, "stem")
    older = newer = x
    for segment in sizes.segments():
        older, newer, seen[segment.name] = _segment(run, sizes, segment, run_cell, older, newer, visit)
    return Walk(newer, run.stats, seen)


def _segment(
    run: Runner, sizes: Sizes, segment: Segment, run_cell: RunCell, older: Array, newer: Array, visit: Visit
) -> tuple[Array, Array, PyTree]:
    """Outputs of the last two cells, and what the visitor saw."""
    config = CellConfig(
        EdgeConfig(run.options.norm, run.options.precision, sizes.kind.pool_norm), segment.reduction, False
    )
    if segment.entries[0][0].reduces:
        older = jnp.concatenate(even_and_odd(older), -1)
    entered, name, first = newer.shape[-1], segment.name, segment.cells[0] + 1
    older, newer = (widen(x, width) for x, width in zip((older, newer), segment.widths(), strict=True))

    def block(older: Array, own: PyTree) -> BlockFunction:
        def function(x: Array) -> tuple[Array, PyTree]:
            y, stats, _ = one_cell(run, config, run_cell, name, older, x, own, {})
            return y, stats

        return function

    def step(carry: tuple[Array, Array], xs: Any) -> Any:
        older, newer = carry
        own, position = xs
        (y, stats), reduced = visit(Block(name, first + position, position, True, True), block(older, own), newer)
        return (newer, y), (stats, reduced)

    if segment.reduction:
        (newer, y), (stats, reduced) = step((older, newer), (segment_arrays(run, segment), 0))
    else:
        xs = (segment_arrays(run, segment), jnp.arange(len(segment.cells)))
        (newer, y), (stats, reduced) = lax.scan(step, (older, newer), xs)
    run.mean[name], run.var[name] = stats["mean"], stats["var"]
    return (newer[..., :entered] if len(segment.cells) == 1 else newer), y, reduced
