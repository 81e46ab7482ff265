"""Moves in an AutoFormer space: sample, mutate, recombine as JAX functions, neighbours in NumPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces.autoformer_codec import Choices, check, split
from nasjax.spaces.genes import Genes, even
from nasjax.types import Array, InputError


def _pick(key: Array, values: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    return jnp.asarray(values, jnp.int32)[jax.random.randint(key, shape, 0, len(values))]


def _join(embed_dim: Array, depth: Array, heads: Array, tenths: Array) -> Array:
    """Puts parts together; blocks beyond the depth become zero."""
    there = jnp.arange(heads.shape[-1]).reshape((1,) * depth.ndim + (-1,)) < depth[..., None]
    blocks = [jnp.where(there, part, 0) for part in (heads, tenths)]
    return jnp.concatenate([jnp.stack([embed_dim, depth], -1), *blocks], -1).astype(jnp.int32)


def sample(key: Array, choices: Choices, num: int) -> Array:
    """Draws architectures by the law of the official codes.

    Depth, then heads and ratio of every block, then the width, each uniform among its choices. Depths are
    therefore equally likely, although there are far more deep architectures than shallow ones.

    Args:
      key: typed key.
      choices: of the space.
      num: number of architectures, static.

    Returns:
      int32 [num, 2 + 2 D].

    Raises:
      InputError: ``num`` is negative or no integer.
    """
    if not isinstance(num, int | np.integer) or isinstance(num, bool) or num < 0:
        raise InputError(f"num={num!r} architectures; allowed: an integer >= 0; do: say how many to draw")
    width, depth, heads, tenths = jax.random.split(key, 4)
    blocks = (num, choices.slots)
    return _join(
        _pick(width, choices.embed_dims, (num,)),
        _pick(depth, choices.depths, (num,)),
        _pick(heads, choices.heads, blocks),
        _pick(tenths, choices.tenths, blocks),
    )


def mutate(key: Array, choices: Choices, arch: Any, *, block_rate: float = 0.2, shape_rate: float = 0.4) -> Array:
    """Draws parts of an architecture anew, as the official evolutionary search does; the rest stays.

    Args:
      key: typed key.
      choices: of the space.
      arch: int [2 + 2 D].
      block_rate: chance of the heads, and of the ratio, of each block.
      shape_rate: chance of the depth, and of the width. Blocks that are added are random.

    Returns:
      int32 [2 + 2 D]; it may equal ``arch``, since what is drawn anew may come out as before.
    """
    draw, rates = jax.random.split(key)
    new, old = split(sample(draw, choices, 1)[0]), split(jnp.asarray(arch, jnp.int32))
    # Blocks the fresh draw does not have but a deeper result might need.
    block = jax.random.split(jax.random.fold_in(draw, 1))
    shape = (choices.slots,)
    fresh_heads, fresh_tenths = _pick(block[0], choices.heads, shape), _pick(block[1], choices.tenths, shape)
    lots = jax.random.uniform(rates, (2 + 2 * choices.slots,))
    chosen = split(lots)
    missing = old.heads == 0
    return _join(
        jnp.where(chosen.embed_dim < shape_rate, new.embed_dim, old.embed_dim),
        jnp.where(chosen.depth < shape_rate, new.depth, old.depth),
        jnp.where(missing | (chosen.heads < block_rate), fresh_heads, old.heads),
        jnp.where(missing | (chosen.tenths < block_rate), fresh_tenths, old.tenths),
    )


def crossover(key: Array, first: Any, second: Any) -> Array:
    """Takes every part from either parent with equal chance.

    The official search only mates parents of equal depth. Here the depth comes from either, and a block that
    one parent lacks from the other.

    Args:
      key: typed key.
      first: int [2 + 2 D].
      second: int [2 + 2 D].

    Returns:
      int32 [2 + 2 D].
    """
    first, second = (jnp.asarray(a, jnp.int32) for a in (first, second))
    mixed = jnp.where(jax.random.bernoulli(key, 0.5, first.shape), first, second)
    # Zero marks a block that one parent lacks.
    mixed = jnp.where((first == 0) | (second == 0), jnp.maximum(first, second), mixed)
    return _join(*split(mixed))


def extremes(choices: Choices) -> np.ndarray:
    """The architectures whose every choice is the smallest, and the largest; costs grow with each choice.

    Args:
      choices: of the space.

    Returns:
      int32 [2, 2 + 2 D].
    """
    rows = np.zeros((2, 2 + 2 * choices.slots), np.int32)
    for row, end in zip(rows, (0, -1), strict=True):
        row[0], row[1] = choices.embed_dims[end], choices.depths[end]
        heads, tenths = row[2 : 2 + choices.slots], row[2 + choices.slots :]
        heads[: row[1]], tenths[: row[1]] = choices.heads[end], choices.tenths[end]
    return rows


def neighbours(choices: Choices, arch: Any) -> np.ndarray:
    """Architectures that differ from ``arch`` in one choice.

    Another width; another number of heads or another ratio in one block; the last blocks removed, down to the next
    smaller depth; or blocks appended up to the next larger one, all with the same heads and ratio.

    Args:
      choices: of the space.
      arch: int [2 + 2 D].

    Returns:
      int32 [n, 2 + 2 D], distinct, without ``arch``.

    Raises:
      InputError: ``arch`` is no single architecture of the space.
    """
    array = check(choices, arch)
    if array.ndim != 1:
        raise InputError(f"architectures of shape {list(array.shape)}; allowed: one; do: take one at a time")
    depth, slots = int(array[1]), choices.slots
    found = []

    def changed(*updates: tuple[Any, int]) -> None:
        row = array.copy()
        for place, value in updates:
            row[place] = value
        if not np.array_equal(row, array):
            found.append(row)

    for width in choices.embed_dims:
        changed((0, width))
    for block in range(depth):
        for start, values in ((2, choices.heads), (2 + slots, choices.tenths)):
            for value in values:
                changed((start + block, value))
    place = choices.depths.index(depth)
    if place > 0:
        less = choices.depths[place - 1]
        changed((1, less), (slice(2 + less, 2 + slots), 0), (slice(2 + slots + less, None), 0))
    if place + 1 < len(choices.depths):
        more = choices.depths[place + 1]
        for heads in choices.heads:
            for tenths in choices.tenths:
                blocks = (slice(2 + depth, 2 + more), heads), (slice(2 + slots + depth, 2 + slots + more), tenths)
                changed((1, more), *blocks)
    return np.stack(found) if found else np.zeros((0, len(array)), np.int32)


def genes(choices: Choices) -> Genes:
    """Independent choices: width, depth, heads of every block, ratio of every block; those beyond the depth are idle.

    Args:
      choices: of the space.

    Returns:
      the choices.
    """
    slots = choices.slots
    values = (choices.embed_dims, choices.depths, *(choices.heads,) * slots, *(choices.tenths,) * slots)
    sizes = tuple(len(own) for own in values)
    table = np.array([(*own, *(own[0],) * (max(sizes) - len(own))) for own in values], np.int32)

    def decode(chosen: Array) -> Array:
        return _join(*split(jnp.asarray(table)[jnp.arange(len(sizes)), chosen]))

    def encode(arch: Array) -> Array:
        same = jnp.asarray(table) == jnp.asarray(arch, jnp.int32)[:, None]
        return jnp.where(same.any(1), jnp.argmax(same, 1), -1).astype(jnp.int32)

    return Genes(sizes, decode, encode, even(sizes))
