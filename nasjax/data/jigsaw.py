"""The jigsaw task: which permutation the tiles of an image are in (Noroozi and Favaro, 2016)."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from nasjax.types import InputError

GRID = 3  # tiles a side
PERMUTATIONS = 1000  # classes of the task in TransNAS-Bench-101


@functools.lru_cache(maxsize=4)
def permutations(number: int = PERMUTATIONS) -> np.ndarray:
    """Permutations of nine tiles that are far from each other.

    Greedy: the first is the identity; each next one differs from all before in as many places as possible, then in
    the sum over them, then comes first in lexicographic order. The papers draw the first at random and publish a file.

    Args:
      number: how many, at most 9!.

    Returns:
      uint8 [number, 9], read-only; a row names the tile that each place shows.

    Raises:
      InputError: a number that is not allowed.
    """
    if not 1 <= number <= 362880:
        raise InputError(f"{number} jigsaw permutations; allowed: 1 to 362880, those of nine tiles; do: change it")
    every = np.ascontiguousarray(np.asarray(list(itertools.permutations(range(GRID**2))), np.uint8).T)
    nearest = np.full(every.shape[1], GRID**2 + 1, np.int32)
    total = np.zeros(every.shape[1], np.int32)
    chosen = np.empty((number, GRID**2), np.uint8)
    index = 0
    for position in range(number):
        chosen[position] = every[:, index]
        distance = np.zeros(every.shape[1], np.uint8)
        for place in range(GRID**2):
            distance += every[place] != every[place, index]
        np.minimum(nearest, distance, out=nearest)
        total += distance
        # One number orders by the nearest, then by the sum; a chosen one has distance 0.
        index = int(np.argmax(nearest.astype(np.int64) * (10 * number) + total * (nearest > 0)))
    chosen.setflags(write=False)
    return chosen


def scramble(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Puts the tiles of images into the order of permutations.

    Args:
      images: [n, height, width, channels]; rows and columns that do not fill three tiles are cut off at the end.
      chosen: int [n, 9], a permutation an image; tile ``chosen[i, place]`` comes to ``place``, row by row.

    Returns:
      [n, height, width, channels] of the same dtype, whose sides are multiples of three.
    """
    number, height, width, channels = images.shape
    tall, broad = height // GRID, width // GRID
    cut = images[:, : tall * GRID, : broad * GRID].reshape(number, GRID, tall, GRID, broad, channels)
    tiles = cut.transpose(0, 1, 3, 2, 4, 5).reshape(number, GRID**2, tall, broad, channels)
    moved = np.take_along_axis(tiles, np.asarray(chosen, np.int64)[:, :, None, None, None], axis=1)
    moved = moved.reshape(number, GRID, GRID, tall, broad, channels).transpose(0, 1, 3, 2, 4, 5)
    return moved.reshape(number, tall * GRID, broad * GRID, channels)


def labels(indices: np.ndarray, *, seed: int = 0, number: int = PERMUTATIONS) -> np.ndarray:
    """Which permutation every image gets: int32 [n], by the seed and its number in the data set alone.

    Args:
      indices: int [n], numbers in the data set.
      seed: 0 or more.
      number: how many permutations there are.

    Returns:
      int32 [n].
    """
    return np.asarray([np.random.default_rng([seed, int(index)]).integers(number) for index in indices], np.int32)


def puzzles(
    images: np.ndarray, indices: np.ndarray, *, seed: int = 0, number: int = PERMUTATIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Puzzles of images, each by its own permutation.

    Args:
      images: [n, height, width, channels].
      indices: see :func:`labels`.
      seed: likewise.
      number: likewise.

    Returns:
      scrambled images, and the numbers of their permutations, int32 [n], the classes.
    """
    classes = labels(indices, seed=seed, number=number)
    return scramble(images, permutations(number)[classes]), classes
