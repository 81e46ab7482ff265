"""A trained predictor as what a search maximises: predictor-guided evolution, and every other algorithm."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np

from nasjax.grasp.encoders import EncodeConfig, encode
from nasjax.grasp.predictor import Predictor
from nasjax.hashing import array_fingerprint
from nasjax.search.merging import merge
from nasjax.search.objectives import Outcome, Progress
from nasjax.types import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class PredictorObjective:
    """Predicted scores, a population in one call.

    Attributes:
      predictor: trained on graphs of the space, without proxies among its features.
      exploration: adds so many standard deviations of the ensemble: above 0 prefers what the members disagree on.
      encoding: how architectures become graphs; as in training by default, and others are refused.
    """

    predictor: Predictor
    exploration: float = 0.0
    encoding: EncodeConfig | None = None

    def __post_init__(self) -> None:
        """Checks that the predictor reads nothing but graphs."""
        if not isinstance(self.predictor, Predictor):
            raise InputError(f"predictor {self.predictor!r}; allowed: what nasjax.grasp.fit or load returns")
        proxies = self.predictor.config.features.proxies
        if proxies or self.predictor.config.features.dataset:
            raise InputError(
                f"the predictor reads {', '.join(proxies) or 'the data set'} beside the graph, which a search does not "
                "compute; allowed: a predictor of graphs alone; do: train one with proxies=() and dataset=False; "
                "proxies may serve in pretrain=(...)"
            )
        if self.encoding is None:
            object.__setattr__(self, "encoding", EncodeConfig(**dict(self.predictor.encoding)))
        if not math.isfinite(self.exploration):
            raise InputError(f"exploration={self.exploration!r}; allowed: a finite number")

    @property
    def names(self) -> tuple[str, ...]:
        """One column."""
        return ("grasp",)

    def describe(self) -> dict[str, Any]:
        """Configuration of the predictor and a fingerprint of its weights."""
        import jax

        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(self.predictor.params)]
        encoding = dataclasses.asdict(self.encoding or EncodeConfig())
        return {"predictor": self.predictor.config.describe(), "weights": array_fingerprint(*leaves),
                "exploration": self.exploration, "encoding": encoding}  # fmt: skip

    def check(self, space: Any) -> None:
        """Refuses a space that the predictor was not trained on."""
        if space.name != self.predictor.space:
            raise InputError(f"the predictor was trained on {self.predictor.space!r}; the search is in {space.name!r}; "
                             "do: train one on this space")  # fmt: skip

    def feasible(self, space: Any, archs: np.ndarray) -> np.ndarray:
        """All architectures."""
        del space
        return np.ones(len(archs), bool)

    def evaluate(self, space: Any, archs: np.ndarray, *, progress: Progress | None = None) -> Outcome:
        """Encodes and scores a population."""
        begin = time.perf_counter()
        graphs = encode(space, archs, config=self.encoding)
        found = self.predictor.predict(graphs)
        values = found.score + self.exploration * found.uncertainty
        if progress is not None:
            progress(len(values), len(values))
        seconds = np.full(len(values), (time.perf_counter() - begin) / max(len(values), 1))
        reasons = ["" if math.isfinite(value) else f"grasp is {value}" for value in values]
        return Outcome(values[:, None], reasons, seconds)

    def combine(self, columns: np.ndarray) -> np.ndarray:
        """The scores themselves."""
        return merge({"grasp": columns[:, 0]}, "ranksum", (1.0,))
