"""What launch.train prints and writes."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console

from nasjax import records, report
from nasjax.cli import common, report_parts
from nasjax.report import charts
from nasjax.search.figures import graph_figure
from nasjax.training import TrainResult
from nasjax.training.figure import curves_figure
from nasjax.training.objectives import KINDS

JSON, REPORT = "result.json", "report.html"
_LISTED = 30  # rows of the table of a report
_UNITS = {"waited": "waited for images, s", "seconds": "time, s"}
_SHARES = ("accuracy", "top5", "miou")
_NAMES = {"accuracy": "accuracy", "top5": "top-5 accuracy", "miou": "mean IoU", "ssim": "SSIM", "loss": "loss"}


def line(row: Mapping[str, Any], epochs: int, kind: str) -> str:
    """An epoch in one line.

    Args:
      row: of the history.
      epochs: of the training.
      kind: of the targets.

    Returns:
      such as "epoch 3/12: training loss 1.2, evaluation accuracy 45.10 %, 12 s".
    """
    parts = [f"training loss {row['train_loss']:.4g}"]
    chosen = KINDS[kind].chosen
    if f"valid_{chosen}" in row:
        parts.append(f"evaluation {_NAMES[chosen]} {number(chosen, row[f'valid_{chosen}'])}")
    return f"epoch {row['epoch']}/{epochs}: {', '.join(parts)}, {common.duration(row['seconds'])}"


def number(name: str, value: float) -> str:
    """A measure for people; shares in percent."""
    return f"{100 * value:.2f} %" if name in _SHARES else f"{value:.4g}"


def show(console: Console, found: TrainResult, kind: str) -> None:
    """Prints the result.

    Args:
      console: where to.
      found: result of the training.
      kind: of the targets.
    """
    lines = {"Architecture": found.encoding, "Parameters": f"{int(found.space.num_params(found.arch)):,}"}
    lines |= {name: text for name, text in _measures(found, kind).items()}
    wide = max(len(name) for name in lines) + 2
    for name, value in lines.items():
        console.print(f"{name:<{wide}}{value}", markup=False, soft_wrap=True)


def write(
    workdir: pathlib.Path, found: TrainResult, kind: str, facts: Mapping[str, str], *,
    repeat: report.Repeat | None = None,
) -> pathlib.Path:  # fmt: skip
    """Writes result.json, and report.html with its figure; history.csv is there already.

    Args:
      workdir: where to.
      found: result of the training, with at least one epoch.
      kind: of the targets.
      facts: short name -> value, shown at the top of the report.
      repeat: what was run, for the report.

    Returns:
      the report.

    Raises:
      InputError: a file cannot be written.
    """
    file = workdir / REPORT
    with records.replaced(workdir / JSON) as stream:
        stream.write(json.dumps(summary(found), indent=2, allow_nan=False) + "\n")
    measures = _measures(found, kind)
    shown = {
        **facts,
        "Parameters": f"{int(found.space.num_params(found.arch)):,}",
        "Epochs": str(len(found.history)),
        "Time": common.duration(sum(row["seconds"] for row in found.history)),
        **measures,
    }
    text = f"{report_parts.brief(found.encoding)} was trained for {len(found.history)} epochs."
    if found.stopped:
        text += f" Then it stopped: {found.stopped}"
    sections = [report.Section("Learning curves", [*_curves(found, kind), _table(found)])]
    networks = None
    if hasattr(found.space, "to_graph"):  # a space of one's own may have none
        graph = report.Picture("network", "The network that was trained", "The network that was trained.",
                               lambda theme: graph_figure(found.space.to_graph(found.arch), theme=theme),
                               arch=found.encoding)  # fmt: skip
        sections.append(report.Section("The network", [graph]))
        networks = report.drawings(found.space, [found.encoding])
    report.write_report(file, title=f"Training in {found.space.name}", summary=text, facts=shown, sections=sections,
                        networks=networks, repeat=repeat)  # fmt: skip
    return file


def _curves(found: TrainResult, kind: str) -> list[report.Chart]:
    """Loss, and the measure that says which epoch is best, in training and evaluation."""
    drawn = []
    for name in dict.fromkeys(["loss", KINDS[kind].chosen]):
        scale = 100.0 if name in _SHARES else 1.0
        parts = {"training, augmented": f"train_{name}", "evaluation": f"valid_{name}"}
        series = {label: np.array([scale * row.get(column, np.nan) for row in found.history], float)
                  for label, column in parts.items()}  # fmt: skip
        series = {label: values for label, values in series.items() if np.isfinite(values).any()}
        best = found.best_epoch
        known = best and "evaluation" in series and np.isfinite(series["evaluation"][best - 1])
        drawn.append(charts.curves(
            "curves" if name == "loss" else f"curves_{name}", [row["epoch"] for row in found.history], series,
            labels=("epoch", f"{_NAMES[name]}, %" if name in _SHARES else _NAMES[name]), whole=True, height=340,
            marks=[(best, float(series["evaluation"][best - 1]), "best epoch")] if known else [],
            alt=f"{_NAMES[name]} of each epoch",
            caption=f"{_NAMES[name][0].upper()}{_NAMES[name][1:]} of every epoch in training, on augmented images, and"
            " in the evaluation."
            + " The ring is the best epoch." * bool(known),
            draw=functools.partial(_drawn, found, kind),
        ))  # fmt: skip
    return drawn


def _drawn(found: TrainResult, kind: str, theme: Any) -> Any:
    return curves_figure(found.history, kind, best_epoch=found.best_epoch, theme=theme)


def summary(found: TrainResult) -> dict[str, Any]:
    """The result as JSON holds it."""
    return {
        "arch": found.encoding,
        "space": found.space.name,
        "space_options": dict(found.space.options),
        "params": int(found.space.num_params(found.arch)),
        "flops": int(found.space.flops(found.arch)),
        "options": found.config.describe(),
        "epochs": len(found.history),
        "best_epoch": found.best_epoch,
        "best": found.history[found.best_epoch - 1] if found.best_epoch else None,
        "last": found.history[-1],
        "stopped": found.stopped,
    }


def _measures(found: TrainResult, kind: str) -> dict[str, str]:
    """What came out, in words."""
    last, chosen = found.history[-1], KINDS[kind].chosen
    shown = {"Training loss": f"{last['train_loss']:.4g}"}
    for name in KINDS[kind].measures:
        if f"valid_{name}" in last:
            shown[f"Evaluation {_NAMES[name]}"] = number(name, last[f"valid_{name}"])
    best = found.history[found.best_epoch - 1] if found.best_epoch else {}
    if f"valid_{chosen}" in best and found.best_epoch != len(found.history):
        shown["Best epoch"] = f"{found.best_epoch}, {_NAMES[chosen]} {number(chosen, best[f'valid_{chosen}'])}"
    return shown


def _table(found: TrainResult) -> report.Table:
    rows = found.history[-_LISTED:]
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(name, row.get(name)) for name in names] for row in rows]
    caption = "Epochs" if len(rows) == len(found.history) else f"The last {len(rows)} epochs; history.csv has all"
    return report.Table([_UNITS.get(name, name.replace("_", " ")) for name in names], cells, caption, text_columns=0)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    measure = name.partition("_")[2]
    return str(value) if isinstance(value, int) else number(measure, value)
