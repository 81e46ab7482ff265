"""What a search maximises: tables, functions and predictors, and weighted sets of anything.

An objective gives each architecture one or more numbers, its *columns*, and merges the columns of all architectures
that were scored so far into one score. So a set of proxies is ranked online: within what the search has seen.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from nasjax import parallel
from nasjax.hashing import fingerprint
from nasjax.search.merging import check_weights, merge, numbers
from nasjax.types import InputError

Progress = Callable[[int, int], None]
_CHECKED = 256  # rows of a table whose encodings are checked


class Outcome(NamedTuple):
    """Numbers of some architectures.

    Attributes:
      columns: float64 [n, m]; NaN or infinite where there is none.
      reasons: n texts: why a number is missing; empty where nothing is to say.
      seconds: float64 [n], time of each.
    """

    columns: np.ndarray
    reasons: list[str]
    seconds: np.ndarray


class Objective(Protocol):
    """What a search maximises."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, length m."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a score depends on, as JSON-serialisable values: another one is another search."""
        ...

    def check(self, space: Any) -> None:
        """Refuses a space that it cannot score, before any long work.

        Args:
          space: search space.

        Raises:
          InputError: it cannot.
        """
        ...

    def feasible(self, space: Any, archs: np.ndarray) -> np.ndarray:
        """Which architectures it knows; a search looks at no others.

        Args:
          space: search space.
          archs: int32 [n, g].

        Returns:
          bool [n].
        """
        ...

    def evaluate(self, space: Any, archs: np.ndarray, *, progress: Progress | None = None) -> Outcome:
        """Numbers of a population, in one call.

        Args:
          space: search space.
          archs: int32 [n, g].
          progress: called as progress(done, n).

        Returns:
          the numbers.
        """
        ...

    def combine(self, columns: np.ndarray) -> np.ndarray:
        """Scores of all architectures seen so far.

        Args:
          columns: float64 [N, m].

        Returns:
          float64 [N]; -inf for invalid ones.
        """
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class FunctionObjective:
    """A function of one's own, or a predictor: architectures -> numbers.

    Attributes:
      function: population int32 [n, g] -> numbers [n], higher is better. NaN and infinities make an architecture
        invalid.
      name: of the column.
      version: to be changed when the function changes: a saved search of another version is refused.
    """

    function: Callable[[np.ndarray], Any]
    name: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        """Checks the function."""
        if not callable(self.function):
            raise InputError(f"objective {self.function!r}; allowed: a function from architectures to numbers [n]")

    @property
    def names(self) -> tuple[str, ...]:
        """The name of the column."""
        return (self.name or getattr(self.function, "__name__", type(self.function).__name__),)

    def describe(self) -> dict[str, Any]:
        """Name and version: what is in a function cannot be compared."""
        return {"function": self.names[0], "version": self.version}

    def check(self, space: Any) -> None:
        """Any space will do."""

    def feasible(self, space: Any, archs: np.ndarray) -> np.ndarray:
        """All architectures."""
        del space
        return np.ones(len(archs), bool)

    def evaluate(self, space: Any, archs: np.ndarray, *, progress: Progress | None = None) -> Outcome:
        """Calls the function once; of several processes, in each, and all take what the first has found.

        Raises:
          InputError: it does not return one number an architecture.
        """
        del space
        begin = time.perf_counter()
        own = self._numbers(archs)
        # A function may measure, or draw: what process 0 finds counts in all of them.
        values = np.array(parallel.shared(self.names[0], own.tolist), np.float64)
        if progress is not None:
            progress(len(archs), len(archs))
        seconds = np.full(len(archs), (time.perf_counter() - begin) / len(archs))
        return Outcome(values[:, None], [_reason(self.names[0], value) for value in values], seconds)

    def _numbers(self, archs: np.ndarray) -> np.ndarray:
        found = self.function(archs)
        try:
            if np.iscomplexobj(found):
                raise TypeError("they are complex")
            values = np.asarray(found, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"objective {self.names[0]} gave no numbers ({error}); allowed: numbers [n]") from None
        if values.shape != (len(archs),):
            raise InputError(
                f"objective {self.names[0]} gave an array of shape {list(values.shape)} for {len(archs)} "
                f"architectures; allowed: [{len(archs)}], one number each"
            )
        return values

    def combine(self, columns: np.ndarray) -> np.ndarray:
        """The numbers themselves."""
        return merge({self.names[0]: columns[:, 0]}, "ranksum", (1.0,))


@dataclasses.dataclass(frozen=True, eq=False)
class TableObjective:
    """Numbers that are known: accuracies, or published scores of proxies.

    A search sees the architectures of the table alone.

    Attributes:
      values: official encoding -> numbers, one a column.
      names: of the columns.
      weights: of the columns; a negative one prefers low values; all 1 by default.
      aggregation: how several columns are merged, see `nasjax.search.aggregate`.
    """

    values: Mapping[str, Sequence[float]]
    names: tuple[str, ...]
    weights: tuple[float, ...] = ()
    aggregation: str = "ranksum"

    def __post_init__(self) -> None:
        """Checks weights and kind."""
        if not self.values:
            raise InputError("the table has no row; allowed: one or more architectures; do: give another table")
        object.__setattr__(self, "weights", tuple(self.weights) or (1.0,) * len(self.names))
        check_weights(self.names, self.aggregation, self.weights)

    @classmethod
    def of(
        cls, table: Any, columns: str | Sequence[str], *, weights: Sequence[float] = (), aggregation: str = "ranksum"
    ) -> TableObjective:
        """Columns of a table, or a mapping from encodings to numbers.

        Args:
          table: pandas table with a column ``arch`` of official encodings, or a mapping.
          columns: name of the column, or several; of a mapping, what its numbers are called.
          weights: of the columns.
          aggregation: how several columns are merged.

        Returns:
          the objective.

        Raises:
          InputError: no such column, one twice, or one that does not hold numbers.
        """
        names = (columns,) if isinstance(columns, str) else tuple(columns)
        if len(set(names)) < len(names):
            raise InputError(f"columns {', '.join(map(repr, names))}: one is there twice; do: name each once")
        if isinstance(table, Mapping):
            try:
                values = {str(arch): (float(value),) for arch, value in table.items()}
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"the table has a value that is no number ({error}); allowed: encoding -> number; do: correct it"
                ) from None
            return cls(values, names, tuple(weights), aggregation)
        missing = [name for name in ("arch", *names) if name not in table.columns]
        if missing:
            raise InputError(
                f"the table has no column {missing[0]!r}; allowed are {', '.join(map(str, table.columns))}; do: check "
                "the name"
            )
        rows = np.stack([numbers(table, name) for name in names], 1).tolist()
        return cls(dict(zip(table["arch"].tolist(), rows, strict=True)), names, tuple(weights), aggregation)

    def describe(self) -> dict[str, Any]:
        """The columns, and a fingerprint of their numbers."""
        content = {arch: [repr(float(v)) for v in row] for arch, row in self.values.items()}
        return {"table": list(self.names), "weights": list(self.weights), "aggregation": self.aggregation,
                "values": fingerprint(content)}  # fmt: skip

    def check(self, space: Any) -> None:
        """Refuses a table in another encoding; of a long one, every n-th row is looked at."""
        for text in list(self.values)[:: -(-len(self.values) // _CHECKED)]:
            self._check_row(space, text)

    def _check_row(self, space: Any, text: str) -> None:
        try:
            known = space.encode(space.decode([text]))[0]
        except InputError as error:
            raise InputError(f"the table's architecture {text!r} is none of {space.name}: {error}") from None
        if known != text:
            raise InputError(
                f"the table writes {text!r} for the architecture {known!r} of {space.name}; allowed: official "
                "encodings; do: take space.encode(space.decode(...)) of its column"
            )

    def feasible(self, space: Any, archs: np.ndarray) -> np.ndarray:
        """The architectures of the table."""
        return np.array([text in self.values for text in space.encode(archs)], bool)

    def evaluate(self, space: Any, archs: np.ndarray, *, progress: Progress | None = None) -> Outcome:
        """Reads the table; an architecture that it lacks gets NaN."""
        nothing = (math.nan,) * len(self.names)
        found = np.array([self.values.get(text, nothing) for text in space.encode(archs)], np.float64)
        if progress is not None:
            progress(len(archs), len(archs))
        reasons = [joined(_reason(n, v) for n, v in zip(self.names, row, strict=True)) for row in found]
        return Outcome(found, reasons, np.zeros(len(archs)))

    def combine(self, columns: np.ndarray) -> np.ndarray:
        """One column as it is; several merged by rank."""
        return merge(dict(zip(self.names, columns.T, strict=True)), self.aggregation, self.weights)


@dataclasses.dataclass(frozen=True, eq=False)
class WeightedObjective:
    """Several objectives merged by their ranks within what was scored so far.

    Attributes:
      parts: the objectives.
      weights: one each; a negative one prefers low scores; all 1 by default.
      aggregation: see `nasjax.search.aggregate`.
    """

    parts: tuple[Objective, ...]
    weights: tuple[float, ...] = ()
    aggregation: str = "ranksum"

    def __post_init__(self) -> None:
        """Checks weights and kind."""
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "weights", tuple(self.weights) or (1.0,) * len(self.parts))
        check_weights([p.names[0] for p in self.parts], self.aggregation, self.weights)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns; with the number of the part where one comes twice."""
        names = [(i, name) for i, part in enumerate(self.parts, 1) for name in part.names]
        all_names = [name for _, name in names]
        return tuple(name if all_names.count(name) == 1 else f"{name}#{i}" for i, name in names)

    def describe(self) -> dict[str, Any]:
        """What the parts depend on."""
        return {"parts": [part.describe() for part in self.parts], "weights": list(self.weights),
                "aggregation": self.aggregation}  # fmt: skip

    def check(self, space: Any) -> None:
        """Asks all parts."""
        for part in self.parts:
            part.check(space)

    def feasible(self, space: Any, archs: np.ndarray) -> np.ndarray:
        """What all parts know."""
        return np.all([part.feasible(space, archs) for part in self.parts], axis=0)

    def evaluate(self, space: Any, archs: np.ndarray, *, progress: Progress | None = None) -> Outcome:
        """Evaluates the parts one after another."""
        found = []
        for i, part in enumerate(self.parts):

            def report(done: int, total: int, i: int = i) -> None:
                if progress is not None:
                    progress((i * total + done) // len(self.parts), total)

            found.append(part.evaluate(space, archs, progress=report))
        reasons = [joined(r) for r in zip(*(o.reasons for o in found), strict=True)]
        columns = np.concatenate([o.columns for o in found], 1)
        return Outcome(columns, reasons, np.sum([o.seconds for o in found], axis=0))

    def combine(self, columns: np.ndarray) -> np.ndarray:
        """Merges the scores of the parts by rank."""
        ends = np.cumsum([len(part.names) for part in self.parts])
        blocks = np.split(columns, ends[:-1], axis=1)
        scores = {str(i): part.combine(block) for i, (part, block) in enumerate(zip(self.parts, blocks, strict=True))}
        return merge(scores, self.aggregation, self.weights)


def as_objective(value: Any) -> Objective:
    """What users may give as an objective.

    Args:
      value: an objective; a function or predictor; or a mapping from encodings to numbers.

    Returns:
      the objective.

    Raises:
      InputError: it is none of these.
    """
    if all(hasattr(value, name) for name in ("names", "evaluate", "combine", "describe")):
        found: Objective = value
        return found
    if isinstance(value, Mapping):
        return TableObjective.of(value, "table")
    if callable(value):
        return FunctionObjective(value)
    raise InputError(
        f"objective {value!r}; allowed: a function from architectures int [n, g] to numbers [n], a mapping from "
        "encodings to numbers, or an objective such as nasjax.search.ProxyObjective.of('zico', batches, key=key)"
    )


def joined(reasons: Any) -> str:
    """Different texts that say something, as one."""
    return "; ".join(dict.fromkeys(r for r in reasons if r))


def _reason(name: str, value: float) -> str:
    return "" if math.isfinite(value) else f"{name} is {value}"
