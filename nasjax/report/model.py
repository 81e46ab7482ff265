"""What a report is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from nasjax.figure_style import Theme


class Picture(NamedTuple):
    """A figure of a report.

    Attributes:
      name: name of the PNG file, without ending.
      alt: what the figure shows, for those who do not see it.
      caption: text under it.
      draw: makes the figure in the colours of a theme.
      narrow: makes one for a phone, `nasjax.figure_style.PHONE` inches wide, where the figure would have to be scrolled
        or read with a lens.
      arch: an architecture that the page draws in place of the figure, where the report has a drawing of it.
    """

    name: str
    alt: str
    caption: str
    draw: Callable[[Theme], Figure]
    narrow: Callable[[Theme], Figure] | None = None
    arch: str = ""


class Column(NamedTuple):
    """Numbers that an axis of a chart may show.

    Attributes:
      label: what they are, for people.
      values: float [n]; points whose number is not finite are left out.
      log: whether the axis is logarithmic.
      low: where the axis begins at first, so that a few numbers far below do not flatten the others; None shows all.
    """

    label: str
    values: np.ndarray
    log: bool = False
    low: float | None = None


class Chart(NamedTuple):
    """A figure that answers to pointer, finger and keyboard, drawn by plotly; made by `nasjax.report.charts`.

    Colours are names that the page replaces by those of its theme: "@accent0" to "@accent3", "@ink", "@muted", "@grid",
    "@paper", with an opacity as in "@accent0/0.4", and the colour scales "@diverging" and "@sequential". Text must be
    escaped as HTML is, for plotly reads tags in it.

    Attributes:
      name: name of the PNG file, without ending.
      alt: what the chart shows, for those who do not see it.
      caption: text under it.
      draw: makes a matplotlib figure of the same content: for print, for readers without scripts, and as PNG file.
      traces: as plotly has them. A trace with "rows", int [k], takes x and y from these rows of the columns.
      layout: of plotly; axes, fonts and margins are set by the page where it says nothing.
      columns: what the axes may show; with more than two the reader chooses.
      x: which column the horizontal axis shows at first.
      y: which column the vertical axis shows at first.
      archs: an architecture a row, drawn where the report has a drawing of it.
      height: in pixels.
    """

    name: str
    alt: str
    caption: str
    draw: Callable[[Theme], Figure]
    traces: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    columns: Sequence[Column] = ()
    x: int = 0
    y: int = 1
    archs: Sequence[str] = ()
    height: int = 440


class Bar(NamedTuple):
    """A cell with a number and a bar from zero.

    Attributes:
      value: between -1 and 1; sets the length.
      text: what is written.
      note: written smaller behind it.
    """

    value: float
    text: str
    note: str = ""


class Code(str):
    """A cell or name written in fixed width, such as an architecture, which is drawn where the report has a drawing."""

    __slots__ = ()


class Table(NamedTuple):
    """A table of a report; its readers may sort it by each column.

    Attributes:
      columns: headings.
      rows: cells: text, ``Code``, ``Bar``, or a number as it shall be written.
      caption: text above it.
      text_columns: how many of the first columns hold text and are aligned left.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Bar]]
    caption: str = ""
    text_columns: int = 1


class Section(NamedTuple):
    """A part of a report.

    Attributes:
      title: heading.
      body: paragraphs, tables, pictures and charts in order.
    """

    title: str
    body: Sequence[str | Table | Picture | Chart]


class Repeat(NamedTuple):
    """What was run, and how to run it again.

    Attributes:
      command: the line to type; empty for what a program called, whose options ``flags`` then holds.
      flags: the flags that were given, one a line.
      facts: short name -> value: versions, devices, seed, fingerprints.
      earlier: what has to run before it: (sentence, command, flags) each.
    """

    command: str
    flags: str
    facts: Mapping[str, str]
    earlier: Sequence[tuple[str, str, str]] = ()
