"""Scores of a population: ranks within the architectures that are scored together.

Such a score is no property of an architecture: another population gives another one. So its *members*, which
are, go through passes, finish and store like any proxy, and the ranks are taken when a result is collected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax.proxies.base import Facts, Proxy, Value

Combine = Callable[[np.ndarray], np.ndarray]
Result = Any  # `nasjax.proxies.score.ScoreResult`, which imports this module


class Column(NamedTuple):
    """One column of a result.

    Attributes:
      scores: float64 [n].
      raw: float64 [n].
      valid: bool [n].
      reasons: n texts.
    """

    scores: np.ndarray
    raw: np.ndarray
    valid: np.ndarray
    reasons: list[str]


def log_ranks(ranks: np.ndarray) -> np.ndarray:
    """``sum_k log(rank / n)``: float64 [members, n] of ranks 1..n -> [n]."""
    return np.log(ranks / ranks.shape[1]).sum(0)


def rank_sum(ranks: np.ndarray) -> np.ndarray:
    """``sum_k rank``: float64 [members, n] of ranks 1..n -> [n]."""
    return ranks.sum(0)


def proxy(name: str, options: tuple[tuple[str, Any], ...], members: tuple[Proxy, ...], combine: Combine) -> Proxy:
    """A proxy whose score is a function of its members' ranks.

    Args:
      name: registered name.
      options: see `Proxy`.
      members: proxies of single architectures.
      combine: ranks float64 [members, n], 1 the worst -> scores [n].

    Returns:
      the proxy.
    """

    def finish(facts: Facts) -> Value:
        raise TypeError(f"{name} is a score of a population; its members are finished instead.")

    passes = tuple(dict.fromkeys(p for member in members for p in member.passes))
    return Proxy(name, options, passes, finish, members=members, combine=combine)


def expand(chosen: Sequence[Proxy], columns: Sequence[str]) -> tuple[tuple[Proxy, ...], list[str]]:
    """What is to be run: members in place of population scores, each once.

    Args:
      chosen: proxies asked for.
      columns: their column names.

    Returns:
      proxies of single architectures, and their column names.
    """
    found: dict[Any, tuple[Proxy, str]] = {}
    for p, column in zip(chosen, columns, strict=True):
        if not p.members:
            found[p.name, p.options] = (p, column)
    for p in chosen:
        for member in p.members:
            found.setdefault((member.name, member.options), (member, member.label))
    return tuple(p for p, _ in found.values()), [column for _, column in found.values()]


def ranked_result(
    found: Result, chosen: Sequence[Proxy], columns: Sequence[str], is_alive: Callable[[int], bool]
) -> Result:
    """A result with the columns that were asked for, in that order.

    Args:
      found: ``ScoreResult`` of the proxies of single architectures, columns named as `expand` does.
      chosen: proxies asked for.
      columns: their column names.
      is_alive: index of an architecture -> whether it may be ranked.

    Returns:
      the result with its columns replaced; unchanged if there is no score of a population.
    """
    if not any(p.members for p in chosen):
        return found
    tables = (found.scores, found.raw, found.valid, found.reasons)
    single, names = expand(chosen, columns)
    column = {(p.name, p.options): Column(*(t[name] for t in tables)) for p, name in zip(single, names, strict=True)}
    alive = np.array([is_alive(i) for i in range(len(found.archs))], bool)
    asked = {
        name: ranked(p, [column[m.name, m.options] for m in p.members], found.archs, alive)
        if p.members
        else Column(*(t[name] for t in tables))
        for p, name in zip(chosen, columns, strict=True)
    }
    return found._replace(
        scores={name: c.scores for name, c in asked.items()},
        raw={name: c.raw for name, c in asked.items()},
        valid={name: c.valid for name, c in asked.items()},
        reasons={name: c.reasons for name, c in asked.items()},
    )


def ranked(p: Proxy, members: Sequence[Column], encodings: Sequence[str], alive: np.ndarray) -> Column:
    """The score of a population.

    A member that is -inf or NaN for an architecture ranks it last, as the official codes do; one without any
    finite value is left out.

    Args:
      p: proxy with members.
      members: their columns.
      encodings: official strings, length n; repeated ones count once.
      alive: bool [n]; dead architectures are left out of the ranks.

    Returns:
      the column; dead architectures have score -inf.
    """
    from scipy import stats

    assert p.combine is not None
    first = {text: i for i, text in reversed(list(enumerate(encodings)))}
    rows = np.array(sorted(i for i in first.values() if alive[i]), int)
    used = [m for m in members if np.isfinite(m.scores[rows]).any()]
    scores = np.full(len(encodings), -np.inf)
    if len(rows) and used:
        values = np.stack([np.where(np.isnan(m.scores[rows]), -np.inf, m.scores[rows]) for m in used])
        scores[rows] = p.combine(stats.rankdata(values, axis=1))
        scores = np.array([scores[first[text]] for text in encodings])
    valid = np.isfinite(scores)
    said = used or members  # a member without any number is left out, and its remarks with it
    reasons = ["; ".join(dict.fromkeys(m.reasons[i] for m in said if m.reasons[i])) for i in range(len(encodings))]
    return Column(scores, scores.copy(), valid, reasons)
