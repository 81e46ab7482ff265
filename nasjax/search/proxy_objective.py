"""Proxies as what a search maximises: one, several merged by rank, or those of a selection file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from nasjax.proxies import population, registry
from nasjax.proxies.base import Proxy
from nasjax.proxies.lswag import LswagConfig, from_config
from nasjax.proxies.score import check_batches, score
from nasjax.search.merging import check_weights, merge
from nasjax.search.objectives import Outcome, Progress, joined
from nasjax.search.selection import Selection
from nasjax.spaces.base import check_key
from nasjax.types import InputError

_RUN = ("engine", "batching", "chunk", "devices", "precision", "store", "profile_archs")


@dataclasses.dataclass(frozen=True, eq=False)
class ProxyObjective:
    """Scores at initialisation, all proxies of a generation in one population call.

    Attributes:
      proxies: what is merged.
      batches: images, see `nasjax.data.load`.
      key: typed key of the weights; an architecture has the same scores in any search with it.
      weights: one a proxy; a negative one prefers low scores.
      aggregation: how several are merged, see `nasjax.search.aggregate`.
      run: further options of `nasjax.score`: ``engine``, ``chunk``, ``devices``, ``batching``, ``precision``,
        ``store``, ``profile_archs``.
    """

    proxies: tuple[Proxy, ...]
    batches: Any
    key: jax.Array
    weights: tuple[float, ...]
    aggregation: str = "ranksum"
    run: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    _resolved: dict[Any, Proxy] = dataclasses.field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(
        cls,
        proxies: str | Sequence[str | Proxy],
        batches: Any,
        *,
        key: jax.Array,
        weights: Sequence[float] = (),
        aggregation: str = "ranksum",
        preset: str = "nbsz",
        space: Any = None,
        **run: Any,
    ) -> ProxyObjective:
        """Proxies by name.

        Args:
          proxies: as `nasjax.score` takes them; an ensemble such as "az_nas" is ranked within the search, too.
          batches: images.
          key: typed key.
          weights: one a proxy; all 1 by default.
          aggregation: how several are merged.
          preset: "nbsz" or "paper", for proxies that name none.
          space: needed for names such as "all" alone.
          **run: further options of `nasjax.score`.

        Returns:
          the objective.

        Raises:
          InputError: an unknown proxy or option, or weights that do not fit.
        """
        check_key(key)
        unknown = [name for name in run if name not in _RUN]
        if unknown:
            raise InputError(
                f"{unknown[0]!r} is no option of nasjax.score; allowed: {', '.join(_RUN)}; do: leave it out, or check "
                "the name"
            )
        chosen = registry.parse(proxies, preset=preset, space=space)
        given = tuple(float(w) for w in weights) or (1.0,) * len(chosen)
        check_weights([p.label for p in chosen], aggregation, given)
        return cls(chosen, batches, key, given, aggregation, run)

    @classmethod
    def of_selection(
        cls, selection: Selection | str | os.PathLike[str], batches: Any, *, key: jax.Array, **run: Any
    ) -> ProxyObjective:
        """The proxies of a selection, with its signs and its aggregation.

        Args:
          selection: a selection, or its file.
          batches: images.
          key: typed key.
          **run: ``preset``, and further options of `nasjax.score`.

        Returns:
          the objective.

        Raises:
          InputError: the file cannot be read, or names an unknown proxy.
        """
        chosen = selection if isinstance(selection, Selection) else Selection.load(selection)
        return cls.of(
            chosen.proxies, batches, key=key, weights=chosen.signs, aggregation=chosen.aggregation, **run
        )  # fmt: skip

    @property
    def _expanded(self) -> tuple[tuple[Proxy, ...], list[str]]:
        return population.expand(self.proxies, registry.column_names(self.proxies))

    @property
    def names(self) -> tuple[str, ...]:
        """Columns: the proxies, members in place of scores of a population."""
        return tuple(self._expanded[1])

    def describe(self) -> dict[str, Any]:
        """Proxies with their options and versions, images, key and precision."""
        return {
            "proxies": [f"{p.label} v{p.version}" for p in self.proxies],
            "weights": list(self.weights),
            "aggregation": self.aggregation,
            "data": self.batches.fingerprint,
            "key": np.asarray(jax.random.key_data(self.key)).tolist(),
            "precision": self.run.get("precision", "highest"),
        }

    def check(self, space: Any) -> None:
        """Refuses images and proxies that do not fit the space."""
        check_batches(space, self.batches, self.proxies)

    def feasible(self, space: Any, archs: np.ndarray) -> np.ndarray:
        """All architectures."""
        del space
        return np.ones(len(archs), bool)

    def evaluate(self, space: Any, archs: np.ndarray, *, progress: Progress | None = None) -> Outcome:
        """Scores a population."""
        single, names = self._expanded
        asked = [self._resolved.get((space, p.name, p.options), p) for p in single]
        found = score(space, archs, self.batches, asked, key=self.key, progress=progress, **self.run)
        own = list(found.scores)  # in the order of the proxies, as names are
        for proxy, name in zip(single, own, strict=True):
            if name in found.intervals:  # the interval of layers is found once a search, not once a generation
                config = LswagConfig(**dict(proxy.options))
                config = dataclasses.replace(config, interval=found.intervals[name].interval)
                self._resolved[space, proxy.name, proxy.options] = from_config(config, name=proxy.name)
        columns = np.stack([np.where(found.valid[n], found.scores[n], _marked(found.scores[n])) for n in own], 1)
        bad = {n: ~found.valid[n] for n in own}
        reasons = [joined(found.reasons[n][i] for n in own if bad[n][i]) for i in range(len(archs))]
        assert len(own) == len(names)
        return Outcome(columns, reasons, found.seconds)

    def combine(self, columns: np.ndarray) -> np.ndarray:
        """One proxy as it is; several merged by rank."""
        single, names = self._expanded
        place = {(p.name, p.options): i for i, p in enumerate(single)}
        scores = {}
        for proxy, label in zip(self.proxies, registry.column_names(self.proxies), strict=True):
            if proxy.members:
                scores[label] = _ranked(proxy, [columns[:, place[m.name, m.options]] for m in proxy.members])
            else:
                scores[label] = columns[:, place[proxy.name, proxy.options]]
        return merge(scores, self.aggregation, self.weights)


def _marked(scores: np.ndarray) -> np.ndarray:
    """Scores that are not valid, never a finite number."""
    return np.where(np.isfinite(scores), np.nan, scores)


def _ranked(proxy: Proxy, members: list[np.ndarray]) -> np.ndarray:
    """A score of a population, within all architectures scored so far."""
    count = len(members[0])
    blank = [""] * count
    columns = [population.Column(m, m, np.isfinite(m), blank) for m in members]
    numbers = [str(i) for i in range(count)]
    return population.ranked(proxy, columns, numbers, np.ones(count, bool)).scores
