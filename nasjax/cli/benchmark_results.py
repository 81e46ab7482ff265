"""What launch.benchmark prints and writes beside its table."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table as RichTable

from nasjax import benchmark, records, report
from nasjax.benchmark import reader
from nasjax.benchmark.early_stop import OFFLINE
from nasjax.benchmark.figures import curves_figure, stability_figure
from nasjax.cli import common, report_parts
from nasjax.figures import number
from nasjax.report import charts

MOST_CURVES = 150  # of one chart
_LEAST = 3  # architectures that have ranks to compare


def facts(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What is known of each task.

    Args:
      table: of `nasjax.benchmark.read_table`.

    Returns:
      task -> architectures, how many trainings ended, how many are not valid, best validation accuracy, the epochs of
      the two rules for an early stop, Spearman's correlation with the last epoch by epoch, and agreement of seeds.
    """
    found = {}
    for task in reader.tasks(table):
        rows = table[table["task"] == task]
        archs, values = benchmark.curves(table, task)
        whole = np.isfinite(values).all(axis=1).sum() >= _LEAST
        last = values[:, -1]
        stability = benchmark.rank_stability(values) if whole else None
        found[task] = {
            "architectures": len(archs),
            "trainings": len(rows.drop_duplicates(["arch", "seed"])),
            "finished": int((rows["epoch"] == rows["epochs"]).sum()),
            "not valid": len(rows[~rows["valid"]].drop_duplicates(["arch", "seed"])),
            "best": None if np.isnan(last).all() else float(np.nanmax(last)),
            "median": None if np.isnan(last).all() else float(np.nanmedian(last)),
            "offline epoch": benchmark.offline_epoch(values) if whole else None,
            "online epoch": benchmark.online_epoch(values) if whole else None,
            "spearman with the last epoch": [] if stability is None else [_plain(v) for v in stability["spearman"]],
            "kendall with the last epoch": [] if stability is None else [_plain(v) for v in stability["kendall"]],
            "seeds": {k: _plain(v) for k, v in benchmark.seed_agreement(table, task).items()},
            "seconds": float(rows["seconds"].sum()),
        }
    return found


def show(console: Console, path: pathlib.Path, *, top: int) -> None:
    """Prints what was found on each task, and the best architectures.

    Args:
      console: where to.
      path: the table.
      top: how many architectures.
    """
    table = benchmark.read_table(path)
    shown = RichTable(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for head in ("task", "trainings", "best, %", "median, %", "ranks settle at", "seeds agree"):
        shown.add_column(head, justify="left" if head == "task" else "right", no_wrap=True)
    for task, found in facts(table).items():
        settle = "–" if found["offline epoch"] is None else f"epoch {found['offline epoch']}"
        shown.add_row(
            task, f"{found['trainings']:,}", _percent(found["best"]), _percent(found["median"]), settle,
            number(_number(found["seeds"]["spearman"])),
        )  # fmt: skip
    console.print(shown)
    bad = table[~table["valid"]].drop_duplicates(["task", "arch", "seed"])
    if len(bad):
        console.print(f"\n{len(bad):,} trainings are not valid, such as that of {bad['arch'].iloc[0]}: "
                      f"{bad['reason'].iloc[0]}.", markup=False, soft_wrap=True)  # fmt: skip
    wide = benchmark.wide(table)
    columns = [f"{task}_valid" for task in reader.tasks(table)]
    order = wide[columns].mean(axis=1).sort_values(ascending=False, na_position="last", kind="stable").index[:top]
    if top and len(order):
        best = RichTable(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
        for column in columns:
            best.add_column(column, justify="right", no_wrap=True)
        best.add_column("architecture", overflow="fold")
        for i in order:
            best.add_row(*(_percent(wide[column][i]) for column in columns), wide["arch"][i])
        console.print()
        console.print(best, markup=False)


def write(
    workdir: pathlib.Path, path: pathlib.Path, *, repeat: report.Repeat | None = None
) -> list[pathlib.Path]:
    """Writes report.html with its figures, and result.json.

    Args:
      workdir: where to.
      path: the table.
      repeat: what was run, for the report.

    Returns:
      The files; the report first.

    Raises:
      InputError: a file cannot be written.
    """
    table, about = benchmark.read_table(path), reader.about(path)
    found = facts(table)
    files = [workdir / "report.html", workdir / "result.json"]
    result = {"tasks": found, "table": path.name, "sha256": about["sha256"], "results_sha256": about["results_sha256"]}
    with records.replaced(files[1]) as stream:
        stream.write(json.dumps(result, indent=2) + "\n")
    drawn = {task: benchmark.curves(table, task)[1] for task in found}
    settled = {task: values for task, values in drawn.items() if found[task]["spearman with the last epoch"]}
    sections = [report.Section("Tasks", [_task_table(found)]), *_ranking(table)]
    if settled:
        sections.append(report.Section("When the ranking is settled", [
            "Spearman's correlation between the ranking after an epoch and after the last one. Rings: the first epoch"
            f" with {number(OFFLINE)} or more, the dotted line (the offline rule), and where the ranking has changed"
            " little twice running (the online rule, which knows nothing of later epochs).",
            _stability(settled),
        ]))  # fmt: skip
    for task, values in drawn.items():
        sections.append(report.Section(f"Learning curves of {task}", [_curves(table, task, values)]))
    packages = about["runs"][-1].get("packages", {}) if about.get("runs") else {}
    hashes = {"SHA-256 of the table": about["sha256"], "SHA-256 of the results": about["results_sha256"]}
    if repeat is not None:
        repeat = repeat._replace(facts={**{f"{k} of the trainings": str(v) for k, v in packages.items()
                                           if repeat.facts.get(k, v) != str(v)}, **repeat.facts, **hashes})  # fmt: skip
    report.write_report(
        files[0], title="Benchmark", sections=sections,
        summary=_summary(about, found),
        facts={
            "Space": about["space"], "Architectures": f"{about['architectures']:,}", "Epochs": str(about["epochs"]),
            "Tasks": ", ".join(found), "Table": path.name, "Rows": f"{about['rows']:,}",
            "Training time": common.duration(sum(f["seconds"] for f in found.values())),
            **({} if repeat is not None else hashes),
        },
        networks=report_parts.drawings(_space(about), list(_ordered(table)["arch"])), repeat=repeat,
    )  # fmt: skip
    return files


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """A row an architecture, best first by the mean accuracy after the last epoch."""
    wide = benchmark.wide(table)
    means = wide[[f"{task}_valid" for task in reader.tasks(table)]].mean(axis=1)
    order = means.sort_values(ascending=False, na_position="last", kind="stable").index
    return wide.loc[order].reset_index(drop=True)


def _ranking(table: pd.DataFrame) -> list[report.Section]:
    """All architectures as a table and as points; and how the tasks agree."""
    wide, names = _ordered(table), reader.tasks(table)
    labels = {"params": "parameters", "flops": "multiply-adds"}
    labels |= {f"{task}_{part}": f"{task} {word} accuracy, %" for task in names
               for part, word in (("valid", "validation"), ("test", "test"))}  # fmt: skip
    columns = {label: wide[name].to_numpy(float) for name, label in labels.items() if name in wide}
    columns = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    y = labels[f"{names[0]}_valid"]
    if not len(wide) or y not in columns:
        return []
    archs = list(wide["arch"])
    body: list[str | report.Table | report.Chart] = [
        "Accuracies after the last epoch, in percent, mean over the seeds. A click on a heading sorts; an architecture"
        " is drawn under the pointer.",
        report_parts.ranked(archs, columns, range(len(archs))),
    ]
    if "parameters" in columns:
        body.append(report_parts.scatter("accuracies", archs, columns, x="parameters", y=y,
                                         best=report_parts.best(columns[y]),
                                         caption=f"The best tenth by {y.removesuffix(', %')} in orange."))  # fmt: skip
    matrix = report_parts.agreement({label.removesuffix(" accuracy, %"): v for label, v in columns.items()})
    return [report.Section("Architectures", body if matrix is None else [*body, matrix])]


def _space(about: dict[str, Any]) -> Any:
    options = about.get("benchmark", {}).get("space options", {})
    return report_parts.made(about["space"], next(iter(options.values()), {}))


def _summary(about: dict[str, Any], found: dict[str, dict[str, Any]]) -> str:
    text = f"{about['architectures']:,} architectures of {about['space']}, trained for {about['epochs']} epochs."
    best = [f"{_percent(f['best'])} % on {task}" for task, f in found.items() if f["best"] is not None]
    return f"{text} Best validation accuracy: {', '.join(best)}." if best else text


def _stability(settled: dict[str, np.ndarray]) -> report.Chart:
    series, marks = {}, []
    for task, values in settled.items():
        series[task] = np.asarray(benchmark.rank_stability(values)["spearman"], float)
        rules = {"offline": benchmark.offline_epoch(values), "online": benchmark.online_epoch(values)}
        marks += [(stop, float(series[task][stop - 1]), f"{task}, {rule} rule")
                  for rule, stop in rules.items() if stop is not None]  # fmt: skip
    longest = max(len(values) for values in series.values())
    padded = {task: np.pad(v, (0, longest - len(v)), constant_values=np.nan) for task, v in series.items()}
    return charts.curves(
        "rank_stability", np.arange(1, longest + 1), padded, whole=True, level=OFFLINE, marks=marks,
        labels=("epoch", "Spearman correlation with the last epoch"),
        alt="Rank correlation of each epoch with the last one",
        draw=lambda theme: stability_figure(settled, theme=theme),
        caption="Validation accuracy, mean over the seeds of an architecture. Pointing at a ring tells its rule.",
    )  # fmt: skip


def _curves(table: pd.DataFrame, task: str, values: np.ndarray) -> report.Chart:
    """Validation accuracy over the epochs, a line an architecture: the last ones of those that are drawn the best."""
    archs = benchmark.curves(table, task)[0]
    order = np.argsort(np.where(np.isfinite(values[:, -1]), values[:, -1], -np.inf), kind="stable")[-MOST_CURVES:]
    text = "An architecture a line, named under the pointer; the best one after the last epoch in orange."
    if len(order) < len(values):
        text += f" The best {len(order)} of {len(values):,} are shown."
    return charts.curves(
        f"curves_{task}", np.arange(1, values.shape[1] + 1), {archs[i]: values[i] for i in order},
        labels=("epoch", f"{task}: validation accuracy, %"), faint=len(order) - 1, whole=True, caption=text,
        alt=f"Validation accuracy on {task} over the epochs, an architecture a line",
        draw=lambda theme: curves_figure(values, task=task, theme=theme),
    )  # fmt: skip


def _task_table(found: dict[str, dict[str, Any]]) -> report.Table:
    heads = ("Task", "Architectures", "Trainings", "Not valid", "Best, %", "Median, %", "Offline rule", "Online rule",
             "Seeds: Spearman", "Kendall")  # fmt: skip
    rows = [
        [
            task, f"{f['architectures']:,}", f"{f['trainings']:,}", f"{f['not valid']:,}", _percent(f["best"]),
            _percent(f["median"]), _epoch(f["offline epoch"]), _epoch(f["online epoch"]),
            number(_number(f["seeds"]["spearman"])), number(_number(f["seeds"]["kendall"])),
        ]
        for task, f in found.items()
    ]  # fmt: skip
    return report.Table(heads, rows)


def _epoch(value: int | None) -> str:
    return "–" if value is None else str(value)


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def _plain(value: float) -> float | int | None:
    """A number that JSON can hold."""
    if isinstance(value, int):
        return value
    return None if math.isnan(value) else float(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
