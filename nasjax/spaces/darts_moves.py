"""Moves in the space of DARTS architectures: sample, mutate, recombine; traceable, a typed key first."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces.dag import check_number
from nasjax.spaces.darts_codec import MAX, NUM_EDGES, OPS, SEP5, TARGETS, join, parts
from nasjax.spaces.genes import Genes, even
from nasjax.types import Array

_NUM_NODES = NUM_EDGES // 2
# Pairs of different sources of each node, padded with the first.
_PAIRS = [list(itertools.combinations(range(node), 2)) for node in range(2, 2 + _NUM_NODES)]
_COUNTS = np.array([len(pairs) for pairs in _PAIRS], np.int32)
_TABLE = np.array([pairs + [pairs[0]] * (max(_COUNTS) - len(pairs)) for pairs in _PAIRS], np.int32)


def sample(key: Array, num: int) -> Array:
    """Draws architectures uniformly from NAS-Bench-301: seven operations, two different sources a node.

    Args:
      key: typed key.
      num: number of architectures, static.

    Returns:
      int32 [num, 32], with replacement; the sources of a node increase.

    Raises:
      InputError: ``num`` is negative or no integer.
    """
    check_number(num)
    op_key, pair_key = jax.random.split(key)
    ops = jax.random.randint(op_key, (num, 2, NUM_EDGES), 1, len(OPS), jnp.int32)
    # The counts 1, 3, 6 and 10 divide 30, so the remainder is uniform.
    drawn = jax.random.randint(pair_key, (num, 2, _NUM_NODES), 0, 30, jnp.int32) % jnp.asarray(_COUNTS)[None, None]
    pairs = jnp.asarray(_TABLE)[jnp.arange(_NUM_NODES)[None, None], drawn]
    return join(ops, pairs.reshape(num, 2, NUM_EDGES), jnp)


def mutate(key: Array, arch: Any) -> Array:
    """Changes one edge: with equal chance its operation, or where it comes from.

    The new operation is another of the seven; the new source differs from that of the node's other edge. An edge
    into node 2, which has no other source, changes its operation.

    Args:
      key: typed key.
      arch: int [32].

    Returns:
      int32 [32].
    """
    place_key, kind_key, op_key, source_key = jax.random.split(key, 4)
    ops, sources = parts(jnp.asarray(arch, jnp.int32))
    place = jax.random.randint(place_key, (), 0, 2 * NUM_EDGES)
    c, e = place // NUM_EDGES, place % NUM_EDGES
    numbers = jnp.arange(len(OPS))
    op = _choose(op_key, (numbers > 0) & (numbers != ops[c, e]))
    nodes = jnp.arange(max(TARGETS))
    free = (nodes < jnp.asarray(TARGETS)[e]) & (nodes != sources[c, e]) & (nodes != sources[c, e ^ 1])
    moves = jax.random.bernoulli(kind_key) & free.any()
    new_ops = ops.at[c, e].set(jnp.where(moves, ops[c, e], op))
    new_sources = sources.at[c, e].set(jnp.where(moves, _choose(source_key, free), sources[c, e]))
    return join(new_ops, new_sources, jnp)


def extremes() -> np.ndarray:
    """Architectures of the smallest and the largest cost: every edge a pool, every edge a separable 5x5 convolution.

    Returns:
      int32 [2, 32]; each node reads nodes 0 and 1.
    """
    ops = np.stack([np.full((2, NUM_EDGES), op, np.int32) for op in (MAX, SEP5)])
    sources = np.broadcast_to(np.arange(NUM_EDGES, dtype=np.int32) % 2, ops.shape)
    return np.asarray(join(ops, sources, np), np.int32)


def _choose(key: Array, allowed: Array) -> Array:
    """Position of one true entry, all equally likely."""
    return jnp.argmax(jnp.where(allowed, jax.random.uniform(key, allowed.shape), -1)).astype(jnp.int32)


def crossover(key: Array, first: Any, second: Any) -> Array:
    """Takes each node with both its edges from either parent, with equal chance.

    Args:
      key: typed key.
      first: int [32].
      second: int [32].

    Returns:
      int32 [32].
    """
    shape = (2, _NUM_NODES, 1)
    of_first = jax.random.bernoulli(key, 0.5, shape)
    a, b = (jnp.asarray(parent, jnp.int32).reshape(2, _NUM_NODES, 4) for parent in (first, second))
    return jnp.where(of_first, a, b).reshape(-1)


def genes() -> Genes:
    """Independent choices: sixteen operations, then the pair of sources of each of the eight nodes."""
    num_ops, num_pairs = 2 * NUM_EDGES, 2 * _NUM_NODES
    sizes = (len(OPS) - 1,) * num_ops + tuple(int(c) for c in _COUNTS) * 2

    def decode(chosen: Array) -> Array:
        ops, drawn = chosen[:num_ops].reshape(2, NUM_EDGES) + 1, chosen[num_ops:].reshape(2, _NUM_NODES)
        pairs = jnp.asarray(_TABLE)[jnp.arange(_NUM_NODES)[None], drawn]
        return join(ops, pairs.reshape(2, NUM_EDGES), jnp)

    def encode(arch: Array) -> Array:
        ops, sources = parts(jnp.asarray(arch, jnp.int32))
        own = jnp.sort(sources.reshape(2, _NUM_NODES, 1, 2), -1)
        same = (jnp.asarray(_TABLE)[None] == own).all(-1)
        pair = jnp.where(same.any(-1), jnp.argmax(same, -1), -1)
        return jnp.concatenate([ops.reshape(-1) - 1, pair.reshape(num_pairs)]).astype(jnp.int32)

    return Genes(sizes, decode, encode, even(sizes))
