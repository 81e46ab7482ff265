"""How well scores rank architectures: scores joined with a table of accuracies, and every proxy measured."""

from __future__ import annotations

import dataclasses
import difflib
import os
import pathlib
import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nasjax import metrics
from nasjax.data import tables
from nasjax.types import InputError

SCORES_FILE = "scores.csv"
FEWEST = 3  # with two architectures every correlation is 1 or -1
_KEYS = ("arch", "arch_index", "iso_group")
_NOT_PROXIES = ("arch", "valid", "reason", "seconds")


@dataclasses.dataclass(frozen=True)
class Correlations:
    """What ``correlate`` found.

    Attributes:
      table: a row for each proxy and target, proxies best first: proxy, target, count (architectures used),
        spearman, low, high (interval of spearman), kendall (tau-b), precision (share of the k best by score
        that are among the k best by accuracy), k, regret (best accuracy less that of the best-scored one).
        NaN where a proxy gives all architectures the same score.
      joined: the architectures that are in both, a column for each proxy (NaN where invalid) and target.
      scored: how many architectures have scores.
      missing: how many of them are not in the table of accuracies.
      invalid: proxy -> how many of the joined architectures it has no valid score for.
      top: the fraction that makes k.
    """

    table: pd.DataFrame
    joined: pd.DataFrame
    scored: int
    missing: int
    invalid: dict[str, int]
    top: float

    @property
    def proxies(self) -> list[str]:
        """Names of the proxies, best first."""
        return list(dict.fromkeys(self.table["proxy"]))

    @property
    def targets(self) -> list[str]:
        """Names of the accuracies, as asked for."""
        return list(dict.fromkeys(self.table["target"]))

    def row(self, proxy: str, target: str) -> pd.Series:
        """The row of one pair.

        Args:
          proxy: name of the proxy.
          target: name of the accuracy.

        Returns:
          The row of ``table``.
        """
        return self.table[(self.table["proxy"] == proxy) & (self.table["target"] == target)].iloc[0]

    def pair(self, proxy: str, target: str) -> tuple[np.ndarray, np.ndarray]:
        """Scores and accuracies that one row was computed from.

        Args:
          proxy: name of the proxy.
          target: name of the accuracy.

        Returns:
          Two float64 arrays [count], finite.
        """
        return _pair(self.joined, proxy, target)


def correlate(
    scores: pd.DataFrame,
    accuracies: pd.DataFrame | str | os.PathLike[str],
    *,
    columns: Sequence[str] = (),
    top: float = 0.1,
    num_bootstrap: int = 1000,
    seed: int = 0,
) -> Correlations:
    """Measures how scores rank architectures of known accuracy.

    Args:
      scores: columns arch, one a proxy, and optionally valid and reason, as ``ScoreResult.table()`` and
        ``scores.csv`` have them.
      accuracies: a table with the column arch, or what ``nasjax.data.tables.load`` takes.
      columns: which columns of the table to compare with; all numeric ones by default.
      top: which fraction of the architectures counts as the best, in (0, 1).
      num_bootstrap: resamples for the interval of Spearman's correlation; 0 leaves it out.
      seed: seed of the resampling.

    Returns:
      The correlations.

    Raises:
      InputError: nothing to compare: no proxy, unknown column, fewer than three architectures in both.
    """
    if not 0 < top < 1:
        raise InputError(f"top={top}: the fraction of best architectures; allowed: between 0 and 1, such as 0.1.")
    if num_bootstrap < 0:
        raise InputError(f"num_bootstrap={num_bootstrap}: allowed: 0 (no interval) or more; 1000 is usual.")
    table = accuracies if isinstance(accuracies, pd.DataFrame) else tables.load(accuracies)
    proxies = proxy_columns(scores)
    targets = _targets(table, columns)
    clash = sorted(set(proxies) & set(targets))
    if clash:
        raise InputError(f"{', '.join(clash)}: both a score and a column of accuracies. Choose other columns.")
    cleaned = mask_invalid(scores)
    joined, missing = tables.join(cleaned[["arch", *proxies]], table[["arch", *targets]])
    if len(joined) < FEWEST:
        raise InputError(
            f"{len(joined)} of {len(scores)} scored architectures are in the table; at least {FEWEST} are needed. Check"
            " that scores and table are of one search space, or score more architectures."
        )
    rows = [
        _measure(proxy, target, *_pair(joined, proxy, target), top, num_bootstrap, seed)
        for proxy in proxies
        for target in targets
    ]
    result = pd.DataFrame(rows)
    means = result.groupby("proxy", sort=False)["spearman"].mean()
    order = list(means.sort_values(ascending=False, na_position="last", kind="stable").index)
    result = result.sort_values("proxy", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)
    invalid = {proxy: int((~np.isfinite(joined[proxy])).sum()) for proxy in order}
    return Correlations(result, joined, len(scores), int(missing), invalid, top)


def read_scores(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads scores.csv.

    Args:
      path: the file, or the working directory that holds it.

    Returns:
      Columns arch, one float64 a proxy, and whatever else the file has.

    Raises:
      InputError: no such file, or it is no table of scores.
    """
    file = pathlib.Path(path)
    if file.is_dir():
        file = file / SCORES_FILE
    if not file.is_file():
        raise InputError(f"{file}: no such file. Run launch.score with this --workdir, or name a CSV file of scores.")
    try:
        frame = pd.read_csv(file, dtype={"arch": str})
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file} is no CSV file ({error}). Expected: a header with the column arch.") from None
    if "arch" not in frame:
        raise InputError(f"{file} has no column arch; it has {', '.join(map(str, frame.columns[:8]))}.")
    proxy_columns(frame)
    return frame


def proxy_columns(scores: pd.DataFrame) -> list[str]:
    """Names the columns of a table of scores that hold scores.

    Args:
      scores: columns arch, one a proxy, and others that are not numbers.

    Returns:
      Names of the numeric columns.

    Raises:
      InputError: there is none, or there is no column arch.
    """
    if "arch" not in scores:
        raise InputError(f"the scores have no column arch; they have {', '.join(map(str, scores.columns[:8]))}.")
    found = [c for c in scores.columns if c not in _NOT_PROXIES and pd.api.types.is_numeric_dtype(scores[c])]
    if not found:
        raise InputError("the scores have no numeric column. Expected: arch, then a column for each proxy.")
    return found


def mask_invalid(scores: pd.DataFrame) -> pd.DataFrame:
    """Puts NaN where a score may not be ranked: in the rows whose ``valid`` is false, and for infinities.

    Where the reason names proxies ("snip, zico: ..."), only their scores are left out.

    Args:
      scores: as ``correlate`` takes.

    Returns:
      A copy with float64 scores.
    """
    proxies = proxy_columns(scores)
    values = scores[proxies].astype("float64").to_numpy(copy=True)
    values[~np.isfinite(values)] = np.nan
    if "valid" in scores:
        valid = scores["valid"].astype(str).str.lower().isin(("true", "1", "1.0")).to_numpy()
        reasons = scores["reason"].tolist() if "reason" in scores else [""] * len(scores)
        for row in np.flatnonzero(~valid):
            named = _named(str(reasons[row]), proxies)
            values[row, [proxies.index(p) for p in named] if named else slice(None)] = np.nan
    cleaned = scores.copy()
    cleaned[proxies] = values
    return cleaned


def _named(reason: str, proxies: Sequence[str]) -> list[str]:
    """The proxies that a reason of the form "a, b: why; c: why" names; none when it is of another form."""
    found: list[str] = []
    for part in reason.split("; "):
        names = part.split(": ")[0].split(", ")
        if all(name in proxies for name in names):
            found += names
    return found


def _targets(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    numeric = [c for c in table.columns if c not in _KEYS and pd.api.types.is_numeric_dtype(table[c])]
    for column in columns:
        if column not in numeric:
            close = difflib.get_close_matches(column, numeric, n=1)
            question = f"Did you mean {close[0]}? " if close else ""
            allowed = ", ".join(numeric) or "none"
            raise InputError(f"{column}: no such column of accuracies. {question}Allowed: {allowed}.")
    if not numeric:
        raise InputError("the table of accuracies has no numeric column beside arch.")
    return list(dict.fromkeys(columns)) or numeric


def _pair(joined: pd.DataFrame, proxy: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    x = joined[proxy].to_numpy("float64")
    y = joined[target].to_numpy("float64")
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


def _measure(
    proxy: str, target: str, x: np.ndarray, y: np.ndarray, top: float, num: int, seed: int
) -> dict[str, str | float | int]:
    k = max(1, round(top * x.size))
    row: dict[str, str | float | int] = {"proxy": proxy, "target": target, "count": int(x.size)}
    if x.size < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        unknown = dict.fromkeys(("spearman", "low", "high", "kendall", "precision"), np.nan)
        return row | unknown | {"k": k, "regret": np.nan}
    low, high = metrics.bootstrap(metrics.spearman, x, y, num=num, seed=seed) if num else (np.nan, np.nan)
    return row | {
        "spearman": float(metrics.spearman(x, y)),
        "low": float(low),
        "high": float(high),
        "kendall": float(metrics.kendall(x, y)),
        "precision": float(metrics.precision_at_k(x, y, k)),
        "k": k,
        "regret": float(metrics.regret(x, y, k=1)),
    }
