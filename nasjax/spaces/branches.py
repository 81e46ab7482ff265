"""A choice among operations that update a state."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax

from nasjax.types import Array, PyTree

Branch = Callable[[Any, Any], Any]


def update(number: Array, branches: Sequence[Branch | None], operands: PyTree, state: PyTree) -> PyTree:
    """The state after the branch of a number.

    ``lax.switch`` on most devices. On CPU each branch is a loop of one turn or none: loops write into the buffers
    of their state, and what is not chosen costs nothing, while a conditional copies every buffer of its result.
    Loops with a number of turns that is data have no reverse-mode derivative; differentiate inside the branches.

    Args:
      number: int32 [], which branch.
      branches: (operands, state) -> state, or None to leave it as it is.
      operands: arrays that branches read; what they capture instead is computed whether chosen or not.
      state: arrays.

    Returns:
      the new state.
    """
    if jax.default_backend() != "cpu":
        keep: Branch = lambda operands, state: state  # noqa: E731
        return lax.switch(number, [branch or keep for branch in branches], operands, state)

    def turn(branch: Branch, count: Array, state: PyTree) -> PyTree:
        # XLA moves what does not change from turn to turn out of the loop; the barrier ties operands to the count.
        own, _ = lax.optimization_barrier((operands, count))
        return branch(own, state)

    for i, branch in enumerate(branches):
        if branch is not None:
            turns = (number == i).astype("int32")
            state = lax.fori_loop(0, turns, functools.partial(turn, branch), state)
    return state
