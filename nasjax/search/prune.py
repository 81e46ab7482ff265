"""Pruning search: from the supernet to one architecture, with any proxies as the criterion."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.checkpoint import Checkpoints, check_same
from nasjax.proxies import registry
from nasjax.search import pruning
from nasjax.search.objectives import Progress
from nasjax.search.proxy_objective import ProxyObjective
from nasjax.search.pruning import PruneConfig, PruneState
from nasjax.search.selection import Selection
from nasjax.spaces.base import check_key
from nasjax.spaces.masked import Masked
from nasjax.types import InputError


class PruneResult(NamedTuple):
    """What a pruning search found, and on which way.

    Attributes:
      space: the search space.
      arch: the architecture, int [...].
      encoding: its official encoding.
      mask: int32 [..., edges, operations], what was left of the supernet.
      names: names of the columns.
      state: everything that was scored.
      elapsed: seconds of the whole search; of all its runs, if it was stopped.
    """

    space: Any
    arch: np.ndarray
    encoding: str
    mask: np.ndarray
    names: tuple[str, ...]
    state: PruneState
    elapsed: float

    def table(self, *, removals: bool = False) -> Any:
        """One row a supernet that was scored, in that order.

        Args:
          removals: only those whose operation was removed.

        Returns:
          pandas table: round, edge, operation that the supernet lacks, a column a proxy (higher is better), score
          within the round, whether the operation was removed.
        """
        import pandas as pd

        choice, state = self.space.masked().choice, self.state
        columns = {name: state.columns[:, i] for i, name in enumerate(self.names)}
        frame = pd.DataFrame(
            {
                "round": state.rounds,
                "edge": [choice.edges[e] for e in state.moves[:, 0]],
                "operation": [choice.ops[op] for op in state.moves[:, 1]],
                **columns,
                "score": state.combined,
                "removed": state.removed,
            }
        )
        return frame[frame["removed"]].reset_index(drop=True) if removals else frame


def prune(
    space: Any,
    criterion: Any,
    batches: Any,
    *,
    key: jax.Array,
    config: PruneConfig | None = None,
    checkpoints: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **run: Any,
) -> PruneResult:
    """Prunes the supernet of a space down to one architecture.

    Args:
      space: search space with a supernet (`nasjax.spaces.optional.HasSupernet`): nasbench201, darts.
      criterion: what a supernet must keep: a `Selection`, or proxies as `nasjax.score` takes them, merged by ranks
        among the supernets of a round. "te_nas:preset=paper" is that of TE-NAS.
      batches: images, see `nasjax.data.load`.
      key: typed key; the same one gives the same result.
      config: options of the search; those of TE-NAS's code by default.
      checkpoints: directory for the state, saved after every round; a search that finds its own state there goes on
        from it, with the outcome of one that was never stopped.
      progress: called as progress(done, total) of supernets scored.
      **run: further options of `nasjax.score`: ``engine``, ``chunk``, ``devices``, ``batching``, ``precision``,
        ``store`` (chunks of an unfinished round are found there), and ``preset``, ``aggregation`` of proxies by name.

    Returns:
      the result.

    Raises:
      InputError: the space has no supernet, a proxy is not defined on it, or the state in ``checkpoints`` is of another
        search; raised before any long work. Also a round in which no supernet has a valid score.

    References:
      Chen et al., TE-NAS, ICLR 2021; code VITA-Group/TENAS studied. L-SWAG, CVPR 2025, Section 4 (LIBRA-NAS).
    """
    check_key(key)
    if "limits" in run:
        raise InputError(
            "prune takes no limits: it cuts one supernet down to one architecture; do: leave them out, or search by "
            "nasjax.search.evolve"
        )
    config = PruneConfig() if config is None else config
    if not hasattr(space, "masked"):
        raise InputError(
            f"prune: the space {getattr(space, 'name', space)!r} has no supernet; allowed: nasbench201, darts; do: "
            "choose one of them, or search by nasjax.search.evolve"
        )
    masked: Masked[Any] = space.masked(mixture=config.mixture, shared_weights=config.shared_weights)
    goal = _criterion(criterion, batches, key, config, run)
    goal.objective.check(masked)
    described = {
        "space": space.name,
        "space_options": space.options,
        "config": dataclasses.asdict(config),
        "criterion": goal.objective.describe(),
    }
    with contextlib.ExitStack() as stack:
        store = None if checkpoints is None else stack.enter_context(Checkpoints(checkpoints))
        state, elapsed = _run(masked, goal, config, key, store, described, progress)
    arch = masked.arch(state.mask)
    return PruneResult(space, arch, space.encode(arch[None])[0], state.mask, goal.objective.names, state, elapsed)


class _Criterion(NamedTuple):
    """Proxies, and how those of a round are merged.

    Attributes:
      objective: the proxies.
      decimals: of relative changes; None for scores as they are.
      te_nas: whether ranks are those of TE-NAS's code, equal scores alike and without gaps.
    """

    objective: ProxyObjective
    decimals: int | None
    te_nas: bool

    def combine(self, columns: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Scores float64 [n] of supernets [n, m], given the numbers [m] of the supernet before the round."""
        if not self.te_nas:
            return self.objective.combine(columns)
        values = np.where(np.isnan(columns), -np.inf, columns)
        if self.decimals is not None:
            size = np.where(np.isfinite(before) & (before != 0), np.abs(before), 1)
            start = np.where(np.isfinite(before), before, 0)
            values = np.round((values - start) / size, self.decimals)
        dense = np.stack([np.unique(column, return_inverse=True)[1].reshape(-1) for column in values.T])
        return dense.sum(0).astype(np.float64)


def _criterion(criterion: Any, batches: Any, key: jax.Array, config: PruneConfig, run: dict[str, Any]) -> _Criterion:
    if isinstance(criterion, Selection):
        return _Criterion(ProxyObjective.of_selection(criterion, batches, key=key, **run), None, False)
    if not isinstance(criterion, str | Sequence):
        raise InputError(
            f"criterion {criterion!r}; allowed: a Selection, or names of proxies; do: give one, such as "
            "'te_nas:preset=paper'"
        )
    chosen = registry.parse(criterion, preset=run.get("preset", "nbsz"))
    te_nas = [p.name for p in chosen] == ["te_nas"]
    options = {name: value for name, value in run.items() if name != "preset"}
    return _Criterion(ProxyObjective.of(chosen, batches, key=key, **options), config.decimals, te_nas)


def _run(
    masked: Masked[Any],
    goal: _Criterion,
    config: PruneConfig,
    key: jax.Array,
    store: Checkpoints | None,
    described: dict[str, Any],
    progress: Progress | None,
) -> tuple[PruneState, float]:
    """Rounds until nothing is left to remove: the last state, and seconds."""
    choice = masked.choice
    state, before = pruning.init(choice, config, len(goal.objective.names)), 0.0
    if store is not None and store.steps():
        meta = store.newest_meta()
        if meta:  # otherwise nothing can be read, which ``restore`` says
            check_same(described, meta.get("search", {}), store.directory, what="search")
        saved = store.restore(state)
        assert saved is not None
        state, before = PruneState(*saved.arrays), float(saved.meta["elapsed"])
    begin, total = time.monotonic(), pruning.total(choice, config)
    while True:
        done = len(state.rounds)
        if progress is not None:
            progress(done, total)
        candidates = pruning.ask(choice, config, state)
        if candidates is None:
            return state, before + time.monotonic() - begin
        objective = dataclasses.replace(goal.objective, key=jax.random.fold_in(key, int(state.round)))
        # The supernet before the round comes last, where relative changes are asked for.
        masks = np.concatenate([candidates.masks, state.mask[None]]) if goal.te_nas else candidates.masks
        outcome = objective.evaluate(masked, masks, progress=_within(progress, done, len(candidates.moves), total))
        columns = outcome.columns[: len(candidates.moves)]
        sound = np.isfinite(columns)
        if not (sound if goal.te_nas else sound.all(1)).any():
            reason = next((r for r in outcome.reasons if r), "no reason given")
            raise InputError(
                f"prune: none of the {len(columns)} supernets of round {int(state.round)} has a valid score "
                f"({reason}); do: choose other proxies, or more channels"
            )
        combined = goal.combine(columns, outcome.columns[-1])
        state = pruning.tell(choice, state, candidates, columns, combined)
        if store is not None:
            elapsed = before + time.monotonic() - begin
            store.save(int(state.round), state, {"search": described, "elapsed": elapsed})


def _within(progress: Progress | None, done: int, count: int, total: int) -> Progress | None:
    """Progress of a round as that of the whole search."""
    if progress is None:
        return None
    return lambda part, _: progress(done + part, total) if part < count else None
