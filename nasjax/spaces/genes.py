"""Architectures as independent choices: what an evolution strategy keeps a distribution over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.types import Array

_SAMPLES = 2048


class Genes(NamedTuple):
    """How choices make an architecture.

    Attributes:
      sizes: number of values of each choice, length G.
      decode: choices int32 [G] -> architecture; traceable.
      encode: architecture -> choices int32 [G], -1 where the architecture does not show what was chosen (a block
        beyond its depth); traceable.
      frequencies: float [G, K], how often each value is to be drawn at first, rows of sum 1, 0 for values beyond
        the size of a choice.
      closed: whether every combination is an architecture of the space.
    """

    sizes: tuple[int, ...]
    decode: Callable[[Array], Array]
    encode: Callable[[Array], Array]
    frequencies: np.ndarray
    closed: bool = True


class HasGenes(Protocol):
    """A space that knows its independent choices; of others they are guessed from samples."""

    def genes(self) -> Genes:
        """The choices."""
        ...


def even(sizes: Sequence[int]) -> np.ndarray:
    """Equal frequencies of all values: float [G, K]."""
    table = np.arange(max(sizes))[None] < np.asarray(sizes)[:, None]
    return table / table.sum(1, keepdims=True)


def product(sizes: Sequence[int]) -> Genes:
    """Choices of a space whose architectures are all arrays of numbers below ``sizes``.

    Args:
      sizes: number of values of each place.

    Returns:
      the choices, which are the architecture itself.
    """
    sizes = tuple(int(s) for s in sizes)
    return Genes(sizes, lambda genes: genes.astype(jnp.int32), lambda arch: arch.astype(jnp.int32), even(sizes))


def of_space(space: Any) -> Genes:
    """Choices of any space.

    Args:
      space: search space; one without ``genes`` gets a choice for each number of an architecture, among the values
        that 2,048 random architectures show there, at first as often as they do.

    Returns:
      the choices.
    """
    if hasattr(space, "genes"):
        found: Genes = space.genes()
        return found
    drawn = np.asarray(space.sample(jax.random.key(0), _SAMPLES))
    columns = [np.unique(column, return_counts=True) for column in drawn.T]
    sizes = tuple(len(values) for values, _ in columns)
    table = np.zeros((len(sizes), max(sizes)), np.int32)
    frequencies = np.zeros((len(sizes), max(sizes)))
    for i, (values, counts) in enumerate(columns):
        table[i] = [*values, *[values[0]] * (max(sizes) - len(values))]
        frequencies[i, : len(values)] = counts / counts.sum()

    def decode(genes: Array) -> Array:
        return jnp.asarray(table)[jnp.arange(len(sizes)), genes]

    def encode(arch: Array) -> Array:
        same = jnp.asarray(table) == jnp.asarray(arch)[:, None]
        return jnp.where(same.any(1), jnp.argmax(same, 1), -1).astype(jnp.int32)

    return Genes(sizes, decode, encode, frequencies, closed=False)
