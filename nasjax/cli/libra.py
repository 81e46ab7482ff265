"""Chooses proxies that complement each other on a benchmark (LIBRA), and compares with other ways to merge proxies.

Takes a table of proxies and accuracies: a built-in one of published scores, or your own; scores of launch.score can be
joined to it. Prints how well each aggregation ranks, with bootstrap intervals, and what LIBRA chose and why. Writes
selection.json, which a search reads, comparison.csv, choice.csv, result.json, figures and report.html.

Examples:
  python -m launch.libra --workdir=runs/libra --table=nasbench201_cifar10
  python -m launch.libra --workdir=runs/joined --table=nasbench201_cifar10 --scores=runs/mine
  python -m launch.libra --workdir=runs/own --table=mine.csv --accuracy=top1
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
from rich.table import Table as RichTable

from nasjax import records
from nasjax.cli import common, libra_input, libra_report
from nasjax.cli.libra_input import Input
from nasjax.cli.libra_report import bits, interval, named
from nasjax.cli.options import option
from nasjax.figures import number
from nasjax.search import comparison
from nasjax.search.comparison import METHODS, Comparison
from nasjax.search.libra_config import LibraConfig
from nasjax.types import InputError

_TABLE, _RULE, _MEASURE = "What to choose from", "How LIBRA chooses", "How to measure"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LibraCommandConfig(common.CommandConfig):
    """Options of launch.libra."""

    workdir: str = option(None, "Directory that results are written to.", section="Output", required=True)
    table: str = option("nasbench201_cifar10", "Table of proxies and accuracies: a built-in one (a wrong name gets the"
                        " list), or a CSV file with a column arch, one of accuracies, and one a proxy.",
                        section=_TABLE)
    accuracy: str = option("", "Column of accuracies; the usual one of a built-in table by default.", section=_TABLE)
    scores: str = option("", "Scores to join by architecture: the workdir of a launch.score, its store or its"
                         " scores.csv.", section=_TABLE)
    proxies: str = option("", "Columns to choose from, separated by commas; all by default.", section=_TABLE)
    prefer: str = option("table", "Whose column is taken where the table and the scores both have a proxy.",
                         section=_TABLE, choices=("table", "scores"))
    space: str = option("", "Search space of a CSV file, so that encodings agree and parameters can be counted; that of"
                        " the scores by default.", section=_TABLE)
    sample: int = option(0, "Architectures to draw at random from the table, as the paper draws 1000; 0 takes all.",
                         section=_TABLE, minimum=0)
    invalid: str = option("", "What NaN means: raise refuses it, drop leaves the architecture out, suite puts -1e8 in"
                          " its place as NAS-Bench-Suite-Zero does. By default raise, and drop for built-in tables and"
                          " for scores of launch.score.", section=_TABLE, choices=("raise", "drop", "suite"))
    margin: float = option(0.1, "Candidates correlate at most this much worse than the best proxy.", section=_RULE)
    bias: str = option("params", "What the third proxy's bias is measured by: params, or a column of the table.",
                       section=_RULE)
    direction: str = option("given", "given takes scores as they are, higher is better; data turns a proxy round that"
                            " correlates negatively on the table.", section=_RULE, choices=("given", "data"))
    aggregation: str = option("ranksum", "How the three become one score.", section=_RULE,
                              choices=("ranksum", "logrank", "denserank", "product", "vote"))
    entropy: str = option("plugin", "Estimator of entropies.", section=_RULE, choices=("plugin", "miller_madow"))
    binning: str = option("width", "Bins of equal width or of equal frequency.", section=_RULE,
                          choices=("width", "frequency"))
    bins: int | None = option(None, "Bins of a variable; round(1 + 3.322 ln n) by default.", section=_RULE, kind=int,
                              minimum=2)
    methods: str = option("", f"Aggregations to compare, separated by commas, of {', '.join(METHODS)}; all by default.",
                          section=_MEASURE)
    choose_on: int = option(0, "Architectures, drawn at random, to choose on; all aggregations are then measured on the"
                            " others. 0 chooses and measures on all, as the paper does.", section=_MEASURE, minimum=0)
    bootstrap: int = option(1000, "Resamples for the intervals; 0 leaves them out.", section=_MEASURE, minimum=0)
    seed: int = option(0, "Seed of draws and resamples.", section=_MEASURE, minimum=0)

def main(config: LibraCommandConfig) -> None:
    """Chooses, compares, prints and writes.

    Args:
      config: what to choose from, and how.

    Raises:
      InputError: no such table or column, nothing in common, NaN, constant columns, too few architectures, or a
        working directory of another command.
    """
    workdir = pathlib.Path(config.workdir)
    if (workdir / records.CONFIG_FILENAME).exists():
        raise InputError(f"--workdir={workdir} holds a run of another command, whose files would be replaced. Use"
                         " another directory; --scores reads that run.")  # fmt: skip
    options = LibraConfig(margin=config.margin, bias=config.bias, direction=config.direction,
                          aggregation=config.aggregation, entropy=config.entropy, binning=config.binning,
                          bins=config.bins, invalid=config.invalid or "raise")  # fmt: skip
    given = libra_input.read(config.table, config.scores, accuracy=config.accuracy, proxies=_words(config.proxies),
                             space=config.space, prefer=config.prefer)  # fmt: skip
    given = _sampled(given, config.sample, config.seed)
    if not config.invalid and given.trusted:
        options = dataclasses.replace(options, invalid="drop")
    if given.num_params is None and config.bias == "params":
        raise InputError("The table has no column params and its space is unknown, so biases cannot be measured. Add "
                         "the column, name the space by --space, or another column by --bias.")  # fmt: skip
    with common.progress("Comparing", unit="method", compiles=False) as progress:
        found = comparison.compare(
            given.scores, given.accuracies, given.num_params, methods=_words(config.methods),
            choose_on=config.choose_on, num_bootstrap=config.bootstrap, seed=config.seed, progress=progress,
            **dataclasses.asdict(options),
        )  # fmt: skip
    for text in given.notes:
        common.note(text)
    console = common.stdout()
    console.print(_overview(given, found), soft_wrap=True)
    for table in (_compared(found), _reasons(found)):
        console.print()
        console.print(table)
    console.print()
    with common.exclusive(workdir):
        files, refused = libra_report.write_results(workdir, given, found, config)
    if refused:
        common.note(refused)
    for name, file in files.items():
        console.print(f"{name}: {file}", soft_wrap=True)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _sampled(given: Input, count: int, seed: int) -> Input:
    """A part of the rows, drawn at random."""
    total = len(given.accuracies)
    if not count or count >= total:
        return given
    rows = np.random.default_rng(seed).choice(total, count, replace=False)
    scores = {name: values[rows] for name, values in given.scores.items()}
    params = None if given.num_params is None else given.num_params[rows]
    return given._replace(scores=scores, accuracies=given.accuracies[rows], num_params=params)


def _overview(given: Input, found: Comparison) -> str:
    text = f"{found.measured_on:,} architectures of {given.source}, {len(given.scores)} proxies, against {given.target}"
    text += f"; chosen on {found.chosen_on:,} others" if found.held_out else ""
    return f"{text}; {found.left_out:,} without a finite score left out." if found.left_out else f"{text}."


def _compared(found: Comparison) -> RichTable:
    table = _plain("Aggregations", "method", ("Spearman", "95 % interval", "Kendall"))
    table.add_column("proxies", overflow="fold")
    for entry in found.measured:
        table.add_row(entry.method, number(entry.spearman, digits=3), interval(entry), number(entry.kendall),
                      named(entry.proxies, found))  # fmt: skip
    return table


def _reasons(found: Comparison) -> RichTable:
    choice = found.choice
    table = _plain(f"LIBRA's choice ({choice.bins} bins; bias of accuracy {number(choice.accuracy_bias, digits=3)})",
                   "proxy", ("role", "Spearman", "candidate", "gain, bits", "bias", "distance"))  # fmt: skip
    for row in choice.rows():
        table.add_row(row["proxy"], row["role"], number(row["spearman"], digits=3), "yes" if row["candidate"] else "",
                      bits(row["gain"]), number(row["bias"], digits=3), number(row["distance"], digits=3))  # fmt: skip
    return table


def _plain(title: str, first: str, heads: tuple[str, ...]) -> RichTable:
    table = RichTable(title=title, title_justify="left", title_style="bold", header_style="dim", box=None,
                      padding=(0, 2, 0, 0))  # fmt: skip
    table.add_column(first, no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def run() -> None:
    """Entry point of ``python -m launch.libra``."""
    common.run(main, LibraCommandConfig)


if __name__ == "__main__":
    run()
