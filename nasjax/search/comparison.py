"""LIBRA beside the other ways to merge proxies, on one table and by one interface."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nasjax import metrics
from nasjax.search.aggregation import aggregate
from nasjax.search.checked import FEWEST, Checked, checked
from nasjax.search.combine import Choice, choose
from nasjax.search.libra_config import LibraConfig
from nasjax.search.selection import proxy_name
from nasjax.types import InputError

if TYPE_CHECKING:
    import pandas as pd

METHODS: Mapping[str, str] = {
    "libra": "z1, z2 and z3 of LIBRA, merged as its options say",
    "libra_logrank": "the same three, by the sum of log ranks",
    "libra_z1z2": "z1 and z2 alone",
    "ranksum": "sum of ranks of all proxies",
    "logrank": "sum of log ranks of all proxies, the rule of AZ-NAS",
    "az_nas": "the same rule on AZ-NAS's own four parts; only where the table has them",
    "te_nas": "rank sum of TE-NAS: on its own two parts where the table has them, on all proxies otherwise",
    "t_cet": "product of T-CET: nwot times snr, synflow or snip, whichever the table has; all proxies otherwise",
    "vote": "majority vote of all proxies between every two architectures",
    "best_single": "the proxy of the highest correlation",
    "best_pair": "the two proxies whose rank sum correlates most",
}
_PARTS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "az_nas": (("az_expressivity", "az_progressivity", "az_trainability", "flops"),),
    "te_nas": (("te_ntk", "te_regions"),),
    "t_cet": (("nwot", "snr"), ("nwot", "synflow"), ("nwot", "snip")),
}
_KIND = {"logrank": "logrank", "libra_logrank": "logrank", "az_nas": "logrank", "te_nas": "denserank",
         "t_cet": "product", "vote": "vote"}  # fmt: skip


class Measured(NamedTuple):
    """One way to merge proxies, and how well it ranks.

    Attributes:
      method: one of ``METHODS``.
      proxies: what it merged.
      signs: +1 or -1 a proxy.
      kind: how, see ``aggregate``.
      score: float64 [n], higher is better.
      spearman: correlation with accuracy.
      low: lower end of its 95 % bootstrap interval over architectures; NaN without.
      high: upper end.
      kendall: tau-b.
    """

    method: str
    proxies: tuple[str, ...]
    signs: tuple[int, ...]
    kind: str
    score: np.ndarray
    spearman: float
    low: float
    high: float
    kendall: float


class Comparison(NamedTuple):
    """What ``compare`` found.

    Attributes:
      measured: one entry a method, best first.
      choice: LIBRA's choice and its reasons, on the architectures that were chosen on.
      accuracies: float64 [n], of the architectures that were measured on.
      chosen_on: how many architectures the methods chose on.
      measured_on: how many they were measured on, n.
      held_out: whether these are others than those chosen on.
      left_out: how many had NaN or infinite values.
    """

    measured: tuple[Measured, ...]
    choice: Choice
    accuracies: np.ndarray
    chosen_on: int
    measured_on: int
    held_out: bool
    left_out: int

    def entry(self, method: str) -> Measured:
        """The entry of a method, by its name."""
        return next(entry for entry in self.measured if entry.method == method)

    def table(self) -> pd.DataFrame:
        """The comparison as a table.

        Returns:
          A row for each method, best first: method, spearman, low, high, kendall, aggregation, proxies (text).
        """
        import pandas as pd

        rows = [
            {"method": m.method, "spearman": m.spearman, "low": m.low, "high": m.high, "kendall": m.kendall,
             "aggregation": m.kind, "proxies": " ".join(m.proxies)}
            for m in self.measured
        ]  # fmt: skip
        return pd.DataFrame(rows)


def compare(
    scores: Mapping[str, Any],
    accuracies: Any,
    num_params: Any,
    *,
    methods: Sequence[str] = (),
    choose_on: int = 0,
    num_bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Comparison:
    """Measures LIBRA and the other aggregations on one table.

    Args:
      scores: proxy -> numbers [n], higher is better; a mapping or a table.
      accuracies: numbers [n], n at least 10.
      num_params: numbers [n]; None where ``bias`` names a column of scores.
      methods: which of ``METHODS``; by default all that the table allows.
      choose_on: how many architectures, drawn at random, ``libra``, ``best_single`` and ``best_pair`` choose on; all
        methods are then measured on the others. 0: they choose and are measured on all, as in the paper, which flatters
        those that choose from many.
      num_bootstrap: resamples behind the intervals; 0 leaves them out.
      seed: of the draw and of the resamples.
      progress: called with the number of methods done and of all.
      **options: of ``libra``.

    Returns:
      Correlations with intervals, best first, and LIBRA's choice.

    Raises:
      InputError: as ``libra``; an unknown method, one whose parts the table lacks, or a number that is out of range.
    """
    config = LibraConfig.of(options)
    if type(num_bootstrap) is not int or num_bootstrap < 0:
        raise InputError(f"num_bootstrap={num_bootstrap!r}; allowed: 0 (no interval) or more; do: take 1000")
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        close = difflib.get_close_matches(str(unknown[0]), METHODS, n=1, cutoff=0.5)
        advice = f"did you mean {close[0]}?" if close else "choose some of them"
        raise InputError(f"method {unknown[0]!r}; allowed: {', '.join(METHODS)}; do: {advice}")
    table = checked(scores, accuracies, num_params, config)
    learnt, tested = _parts(table, choose_on, seed)
    choice = choose(learnt, config)
    asked = tuple(dict.fromkeys(methods)) or tuple(m for m in METHODS if m != "az_nas" or _own(m, table.scores))
    found = []
    for done, method in enumerate(asked):
        if progress is not None:
            progress(done, len(asked))
        proxies, signs = _members(method, learnt, choice)
        kind = config.aggregation if method in ("libra", "libra_z1z2") else _KIND.get(method, "ranksum")
        score = aggregate({name: tested.scores[name] for name in proxies}, kind=kind, signs=signs)
        found.append(_measure(method, proxies, signs, kind, score, tested.accuracies, num_bootstrap, seed))
    if progress is not None:
        progress(len(asked), len(asked))
    found.sort(key=lambda entry: -np.nan_to_num(entry.spearman, nan=-2.0))
    return Comparison(
        tuple(found), choice, tested.accuracies, len(learnt.accuracies), len(tested.accuracies), choose_on > 0,
        int((~table.kept).sum()),
    )  # fmt: skip


def _parts(table: Checked, choose_on: int, seed: int) -> tuple[Checked, Checked]:
    """The architectures that methods choose on, and those they are measured on."""
    number = len(table.accuracies)
    if choose_on == 0:
        return table, table
    if type(choose_on) is not int or not FEWEST <= choose_on <= number - FEWEST:
        raise InputError(f"choose_on={choose_on!r} of {number} architectures; allowed: 0 (all), or {FEWEST} to "
                         f"{number - FEWEST}, so that {FEWEST} are left; do: choose another")  # fmt: skip
    rows = np.random.default_rng(seed).permutation(number)

    def part(rows: np.ndarray) -> Checked:
        rows = np.sort(rows)
        scores = {name: values[rows] for name, values in table.scores.items()}
        kept = np.zeros_like(table.kept)
        kept[np.flatnonzero(table.kept)[rows]] = True
        return Checked(scores, table.accuracies[rows], table.feature[rows], kept)

    return part(rows[:choose_on]), part(rows[choose_on:])


def _own(method: str, scores: Mapping[str, Any]) -> tuple[str, ...]:
    """A published method's own proxies, as the table calls them; none where it lacks some."""
    names = {proxy_name(name): name for name in scores}
    for parts in _PARTS.get(method, ()):
        if all(part in names for part in parts):
            return tuple(names[part] for part in parts)
    return ()


def _members(method: str, table: Checked, choice: Choice) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The proxies that a method merges, with their signs."""
    if method in ("libra", "libra_logrank"):
        return choice.proxies, choice.signs
    if method == "libra_z1z2":
        return choice.proxies[:2], choice.signs[:2]
    if method == "best_single":
        return choice.proxies[:1], choice.signs[:1]
    turn = choice.directions
    if method == "best_pair":
        pair = _best_pair(table, turn)
        return pair, tuple(turn[name] for name in pair)
    own = _own(method, table.scores)
    if method == "az_nas" and not own:
        raise InputError(f"az_nas merges {', '.join(_PARTS['az_nas'][0])}; the table has {', '.join(table.scores)}; "
                         "do: score these too, or take logrank, its rule on all proxies")  # fmt: skip
    members = own or tuple(table.scores)
    return members, tuple(turn[name] for name in members)


def _best_pair(table: Checked, turn: Mapping[str, int]) -> tuple[str, ...]:
    pairs = itertools.combinations(table.scores, 2)

    def rho(pair: tuple[str, str]) -> float:
        merged = aggregate({name: table.scores[name] for name in pair}, signs=[turn[name] for name in pair])
        found = metrics.spearman(merged, table.accuracies)
        return -2.0 if np.isnan(found) else found

    return max(pairs, key=rho)


def _measure(
    method: str, proxies: tuple[str, ...], signs: tuple[int, ...], kind: str, score: np.ndarray, truth: np.ndarray,
    num: int, seed: int,
) -> Measured:  # fmt: skip
    interval = (float("nan"), float("nan"))
    if num and np.ptp(score) > 0:
        interval = metrics.bootstrap(metrics.spearman, score, truth, num=num, seed=seed)
    return Measured(method, proxies, signs, kind, score, metrics.spearman(score, truth), *interval,
                    metrics.kendall(score, truth))  # fmt: skip
