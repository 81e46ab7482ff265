"""What an architecture costs: parameters, multiply-adds, and numbers of tables such as a latency."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax.hashing import fingerprint
from nasjax.search.bounds import costs
from nasjax.types import InputError

COUNTED = ("params", "flops")


class Costs(NamedTuple):
    """Costs that a search records.

    Attributes:
      names: all of them: "params", "flops", then those of the tables.
      chosen: those that the Pareto front weighs against the score.
      tables: name -> official encoding -> number.
    """

    names: tuple[str, ...]
    chosen: tuple[str, ...]
    tables: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, space: Any, chosen: Sequence[str], tables: Mapping[str, Mapping[str, float]]) -> Costs:
        """Checks names and tables.

        Args:
          space: search space.
          chosen: names among "params", "flops" and the tables'.
          tables: name -> official encoding -> number.

        Returns:
          the costs.

        Raises:
          InputError: an unknown name, none, one twice, or a table that is none.
        """
        names = (*COUNTED, *tables)
        chosen = (chosen,) if isinstance(chosen, str) else tuple(chosen)
        for name in chosen:
            if name not in names:
                close = difflib.get_close_matches(str(name), names, n=2, cutoff=0.5)
                advice = f"did you mean {' or '.join(close)}?" if close else "choose one of them, or give its table"
                raise InputError(f"cost {name!r} is unknown; allowed: {', '.join(names)}; do: {advice}")
        if not chosen or len(set(chosen)) < len(chosen):
            raise InputError(f"costs={chosen!r}; allowed: one or more of {', '.join(names)}, each once; do: correct it")
        for name, table in tables.items():
            if name in COUNTED or not isinstance(table, Mapping) or not table:
                raise InputError(
                    f"table {name!r} of costs is a {type(table).__name__}; allowed: a mapping from encodings of "
                    f"{space.name} to numbers, not named {' or '.join(COUNTED)}; do: correct it"
                )
        return cls(names, chosen, tables)

    @property
    def goals(self) -> tuple[int, ...]:
        """Positions of ``chosen`` among ``names``."""
        return tuple(self.names.index(name) for name in self.chosen)

    def of_archs(self, space: Any, archs: np.ndarray) -> np.ndarray:
        """Costs of a population: float64 [n, c]; NaN where a table has no number."""
        counted = [costs(space, name, archs).astype(np.float64) for name in COUNTED]
        texts = list(space.encode(archs)) if self.tables else []
        looked_up = [[float(table.get(text, math.nan)) for text in texts] for table in self.tables.values()]
        return np.stack([*counted, *looked_up], 1)

    def describe(self) -> dict[str, Any]:
        """What the costs depend on, as JSON-serialisable values."""
        content = {n: fingerprint({a: repr(float(v)) for a, v in t.items()}) for n, t in self.tables.items()}
        return {"chosen": list(self.chosen), "tables": content}
