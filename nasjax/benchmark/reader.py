"""Reads the table of a benchmark: rows, curves, and one row an architecture."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import pathlib
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from nasjax import metrics
from nasjax.benchmark.table import ABOUT, COLUMNS, TABLE
from nasjax.data import checks
from nasjax.types import InputError

# pandas takes long to import: only where a table is read.
if TYPE_CHECKING:
    import pandas as pd

_KEYS = ("arch", "task", "seed", "epoch", "epochs", "valid_accuracy")


def is_benchmark(frame: pd.DataFrame) -> bool:
    """Whether a table has the columns of a benchmark's rows."""
    return all(name in frame.columns for name in _KEYS)


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads the rows of a benchmark, and checks them against the checksum beside them.

    Args:
      path: ``benchmark.csv.gz``, or the directory that holds it (also below ``$NASJAX_DATA``). The checksum is that of
        ``benchmark.json`` in the same directory; a table without that file is taken as it is.

    Returns:
      The rows, with the columns of ``nasjax.benchmark.table.COLUMNS``.

    Raises:
      InputError: no such table, another one, or one that was changed or cut short.
    """
    import pandas as pd

    file = checks.existing_path(path)
    if file.is_dir():
        file = checks.existing_path(file / TABLE)
    about = file.with_name(ABOUT)
    try:
        if about.is_file() and file.name == TABLE:
            expected = json.loads(about.read_text(encoding="utf-8"))["sha256"]
            found = hashlib.sha256(file.read_bytes()).hexdigest()
            if found != expected:
                raise InputError(
                    f"{file} is not the table that {about.name} describes (SHA-256 {found[:16]}..., there "
                    f"{expected[:16]}...); do: run launch.benchmark again, which writes both, or copy both files anew"
                )
        frame = pd.read_csv(file, dtype={"arch": "str", "signature": "str", "task": "str", "reason": "str"})
    except InputError:
        raise
    except (ValueError, OSError, EOFError, KeyError, TypeError, zlib.error) as error:
        raise InputError(f"{file} cannot be read as the table of a benchmark ({error}); do: copy it anew") from error
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise InputError(
            f"{file} lacks the columns {', '.join(missing)}; allowed: a table of launch.benchmark; do: name its {TABLE}"
        )
    return frame.fillna({"reason": ""})


def curves(table: pd.DataFrame, task: str, *, seed: int | None = None) -> tuple[list[str], np.ndarray]:
    """Validation accuracy after every epoch.

    Args:
      table: of ``read_table``.
      task: one of its tasks.
      seed: one seed; None for the mean over those of each architecture.

    Returns:
      Encodings, and float64 [n, E] in percent; NaN after an epoch that is missing or not valid for one of the seeds.

    Raises:
      InputError: no such task.
    """
    rows = _of_task(table, task)
    rows = rows if seed is None else rows[rows["seed"] == seed]
    archs = list(dict.fromkeys(rows["arch"]))
    epochs = int(rows["epochs"].max()) if len(rows) else 0
    seeds = rows.groupby("arch")["seed"].nunique()
    kept = rows[rows["valid"] & np.isfinite(rows["valid_accuracy"])]
    grouped = kept.groupby(["arch", "epoch"])["valid_accuracy"].agg(["mean", "size"]).reset_index()
    grouped = grouped[grouped["size"].to_numpy() == seeds.loc[grouped["arch"]].to_numpy()]
    values = np.full((len(archs), epochs), np.nan)
    place = {arch: i for i, arch in enumerate(archs)}
    values[grouped["arch"].map(place).to_numpy(int), grouped["epoch"].to_numpy(int) - 1] = grouped["mean"]
    return archs, values


def wide(table: pd.DataFrame, *, seed: int | None = None) -> pd.DataFrame:
    """One row an architecture, as launch.correlate and launch.libra read tables of accuracies.

    Args:
      table: of ``read_table``.
      seed: one seed; None for the mean over those of each architecture.

    Returns:
      Columns arch; params and flops, those of the first task; then for each task ``TASK_valid`` (validation accuracy
      after the last epoch), ``TASK_test`` (test accuracy) and ``TASK_valid_e1``, ``TASK_valid_e2``, ... (validation
      accuracy after each epoch). NaN where a training has not come so far, or is not valid.
    """
    import pandas as pd

    first = table.drop_duplicates("arch")
    columns: dict[str, Any] = {"arch": list(first["arch"]), "params": list(first["params"])}
    columns["flops"] = list(first["flops"])
    for task in tasks(table):
        archs, values = curves(table, task, seed=seed)
        place = {arch: i for i, arch in enumerate(archs)}
        rows = [place.get(arch, -1) for arch in columns["arch"]]
        values = np.concatenate([values, np.full((1, values.shape[1]), np.nan)])[rows]
        columns[f"{task}_valid"] = values[:, -1]
        columns[f"{task}_test"] = _tests(table, task, columns["arch"], seed)
        columns |= {f"{task}_valid_e{e + 1}": values[:, e] for e in range(values.shape[1])}
    return pd.DataFrame(columns)


def tasks(table: pd.DataFrame) -> list[str]:
    """Names of the tasks of a table, in its order."""
    return list(dict.fromkeys(table["task"]))


def final_columns(table: pd.DataFrame) -> list[str]:
    """Columns of ``wide`` that hold accuracies after the last epoch."""
    return [f"{task}_{split}" for task in tasks(table) for split in ("valid", "test")]


def targets(path: str | os.PathLike[str], column: str, *, seed: int | None = None) -> tuple[list[str], np.ndarray]:
    """Architectures and their accuracies, for a predictor.

    Args:
      path: see ``read_table``.
      column: a column of ``wide``, such as ``cifar10_valid_e4``.
      seed: one seed; None for the mean over those of each architecture.

    Returns:
      Encodings, and float64 [n], finite; architectures without this accuracy are left out.

    Raises:
      InputError: no such table or column.
    """
    frame = wide(read_table(path), seed=seed)
    allowed = [name for name in frame.columns if name != "arch"]
    if column not in allowed:
        near = difflib.get_close_matches(column, allowed, n=1)
        advice = f"did you mean {near[0]}?" if near else "choose one of them"
        raise InputError(f"column {column!r} of {path} is unknown; allowed: {', '.join(allowed)}; do: {advice}")
    kept = frame[np.isfinite(frame[column])]
    return list(kept["arch"]), kept[column].to_numpy("float64")


def seed_agreement(table: pd.DataFrame, task: str) -> dict[str, float]:
    """How alike two trainings of the same architectures rank them: what no score can exceed.

    Args:
      table: of ``read_table``.
      task: one of its tasks.

    Returns:
      "count" (architectures with two seeds or more), and "spearman" and "kendall" of the final validation accuracies,
      the mean over pairs of seeds; NaN with fewer than three.

    Raises:
      InputError: no such task.
    """
    columns = {}
    for seed in sorted(_of_task(table, task)["seed"].unique()):
        archs, values = curves(table, task, seed=int(seed))
        columns[seed] = {a: v for a, v in zip(archs, values[:, -1], strict=True) if np.isfinite(v)}
    seeds = list(columns)
    found: dict[str, list[float]] = {"spearman": [], "kendall": []}
    count = 0
    for i, one in enumerate(seeds):
        for other in seeds[i + 1 :]:
            both = [arch for arch in columns[one] if arch in columns[other]]
            count = max(count, len(both))
            if len(both) >= 3:
                x, y = ([columns[seed][arch] for arch in both] for seed in (one, other))
                found["spearman"].append(metrics.spearman(x, y))
                found["kendall"].append(metrics.kendall(x, y))
    return {"count": count} | {name: float(np.mean(v)) if v else float("nan") for name, v in found.items()}


def _of_task(table: pd.DataFrame, task: str) -> pd.DataFrame:
    if task not in tasks(table):
        raise InputError(f"task {task!r} is not in the table; allowed: {', '.join(tasks(table))}; do: choose one")
    return table[table["task"] == task]


def _tests(table: pd.DataFrame, task: str, archs: list[str], seed: int | None) -> np.ndarray:
    """Test accuracy after the last epoch, float64 [n]."""
    rows = _of_task(table, task)
    rows = rows if seed is None else rows[rows["seed"] == seed]
    seeds = rows.groupby("arch")["seed"].nunique()
    done = rows[(rows["epoch"] == rows["epochs"]) & rows["valid"] & np.isfinite(rows["test_accuracy"])]
    grouped = done.groupby("arch")["test_accuracy"].agg(["mean", "size"])
    grouped = grouped[grouped["size"].to_numpy() == seeds.loc[grouped.index].to_numpy()]["mean"]
    return np.array([float(grouped.get(arch, np.nan)) for arch in archs])


def about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``benchmark.json`` says: versions, configuration, data, runs.

    Args:
      path: the table or its directory.

    Returns:
      Its content.

    Raises:
      InputError: there is none, or it is damaged.
    """
    file = checks.existing_path(path)
    file = checks.existing_path(file / ABOUT if file.is_dir() else file.with_name(ABOUT))
    try:
        found = json.loads(pathlib.Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read ({error}); do: copy it anew, or run launch.benchmark again") from None
    if not isinstance(found, dict):
        raise InputError(f"{file} is not what launch.benchmark writes; do: copy it anew, or run launch.benchmark again")
    return found
