"""The cell: from images to a video, by a mixture of operations on every edge, or by a genotype.

A node is the sum over its edges of ``sum_k w[e, k] op_k(state)``, the last node is the video. Weights are the softmax
of alpha while searching. The cell owns no weights of a network.
"""

from __future__ import annotations

import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.das import linear, ops
from nasjax.das.config import DASConfig
from nasjax.das.genotype import Genotype
from nasjax.types import Array, InputError


def apply_cell(
    chosen: Genotype | Array, images: Array, *, config: DASConfig | None = None, magnitudes: Array | None = None,
    key: jax.Array | None = None,
) -> Array:  # fmt: skip
    """Turns images into videos.

    Args:
      chosen: a genotype, or alpha, float [edges, operations], whose softmax mixes.
      images: float [batch, height, width, channels].
      config: of the cell; a genotype has its own.
      magnitudes: float [edges, operations]; a genotype has its own.
      key: of operations that draw; a fixed one by default.

    Returns:
      float [batch, frames, height, width, channels].

    Raises:
      InputError: the arrays do not fit the cell, or something is missing.
    """
    if isinstance(chosen, Genotype):
        if config is not None and config != chosen.config:
            raise InputError("the genotype belongs to another cell than config; do: leave config out")
        weights, own, used = chosen.arrays()
        gain = float(chosen.config.path_gain(kept=used.any(-1)))
        return mixture(images, jnp.asarray(weights), jnp.asarray(own), config=chosen.config, gain=gain, used=used,
                       key=key)  # fmt: skip
    if config is None or magnitudes is None:
        raise InputError("alpha alone does not say what the cell is; do: give config and magnitudes, too")
    return mixture(images, jax.nn.softmax(chosen, -1), magnitudes, config=config, key=key)


def mixture(
    images: Array,
    weights: Array,
    magnitudes: Array,
    *,
    config: DASConfig,
    gain: Array | float | None = None,
    used: np.ndarray | None = None,
    key: jax.Array | None = None,
) -> Array:
    """Turns images into videos with given weights of operations.

    Args:
      images: float [batch, height, width, channels].
      weights: float [edges, operations]; need not sum to one.
      magnitudes: float [edges, operations], base magnitudes.
      config: of the cell.
      gain: what the output of each cell is divided by; that of all paths by default.
      used: static bool [edges, operations]; False leaves out what has weight zero. All by default.
      key: of operations that draw; a fixed one by default.

    Returns:
      float [batch, frames, height, width, channels]. Linear in the images where the operations are.

    Raises:
      InputError: the arrays do not fit the cell.
    """
    _check(images, weights, magnitudes, config)
    weights, magnitudes = (jnp.asarray(array, images.dtype) for array in (weights, magnitudes))
    if gain is None:
        gain = float(config.path_gain())
    batch, height, width, channels = images.shape
    moved = config.moved
    still: Array = jnp.ones((), images.dtype)  # what multiplies the image in frames of level 0
    fast = linear.applies(config)
    image = images.transpose(1, 2, 0, 3).reshape(height, width, batch * channels) if fast else images
    states: list[Array] = [image] * config.num_inputs
    stills: list[Array] = [still] * config.num_inputs
    key = jax.random.key(0) if key is None else key
    for number in range(config.num_cells):
        if moved:
            if fast:
                out = linear.cell(states, weights, magnitudes, config=config, used=used)
            else:
                own = jax.random.fold_in(key, number)
                out = _general(own, states, weights, magnitudes, config, used)
            states = [*states[1:], out / gain]
        stills = [*stills[1:], _still(stills, weights, config) / gain]
    frames: dict[int, Array] = {0: images * stills[-1]}
    last = list(states[-1]) if moved else []
    if fast and moved:
        # A loop, so that its input is an array: the compiler would fuse the sum over edges into the transposition, and
        # compute it anew for every frame.
        last = list(lax.map(lambda x: x.reshape(height, width, batch, channels).transpose(2, 0, 1, 3), states[-1]))
    frames |= dict(zip(moved, last, strict=True))
    video = jnp.stack([frames[level] for level in config.levels], 1)
    return _scrambled(video) if config.layout == "tras" else video


def sample_magnitudes(key: jax.Array, config: DASConfig) -> Array:
    """Base magnitudes of every edge and operation.

    Args:
      key: typed key.
      config: of the cell; "fixed" draws nothing.

    Returns:
      float32 [edges, operations], uniform in the range of each operation; zero where there is no magnitude.
    """
    edges, operations = len(config.edges), config.operations
    if config.magnitude == "fixed":
        middle = [op.neutral + (op.high - op.neutral) / 2 if op.high > op.neutral else (op.low + op.high) / 2
                  for op in operations]  # fmt: skip
        row = np.asarray(config.magnitudes or middle, np.float32)
        return jnp.asarray(np.tile(row, (edges, 1)))
    unit = jax.random.uniform(key, (edges, len(operations)))
    columns = []
    for k, op in enumerate(operations):
        if op.whole:
            columns.append(jnp.floor(op.low + unit[:, k] * (op.high - op.low + 1)))
        else:
            columns.append(op.low + unit[:, k] * (op.high - op.low))
    return jnp.stack(columns, 1)


def reference_magnitudes(config: DASConfig, *, seed: int = 0) -> np.ndarray:
    """The magnitudes that the code of the paper's first author draws, for reproduction.

    Args:
      config: of the cell.
      seed: of Python's generator.

    Returns:
      float64 [edges, operations], drawn edge by edge in the order of operations.
    """
    draw = random.Random(seed)
    rows = [
        [float(draw.randint(int(op.low), int(op.high))) if op.whole else
         draw.uniform(op.low, op.high) if op.rule != "none" else 0.0 for op in config.operations]
        for _ in config.edges
    ]  # fmt: skip
    return np.asarray(rows)


def bounded(raw: Array, config: DASConfig) -> Array:
    """Learned magnitudes within the range of each operation: ``low + (high - low) sigmoid(raw)``.

    Args:
      raw: float [..., edges, operations], what is learned.
      config: of the cell.

    Returns:
      float of that shape.
    """
    low, high = _ranges(config, raw)
    return low + (high - low) * jax.nn.sigmoid(raw)


def unbounded(magnitudes: Array, config: DASConfig) -> Array:
    """Inverse of `bounded`; magnitudes at the end of a range start a little inside.

    Args:
      magnitudes: float [..., edges, operations].
      config: of the cell.

    Returns:
      float of that shape.
    """
    low, high = _ranges(config, magnitudes)
    share = jnp.where(high > low, (magnitudes - low) / jnp.where(high > low, high - low, 1), 0.5)
    share = jnp.clip(share, 0.01, 0.99)
    return jnp.log(share) - jnp.log1p(-share)


def _ranges(config: DASConfig, like: Array) -> tuple[Array, Array]:
    shape = (1,) * (like.ndim - 1) + (-1,)
    low, high = ([getattr(op, name) for op in config.operations] for name in ("low", "high"))
    return jnp.asarray(low, like.dtype).reshape(shape), jnp.asarray(high, like.dtype).reshape(shape)


def _check(images: Any, weights: Any, magnitudes: Any, config: DASConfig) -> None:
    if images.ndim != 4 or min(images.shape) < 1:
        raise InputError(f"images {images.shape}; allowed: [batch, height, width, channels], none of them empty")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(f"images {images.dtype}; allowed: floats, normalised; do: (images / 255 - mean) / std")
    wanted = (len(config.edges), len(config.operations))
    for name, array in (("weights or alpha", weights), ("magnitudes", magnitudes)):
        if tuple(array.shape) != wanted:
            raise InputError(f"{name} {tuple(array.shape)}; allowed: {wanted}, edges and operations of the cell; do: "
                             "check that they belong to this cell and op set")  # fmt: skip
    if config.mean and len(config.mean) != images.shape[-1]:
        raise InputError(f"mean has {len(config.mean)} numbers for {images.shape[-1]} channels; do: give one each")


def _still(stills: list[Array], weights: Array, config: DASConfig) -> Array:
    """What a cell does to frames of level 0, where every operation is the identity: a factor."""
    sums = weights.sum(-1)
    states = list(stills)
    for node in range(config.num_nodes):
        own = config.node_edges(node)
        states.append(sum((sums[e] * states[config.edges[e][1]] for e in own), jnp.zeros_like(stills[0])))
    return states[-1]


def _general(
    key: jax.Array, inputs: list[Array], weights: Array, magnitudes: Array, config: DASConfig, used: Any
) -> Array:
    """Output of one cell of any operations: float [levels, batch, height, width, channels]."""
    needed = np.ones(weights.shape, bool) if used is None else np.asarray(used, bool)
    names = ("interpolation", "fill", "whole_pixels", "mean", "std", "precision")
    how: dict[str, Any] = {name: getattr(config, name) for name in names}
    shape = inputs[0].shape[-4:]
    levels = []
    for place, level in enumerate(config.moved):
        states = [state if state.ndim == 4 else state[place] for state in inputs]
        for node in range(config.num_nodes):
            total = jnp.zeros(shape, inputs[0].dtype)
            for e in config.node_edges(node):
                source = states[config.edges[e][1]]
                for k, operation in enumerate(config.operations):
                    if needed[e, k]:
                        own = jax.random.fold_in(key, (place * len(config.edges) + e) * len(config.operations) + k)
                        moved = ops.apply(source, operation, magnitudes[e, k], level=level, key=own, **how)
                        total = total + weights[e, k] * moved
            states.append(total)
        levels.append(states[-1])
    return jnp.stack(levels)


def _scrambled(video: Array) -> Array:
    """The video as the code of the paper's first author hands it on: channels and frames read in the wrong order."""
    batch, frames, height, width, channels = video.shape
    planes = video.transpose(0, 4, 1, 2, 3).reshape(batch, frames, channels, height, width)
    return planes.transpose(0, 1, 3, 4, 2)
