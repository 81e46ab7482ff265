"""What scoring many models leaves in a directory: a table of scores and a report."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from nasjax import records, report
from nasjax.own_model import contents
from nasjax.own_model.space import OwnModel


def write(workdir: str | os.PathLike[str], result: Any, spaces: Mapping[str, OwnModel], batches: Any) -> None:
    """Writes ``scores.csv`` and ``report.html``.

    Args:
      workdir: directory.
      result: a ``ScoreResult``.
      spaces: name of a model -> the model as a space.
      batches: the images.

    Raises:
      InputError: the directory cannot be written.
    """
    folder = pathlib.Path(workdir)
    columns = {
        name: {
            arch: records.Record(
                "",
                arch,
                name,
                result.scores[name][i],
                result.raw[name][i],
                bool(result.valid[name][i]),
                result.reasons[name][i],
                result.seconds[i],
            )  # fmt: skip
            for i, arch in enumerate(result.archs)
        }
        for name in result.scores
    }
    records.write_scores(folder / "scores.csv", result.archs, columns)
    images = batches.stacked[0]
    report.write_report(
        folder / "report.html",
        title="Scores of models",
        summary=f"{len(result.archs)} models, ranked by {next(iter(result.scores))}. Higher is better.",
        facts={"images": f"{images.shape[0]} x {images.shape[1]}, {batches.source}", "size": _size(images.shape[2:])},
        sections=[
            report.Section("Scores", [_scores(result), *_remarks(result)]),
            report.Section("Models", [_models(spaces)]),
        ],
    )


def _scores(result: Any) -> report.Table:
    names = list(result.scores)
    rows: list[list[str | report.Bar]] = []
    for i in result.ranking(names[0]):
        cells = [_number(result.scores[n][i]) if result.valid[n][i] else "invalid" for n in names]
        rows.append([report.Code(result.archs[i]), *cells])
    return report.Table(["model", *names], rows)


def _remarks(result: Any) -> list[str]:
    """Why scores are invalid or what was done to them."""
    return [
        f"{arch}, {name}: {result.reasons[name][i]}."
        for i, arch in enumerate(result.archs)
        for name in result.scores
        if result.reasons[name][i]
    ]


def _models(spaces: Mapping[str, OwnModel]) -> report.Table:
    """Size and contents of each model."""
    rows: list[list[str | report.Bar]] = []
    for name, layers, activations, params, flops in contents.table(spaces).itertuples(index=False):
        rows.append([report.Code(name), str(layers), activations, f"{params:,}", f"{flops:,}"])
    columns = ["model", "weight layers", "activations", "parameters", "multiply-adds"]
    return report.Table(columns, rows, caption="What was found in the traced programs.")


def _number(value: float) -> str:
    whole = float(value).is_integer() and abs(value) >= 1000
    return f"{value:,.0f}" if whole else np.format_float_positional(value, 4, unique=False, fractional=False, trim="-")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
