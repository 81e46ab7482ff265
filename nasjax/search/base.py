"""What a search algorithm is: pure functions init, ask and tell over arrays of architectures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nasjax.types import Array, InputError, PyTree


class History(NamedTuple):
    """What a search has scored so far, in the order of scoring, in arrays of fixed size N.

    Scores enter as ranks, so that an algorithm sees an order and no scale: the values of proxies differ by many
    orders of magnitude, and ranks change as a set of proxies is ranked anew within all that was scored.

    Attributes:
      archs: int32 [N, g]; rows from ``filled`` on are zero.
      scores: float32 [N]; 0 for the lowest distinct score, 1 for the next and so on; -inf for architectures that are
        invalid, and from ``filled`` on.
      costs: float32 [N, c]; ranks of what is to be small, in the same form.
      generation: int32 [N]; when each was scored, -1 from ``filled`` on.
      proposed: bool [N]; whether the algorithm asked for it; others were drawn at random.
      filled: int32 [], how many rows are used.
    """

    archs: Array
    scores: Array
    costs: Array
    generation: Array
    proposed: Array
    filled: Array


class Algorithm(NamedTuple):
    """A search algorithm.

    Attributes:
      name: registered name.
      options: what distinguishes this configuration, JSON-serialisable.
      initial: random architectures of the first generation; 0 asks the algorithm for that too.
      batch: architectures of each further generation.
      init: typed key -> state.
      ask: key, state, history -> int32 [batch, g]: proposals, one a slot. The driver asks again for a slot whose
        proposal is outside the limits or was scored before.
      tell: state, history -> state, after a generation was scored.
      closed: whether all proposals are architectures of the space.
      default_budget: architectures that the published setting scores in all; None where there is none.
    """

    name: str
    options: dict[str, Any]
    initial: int
    batch: int
    init: Callable[[Array], PyTree]
    ask: Callable[[Array, PyTree, History], Array]
    tell: Callable[[PyTree, History], PyTree]
    closed: bool = True
    default_budget: int | None = None

    @property
    def least_budget(self) -> int:
        """The smallest sensible number of architectures to score."""
        return max(self.initial, 1)


def unchanged(state: PyTree, history: History) -> PyTree:
    """The ``tell`` of an algorithm that reads the history alone."""
    del history
    return state


def no_state(key: Array) -> PyTree:
    """The ``init`` of an algorithm that reads the history alone."""
    del key
    return ()


def mutation(space: Any, **options: float) -> Callable[[Array, Array], Array]:
    """The space's mutation of a population.

    Args:
      space: search space with ``mutate``.
      **options: passed to those spaces that have them.

    Returns:
      keys [n], population [n, g] -> population [n, g].

    Raises:
      InputError: the space cannot mutate.
    """
    move = _move(space, "mutate")
    known = inspect.signature(move).parameters
    used = {name: value for name, value in options.items() if name in known}
    return jax.vmap(lambda key, arch: move(key, arch, **used))


def crossover(space: Any) -> Callable[[Array, Array, Array], Array]:
    """The space's recombination of two populations: keys [n], [n, g], [n, g] -> [n, g]."""
    return jax.vmap(_move(space, "crossover"))


def best(scores: Array, num: int) -> tuple[Array, Array]:
    """The best of a history.

    Args:
      scores: float [N], -inf for what may not be chosen.
      num: how many, static.

    Returns:
      indices int32 [num], the earlier first among equals; whether each is there, bool [num].
    """
    values, indices = jax.lax.top_k(scores, min(num, scores.shape[0]))
    return indices, values > -jnp.inf


def pick(key: Array, indices: Array, there: Array, num: int) -> Array:
    """Draws among those that are there, with replacement: int32 [num]; the first one if none is."""
    weights = jnp.where(there | ~there.any(), 0.0, -jnp.inf)
    return indices[jax.random.categorical(key, weights, shape=(num,))]


def check_count(name: str, option: str, value: Any, *, minimum: int = 1) -> None:
    """Refuses an option that is no whole number, or too small.

    Args:
      name: of the algorithm.
      option: of its configuration.
      value: what was given.
      minimum: smallest allowed number.

    Raises:
      InputError: it is not allowed.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise InputError(f"{name}: {option}={value!r}; allowed: a whole number of at least {minimum}; do: change it")


def check_number(name: str, option: str, value: Any, *, low: float, high: float) -> None:
    """Refuses an option that is no number between two bounds, which are included.

    Args:
      name: of the algorithm.
      option: of its configuration.
      value: what was given.
      low: smallest allowed number.
      high: largest allowed number.

    Raises:
      InputError: it is not allowed.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{name}: {option}={value!r}; allowed: a number in [{low:g}, {high:g}]; do: change it")


def _move(space: Any, name: str) -> Any:
    move = getattr(space, name, None)
    if move is None:
        raise InputError(
            f"the space {getattr(space, 'name', space)!r} has no {name}; allowed: spaces that have one; do: use "
            "algorithm='random', or give the space the function"
        )
    return move
