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
from nasjax.figures import Profile, correlation_figure, interval_figure, number, readable
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
    texts = [
        cells(np.asarray(values, float)[shown], decimals=2 if name.endswith("%") else None)
        for name, values in columns.items()
    ]
    rows = [
        [str(place + 1), report.Code(archs[i]), *(column[place] for column in texts)] for place, i in enumerate(shown)
    ]
    if len(shown) < len(archs):
        caption = f"{caption} The best {len(shown):,} of {len(archs):,} are listed.".strip()
    return report.Table(("rank", "architecture", *columns), rows, caption, text_columns=2)


def cells(values: np.ndarray, *, digits: int = 4, decimals: int | None = None) -> list[str]:
    """The numbers of a column of a table.

    Args:
      values: float [n].
      digits: of the largest one, where it is below ten to this power.
      decimals: of all of them, in place of ``digits``.

    Returns:
      Texts with as many decimals each, so that they stand one below the other, unless that would hide what the small
      ones are; a dash for what is not finite.
    """
    sizes = np.abs(values[np.isfinite(values)])
    if not sizes.size:
        return ["–"] * len(values)
    if decimals is not None:
        return [_cell(v, decimals) for v in values]
    top = float(sizes.max())
    whole = bool((values[np.isfinite(values)] % 1 == 0).all())
    decimals = 0 if whole else max(0, digits - (len(f"{top:.0f}") if top >= 1 else 0))
    alike = 1e-2 < top < 1e10 and ((sizes > 0) & (sizes < 10.0 ** (1 - decimals))).mean() < 0.3
    return [_cell(v, decimals if alike or (whole and top < 1e10) else None) for v in values]


def _cell(value: float, decimals: int | None) -> str:
    if not np.isfinite(value):
        return "–"
    if decimals is not None:
        return f"{value + 0.0:,.{decimals}f}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e10 else ranking.number(value)


def drawings(space: Any, archs: Sequence[str], *charts: report.Chart) -> report.Drawings:
    """Drawings of what tables list and charts show.

    Args:
      space: search space; None draws none.
      archs: official encodings, best first.
      *charts: charts of architectures.

    Returns:
      The drawings: of the best, which tables list, of the points of the charts, then of the others.
    """
    pointed = {arch for chart in charts for arch in chart.archs}
    listed = list(archs[:LISTED])
    return report.drawings(space, [*listed, *(arch for arch in archs if arch in pointed), *archs])


def brief(arch: str) -> str:
    """An encoding in a sentence: the beginning of a very long one."""
    return arch if len(arch) <= 120 else f"{arch[:60].rstrip()}…"


def percent(label: str, values: Any) -> str:
    """A label with its unit where the numbers are accuracies in percent."""
    numbers = np.asarray(values, float)
    numbers = numbers[np.isfinite(numbers)]
    good = numbers.size and numbers.min() >= 0 and 1.5 < numbers.max() <= 100
    return f"{label}, %" if good and label.endswith("accuracy") else label


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
    caption = "Spearman's correlation of each pair: 1 ranks the same, 0 unrelated, \N{MINUS SIGN}1 the other way round."
    caption += " Proxies that rank alike tell the same; a pair that does not may complement each other."
    if len(labels) < len(columns):
        caption += f" The first {len(labels)} of {len(columns)} are shown."
    said = "; ".join(f"{labels[i]} and {labels[j]} {matrix[i, j]:.2f}" for i in range(len(labels)) for j in range(i))
    return charts.matrix(name, labels, labels, matrix, alt=f"Matrix of rank correlations: {said}", caption=caption)


def correlations(name: str, table: Any, *, caption: str, accuracy: str = "test accuracy", of: str = "") -> report.Chart:
    """Spearman's correlation of proxies with accuracies, with intervals, the best on top.

    Args:
      name: name of the PNG file.
      table: columns proxy, target, spearman, low, high.
      caption: text under it.
      accuracy: what the correlation is with, for the axis.
      of: what the rows are, for those who do not see the chart; a proxy by default.

    Returns:
      The chart.
    """
    means = table.groupby("proxy", sort=False)["spearman"].mean()
    rows = [str(row) for row in means.sort_values(ascending=False, na_position="last", kind="stable").index]
    series = {}
    for target, part in table.groupby("target", sort=False):
        placed = part.set_index("proxy").reindex(rows)
        series[readable(str(target))] = tuple(placed[column].to_numpy(float) for column in ("spearman", "low", "high"))
    said = "; ".join(f"{r.proxy} {number(r.spearman)} with {readable(r.target)}" for r in table.itertuples())
    return charts.dots(
        name, rows, series, label=f"Spearman rank correlation with {accuracy}", caption=caption,
        alt=f"Spearman correlation of each {of or 'proxy'}: {said}",
        draw=lambda theme: correlation_figure(table, accuracy=accuracy, theme=theme),
    )  # fmt: skip


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
