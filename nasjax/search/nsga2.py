"""NSGA-II: the score against parameters, multiply-adds or a measured latency."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.search.base import Algorithm, History, check_count, check_number, crossover, mutation
from nasjax.types import Array


@dataclasses.dataclass(frozen=True)
class Nsga2Config:
    """Options of NSGA-II.

    Attributes:
      population: survivors, and children of a generation.
      crossover_rate: chance that a child has two parents; every child is also mutated. The paper's setting.
    """

    population: int = 50
    crossover_rate: float = 0.9

    def __post_init__(self) -> None:
        """Checks the options."""
        check_count("nsga2", "population", self.population, minimum=2)
        check_number("nsga2", "crossover_rate", self.crossover_rate, low=0, high=1)


def nsga2(space: Any, config: Nsga2Config) -> Algorithm:
    """Fronts of architectures that no other one beats in all, crowded regions thinned.

    Objectives enter as ranks, also in the crowding distance: a score has no scale.

    Args:
      space: search space with ``mutate`` and ``crossover``.
      config: options.

    Returns:
      the algorithm.

    References:
      Deb, Pratap, Agarwal and Meyarivan, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE
      Transactions on Evolutionary Computation 2002.
    """
    mutate, cross = mutation(space), crossover(space)
    size = config.population

    def init(key: Array) -> Array:
        del key
        return jnp.full((size,), -1, jnp.int32)

    @jax.jit
    def ask(key: Array, state: Array, history: History) -> Array:
        keys = jax.random.split(key, 5)
        alive = _members(state, history)
        index, front, distance = _sorted(history, alive, size)
        total = alive.shape[0]
        front = jnp.full((total,), total, jnp.int32).at[index].set(front, mode="drop")
        distance = jnp.zeros((total,), distance.dtype).at[index].set(distance, mode="drop")
        draws = jax.random.categorical(keys[0], jnp.where(alive, 0.0, -jnp.inf), shape=(2, 2, size))
        left, right = draws[0], draws[1]  # two tournaments of two a child
        wins = (front[left] < front[right]) | ((front[left] == front[right]) & (distance[left] >= distance[right]))
        mother, father = jnp.where(wins, left, right)
        both = cross(jax.random.split(keys[1], size), history.archs[mother], history.archs[father])
        crossed = jax.random.bernoulli(keys[2], config.crossover_rate, (size, 1))
        return mutate(jax.random.split(keys[3], size), jnp.where(crossed, both, history.archs[mother]))

    @jax.jit
    def tell(state: Array, history: History) -> Array:
        alive = _members(state, history) | (history.generation == history.generation.max())
        index, front, distance = _sorted(history, alive, 2 * size)
        order = index[jnp.lexsort((index, -distance, front))[:size]]
        return jnp.where(order < alive.shape[0], order, -1).astype(jnp.int32)

    return Algorithm("nsga2", dataclasses.asdict(config), size, size, init, ask, tell)


def _members(state: Array, history: History) -> Array:
    """Survivors by number, -1 for none, to bool [N]."""
    there = jnp.where(state >= 0, state, history.scores.shape[0])
    return jnp.zeros(history.scores.shape, bool).at[there].set(True, mode="drop")


def _sorted(history: History, alive: Array, most: int) -> tuple[Array, Array, Array]:
    """The living, at most ``most``: their numbers (N for none), fronts and crowding distances, each [most].

    Time and memory grow with the square of ``most``, not of all that a search scores.
    """
    (index,) = jnp.nonzero(alive, size=most, fill_value=alive.shape[0])
    goals = _goals(history)[index]
    front = fronts(goals, index < alive.shape[0])
    return index, front, crowding(goals, front)


def _goals(history: History) -> Array:
    """What is to be large: float [N, 1 + c]; all -inf where invalid."""
    valid = (history.scores > -jnp.inf)[:, None]
    return jnp.where(valid, jnp.concatenate([history.scores[:, None], -history.costs], 1), -jnp.inf)


def fronts(goals: Array, alive: Array) -> Array:
    """Number of the front of each architecture.

    Args:
      goals: float [N, m], higher is better.
      alive: bool [N]; others belong to no front.

    Returns:
      int32 [N], 0 for those that no living one dominates, 1 for those that only front 0 dominates, ...; N for others.
    """
    size = goals.shape[0]
    no_worse = (goals[:, None] >= goals[None]).all(-1)
    better = (goals[:, None] > goals[None]).any(-1)
    dominates = no_worse & better & alive[:, None] & alive[None]

    def more(state: tuple[Array, Array, Array]) -> Array:
        return state[2].any()

    def peel(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        number, front, left = state
        top = left & ~(dominates & left[:, None]).any(0)
        return number + 1, jnp.where(top, number, front), left & ~top

    start = (jnp.int32(0), jnp.full((size,), size, jnp.int32), alive)
    return jax.lax.while_loop(more, peel, start)[1]


def crowding(goals: Array, front: Array) -> Array:
    """How much room each architecture has within its front: the sides of the box between its neighbours.

    Args:
      goals: float [N, m].
      front: int32 [N], see ``fronts``.

    Returns:
      float [N], +inf at the ends of a front; each goal is scaled to its range within the front.
    """
    total = jnp.zeros(front.shape, goals.dtype)
    for goal in jnp.nan_to_num(goals, neginf=-1.0).T:
        order = jnp.lexsort((goal, front))
        value, own = goal[order], front[order]
        same = own[1:] == own[:-1]
        step = jnp.where(same, value[1:] - value[:-1], jnp.inf)
        low = jax.ops.segment_min(goal, front, front.shape[0] + 1)
        high = jax.ops.segment_max(goal, front, front.shape[0] + 1)
        span = jnp.maximum((high - low)[own], 1e-9)
        edge = jnp.full((1,), jnp.inf, goals.dtype)
        room = (jnp.concatenate([edge, step]) + jnp.concatenate([step, edge])) / span
        total = total.at[order].add(room)
    return total


def pareto_front(goals: np.ndarray) -> np.ndarray:
    """Which rows no other row beats.

    Args:
      goals: float [n, m], higher is better; a row with NaN or -inf is never in front.

    Returns:
      increasing int [k]; of equal rows the first alone.
    """
    sound = np.flatnonzero(np.isfinite(goals).all(1))
    order = sound[np.lexsort((sound, *(-goals[sound].T[::-1])))]  # best first goal first
    kept: list[int] = []
    for row in order:
        others = goals[kept]
        if not len(kept) or not (others >= goals[row]).all(1).any():
            kept.append(int(row))
    return np.array(sorted(kept), int)
