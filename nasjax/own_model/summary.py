"""What scoring many models leaves in a directory: a table of scores and a report."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import environment, records, report
from nasjax.own_model import contents
from nasjax.own_model.space import OwnModel
from nasjax.report import charts


def write(
    workdir: str | os.PathLike[str], result: Any, spaces: Mapping[str, OwnModel], batches: Any,
    options: Mapping[str, str],
) -> None:  # fmt: skip
    """Writes ``scores.csv``, and ``report.html`` with its figure.

    Args:
      workdir: directory.
      result: a ``ScoreResult``.
      spaces: name of a model -> the model as a space.
      batches: the images.
      options: of the call: name -> value, for the report.

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
    shown = _columns(result, spaces)
    sections = [report.Section("Ranking", [
        "Higher is better. A click on a heading sorts.", _scores(result), *_remarks(result),
    ])]  # fmt: skip
    if len(result.archs) > 2:
        first = next(iter(result.scores))
        sections.append(report.Section("Scores and size", [charts.scatter(
            "scores", [charts.column(label, values) for label, values in shown.items()], archs=result.archs,
            x=list(shown).index("parameters"), y=list(shown).index(first),
            alt=f"{first} over parameters, a model a point.",
            caption="A model a point; pointing at it, or touching it, tells its name.",
        )]))  # fmt: skip
    sections.append(report.Section("Models", [_models(spaces)]))
    called = "".join(f"{name}={value}\n" for name, value in options.items())
    facts = environment.describe() | {"Images": f"sha256 {batches.fingerprint[:16]}"}
    report.write_report(
        folder / "report.html",
        title="Scores of models",
        summary=_summary(result),
        facts={
            "Models": str(len(result.archs)), "Proxies": ", ".join(result.scores),
            "Images": f"{images.shape[0]} batches of {images.shape[1]}, {batches.source}",
            "Size of an image": _size(images.shape[2:]),
        },
        sections=sections, repeat=report.Repeat("", f"nasjax.own_model.score_models\n{called}", facts),
    )  # fmt: skip


def key_text(key: Any) -> str:
    """A key as one may write it again.

    Args:
      key: of `jax.random`, or None for the usual one.

    Returns:
      such as "jax.random.key(0)".
    """
    if key is None:
        return "jax.random.key(0)"
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    words = np.asarray(jax.random.key_data(key) if typed else key).tolist()
    made = jax.random.key_data(jax.random.key(words[-1])).tolist()
    if typed and made == words and jax.random.key_impl(key) == jax.random.key_impl(jax.random.key(0)):
        return f"jax.random.key({words[-1]})"
    return f"jax.random.wrap_key_data(jax.numpy.array({words}, 'uint32'))" if typed else f"array {words}"


def _summary(result: Any) -> str:
    name = next(iter(result.scores))
    best = int(result.ranking(name)[0])
    if not result.valid[name][best]:
        return f"None of the {len(result.archs)} models has a valid score by {name}."
    value = _number(result.scores[name][best])
    return f"{name} puts {result.archs[best]} first of {len(result.archs)} models, with {value}."


def _columns(result: Any, spaces: Mapping[str, OwnModel]) -> dict[str, np.ndarray]:
    """Scores, NaN where invalid, and sizes."""
    found = {name: np.where(result.valid[name], result.scores[name], np.nan) for name in result.scores}
    table = contents.table(spaces)
    sizes = {"parameters": table["params"], "multiply-adds": table["flops"]}
    return found | {label: column.to_numpy(float) for label, column in sizes.items()}


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
