"""The rounds of a pruning search as pure functions of arrays (Chen et al., TE-NAS, ICLR 2021, Algorithm 1).

A search starts from the supernet. A round scores, for each operation that is alive on an edge with more than one, the
supernet without it, and removes from each edge the operation whose removal leaves the best supernet. When every edge
has one left, nodes with more inputs than the space allows lose edges: of each such node in turn the supernets without
one of its edges are scored, and those edges stay whose removal leaves the worst.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from nasjax.spaces.masked import MIXTURES, Choice
from nasjax.types import InputError


@dataclasses.dataclass(frozen=True)
class PruneConfig:
    """What the paper leaves open, or its code sets apart from it; the defaults are those of the code.

    Attributes:
      per_edge: operations that an edge loses in a round; one always stays. The code: 1 on NAS-Bench-201, 3 on DARTS
        with CIFAR-10, 2 with ImageNet.
      with_none: whether the operation that is nothing is alive at the start, as the paper's text has it; the code
        removes it from every edge first. It only scales the mean of an edge.
      mixture: what an edge brings, "mean" or "sum" of its living operations; see `nasjax.spaces.masked.Masked`.
      shared_weights: whether the supernets of a round have the same random weights. The code compares each with the
        supernet before the round under the same weights, which comes to the same.
      decimals: to how many places ``te_nas`` rounds the relative changes that it ranks, so that close ones are equal;
        None for no rounding. Other criteria are not rounded.
    """

    per_edge: int = 1
    with_none: bool = False
    mixture: str = "mean"
    shared_weights: bool = True
    decimals: int | None = 3

    def __post_init__(self) -> None:
        """Checks the options."""
        whole = {"per_edge": (self.per_edge, 1), "decimals": (0 if self.decimals is None else self.decimals, 0)}
        for name, (value, least) in whole.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"prune: {name}={value!r}; allowed: a whole number of at least {least}; do: change it")
        for name in ("with_none", "shared_weights"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"prune: {name}={getattr(self, name)!r}; allowed: True, False; do: choose one of them")
        if self.mixture not in MIXTURES:
            raise InputError(f"prune: mixture={self.mixture!r}; allowed: {', '.join(MIXTURES)}; do: choose one of them")


class PruneState(NamedTuple):
    """State of a search, NumPy arrays; the last five hold everything that was scored, in that order.

    Attributes:
      mask: int32 [..., edges, operations], what is alive.
      round: int32 [], rounds done.
      rounds: int32 [n], round of each supernet scored, from 0.
      moves: int32 [n, 2], edge and operation that it lacks; edges of all cells in the order of the mask.
      columns: float64 [n, m], its numbers.
      combined: float64 [n], its score among those of its round.
      removed: bool [n], whether the operation was removed.
    """

    mask: np.ndarray
    round: np.ndarray
    rounds: np.ndarray
    moves: np.ndarray
    columns: np.ndarray
    combined: np.ndarray
    removed: np.ndarray


class Candidates(NamedTuple):
    """The supernets of a round.

    Attributes:
      masks: int32 [n, ..., edges, operations].
      moves: int32 [n, 2], edge and operation that each lacks.
      quota: int32 [n], of each edge in ``moves`` how many are removed; -1 where ``keep`` edges stay in all instead.
    """

    masks: np.ndarray
    moves: np.ndarray
    quota: np.ndarray


def init(choice: Choice, config: PruneConfig, columns: int) -> PruneState:
    """The state at the start.

    Args:
      choice: what masks mean.
      config: options.
      columns: how many numbers a supernet gets.

    Returns:
      the state.
    """
    mask = np.ones(choice.shape, np.int32)
    if not config.with_none:
        mask[..., choice.nothing] = 0
    return PruneState(
        mask,
        np.zeros((), np.int32),
        np.zeros(0, np.int32),
        np.zeros((0, 2), np.int32),
        np.zeros((0, columns), np.float64),
        np.zeros(0, np.float64),
        np.zeros(0, bool),
    )


def ask(choice: Choice, config: PruneConfig, state: PruneState) -> Candidates | None:
    """The supernets to score next.

    Args:
      choice: what masks mean.
      config: options.
      state: of the search.

    Returns:
      the supernets; None when the search is over.
    """
    alive = _flat(choice, state.mask)
    counts = alive.sum(1)
    if (counts > 1).any():
        moves = np.argwhere(alive & (counts > 1)[:, None])
        return _candidates(choice, state.mask, moves, np.minimum(config.per_edge, counts - 1)[moves[:, 0]])
    for group in choice.groups:
        inputs = [edge for edge in group if counts[edge]]
        if len(inputs) > choice.keep:
            moves = np.array([(edge, int(alive[edge].argmax())) for edge in inputs])
            return _candidates(choice, state.mask, moves, np.full(len(moves), -1))
    return None


def tell(
    choice: Choice, state: PruneState, candidates: Candidates, columns: np.ndarray, combined: np.ndarray
) -> PruneState:
    """The state after a round.

    Among equal scores the operation with the larger first column is removed, then the one named first.

    Args:
      choice: what masks mean.
      state: of the search.
      candidates: what ``ask`` gave.
      columns: float64 [n, m], numbers of the supernets.
      combined: float64 [n], their scores; a supernet with -inf is the last to be chosen.

    Returns:
      the new state.
    """
    first = np.where(np.isnan(columns[:, 0]), -np.inf, columns[:, 0])
    order = np.lexsort((np.arange(len(combined)), -first, -combined))
    removed = np.zeros(len(order), bool)
    lost: dict[int, int] = {}
    of_group = len(order) - choice.keep
    for i in order:
        edge, quota = int(candidates.moves[i, 0]), int(candidates.quota[i])
        removed[i] = lost.get(edge, 0) < quota if quota >= 0 else sum(lost.values()) < of_group
        lost[edge] = lost.get(edge, 0) + int(removed[i])
    alive = _flat(choice, state.mask).copy()
    alive[tuple(candidates.moves[removed].T)] = False
    number = np.full(len(order), state.round, np.int32)
    return PruneState(
        alive.astype(np.int32).reshape(choice.shape),
        np.asarray(state.round + 1, np.int32),
        np.concatenate([state.rounds, number]),
        np.concatenate([state.moves, candidates.moves]),
        np.concatenate([state.columns, columns]),
        np.concatenate([state.combined, combined]),
        np.concatenate([state.removed, removed]),
    )


def total(choice: Choice, config: PruneConfig) -> int:
    """How many supernets a search scores; it does not depend on their scores."""
    state = init(choice, config, 1)
    while (candidates := ask(choice, config, state)) is not None:
        blank = np.zeros(len(candidates.moves))
        state = tell(choice, state, candidates, blank[:, None], blank)
    return len(state.rounds)


def _flat(choice: Choice, mask: np.ndarray) -> np.ndarray:
    """Living operations by edge of all cells: bool [edges, operations]."""
    return np.asarray(mask).reshape(len(choice.edges), len(choice.ops)) > 0


def _candidates(choice: Choice, mask: np.ndarray, moves: np.ndarray, quota: np.ndarray) -> Candidates:
    masks = np.repeat(_flat(choice, mask)[None], len(moves), 0)
    masks[np.arange(len(moves)), moves[:, 0], moves[:, 1]] = False
    shaped = masks.astype(np.int32).reshape(len(moves), *choice.shape)
    return Candidates(shaped, moves.astype(np.int32), quota.astype(np.int32))
