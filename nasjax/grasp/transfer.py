"""Transfer: trained on one data set, ranked on others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasjax import metrics
from nasjax.grasp.config import PredictorConfig
from nasjax.grasp.graphs import Graphs, as_graphs
from nasjax.grasp.predictor import check_targets, fit_many
from nasjax.grasp.splits import splits
from nasjax.types import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, eq=False)
class Transfer:
    """A transfer matrix.

    Attributes:
      sources: data sets that were trained on.
      targets: data sets that were ranked on.
      taus: float64 [s, t, seeds], Kendall's tau-b on architectures that were not trained on.
      ceilings: float64 [s, t], tau between the targets of both data sets themselves: the source's own accuracies as
        predictor. 1 on the diagonal, where only noise, which is not known here, limits.
      num_train: training architectures.
      finetune: labels of the target that were used beside them.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    taus: np.ndarray
    ceilings: np.ndarray
    num_train: int
    finetune: int

    def table(self) -> pd.DataFrame:
        """A row a pair of data sets: source, target, mean and deviation of tau over the seeds, the ceiling.

        Returns:
          the table.
        """
        import pandas as pd

        rows = [
            {"source": source, "target": target, "kendall": self.taus[i, j].mean(), "deviation": self.taus[i, j].std(),
             "ceiling": self.ceilings[i, j], "seeds": self.taus.shape[2]}
            for i, source in enumerate(self.sources) for j, target in enumerate(self.targets)
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def figure(self, *, theme: Any = "light") -> Figure:
        """Draws the matrix as a heat map, with the ceilings written beneath.

        Args:
          theme: "light" or "dark".

        Returns:
          the figure.
        """
        from nasjax.grasp.figures import transfer_figure

        return transfer_figure(self, theme=theme)


def transfer_matrix(
    graphs: Any,
    targets: Mapping[str, Any],
    *,
    num_train: int,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    groups: Any = None,
    sources: Sequence[str] | None = None,
    finetune: int = 0,
    config: PredictorConfig | None = None,
    engine: str = "auto",
    devices: Any = None,
    progress: Any = None,
    kept: MutableMapping[str, Any] | None = None,
    **options: Any,
) -> Transfer:
    """Trains on each source and ranks unseen architectures on each target, zero-shot or with a few labels.

    Args:
      graphs: n graphs; or data set -> graphs of the same architectures, whose shapes show the data set.
      targets: data set -> numbers [n], higher is better; NaN where an architecture was not trained.
      num_train: training architectures, the same for every source.
      seeds: one split and one training each.
      groups: [n], equal for architectures of the same function; by default each is its own.
      sources: data sets to train on; all by default.
      finetune: training architectures whose target label is read after training on the source; 0 for zero-shot.
      config: options.
      engine: as `fit`.
      devices: as `fit`.
      progress: called as progress(done, total) after every source.
      kept: taus by source, lists [t, seeds], of the same call that was stopped; those sources are not trained again,
        and the others are added when they are done.
      **options: as `fit`.

    Returns:
      the matrix.

    Raises:
      InputError: unknown data set, lengths that differ, or as `fit`.
    """
    config = (config or PredictorConfig()).with_options(**options)
    names = tuple(targets)
    chosen = tuple(sources) if sources is not None else names
    values = {name: np.asarray(column, np.float64) for name, column in targets.items()}
    by_name = _by_name(graphs, values)
    for name in chosen:
        if name not in values:
            raise InputError(f"unknown source {name!r}; allowed: {', '.join(names)}")
    count = len(by_name[names[0]])
    known = np.all([np.isfinite(column) for column in values.values()], axis=0)
    rows = np.flatnonzero(known)
    own = np.arange(count) if groups is None else np.asarray(groups)
    if len(own) != count:
        raise InputError(f"groups of {len(own)} architectures for {count} graphs; allowed: one each")
    if finetune and not 4 <= finetune <= num_train:
        raise InputError(f"finetune={finetune}; allowed: 0, or 4..{num_train} of the training architectures")
    parts = splits(own[rows], num_train, seeds)
    train = np.stack([rows[part.train] for part in parts])
    run = {"seeds": tuple(seeds), "config": config, "engine": engine, "devices": devices}
    taus = np.zeros((len(chosen), len(names), len(parts)))
    tie = 0.0 if config.train.loss in ("mse", "l1") else config.train.tie
    for source in chosen:  # all of them before the first is trained on
        for row in train:
            check_targets(values[source][row], num_train, tie=tie)
    kept = {} if kept is None else kept
    for i, source in enumerate(chosen):
        if source in kept:
            taus[i] = kept[source]
            if progress is not None:
                progress(i + 1, len(chosen))
            continue
        found = fit_many(by_name[source], train, values[source][train], **run)
        for j, target in enumerate(names):
            used = found
            if finetune and target != source:
                few = train[:, :finetune]
                used = fit_many(by_name[target], few, values[target][few], init=found, **run)
            for k, (model, part) in enumerate(zip(used, parts, strict=True)):
                test = rows[part.test]
                scores = model.score(by_name[target][test], engine=engine, devices=devices)
                taus[i, j, k] = metrics.kendall(scores, values[target][test])
        kept[source] = taus[i].tolist()
        if progress is not None:
            progress(i + 1, len(chosen))
    seen = rows if groups is None else rows[np.unique(own[rows], return_index=True)[1]]
    ceilings = np.array([[metrics.kendall(values[s][seen], values[t][seen]) for t in names] for s in chosen])
    return Transfer(chosen, names, taus, ceilings, num_train, finetune)


def _by_name(graphs: Any, values: Mapping[str, np.ndarray]) -> dict[str, Graphs]:
    """The graphs of each data set, checked."""
    if not values:
        raise InputError("no targets are given; allowed: data set -> numbers")
    if isinstance(graphs, Mapping):
        missing = [name for name in values if name not in graphs]
        if missing:
            raise InputError(f"no graphs for data set {missing[0]!r}; allowed: graphs for each of {', '.join(values)}")
        found = {name: as_graphs(graphs[name]) for name in values}
    else:
        found = dict.fromkeys(values, as_graphs(graphs))
    for name, column in values.items():
        if column.shape != (len(found[name]),):
            raise InputError(f"targets of {name!r} have shape {list(column.shape)} for {len(found[name])} graphs")
    return found
