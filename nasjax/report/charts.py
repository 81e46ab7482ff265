"""Charts of reports: points that show their architecture, heat maps, curves."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nasjax.figure_style import Theme
from nasjax.figures import number
from nasjax.report import stills
from nasjax.report.model import Chart, Column

MOST_POINTS = 3000  # of one chart; a browser stays quick
_MARKED = 12  # points of a curve that are marked one by one, and whole numbers that are all ticks


def column(label: str, values: Any) -> Column:
    """Numbers of an axis: logarithmic, or cut below, where a few numbers would flatten all others.

    Args:
      label: what they are.
      values: float [n].

    Returns:
      The column. Logarithmic where positive and the largest is thirty times the median; else the axis begins shortly
      below the lowest fiftieth where the others lie further away from it than all the rest spreads.
    """
    numbers = np.asarray(values, float)
    finite = numbers[np.isfinite(numbers)]
    if finite.size < 3:
        return Column(label, numbers)
    if finite.min() > 0 and finite.max() > 30 * np.median(finite):
        return Column(label, numbers, log=True)
    edge, top = float(np.quantile(finite, 0.02)), float(finite.max())
    far = finite.size >= 50 and finite.min() < edge - (top - edge) and top > edge
    return Column(label, numbers, low=edge - 0.12 * (top - edge) if far else None)


def scatter(
    name: str,
    columns: Sequence[Column],
    *,
    archs: Sequence[str],
    alt: str,
    caption: str,
    x: int = 0,
    y: int = 1,
    best: np.ndarray | None = None,
    ring: int | None = None,
    line: tuple[Any, Any] | None = None,
    draw: Callable[[Theme], Figure] | None = None,
    height: int = 440,
) -> Chart:
    """Points of two columns, an architecture each, which is shown under the pointer.

    Args:
      name: name of the PNG file, without ending.
      columns: what the axes may show; with more than two the reader chooses.
      archs: architecture of each point, length n.
      alt: what the chart shows, for those who do not see it.
      caption: text under it.
      x: column of the horizontal axis.
      y: column of the vertical axis.
      best: bool [n], drawn in the second colour.
      ring: a point with a ring around it.
      line: x and y, float [k], joined by steps, such as a Pareto front; shown for the columns that come first alone.
      draw: the same with matplotlib; a plain drawing by default.
      height: in pixels.

    Returns:
      The chart. Of more than ``MOST_POINTS`` points, the highlighted ones, the best of the vertical axis and others
      drawn at random are kept, and the caption says so.
    """
    total = len(archs)
    marked = np.zeros(total, bool) if best is None else np.asarray(best, bool)
    kept = _thinned(columns[y].values, np.concatenate([np.flatnonzero(marked), [] if ring is None else [ring]]))
    if len(kept) < total:
        caption += f" {len(kept):,} of {total:,} architectures are shown: the best, and others at random."
    if any(col.low is not None for col in columns):
        caption += " Numbers far below the others lie outside the first view; a double click shows them."
    rows, high = np.arange(len(kept)), marked[kept]
    size = float(np.clip(90 / np.sqrt(max(len(kept), 1)), 4, 9))
    traces: list[dict[str, Any]] = [_points(rows[~high], "@accent0", size, 0.65)]
    if line is not None:
        traces.append({
            "type": "scatter", "mode": "lines", "line": {"color": "@accent1", "width": 2, "shape": "hv"},
            "x": _plain(line[0]), "y": _plain(line[1]), "hoverinfo": "skip",
        })  # fmt: skip
    traces.append(_points(rows[high], "@accent1", size + 1, 0.9))
    if ring is not None:
        traces.append({
            "type": "scatter", "mode": "markers", "rows": [int(np.searchsorted(kept, ring))], "hoverinfo": "none",
            "marker": {"symbol": "circle-open", "size": 18, "color": "@ink", "line": {"width": 2}},
        })  # fmt: skip
    if draw is None:
        draw = functools.partial(_still, columns[x], columns[y], marked)
    shown = [col._replace(values=col.values[kept]) for col in columns]
    return Chart(name, alt, caption, draw, [t for t in traces if t.get("rows", t.get("x"))], {}, shown, x, y,
                 [archs[i] for i in kept], height)  # fmt: skip


def matrix(
    name: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Any,
    *,
    alt: str,
    caption: str,
    texts: Sequence[Sequence[str]] | None = None,
    titles: tuple[str, str] = ("", ""),
    limits: tuple[float, float] | None = None,
    draw: Callable[[Theme], Figure] | None = None,
) -> Chart:
    """A matrix of correlations as a heat map.

    Args:
      name: name of the PNG file, without ending.
      rows: names.
      columns: names.
      values: float [rows, columns]; NaN is left blank.
      alt: what the chart shows, for those who do not see it.
      caption: text under it.
      texts: what stands in the cells; the numbers by default.
      titles: of the horizontal and of the vertical axis.
      limits: values of the ends of a scale of one colour; -1 to 1 in two colours by default.
      draw: the same with matplotlib; a plain drawing by default.

    Returns:
      The chart.
    """
    numbers = np.asarray(values, float)
    written = texts or [[number(v) if np.isfinite(v) else "" for v in row] for row in numbers]
    low, high = limits or (-1.0, 1.0)
    trace = {
        "type": "heatmap", "x": [html.escape(c) for c in columns], "y": [html.escape(r) for r in rows],
        "z": [_plain(row) for row in numbers], "zmin": low, "zmax": high,
        "text": [[html.escape(cell).replace("\n", "<br>") for cell in row] for row in written],
        "texttemplate": "%{text}", "colorscale": "@sequential" if limits else "@diverging", "showscale": False,
        "xgap": 2, "ygap": 2, "hovertemplate": "%{y}<br>%{x}<br><b>%{text}</b><extra></extra>", "hoverongaps": False,
    }  # fmt: skip
    layout = {
        "xaxis": _categories(columns, titles[0]), "yaxis": {**_categories(rows, titles[1]), "autorange": "reversed"},
    }  # fmt: skip
    if draw is None:
        draw = functools.partial(_still_matrix, rows, columns, numbers, (low, high), limits is None)
    tall = 56 if any("\n" in cell for row in written for cell in row) else 30
    return Chart(name, alt, caption, draw, [trace], layout, height=140 + tall * len(rows))


def curves(
    name: str,
    x: Any,
    series: Mapping[str, Any],
    *,
    labels: tuple[str, str],
    alt: str,
    caption: str,
    band: tuple[Any, Any] | None = None,
    span: tuple[float, float] | None = None,
    marks: Sequence[tuple[float, float, str]] = (),
    level: float | None = None,
    since: float | None = None,
    faint: int = 0,
    whole: bool = False,
    draw: Callable[[Theme], Figure] | None = None,
    height: int = 400,
) -> Chart:
    """Curves over one axis.

    Args:
      name: name of the PNG file, without ending.
      x: float [n].
      series: name -> float [n]; not finite numbers are gaps.
      labels: of the axes.
      alt: what the chart shows, for those who do not see it.
      caption: text under it.
      band: lower and upper edge of a band around the first curve, float [n] each.
      span: part of the horizontal axis that is shaded.
      marks: points with a ring around them: x, y and what they are.
      level: where a dotted horizontal line is drawn.
      since: where a dashed vertical line is drawn.
      faint: how many of the first curves are drawn thin and pale, in one colour and without a legend.
      whole: whether the horizontal axis counts, such as epochs.
      draw: the same with matplotlib; a plain drawing by default.
      height: in pixels.

    Returns:
      The chart.
    """
    places = np.asarray(x, float)
    traces: list[dict[str, Any]] = []
    if band is not None:
        for edge, fill in zip(band, ({}, {"fill": "tonexty", "fillcolor": "@accent0/0.18"}), strict=True):
            traces.append({"type": "scatter", "mode": "lines", "x": _plain(places), "y": _plain(edge), "line":
                           {"width": 0}, "hoverinfo": "skip", "showlegend": False, **fill})  # fmt: skip
    for i, (label, values) in enumerate(series.items()):
        pale, turn = i < faint, max(i - faint, 0) + (faint > 0)
        color = "@accent0/0.35" if pale else f"@accent{turn % 4}"
        dash = ("solid", "dash", "dot")[turn // 4 % 3]
        traces.append({
            "type": "scatter", "mode": "lines" if pale or len(places) > _MARKED else "lines+markers",
            "name": html.escape(label), "x": _plain(places), "y": _plain(values), "showlegend": not pale,
            "line": {"color": color, "width": 1 if pale else 2, "dash": dash}, "marker": {"size": 6},
            "hovertemplate": "%{y:.4g} at %{x:.4g}<extra>" + html.escape(label) + "</extra>",
        })  # fmt: skip
    for across, up, label in marks:
        traces.append({
            "type": "scatter", "mode": "markers", "x": [across], "y": [up], "showlegend": False, "marker":
            {"symbol": "circle-open", "size": 14, "color": "@ink", "line": {"width": 2}},
            "hovertemplate": "%{y:.4g} at %{x:.4g}<extra>" + html.escape(label) + "</extra>",
        })  # fmt: skip
    count = {"dtick": 1} if whole and np.ptp(places) <= _MARKED else {"tickformat": ",d"} if whole else {}
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": html.escape(labels[0])}, **count},
        "yaxis": {"title": {"text": html.escape(labels[1])}},
        "showlegend": len(series) - faint > 1,
    }  # fmt: skip
    layout["shapes"] = [
        *([] if span is None else [{
            "type": "rect", "xref": "x", "yref": "paper", "x0": span[0], "x1": span[1], "y0": 0, "y1": 1,
            "fillcolor": "@accent1/0.16", "line": {"width": 0}, "layer": "below",
        }]),
        *([] if level is None else [{
            "type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": level, "y1": level,
            "line": {"color": "@muted", "width": 1, "dash": "dot"},
        }]),
        *([] if since is None else [{
            "type": "line", "xref": "x", "yref": "paper", "x0": since, "x1": since, "y0": 0, "y1": 1,
            "line": {"color": "@muted", "width": 1, "dash": "dash"},
        }]),
    ]  # fmt: skip
    if draw is None:
        draw = functools.partial(_still_curves, places, series, labels)
    return Chart(name, alt, caption, draw, traces, layout, height=height)


def dots(
    name: str,
    rows: Sequence[str],
    series: Mapping[str, tuple[Any, Any, Any]],
    *,
    label: str,
    alt: str,
    caption: str,
    draw: Callable[[Theme], Figure],
) -> Chart:
    """Numbers with their intervals, a row each, the first one on top.

    Args:
      name: name of the PNG file, without ending.
      rows: names.
      series: name -> number, lower and upper end, float [rows] each; NaN is left out.
      label: of the horizontal axis, whose numbers are correlations.
      alt: what the chart shows, for those who do not see it.
      caption: text under it.
      draw: the same with matplotlib.

    Returns:
      The chart.
    """
    traces: list[dict[str, Any]] = []
    step = 0.72 / max(len(series), 3)
    ends = [0.0]
    for i, (title, parts) in enumerate(series.items()):
        values, low, high = (np.asarray(part, float) for part in parts)
        low, high = (np.where(np.isfinite(part), part, values) for part in (low, high))
        places = np.arange(len(rows)) + (i - (len(series) - 1) / 2) * step
        ends += [v for part in (values, low, high) for v in part[np.isfinite(part)]]
        said = [f"{html.escape(row)}<br><b>{number(v)}</b>" + (f" ({number(a)} to {number(b)})" if a < b else "")
                for row, v, a, b in zip(rows, values, low, high, strict=True)]  # fmt: skip
        traces.append({
            "type": "scatter", "mode": "markers", "name": html.escape(title), "x": _plain(values), "y": _plain(places),
            "marker": {"color": f"@accent{i % 4}", "size": 9}, "text": said,
            "hovertemplate": "%{text}<extra>" + html.escape(title) + "</extra>",
            "error_x": {"type": "data", "symmetric": False, "array": _plain(high - values), "arrayminus":
                        _plain(values - low), "color": f"@accent{i % 4}/0.45", "thickness": 2.5, "width": 0},
        })  # fmt: skip
        traces.append({
            "type": "scatter", "mode": "text", "x": _plain(high), "y": _plain(places), "hoverinfo": "skip",
            "text": [f"  {number(v)}" for v in values], "textposition": "middle right", "showlegend": False,
            "textfont": {"size": 10, "color": "@muted"}, "cliponaxis": False,
        })  # fmt: skip
    span = max(max(ends) - min(ends), 0.2)
    layout = {
        "xaxis": {"title": {"text": html.escape(label)}, "range": [min(ends) - 0.04 * span, max(ends) + 0.14 * span],
                  "zerolinecolor": "@muted"},
        "yaxis": {**_categories(rows, ""), "type": "linear", "range": [len(rows) - 0.4, -0.6], "zeroline": False},
        "showlegend": len(series) > 1,
    }  # fmt: skip
    return Chart(name, alt, caption, draw, traces, layout, height=100 + len(rows) * (18 + 13 * len(series)))


def _points(rows: np.ndarray, color: str, size: float, opacity: float) -> dict[str, Any]:
    """Points of a scatter chart; the page fills in places and shows architectures itself."""
    return {"type": "scatter", "mode": "markers", "rows": [int(i) for i in rows], "hoverinfo": "none",
            "marker": {"color": color, "size": round(size, 1), "opacity": opacity}}  # fmt: skip


def _categories(names: Sequence[str], title: str) -> dict[str, Any]:
    """An axis of names; long ones are cut, and whole under the pointer."""
    short = [name if len(name) <= 24 else f"{name[:23]}…" for name in names]
    return {"type": "category", "showgrid": False, "title": {"text": html.escape(title)}, "tickmode": "array",
            "tickvals": list(range(len(names))), "ticktext": [html.escape(name) for name in short]}  # fmt: skip


def _thinned(values: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """Which points are kept, int [at most MOST_POINTS, or those that are needed], in order."""
    if len(values) <= MOST_POINTS:
        return np.arange(len(values))
    kept = np.zeros(len(values), bool)
    kept[np.asarray(needed, int)] = True
    kept[np.argsort(np.where(np.isfinite(values), -values, np.inf), kind="stable")[: MOST_POINTS // 2]] = True
    others = np.random.default_rng(0).permutation(np.flatnonzero(~kept))
    kept[others[: max(0, MOST_POINTS - int(kept.sum()))]] = True
    return np.flatnonzero(kept)


def _plain(values: Any) -> list[float | None]:
    """Numbers as JSON has them, six digits, None where there is none."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in np.asarray(values, float)]


def _still(x: Column, y: Column, best: np.ndarray, theme: Theme) -> Figure:
    return stills.points(x.values, y.values, labels=(x.label, y.label), log=(x.log, y.log), best=best, theme=theme)


def _still_matrix(
    rows: Sequence[str], columns: Sequence[str], values: np.ndarray, limits: tuple[float, float], diverging: bool,
    theme: Theme,
) -> Figure:  # fmt: skip
    return stills.matrix(rows, columns, values, limits=limits, diverging=diverging, theme=theme)


def _still_curves(x: np.ndarray, series: Mapping[str, Any], labels: tuple[str, str], theme: Theme) -> Figure:
    drawn = {name: np.asarray(values, float) for name, values in series.items()}
    return stills.lines(x, drawn, labels=labels, theme=theme)
