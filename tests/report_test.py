import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from nasjax import report
from nasjax.types import InputError

VOID = {"meta", "img", "source", "br", "hr", "link"}


class Reader(HTMLParser):
    """Collects text and checks that tags nest."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.images = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert not reader.open
    return reader


def draw(theme):
    figure = Figure(figsize=(2, 1))
    figure.set_facecolor("#ffffff" if theme == "light" else "#000000")
    return figure


@pytest.fixture
def page(tmp_path):
    sections = [
        report.Section("Table & text", [
            "A paragraph with <b>no</b> markup.",
            report.Table(["Proxy", "Rho", "n"], [["a<b", report.Bar(0.5, ".50", "note"), "1"],
                                                 [report.Code("|x~0|"), report.Bar(-0.25, "-.25"), "2"],
                                                 ["c", report.Bar(np.nan, "–"), "3"]], caption="Numbers"),
        ]),
        report.Section("Picture", [report.Picture("shape", 'a "shape"', "What it shows.", draw)]),
    ]  # fmt: skip
    return report.write_report(
        tmp_path / "new" / "report.html", title="A <title>", sections=sections, summary="The result.",
        facts={"Count": "1,000"},
    )  # fmt: skip


def test_page_holds_all_text_escaped(page):
    text = " ".join(read(page).text)
    for word in ("A <title>", "The result.", "Count", "1,000", "Table & text", "<b>no</b>", "a<b", "note", "|x~0|",
                 "Numbers", "What it shows."):  # fmt: skip
        assert word in text


def test_page_is_self_contained(page):
    source = page.read_text(encoding="utf-8")
    assert "<script" not in source and "<link" not in source and "http" not in source and "url(" not in source
    assert "prefers-color-scheme:dark" in source


def test_pictures_are_embedded_for_both_themes_and_saved(page):
    source = page.read_text(encoding="utf-8")
    data = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", source)
    dark, light = (Image.open(io.BytesIO(base64.b64decode(d))).convert("RGB").getpixel((3, 3)) for d in data)
    assert (dark, light) == ((0, 0, 0), (255, 255, 255))
    with Image.open(page.parent / "shape.png") as saved:
        assert saved.size == (2 * report.DPI, report.DPI)
    (image,) = read(page).images
    assert image["alt"] == 'a "shape"'


def test_bars_are_as_long_as_their_values(page):
    source = page.read_text(encoding="utf-8")
    assert re.findall(r'<i style="width:([\d.]+)%">', source) == ["50.0", "25.0", "0.0"]
    assert source.count('class="bar negative"') == 1


def test_navigation_leads_to_each_section(page):
    source = page.read_text(encoding="utf-8")
    assert re.findall(r'<a href="#(\w+)"', source) == re.findall(r'<section id="(\w+)"', source) == ["s1", "s2"]


def test_a_report_may_be_bare(tmp_path):
    path = report.write_report(tmp_path / "r.html", title="T", sections=[report.Section("S", ["text"])])
    assert "<nav>" not in path.read_text() and "<dl>" not in path.read_text()


def test_png_keeps_colours_and_size():
    figure = Figure(figsize=(1, 1))
    figure.set_facecolor("#0b6e78")
    with Image.open(io.BytesIO(report.png(figure))) as image:
        assert image.size == (report.DPI, report.DPI)
        assert image.convert("RGB").getpixel((5, 5)) == (0x0B, 0x6E, 0x78)


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        report.write_report(tmp_path / "file" / "report.html", title="T", sections=[])
