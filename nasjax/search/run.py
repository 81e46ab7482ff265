"""The driver of a search: asks, scores a generation in one call, tells, saves, and goes on after any stop."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.checkpoint import Checkpoints, check_same
from nasjax.search import registry
from nasjax.search.base import Algorithm
from nasjax.search.costs import Costs
from nasjax.search.limits import Limits
from nasjax.search.memory import Memory, evaluate
from nasjax.search.objectives import Objective, Progress, as_objective
from nasjax.search.proposals import Filler
from nasjax.search.result import SearchResult
from nasjax.spaces.base import check_key
from nasjax.types import InputError, PyTree

DUPLICATES = ("canonical", "encoding")
BUDGET = 1000
_PROBED = 256  # architectures that tell whether the objective knows all
_MOST = 10_000_000  # architectures that a search keeps in memory


def search(
    space: Any,
    objective: Any,
    *,
    key: jax.Array,
    algorithm: str = "evolution",
    budget: int | None = None,
    limits: Limits | None = None,
    costs: tuple[str, ...] = ("params",),
    tables: Mapping[str, Mapping[str, float]] | None = None,
    duplicates: str = "canonical",
    checkpoints: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> SearchResult:
    """Searches a space for the architecture of the highest score.

    Args:
      space: search space, see `nasjax.get_space`.
      objective: what is maximised: a function or predictor, architectures int32 [n, g] -> numbers [n]; a mapping from
        official encodings to numbers; or an objective (`ProxyObjective`, `TableObjective`, `WeightedObjective`, ...).
      key: typed key; the same one gives the same result.
      algorithm: "evolution" (AutoFormer's), "aging", "random", "es" or "nsga2".
      budget: how many architectures are scored; by default what the published setting scores, else 1,000.
      limits: what an architecture must meet.
      costs: what the Pareto front, and NSGA-II, weigh against the score: "params", "flops", names of ``tables``.
      tables: name -> official encoding -> number to be small, such as a measured latency.
      duplicates: which architectures count as one and are scored once: those with the same "canonical" form, or those
        with the same "encoding" (for tables whose isomorphic architectures have numbers of their own).
      checkpoints: directory for the state, saved after every generation; a search that finds its own state there goes
        on from it, with the outcome of one that was never stopped.
      progress: called as progress(done, budget).
      **options: of the algorithm; see its configuration.

    Returns:
      the result.

    Raises:
      InputError: anything asked for does not fit, or the state in ``checkpoints`` is of another search; raised before
        any long work.

    Examples:
      >>> import jax, nasjax
      >>> space = nasjax.get_space("nasbench201")
      >>> found = search(space, lambda archs: (archs == 3).sum(1), key=jax.random.key(0), algorithm="aging",
      ...                budget=200, population=50, sample=10)
      >>> found.encoding
      '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|'
    """
    check_key(key)
    goal = as_objective(objective)
    chosen = registry.get_algorithm(algorithm, space, **options)
    budget = _checked_budget(chosen, budget)
    limits = Limits() if limits is None else limits
    measured = Costs.of(space, costs, tables or {})
    if duplicates not in DUPLICATES:
        raise InputError(f"duplicates={duplicates!r}; allowed: {', '.join(DUPLICATES)}; do: choose one of them")
    goal.check(space)
    limits.check(space)
    described = {
        "space": space.name,
        "space_options": space.options,
        "algorithm": chosen.name,
        "options": chosen.options,
        "objective": goal.describe(),
        "limits": limits.describe(),
        "costs": measured.describe(),
        "duplicates": duplicates,
        "budget": budget,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
    }
    setting = _Setting(space, goal, chosen, limits, measured, duplicates, budget, described)
    with contextlib.ExitStack() as stack:
        store = None if checkpoints is None else stack.enter_context(Checkpoints(checkpoints))
        return _run(setting, key, store, progress)


def evolve(space: Any, objective: Any, *, key: jax.Array, limits: Limits | None = None, **options: Any) -> SearchResult:
    """Searches by evolution: AutoFormer's by default, ``algorithm="aging"`` for regularised evolution.

    Args:
      space: search space.
      objective: what is maximised; see ``search``.
      key: typed key.
      limits: what an architecture must meet.
      **options: further arguments of ``search``, and options of the algorithm.

    Returns:
      the result.

    Raises:
      InputError: see ``search``.
    """
    return search(space, objective, key=key, limits=limits, **options)


class _Setting(NamedTuple):
    """What stays the same through a search."""

    space: Any
    objective: Objective
    algorithm: Algorithm
    limits: Limits
    costs: Costs
    duplicates: str
    budget: int
    described: dict[str, Any]

    def feasible(self, archs: np.ndarray) -> np.ndarray:
        """Members of the space within the limits that the objective knows."""
        met = np.ones(len(archs), bool) if self.algorithm.closed else _members(self.space, archs)
        for check in (self.limits.feasible, self.objective.feasible):
            rows = np.flatnonzero(met)
            if len(rows):
                met[rows] = check(self.space, archs[rows])
        return met

    def identity(self, arch: np.ndarray) -> str:
        """Text shared by architectures that count as one."""
        return self.space.canonical(arch) if self.duplicates == "canonical" else self.space.encode(arch[None])[0]


class _State(NamedTuple):
    """What a checkpoint holds, with the memory."""

    algorithm: PyTree
    generation: int
    elapsed: float


def _run(setting: _Setting, key: jax.Array, store: Checkpoints | None, progress: Progress | None) -> SearchResult:
    space, algorithm, budget = setting.space, setting.algorithm, setting.budget
    init_key, loop_key = jax.random.split(key)
    genes = np.asarray(space.sample(init_key, 1)).shape[1]
    room = min(budget, len(space.all())) if hasattr(space, "all") else budget
    memory = Memory.empty(room, genes, len(setting.objective.names), len(setting.costs.names))
    state = _State(algorithm.init(init_key), 0, 0.0)
    if store is not None:
        state, memory = _restored(setting, store, state, memory)
    filler = Filler(space, setting.feasible, setting.identity, setting.limits.max_draws)
    filler.seen = {setting.identity(arch) for arch in memory.archs[: memory.count]}
    scores = memory.scores(setting.objective)
    history = memory.history(scores, setting.costs.goals)
    stopped, begin, before = "", time.monotonic(), state.elapsed
    if progress is not None:
        progress(memory.count, budget)
    while memory.count < budget:
        own = jax.random.fold_in(loop_key, state.generation)
        first = state.generation == 0 and algorithm.initial > 0
        wanted = min(algorithm.initial if first else algorithm.batch, budget - memory.count)
        archs, proposed = filler.fill(own, wanted, None if first else _ask(algorithm, state.algorithm, history))
        if not len(archs):
            stopped = f"no other architecture within the limits was found after {memory.count:,}"
            break
        alive, outcome = evaluate(setting.objective, space, archs, _within(progress, memory.count, budget))
        memory.add(archs, proposed | first, state.generation, alive, outcome, setting.costs.of_archs(space, archs))
        scores = memory.scores(setting.objective)
        history = memory.history(scores, setting.costs.goals)
        elapsed = before + time.monotonic() - begin
        state = _State(algorithm.tell(state.algorithm, history), state.generation + 1, elapsed)
        if store is not None:
            meta = {"search": setting.described, "generation": state.generation, "elapsed": elapsed}
            meta |= {"count": memory.count, "reasons": memory.reasons}
            store.save(state.generation, (state.algorithm, memory.arrays()), meta)
        if progress is not None:
            progress(memory.count, budget)
    if not memory.count:
        raise InputError(_nothing(setting, init_key))
    return _result(setting, memory, scores, state.elapsed, stopped)


def _nothing(setting: _Setting, key: jax.Array) -> str:
    """Why a search found no architecture to score."""
    space = setting.space
    why = setting.limits.explain(key, space)
    text = f"no architecture of {space.name} within the limits was found"
    text += f"; {why}; do: widen the limits" if why else "; do: widen the limits"
    if not setting.objective.feasible(space, np.asarray(space.sample(key, _PROBED))).all():
        text += ", or check the table of the objective, which lacks architectures"
    return text


def _ask(algorithm: Algorithm, state: PyTree, history: Any) -> Callable[[jax.Array], Any]:
    return lambda key: algorithm.ask(key, state, history)


def _within(progress: Progress | None, done: int, budget: int) -> Progress | None:
    """Progress of a generation as that of the whole search."""
    if progress is None:
        return None
    return lambda part, total: progress(done + part, budget) if part < total else None


def _members(space: Any, archs: np.ndarray) -> np.ndarray:
    """Which arrays are architectures of the space: bool [n]."""
    met = np.ones(len(archs), bool)
    for i, arch in enumerate(archs):
        try:
            met[i] = np.array_equal(np.asarray(space.decode(arch[None]))[0], arch)
        except InputError:
            met[i] = False
    return met


def _checked_budget(algorithm: Algorithm, budget: int | None) -> int:
    chosen = budget if budget is not None else algorithm.default_budget or BUDGET
    if isinstance(chosen, bool) or not isinstance(chosen, int) or not 1 <= chosen <= _MOST:
        raise InputError(f"budget={budget!r}; allowed: a whole number of 1 to {_MOST:,} architectures; do: change it")
    if chosen < algorithm.least_budget:
        names = ", ".join(n for n in ("population", "mutations", "crossovers", "sample") if n in algorithm.options)
        raise InputError(
            f"budget={chosen} is smaller than the first population of {algorithm.name}, {algorithm.least_budget}; "
            f"allowed: at least as many; do: raise the budget, or lower what makes a generation: {names}"
        )
    return chosen


def _restored(setting: _Setting, store: Checkpoints, state: _State, memory: Memory) -> tuple[_State, Memory]:
    """The state that an earlier run saved, or that of the beginning.

    Raises:
      InputError: it is that of another search.
    """
    if not store.steps():
        return state, memory
    meta = store.newest_meta()
    if meta:  # otherwise nothing can be read, which ``restore`` says
        check_same(setting.described, meta.get("search", {}), store.directory, what="search")
    saved = store.restore((state.algorithm, memory.arrays()))
    assert saved is not None
    own, arrays = saved.arrays
    for name, array in arrays.items():
        getattr(memory, name)[:] = array
    memory.reasons, memory.count = list(saved.meta["reasons"]), int(saved.meta["count"])
    return _State(own, int(saved.meta["generation"]), float(saved.meta["elapsed"])), memory


def _result(setting: _Setting, memory: Memory, scores: np.ndarray, elapsed: float, stopped: str) -> SearchResult:
    rows = slice(0, memory.count)
    archs = memory.archs[rows].copy()
    columns = memory.columns[rows]
    return SearchResult(
        setting.space,
        setting.algorithm.name,
        archs,
        list(setting.space.encode(archs)),
        {name: columns[:, i].copy() for i, name in enumerate(setting.objective.names)},
        scores,
        np.isfinite(scores),
        [_reason(r, s) for r, s in zip(memory.reasons, scores, strict=True)],
        memory.generation[rows].copy(),
        memory.proposed[rows].copy(),
        {name: memory.costs[rows, i].copy() for i, name in enumerate(setting.costs.names)},
        setting.costs.chosen,
        memory.seconds[rows].copy(),
        elapsed,
        stopped,
    )


def _reason(reason: str, score: float) -> str:
    return reason or ("" if np.isfinite(score) else "no finite score")
