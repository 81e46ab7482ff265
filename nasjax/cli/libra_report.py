"""The files that launch.libra leaves: tables, the selection, figures and the report."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import Any

from nasjax import records, report
from nasjax.cli import common, report_parts
from nasjax.cli import repeat as repeating
from nasjax.cli.libra_input import Input
from nasjax.figures import number
from nasjax.search.comparison import METHODS, Comparison, Measured
from nasjax.search.selection import is_proxy


def write_results(
    workdir: pathlib.Path, given: Input, found: Comparison, config: common.CommandConfig
) -> tuple[dict[str, pathlib.Path], str]:
    """Writes comparison.csv, choice.csv, result.json, selection.json, run.flags, figures and report.html.

    Args:
      workdir: where to.
      given: what was chosen from.
      found: the comparison.
      config: the options, for the record.

    Returns:
      The files that people open, by name; and why there is no selection file, empty where there is one.

    Raises:
      InputError: the directory cannot be written.
    """
    for name, table in (("comparison.csv", found.table()), ("choice.csv", found.choice.table())):
        with records.replaced(workdir / name) as file:
            table.to_csv(file, index=False)
    with records.replaced(workdir / "result.json") as file:
        file.write(json.dumps(_result(given, found), indent=2) + "\n")
    common.write_run_flags(workdir, config)
    files = {}
    strangers = [name for name in found.choice.proxies if not is_proxy(given.spelled[name])]
    if strangers:
        refused = (f"No selection.json: {', '.join(strangers)} is no proxy of nasjax, so no search could compute it."
                   " Leave it out by --proxies, or rename the column.")  # fmt: skip
        (workdir / "selection.json").unlink(missing_ok=True)
    else:
        refused = ""
        chosen = found.choice.selection(space=given.space, source=f"{given.source}, {given.target}")
        spelled = tuple(given.spelled[name] for name in found.choice.proxies)
        files["Selection"] = dataclasses.replace(chosen, proxies=spelled).save(workdir / "selection.json")
    files["Report"] = report.write_report(
        workdir / "report.html", title="Which proxies complement each other?", summary=_summary(found),
        facts={"Table": given.source, "Accuracy": given.target, "Architectures": f"{found.measured_on:,}",
               "Proxies": str(len(given.scores)), "Left out": f"{found.left_out:,}"},
        sections=[_comparison_section(found), _choice_section(found), *_agreement(given)],
        repeat=repeating.repeat(config, workdir, devices=False),
    )  # fmt: skip
    return files, refused


def interval(entry: Measured) -> str:
    """Writes an interval; empty without one."""
    return f"{number(entry.low)} to {number(entry.high)}" if not math.isnan(entry.low) else ""


def named(proxies: tuple[str, ...], found: Comparison) -> str:
    """Writes what an aggregation merged."""
    every = len(found.choice.spearman)
    return f"all {every}" if len(proxies) == every > 3 else ", ".join(proxies)


def bits(value: float) -> str:
    """Writes an information gain; empty for z1, which has none."""
    return "" if math.isnan(value) else f"{value:.3f}"


def _summary(found: Comparison) -> str:
    choice, best = found.choice, found.measured[0]
    text = f"LIBRA chooses {', '.join(choice.proxies)}."
    entry = next((m for m in found.measured if m.method == "libra"), None)
    if entry is not None:
        text += f" Together they rank with Spearman {number(entry.spearman, digits=3)}"
        text += f" (95 % interval {interval(entry)})." if not math.isnan(entry.low) else "."
    if best.method != "libra":
        text += f" {best.method} is first with {number(best.spearman, digits=3)}."
    return text


def _result(given: Input, found: Comparison) -> dict[str, Any]:
    """What result.json holds; NaN becomes null."""
    def clean(row: dict[str, Any]) -> dict[str, Any]:
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}

    return {
        "table": given.source,
        "accuracy": given.target,
        "space": given.space,
        "architectures": found.measured_on,
        "chosen_on": found.chosen_on,
        "left_out": found.left_out,
        "selected": list(found.choice.proxies),
        "bins": found.choice.bins,
        "accuracy_bias": found.choice.accuracy_bias,
        "comparison": [clean(row) for row in found.table().to_dict("records")],
        "choice": [clean(row) for row in found.choice.rows()],
    }


def _comparison_section(found: Comparison) -> report.Section:
    rows: list[list[str | report.Bar]] = [
        [m.method, report.Bar(m.spearman, number(m.spearman, digits=3), interval(m)), number(m.kendall),
         named(m.proxies, found)]
        for m in found.measured
    ]  # fmt: skip
    plotted = found.table().rename(columns={"method": "proxy"}).assign(target=f"{found.measured_on:,} architectures")
    body: list[str | report.Table | report.Chart] = [
        "Spearman's rank correlation with accuracy of each way to merge the proxies of this table.",
        report.Table(("Aggregation", "Spearman", "Kendall τ-b", "Proxies"), rows),
        report_parts.correlations(
            "comparison", plotted, accuracy="accuracy", of="aggregation",
            caption="Every aggregation; the lines are 95 % bootstrap intervals over architectures.",
        ),
        report.Table(("Aggregation", "What it is"), [[m.method, METHODS[m.method]] for m in found.measured],
                     text_columns=2),
    ]  # fmt: skip
    if found.held_out:
        body.append(f"Chosen on {found.chosen_on:,} architectures, measured on {found.measured_on:,} others.")
    else:
        body.append("Chosen and measured on the same architectures, as in the paper: the more a method chooses, the"
                    " more this flatters it. --choose_on measures on others.")  # fmt: skip
    return report.Section("Aggregations", body)


def _agreement(given: Input) -> list[report.Section]:
    """How alike all proxies rank, and how each ranks the accuracy."""
    columns = {given.target: given.accuracies, **given.scores}
    if given.num_params is not None and "params" not in columns:
        columns["params"] = given.num_params
    matrix = report_parts.agreement(columns)
    return [] if matrix is None else [report.Section("How the proxies agree", [matrix])]


def _choice_section(found: Comparison) -> report.Section:
    choice = found.choice
    rows = [
        [r["proxy"], r["role"], number(r["spearman"], digits=3), "yes" if r["candidate"] else "", bits(r["gain"]),
         number(r["bias"], digits=3), number(r["distance"], digits=3)]
        for r in choice.rows()
    ]  # fmt: skip
    feature = "parameters" if choice.config.bias == "params" else choice.config.bias
    return report.Section("LIBRA's choice", [
        f"z1 is the proxy of the highest correlation. Candidates lie less than {choice.config.margin:g} below it. z2 is"
        " the candidate that adds least information about the accuracy beyond z1; z3 is that of the others whose bias,"
        f" Spearman's correlation with {feature}, is nearest to that of the accuracy,"
        f" {number(choice.accuracy_bias, digits=3)}.",
        report.Table(("Proxy", "Role", "Spearman", "Candidate", "Gain, bits", "Bias", "Distance"), rows,
                     text_columns=2),
        f"Entropies of {choice.bins} bins: H(accuracy) = {choice.entropy:.3f} bits, H(accuracy | {choice.proxies[0]}) ="
        f" {choice.conditional:.3f} bits.",
        report.Picture("choice", "Correlation, information gain and bias of each proxy, the chosen ones marked",
                       "The three steps of the choice, a proxy a line; candidates in colour.",
                       lambda theme: choice.figure(theme=theme), lambda theme: choice.figure(theme=theme, narrow=True)),
    ])  # fmt: skip
