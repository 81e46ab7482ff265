"""Moves in the space of NAS-Bench-101 cells: sample, mutate, recombine.

``sample``, ``mutate`` and ``crossover`` are JAX functions: they take a typed key first and can be jitted and
vmapped. The last two draw until the result belongs to the space, as the official examples do.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.spaces.cell101_codec import check, encode
from nasjax.spaces.cell101_graph import (
    EDGES,
    LENGTH,
    MAX_EDGES,
    NUM_INNER,
    NUM_VERTICES,
    OPS,
    OUTPUT,
    is_member,
    prune,
)
from nasjax.types import Array, InputError

_TRIES = 200  # of a crossover; parents without a common child give the first one back


def sample(key: Array, num: int) -> Array:
    """Draws cells uniformly over the pruned encodings: every matrix without idle vertices, with any operations.

    Isomorphic cells have several encodings, so the law is only nearly uniform over the 423,624 different graphs;
    like there, most cells have seven vertices.

    Args:
      key: typed key.
      num: number of cells, static.

    Returns:
      int32 [num, 26], with replacement.

    Raises:
      InputError: ``num`` is negative or no integer.
    """
    if not isinstance(num, int | np.integer) or isinstance(num, bool) or num < 0:
        raise InputError(f"num={num!r} architectures; allowed: an integer >= 0; do: say how many to draw")
    matrices, first, ends = _matrices()
    place_key, op_key = jax.random.split(key)
    place = jax.random.randint(place_key, (num,), 0, int(ends[-1]), jnp.int32)
    # A matrix of k inner vertices stands for the 3^k cells that it has.
    inner = jnp.searchsorted(jnp.asarray(ends), place, side="right")
    before = jnp.asarray(np.concatenate([[0], ends[:-1]]))[inner]
    cells = jnp.asarray([len(OPS) ** k for k in range(NUM_INNER + 1)], jnp.int32)[inner]
    edges = jnp.asarray(matrices)[jnp.asarray(first)[inner] + (place - before) // cells]
    ops = jax.random.randint(op_key, (num, NUM_INNER), 0, len(OPS), jnp.int32)
    return jnp.concatenate([edges.astype(jnp.int32), ops], 1)


@functools.cache
def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices without idle vertices and with at most nine edges, by number k of inner vertices, which come first.

    Returns:
      int8 [m, 21] edges; int32 [6], where the matrices of k begin; int32 [6], how many cells have at most k.
    """
    codes = np.arange(2 ** len(EDGES), dtype=np.int32)
    codes = codes[np.bitwise_count(codes) <= MAX_EDGES]
    found = []
    for k in range(NUM_INNER + 1):
        used = {0, *range(1, k + 1), OUTPUT}
        idle = sum(1 << e for e, ends in enumerate(EDGES) if not used.issuperset(ends))
        kept = codes[(codes & idle) == 0]
        # In topological order, an edge in and an edge out put a vertex on a path.
        for end, vertices in ((0, used - {OUTPUT}), (1, used - {0})):
            for vertex in vertices:
                kept = kept[(kept & sum(1 << e for e, ends in enumerate(EDGES) if ends[end] == vertex)) != 0]
        found.append(kept)
    counts = np.array([len(kept) for kept in found])
    matrices = (np.concatenate(found)[:, None] >> np.arange(len(EDGES)) & 1).astype(np.int8)
    cells = counts * len(OPS) ** np.arange(NUM_INNER + 1)
    return matrices, (np.cumsum(counts) - counts).astype(np.int32), np.cumsum(cells).astype(np.int32)


def mutate(key: Array, arch: Any, *, rate: float = 1.0) -> Array:
    """Flips edges and changes operations until another cell of the space results.

    Every edge flips with chance rate / 7, every operation changes with chance rate / 5 (NAS-Bench-101's own
    evolution). Vertices on no path take part, so that cells can grow.

    Args:
      key: typed key.
      arch: int [26].
      rate: strength.

    Returns:
      int32 [26], of another pruned cell.
    """
    arch = jnp.asarray(arch, jnp.int32)
    before = prune(arch)

    def draw(key: Array) -> Array:
        flip, change, shift = jax.random.split(key, 3)
        edges, ops = arch[: len(EDGES)], arch[len(EDGES) :]
        flipped = jax.random.bernoulli(flip, rate / NUM_VERTICES, edges.shape)
        changed = jax.random.bernoulli(change, rate / NUM_INNER, ops.shape)
        other = (ops + jax.random.randint(shift, ops.shape, 1, len(OPS), jnp.int32)) % len(OPS)
        return jnp.concatenate([jnp.where(flipped, 1 - edges, edges), jnp.where(changed, other, ops)])

    def accept(child: Array) -> Array:
        after = prune(child)
        return is_member(child) & ((after.matrix != before.matrix).any() | (after.kinds != before.kinds).any())

    return _until(key, draw, accept)


def crossover(key: Array, a: Any, b: Any) -> Array:
    """Takes each edge and each operation from one of two parents, until the result belongs to the space.

    Args:
      key: typed key.
      a: int [26], first parent; what is returned when 200 tries fail.
      b: int [26], second parent.

    Returns:
      int32 [26].
    """
    a, b = jnp.asarray(a, jnp.int32), jnp.asarray(b, jnp.int32)
    return _until(key, lambda key: jnp.where(jax.random.bernoulli(key, 0.5, a.shape), a, b), is_member, otherwise=a)


def _until(key: Array, draw: Any, accept: Any, *, otherwise: Array | None = None) -> Array:
    """The first accepted draw; after some tries ``otherwise``, if there is one."""

    def again(state: tuple[Array, Array, Array]) -> Array:
        count, _, found = state
        return ~found & ((count < _TRIES) | (otherwise is None))

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        count, _, _ = state
        drawn = draw(jax.random.fold_in(key, count))
        return count + 1, drawn, accept(drawn)

    start = (jnp.int32(0), jnp.zeros(LENGTH, jnp.int32), jnp.array(False))
    _, drawn, found = lax.while_loop(again, step, start)
    return drawn if otherwise is None else jnp.where(found, drawn, otherwise)


def neighbours(arch: Any) -> np.ndarray:
    """Other cells of the space that differ by one edge or one operation.

    Args:
      arch: int [26].

    Returns:
      int32 [n, 26], one for each different pruned cell; edges first.

    Raises:
      InputError: ``arch`` is no cell.
    """
    arch = check(np.asarray(arch))
    changed = []
    for edge in range(len(EDGES)):
        changed.append(arch.copy())
        changed[-1][edge] = 1 - arch[edge]
    for place in range(len(EDGES), LENGTH):
        for shift in range(1, len(OPS)):
            changed.append(arch.copy())
            changed[-1][place] = (arch[place] + shift) % len(OPS)
    found = {encode(arch): arch}
    for other in changed:
        if is_member(other):
            found.setdefault(encode(other), other)
    return np.stack(list(found.values()))[1:]
