"""The smallest and the largest number of parameters or multiply-adds that a space offers."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

COSTS = ("params", "flops")
_SAMPLES = 512
_STEPS = 200  # of a climb; one of NAS-Bench-101 needs about ten


class Bounds(NamedTuple):
    """Bounds of a cost over a space.

    Attributes:
      low: smallest value.
      high: largest value.
      exact: whether they are those of the space; otherwise some architecture has them, and others may lie beyond.
      values: increasing int64 [m], the distinct values of the space if it can be enumerated, else empty.
    """

    low: int
    high: int
    exact: bool
    values: np.ndarray


def costs(space: Any, cost: str, archs: Any) -> np.ndarray:
    """Parameters ("params") or multiply-adds ("flops") of a population: int64 [n]."""
    count = space.num_params if cost == "params" else space.flops
    return np.atleast_1d(np.asarray(count(np.asarray(archs)))).astype(np.int64)


@functools.lru_cache(maxsize=32)
def cost_bounds(space: Any, cost: str) -> Bounds:
    """Bounds of a cost.

    Exact where the space enumerates itself (``all``) or knows its ``extremes`` (`nasjax.spaces.optional`). Otherwise
    the smallest and the largest of 512 random architectures, and from these two on the best neighbour as long as it
    is better, where the space has ``neighbours``.

    Args:
      space: search space.
      cost: "params" or "flops".

    Returns:
      the bounds.
    """
    none = np.zeros(0, np.int64)
    if hasattr(space, "all"):
        values = np.unique(costs(space, cost, space.all()))
        return Bounds(int(values[0]), int(values[-1]), True, values)
    if hasattr(space, "extremes"):
        found = costs(space, cost, space.extremes())
        return Bounds(int(found.min()), int(found.max()), True, none)
    drawn = np.asarray(space.sample(jax.random.key(0), _SAMPLES))
    ends = [_climb(space, cost, drawn, sign) for sign in (-1, 1)]
    return Bounds(ends[0], ends[1], False, none)


def _climb(space: Any, cost: str, drawn: np.ndarray, sign: int) -> int:
    """The largest cost times ``sign`` that steps to neighbours reach; the cost itself."""
    values = sign * costs(space, cost, drawn)
    best, arch = values.max(), drawn[values.argmax()]
    for _ in range(_STEPS if hasattr(space, "neighbours") else 0):
        around = np.asarray(space.neighbours(arch))
        values = sign * costs(space, cost, around) if len(around) else np.array([best])
        if values.max() <= best:
            break
        best, arch = values.max(), around[values.argmax()]
    return int(sign * best)
