"""The cell network of TransNAS-Bench-101 block by block: stem and cells."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from nasjax.spaces import transnas_stem as stem
from nasjax.spaces.cells import CellConfig, EdgeArgs, cell, split_edges
from nasjax.spaces.runner import Runner
from nasjax.spaces.transnas_micro_network import NORMAL_CELLS, NUM_STAGES, Sizes, normal_stage, reduction_cell
from nasjax.types import Array, Block, BlockFunction, PyTree, Visit, Walk


def _cell_function(config: CellConfig, arch: Array, edges: tuple[EdgeArgs, ...]) -> BlockFunction:
    """The cell as a function of its input."""

    def function(x: Array) -> tuple[Array, PyTree]:
        nodes, means, variances = cell(config, arch, x, edges, (None,) * len(edges))
        return nodes[3], (means, variances)

    return function


def walk(runner: Runner, sizes: Sizes, arch: Array, images: Array, visit: Visit) -> Walk:
    """Walks the encoder.

    Args:
      runner: at its start.
      sizes: static sizes.
      arch: int [6].
      images: float [batch, height, width, in_channels].
      visit: see `nasjax.spaces.optional.HasBlocks`.

    Returns:
      features before the global pooling, running statistics, and what the visitor saw.
    """
    del sizes
    (x, own), seen_stem = visit(Block(stem.NAME, 0, 0, True, True), stem.function(runner), images)
    runner.set_stats(*own, stem.NAME)
    seen, index = {stem.NAME: seen_stem}, 1
    for s in range(NUM_STAGES):
        name = f"stage{s}"
        config, edges = reduction_cell(runner, name)
        block = Block(f"{name}/reduction", index, 0, True, True)
        (x, own), seen[block.name] = visit(block, _cell_function(config, arch, edges), x)
        runner.set_stats(*own, name, "reduction")
        index += 1
        config, stage = normal_stage(runner, name)

        def step(x: Array, xs: Any, name: str = name, config: CellConfig = config, start: int = index) -> Any:
            own, position = xs
            function = _cell_function(config, arch, split_edges(own))
            (y, stats), reduced = visit(Block(name, start + position, position, True, True), function, x)
            return y, (stats, reduced)

        x, (own, seen[name]) = lax.scan(step, x, (stage, jnp.arange(NORMAL_CELLS[s])))
        runner.set_stats(*own, name, "normal")
        index += NORMAL_CELLS[s]
    return Walk(x, runner.stats, seen)
