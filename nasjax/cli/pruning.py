"""launch.search --algorithm=pruning: what it takes, prints and writes."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.console import Console

from nasjax import records, report, search
from nasjax.cli import common, report_parts
from nasjax.cli.search_results import CSV, JSON, REPORT, counted, number
from nasjax.figure_style import PALETTES, PHONE, Theme, sheet, style
from nasjax.search.figures import graph_figure
from nasjax.search.proxy_objective import ProxyObjective
from nasjax.types import InputError

# Flags that mean nothing to a search of one supernet.
_UNUSED = ("budget", "table", "predictor", "weights", "min_params", "max_params", "min_flops", "max_flops", "latency",
           "max_latency")  # fmt: skip


class Pruned(NamedTuple):
    """What a pruning search found.

    Attributes:
      result: of the search.
      scores: name -> score of the network that was found, by itself; NaN where invalid.
    """

    result: search.PruneResult
    scores: dict[str, float]


def check(config: Any, options: Mapping[str, Any]) -> None:
    """Refuses options that pruning does not have.

    Args:
      config: the options of the command.
      options: those of the algorithm.

    Raises:
      InputError: an unknown option, a value that is not allowed, or a flag that pruning cannot honour.
    """
    for name in _UNUSED:
        if getattr(config, name) not in (None, ""):
            raise InputError(f"--{name} is not for --algorithm=pruning, which cuts one supernet down to one"
                             " architecture. Leave it out, or use another algorithm.")
    known = [field.name for field in dataclasses.fields(search.PruneConfig)]
    for name in options:
        if name not in known:
            raise InputError(f"--algorithm_options: pruning has no {name}. {common.nearest(name, known)}")
    search.PruneConfig(**options)


def prune(
    config: Any,
    space: Any,
    objective: ProxyObjective,
    batches: Any,
    key: jax.Array,
    options: Mapping[str, Any],
    states: pathlib.Path,
    progress: Any,
) -> Pruned:
    """Searches.

    Args:
      config: the options of the command.
      space: search space.
      objective: proxies that the network found is scored by, with the store of the run.
      batches: images.
      key: typed key.
      options: of the algorithm.
      states: directory of the saved states.
      progress: called as progress(done, total) of supernets.

    Returns:
      what was found.

    Raises:
      InputError: the space has no supernet, or a proxy is not defined on it.
    """
    run: dict[str, Any] = dict(objective.run)
    criterion: Any = config.proxies
    if config.selection:
        criterion = search.Selection.load(config.selection)
    else:
        run["aggregation"] = config.aggregation
    found = search.prune(space, criterion, batches, key=key, config=search.PruneConfig(**options), checkpoints=states,
                         progress=progress, preset=config.preset, **run)  # fmt: skip
    alone = objective.evaluate(space, found.arch[None])
    return Pruned(found, dict(zip(objective.names, alone.columns[0].tolist(), strict=True)))


def show(console: Console, pruned: Pruned) -> None:
    """Prints the network that was found.

    Args:
      console: where to.
      pruned: what was found.
    """
    found = pruned.result
    lines = {
        "Found": found.encoding,
        "Parameters": f"{int(found.space.num_params(found.arch)):,}",
        "Multiply-adds": f"{int(found.space.flops(found.arch)):,}",
        **{f"Score {name}": number(value) for name, value in pruned.scores.items()},
        "Rounds": str(int(found.state.round)),
        "Search time": common.duration(found.elapsed),
    }
    wide = max(len(name) for name in lines) + 2
    for name, value in lines.items():
        console.print(f"{name:<{wide}}{value}", markup=False, soft_wrap=True)


def write(
    workdir: pathlib.Path, pruned: Pruned, facts: Mapping[str, str], *, repeat: report.Repeat | None = None
) -> pathlib.Path:
    """Writes search.csv, result.json, and report.html with its figures.

    Args:
      workdir: where to.
      pruned: what was found.
      facts: short name -> value, shown at the top of the report.
      repeat: what was run, for the report.

    Returns:
      the report.

    Raises:
      InputError: a file cannot be written.
    """
    found = pruned.result
    params, flops = int(found.space.num_params(found.arch)), int(found.space.flops(found.arch))
    content = {
        "arch": found.encoding,
        "params": params,
        "flops": flops,
        "scores": {name: value if math.isfinite(value) else None for name, value in pruned.scores.items()},
        "algorithm": "pruning",
        "space": found.space.name,
        "supernets": len(found.table()),
        "rounds": int(found.state.round),
        "seconds": found.elapsed,
    }
    with records.replaced(workdir / CSV) as file:
        found.table().to_csv(file, index=False)
    with records.replaced(workdir / JSON) as file:
        file.write(json.dumps(content, indent=2, allow_nan=False) + "\n")
    graph = report.Picture("network", "The network that was found", "The network that was found, from input to output.",
                           lambda theme: graph_figure(found.space.to_graph(found.arch), theme=theme),
                           arch=found.encoding)  # fmt: skip
    rounds = report.Picture("progress", "Scores of supernets by round", "Every point is a supernet that lacks one more"
                            " operation; those in colour were kept: the operation was removed for good.",
                            lambda theme: rounds_figure(found, theme=theme),
                            lambda theme: rounds_figure(found, theme=theme, narrow=True))  # fmt: skip
    shown = {**facts, "Supernets scored": f"{len(found.table()):,}", "Parameters": f"{params:,}",
             "Multiply-adds": f"{flops:,}", "Search time": common.duration(found.elapsed)}  # fmt: skip
    return report.write_report(
        workdir / REPORT,
        title=f"Search in {found.space.name}",
        summary=f"Pruning found {report_parts.brief(found.encoding)} with {counted(params)} parameters.",
        facts=shown,
        sections=[
            report.Section("The network", [graph]),
            report.Section("Progress", [rounds, _removals(found)]),
        ],
        networks=report.drawings(found.space, [found.encoding]),
        repeat=repeat,
    )


def rounds_figure(found: search.PruneResult, *, theme: Theme = "light", narrow: bool = False) -> Figure:
    """Draws every number of the supernets by round, a panel a proxy.

    Args:
      found: result of a pruning search.
      theme: colours.
      narrow: for a phone, `nasjax.figure_style.PHONE` inches wide.

    Returns:
      The figure.
    """
    palette, names = PALETTES[theme], found.names
    inches = (PHONE, 0.6 + 1.8 * len(names)) if narrow else (8.0, 0.6 + 2.4 * len(names))
    figure = sheet(inches, palette)
    axes = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
    removed = found.state.removed
    for axis, name, values in zip(axes, names, found.state.columns.T, strict=True):
        style(axis, palette)
        sound = np.isfinite(values)
        for kept, color, size in ((sound & ~removed, palette.muted, 9), (sound & removed, palette.accents[1], 18)):
            axis.scatter(found.state.rounds[kept] + 1, values[kept], s=size, color=color, alpha=0.6, linewidths=0)
        axis.set_title(name, loc="left", fontsize=11, color=palette.ink)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel("round", color=palette.ink, fontsize=10.5)
    return figure


def _removals(found: search.PruneResult) -> report.Table:
    table = found.table(removals=True)
    scores = zip(*(report_parts.cells(table[name].to_numpy(float), digits=5) for name in found.names), strict=True)
    rows = [
        [str(row["round"] + 1), str(row["edge"]), str(row["operation"]), *texts]
        for row, texts in zip(table.to_dict("records"), scores, strict=True)
    ]
    return report.Table(["round", "edge", "operation", *found.names], rows, "What was removed", text_columns=3)
