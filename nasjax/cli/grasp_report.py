"""What launch.grasp leaves: result.json, tables, figures and report.html."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasjax import grasp, records, report
from nasjax.cli import common, repeat, report_parts
from nasjax.figures import number, readable
from nasjax.report import charts

_ORDERED = ("kendall", "spearman")


class Measured(NamedTuple):
    """A predictor on one split.

    Attributes:
      split: training and test architectures.
      prediction: scores of the test architectures.
      metrics: how well they rank.
    """

    split: grasp.Split
    prediction: grasp.Prediction
    metrics: grasp.Evaluation


def write_evaluation(
    workdir: pathlib.Path, config: Any, made: Any, data: Any, found: Sequence[Measured], seconds: float
) -> None:
    """Writes result.json, predictions.csv, figures and the report of an evaluation, and prints it.

    Args:
      workdir: where to.
      config: the flags.
      made: options of the predictor.
      data: the table.
      found: one measurement a split.
      seconds: what it took.

    Raises:
      InputError: the directory cannot be written.
    """
    column = config.truth or config.column
    rows = [m.metrics.row() for m in found]
    means = {name: [row[name] for row in rows] for name in rows[0]}
    first = found[0]
    truth = data.targets[column][first.split.test]
    named = f"{column} (truth)" if column in ("arch", "score", "uncertainty") else column
    predictions = pd.DataFrame({"arch": [data.archs[i] for i in first.split.test], "score": first.prediction.score,
                                "uncertainty": first.prediction.uncertainty, named: truth})  # fmt: skip
    result = {"job": "evaluate", "table": config.table, "column": config.column, "truth": column,
              "trained_on": config.num_train, "splits": len(found), "groups": data.grouped_by,
              "predictor": made.describe(), "metrics": means}  # fmt: skip
    _write(workdir, config, result, {"predictions.csv": predictions.sort_values("score", ascending=False)})
    shown = _scatter(data, first, truth, column)
    tau = f"{_mean(means['kendall'], 'kendall')} ± {_deviation(means['kendall'], 'kendall')}"
    file = report.write_report(
        workdir / "report.html", title="How well does the predictor rank?",
        summary=f"Trained on {config.num_train} architectures, it ranks {found[0].metrics.number:,} others with"
                f" Kendall's τ {tau} (mean and deviation of {len(found)} splits).",
        facts=_facts(config, made, data, seconds),
        sections=[report.Section("Ranking of unseen architectures", [
            f"Target: {readable(column)}. No function of the test set is in the training set: groups by"
            f" {data.grouped_by}, one architecture each.",
            shown,
            *_metrics(means),
        ]), report.Section("The best by prediction", [
            "Architectures of the first split that the predictor has not seen. A click on a heading sorts.",
            report_parts.ranked(predictions["arch"].tolist(), _columns(first, truth, column),
                                np.argsort(-first.prediction.score, kind="stable").tolist()),
        ])],
        networks=_networks(data.space, predictions["arch"].tolist(), first.prediction.score, shown),
        repeat=repeat.repeat(config, workdir),
    )  # fmt: skip
    console = common.stdout()
    for name in ("kendall", "spearman", "precision@10", "precision@50", "regret@10", "N@10"):
        if name in means:
            console.print(f"{name:13} {_mean(means[name], name)} ± {_deviation(means[name], name)}", markup=False)
    console.print(f"\n{len(found)} splits in {common.duration(seconds)}. Report: {file}", markup=False, soft_wrap=True)


def write_transfer(
    workdir: pathlib.Path, config: Any, made: Any, data: Any, found: grasp.Transfer, seconds: float
) -> None:
    """Writes result.json, transfer.csv, the heat map and the report of a transfer matrix, and prints it.

    Args:
      workdir: where to.
      config: the flags.
      made: options of the predictor.
      data: the table.
      found: the matrix.
      seconds: what it took.

    Raises:
      InputError: the directory cannot be written.
    """
    table = found.table()
    result = {"job": "transfer", "table": config.table, "trained_on": config.num_train, "finetune": found.finetune,
              "splits": found.taus.shape[2], "groups": data.grouped_by, "predictor": made.describe(),
              "transfer": table.to_dict("records")}  # fmt: skip
    _write(workdir, config, result, {"transfer.csv": table})
    cells = [[_short(r.source), _short(r.target), number(r.kendall, digits=3), number(r.deviation, digits=3),
              number(r.ceiling, digits=3) if r.source != r.target else ""] for r in table.itertuples()]  # fmt: skip
    labels = f"and {found.finetune} labels of the target" if found.finetune else "without a label of the target"
    file = report.write_report(
        workdir / "report.html", title="Does the ranking survive a change of data?",
        summary=f"Trained on {config.num_train} architectures of one data set {labels}, ranked on every other.",
        facts=_facts(config, made, data, seconds),
        sections=[report.Section("Transfer matrix", [
            "Kendall's τ-b on architectures whose function is not in the training set. The ceiling is the τ between the"
            " accuracies of both data sets themselves.",
            _heat_map(found, table),
            report.Table(("Trained on", "Ranked on", "Kendall τ-b", "Deviation", "Ceiling"), cells, text_columns=2),
        ])],
        repeat=repeat.repeat(config, workdir),
    )  # fmt: skip
    console = common.stdout()
    for row in cells:
        ceiling = f" (ceiling {row[4]})" if row[4] else ""
        console.print(f"{row[0]} -> {row[1]}: {row[2]} ± {row[3]}{ceiling}", markup=False)
    console.print(f"\nIn {common.duration(seconds)}. Report: {file}", markup=False, soft_wrap=True)


def write_ranking(
    workdir: pathlib.Path, config: Any, space: Any, archs: Sequence[str], prediction: grasp.Prediction, seconds: float
) -> None:
    """Writes ranking.csv, best first, and the report, and prints the top.

    Args:
      workdir: where to.
      config: the flags.
      space: search space.
      archs: official encodings.
      prediction: of them.
      seconds: what it took.

    Raises:
      InputError: the directory cannot be written.
    """
    order = np.argsort(-prediction.score, kind="stable")
    table = pd.DataFrame({"arch": [archs[i] for i in order], "score": prediction.score[order],
                          "uncertainty": prediction.uncertainty[order]})  # fmt: skip
    result = {"job": "rank", "architectures": len(archs), "model": config.model, "best": table["arch"].iloc[0]}
    _write(workdir, config, result, {"ranking.csv": table})
    columns = {"predicted score": prediction.score}
    if prediction.members.shape[0] > 1:
        columns["deviation of members"] = prediction.uncertainty
    params = report_parts.parameters(space, archs)
    if params is not None:
        columns["parameters"] = params
    sections = [report.Section("Ranking", [
        "Higher is better. A click on a heading sorts; an architecture is drawn under the pointer.",
        report_parts.ranked(archs, columns, order.tolist()),
    ])]  # fmt: skip
    drawn: list[report.Chart] = []
    if params is not None:
        chart = report_parts.scatter("ranking", archs, columns, x="parameters", y="predicted score",
                                     caption="The best tenth by prediction in orange.",
                                     best=report_parts.best(prediction.score))  # fmt: skip
        drawn.append(chart)
        sections.append(report.Section("Prediction and size", [chart]))
    file = report.write_report(
        workdir / "report.html", title=f"Ranking of {space.name}",
        summary=f"The predictor puts {report_parts.brief(archs[order[0]])} first of {len(archs):,} architectures.",
        facts={"Space": space.name, "Architectures": f"{len(archs):,}",
               "Predictor": config.model or f"trained on {config.table}, {config.column}",
               "Time": common.duration(seconds)},
        sections=sections, networks=_networks(space, archs, prediction.score, *drawn),
        repeat=repeat.repeat(config, workdir),
    )  # fmt: skip
    console = common.stdout()
    for place, row in enumerate(table.head(config.top).itertuples(), 1):
        spread = f" ± {row.uncertainty:.4f}" if prediction.members.shape[0] > 1 else ""
        console.print(f"{place:3} {row.score:8.4f}{spread}  {row.arch}", markup=False, soft_wrap=True)
    console.print(f"\n{len(archs):,} architectures in {common.duration(seconds)}. Ranking: {workdir / 'ranking.csv'}"
                  f"  Report: {file}", markup=False, soft_wrap=True)  # fmt: skip


def write_fit(
    workdir: pathlib.Path, config: Any, made: Any, data: Any, prediction: grasp.Prediction, seconds: float
) -> pathlib.Path:
    """Writes the report of a predictor that was trained on a whole table.

    Args:
      workdir: where to.
      config: the flags.
      made: options of the predictor.
      data: the table.
      prediction: of the architectures it was trained on.
      seconds: what it took.

    Returns:
      The report.

    Raises:
      InputError: the directory cannot be written.
    """
    label, archs = report_parts.percent(readable(config.column), data.targets[config.column]), list(data.archs)
    columns = {"predicted score": prediction.score, label: data.targets[config.column]}
    params = report_parts.parameters(data.space, archs)
    if params is not None:
        columns["parameters"] = params
    chart = report_parts.scatter("fit", archs, columns, x="predicted score", y=label,
                                 best=report_parts.best(columns[label]),
                                 caption=f"The best tenth by {readable(config.column)} in orange.")  # fmt: skip
    return report.write_report(
        workdir / "report.html", title="A predictor of the whole table",
        summary=f"Trained on all {len(archs):,} architectures of {config.table}; saved in {workdir / 'predictor'}.",
        facts={name: text for name, text in _facts(config, made, data, seconds).items() if name != "Trained on"},
        sections=[report.Section("What it has learnt", [
            "These are the architectures that it was trained on: how well it ranks others, evaluate measures.", chart,
        ])],
        networks=_networks(data.space, archs, columns[label], chart), repeat=repeat.repeat(config, workdir),
    )  # fmt: skip


def _metrics(means: dict[str, list[float]]) -> list[str | report.Table]:
    """Rank correlations, and what is measured at the top, as two tables."""
    overall = {"kendall": "Kendall τ-b", "spearman": "Spearman ρ"}
    rows = [[label, f"{_mean(means[name], name)} ± {_deviation(means[name], name)}"]
            for name, label in overall.items()]  # fmt: skip
    ends = {"precision": "precision", "best": "best truth", "regret": "regret", "N": "rank by truth, N"}
    tops = sorted({int(name.partition("@")[2]) for name in means if "@" in name})
    kinds = [kind for kind in ends if any(f"{kind}@{k}" in means for k in tops)]
    at = [[str(k), *(_written(means, f"{kind}@{k}") for kind in kinds)] for k in tops]
    return [
        report.Table(("Over all of them", "mean ± deviation"), rows),
        report.Table(("k", *(ends[kind] for kind in kinds)), at, "The k best by score"),
        "Precision is the share of the k best by score that is among the k best by truth, best truth the best of them,"
        " regret what that one lacks to the best of all, and N its rank by truth. Mean ± deviation of the splits.",
    ]


def _written(means: dict[str, list[float]], name: str) -> str:
    return f"{_mean(means[name], name)} ± {_deviation(means[name], name)}" if name in means else "–"


def _scatter(data: Any, first: Measured, truth: np.ndarray, column: str) -> report.Chart:
    """The prediction of the first split over the truth."""
    columns = _columns(first, truth, column)
    truly = report_parts.percent(readable(column), truth)
    for name, label in (("predicted score", "rank by score (1 is best)"), (truly, f"rank by {readable(column)}")):
        columns[label] = np.argsort(np.argsort(-columns[name], kind="stable"), kind="stable") + 1.0
    return report_parts.scatter(
        "prediction", [data.archs[i] for i in first.split.test], columns, x="predicted score",
        y=report_parts.percent(readable(column), truth), best=report_parts.best(truth),
        caption="The first split; the best tenth by truth in orange.",
        draw=lambda theme: _prediction(first, truth, column, theme),
    )  # fmt: skip


def _columns(first: Measured, truth: np.ndarray, column: str) -> dict[str, np.ndarray]:
    found = {"predicted score": np.asarray(first.prediction.score, float),
             report_parts.percent(readable(column), truth): np.asarray(truth, float)}  # fmt: skip
    if first.prediction.members.shape[0] > 1:
        found["deviation of members"] = np.asarray(first.prediction.uncertainty, float)
    return found


def _networks(space: Any, archs: Sequence[str], values: np.ndarray, *shown: report.Chart) -> report.Drawings:
    """Drawings, the best first."""
    return report_parts.drawings(space, [archs[i] for i in np.argsort(-values, kind="stable")], *shown)


def _heat_map(found: grasp.Transfer, table: pd.DataFrame) -> report.Chart:
    means, spreads = found.taus.mean(2), found.taus.std(2)
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    room = max(high - low, 0.05)
    texts = [
        [f"{number(means[i, j], digits=3)} ± {number(spreads[i, j], digits=3)}"
         + (f"\nceiling {number(found.ceilings[i, j], digits=3)}" if source != target else "")
         for j, target in enumerate(found.targets)]
        for i, source in enumerate(found.sources)
    ]  # fmt: skip
    said = "; ".join(f"{r.source} to {r.target} {number(r.kendall, digits=3)}" for r in table.itertuples())
    return charts.matrix(
        "transfer", [_short(name) for name in found.sources], [_short(name) for name in found.targets], means,
        alt=f"Heat map of Kendall's tau, source by target: {said}", caption="Mean and deviation over the splits.",
        texts=texts, titles=("ranked on", "trained on"), limits=(low - 0.6 * room, high + 0.6 * room),
        draw=lambda theme: found.figure(theme=theme),
    )  # fmt: skip


def _short(name: str) -> str:
    return readable(name).removesuffix(" test accuracy")


def _write(workdir: pathlib.Path, config: Any, result: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        with records.replaced(workdir / name) as file:
            table.to_csv(file, index=False)
    with records.replaced(workdir / "result.json") as file:
        file.write(json.dumps(_plain(result), indent=2) + "\n")
    common.write_run_flags(workdir, config)


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _prediction(first: Measured, truth: np.ndarray, column: str, theme: Any) -> Any:
    from nasjax.grasp.figures import prediction_figure

    return prediction_figure(first.prediction.score, truth, target=column, tau=first.metrics.kendall, theme=theme)


def _facts(config: Any, made: Any, data: Any, seconds: float) -> dict[str, str]:
    return {"Space": config.space, "Table": f"{config.table}, {len(data.archs):,} architectures",
            "Trained on": f"{config.num_train} labels of {config.column.replace(',', ', ')}", "Loss": made.train.loss,
            "Propagation": made.model.direction,
            "Members": str(made.members), "Proxies read": ", ".join(made.features.proxies) or "none",
            "Proxies taught": ", ".join(made.train.pretrain) or "none", "Time": common.duration(seconds)}  # fmt: skip


def _mean(values: Sequence[float], name: str) -> str:
    mean = float(np.mean(values))
    return number(mean, digits=3) if name in _ORDERED or name.startswith("precision") else f"{mean:,.2f}"


def _deviation(values: Sequence[float], name: str) -> str:
    spread = float(np.std(values))
    return number(spread, digits=3) if name in _ORDERED or name.startswith("precision") else f"{spread:,.2f}"
