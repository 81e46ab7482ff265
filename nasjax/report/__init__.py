"""Reports as one HTML file: figures, style, data and script embedded, nothing loaded from elsewhere.

A report is a list of sections; a section is a list of paragraphs, tables, pictures and charts. Tables can be sorted.
Pictures are drawn twice, for light and dark pages. Charts are drawn by plotly in the reader's browser, which shows the
architecture under the pointer; without scripts, and in print, their pictures stand in. The light pictures are saved
beside the report as PNG files.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import uuid
from collections.abc import Mapping, Sequence

from nasjax.report.drawings import Drawings as Drawings
from nasjax.report.drawings import drawings as drawings
from nasjax.report.model import Bar as Bar
from nasjax.report.model import Chart as Chart
from nasjax.report.model import Code as Code
from nasjax.report.model import Column as Column
from nasjax.report.model import Picture as Picture
from nasjax.report.model import Repeat as Repeat
from nasjax.report.model import Section as Section
from nasjax.report.model import Table as Table
from nasjax.report.page import DPI as DPI
from nasjax.report.page import REPEAT, Page, repeat_section
from nasjax.report.page import png as png
from nasjax.types import InputError


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    sections: Sequence[Section],
    summary: str = "",
    facts: Mapping[str, str] | None = None,
    networks: Drawings | None = None,
    repeat: Repeat | None = None,
) -> pathlib.Path:
    """Writes a report, and its pictures beside it; an earlier one is replaced only when the new one is complete.

    Args:
      path: the HTML file.
      title: heading of the page.
      sections: the parts, in order.
      summary: one or two sentences under the heading: the result.
      facts: short name -> value, shown under the summary.
      networks: drawings of architectures that tables (``Code``) and charts name; none by default.
      repeat: what was run, shown as the last part; left out by default.

    Returns:
      The file.

    Raises:
      InputError: it cannot be written.
    """
    file = pathlib.Path(path)
    draft = file.with_name(f".{file.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        page = Page(file.parent, networks or Drawings({}))
        titles = [section.title for section in sections]
        parts = [page.section(section, number) for number, section in enumerate(sections, 1)]
        if repeat is not None:
            titles.append(REPEAT)
            parts.append(repeat_section(repeat, len(titles)))
        draft.write_text(page.whole(title, summary, facts or {}, titles, parts), encoding="utf-8")
        os.replace(draft, file)
    except OSError as error:
        raise InputError(f"Cannot write {file}: {error.strerror}. Name a directory that you may write to.") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    return file
