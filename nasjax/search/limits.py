"""Limits of a search: parameters, multiply-adds, tables such as latencies, and predicates of one's own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.hashing import fingerprint
from nasjax.search.bounds import COSTS, Bounds, cost_bounds, costs
from nasjax.search.merging import numbers
from nasjax.spaces.base import check_key
from nasjax.types import Array, InputError

_BLOCK = 512  # architectures drawn at a time
_EXPLAINED = 4096  # architectures behind a message
_WORDS = {"params": "parameters", "flops": "multiply-adds"}

Predicate = Callable[[np.ndarray], Any]  # population int [n, ...] -> bool [n]


@dataclasses.dataclass(frozen=True)
class TableLimit:
    """Bounds on a number that a table gives for each architecture, such as a measured latency.

    Attributes:
      name: what the number is, for messages and records.
      values: official encoding -> number.
      minimum: smallest number allowed, in the unit of the table; None for no limit.
      maximum: largest number allowed; None for no limit.
      allow_unknown: whether architectures that the table lacks are allowed; by default they are not.
    """

    name: str
    values: Mapping[str, float] = dataclasses.field(hash=False, repr=False)
    minimum: float | None = None
    maximum: float | None = None
    allow_unknown: bool = False

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not isinstance(self.values, Mapping) or not self.values:
            raise InputError(
                f"limit {self.name!r}: values={type(self.values).__name__} of "
                f"{len(self.values) if hasattr(self.values, '__len__') else 'no'} entries; "
                "allowed is a mapping from encodings to numbers; do: take TableLimit.of(table, column)"
            )
        _check_pair(self.name, self.minimum, self.maximum)

    @classmethod
    def of(
        cls,
        table: Any,
        column: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        allow_unknown: bool = False,
    ) -> TableLimit:
        """A limit on a column of a table, such as `nasjax.data.latency` or `nasjax.data.tables.load` give.

        Args:
          table: pandas table with a column ``arch`` of official encodings.
          column: name of the column that is limited.
          minimum: smallest number allowed, in the unit of the column.
          maximum: largest number allowed.
          allow_unknown: whether architectures that the table lacks, or has no number for, are allowed.

        Returns:
          the limit.

        Raises:
          InputError: no such column, or one without numbers.
        """
        missing = [name for name in ("arch", column) if name not in table.columns]
        if missing:
            raise InputError(
                f"the table has no column {missing[0]!r}; allowed are {', '.join(map(str, table.columns))}; "
                "do: check the name"
            )
        pairs = zip(table["arch"].tolist(), numbers(table, column).tolist(), strict=True)
        values = {arch: value for arch, value in pairs if not math.isnan(value)}
        if not values:
            raise InputError(f"column {column!r} of the table holds no number; do: name another column")
        return cls(column, values, minimum, maximum, allow_unknown)

    def meets(self, encodings: list[str]) -> np.ndarray:
        """Which architectures are within the limit: bool [n]."""
        found = np.array([self.values.get(text, math.nan) for text in encodings], np.float64)
        return _within(found, self.minimum, self.maximum) | (np.isnan(found) & self.allow_unknown)


class _Part(NamedTuple):
    """One limit: what it is called, and population, encodings -> bool [n]."""

    name: str
    meets: Callable[[np.ndarray, list[str] | None], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Limits:
    """What an architecture must meet to be considered; all bounds are inclusive.

    Attributes:
      min_params: smallest number of trainable parameters; None for no limit.
      max_params: largest number of trainable parameters.
      min_flops: smallest number of multiply-adds for one image.
      max_flops: largest number of multiply-adds for one image.
      tables: limits on numbers that tables give, `TableLimit`.
      predicates: functions population int [n, ...] -> bool [n].
      max_draws: how many architectures ``sample`` draws at most.
    """

    min_params: float | None = None
    max_params: float | None = None
    min_flops: float | None = None
    max_flops: float | None = None
    tables: tuple[TableLimit, ...] = ()
    predicates: tuple[Predicate, ...] = ()
    max_draws: int = 200_000

    def __post_init__(self) -> None:
        """Refuses bounds that contradict each other."""
        for cost in COSTS:
            _check_pair(_WORDS[cost], *self._pair(cost))
        object.__setattr__(self, "tables", tuple(self.tables))
        object.__setattr__(self, "predicates", tuple(self.predicates))
        if not all(isinstance(t, TableLimit) for t in self.tables) or not all(map(callable, self.predicates)):
            raise InputError(
                f"tables={self.tables!r}, predicates={self.predicates!r}; allowed are TableLimits, and functions from "
                "a population to bool [n]"
            )
        if isinstance(self.max_draws, bool) or not isinstance(self.max_draws, int) or self.max_draws < 1:
            raise InputError(f"max_draws={self.max_draws!r}; allowed is a positive integer")

    def _pair(self, cost: str) -> tuple[float | None, float | None]:
        return getattr(self, f"min_{cost}"), getattr(self, f"max_{cost}")

    @property
    def empty(self) -> bool:
        """Whether nothing is limited."""
        return not self.tables and not self.predicates and all(self._pair(cost) == (None, None) for cost in COSTS)

    def describe(self) -> dict[str, Any]:
        """The limits as JSON-serialisable values; tables by the fingerprint of their numbers, predicates by name."""
        bounds = {f"{end}_{cost}": getattr(self, f"{end}_{cost}") for cost in COSTS for end in ("min", "max")}
        tables = [
            {
                "name": t.name,
                "minimum": t.minimum,
                "maximum": t.maximum,
                "allow_unknown": t.allow_unknown,
                "values": fingerprint(dict(t.values)),
            }
            for t in self.tables
        ]
        names = [getattr(p, "__qualname__", type(p).__qualname__) for p in self.predicates]
        return bounds | {"tables": tables, "predicates": names}

    def check(self, space: Any) -> None:
        """Refuses limits that no architecture of the space can meet.

        What a space of a few thousand architectures offers is known exactly, also for all limits together. For larger
        ones parameters and multiply-adds are checked one by one; see `nasjax.search.bounds.cost_bounds`.

        Args:
          space: search space.

        Raises:
          InputError: a limit is beyond what the space offers, or no architecture meets all; the message gives the
            nearest feasible values, and says where they are an estimate.
        """
        for cost in COSTS:
            low, high = self._pair(cost)
            if (low, high) != (None, None):
                _check_cost(space.name, cost, low, high, cost_bounds(space, cost))
        for table in self.tables:
            _check_table(space.name, table)
        if hasattr(space, "all") and not self.empty:
            everything = space.all()
            if not np.all([part.meets(everything, None) for part in self._parts(space)], axis=0).any():
                counts, near = self._counted(space, everything)
                raise InputError(
                    f"no architecture of {space.name} meets all limits; of its {len(everything)} so many meet each "
                    f"({counts}){near}; do: widen the limit that fewest meet"
                )

    def feasible(self, space: Any, archs: Any) -> np.ndarray:
        """Which architectures meet all limits.

        Args:
          space: search space.
          archs: population int [n, ...].

        Returns:
          bool [n].

        Raises:
          InputError: a predicate does not return one truth value an architecture.
        """
        population = np.asarray(archs)
        met = np.ones(len(population), bool)
        encodings = list(space.encode(population)) if self.tables and len(population) else None
        for part in self._parts(space):
            if len(population):
                met &= part.meets(population, encodings)
        return met

    def sample(self, key: Array, space: Any, num: int) -> np.ndarray:
        """Random architectures that meet the limits: draws of the space, of which those within are kept.

        The law is that of ``space.sample`` under the condition that the limits are met. A longer sample begins with
        the shorter one of the same key. An architecture may be drawn twice.

        Args:
          key: typed key.
          space: search space.
          num: how many.

        Returns:
          int [num, ...].

        Raises:
          InputError: ``num`` is negative, or ``max_draws`` draws did not give enough; the message gives the share of
            draws that meet the limits.
        """
        check_key(key)
        if isinstance(num, bool) or not isinstance(num, int | np.integer) or num < 0:
            raise InputError(f"num={num!r} architectures; allowed is an integer of 0 or more")
        kept: list[np.ndarray] = []
        count, drawn = 0, 0
        while count < num or not kept:
            block = np.asarray(space.sample(jax.random.fold_in(key, len(kept)), _BLOCK))
            kept.append(block[self.feasible(space, block)])
            count, drawn = count + len(kept[-1]), drawn + _BLOCK
            if count < num and drawn >= self.max_draws:
                self.check(space)  # says more, if nothing can meet the limits
                raise InputError(
                    f"{count} of {drawn} random architectures of {space.name} meet the limits (acceptance rate "
                    f"{count / drawn:.2g}), {num} are wanted; do: widen {self._tightest(space, key)}, or raise "
                    "max_draws"
                )
        return np.concatenate(kept)[:num]

    def _tightest(self, space: Any, key: Array) -> str:
        """The limit that fewest random architectures meet."""
        block = np.asarray(space.sample(key, _BLOCK))
        parts = self._parts(space)
        encodings = list(space.encode(block)) if self.tables else None
        shares = [part.meets(block, encodings).mean() for part in parts]
        number = int(np.argmin(shares))
        return f"the limit on {parts[number].name} (met by {shares[number]:.2g} of them)"

    def explain(self, key: Array, space: Any) -> str:
        """Why nothing was found: how many random architectures meet each limit, and the nearest feasible values.

        Args:
          key: typed key of the draws.
          space: search space.

        Returns:
          the text; empty where nothing is limited.
        """
        if self.empty:
            return ""
        drawn = np.concatenate(
            [np.asarray(space.sample(jax.random.fold_in(key, i), _BLOCK)) for i in range(_EXPLAINED // _BLOCK)]
        )
        if hasattr(space, "extremes"):
            drawn = np.concatenate([drawn, np.asarray(space.extremes())])
        counts, near = self._counted(space, drawn)
        return f"of {len(drawn)} architectures, random or at the ends, so many meet each limit ({counts}){near}"

    def _counted(self, space: Any, archs: np.ndarray) -> tuple[str, str]:
        """How many meet each limit; and the costs nearest to a limit among those that meet the others."""
        parts = self._parts(space)
        met = np.stack([part.meets(archs, None) for part in parts])
        names = [part.name for part in parts]
        counts = ", ".join(f"{name}: {int(own.sum())}" for name, own in zip(names, met, strict=True))
        text = ""
        for cost in COSTS:
            if _WORDS[cost] in names:
                others = archs[np.delete(met, names.index(_WORDS[cost]), axis=0).all(0)]
                values = np.unique(costs(space, cost, others)) if len(others) else np.zeros(0)
                near = _sides(values, *self._pair(cost))
                if near:
                    text += f"; the nearest {_WORDS[cost]} of those that meet the other limits: {' and '.join(near)}"
        return counts, text

    def _parts(self, space: Any) -> list[_Part]:
        parts = []
        for cost in COSTS:
            low, high = self._pair(cost)
            if (low, high) != (None, None):
                parts.append(_cost_part(space, cost, low, high))
        for table in self.tables:
            parts.append(_table_part(space, table))
        for i, predicate in enumerate(self.predicates):
            parts.append(_predicate_part(predicate, i))
        return parts


def _cost_part(space: Any, cost: str, low: float | None, high: float | None) -> _Part:
    return _Part(_WORDS[cost], lambda archs, _: _within(costs(space, cost, archs), low, high))


def _table_part(space: Any, table: TableLimit) -> _Part:
    return _Part(
        table.name, lambda archs, encodings: table.meets(list(space.encode(archs)) if encodings is None else encodings)
    )


def _predicate_part(predicate: Predicate, number: int) -> _Part:
    name = f"predicate {number} ({getattr(predicate, '__name__', type(predicate).__name__)})"

    def meets(archs: np.ndarray, encodings: list[str] | None) -> np.ndarray:
        del encodings
        found = np.asarray(predicate(archs))
        if found.shape != (len(archs),) or found.dtype != bool:
            raise InputError(
                f"{name} gave {found.dtype} of shape {list(found.shape)} for {len(archs)} architectures; allowed is "
                f"bool [{len(archs)}], one truth value each"
            )
        return found

    return _Part(name, meets)


def _within(values: np.ndarray, low: float | None, high: float | None) -> np.ndarray:
    """Whether values lie in inclusive bounds; NaN does not."""
    return (values >= (-math.inf if low is None else low)) & (values <= (math.inf if high is None else high))


def _check_pair(name: str, low: float | None, high: float | None) -> None:
    for end, value in (("minimum", low), ("maximum", high)):
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if value is not None and (not number or not math.isfinite(value)):
            raise InputError(f"{end} of {name} is {value!r}; allowed is a finite number, or None for no limit")
    if low is not None and high is not None and low > high:
        raise InputError(
            f"limits on {name} contradict each other: minimum {low:.12g}, maximum {high:.12g}; allowed is a minimum "
            "that is no larger than the maximum; do: exchange them, or leave one out"
        )


def _check_cost(name: str, cost: str, low: float | None, high: float | None, bounds: Bounds) -> None:
    """Refuses a window without any value of the space."""
    window = f"limits on {_WORDS[cost]} [{_end(low, '-inf')}, {_end(high, 'inf')}]"
    below = low is not None and low > bounds.high
    above = high is not None and high < bounds.low
    if below or above:
        nearest = bounds.high if below else bounds.low
        how = "" if bounds.exact else " (an estimate from samples and steps to neighbours)"
        raise InputError(
            f"{window} exclude every architecture of {name}, which has {bounds.low} to {bounds.high} "
            f"{_WORDS[cost]}{how}; do: take {'min' if below else 'max'}_{cost}={nearest}, the nearest feasible value"
        )
    if len(bounds.values) and not _within(bounds.values, low, high).any():
        raise InputError(f"{window} lie between two architectures of {name}; {_nearest(bounds.values, low, high)}")


def _check_table(name: str, table: TableLimit) -> None:
    """Refuses a window without any value of the table."""
    values = np.unique(np.array(list(table.values.values()), np.float64))
    if table.allow_unknown or _within(values, table.minimum, table.maximum).any():
        return
    window = f"limits on {table.name} [{_end(table.minimum, '-inf')}, {_end(table.maximum, 'inf')}]"
    raise InputError(
        f"{window} exclude every architecture of {name} in the table, which has {values[0]:g} to {values[-1]:g}; "
        f"{_nearest(values, table.minimum, table.maximum)}"
    )


def _end(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:.12g}"


def _nearest(values: np.ndarray, low: float | None, high: float | None) -> str:
    """Names the feasible values on both sides of an empty window; values increase."""
    near = _sides(values, low, high)
    return f"do: take in the nearest feasible value{'s' if len(near) > 1 else ''}, {' or '.join(near)}"


def _sides(values: np.ndarray, low: float | None, high: float | None) -> list[str]:
    """The nearest value below, and that above a window; values increase."""
    lower = values[values < low] if low is not None else values[:0]
    upper = values[values > high] if high is not None else values[:0]
    return [f"{v:.12g}" for v in (*lower[-1:], *upper[:1])]
