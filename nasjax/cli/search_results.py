"""What launch.search prints and writes."""

from __future__ import annotations

import functools
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from nasjax import records, report
from nasjax.cli import common, report_parts
from nasjax.search.costs import COUNTED
from nasjax.search.figures import front_figure, graph_figure, progress_figure
from nasjax.search.result import SearchResult

CSV, JSON, REPORT = "search.csv", "result.json", "report.html"
_LISTED = 50  # rows of the tables of a report
_NAMES = {"params": "parameters", "flops": "multiply-adds"}


def show(console: Console, found: SearchResult, *, top: int) -> None:
    """Prints the network that was found, and those next to it.

    Args:
      console: where to.
      found: result of the search.
      top: rows of the ranking.
    """
    i = found.best_index
    lines = {
        "Found": found.encoding,
        "Parameters": f"{found.num_params:,}",
        "Multiply-adds": f"{found.flops:,}",
        "Score": number(found.score),
        **{name: number(values[i]) for name, values in found.columns.items() if len(found.columns) > 1},
        "Search time": common.duration(found.elapsed),
        "Pareto front": f"{len(found.front)} architectures, score against {', '.join(found.goals)}",
    }
    if found.stopped:
        lines["Stopped early"] = found.stopped
    wide = max(len(name) for name in lines) + 2
    for name, value in lines.items():
        console.print(f"{name:<{wide}}{value}", markup=False, soft_wrap=True)
    order = found.top(top)
    if len(order):
        console.print(f"\nBest {len(order)} of {len(found.scores):,}", style="bold")
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("rank", "score", "params", "architecture"):
            table.add_column(name, justify="left" if name == "architecture" else "right", overflow="fold")
        for rank, place in enumerate(order, 1):
            params = f"{int(found.costs['params'][place]):,}"
            table.add_row(str(rank), number(found.scores[place]), params, found.encodings[place])
        console.print(table)
    bad = int((~found.valid).sum())
    if bad:
        reasons = list(dict.fromkeys(r for r in found.reasons if r))
        console.print(f"Invalid, never chosen: {bad:,} of {len(found.scores):,}: {'; '.join(reasons[:3])}.",
                      markup=False, soft_wrap=True)  # fmt: skip


def write(
    workdir: pathlib.Path, found: SearchResult, facts: Mapping[str, str], *, repeat: report.Repeat | None = None
) -> list[pathlib.Path]:
    """Writes search.csv, result.json, and report.html with its figures.

    Args:
      workdir: where to.
      found: result of the search.
      facts: short name -> value, shown at the top of the report.
      repeat: what was run, for the report.

    Returns:
      the files; the report first.

    Raises:
      InputError: a file cannot be written.
    """
    files = [workdir / name for name in (REPORT, CSV, JSON)]
    with records.replaced(files[1]) as file:
        found.table().to_csv(file, index=False)
    with records.replaced(files[2]) as file:
        file.write(json.dumps(summary(found), indent=2, allow_nan=False) + "\n")
    shown = {
        **facts,
        "Architectures scored": f"{len(found.scores):,}",
        "Parameters": f"{found.num_params:,}",
        "Multiply-adds": f"{found.flops:,}",
        "Search time": common.duration(found.elapsed),
    }
    text = f"{found.algorithm} found {report_parts.brief(found.encoding)}"
    text += f" with {counted(found.num_params)} parameters and a score of {number(found.score)}."
    report.write_report(files[0], title=f"Search in {found.space.name}", summary=text, facts=shown,
                        sections=_sections(found), networks=_networks(found), repeat=repeat)  # fmt: skip
    return files


def summary(found: SearchResult) -> dict[str, Any]:
    """The result as JSON holds it; numbers that are none are null."""
    i = found.best_index
    return {
        "arch": found.encoding,
        "params": found.num_params,
        "flops": found.flops,
        "score": found.score,
        "columns": {name: _finite(values[i]) for name, values in found.columns.items()},
        "costs": {name: _finite(values[i]) for name, values in found.costs.items()},
        "algorithm": found.algorithm,
        "space": found.space.name,
        "scored": len(found.scores),
        "invalid": int((~found.valid).sum()),
        "seconds": found.elapsed,
        "stopped": found.stopped,
        "front": [
            {"arch": found.encodings[j], "score": float(found.scores[j])}
            | {name: _finite(found.costs[name][j]) for name in found.goals}
            for j in found.front
        ],
    }


def number(value: float) -> str:
    """A score for people."""
    return f"{value:,.0f}" if abs(value) >= 1e5 and abs(value) < 1e9 else f"{value:.5g}"


def counted(params: int) -> str:
    """A number of parameters in a sentence."""
    return f"{params / 1e6:.2f} million" if params >= 1e5 else f"{params:,}"


def _sections(found: SearchResult) -> list[report.Section]:
    columns = _columns(found)
    order, score = np.arange(1.0, len(found.scores) + 1), columns["score"]
    curve = found.curve()
    shown = np.isfinite(curve)
    progress = report_parts.scatter(
        "progress", found.encodings, {"architectures scored": order, **columns}, x="architectures scored", y="score",
        caption="The line is the best so far." + " Scores of several proxies are ranks within all of this run."
        * (len(found.columns) > 1),
        line=(order[shown], curve[shown]), draw=lambda theme: progress_figure(found, theme=theme),
    )  # fmt: skip
    fronts = []
    for cost in found.goals[:1]:
        members = np.zeros(len(score), bool)
        members[found.front] = True
        label = _NAMES.get(cost, cost)
        fronts.append(report_parts.scatter(
            f"front_{cost}", found.encodings, columns, x=label, y="score", best=members, ring=found.best_index,
            line=(columns[label][found.front], score[found.front]), draw=functools.partial(_front, found, cost),
            caption="The line is the Pareto front, the circle the architecture that was found.",
        ))  # fmt: skip
    matrix = report_parts.agreement(columns)
    graph = report.Picture("network", "The network that was found", "The network that was found, from input to output.",
                           lambda theme: graph_figure(found.space.to_graph(found.best), theme=theme),
                           arch=found.encoding)  # fmt: skip
    return [
        report.Section("The network", [graph]),
        report.Section("Progress", [progress]),
        report.Section("Score and cost", [*fronts, _table(found, found.front[-_LISTED:], "On the Pareto front")]),
        report.Section("The best architectures", [_table(found, found.top(_LISTED), "Best score first.")]),
        *([] if matrix is None else [report.Section("How the scores agree", [matrix])]),
    ]


def _columns(found: SearchResult) -> dict[str, np.ndarray]:
    """What a chart of the search may show, NaN where invalid."""
    score = np.where(found.valid, found.scores, np.nan)
    several = {name: np.where(found.valid, v, np.nan) for name, v in found.columns.items()
               if len(found.columns) > 1 and name not in ("score", *found.costs)}  # fmt: skip
    costs = {_NAMES.get(name, name): np.asarray(v, float) for name, v in found.costs.items()}
    return {"score": score, **costs, **several}


def _networks(found: SearchResult) -> report.Drawings:
    """The front first, then the others by score."""
    order = [*found.front, *found.top(len(found.scores))]
    return report.drawings(found.space, [found.encodings[i] for i in order])


def _front(found: SearchResult, cost: str, theme: Any) -> Any:
    return front_figure(found, cost, theme=theme)


def _table(found: SearchResult, rows: Any, caption: str) -> report.Table:
    measured = [name for name in found.costs if name not in COUNTED]
    rows = np.asarray(rows, int)
    scores = report_parts.cells(found.scores[rows], digits=5)
    cells = [
        [
            report.Code(found.encodings[i]),
            score,
            f"{int(found.costs['params'][i]):,}",
            f"{int(found.costs['flops'][i]):,}",
            *(number(found.costs[name][i]) for name in measured),
            str(int(found.generation[i])),
        ]
        for i, score in zip(rows, scores, strict=True)
    ]
    names = ["architecture", "score", "parameters", "multiply-adds", *measured, "generation"]
    return report.Table(names, cells, caption)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
