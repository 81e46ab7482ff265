"""Golden file of LIBRA: selections, entropies and correlations of published tables, compared with this library's."""

from __future__ import annotations

import json
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasjax import metrics
from nasjax.data import proxy_tables
from nasjax.search import combine
from nasjax.testing.golden import number
from nasjax.types import InputError

TOLERANCE = 1e-6
_KEYS = ("arch_index", "arch")


class Problem(NamedTuple):
    """A published table with a target.

    Attributes:
      scores: proxies, a row an architecture, in the order of the published file.
      accuracies: float64 [rows].
      ids: what names each architecture.
    """

    scores: pd.DataFrame
    accuracies: np.ndarray
    ids: list[Any]


def is_golden(path: str | pathlib.Path) -> bool:
    """Whether a file is one of these, and not one of a search space."""
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and isinstance(content.get("problems"), list)


def check(path: str | pathlib.Path, *, data: str | pathlib.Path | None = None) -> tuple[list[str], bool]:
    """Compares a golden file.

    Args:
      path: the file.
      data: folder of the published tables; by default ``../data`` from the file's folder.

    Returns:
      report lines, and whether everything agrees: names exactly, numbers to 1e-6.

    Raises:
      InputError: the file is not of the form, or a table that it needs is not there.
    """
    path = pathlib.Path(path)
    folder = path.resolve().parent.parent / "data" if data is None else pathlib.Path(data)
    lines, good = [f"{path.name}: LIBRA in float64"], True
    for golden in json.loads(path.read_text(encoding="utf-8"))["problems"]:
        try:
            name, runs = golden["problem"], list(golden["runs"])
            if "full_table" in golden:
                runs.append(golden["full_table"])
            problem = _problem(name, golden["target"], folder)
            found = [pair for run in runs for pair in _run(problem, golden, run)]
        except InputError:
            raise
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{path}: not a golden file of LIBRA ({type(error).__name__}: {error}).") from None
        lines.append(f"  {name}: {len(runs)} samples")
        for quantity in dict.fromkeys(q for q, _ in found):
            errors = [error for q, error in found if q == quantity]
            worst, bad = max(errors), sum(not error <= TOLERANCE for error in errors)
            verdict = f"OUTSIDE ({bad} of {len(errors)})" if bad else "ok"
            lines.append(f"    {quantity:24} {worst:9.2e}  tolerance {TOLERANCE:7.1e}  {verdict}")
            good = good and not bad
    return lines, good


def _problem(name: str, target: str, folder: pathlib.Path) -> Problem:
    """The table of a problem such as "nb201:cifar10:cifar10_valid"."""
    benchmark, _, rest = name.partition(":")
    task = rest.partition(":")[0]
    published = folder / f"nasbench201_proxies_{task}.csv.gz"
    if benchmark == "nb201" and published.is_file() and (folder / "nasbench201.csv.gz").is_file():
        scores = pd.read_csv(published)
        truth = pd.read_csv(folder / "nasbench201.csv.gz").set_index("arch_index")
        if target not in truth or not scores["arch_index"].isin(truth.index).all():
            raise InputError(f"{folder}: nasbench201.csv.gz lacks {target}, or cells of {published.name}.")
        accuracies = truth[target].loc[scores["arch_index"]].to_numpy("float64")
        return Problem(scores.drop(columns="arch_index"), accuracies, scores["arch_index"].tolist())
    shipped = f"nasbench201_{task}" if benchmark == "nb201" else f"{benchmark}_{task}"
    if shipped not in proxy_tables.names():
        raise InputError(f"{name}: no table for it; give the folder of {published.name} by --data.")
    table = proxy_tables.load(shipped, published=True)
    if target not in table.accuracies:
        raise InputError(f"{name}: the built-in table {shipped} has no {target}; give the table's folder by --data.")
    ids = table.table["arch"].tolist()
    return Problem(table.table[list(table.proxies)], table.table[target].to_numpy("float64"), ids)


def _run(problem: Problem, golden: dict[str, Any], run: dict[str, Any]) -> list[tuple[str, float]]:
    """Pairs of quantity and error of one sample, or of the whole table."""
    total = len(problem.scores)
    if total != golden["n_file_rows"]:
        raise InputError(f"{golden['problem']}: {golden['n_file_rows']} rows expected, the table has {total}; give the "
                         "folder of the table that the numbers were made with by --data.")  # fmt: skip
    found: list[tuple[str, float]] = []
    rows = np.arange(total)
    if "seed" in run:
        rows = np.random.default_rng(run["seed"]).choice(total, golden["sample"], replace=False)
        found.append(("rows", _same(rows.tolist(), run["rows"])))
        if isinstance(problem.ids[0], int):
            found.append(("ids", _same([problem.ids[row] for row in rows], run["ids"])))
    scores = {str(name): values.to_numpy("float64")[rows] for name, values in problem.scores.items()}
    y = problem.accuracies[rows]
    choice = combine.libra(scores, y, scores["params"], invalid="suite")
    names = dict(zip(combine.ROLES, choice.proxies, strict=False))
    found += [(role, _same(names.get(role), run[role])) for role in combine.ROLES]
    found += [
        ("selected", _same(list(choice.proxies), run["selected"])),
        ("candidates", _same(sorted(choice.candidates), sorted(run["candidates"]))),
        ("n_bins", _same(choice.bins, run["n_bins"])),
        ("spearman", _apart(choice.spearman, run["spearman"])),
        ("H_y", _apart(choice.entropy, run["H_y"])),
        ("H_y_given_z1", _apart(choice.conditional, run["H_y_given_z1"])),
        ("ig_all", _apart(choice.gains, run["ig_all"])),
        ("ig_candidates", _apart({h: choice.gains[h] for h in choice.candidates}, run["ig_candidates"])),
        ("bias", _apart(choice.biases, run["bias"])),
        ("bias_val", _apart(choice.accuracy_bias, run["bias_val"])),
        ("spearman_ranksum", _apart(choice.rho, run["spearman_ranksum"])),
    ]
    others = {
        "spearman_ranksum_z1z2": ("ranksum", choice.proxies[:2]),
        "spearman_ranksum_all13": ("ranksum", tuple(scores)),
        "spearman_logrank": ("logrank", choice.proxies),
    }
    for quantity, (kind, members) in others.items():
        if quantity in run:
            merged = combine.aggregate({name: scores[name] for name in members}, kind=kind)
            found.append((quantity, _apart(metrics.spearman(merged, y), run[quantity])))
    return found


def _same(value: Any, expected: Any) -> float:
    return 0.0 if value == expected else np.inf


def _apart(value: Any, expected: Any) -> float:
    """The largest difference; infinite where names differ or a number is NaN."""
    if isinstance(expected, dict):
        if set(value) != set(expected):
            return np.inf
        return max((_apart(value[name], expected[name]) for name in expected), default=0.0)
    difference = abs(value - number(expected))
    return float(difference) if np.isfinite(difference) else np.inf
