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
from nasjax.cli import common
from nasjax.figures import number, readable

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
    table = [[name, _mean(v, name), _deviation(v, name)] for name, v in means.items() if name != "number"]
    tau = f"{_mean(means['kendall'], 'kendall')} ± {_deviation(means['kendall'], 'kendall')}"
    file = report.write_report(
        workdir / "report.html", title="How well does the predictor rank?",
        summary=f"Trained on {config.num_train} architectures, it ranks {found[0].metrics.number:,} others with"
                f" Kendall's τ {tau} (mean and deviation of {len(found)} splits).",
        facts=_facts(config, made, data, seconds),
        sections=[report.Section("Ranking of unseen architectures", [
            f"Target: {readable(column)}. No function of the test set is in the training set: groups by"
            f" {data.grouped_by}, one architecture each.",
            report.Picture("prediction", f"Predicted score beside {readable(column)}",
                           "The first split; the best tenth by truth in the second colour. On the left, the lowest"
                           " fiftieth by truth is drawn at the edge.",
                           lambda theme: _prediction(first, truth, column, theme)),
            report.Table(("Metric", "Mean", "Deviation"), table),
            "At k, the k best by score are looked at: precision is their share among the k best by truth, best the best"
            " truth of them, regret what it lacks to the best of all, and N the rank of that one by truth.",
        ])],
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
    cells = [[r.source, r.target, number(r.kendall, digits=3), number(r.deviation, digits=3),
              number(r.ceiling, digits=3) if r.source != r.target else ""] for r in table.itertuples()]  # fmt: skip
    labels = f"and {found.finetune} labels of the target" if found.finetune else "without a label of the target"
    file = report.write_report(
        workdir / "report.html", title="Does the ranking survive a change of data?",
        summary=f"Trained on {config.num_train} architectures of one data set {labels}, ranked on every other.",
        facts=_facts(config, made, data, seconds),
        sections=[report.Section("Transfer matrix", [
            "Kendall's τ-b on architectures whose function is not in the training set. The ceiling is the τ between the"
            " accuracies of both data sets themselves.",
            report.Picture("transfer", "Heat map of Kendall's tau, source by target: " + "; ".join(
                f"{r.source} to {r.target} {number(r.kendall, digits=3)}" for r in table.itertuples()),
                "Mean and deviation over the splits.", lambda theme: found.figure(theme=theme)),
            report.Table(("Trained on", "Ranked on", "Kendall τ-b", "Deviation", "Ceiling"), cells, text_columns=2),
        ])],
    )  # fmt: skip
    console = common.stdout()
    for row in cells:
        ceiling = f" (ceiling {row[4]})" if row[4] else ""
        console.print(f"{row[0]} -> {row[1]}: {row[2]} ± {row[3]}{ceiling}", markup=False)
    console.print(f"\nIn {common.duration(seconds)}. Report: {file}", markup=False, soft_wrap=True)


def write_ranking(
    workdir: pathlib.Path, config: Any, archs: Sequence[str], prediction: grasp.Prediction, seconds: float
) -> None:
    """Writes ranking.csv, best first, and prints its top.

    Args:
      workdir: where to.
      config: the flags.
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
    console = common.stdout()
    for place, row in enumerate(table.head(config.top).itertuples(), 1):
        spread = f" ± {row.uncertainty:.4f}" if prediction.members.shape[0] > 1 else ""
        console.print(f"{place:3} {row.score:8.4f}{spread}  {row.arch}", markup=False, soft_wrap=True)
    console.print(f"\n{len(archs):,} architectures in {common.duration(seconds)}. Ranking: {workdir / 'ranking.csv'}",
                  markup=False, soft_wrap=True)  # fmt: skip


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
            "Trained on": f"{config.num_train} labels of {config.column}", "Loss": made.train.loss,
            "Propagation": made.model.direction,
            "Members": str(made.members), "Proxies read": ", ".join(made.features.proxies) or "none",
            "Proxies taught": ", ".join(made.train.pretrain) or "none", "Time": common.duration(seconds)}  # fmt: skip


def _mean(values: Sequence[float], name: str) -> str:
    mean = float(np.mean(values))
    return number(mean, digits=3) if name in _ORDERED or name.startswith("precision") else f"{mean:,.2f}"


def _deviation(values: Sequence[float], name: str) -> str:
    spread = float(np.std(values))
    return number(spread, digits=3) if name in _ORDERED or name.startswith("precision") else f"{spread:,.2f}"
