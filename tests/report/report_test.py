import base64
import hashlib
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
        if not {"style", "script"} & set(self.open):
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
    assert not re.search(r"<script[^>]* src|<link|https?:|url\(|@import", re.sub(r"'http://www.w3.org/2000/svg'|"
                         r'"http://www.w3.org/2000/svg"', "", source))  # fmt: skip
    assert "default-src 'none'; img-src data:" in source  # the browser itself forbids to load anything
    assert "prefers-color-scheme:dark" in source


def test_only_its_own_scripts_may_run(page):
    source = page.read_text(encoding="utf-8")
    (policy,) = re.findall(r"script-src ([^\"]*)", source)
    (code,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    assert policy == f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def test_a_page_without_tables_and_charts_has_no_script(tmp_path):
    path = report.write_report(tmp_path / "r.html", title="T", sections=[report.Section("S", ["text"])])
    assert "<script" not in path.read_text() and "script-src 'none'" in path.read_text()


def test_numbers_are_sorted_as_numbers_and_gaps_have_no_key(tmp_path):
    rows = [["2d", "1,234", "−.5 ± .1", "3.5 %", "0-10"], ["3x3", "–", "nan", "", "10-20"],
            ["x", "7", ".25", "1 s", "5"]]  # fmt: skip
    table = report.Table(("name", "count", "tau", "share", "bin"), rows)
    source = report.write_report(tmp_path / "r.html", title="T", sections=[report.Section("S", [table])]).read_text()
    keys = [re.findall(r'data-v="([^"]*)"', row) for row in re.findall(r"<tr>(.*?)</tr>", source)[1:]]
    assert keys == [["1234", "-0.5", "3.5", "0"], ["10"], ["7", "0.25", "1", "5"]]


def test_an_earlier_report_stays_until_the_new_one_is_whole(tmp_path):
    path = report.write_report(tmp_path / "r.html", title="T", sections=[report.Section("S", ["text"])])
    before = path.read_bytes()

    def fails(theme):
        raise RuntimeError("out of ink")

    with pytest.raises(RuntimeError):
        report.write_report(path, title="T", sections=[report.Section("S", [report.Picture("p", "", "", fails)])])
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["r.html"]


def test_what_was_run_is_the_last_part(tmp_path):
    repeat = report.Repeat("python -m launch.score --flagfile=a<b", "--seed=1\n--archs=a;b\n", {"jax": "0.10"})
    path = report.write_report(tmp_path / "r.html", title="T", sections=[report.Section("S", ["text"])], repeat=repeat)
    text = " ".join(read(path).text)
    assert text.index("How to repeat this run") < text.rindex("--flagfile=a<b") < text.rindex("--archs=a;b")
    assert "0.10" in text and 'href="#s2"' in path.read_text()


def test_what_runs_before_comes_before_and_a_call_has_no_command(tmp_path):
    repeat = report.Repeat("second", "--b=2", {}, [("It was made by:", "first", "--a=1")])
    path = report.write_report(tmp_path / "r.html", title="T", sections=[], repeat=repeat)
    text = " ".join(read(path).text)
    order = [text.index(part) for part in ("It was made by:", "first", "--a=1", "does it again", "second", "--b=2")]
    assert order == sorted(order)
    path = report.write_report(tmp_path / "r.html", title="T", sections=[], repeat=report.Repeat("", "seed=1", {}))
    text = " ".join(read(path).text)
    assert "A program called nasjax" in text and "seed=1" in text and "does it again" not in text


def test_a_phone_gets_a_picture_of_its_own(tmp_path):
    def narrow(theme):
        figure = draw(theme)
        figure.set_size_inches(1, 1)
        return figure

    picture = report.Picture("p", "", "", draw, narrow)
    path = report.write_report(tmp_path / "r.html", title="T", sections=[report.Section("S", [picture])])
    medias = re.findall(r'<source media="([^"]*)" width="(\d+)"', path.read_text())
    phone, dark = "(max-width: 640px)", "(prefers-color-scheme: dark)"
    assert medias == [(f"{phone} and {dark}", "96"), (phone, "96"), (dark, "192")]


def test_columns_of_words_are_aligned_left(tmp_path):
    rows = [["a", "1.5", "", "z1", "3x"], ["b", "–", "yes", "2", "nan"]]
    table = report.Table(["name", "number", "word", "mixed", "sized"], rows)
    source = report.write_report(tmp_path / "r.html", title="T", sections=[report.Section("S", [table])]).read_text()
    assert re.findall(r'<th scope="col" class="(\w+)"', source) == ["text", "number", "text", "number", "number"]


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
