"""A NAS-Bench-101 network block by block: stem and cells; and the outputs of its layers.

The pooling between two stacks belongs to the cell behind it, which so is the block that halves the image.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.spaces.cell101_graph import Pruned
from nasjax.spaces.nasbench101_network import OUTPUTS, Sizes, cell, cell_config, channel_mask, group
from nasjax.spaces.runner import Runner
from nasjax.types import Array, Block, PyTree, Visit, Walk

Step = Callable[[str, Array, PyTree, Array | int], tuple[Array, PyTree]]


def over_cells(run: Runner, sizes: Sizes, x: Array, step: Step) -> tuple[Array, list[tuple[str, PyTree]]]:
    """Runs the cells: the first of a stack by itself, the others in a scan.

    Args:
      run: behind the stem.
      sizes: static sizes.
      x: output of the stem.
      step: (name of the block, input, arrays of the cell, number in its group) -> (output, whatever is kept). The
        first cell of a stack but the first gets what is in front of the pooling.

    Returns:
      output of the last cell; name of each group and what was kept of its cells, stacked in a scan.
    """
    kept: list[tuple[str, PyTree]] = []
    for s in range(sizes.stacks):
        first = f"stack{s}/first"
        x, own = step(first, x, group(run, s, "first"), 0)
        kept.append((first, own))
        if "rest" in sizes.groups(s):
            name = f"stack{s}/rest"
            xs = (group(run, s, "rest"), jnp.arange(sizes.cells - 1))
            x, own = lax.scan(lambda x, xs, name=name: step(name, x, *xs), x, xs)  # type: ignore[misc]
            kept.append((name, own))
    return x, kept


def stack_of(name: str) -> int:
    """Number of the stack of a block."""
    return int(name.removeprefix("stack").partition("/")[0])


def pooled(name: str, x: Array) -> Array:
    """Input of a cell, behind the pooling where there is one."""
    before = stack_of(name) > 0 and name.endswith("/first")
    return nn.max_pool(x, 2, stride=2, padding="VALID") if before else x


def walk(run: Runner, sizes: Sizes, pruned: Pruned, images: Array, visit: Visit) -> Walk:
    """Walks the network.

    Args:
      run: at its start, without tap.
      sizes: static sizes.
      pruned: the cell.
      images: float [batch, height, width, in_channels].
      visit: see `nasjax.spaces.optional.HasBlocks`.

    Returns:
      features before the global pooling, running statistics, and what the visitor saw.
    """

    def stem(images: Array) -> tuple[Array, PyTree]:
        twin = run.twin(run.log_scale)
        y = jax.nn.relu(twin.norm(twin.conv(images, "stem"), "stem"))
        return y, (twin.mean["stem"], twin.var["stem"])

    seen: dict[str, PyTree] = {}
    (x, own), seen["stem"] = visit(Block("stem", 0, 0, True, True), stem, images)
    run.set_stats(*own, "stem")

    def step(name: str, x: Array, own: PyTree, position: Array | int) -> tuple[Array, PyTree]:
        s = stack_of(name)
        config, held = cell_config(run.options, sizes, s), channel_mask(sizes, s, pruned)

        def function(x: Array) -> tuple[Array, PyTree]:
            y, stats, _ = cell(config, pruned, held, pooled(name, x), own, {}, None)
            return y, {field: _filled(stats[field], held) for field in stats}

        number = 1 + s * sizes.cells + (position if name.endswith("/first") else position + 1)
        (y, stats), reduced = visit(Block(name, number, position, True, True), function, x)
        return y, (stats, reduced)

    x, kept = over_cells(run, sizes, x, step)
    for name, (stats, reduced) in kept:
        run.set_stats(stats["mean"], stats["var"], *name.split("/"))
        seen[name] = reduced
    return Walk(x, run.stats, seen)


def layer_outputs(run: Runner, sizes: Sizes, pruned: Pruned, images: Array) -> list[PyTree]:
    """What ``run.show`` makes of all layers; see `nasjax.spaces.optional.HasLayerOutputs`."""

    def step(name: str, x: Array, own: PyTree, position: Array | int) -> tuple[Array, PyTree]:
        del position
        s = stack_of(name)
        config, held = cell_config(run.options, sizes, s), channel_mask(sizes, s, pruned)
        y, _, seen = cell(config, pruned, held, pooled(name, x), own, {}, None, run.show)
        return y, seen[OUTPUTS]

    x = jax.nn.relu(run.norm(run.conv(images, "stem"), "stem"))
    x, kept = over_cells(run, sizes, x, step)
    run.shown += [own for _, own in kept]
    run.linear(x.mean((1, 2)), "head")
    return run.shown


def _filled(stats: dict[str, Array], held: Array) -> dict[str, Array]:
    """Statistics whose mean over all channels of an array is that over the channels a vertex has."""
    count = held.sum(-1, keepdims=True)

    def fill(a: Array) -> Array:
        mean = jnp.where(held, a, 0).sum(-1, keepdims=True) / jnp.maximum(count, 1).astype(a.dtype)
        return jnp.where(held | (count == 0), a, mean)

    return {part: a if part == "output" else fill(a) for part, a in stats.items()}
