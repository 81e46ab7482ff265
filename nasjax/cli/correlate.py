"""Measures how well scores rank architectures, against a table of known accuracies.

Reads the scores of a run, joins them with the table by architecture, and gives for every proxy: Spearman's rank
correlation with a bootstrap interval, Kendall's tau-b, how many of its best are really among the best, and how much
accuracy its favourite loses. Writes correlations.csv, result.json, figures and report.html beside the scores.

Examples:
  python -m launch.correlate --workdir=runs/demo
  python -m launch.correlate --workdir=runs/mine --scores=mine.csv --table=accuracies.csv --columns=top1
  python -m launch.correlate --workdir=runs/demo --table=runs/cells/benchmark.csv.gz
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

from rich.table import Table as RichTable

from nasjax import correlation, records, report
from nasjax.cli import accuracies, common, report_parts
from nasjax.cli import repeat as repeating
from nasjax.cli.options import option
from nasjax.correlation import Correlations
from nasjax.figures import Panel, number, rank_grid, readable, scatter_grid

FLAGS = "correlate.flags"
LOCK = ".lock-correlate"  # of its own: scores may be read beside a run that makes more


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorrelateConfig:
    """Options of launch.correlate."""

    workdir: str = option(None, "Directory of the run: scores.csv is read there and results are written there.",
                          section="What to compare", required=True)
    scores: str = option("", "CSV file of scores to read in place of the scores.csv of the workdir: a column arch, then"
                         " a column for each proxy; or the benchmark.csv.gz of launch.benchmark.",
                         section="What to compare")
    table: str = option("nasbench201", "Accuracies: the name of a built-in table, the benchmark.csv.gz of"
                        " launch.benchmark, or a CSV file with a column arch, in any encoding of the space that the run"
                        " scored.", section="What to compare")
    columns: str = option("", "Columns of the table to compare with, separated by commas; all by default, of a"
                          " benchmark the accuracies after the last epoch (TASK_valid, TASK_test; TASK_valid_e4 is that"
                          " after epoch 4).", section="What to compare")
    top: float = option(0.1, "Which fraction of the architectures counts as the best, for the precision.",
                        section="How to measure")
    bootstrap: int = option(1000, "Resamples for the interval of Spearman's correlation; 0 leaves it out.",
                            section="How to measure", minimum=0)
    seed: int = option(0, "Seed of the resampling.", section="How to measure", minimum=0)

    run_flags: str = dataclasses.field(default="", compare=False)


def main(config: CorrelateConfig) -> None:
    """Computes, prints and writes correlations.

    Args:
      config: what to compare.

    Raises:
      InputError: no scores, no such table or column, or too few architectures in both.
    """
    workdir = pathlib.Path(config.workdir)
    columns = [column.strip() for column in config.columns.split(",") if column.strip()]
    columns = columns or accuracies.default_columns(config.table)
    own = accuracies.as_scores(config.scores)
    scores = correlation.read_scores(config.scores or workdir) if own is None else own
    space = None if config.scores else accuracies.space_of(workdir)
    common.check_writable(workdir)
    found = correlation.correlate(
        scores,
        accuracies.load(config.table, space),
        columns=columns,
        top=config.top,
        num_bootstrap=config.bootstrap,
        seed=config.seed,
    )
    console = common.stdout()
    console.print(_overview(found), soft_wrap=True)
    for target in found.targets:
        console.print()
        console.print(_printed(found, target))
    console.print()
    with common.exclusive(workdir, name=LOCK):
        files = write_results(
            workdir, found, source=config.scores or str(workdir / correlation.SCORES_FILE), table=config.table,
            flags=config.run_flags, space=space_for(workdir, config),
            repeat=repeating.repeat(config, workdir, file=FLAGS, devices=False, earlier=_scored(workdir, config)),
        )  # fmt: skip
    console.print(f"Report: {files[0]}", soft_wrap=True)


def write_results(
    workdir: pathlib.Path, found: Correlations, *, source: str, table: str, flags: str = "", space: Any = None,
    repeat: report.Repeat | None = None,
) -> list[pathlib.Path]:  # fmt: skip
    """Writes correlations.csv, result.json, figures and report.html.

    Args:
      workdir: where to.
      found: the correlations.
      source: where the scores came from, for the record.
      table: name of the table of accuracies, for the record.
      flags: flags that repeat the command, for the record.
      space: search space, which draws the architectures; None draws none.
      repeat: what was run, for the report.

    Returns:
      The files; the report first.

    Raises:
      InputError: the directory cannot be written.
    """
    files = [workdir / name for name in ("report.html", "correlations.csv", "result.json", FLAGS)]
    with records.replaced(files[1]) as file:
        found.table.to_csv(file, index=False)
    with records.replaced(files[2]) as file:
        file.write(json.dumps(_result(found, source, table), indent=2) + "\n")
    with records.replaced(files[3]) as file:
        line = f"{common.program()} --flagfile={files[3]}" if repeat is None else repeat.command
        file.write(f"# Repeats this run: {line}\n{flags}")
    facts = {
        "Architectures scored": f"{found.scored:,}",
        "Of known accuracy": f"{len(found.joined):,}",
        "Missing in the table": f"{found.missing:,}",
        "Table": table,
        "Scores": source,
    }
    report.write_report(
        files[0], title="Do the scores find good networks?", summary=_summary(found), facts=facts,
        sections=[
            _overall_section(found), *_explored(found), *(_target_section(found, t) for t in found.targets),
            _best_section(found),
        ],
        networks=report_parts.drawings(space, list(_ordered(found)["arch"])), repeat=repeat,
    )  # fmt: skip
    return files


def _scored(workdir: pathlib.Path, config: CorrelateConfig) -> Sequence[tuple[str, str, str]]:
    """What made the scores, where it ran in the same directory."""
    return [] if config.scores else repeating.earlier(workdir, "This command made the scores:")


def space_for(workdir: pathlib.Path, config: CorrelateConfig) -> Any:
    """The search space of the architectures: that of the run, or of a built-in table; None where neither says."""
    if config.scores:
        return report_parts.made(config.table, {})
    return report_parts.space_of(workdir) or report_parts.made(config.table, {})


def _overview(found: Correlations) -> str:
    text = f"{found.scored:,} architectures scored, {len(found.joined):,} of known accuracy"
    return f"{text}; {found.missing:,} missing in the table." if found.missing else f"{text}."


def _summary(found: Correlations) -> str:
    """The result in one or two sentences."""
    best = found.row(found.proxies[0], found.targets[0])
    if math.isnan(best["spearman"]):
        return "No proxy tells these architectures apart."
    text = (
        f"{best['proxy']} ranks these architectures best: Spearman {number(best['spearman'])} with"
        f" {readable(best['target'])}"
    )
    text += f" (95 % interval {_range(best)})." if not math.isnan(best["low"]) else "."
    return text + f" Its favourite is {best['regret']:.2f} points below the best of the sample."


def _range(row: Any) -> str:
    return f"{number(row['low'])} to {number(row['high'])}" if not math.isnan(row["low"]) else ""


def _printed(found: Correlations, target: str) -> RichTable:
    """A target's table for the terminal, narrow enough for 80 columns."""
    table = RichTable(title=readable(target), title_justify="left", title_style="bold", header_style="dim", box=None,
                      padding=(0, 3, 0, 0))
    table.add_column("proxy", no_wrap=True)
    for head in ("Spearman", "95 % interval", "Kendall", f"in top {found.top:.0%}", "regret"):
        table.add_column(head, justify="right", no_wrap=True)
    for proxy in found.proxies:
        row = found.row(proxy, target)
        table.add_row(
            proxy, number(row["spearman"]), _range(row), number(row["kendall"]), number(row["precision"]),
            _points(row["regret"]),
        )  # fmt: skip
    return table


def _points(value: float) -> str:
    """A difference of accuracies."""
    return "–" if math.isnan(value) else f"{value:.2f}"


def _result(found: Correlations, source: str, table: str) -> dict[str, Any]:
    """What result.json holds; NaN becomes null."""
    rows = [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in found.table.to_dict("records")
    ]
    counts = {"scored": found.scored, "joined": len(found.joined), "missing": found.missing}
    return counts | {"invalid": found.invalid, "scores": source, "table": table, "top": found.top, "correlations": rows}


def _overall_section(found: Correlations) -> report.Section:
    body: list[str | report.Chart] = [
        "Spearman's rank correlation says how alike two rankings are: 1 the same, 0 unrelated,"
        " \N{MINUS SIGN}1 reversed.",
        report_parts.correlations(
            "correlations", found.table,
            caption="Spearman correlation of every proxy; the lines are 95 % bootstrap intervals over architectures.",
        ),
    ]  # fmt: skip
    bad = {proxy: count for proxy, count in found.invalid.items() if count}
    if bad:
        listed = ", ".join(f"{proxy} {count:,}" for proxy, count in bad.items())
        body.append(f"Architectures without a valid score are left out: {listed}.")
    return report.Section("Correlations", body)


def _target_section(found: Correlations, target: str) -> report.Section:
    panels: list[Panel] = []
    rows: list[list[str | report.Bar]] = []
    for proxy in found.proxies:
        row = found.row(proxy, target)
        panels.append(Panel(proxy, *found.pair(proxy, target), row["spearman"], row["kendall"],
                            (row["low"], row["high"])))
        rows.append([proxy, report.Bar(row["spearman"], number(row["spearman"]), _range(row)), number(row["kendall"]),
                     number(row["precision"]), _points(row["regret"]), f"{row['count']:,}"])
    share = f"{found.top:.0%}"
    heads = ("Proxy", "Spearman", "Kendall τ-b", f"Precision at top {share}", "Regret, points", "Architectures")
    return report.Section(readable(target), [
        report.Table(heads, rows),
        f"Kendall's tau-b counts pairs in the right order. Precision: which part of the best {share} by accuracy is"
        f" among the best {share} by score. Regret: how far the best-scored architecture lies below the best one.",
        report.Picture(
            f"scatter_{target}", f"{readable(target)} over the score of each proxy, an architecture a point",
            f"An architecture a point; the best {share} by accuracy in orange. Architectures far below the others are"
            " counted on the lower edge.",
            lambda theme: scatter_grid(panels, target=target, top=found.top, theme=theme),
            lambda theme: scatter_grid(panels, target=target, top=found.top, theme=theme, narrow=True),
        ),
        report.Picture(
            f"ranks_{target}", f"Rank by {readable(target)} over rank by score, for each proxy",
            f"Rank against rank; a perfect proxy follows the dotted line. The corner holds the best {share} by both.",
            lambda theme: rank_grid(panels, target=target, top=found.top, theme=theme),
            lambda theme: rank_grid(panels, target=target, top=found.top, theme=theme, narrow=True),
        ),
    ])  # fmt: skip


def _ordered(found: Correlations) -> Any:
    """The architectures of known accuracy, best first by the best proxy; those that it has no score for last."""
    return found.joined.sort_values(found.proxies[0], ascending=False, kind="stable", na_position="last")


def _columns(found: Correlations) -> dict[str, Any]:
    """Proxies, best first, and accuracies of ``_ordered``."""
    frame = _ordered(found)
    return {_named(found, name): frame[name].to_numpy(float) for name in (*found.proxies, *found.targets)}


def _named(found: Correlations, name: str) -> str:
    """A proxy as it is called, an accuracy in words and with its unit."""
    return report_parts.percent(readable(name), found.joined[name]) if name in found.targets else name


def _explored(found: Correlations) -> list[report.Section]:
    columns, target, share = _columns(found), _named(found, found.targets[0]), f"{found.top:.0%}"
    chart = report_parts.scatter(
        "explore", list(_ordered(found)["arch"]), columns, x=found.proxies[0], y=target,
        best=report_parts.best(columns[target], share=found.top),
        caption=f"The best {share} by {readable(found.targets[0])} in orange.",
    )  # fmt: skip
    sections = [report.Section("Scores and accuracies", [chart])]
    short = {name.removesuffix(", %").removesuffix(" test accuracy"): values for name, values in columns.items()}
    matrix = report_parts.agreement(short)
    return sections if matrix is None else [*sections, report.Section("How the scores agree", [matrix])]


def _best_section(found: Correlations) -> report.Section:
    proxy = found.proxies[0]
    best = ", ".join(
        f"{found.joined[t].max():.2f} ({readable(t).removesuffix(' test accuracy')})" for t in found.targets
    )
    archs = list(_ordered(found)["arch"])
    return report.Section(f"Best by {proxy}", [
        f"The architectures of known accuracy that {proxy} puts first. The best accuracies of the sample are {best}. A"
        " click on a heading sorts.",
        report_parts.ranked(archs, _columns(found), range(len(archs))),
    ])  # fmt: skip


def run() -> None:
    """Entry point of ``python -m launch.correlate``."""
    common.run(main, CorrelateConfig)


if __name__ == "__main__":
    run()
