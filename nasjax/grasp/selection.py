"""Which architectures to label next: iterative selection after BRP-NAS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nasjax.grasp.config import PredictorConfig
from nasjax.grasp.graphs import as_graphs
from nasjax.grasp.predictor import MIN_GRAPHS, Predictor, fit_many
from nasjax.types import InputError

SAMPLES = ("brp", "random", "uncertain")


class Selected(NamedTuple):
    """What a selection labelled.

    Attributes:
      rows: int [budget], graphs in the order of labelling.
      targets: float64 [budget].
      rounds: int [budget], round of each.
      predictor: trained on all labels.
    """

    rows: np.ndarray
    targets: np.ndarray
    rounds: np.ndarray
    predictor: Predictor


def select(
    graphs: Any,
    label: Callable[[np.ndarray], Any],
    budget: int,
    *,
    rounds: int = 5,
    sample: str = "brp",
    seed: int = 0,
    warm: bool = True,
    config: PredictorConfig | None = None,
    engine: str = "auto",
    devices: Any = None,
    **options: Any,
) -> Selected:
    """Labels architectures in rounds, each chosen with the predictor of the labels before.

    The first round draws ``budget / rounds`` at random. Each further one, of the same size, takes half from the best
    predicted unlabelled graphs and half at random from the best 1/2^i of all in round i = 1, 2, ... (BRP-NAS). All
    rounds share one program.

    Args:
      graphs: n candidates.
      label: numbers int [m] of candidates -> their targets [m], higher is better.
      budget: labels in all.
      rounds: rounds.
      sample: "brp"; "random" draws all at random; "uncertain" takes half of each round from the largest standard
        deviation over the members in place of the best.
      seed: of everything random.
      warm: begin each training with the weights of the round before, as BRP-NAS does; the optimiser is new.
      config: options.
      engine: as `fit`.
      devices: as `fit`.
      **options: as `fit`.

    Returns:
      what was labelled, and the last predictor.

    Raises:
      InputError: a budget that does not fit, or as `fit`.
    """
    given, config = as_graphs(graphs), (config or PredictorConfig()).with_options(**options)
    if sample not in SAMPLES:
        raise InputError(f"sample={sample!r}; allowed: {', '.join(SAMPLES)}")
    if sample == "uncertain" and config.members < 2:
        raise InputError("sample='uncertain' needs an ensemble; do: members=5")
    if not isinstance(rounds, int) or rounds < 1 or not rounds * MIN_GRAPHS <= budget <= len(given):
        raise InputError(f"budget={budget}, rounds={rounds} for {len(given)} graphs; allowed: at least {MIN_GRAPHS} "
                         f"labels a round, and at most {len(given)} in all")  # fmt: skip
    rng = np.random.default_rng([seed, 2])
    sizes = [len(part) for part in np.array_split(np.arange(budget), rounds)]
    rows, targets = np.zeros(budget, int), np.zeros(budget)
    free, done = np.ones(len(given), bool), 0
    predictor: Predictor | None = None
    for number, size in enumerate(sizes):
        chosen = _choose(predictor, given, free, size, number, sample, rng)
        found = np.asarray(label(chosen), np.float64)
        if found.shape != (size,):
            raise InputError(f"label gave shape {list(found.shape)} for {size} architectures; allowed: [{size}]")
        rows[done : done + size], targets[done : done + size] = chosen, found
        free[chosen] = False
        done += size
        if sample == "random" and number + 1 < len(sizes):
            continue  # nobody asks a predictor in between
        # Places without a label repeat the first row: every round has the shapes of the last.
        padded = np.where(np.arange(budget) < done, rows, rows[0])
        init = (predictor,) if warm and predictor is not None else None
        predictor = fit_many(given, padded[None], targets[None], seeds=(seed,), counts=(done,), config=config,
                             init=init, engine=engine, devices=devices)[0]  # fmt: skip
    assert predictor is not None  # there is a round
    return Selected(rows, targets, np.repeat(np.arange(rounds), sizes), predictor)


def _choose(
    predictor: Predictor | None, graphs: Any, free: np.ndarray, size: int, number: int, sample: str,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Numbers of unlabelled candidates for a round, int [size]."""
    open_ = np.flatnonzero(free)
    if predictor is None or sample == "random":
        return rng.choice(open_, size, replace=False)
    found = predictor.predict(graphs)
    first = found.uncertainty if sample == "uncertain" else found.score
    half = (size + 1) // 2
    best = open_[np.argsort(-first[open_], kind="stable")[:half]]
    rest = np.setdiff1d(open_, best)
    order = rest[np.argsort(-found.score[rest], kind="stable")]
    top = order[: max(size - half, len(graphs) >> number)]
    return np.concatenate([best, rng.choice(top, size - half, replace=False)])
