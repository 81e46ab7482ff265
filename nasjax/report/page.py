"""The HTML of a report."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from nasjax.figure_style import PALETTES
from nasjax.report import bundle
from nasjax.report.drawings import Drawings, embedded
from nasjax.report.model import Bar, Chart, Code, Picture, Repeat, Section, Table

DPI = 144
_WIDE = 560  # pixels; a wider picture cannot be read on a phone unless it scrolls
_LONG = 12  # letters; longer headings may break, but not after every word
_PHONE, _DARK = "(max-width: 640px)", "(prefers-color-scheme: dark)"
_COLORS = 192  # a flat drawing needs no more, and the file is a third as large
# As people write numbers: 1,234 or .83 or 12.5 % or 0.5 ± 0.1 or 10-20; but 2d and 3x3 are names.
_NUMBER = re.compile(r"([+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)(?=$|[\s%±–-])", re.IGNORECASE)


class Page:
    """Collects what the parts of a report need of the page, and writes it.

    Args:
      directory: where PNG files of the figures go.
      shown: networks that can be drawn.
    """

    def __init__(self, directory: pathlib.Path, shown: Drawings) -> None:
        """Starts an empty page."""
        self._directory, self._shown = directory, shown
        self._charts: list[dict[str, Any]] = []
        self._archs: dict[str, int] = {}
        self._tables = False

    def section(self, section: Section, number: int) -> str:
        """The HTML of a section; saves its figures.

        Args:
          section: the part.
          number: its place, from 1.

        Returns:
          the HTML.
        """
        blocks = []
        for block in section.body:
            if isinstance(block, Chart):
                blocks.append(self._chart(block))
            elif isinstance(block, Picture):
                caption = html.escape(block.caption)
                blocks.append(f"<figure>{self._picture(block)}<figcaption>{caption}</figcaption></figure>")
            elif isinstance(block, Table):
                blocks.append(self._table(block))
            else:
                blocks.append(f"<p>{html.escape(block)}</p>")
        return f'<section id="s{number}"><h2>{html.escape(section.title)}</h2>{"".join(blocks)}</section>'

    def whole(
        self, title: str, summary: str, facts: Mapping[str, str], titles: Sequence[str], parts: Sequence[str]
    ) -> str:
        """The HTML of the page.

        Args:
          title: heading.
          summary: one or two sentences.
          facts: short name -> value.
          titles: headings of the parts.
          parts: what ``section`` and ``repeat`` made.

        Returns:
          the HTML.
        """
        links = "".join(f'<a href="#s{i}">{html.escape(name)}</a>' for i, name in enumerate(titles, 1))
        policy, tail = self._scripts()
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f"<title>{html.escape(title)}</title><style>{bundle.asset('report.css')}</style></head><body><header>"
            f'<p class="mark">nasjax</p><h1>{html.escape(title)}</h1>'
            + (f'<p class="lead">{html.escape(summary)}</p>' if summary else "")
            + facts_list(facts)
            + (f"<nav>{links}</nav>" if len(titles) > 1 else "")
            + f"</header><main>{''.join(parts)}</main>{tail}</body></html>\n"
        )

    def _scripts(self) -> tuple[str, str]:
        """The policy that forbids the page to load anything, and its scripts."""
        allowed, parts = [], []
        if self._charts or self._tables or self._archs:
            code = bundle.asset("report.js") + bundle.asset("charts.js")
            data = {
                "archs": list(self._archs), "charts": self._charts, **embedded(self._shown, list(self._archs)),
                "palettes": {name: colors._asdict() for name, colors in PALETTES.items()},
            }  # fmt: skip
            parts.append(f'<script type="application/json" id="data">{_json(data)}</script>')
            if self._charts:
                packed, source = bundle.plotly()
                allowed.append(source)
                parts.append(f'<script type="application/gzip;base64" id="plotly">{packed}</script>')
            allowed.append(bundle.source_hash(code.encode()))
            parts.append(f"<script>{code}</script>")
        scripts = " ".join(allowed) or "'none'"
        return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {scripts}", "".join(parts)

    def _number(self, arch: str) -> int:
        return self._archs.setdefault(arch, len(self._archs))

    def _chart(self, chart: Chart) -> str:
        caption = chart.caption
        drawn = sum(arch in self._shown.graphs for arch in dict.fromkeys(chart.archs))
        if drawn and self._shown.left_out and drawn < len(set(chart.archs)):
            caption += f" {drawn:,} of the architectures are drawn; the others show their encoding."
        self._charts.append({
            "traces": chart.traces, "layout": chart.layout, "x": chart.x, "y": chart.y, "height": chart.height,
            "alt": chart.alt, "archs": [self._number(arch) for arch in chart.archs],
            "columns": [
                {"label": c.label, "log": c.log, "low": c.low, "values": [_six(v) for v in c.values]}
                for c in chart.columns
            ],
        })  # fmt: skip
        still = self._picture(Picture(chart.name, chart.alt, caption, chart.draw), dark=False)  # seldom seen
        return (f'<figure class="chart" data-c="{len(self._charts) - 1}">{still}'
                f"<figcaption>{html.escape(caption)}</figcaption></figure>")  # fmt: skip

    def _picture(self, picture: Picture, *, dark: bool = True) -> str:
        light = png(picture.draw("light"))
        (self._directory / f"{picture.name}.png").write_bytes(light)
        sources = []
        if picture.narrow is not None:
            sources.append(_source(picture.narrow("dark"), f"{_PHONE} and {_DARK}"))
            sources.append(_source(picture.narrow("light"), _PHONE))
        if dark:
            sources.append(_source(picture.draw("dark"), _DARK))
        width, height = _size(light)
        kind = ' class="wide"' if width > _WIDE and picture.narrow is None else ""
        drawn = f' data-a="{self._number(picture.arch)}"' if picture.arch in self._shown.graphs else ""
        return (
            f"<picture{drawn}>{''.join(sources)}"
            f'<img{kind} alt="{html.escape(picture.alt)}" width="{width}" height="{height}" '
            f'src="data:image/png;base64,{base64.b64encode(light).decode("ascii")}"></picture>'
        )

    def _table(self, table: Table) -> str:
        self._tables |= len(table.rows) > 1
        keys = [[_key(value) for value in row] for row in table.rows]
        numeric = [_is_numeric(table.rows, keys, i) for i in range(len(table.columns))]
        left = {i for row in table.rows for i, v in enumerate(row) if i < table.text_columns or isinstance(v, Bar)}
        left |= {i for i in range(len(table.columns)) if _is_words(table.rows, i)}
        head = "".join(
            f'<th scope="col" class="{"text" if i in left else "number"}{" long" * (len(name) > _LONG)}">'
            f"{html.escape(name)}</th>"
            for i, name in enumerate(table.columns)
        )
        body = "".join(
            "<tr>" + "".join(
                self._cell(value, i, i in left, key if numeric[i] else None)
                for i, (value, key) in enumerate(zip(row, own, strict=True))
            ) + "</tr>"
            for row, own in zip(table.rows, keys, strict=True)
        )  # fmt: skip
        caption = f"<caption>{html.escape(table.caption)}</caption>" if table.caption else ""
        named = html.escape(table.caption or ", ".join(name for name in table.columns if name))
        return (f'<div class="scroll" tabindex="0" role="region" aria-label="{named}"><table class="sortable">{caption}'
                f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")  # fmt: skip

    def _cell(self, value: str | Bar, place: int, left: bool, key: float | None) -> str:
        tag, own = "td" if place else "th", "" if key is None else f' data-v="{key:.12g}"'
        if isinstance(value, Bar):
            share = min(abs(value.value), 1.0) * 100 if value.value == value.value else 0.0
            sign = " negative" if value.value < 0 else ""
            note = f"<small>{html.escape(value.note)}</small>" if value.note else ""
            return (f'<{tag} class="bar{sign}"{own}><b>{html.escape(value.text)}</b>{note}'
                    f'<i style="width:{share:.1f}%"></i></{tag}>')  # fmt: skip
        text = html.escape(value)
        if isinstance(value, Code):
            text = f"<code>{text}</code>"
            if str(value) in self._shown.graphs:
                text = f'<button type="button" class="arch" data-a="{self._number(str(value))}">{text}</button>'
        scope = ' scope="row"' if tag == "th" else ""
        return f'<{tag}{scope} class="{"text" if left else "number"}"{own}>{text}</{tag}>'


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


def repeat_section(repeat: Repeat, number: int) -> str:
    """The HTML of what was run.

    Args:
      repeat: what was run.
      number: place of the section, from 1.

    Returns:
      the HTML.
    """
    steps = [*repeat.earlier, (_AGAIN if repeat.command else _CALL, repeat.command, repeat.flags)]
    return (
        f'<section id="s{number}"><h2>{REPEAT}</h2>{"".join(_step(*step) for step in steps)}'
        f"{facts_list(repeat.facts)}</section>"
    )


def _step(sentence: str, command: str, flags: str) -> str:
    line = f'<pre class="whole" tabindex="0" aria-label="command"><code>{html.escape(command)}</code></pre>'
    given = f"<pre><code>{html.escape(flags.strip())}</code></pre>" if flags.strip() else ""
    if command and given:
        given = f"<details open><summary>Flags</summary>{given}</details>"
    return f"<p>{html.escape(sentence)}</p>{line if command else ''}{given}"


REPEAT = "How to repeat this run"
_AGAIN = "This command does it again, with the flags of the first run:"
_CALL = "A program called nasjax with these options:"


def _source(figure: Figure, media: str) -> str:
    """A picture that the browser takes where the media query holds."""
    data = png(figure)
    width, height = _size(data)
    packed = base64.b64encode(data).decode("ascii")
    return f'<source media="{media}" width="{width}" height="{height}" srcset="data:image/png;base64,{packed}">'


def _size(data: bytes) -> tuple[int, int]:
    """Width and height of a picture in pixels of the page, of which there are 96 to an inch."""
    with Image.open(io.BytesIO(data)) as image:
        return image.size[0] * 96 // DPI, image.size[1] * 96 // DPI


def facts_list(facts: Mapping[str, str]) -> str:
    """Short names and values."""
    shown = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in facts.items())
    return f"<dl>{shown}</dl>" if shown else ""


def _json(data: Any) -> str:
    """JSON that no text can end: a script element ends at its closing tag, wherever that stands."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _six(value: float) -> float | int | None:
    """A number of six digits; whole ones in full, and None for what is not finite."""
    value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else float(f"{value:.6g}")


def _key(value: str | Bar) -> float | None:
    """The number at the beginning of a cell; None without one."""
    text = (value.text if isinstance(value, Bar) else value).replace("\N{MINUS SIGN}", "-").strip()
    found = _NUMBER.match(text)
    if isinstance(value, Code) or found is None:
        return None
    number = float(found.group(1).replace(",", ""))
    return number if math.isfinite(number) else None


def _is_numeric(rows: Sequence[Sequence[str | Bar]], keys: Sequence[Sequence[float | None]], place: int) -> bool:
    """Whether a column holds numbers, but for gaps."""
    said = 0
    for row, own in zip(rows, keys, strict=True):
        value = row[place]
        text = value.text if isinstance(value, Bar) else value
        if own[place] is None:
            if isinstance(value, Code) or (not isinstance(value, Bar) and re.search(r"\w", text) and _worded(text)):
                return False
            continue
        said += 1
    return said > 0


def _is_words(rows: Sequence[Sequence[str | Bar]], place: int) -> bool:
    """Whether a column holds words alone, but for gaps, so that it is aligned left."""
    texts = [value if isinstance(value, str) else "0" for value in (row[place] for row in rows)]
    said = [text for text in texts if text.strip(" \N{EN DASH}-")]
    return bool(said) and all(_key(text) is None and re.search(r"[A-Za-z]", text) and _worded(text) for text in said)


def _worded(text: str) -> bool:
    """Whether a cell without a number is a name, and not a remark that there is none."""
    return text.strip().lower() not in ("nan", "inf", "-inf", "none", "invalid", "absent")
