"""The report of launch.score."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from nasjax import report
from nasjax.cli import common, ranking, report_parts

REPORT = "report.html"


def write(
    workdir: pathlib.Path, result: Any, space: Any, *, by: str, images: str, seconds: float, repeat: report.Repeat
) -> pathlib.Path:
    """Writes report.html with its figures.

    Args:
      workdir: where to.
      result: a ``ScoreResult``.
      space: the search space.
      by: name of the proxy that ranks.
      images: what was scored on, for people.
      seconds: what it took.
      repeat: what was run.

    Returns:
      The report.

    Raises:
      InputError: a file cannot be written.
    """
    order = [int(i) for i in result.ranking(by)]
    good = [i for i in order if result.valid[by][i]]
    scores = {
        name: np.where(result.valid[name], np.asarray(result.scores[name], float), np.nan)
        for name in (by, *(name for name in result.scores if name != by))
    }
    params = report_parts.parameters(space, result.archs)
    columns = dict(scores)
    if params is not None and "params" not in columns:
        columns["parameters"] = params
    counted = "params" if "params" in columns else "parameters"
    sections = [report.Section("Ranking", [
        "Higher is better. A click on a heading sorts; an architecture is drawn under the pointer.",
        report_parts.ranked(result.archs, columns, order, caption=f"Ranked by {by}."),
    ])]  # fmt: skip
    drawn: list[report.Chart] = []
    if len(columns) > 1 and good:
        x = counted if counted in columns and by != counted else next(name for name in columns if name != by)
        drawn.append(report_parts.scatter("scores", result.archs, columns, x=x, y=by,
                                          best=report_parts.best(scores[by]),
                                          caption=f"The best tenth by {by} in orange."))  # fmt: skip
        sections.append(report.Section("Scores and size", drawn))
    matrix = report_parts.agreement(columns)
    if matrix is not None:
        sections.append(report.Section("How the scores agree", [matrix]))
    for number, (name, profile) in enumerate(result.intervals.items()):
        chart = report_parts.depth_profile(profile, name=f"profile_{number}" if number else "profile")
        sections.append(report.Section(f"Layers that {name} reads", [chart]))
    invalid = ranking.reasons(result)
    if invalid:
        rows = [[reason, f"{count:,}"] for reason, count in invalid.most_common()]
        sections.append(report.Section("Not valid", [
            "These are ranked last and no correlation counts them.", report.Table(("reason", "architectures"), rows),
        ]))  # fmt: skip
    summary = "None of the architectures has a valid score."
    if good:
        value = ranking.number(float(result.scores[by][good[0]]))
        first = report_parts.brief(result.archs[good[0]])
        summary = f"{by} puts {first} first of {len(result.archs):,} architectures, with {value}."
    return report.write_report(
        workdir / REPORT, title=f"Scores in {space.name}", summary=summary,
        facts={"Space": space.name, "Architectures": f"{len(result.archs):,}",
               "Not valid": f"{sum(invalid.values()):,}", "Images": images,
               "Proxies": ", ".join(result.scores), "Time": common.duration(seconds)},
        sections=sections, networks=report_parts.drawings(space, [result.archs[i] for i in order], *drawn),
        repeat=repeat,
    )  # fmt: skip
