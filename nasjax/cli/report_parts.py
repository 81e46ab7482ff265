"""Parts that reports of several commands share: rankings, scatter charts, correlations of scores, layer profiles."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasjax import metrics, records, report
from nasjax.cli import ranking
from nasjax.correlation import FEWEST
from nasjax.figures import Profile, interval_figure
from nasjax.report import charts
from nasjax.spaces import registry
from nasjax.types import InputError

LISTED = 100  # rows of a ranking
_LARGEST = 24  # columns of a matrix of correlations


def ranked(
    archs: Sequence[str], columns: Mapping[str, np.ndarray], order: Sequence[int], *, caption: str = "",
    listed: int = LISTED,
) -> report.Table:  # fmt: skip
    """The best architectures as a table.

    Args:
      archs: official encodings, length n.
      columns: heading -> float [n]; what is not finite is a dash.
      order: rows, best first.
      caption: text above the table.
      listed: most rows.

    Returns:
      The table, which says how many rows were left out.
    """
    shown = [int(i) for i in order[:listed]]
    rows = [
        [str(place), report.Code(archs[i]), *(cell(values[i]) for values in columns.values())]
        for place, i in enumerate(shown, 1)
    ]
    if len(shown) < len(archs):
        caption = f"{caption} The best {len(shown):,} of {len(archs):,}.".strip()
    return report.Table(("rank", "architecture", *columns), rows, caption, text_columns=2)


def cell(value: float) -> str:
    """A number of a table, or a dash."""
    if not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e10 else ranking.number(value)


def scatter(
    name: str,
    archs: Sequence[str],
    columns: Mapping[str, np.ndarray],
    *,
    x: str,
    y: str,
    caption: str = "",
    **options: Any,
) -> report.Chart:
    """A scatter chart of two columns, others to choose from.

    Args:
      name: name of the PNG file.
      archs: official encodings, length n.
      columns: label -> float [n].
      x: label of the horizontal axis.
      y: label of the vertical axis.
      caption: text under it, before the sentence on how to see architectures.
      **options: as ``nasjax.report.charts.scatter``.

    Returns:
      The chart.
    """
    labels = list(columns)
    text = f"{caption} An architecture a point; pointing at it, or touching it, draws it.".strip()
    return charts.scatter(
        name, [charts.column(label, values) for label, values in columns.items()], archs=archs, x=labels.index(x),
        y=labels.index(y), alt=f"{y} over {x}, an architecture a point.", caption=text, **options,
    )  # fmt: skip


def agreement(columns: Mapping[str, np.ndarray], *, name: str = "agreement") -> report.Chart | None:
    """How alike scores rank: Spearman's correlation of each pair, on architectures that have both.

    Args:
      columns: label -> float [n]; what is not finite is left out, pair by pair.
      name: name of the PNG file.

    Returns:
      The chart; None for fewer than two columns or three architectures.
    """
    labels = list(columns)[:_LARGEST]
    values = np.asarray([columns[label] for label in labels], float)
    if len(labels) < 2 or np.isfinite(values).sum(1).max(initial=0) < FEWEST:
        return None
    matrix = np.full((len(labels), len(labels)), np.nan)
    for i in range(len(labels)):
        for j in range(i + 1):
            both = np.isfinite(values[i]) & np.isfinite(values[j])
            if both.sum() >= FEWEST:
                matrix[i, j] = matrix[j, i] = metrics.spearman(values[i][both], values[j][both])
    caption = "Spearman's correlation of each pair: 1 ranks the same, 0 unrelated, -1 the other way round. Proxies that"
    caption += " rank alike tell the same; a pair that does not may complement each other."
    if len(labels) < len(columns):
        caption += f" The first {len(labels)} of {len(columns)} are shown."
    said = "; ".join(f"{labels[i]} and {labels[j]} {matrix[i, j]:.2f}" for i in range(len(labels)) for j in range(i))
    return charts.matrix(name, labels, labels, matrix, alt=f"Matrix of rank correlations: {said}", caption=caption)


def depth_profile(profile: Profile, *, name: str = "interval", alt: str = "", draw: Any = None) -> report.Chart:
    """Statistics of gradients over the depth of the networks, the chosen interval shaded.

    Args:
      profile: by depth-percentile bin.
      name: name of the PNG file.
      alt: for those who do not see it.
      draw: the same with matplotlib; `nasjax.figures.interval_figure` by default.

    Returns:
      The chart.
    """
    mean, deviation = np.asarray(profile.mean, float), np.asarray(profile.deviation, float)
    width = 100.0 / mean.size
    span = None
    if profile.interval is not None:
        span = (profile.interval[0] * width, (profile.interval[1] + 1) * width)
    return charts.curves(
        name, (np.arange(mean.size) + 0.5) * width, {"log σ": mean},
        labels=("depth of the layer, % of the network", "log σ of the gradients"),
        alt=alt or "Mean of log sigma of the gradients by depth.",
        caption="Mean over networks of the logarithm of the gradients' standard deviation over mini-batches; the band"
        " is one standard deviation over networks, the chosen interval is shaded.",
        band=(mean - deviation, mean + deviation), span=span,
        draw=draw or (lambda theme: interval_figure(profile, theme=theme)),
    )  # fmt: skip


def parameters(space: Any, archs: Sequence[str]) -> np.ndarray | None:
    """Numbers of parameters.

    Args:
      space: search space.
      archs: official encodings.

    Returns:
      Float64 [n]; None where the space does not count them.
    """
    try:
        return np.asarray(space.num_params(space.decode(list(archs))), float)
    except InputError:
        return None


def space_of(workdir: pathlib.Path) -> Any:
    """The search space of a run, with its options, so that its architectures can be drawn.

    Args:
      workdir: directory of the run.

    Returns:
      The space; None where the directory does not say.
    """
    try:
        config = json.loads((workdir / records.CONFIG_FILENAME).read_text(encoding="utf-8"))
        return made(config["space"], config.get("space_options") or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def made(name: str, options: Mapping[str, Any]) -> Any:
    """A search space, or None where name or options are none.

    Args:
      name: of the space.
      options: as JSON has them.

    Returns:
      The space.
    """
    if name not in registry.names():
        return None
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    try:
        return registry.get_space(name, **given)
    except (InputError, TypeError):
        return None


def best(values: np.ndarray, *, share: float = 0.1) -> np.ndarray:
    """Bool [n]: the best of the finite numbers, at least one of them where there is any."""
    finite = np.isfinite(values)
    found = np.zeros(len(values), bool)
    order = np.argsort(np.where(finite, -values, np.inf), kind="stable")
    found[order[: min(int(finite.sum()), max(1, round(share * int(finite.sum()))))]] = True
    return found
