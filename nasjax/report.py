"""Reports as one HTML file: figures and style embedded, nothing loaded from elsewhere, no script.

A report is a list of sections; a section is a list of paragraphs, tables and pictures. Pictures are drawn twice,
for light and dark pages, and the light ones are saved beside the report as PNG files.
"""

from __future__ import annotations

import base64
import html
import io
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from PIL import Image

from nasjax.figures import Theme
from nasjax.types import InputError

DPI = 144
_COLORS = 192  # a flat drawing needs no more, and the file is a third as large


class Picture(NamedTuple):
    """A figure of a report.

    Attributes:
      name: name of the PNG file, without ending.
      alt: what the figure shows, for those who do not see it.
      caption: text under it.
      draw: makes the figure in the colours of a theme.
    """

    name: str
    alt: str
    caption: str
    draw: Callable[[Theme], Figure]


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
    """A cell or name written in fixed width, such as an architecture."""

    __slots__ = ()


class Table(NamedTuple):
    """A table of a report.

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
      body: paragraphs, tables and pictures in order.
    """

    title: str
    body: Sequence[str | Table | Picture]


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    sections: Sequence[Section],
    summary: str = "",
    facts: Mapping[str, str] | None = None,
) -> pathlib.Path:
    """Writes a report, and its pictures beside it.

    Args:
      path: the HTML file.
      title: heading of the page.
      sections: the parts, in order.
      summary: one or two sentences under the heading: the result.
      facts: short name -> value, shown under the summary.

    Returns:
      The file.

    Raises:
      InputError: it cannot be written.
    """
    file = pathlib.Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        parts = [_section(section, number, file.parent) for number, section in enumerate(sections, 1)]
        file.write_text(_page(title, summary, facts or {}, sections, parts), encoding="utf-8")
    except OSError as error:
        raise InputError(f"Cannot write {file}: {error.strerror}. Name a directory that you may write to.") from None
    return file


def png(figure: Figure) -> bytes:
    """Renders a figure.

    Args:
      figure: what to draw.

    Returns:
      A PNG file.
    """
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=DPI, facecolor=figure.get_facecolor())
    with Image.open(raw) as image:
        image.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
    return small.getvalue()


def _section(section: Section, number: int, directory: pathlib.Path) -> str:
    blocks = []
    for block in section.body:
        if isinstance(block, Picture):
            blocks.append(_picture(block, directory))
        elif isinstance(block, Table):
            blocks.append(_table(block))
        else:
            blocks.append(f"<p>{html.escape(block)}</p>")
    return f'<section id="s{number}"><h2>{html.escape(section.title)}</h2>{"".join(blocks)}</section>'


def _picture(picture: Picture, directory: pathlib.Path) -> str:
    light, dark = png(picture.draw("light")), png(picture.draw("dark"))
    (directory / f"{picture.name}.png").write_bytes(light)
    with Image.open(io.BytesIO(light)) as image:
        width, height = image.size
    sources = [base64.b64encode(data).decode("ascii") for data in (light, dark)]
    return (
        "<figure><picture>"
        f'<source media="(prefers-color-scheme: dark)" srcset="data:image/png;base64,{sources[1]}">'
        f'<img alt="{html.escape(picture.alt)}" width="{width * 2 // 3}" height="{height * 2 // 3}" '
        f'src="data:image/png;base64,{sources[0]}">'
        f"</picture><figcaption>{html.escape(picture.caption)}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    def cell(value: str | Bar, place: int, tag: str) -> str:
        kind = "text" if place < table.text_columns else "number"
        if isinstance(value, Bar):
            share = min(abs(value.value), 1.0) * 100 if value.value == value.value else 0.0
            sign = " negative" if value.value < 0 else ""
            note = f"<small>{html.escape(value.note)}</small>" if value.note else ""
            return (
                f'<{tag} class="bar{sign}"><b>{html.escape(value.text)}</b>{note}'
                f'<i style="width:{share:.1f}%"></i></{tag}>'
            )
        text = html.escape(value)
        scope = ' scope="row"' if tag == "th" else ""
        return f'<{tag}{scope} class="{kind}">{f"<code>{text}</code>" if isinstance(value, Code) else text}</{tag}>'

    left = {i for row in table.rows for i, value in enumerate(row) if i < table.text_columns or isinstance(value, Bar)}
    head = "".join(
        f'<th scope="col" class="{"text" if i in left else "number"}">{html.escape(name)}</th>'
        for i, name in enumerate(table.columns)
    )
    body = "".join(
        f"<tr>{''.join(cell(value, i, 'td' if i else 'th') for i, value in enumerate(row))}</tr>" for row in table.rows
    )
    caption = f"<caption>{html.escape(table.caption)}</caption>" if table.caption else ""
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _page(title: str, summary: str, facts: Mapping[str, str], sections: Sequence[Section], parts: Sequence[str]) -> str:
    links = "".join(f'<a href="#s{i}">{html.escape(s.title)}</a>' for i, s in enumerate(sections, 1))
    shown = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in facts.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><header>"
        f'<p class="mark">nasjax</p><h1>{html.escape(title)}</h1>'
        + (f'<p class="lead">{html.escape(summary)}</p>' if summary else "")
        + (f"<dl>{shown}</dl>" if shown else "")
        + (f"<nav>{links}</nav>" if len(sections) > 1 else "")
        + f"</header><main>{''.join(parts)}</main></body></html>\n"
    )


_STYLE = """
:root{--page:#f6f4ef;--card:#fff;--ink:#1e2a30;--muted:#5f6b72;--line:#e3dfd6;--accent:#0b6e78;--minus:#c2571a;
--serif:"Iowan Old Style","Palatino Linotype",Palatino,Georgia,serif;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media(prefers-color-scheme:dark){:root{--page:#12181b;--card:#1a2125;--ink:#e8e5de;--muted:#9aa6ac;--line:#2d373c;
--accent:#56b8c1;--minus:#ee9a61}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 var(--sans)}
header,main{max-width:68rem;margin:0 auto;padding:0 1.5rem}
header{padding-top:3rem}
.mark{margin:0;font:600 .8rem/1 var(--mono);letter-spacing:.08em;color:var(--accent)}
h1{font:600 2.3rem/1.15 var(--serif);margin:.5rem 0 .6rem;text-wrap:balance}
h2{font:600 1.45rem/1.2 var(--serif);margin:0 0 .7rem}
.lead{font-size:1.1rem;max-width:46rem;margin:0 0 1.2rem}
main p{max-width:46rem;margin:.4rem 0 1rem}
dl{display:flex;flex-wrap:wrap;gap:.8rem 2.2rem;margin:0 0 1.2rem;padding:1rem 0;border-block:1px solid var(--line)}
dt{font-size:.78rem;color:var(--muted)}
dd{margin:0;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;font-size:.92rem}
a{color:var(--accent);text-underline-offset:.2em}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.5rem 1.6rem;margin:1.4rem 0}
figure{margin:1.2rem 0 .4rem}
img{display:block;max-width:100%;height:auto;margin:0 auto}
figcaption,caption{color:var(--muted);font-size:.88rem;text-align:left;padding:.5rem 0}
figcaption{max-width:46rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.93rem;font-variant-numeric:tabular-nums}
th,td{padding:.42rem .9rem .42rem 0;border-bottom:1px solid var(--line);text-align:right;vertical-align:baseline}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--muted);font-weight:500;font-size:.82rem;white-space:nowrap;vertical-align:bottom}
.text{text-align:left}
tbody th{font-weight:600}
tbody tr:last-child>*{border-bottom:0}
code{font:.84em var(--mono);font-weight:400;white-space:nowrap}
.bar{min-width:8.5rem;text-align:left;position:relative}
.bar b{font-weight:600}
.bar small{color:var(--muted);margin-left:.5em;white-space:nowrap}
.bar i{display:block;height:3px;margin-top:.22rem;border-radius:2px;background:var(--accent)}
.bar.negative i{background:var(--minus)}
main::after{content:"";display:block;height:2rem}
@media print{body{background:#fff}section{break-inside:avoid;border:0;padding:0}nav{display:none}}
"""
