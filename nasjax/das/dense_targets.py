"""Masks warped along with the images, and maps of logits warped back, through the paths of a genotype."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nasjax.das import ops
from nasjax.das.config import DASConfig
from nasjax.das.genotype import Gene, Genotype
from nasjax.types import Array, InputError

IGNORE = 255


def warp_masks(genotype: Genotype, masks: Array, *, num_classes: int, ignore: int = IGNORE) -> Array:
    """What the pixels of a video show: masks warped like the images, by the nearest pixel.

    Where paths of the cell disagree, the class with most of them counts. Operations on values move nothing.

    Args:
      genotype: of the cell that makes the video.
      masks: int [batch, height, width], class of each pixel.
      num_classes: classes; any other value in ``masks`` is ignored.
      ignore: what pixels are called that no class covers, such as those from outside of the image.

    Returns:
      int32 [batch, frames, height, width].

    Raises:
      InputError: masks of another shape, or several cells in a row.
    """
    config = _single(genotype)
    if masks.ndim != 3:
        raise InputError(f"masks {masks.shape}; allowed: [batch, height, width]; do: drop or add axes")
    votes = jax.nn.one_hot(masks, num_classes)
    frames = {}
    for level in sorted(set(config.levels)):
        states: list[Array | None] = [votes] * config.num_inputs + [None] * config.num_nodes
        for gene in _in_order(genotype):
            source = states[gene.source]
            if source is None:
                continue
            place = config.num_inputs + gene.node
            moved = _moved(source, gene, level)
            before = states[place]
            states[place] = moved if before is None else before + moved
        last = states[-1]
        total = jnp.zeros_like(votes) if last is None else last
        seen = total.sum(-1) > 0.5
        frames[level] = jnp.where(seen, total.argmax(-1), ignore).astype(jnp.int32)
    return jnp.stack([frames[level] for level in config.levels], 1)


def unwarp(genotype: Genotype, logits: Array) -> Array:
    """Maps of a video in the place of the image: each path of the cell is undone, and their mean taken.

    Shifts are shares of the size, so maps may be smaller than the images.

    Args:
      genotype: of the cell that made the video.
      logits: float [batch, frames, height, width, classes].

    Returns:
      float of that shape. For a cell of one path the inverse warp, up to interpolation and borders.

    Raises:
      InputError: logits of another shape, or several cells in a row.
    """
    config = _single(genotype)
    if logits.ndim != 5 or logits.shape[1] != config.num_frames:
        raise InputError(f"logits {logits.shape}; allowed: [batch, {config.num_frames}, height, width, classes]")
    kept = genotype.arrays()[2].any(-1)
    gain = float(DASConfig(num_nodes=config.num_nodes, num_inputs=config.num_inputs).path_gain(kept=kept))
    frames = []
    for t, level in enumerate(config.levels):
        states: list[Array | None] = [None] * (config.num_inputs + config.num_nodes)
        states[-1] = logits[:, t]
        for gene in reversed(_in_order(genotype)):
            reached = states[config.num_inputs + gene.node]
            if reached is None:
                continue
            back = ops.invert(reached, ops.OPERATIONS[gene.op], gene.magnitude, level=level)
            before = states[gene.source]
            states[gene.source] = back if before is None else before + back
        ends = [state for state in states[: config.num_inputs] if state is not None]
        frames.append(sum(ends[1:], ends[0]) / gain if ends else logits[:, t])
    return jnp.stack(frames, 1)


def _in_order(genotype: Genotype) -> list[Gene]:
    return sorted(genotype.genes)


def _single(genotype: Genotype) -> DASConfig:
    if genotype.config.num_cells != 1:
        raise InputError(f"num_cells={genotype.config.num_cells}; allowed: 1 where masks or logits are warped")
    return genotype.config


def _moved(votes: Array, gene: Gene, level: int) -> Array:
    operation = ops.OPERATIONS[gene.op]
    if not ops.is_warp(operation):
        return votes
    return ops.apply(votes, operation, gene.magnitude, level=level, interpolation="nearest")
