"""A choice among operations that update a state."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.types import Array, PyTree

Branch = Callable[[Any, Any], Any]


def update(number: Array, branches: Sequence[Branch | None], operands: PyTree, state: PyTree) -> PyTree:
    """The state after the branch of a number.

    On CPU each branch is a loop of one turn or none: loops write into the buffers of their state, and what is not
    chosen costs nothing, while a conditional copies every buffer of its result. Loops with a number of turns that is
    data have no reverse-mode derivative; differentiate inside the branches.

    Elsewhere it is a ``lax.switch``; under ``jax.vmap`` over numbers, the members of the population that chose a
    branch are gathered and run it together, a tenth of the population at a time, so that what a member did not
    choose costs it nothing. A plain switch under ``vmap`` runs every branch for every member.

    Args:
      number: int32 [], which branch.
      branches: (operands, state) -> state, or None to leave it as it is.
      operands: arrays that branches read; what they capture instead is computed whether chosen or not, and must not
        be batched by ``vmap``.
      state: arrays.

    Returns:
      the new state.
    """
    if jax.default_backend() != "cpu":
        return _switch(branches)(number, operands, state)

    def turn(branch: Branch, count: Array, state: PyTree) -> PyTree:
        # XLA moves what does not change from turn to turn out of the loop; the barrier ties operands to the count.
        own, _ = lax.optimization_barrier((operands, count))
        return branch(own, state)

    for i, branch in enumerate(branches):
        if branch is not None:
            turns = (number == i).astype("int32")
            state = lax.fori_loop(0, turns, functools.partial(turn, branch), state)
    return state


def _switch(branches: Sequence[Branch | None]) -> Callable[..., PyTree]:
    """(number, operands, state) -> state by ``lax.switch``, and by groups under ``vmap``."""
    keep: Branch = lambda operands, state: state  # noqa: E731

    def one(number: Array, operands: PyTree, state: PyTree) -> PyTree:
        return lax.switch(number, [branch or keep for branch in branches], operands, state)

    def together(size: int, batched: Any, number: Array, operands: PyTree, state: PyTree) -> PyTree:
        if not batched[0]:
            axes = (None, *jax.tree.map(lambda b: 0 if b else None, batched[1:]))
            return jax.vmap(one, in_axes=axes, axis_size=size)(number, operands, state)
        whole = lambda x, b: x if b else jnp.broadcast_to(x, (size, *jnp.shape(x)))  # noqa: E731
        state = jax.tree.map(whole, state, batched[2])
        for i, branch in enumerate(branches):
            if branch is not None:
                state = _grouped(branch, number == i, operands, batched[1], state)
        return state

    return nn.batched_by(one, together)


def _grouped(branch: Branch, chosen: Array, operands: PyTree, batched: PyTree, state: PyTree) -> PyTree:
    """Runs a branch for the chosen members of a population, a group at a time.

    Args:
      branch: (operands, state) -> state of one member.
      chosen: bool [n].
      operands: arrays; those that ``batched`` marks have a leading axis of members.
      batched: tree of bools like ``operands``.
      state: arrays [n, ...].

    Returns:
      the new state; that of members that are not chosen as it was.
    """
    count = chosen.shape[0]
    group = -(-count // 10)
    order = jnp.argsort(~chosen, stable=True)  # the chosen first
    order = jnp.concatenate([order, jnp.full(group, count, order.dtype)])
    number = chosen.sum()
    axes = jax.tree.map(lambda b: 0 if b else None, batched)

    def turn(i: Array, state: PyTree) -> PyTree:
        start = i * group
        rows = lax.dynamic_slice_in_dim(order, start, group)
        take = lambda x: x.at[rows].get(mode="clip")  # noqa: E731
        own = jax.tree.map(lambda x, b: take(x) if b else x, operands, batched)
        new = jax.vmap(branch, in_axes=(axes, 0))(own, jax.tree.map(take, state))
        rows = jnp.where(start + jnp.arange(group) < number, rows, count)  # spare members are dropped
        put = lambda x, y: x.at[rows].set(y, mode="drop", unique_indices=True)  # noqa: E731
        return jax.tree.map(put, state, new)

    out: PyTree = lax.fori_loop(0, (number + group - 1) // group, turn, state)
    return out
