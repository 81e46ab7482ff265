"""What a search found, and how."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from nasjax.das import selection
from nasjax.das.config import DASConfig
from nasjax.das.genotype import Genotype
from nasjax.das.search_config import SearchConfig
from nasjax.das.search_steps import SearchState, magnitudes_of
from nasjax.types import PyTree

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class SearchResult:
    """Result of a search.

    Attributes:
      genotype: what was chosen, by the rule that was asked for.
      argmax: what the largest alpha at the end of the search's epochs would be.
      cell: what was searched.
      config: settings.
      magnitudes: float32 [edges, operations].
      alphas: float32 [epochs + 1, edges, operations], at the beginning and after each epoch.
      history: for every epoch its number, loss and accuracy on both halves while training.
      events: choices of the perturbation, in order.
      params: of the network after the search.
      stats: its running statistics.
      seconds: of the whole group of seeds.
    """

    genotype: Genotype
    argmax: Genotype
    cell: DASConfig
    config: SearchConfig
    magnitudes: np.ndarray
    alphas: np.ndarray
    history: list[dict[str, float]]
    events: list[selection.Event]
    params: PyTree
    stats: PyTree
    seconds: float

    @property
    def entropy(self) -> np.ndarray:
        """Entropy of each edge after each epoch, as a share of the largest: float64 [epochs + 1, edges]."""
        return selection.entropy(self.alphas.astype(np.float64))

    def table(self) -> pd.DataFrame:
        """A row an epoch: losses, accuracies, mean entropy of the edges."""
        import pandas as pd

        table = pd.DataFrame(self.history)
        return table.assign(entropy=self.entropy[1 : len(table) + 1].mean(1))


def result_of(
    cell: DASConfig, config: SearchConfig, state: SearchState, alphas: np.ndarray, record: dict[str, Any], seed: int
) -> SearchResult:
    """The result of one seed of a group.

    Args:
      cell: what was searched.
      config: settings.
      state: at the end, with a leading axis of seeds.
      alphas: float [epochs + 1, seeds, edges, operations].
      record: history and choices of all seeds.
      seed: its place in the group.

    Returns:
      The result.
    """
    import jax

    own = jax.tree.map(lambda x: np.asarray(x[seed]), state)
    magnitudes = np.asarray(magnitudes_of(own, cell))
    trajectory = alphas[:, seed]
    chosen, kept = selection.by_argmax(trajectory[config.epochs], cell, edge_topology=config.edge_topology)
    largest = Genotype.of_choice(cell, chosen, magnitudes, kept=kept)
    found = largest
    if config.select == "perturbation":
        found = Genotype.of_choice(cell, own.chosen, magnitudes, kept=own.kept)
    history = [{k: v if k == "epoch" else v[seed] for k, v in row.items()} for row in record["history"]]
    events = [
        selection.Event(epoch, edge, node, picked, tuple(accuracy), tuple(loss))
        for epoch, edge, node, picked, accuracy, loss in record["events"][seed]
    ]
    return SearchResult(found, largest, cell, config, magnitudes, trajectory, history, events, own.params, own.stats,
                        float(record["seconds"]))  # fmt: skip
