"""The table of a benchmark: one CSV file of all rows, and what is known about it beside it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.metadata
import io
import json
import math
import os
import pathlib
import platform
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nasjax.benchmark.store import Row
from nasjax.types import InputError

SCHEMA = "nasjax-benchmark-1"
TABLE = "benchmark.csv.gz"
ABOUT = "benchmark.json"
COLUMNS: Mapping[str, str] = {
    "space": "name of the search space",
    "arch": "official encoding of the architecture",
    "signature": "what fixes tensor shapes in the space; architectures of one signature share a program",
    "task": "name of the task",
    "seed": "of the training: initial weights, order of the images, augmentation",
    "epoch": "counted from 1; an epoch a row",
    "epochs": "length of the whole training; the learning rate's schedule depends on it",
    "train_loss": "mean training loss over the steps of the epoch",
    "valid_loss": "mean loss over the held-out validation images after the epoch",
    "valid_accuracy": "percent of the validation images that are classified correctly after the epoch",
    "test_accuracy": "percent of the test images, after the last epoch alone; empty before",
    "params": "trainable parameters of the network of this task",
    "flops": "multiply-adds of convolutions and linear layers for one image of this task",
    "seconds": "wall time of the epoch's training and evaluation, compilation excluded; a block's, shared equally",
    "device": "kind of the device",
    "valid": "whether loss and accuracies are numbers",
    "reason": "why they are not",
}
NOT_RESULTS = ("seconds", "device")  # they differ between two runs of the same benchmark
_PACKAGES = ("nasjax", "jax", "jaxlib", "flax", "optax", "numpy")


class Facts(NamedTuple):
    """What the table tells of an architecture on a task beside its training.

    Attributes:
      signature: see the column.
      params: trainable parameters.
      flops: multiply-adds for one image.
    """

    signature: str
    params: int
    flops: int


def packages() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout
            found[name] = "not installed"
    return found


def write_table(
    directory: str | os.PathLike[str],
    rows: Iterable[Row],
    facts: Mapping[tuple[str, str], Facts],
    *,
    space: str,
    epochs: int,
    archs: Sequence[str],
    about: Mapping[str, Any],
) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes ``benchmark.csv.gz`` and ``benchmark.json``.

    Args:
      directory: where to.
      rows: finished epochs; those of other architectures are left out.
      facts: (task, architecture) -> facts.
      space: name of the search space.
      epochs: length of a training.
      archs: order of the architectures.
      about: configuration, data and runs, for the record; what JSON can hold.

    Returns:
      The two files. The second holds the SHA-256 of the first ("sha256"), and that of its results alone, without
      times and devices ("results_sha256"), which a second run of the same benchmark repeats.

    Raises:
      InputError: a file cannot be written.
    """
    place = {arch: i for i, arch in enumerate(archs)}
    tasks = {task: i for i, task in enumerate(dict.fromkeys(task for task, _ in facts))}
    kept = [row for row in rows if row.arch in place and row.task in tasks]
    kept.sort(key=lambda row: (tasks[row.task], row.seed, place[row.arch], row.epoch))
    full, results = io.StringIO(newline=""), io.StringIO(newline="")
    writers = [csv.writer(file, lineterminator="\n") for file in (full, results)]
    shown = [name for name in COLUMNS if name not in NOT_RESULTS]
    writers[0].writerow(COLUMNS)
    writers[1].writerow(shown)
    for row in kept:
        values = row._asdict() | facts[row.task, row.arch]._asdict() | {"space": space, "epochs": epochs}
        texts = {name: _text(values[name]) for name in COLUMNS}
        writers[0].writerow(texts.values())
        writers[1].writerow([texts[name] for name in shown])
    content = gzip.compress(full.getvalue().encode(), mtime=0)
    path = pathlib.Path(directory) / TABLE
    described = {
        "schema": SCHEMA,
        "columns": dict(COLUMNS),
        "rows": len(kept),
        "sha256": hashlib.sha256(content).hexdigest(),
        "results_sha256": hashlib.sha256(results.getvalue().encode()).hexdigest(),
        "space": space,
        "epochs": epochs,
        "architectures": len(place),
        **about,
    }
    replace(path, content)
    replace(path.with_name(ABOUT), (json.dumps(described, indent=2, sort_keys=True) + "\n").encode())
    return path, path.with_name(ABOUT)


def replace(path: pathlib.Path, content: bytes) -> None:
    """Writes a file that takes the place of the old one only when it is complete.

    Args:
      path: the file.
      content: what it holds.

    Raises:
      InputError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"Cannot write {path}: {error.strerror}. Make room, or check the permissions.") from None


def _text(value: Any) -> str:
    """A cell; numbers so that reading them gives the same float64, NaN as an empty one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)
