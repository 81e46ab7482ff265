"""A table of proxies, checked before anything is computed from it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nasjax.search.aggregation import column
from nasjax.search.libra_config import LibraConfig
from nasjax.types import InputError

FEWEST = 10
_OTHERS = ("accuracies", "num_params")
SUITE_VALUE = -1e8  # what NAS-Bench-Suite-Zero writes for NaN and infinities


class Checked(NamedTuple):
    """Scores and what they are compared with, finite and of one length.

    Attributes:
      scores: name -> float64 [n].
      accuracies: float64 [n].
      feature: float64 [n], what rankings may be biased towards.
      kept: bool [architectures given]; which are among the n.
    """

    scores: dict[str, np.ndarray]
    accuracies: np.ndarray
    feature: np.ndarray
    kept: np.ndarray


def checked(scores: Mapping[str, Any], accuracies: Any, num_params: Any, config: LibraConfig) -> Checked:
    """Checks a table.

    Args:
      scores: name -> numbers [n], or a table of them.
      accuracies: numbers [n].
      num_params: numbers [n]; None where ``config.bias`` names a column of scores.
      config: says what is done about NaN, and which feature is read.

    Returns:
      The table, in float64.

    Raises:
      InputError: fewer than two proxies or ten architectures, unequal lengths, no numbers, NaN, or a constant column.
    """
    if not hasattr(scores, "items") or len(dict(scores.items())) < 2:
        raise InputError(f"scores hold {len(scores) if hasattr(scores, '__len__') else scores!r} proxies; allowed: two "
                         "or more, as name -> numbers [n]; do: score with more proxies")  # fmt: skip
    columns = {str(name): column(values, str(name)) for name, values in scores.items()}
    if {*_OTHERS} & set(columns):
        raise InputError("a proxy is called accuracies or num_params; allowed: other names; do: rename it")
    truth, feature = column(accuracies, "accuracies"), _feature(columns, num_params, config)
    table = columns | dict(zip(_OTHERS, (truth, feature), strict=True))
    if len({len(values) for values in table.values()}) > 1:
        text = ", ".join(f"{name} {len(values)}" for name, values in table.items())
        raise InputError(f"numbers of architectures differ: {text}; allowed: one value each an architecture, in the "
                         "same order; do: join the tables by architecture first")  # fmt: skip
    kept = _kept(table, config)
    if config.invalid == "suite":
        table = {name: np.where(np.isfinite(values), values, SUITE_VALUE) for name, values in table.items()}
    table = {name: values[kept] for name, values in table.items()}
    number, left_out = int(kept.sum()), int((~kept).sum())
    if number < FEWEST:
        without = f" ({left_out} more have NaN or infinite values)" if left_out else ""
        raise InputError(f"{number} architectures{without}; allowed: {FEWEST} or more (the paper: 1000); do: give more")
    flat = [name for name, values in table.items() if np.all(values == values[0])]
    if flat:
        raise InputError(f"{', '.join(flat)}: the same value for all {number} architectures, so no correlation is "
                         "defined; allowed: columns that differ; do: leave them out")  # fmt: skip
    return Checked({name: table[name] for name in columns}, table["accuracies"], table["num_params"], kept)


def _feature(columns: Mapping[str, np.ndarray], num_params: Any, config: LibraConfig) -> np.ndarray:
    if config.bias != "params":
        if config.bias not in columns:
            close = difflib.get_close_matches(config.bias, columns, n=1, cutoff=0.5)
            advice = f"did you mean {close[0]}?" if close else "choose one of them"
            raise InputError(f"bias={config.bias!r}; allowed: params, or a column: {', '.join(columns)}; do: {advice}")
        return columns[config.bias]
    if num_params is None:
        raise InputError("num_params is None; allowed: the number of parameters of each architecture; do: give them, "
                         "or name a column of scores by bias=")  # fmt: skip
    return column(num_params, "num_params")


def _kept(table: Mapping[str, np.ndarray], config: LibraConfig) -> np.ndarray:
    """Bool [n]: the architectures that stay."""
    bad = {name: ~np.isfinite(values) for name, values in table.items()}
    if config.invalid == "drop":
        return ~np.any(list(bad.values()), axis=0)
    # The suite has a value for scores alone.
    refused = [name for name, rows in bad.items() if rows.any() and (config.invalid == "raise" or name in _OTHERS)]
    if refused:
        text = ", ".join(f"{name} ({int(bad[name].sum())})" for name in refused)
        number = len(bad["accuracies"])
        raise InputError(f"NaN or infinite values in {text} of {number} architectures; allowed: finite numbers; do: "
                         "remove these architectures or columns, or give invalid='drop' to leave the architectures out"
                         )  # fmt: skip
    return np.ones(len(bad["accuracies"]), bool)
