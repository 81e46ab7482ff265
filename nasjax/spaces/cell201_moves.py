"""Moves in the space of NAS-Bench-201 cells: enumerate, sample, mutate, recombine.

``sample``, ``mutate`` and ``crossover`` are JAX functions: they take a typed key first and can be
jitted and vmapped. The others are NumPy.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from nasjax.spaces import dag
from nasjax.spaces.cell201_codec import NUM_ARCHITECTURES, NUM_OPS, check_arch, from_enumeration_index
from nasjax.types import InputError


def all_architectures() -> np.ndarray:
    """Every cell, in the order of ``enumeration_index``.

    For the order of the benchmark take ``from_index(numpy.arange(15625))``.

    Returns:
      int32 [15625, 6], a fresh array.
    """
    return from_enumeration_index(np.arange(NUM_ARCHITECTURES))


def neighbours(arch: Any) -> np.ndarray:
    """Cells that differ from ``arch`` in exactly one edge.

    Args:
      arch: integers [6].

    Returns:
      int32 [24, 6]; edge by edge, the other operations in increasing order.

    Raises:
      InputError: if ``arch`` is no single architecture.
    """
    array = check_arch(arch)
    if array.ndim != 1:
        raise InputError(f"architectures of shape {list(array.shape)}; allowed: [6]; do: take one at a time")
    return dag.neighbours(array, NUM_OPS)


def sample(key: jax.Array, n: int) -> jax.Array:
    """Draws cells uniformly, with replacement.

    Args:
      key: typed PRNG key.
      n: number of cells, static.

    Returns:
      int32 [n, 6].

    Raises:
      InputError: if ``n`` is negative or no integer.
    """
    return dag.sample(key, n, NUM_OPS)


def mutate(key: jax.Array, arch: Any, *, num_edges: int = 1) -> jax.Array:
    """Gives some edges another operation.

    Args:
      key: typed PRNG key.
      arch: integers [6].
      num_edges: how many different edges change, 1..6, static. Each gets one of the four other
        operations, all equally likely.

    Returns:
      int32 [6] that differs from ``arch`` in exactly ``num_edges`` edges.

    Raises:
      InputError: if ``num_edges`` is out of range.
    """
    return dag.mutate(key, arch, NUM_OPS, num_edges)


def crossover(key: jax.Array, a: Any, b: Any) -> jax.Array:
    """Takes each edge from one of two parents, with equal chance.

    Args:
      key: typed PRNG key.
      a: integers [6], first parent.
      b: integers [6], second parent.

    Returns:
      int32 [6].
    """
    return dag.crossover(key, a, b)
