"""Figures of reports: how scores follow accuracies, and how statistics run through the depth of a network.

Every function returns a matplotlib ``Figure`` made with the object interface, so nothing global changes and no
display is needed. ``theme`` chooses the colours for a light or a dark page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import stats

from nasjax.figure_style import PALETTES as PALETTES
from nasjax.figure_style import PHONE as PHONE
from nasjax.figure_style import Palette as Palette
from nasjax.figure_style import Theme as Theme
from nasjax.figure_style import chart, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike


class Profile(Protocol):
    """What ``interval_figure`` draws: gradient statistics by depth-percentile bin."""

    @property
    def mean(self) -> ArrayLike:
        """Float [bins]: mean over networks of the log of sigma; NaN where no layer fell into the bin."""

    @property
    def deviation(self) -> ArrayLike:
        """Float [bins]: standard deviation over networks."""

    @property
    def interval(self) -> tuple[int, int] | None:
        """First and last chosen bin, inclusive; None when all layers are kept."""


class Panel(NamedTuple):
    """One proxy against one accuracy.

    Attributes:
      proxy: name of the proxy.
      scores: float [n], higher is better, finite.
      accuracies: float [n], finite.
      rho: Spearman's rank correlation.
      tau: Kendall's tau-b.
      interval: lower and upper end of the interval of rho.
    """

    proxy: str
    scores: np.ndarray
    accuracies: np.ndarray
    rho: float
    tau: float
    interval: tuple[float, float]


def scatter_figure(
    scores: ArrayLike,
    accuracies: ArrayLike,
    *,
    proxy: str,
    target: str,
    rho: float,
    tau: float,
    interval: tuple[float, float],
    top: float = 0.1,
    theme: Theme = "light",
) -> Figure:
    """Draws accuracy over score, an architecture a point, the best by accuracy highlighted.

    Args:
      scores: float [n], finite.
      accuracies: float [n], finite.
      proxy: name of the proxy.
      target: name of the accuracy.
      rho: Spearman's rank correlation, shown.
      tau: Kendall's tau-b, shown.
      interval: interval of rho, shown.
      top: which fraction of the architectures, best by accuracy, is highlighted.
      theme: colours.

    Returns:
      The figure.
    """
    panel = Panel(proxy, np.asarray(scores, float), np.asarray(accuracies, float), rho, tau, interval)
    return scatter_grid([panel], target=target, top=top, theme=theme)


def rank_figure(
    scores: ArrayLike,
    accuracies: ArrayLike,
    *,
    proxy: str,
    target: str,
    rho: float,
    tau: float,
    interval: tuple[float, float],
    top: float = 0.1,
    theme: Theme = "light",
) -> Figure:
    """Draws rank by accuracy over rank by score; the corner where both are at the top is marked.

    Args:
      scores: float [n], finite.
      accuracies: float [n], finite.
      proxy: name of the proxy.
      target: name of the accuracy.
      rho: Spearman's rank correlation, shown.
      tau: Kendall's tau-b, shown.
      interval: interval of rho, shown.
      top: fraction of architectures that makes the marked corner.
      theme: colours.

    Returns:
      The figure.
    """
    panel = Panel(proxy, np.asarray(scores, float), np.asarray(accuracies, float), rho, tau, interval)
    return rank_grid([panel], target=target, top=top, theme=theme)


def scatter_grid(
    panels: Sequence[Panel], *, target: str, top: float = 0.1, theme: Theme = "light", narrow: bool = False
) -> Figure:
    """Draws ``scatter_figure`` for several proxies on one sheet.

    Args:
      panels: one entry a proxy.
      target: name of the accuracy.
      top: which fraction, best by accuracy, is highlighted.
      theme: colours.
      narrow: for a phone, `nasjax.figure_style.PHONE` inches wide.

    Returns:
      The figure.
    """
    figure, axes = _sheet(len(panels), theme, narrow)
    for axis, panel in zip(axes, panels, strict=True):
        _scatter(axis, panel, top, PALETTES[theme], narrow)
    _label(figure, "score (higher is better)", readable(target), theme)
    return figure


def rank_grid(
    panels: Sequence[Panel], *, target: str, top: float = 0.1, theme: Theme = "light", narrow: bool = False
) -> Figure:
    """Draws ``rank_figure`` for several proxies on one sheet.

    Args:
      panels: one entry a proxy.
      target: name of the accuracy.
      top: fraction of architectures that makes the marked corner.
      theme: colours.
      narrow: for a phone, `nasjax.figure_style.PHONE` inches wide.

    Returns:
      The figure.
    """
    figure, axes = _sheet(len(panels), theme, narrow)
    for axis, panel in zip(axes, panels, strict=True):
        _ranks(axis, panel, top, PALETTES[theme], narrow)
    _label(figure, "rank by score (1 is best)", f"rank by {readable(target)}", theme)
    return figure


def correlation_figure(table: pd.DataFrame, *, accuracy: str = "test accuracy", theme: Theme = "light") -> Figure:
    """Draws Spearman's rho of every proxy with every target, with its interval, the best proxy on top.

    Args:
      table: columns proxy, target, spearman, low, high; a row for each pair.
      accuracy: what the correlation is with, for the axis.
      theme: colours.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    targets = list(dict.fromkeys(table["target"]))
    order = table.groupby("proxy", sort=False)["spearman"].mean().sort_values(na_position="first").index
    place = {proxy: i for i, proxy in enumerate(order)}
    figure, axis = chart((9.0, 1.2 + len(order) * (0.2 + 0.13 * len(targets))), palette)
    step = 0.72 / max(len(targets), 3)
    for i, target in enumerate(targets):
        rows = table[table["target"] == target]
        color = palette.accents[i % len(palette.accents)]
        y = np.array([place[proxy] for proxy in rows["proxy"]]) + ((len(targets) - 1) / 2 - i) * step
        axis.hlines(y, rows["low"], rows["high"], color=color, linewidth=2.2, alpha=0.45)
        axis.plot(rows["spearman"], y, "o", color=color, markersize=6.5, label=readable(target))
        for x, height, text in zip(rows["high"], y, rows["spearman"], strict=True):
            if np.isfinite(text):
                axis.annotate(
                    number(text), (x, height), xytext=(5, 0), textcoords="offset points", va="center",
                    fontsize=8.5, color=palette.muted,
                )  # fmt: skip
    axis.set_yticks(range(len(order)), order, fontsize=11, color=palette.ink)
    axis.set_ylim(-0.6, len(order) - 0.4)
    low, high = np.nanmin([0.0, *table["low"]]), np.nanmax([0.0, *table["high"]])
    axis.set_xlim(low - 0.03, max(high + 0.09, 0.2))
    axis.axvline(0.0, color=palette.muted, linewidth=1)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(f"Spearman rank correlation with {accuracy}", color=palette.ink, fontsize=10.5)
    legend = axis.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(targets), frameon=False, fontsize=10, handletextpad=0.2
    )
    for text in legend.get_texts():
        text.set_color(palette.ink)
    return figure


def interval_figure(profile: Profile, *, theme: Theme = "light") -> Figure:
    """Draws log sigma of the gradients over depth, the interval of layers that was chosen shaded.

    Args:
      profile: mean and deviation by depth-percentile bin, and the interval.
      theme: colours.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    mean = np.asarray(profile.mean, float)
    deviation = np.asarray(profile.deviation, float)
    width = 100.0 / mean.size
    x = (np.arange(mean.size) + 0.5) * width
    figure, axis = chart((8.0, 4.0), palette)
    if profile.interval is None:
        note = "no clear peak: all layers are kept"
    else:
        low, high = profile.interval[0] * width, (profile.interval[1] + 1) * width
        axis.axvspan(low, high, color=palette.accents[1], alpha=0.16, linewidth=0)
        note = f"chosen layers: {low:.0f}-{high:.0f} % of depth"
    axis.fill_between(x, mean - deviation, mean + deviation, color=palette.accents[0], alpha=0.18, linewidth=0)
    axis.plot(x, mean, "o-", color=palette.accents[0], markersize=6, linewidth=1.8)
    axis.set_title(note, loc="left", fontsize=11.5, color=palette.ink)
    axis.set_xlim(0, 100)
    axis.set_xticks(np.linspace(0, 100, mean.size + 1))
    axis.set_xlabel("depth of the layer, % of the network", color=palette.ink, fontsize=10.5)
    axis.set_ylabel("log σ of the gradients", color=palette.ink, fontsize=10.5)
    return figure


def number(value: float, *, digits: int = 2) -> str:
    """Writes a correlation the way tables do: .83, -.05, 1.00.

    Args:
      value: a number, usually between -1 and 1.
      digits: decimal places.

    Returns:
      The text; a dash for NaN.
    """
    if not np.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return (text.replace("0.", ".", 1) if abs(float(text)) < 1 else text).replace("-", "\N{MINUS SIGN}")


READABLE: Mapping[str, str] = {
    "cifar10_test": "CIFAR-10 test accuracy",
    "cifar100_test": "CIFAR-100 test accuracy",
    "imagenet16_test": "ImageNet16-120 test accuracy",
    "fgsm_1": "CIFAR-10, FGSM test accuracy",
    "pgd_1": "CIFAR-10, PGD test accuracy",
    "apgd_1": "CIFAR-10, APGD test accuracy",
    "square_1": "CIFAR-10, Square test accuracy",
}


def readable(target: str) -> str:
    """Names a table's column for people.

    Args:
      target: name of the column.

    Returns:
      What the column holds; the name with spaces when it is not a known one.
    """
    return READABLE.get(target, target.replace("_", " "))


def _sheet(count: int, theme: Theme, narrow: bool) -> tuple[Figure, list[Axes]]:
    """A sheet of ``count`` equal panels, three in a row; two on a phone."""
    columns = 3 if count > 4 and not narrow else min(count, 2) or 1
    rows = -(-count // columns)
    width, height = (6.4, 4.8) if count == 1 else (3.55 * columns, 3.1 * rows + 0.3)
    if narrow:
        width, height = PHONE, (PHONE if count == 1 else 1.75 * rows) + 0.6
    figure = Figure(figsize=(width, height))
    figure.set_facecolor(PALETTES[theme].paper)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    # Margins in inches: a layout engine would draw every sheet several times over.
    figure.subplots_adjust(
        left=(0.65 if narrow else 0.85) / width, right=1 - (0.1 if narrow else 0.18) / width, bottom=0.72 / height,
        top=1 - 0.36 / height, wspace=0.32 if narrow else 0.2, hspace=0.55 if narrow else 0.28,
    )
    for axis in axes[count:]:
        axis.remove()
    for axis in axes[:count]:
        style(axis, PALETTES[theme])
    return figure, list(axes[:count])


def _label(figure: Figure, x: str, y: str, theme: Theme) -> None:
    width, height = figure.get_size_inches()
    ink = PALETTES[theme].ink
    figure.text(0.5, 0.17 / height, x, color=ink, fontsize=10.5, ha="center", va="center")
    figure.text(0.2 / width, 0.5, y, color=ink, fontsize=10.5, rotation=90, ha="center", va="center")


def _heading(axis: Axes, panel: Panel, palette: Palette, narrow: bool) -> None:
    axis.set_title(panel.proxy, loc="left", fontsize=9.5 if narrow else 11.5, fontweight="bold", color=palette.ink)
    if narrow:
        axis.set_title(f"ρ {number(panel.rho)}", loc="right", fontsize=8.6, color=palette.muted)
        return
    low, high = panel.interval
    text = f"ρ {number(panel.rho)} [{number(low)}, {number(high)}]   τ {number(panel.tau)}"
    axis.set_title(text, loc="right", fontsize=8.6, color=palette.muted)


def _dots(count: int) -> dict[str, Any]:
    """Size and opacity of points, so that ten and ten thousand both read well."""
    return {"s": float(np.clip(4000 / max(count, 1), 3, 26)), "alpha": float(np.clip(150 / max(count, 1), 0.12, 0.65))}


def _best(values: np.ndarray, top: float) -> np.ndarray:
    """Bool [n]: the top fraction of the values, at least one."""
    count = max(1, round(top * values.size))
    mask = np.zeros(values.size, bool)
    mask[np.argsort(-values, kind="stable")[:count]] = True
    return mask


def _scatter(axis: Axes, panel: Panel, top: float, palette: Palette, narrow: bool) -> None:
    _heading(axis, panel, palette, narrow)
    x, y = panel.scores, panel.accuracies
    if not x.size:
        return
    best, dots = _best(y, top), _dots(x.size)
    floor = np.percentile(y, 5)
    span = y.max() - floor
    # A few failed trainings far below the others would flatten all the rest: they sit on the lower edge, counted.
    clipped = y < floor - span if span > 0 else np.zeros(y.size, bool)
    edge = floor - span if clipped.any() else None
    kept = ~clipped
    axis.scatter(x[kept & ~best], y[kept & ~best], color=palette.accents[0], linewidths=0, **dots)
    axis.scatter(x[kept & best], y[kept & best], color=palette.accents[1], linewidths=0, s=dots["s"], alpha=0.85)
    if x.min() > 0 and x.max() > 8 * np.median(x):
        axis.set_xscale("log")
    if edge is not None:
        axis.scatter(x[clipped], np.full(clipped.sum(), edge), marker="v", color=palette.muted, s=14, linewidths=0)
        axis.text(
            0.02, 0.035, f"{clipped.sum()} below {edge:.3g}", transform=axis.transAxes, fontsize=8, color=palette.muted
        )
        axis.set_ylim(edge - 0.12 * (y.max() - edge), y.max() + 0.05 * (y.max() - edge))
    axis.locator_params(axis="y", nbins=5)
    if axis.get_xscale() == "linear":
        axis.locator_params(axis="x", nbins=3 if narrow else 5)
        axis.ticklabel_format(axis="x", scilimits=(-3, 4))


def _ranks(axis: Axes, panel: Panel, top: float, palette: Palette, narrow: bool) -> None:
    _heading(axis, panel, palette, narrow)
    count = panel.scores.size
    if not count:
        return
    x, y = stats.rankdata(-panel.scores), stats.rankdata(-panel.accuracies)
    corner = max(1, round(top * count)) + 0.5
    axis.add_patch(Rectangle((0.5, 0.5), corner - 0.5, corner - 0.5, color=palette.accents[1], alpha=0.18, linewidth=0))
    axis.plot([1, count], [1, count], color=palette.muted, linewidth=1, linestyle=(0, (2, 3)))
    both = (x <= corner) & (y <= corner)
    dots = _dots(count)
    axis.scatter(x[~both], y[~both], color=palette.accents[0], linewidths=0, **dots)
    axis.scatter(x[both], y[both], color=palette.accents[1], linewidths=0, s=dots["s"], alpha=0.85)
    axis.set_xlim(count + 0.5, 0.5)  # the best at the upper right, as in the scatter plots
    axis.set_ylim(count + 0.5, 0.5)
    ticks = sorted({1, *(int(v) for v in np.linspace(0, count, 3 if narrow else 5)[1:])})
    axis.set_xticks(ticks)
    axis.set_yticks(ticks)
