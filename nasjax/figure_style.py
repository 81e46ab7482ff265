"""Colours and axes that all figures share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]
PHONE = 3.5  # inches that a figure has on a phone, at 96 pixels an inch


class Palette(NamedTuple):
    """Colours of a theme, as hexadecimal strings."""

    paper: str
    ink: str
    muted: str
    grid: str
    accents: tuple[str, ...]


PALETTES: dict[str, Palette] = {
    "light": Palette("#ffffff", "#1e2a30", "#5f6b72", "#e6e3dc", ("#0b6e78", "#c2571a", "#5b5ea6", "#8a6d1f")),
    "dark": Palette("#1a2125", "#e8e5de", "#9aa6ac", "#2d373c", ("#56b8c1", "#ee9a61", "#a5a7ea", "#d4b65c")),
}


def style(axis: Axes, palette: Palette) -> None:
    """Gives axes the look of all figures.

    Args:
      axis: the axes.
      palette: colours.
    """
    axis.set_facecolor(palette.paper)
    axis.grid(color=palette.grid, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=palette.muted, labelsize=9, length=3, width=0.8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(palette.grid)


def sheet(size: tuple[float, float], palette: Palette) -> Figure:
    """An empty figure.

    Args:
      size: width and height in inches.
      palette: colours.

    Returns:
      the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    figure.set_facecolor(palette.paper)
    return figure


def chart(size: tuple[float, float], palette: Palette) -> tuple[Figure, Axes]:
    """A figure of one pair of axes; arguments as of `sheet`."""
    figure = sheet(size, palette)
    axis = figure.subplots()
    style(axis, palette)
    return figure, axis
