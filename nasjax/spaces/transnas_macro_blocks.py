"""The macro network of TransNAS-Bench-101 block by block: stem and residual blocks."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.spaces import transnas_stem as stem
from nasjax.spaces import units
from nasjax.spaces.runner import Runner
from nasjax.spaces.transnas_macro_network import SHORTCUT_NORM, SITE, layers
from nasjax.spaces.transnas_macro_plan import BLOCKS, Sizes, plan
from nasjax.types import Array, Block, PyTree, Visit, Walk

Family = tuple[Array, units.NormArgs]  # weights and norms of one or two layers


def _layer(
    runner: Runner, shape: units.Shape, x: Array, weights: Array, norms: units.NormArgs, **options: Any
) -> tuple[Array, tuple[Array, Array]]:
    """Convolution and norm (with its options) on true shapes; new running statistics, as wide as the given ones.

    Behind the channels in use lies the mean of those in use, so that a mean over all is theirs.
    """
    stride, pad = shape.stride, weights.shape[0] // 2
    if pad == 0 and stride > 1:
        x, stride = x[:, ::stride, ::stride], 1
    corner = weights[..., : shape.ins, : shape.outs]
    y = nn.conv(x, corner, stride=stride, padding=pad, precision=runner.options.precision)
    used = units.NormArgs(*(a[: shape.outs] for a in norms))
    running = (used.mean, used.var)
    y, new = nn.batch_norm(y, used.scale, used.shift, stats=running, mode=runner.options.norm, **options)
    assert new is not None
    rest = norms.mean.shape[0] - shape.outs
    mean, var = (jnp.concatenate([own, jnp.broadcast_to(own.mean(keepdims=True), (rest,))]) for own in new)
    return y, (mean, var)


def _block(runner: Runner, shape: units.Shape, convs: Family, side: Family, x: Array) -> tuple[Array, PyTree]:
    """One residual block on its true shapes."""
    (weights, norms), (side_weights, side_norms) = convs, side
    first, second = (jax.tree.map(lambda a, i=i: a[i], norms) for i in range(2))
    y, own_first = _layer(runner, shape, jax.nn.relu(x), weights[0], first)
    kept = units.Shape(shape.outs, shape.outs, y.shape[1], 1)
    y, own_second = _layer(runner, kept, jax.nn.relu(y), weights[1], second)
    own_side = (side_norms.mean, side_norms.var)
    if shape.stride > 1 or shape.ins != shape.outs:
        x, own_side = _layer(runner, shape, x, side_weights, side_norms, **SHORTCUT_NORM)
    pair = tuple(jnp.stack(both) for both in zip(own_first, own_second, strict=True))
    return x + y, (pair, own_side)


def walk(runner: Runner, sizes: Sizes, arch: Array, images: Array, visit: Visit) -> Walk:
    """Walks the encoder; each block is a ``lax.switch`` over the shapes, the visitor inside the branch.

    Args:
      runner: at its start.
      sizes: static sizes.
      arch: int [6].
      images: float [batch, height, width, in_channels].
      visit: see `nasjax.spaces.optional.HasBlocks`; its statistic must not depend on the shape of a block.

    Returns:
      features before the global pooling, float [batch, capacity], zeros behind those in use; running
      statistics; what the visitor saw, zeros for blocks the architecture lacks.
    """
    own, capacity = plan(arch), sizes.capacity()
    (x, stats), seen_stem = visit(Block(stem.NAME, 0, 0, True, True), stem.function(runner), images)
    runner.set_stats(*stats, stem.NAME)

    def branch(shape: units.Shape, buffer: Array, convs: Family, side: Family, position: Array) -> Any:
        function = functools.partial(_block, runner, shape, convs, side)
        block = Block(SITE, 1 + position, position, True, True)
        (y, stats), seen = visit(block, function, units.view(buffer, shape.side, shape.ins))
        return units.fit(y, capacity), stats, seen

    branches = [functools.partial(branch, shape) for shape in sizes.shapes()]

    def absent(buffer: Array, convs: Family, side: Family, position: Array) -> Any:
        seen = jax.eval_shape(branches[0], buffer, convs, side, position)[2]
        stats = tuple((norms.mean, norms.var) for _, norms in (convs, side))
        return buffer, stats, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), seen)

    def step(buffer: Array, xs: Any) -> Any:
        number, *operands = xs
        buffer, stats, seen = lax.switch(number, [*branches, absent], buffer, *operands)
        return buffer, (stats, seen)

    families = tuple(layers(runner, name)[:2] for name in ("convs", "shortcuts"))
    xs = (jnp.asarray(sizes.shape_numbers())[own.first], *families, jnp.arange(BLOCKS))
    buffer, ((conv_stats, side_stats), seen) = lax.scan(step, units.fit(x, capacity), xs)
    runner.set_stats(*conv_stats, "convs")
    runner.set_stats(*side_stats, "shortcuts")
    return Walk(buffer, runner.stats, {stem.NAME: seen_stem, SITE: seen})
