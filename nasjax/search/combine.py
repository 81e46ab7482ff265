"""LIBRA: which three proxies complement each other on a benchmark, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nasjax import metrics
from nasjax.search.aggregation import aggregate as aggregate
from nasjax.search.checked import Checked, checked
from nasjax.search.entropy import binned, default_bins, entropy
from nasjax.search.libra_config import LibraConfig as LibraConfig
from nasjax.search.selection import Selection

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_TIE = 1e-9  # gains and distances closer than rounding count as equal: the first in the table is taken
ROLES = ("z1", "z2", "z3")


class Choice(NamedTuple):
    """What ``libra`` chose, and everything it chose by.

    Attributes:
      proxies: z1, z2 and z3; fewer where too few lie within the margin.
      signs: +1 or -1 a chosen proxy: what its score is multiplied by, so that it correlates positively.
      directions: proxy -> +1, or -1 where ``direction="data"`` turned it round; what follows is of the turned scores.
      candidates: the proxies within the margin of z1, in the order of the table.
      spearman: proxy -> Spearman's correlation with accuracy.
      gains: proxy other than z1 -> IG(h) = H(y | z1) - H(y | z1, h), bits.
      biases: proxy -> Spearman's correlation with the bias feature.
      accuracy_bias: that of the accuracies.
      entropy: H(y), bits.
      conditional: H(y | z1), bits.
      bins: number of bins of each variable.
      kept: bool [architectures given]; False where ``invalid="drop"`` left one out.
      score: float64 [kept], the merged score, higher is better.
      rho: Spearman's correlation of ``score`` with accuracy.
      config: the options.
    """

    proxies: tuple[str, ...]
    signs: tuple[int, ...]
    directions: dict[str, int]
    candidates: tuple[str, ...]
    spearman: dict[str, float]
    gains: dict[str, float]
    biases: dict[str, float]
    accuracy_bias: float
    entropy: float
    conditional: float
    bins: int
    kept: np.ndarray
    score: np.ndarray
    rho: float
    config: LibraConfig

    @property
    def z1(self) -> str:
        """The proxy of the highest correlation."""
        return self.proxies[0]

    @property
    def z2(self) -> str | None:
        """The candidate that adds least information; None without candidates."""
        return self.proxies[1] if len(self.proxies) > 1 else None

    @property
    def z3(self) -> str | None:
        """The remaining candidate whose bias is nearest to that of the accuracies; None without one."""
        return self.proxies[2] if len(self.proxies) > 2 else None

    def table(self) -> pd.DataFrame:
        """The reasoning as a table.

        Returns:
          A row for each proxy, best correlated first: proxy, role ("z1", "z2", "z3" or empty), spearman, candidate
          (bool), gain (bits; NaN for z1), bias, distance (between its bias and that of the accuracies).
        """
        import pandas as pd

        return pd.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """The rows of ``table``, as dictionaries.

        Returns:
          One for each proxy, best correlated first.
        """
        roles = dict(zip(self.proxies, ROLES, strict=False))
        return [
            {
                "proxy": name,
                "role": roles.get(name, ""),
                "spearman": self.spearman[name],
                "candidate": name in self.candidates,
                "gain": self.gains.get(name, float("nan")),
                "bias": self.biases[name],
                "distance": abs(self.accuracy_bias - self.biases[name]),
            }
            for name in sorted(self.spearman, key=lambda name: -self.spearman[name])
        ]

    def figure(self, *, theme: Any = "light", narrow: bool = False) -> Figure:
        """Draws correlations, gains and biases with what was chosen by them.

        Args:
          theme: "light" or "dark".
          narrow: for a phone.

        Returns:
          The figure.
        """
        from nasjax.search.figure import choice_figure

        return choice_figure(self, theme=theme, narrow=narrow)

    def selection(self, *, space: str = "", source: str = "") -> Selection:
        """What a search needs of it, ready to be saved.

        Args:
          space: search space of the table.
          source: name of the table.

        Returns:
          The selection; its reasons hold the whole choice.

        Raises:
          InputError: a chosen column is no proxy of this library (the nearest are offered), or there is no such space.
        """
        reasons = {
            "method": "libra",
            "roles": dict(zip(ROLES, self.proxies, strict=False)),
            "architectures": int(self.kept.sum()),
            "spearman_of_the_merged_score": self.rho,
            "directions": self.directions,
            "candidates": list(self.candidates),
            "spearman": self.spearman,
            "gains": self.gains,
            "biases": self.biases,
            "accuracy_bias": self.accuracy_bias,
            "entropy": self.entropy,
            "conditional_entropy": self.conditional,
            "bins": self.bins,
            "options": {name: getattr(self.config, name) for name in self.config.__dataclass_fields__},
        }
        return Selection(self.proxies, self.signs, self.config.aggregation, space, source, reasons)


def libra(scores: Mapping[str, Any], accuracies: Any, num_params: Any, **options: Any) -> Choice:
    """Chooses three proxies that complement each other on a benchmark.

    With rho the Spearman correlation with accuracy y, and the bias b of a ranking its Spearman correlation with the
    number of parameters:

    1. z1 has the highest rho;
    2. candidates are the others with ``rho_best - margin < rho``;
    3. z2 is the candidate of the lowest information gain ``IG(h) = H(y | z1) - H(y | z1, h)``;
    4. z3 is the remaining candidate with the lowest ``|b_y - b_h|``.

    Entropies are those of binned values, as in NAS-Bench-Suite-Zero. The first of the table wins a tie. With fewer than
    two candidates the choice has one or two proxies. Where a chosen rho is negative, the merged score and the selection
    turn the proxy round by its sign.

    Args:
      scores: proxy -> numbers [n], higher is better; a mapping or a table.
      accuracies: numbers [n], n at least 10.
      num_params: numbers [n]; None where ``bias`` names a column of scores.
      **options: fields of ``LibraConfig``.

    Returns:
      The choice, with candidates, gains and biases, as a table and as a figure.

    Raises:
      InputError: NaN, a constant column, fewer than ten architectures or two proxies, unequal lengths, or an option
        that does not exist or is out of range.

    References:
      L-SWAG, CVPR 2025, Algorithm 1. Krishnakumar et al., NAS-Bench-Suite-Zero, NeurIPS 2022 (entropies). No official
      code of LIBRA is known; agrees with an independent float64 implementation of the algorithm.

    Examples:
      >>> accuracy = [70, 71, 72, 73, 74, 75, 76, 77, 78, 79]
      >>> a, b, c = accuracy[:], accuracy[1::-1] + accuracy[2:], accuracy[:8] + accuracy[:7:-1]
      >>> libra({"nwot": a, "zico": b, "swap": c}, accuracy, accuracy).proxies
      ('nwot', 'zico', 'swap')
    """
    config = LibraConfig.of(options)
    return choose(checked(scores, accuracies, num_params, config), config)


def choose(table: Checked, config: LibraConfig) -> Choice:
    """``libra`` on a table that was checked.

    Args:
      table: the scores.
      config: the options.

    Returns:
      The choice.
    """
    y, bins = table.accuracies, config.bins or default_bins(len(table.accuracies))
    turn = directions(table, config)
    scores = {name: values * turn[name] for name, values in table.scores.items()}
    rho = {name: metrics.spearman(values, y) for name, values in scores.items()}
    biases = {name: metrics.spearman(values, table.feature) for name, values in scores.items()}
    accuracy_bias = metrics.spearman(y, table.feature)
    z1 = max(rho, key=lambda name: -2.0 if np.isnan(rho[name]) else rho[name])  # NaN: constant in a part of a table
    candidates = tuple(name for name in rho if name != z1 and rho[z1] - config.margin < rho[name])

    cells = {name: binned(values, bins, binning=config.binning) for name, values in scores.items()}
    truth = binned(y, bins, binning=config.binning)

    def bits(*columns: np.ndarray) -> float:
        return entropy(columns, estimator=config.entropy)

    conditional = bits(truth, cells[z1]) - bits(cells[z1])
    gains = {
        name: conditional - (bits(truth, cells[z1], cells[name]) - bits(cells[z1], cells[name]))
        for name in rho
        if name != z1
    }
    chosen = [z1]
    if candidates:
        chosen.append(_least({name: gains[name] for name in candidates}))
    rest = {name: abs(accuracy_bias - biases[name]) for name in candidates if name not in chosen}
    if rest:
        chosen.append(_least(rest))
    signs = tuple(-turn[name] if rho[name] < 0 else turn[name] for name in chosen)
    score = aggregate({name: table.scores[name] for name in chosen}, kind=config.aggregation, signs=signs)
    return Choice(
        proxies=tuple(chosen), signs=signs, directions=turn, candidates=candidates, spearman=rho, gains=gains,
        biases=biases, accuracy_bias=accuracy_bias, entropy=bits(truth), conditional=conditional, bins=bins,
        kept=table.kept, score=score, rho=metrics.spearman(score, y), config=config,
    )  # fmt: skip


def directions(table: Checked, config: LibraConfig) -> dict[str, int]:
    """What the scores of each proxy are multiplied by.

    Args:
      table: the scores.
      config: says whether the table decides.

    Returns:
      proxy -> +1, or -1 where it correlates negatively and ``direction`` is "data".
    """
    if config.direction == "given":
        return dict.fromkeys(table.scores, 1)
    return {h: -1 if metrics.spearman(x, table.accuracies) < 0 else 1 for h, x in table.scores.items()}


def _least(values: Mapping[str, float]) -> str:
    """The first name whose value is the least, up to rounding."""
    least = min(values.values())
    return next(name for name, value in values.items() if value <= least + _TIE)
