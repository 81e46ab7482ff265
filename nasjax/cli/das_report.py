"""What launch.das_search prints and writes."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.console import Console

from nasjax import records, report
from nasjax.cli import common
from nasjax.das.ops import OPERATIONS
from nasjax.report import charts

# Of magnitudes; zoom is a factor, shears are slopes.
_UNITS = {"rotate": " degrees", "translate_x": " of the width", "translate_y": " of the height"}
GENOTYPE, JSON, REPORT, CSV = "genotype.json", "result.json", "report.html", "search.csv"


def show(console: Console, found: Sequence[Any]) -> None:
    """Prints what was found.

    Args:
      console: where to.
      found: a result a seed.
    """
    for seed, result in enumerate(found):
        name = "Found" if len(found) == 1 else f"Seed {seed}"
        console.print(f"{name}: {result.genotype}", markup=False, soft_wrap=True)
    first = found[0]
    last = first.history[-1]
    console.print(f"Largest alpha would be: {first.argmax}", markup=False, soft_wrap=True)
    console.print(f"Accuracy in the last epoch: {last['train_accuracy']:.1%} on the images of the weights,"
                  f" {last['valid_accuracy']:.1%} on those of alpha. Search time: {common.duration(first.seconds)}",
                  markup=False, soft_wrap=True)  # fmt: skip


def write(
    workdir: pathlib.Path, found: Sequence[Any], images: np.ndarray, facts: Mapping[str, str], *,
    repeat: report.Repeat | None = None,
) -> pathlib.Path:  # fmt: skip
    """Writes genotype.json (of the first seed), search.csv, result.json and report.html with its figures.

    Args:
      workdir: where to.
      found: a result a seed.
      images: float [n, height, width, channels], normalised, whose frames are shown.
      facts: short name -> value, shown at the top of the report.
      repeat: what was run, for the report.

    Returns:
      The report.

    Raises:
      InputError: a file cannot be written.
    """
    first = found[0]
    for seed, result in enumerate(found):
        result.genotype.save(workdir / (GENOTYPE if seed == 0 else f"genotype_{seed}.json"))
    with records.replaced(workdir / CSV) as file:
        first.table().to_csv(file, index=False)
    with records.replaced(workdir / JSON) as file:
        file.write(json.dumps([_summary(result) for result in found], indent=1, allow_nan=False) + "\n")
    last = first.history[-1]
    shown = {
        **facts,
        "Seeds": str(len(found)),
        "Accuracy on alpha's images": f"{last['valid_accuracy']:.1%}",
        "Search time": common.duration(first.seconds),
    }
    return report.write_report(
        workdir / REPORT, title="Images into videos", summary=_chosen(first), facts=shown,
        sections=_sections(found, images), repeat=repeat,
    )  # fmt: skip


def _chosen(result: Any) -> str:
    genes = [f"{_named(gene.op)} from {_source(gene.source, result.cell)} to node {gene.node}"
             for gene in result.genotype.genes]  # fmt: skip
    return f"The search chose {', '.join(genes[:4])}{f' and {len(genes) - 4} more' if len(genes) > 4 else ''}."


def _named(op: str) -> str:
    return op.replace("_", " ")


def _magnitude(gene: Any) -> str:
    """A magnitude with its unit."""
    if OPERATIONS[gene.op].rule == "none":
        return "–"
    text = f"{gene.magnitude:.3g}".replace("-", "\N{MINUS SIGN}")
    return f"{text}{_UNITS.get(gene.op, '')}"


def _sections(found: Sequence[Any], images: np.ndarray) -> list[report.Section]:
    from nasjax.das import apply_cell, figures

    first, picture = found[0], report.Picture
    cell = first.cell
    videos = np.asarray(apply_cell(first.genotype, jnp.asarray(images)))
    if cell.mean:
        videos = videos * np.asarray(cell.std) + np.asarray(cell.mean)
    frames = picture("frames", "Frames of the chosen cell, an image a row", "What the network sees: each row is one"
                     " image turned into a video by the chosen cell. Level 0 is the image as it was.",
                     lambda theme: figures.frames_figure(videos, cell.levels, theme=theme),
                     lambda theme: figures.frames_figure(videos, cell.levels, theme=theme, narrow=True))  # fmt: skip
    alphas = picture("alphas", "Weight of every operation on every edge", "Softmax of alpha over the epochs. A ring"
                     " marks the operation that was chosen; edges without one were dropped.",
                     lambda theme: figures.alpha_figure(first, theme=theme),
                     lambda theme: figures.alpha_figure(first, theme=theme, narrow=True))  # fmt: skip
    genes = [[f"{gene.node}", _source(gene.source, cell), _named(gene.op), _magnitude(gene)]
             for gene in first.genotype.genes]  # fmt: skip
    chosen = report.Table(("to node", "from", "operation", "magnitude"), genes, "The chosen cell", 3)
    sections = [report.Section("The frames", [frames]), report.Section("The cell", [chosen, alphas])]
    if first.events:
        rows = [_event(event, cell) for event in first.events]
        table = report.Table(("epoch", "subject", "decision", "accuracy without it", "all that were tried"), rows,
                             "Choices by perturbation, in order", 3)  # fmt: skip
        sections.append(report.Section("The choices", [table]))
    if len(found) > 1:
        rows = [[str(i), str(result.genotype)] for i, result in enumerate(found)]
        sections.append(report.Section("All seeds", [report.Table(("seed", "genotype"), rows, "", 2)]))
    return [*sections, report.Section("The course of the search", _course(first))]


def _course(first: Any) -> list[report.Chart]:
    """Loss and entropy over the epochs."""
    from nasjax.das import figures

    edges = {f"{_source(source, first.cell)} to node {node}": first.entropy[:, i]
             for i, (node, source) in enumerate(first.cell.edges)}  # fmt: skip
    loss = charts.curves(
        "course", [row["epoch"] + 1 for row in first.history],
        {label: [row[name] for row in first.history]
         for name, label in (("train_loss", "images of the weights"), ("valid_loss", "images of alpha"))},
        labels=("epoch", "loss"), since=first.config.epochs if first.events else None, whole=True, height=340,
        alt="Loss over the epochs", caption="Loss while training. Behind the dashed line operations are chosen one by"
        " one, with fine-tuning in between.", draw=lambda theme: figures.course_figure(first, theme=theme),
    )  # fmt: skip
    entropy = charts.curves(
        "entropy", np.arange(len(first.entropy)), edges | {"mean of the edges": first.entropy.mean(1)},
        labels=("epoch", "entropy, share of the largest"), faint=len(edges), whole=True, height=340,
        alt="Entropy of every edge over the epochs",
        caption="Entropy of the operations of each edge, as a share of that of the uniform law; the strong line is the"
        " mean.",
        draw=lambda theme: figures.entropy_figure(first, theme=theme),
    )  # fmt: skip
    return [loss, entropy]


def _source(source: int, cell: Any) -> str:
    return f"input {source}" if source < cell.num_inputs else f"node {source - cell.num_inputs}"


def _event(event: Any, cell: Any) -> list[str]:
    tried = [value for value in event.accuracy if math.isfinite(value)]
    if event.edge >= 0:
        node, source = cell.edges[event.edge]
        subject = f"{_source(source, cell)} to node {node}"
        decision, own = _named(cell.names[event.chosen]), event.accuracy[event.chosen]
    else:
        subject, own = f"edges of node {event.node}", max(tried)
        decision = f"drops that from {_source(cell.edges[event.chosen][1], cell)}"
    spread = f"{min(tried):.1%} to {max(tried):.1%}"
    return [str(event.epoch), subject, decision, f"{own:.1%}", spread]


def _summary(result: Any) -> dict[str, Any]:
    return {
        "genotype": [list(gene) for gene in result.genotype.genes],
        "argmax": [list(gene) for gene in result.argmax.genes],
        "alpha": np.asarray(result.alphas[len(result.history)], float).tolist(),
        "magnitudes": np.asarray(result.magnitudes, float).tolist(),
        "entropy": [float(row.mean()) for row in result.entropy[: len(result.history) + 1]],
        "history": result.history,
        "events": [
            {**event._asdict(), **{name: [_finite(v) for v in getattr(event, name)] for name in ("accuracy", "loss")}}
            for event in result.events
        ],
        "seconds": result.seconds,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
