"""A DARTS network block by block: stem and cells; and the outputs of its layers.

A cell reads two outputs. As a block it is a function of the newer one; the older is held fixed.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.spaces import darts_stem as stem
from nasjax.spaces.darts_cells import CellConfig, output
from nasjax.spaces.darts_network import RunCell, check_image, enter, one_cell, segment_arrays, widen
from nasjax.spaces.darts_ops import EdgeConfig, even_and_odd
from nasjax.spaces.darts_params import ENTRIES
from nasjax.spaces.darts_plan import Segment, Sizes
from nasjax.spaces.optional import OutputVisit
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

    seen: dict[str, PyTree] = {}
    outputs, x = [], images
    for number, (name, convs) in enumerate(stem.blocks(sizes)):
        (x, own), seen[name] = visit(Block(name, number, 0, True, True), stem.block_function(run, convs), x)
        for conv, (mean, var) in zip(convs, own, strict=True):
            run.set_stats(mean, var, *conv.path)
        outputs.append(x)
    older, newer = outputs[0], outputs[-1]
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
    entered, name, first = newer.shape[-1], segment.name, segment.cells[0] + len(stem.blocks(sizes))
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


def layer_outputs(run: Runner, sizes: Sizes, run_cell: RunCell, images: Array) -> list[PyTree]:
    """What ``run.show`` makes of all layers; see `nasjax.spaces.optional.HasLayerOutputs`."""
    assert run.show is not None
    check_image(sizes, images.shape[1], images.shape[2], "image size")
    older, newer = stem.apply(run, sizes, images)
    for segment in sizes.segments():
        older, newer, seen = _shown_segment(run, sizes, segment, run_cell, older, newer, run.show)
        run.shown.append(seen)
    run.linear(newer.mean((1, 2)), "head")
    return run.shown


def _shown_segment(
    run: Runner, sizes: Sizes, segment: Segment, run_cell: RunCell, older: Array, newer: Array, show: OutputVisit
) -> tuple[Array, Array, PyTree]:
    """Outputs of the last two cells, and what is made of the layers, in their order."""
    edge = EdgeConfig(run.options.norm, run.options.precision, sizes.kind.pool_norm, outputs=True)
    config, reduces = CellConfig(edge, segment.reduction, False), segment.entries[0][0].reduces
    if reduces:
        older = jnp.concatenate(even_and_odd(older), -1)
    entered = newer.shape[-1]
    older, newer = (widen(x, width) for x, width in zip((older, newer), segment.widths(), strict=True))

    def halves(y: Array) -> list[Array]:
        """Both halves of the channels, zeros behind: the convolutions of even and of odd pixels."""
        return [jnp.concatenate([part, jnp.zeros_like(part)], -1) for part in jnp.split(y, 2, -1)]

    def seen(first: Array, second: Array, edges: Array) -> PyTree:
        """Entering convolutions, first as two halves if any cell has it so, and those of the edges."""
        half = first.shape[1] * first.shape[2] * first.shape[3] // 2
        entries = show(jnp.stack([*(halves(first) if reduces else []), first, second]), _padding(reduces, half))
        parts, half = edges.shape[1], edges.shape[3] * edges.shape[4] * edges.shape[5] // 2
        missing = jnp.tile(jnp.asarray([0, 0, 0, 0, half, half][:parts], jnp.int32), edges.shape[0])
        inner = show(edges.reshape(-1, *edges.shape[2:]), missing)
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), entries, inner)

    def step(carry: tuple[Array, Array], own: PyTree) -> Any:
        both = [enter(run.options, own, part, x) for part, x in zip(ENTRIES, carry, strict=True)]
        result = run_cell(config, jnp.stack([x for x, _, _ in both]), own)
        assert result.outputs is not None
        first, second = (y for _, _, y in both)
        return (carry[1], output(result)), seen(first, second, result.outputs)

    arrays = segment_arrays(run, segment)
    if segment.reduction:
        (newer, y), found = step((older, newer), arrays)
        found = jax.tree.map(lambda a: a[None], found)
    else:
        (newer, y), found = lax.scan(step, (older, newer), arrays)
    if reduces:
        rows = jax.tree.leaves(found)[0].shape[1]
        of_first, of_others = ([0, 1, *range(3, rows)], [*range(2, rows)])
        found = jax.tree.map(
            lambda a: jnp.concatenate(
                [a[0, jnp.asarray(of_first)], a[1:, jnp.asarray(of_others)].reshape(-1, *a.shape[2:])]
            ),
            found,
        )
    return (newer[..., :entered] if len(segment.cells) == 1 else newer), y, found


def _padding(reduces: bool, half: int) -> Array:
    """Entries that belong to no output: half of them where half of the channels do."""
    return jnp.asarray([half, half, 0, 0] if reduces else [0, 0], jnp.int32)
