"""Splits that do not leak: architectures that compute the same function stay on one side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax.types import InputError


class Split(NamedTuple):
    """A split of n architectures.

    Attributes:
      train: int [t], their numbers in random order, so that a smaller training set is a prefix.
      test: int [m], in increasing order.
    """

    train: np.ndarray
    test: np.ndarray


def groups_of(space: Any, archs: Any) -> np.ndarray:
    """Groups of architectures that are the same up to isomorphism, by ``space.canonical``.

    Args:
      space: search space.
      archs: population, a pytree of arrays [n, ...].

    Returns:
      int [n], equal for isomorphic architectures.
    """
    from nasjax.grasp.encoders import each

    texts = [space.canonical(arch) for arch in each(archs)]
    number = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return np.array([number[text] for text in texts])


def one_each(groups: Any) -> np.ndarray:
    """The first architecture of every group.

    Args:
      groups: [n], equal for the same function.

    Returns:
      int [g], increasing.
    """
    _, first = np.unique(np.asarray(groups), return_index=True)
    return np.sort(first)


def split(groups: Any, num_train: int, *, seed: int, single: bool = True) -> Split:
    """A random split by groups.

    Args:
      groups: [n], equal for architectures of the same function: ``iso_group`` of the table, or `groups_of`.
      num_train: training architectures.
      seed: of the draw. For one seed, a smaller training set is part of a larger one, and ``single`` test sets too.
      single: keep one architecture a group in training and test; otherwise test holds all of the other groups, and
        training may hold several of a group.

    Returns:
      numbers of architectures; no group is on both sides.

    Raises:
      InputError: there are not enough groups for both sides.
    """
    names = np.asarray(groups)
    rows = one_each(names) if single else np.arange(len(names))
    if isinstance(num_train, bool) or not isinstance(num_train, int | np.integer) or not 1 <= num_train < len(rows):
        raise InputError(f"num_train={num_train!r} of {len(rows)} distinct architectures; allowed: 1..{len(rows) - 1}")
    order = np.random.default_rng(seed).permutation(rows)
    train = order[:num_train]
    test = np.sort(order[num_train:])
    test = test[~np.isin(names[test], names[train])]
    if len(test) < 2:
        raise InputError(f"{len(test)} test architectures are left without a twin in training; do: lower num_train")
    return Split(train, test)


def splits(groups: Any, num_train: int, seeds: Sequence[int], *, single: bool = True) -> list[Split]:
    """One split a seed.

    Args:
      groups: as `split`.
      num_train: as `split`.
      seeds: seeds.
      single: as `split`.

    Returns:
      the splits.

    Raises:
      InputError: as `split`.
    """
    return [split(groups, num_train, seed=seed, single=single) for seed in seeds]
