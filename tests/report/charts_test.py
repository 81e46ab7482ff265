"""Charts as the page embeds them: plotly accepts them, and nothing of the data is lost or invented."""

import json
import re

import numpy as np
import pytest

from nasjax import report
from nasjax.report import charts
from nasjax.types import Graph, InputError

ARCHS = [f"arch {i}" for i in range(6)]


def embedded(path):
    source = path.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', source)
    return json.loads(data)


def written(tmp_path, *blocks, networks=None):
    return report.write_report(tmp_path / "r.html", title="T", sections=[report.Section("S", list(blocks))],
                               networks=networks)  # fmt: skip


def scatter(**options):
    x = charts.column("parameters", [1, 2, 3, 4, np.nan, 6])
    y = charts.column("a<b", [0.1, 0.2, -0.123456789, np.inf, 0.5, 0.6])
    return charts.scatter("points", [x, y], archs=ARCHS, alt="points", caption="Points.", **options)


def test_points_keep_their_numbers_and_architectures(tmp_path):
    best = np.arange(6) == 5
    page = written(tmp_path, scatter(best=best, ring=2, line=([1, 6], [0.1, 0.6])))
    data = embedded(page)
    (chart,) = data["charts"]
    assert [data["archs"][i] for i in chart["archs"]] == ARCHS
    assert chart["columns"][0] == {"label": "parameters", "log": False, "low": None, "values": [1, 2, 3, 4, None, 6]}
    assert chart["columns"][1]["values"] == [0.1, 0.2, -0.123457, None, 0.5, 0.6]
    assert [trace.get("rows") for trace in chart["traces"]] == [[0, 1, 2, 3, 4], None, [5], [2]]
    assert chart["traces"][1]["x"] == [1, 6]
    assert (page.parent / "points.png").stat().st_size > 1000
    assert 'id="plotly"' in page.read_text() and page.stat().st_size < 3e6


def test_many_points_are_thinned_and_the_caption_says_so(monkeypatch):
    monkeypatch.setattr(charts, "MOST_POINTS", 10)
    values, archs = np.arange(40.0), [str(i) for i in range(40)]
    columns = [charts.column(name, values) for name in "xy"]
    chart = charts.scatter("p", columns, archs=archs, alt="", caption="", best=values < 2, ring=7)
    kept = [int(arch) for arch in chart.archs]
    assert len(kept) == 10 and {0, 1, 7, 35, 36, 37, 38, 39} <= set(kept) and kept == sorted(kept)
    assert chart.columns[1].values.tolist() == kept and "10 of 40 architectures" in chart.caption
    assert [kept[i] for i in chart.traces[1]["rows"]] == [0, 1] and kept[chart.traces[2]["rows"][0]] == 7


def test_axes_are_logarithmic_or_cut_where_few_numbers_would_flatten_the_others():
    assert charts.column("x", [1, 2, 3, 1000]).log and not charts.column("x", [-1, 2, 3, 1000]).log
    values = np.concatenate([[-1e9], np.linspace(1, 2, 99)])
    assert 0.8 < charts.column("x", values).low < 1.0
    assert charts.column("x", np.linspace(1, 2, 99)).low is None and charts.column("x", [np.nan]).low is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_plotly_accepts_every_chart(theme):
    graph_objects = pytest.importorskip("plotly.graph_objects")
    from nasjax.figure_style import PALETTES

    def coloured(value):  # as the page does
        if isinstance(value, str) and value.startswith("@"):
            name = value[1:].partition("/")[0]
            if name in ("diverging", "sequential"):
                return [[0, PALETTES[theme].paper], [1, PALETTES[theme].accents[0]]]
            accent = name.removeprefix("accent")
            return PALETTES[theme].accents[int(accent)] if accent != name else getattr(PALETTES[theme], name)
        if isinstance(value, dict):
            return {key: coloured(v) for key, v in value.items() if key != "rows"}
        return [coloured(v) for v in value] if isinstance(value, list) else value

    matrix = charts.matrix("m", ["a", "b"], ["c"], [[0.5], [np.nan]], alt="", caption="")
    curves = charts.curves("c", [1, 2], {"one": [1, np.nan], "two": [2, 3]}, labels=("x", "y"), alt="", caption="",
                           band=([0, 0], [2, 2]), span=(1, 2))  # fmt: skip
    nine = {str(i): np.arange(20.0) for i in range(9)}
    many = charts.curves("c", range(20), nine, labels=("x", "y"), alt="", caption="", marks=[(3, 3.0, "ring")], level=5,
                         since=2, faint=4, whole=True)  # fmt: skip
    dots = charts.dots("d", ["a", "b"], {"one": ([0.5, np.nan], [0.4, np.nan], [0.6, np.nan])}, label="rho", alt="",
                       caption="", draw=many.draw)  # fmt: skip
    for chart in (scatter(ring=0, line=([1], [2])), matrix, curves, many, dots):
        graph_objects.Figure(data=coloured(list(chart.traces)), layout=coloured(dict(chart.layout)))  # it validates
        assert chart.draw(theme).axes


def test_curves_are_faint_marked_and_counted():
    look = {"labels": ("epoch", "y"), "alt": "", "caption": "", "whole": True}
    chart = charts.curves("c", [1, 2, 3], {"pale": [1, 2, 3], "strong": [2, 3, np.nan]}, faint=1, level=2.5, since=1.5,
                          marks=[(2, 3.0, "best <epoch>")], **look)  # fmt: skip
    pale, strong, ring = chart.traces
    assert pale["line"]["width"] < strong["line"]["width"] and not pale["showlegend"]
    assert strong["line"]["color"] == "@accent1"
    assert strong["y"] == [2, 3, None] and (ring["x"], ring["y"]) == ([2], [3.0])
    assert "best &lt;epoch&gt;" in ring["hovertemplate"] and chart.layout["xaxis"]["dtick"] == 1
    level, since = chart.layout["shapes"]
    assert (level["y0"], level["y1"], since["x0"], since["x1"]) == (2.5, 2.5, 1.5, 1.5)
    long = charts.curves("c", np.arange(100), {"a": np.arange(100.0)}, **look)
    assert "dtick" not in long.layout["xaxis"] and long.traces[0]["mode"] == "lines"


def test_intervals_reach_from_end_to_end():
    parts = ([0.5, -0.2], [0.3, np.nan], [0.6, np.nan])
    chart = charts.dots("d", ["a<b", "c"], {"one": parts, "two": parts}, label="rho", alt="", caption="",
                        draw=lambda theme: None)  # fmt: skip
    first, text, second, _ = chart.traces
    assert first["x"] == [0.5, -0.2] and first["error_x"]["array"] == pytest.approx([0.1, 0])
    assert first["error_x"]["arrayminus"] == pytest.approx([0.2, 0]) and text["x"] == [0.6, -0.2]
    assert first["y"][0] < second["y"][0] and "a&lt;b<br><b>.50</b> (.30 to .60)" in first["text"]
    low, high = chart.layout["xaxis"]["range"]
    assert low < -0.2 and high > 0.6 and chart.layout["yaxis"]["range"][0] > chart.layout["yaxis"]["range"][1]


def test_names_in_a_matrix_are_text(tmp_path):
    chart = charts.matrix("m", ["a<b>", "c"], ["d&e"], [[0.5], [np.nan]], alt="", caption="", texts=[["x\ny"], [""]])
    trace = embedded(written(tmp_path, chart))["charts"][0]["traces"][0]
    assert trace["y"] == ["a&lt;b&gt;", "c"] and trace["x"] == ["d&amp;e"]
    assert trace["z"] == [[0.5], [None]] and trace["text"] == [["x<br>y"], [""]]


class Space:
    """Reads numbers below ten; draws a chain as long as the number."""

    def decode(self, archs):
        if not archs[0].isdigit():
            raise InputError(f"{archs[0]} is none")
        return [int(archs[0])]

    def to_graph(self, arch):
        return Graph(("in", *["op"] * arch), tuple((i, i + 1) for i in range(arch)))


def test_drawings_are_capped_and_skip_what_cannot_be_drawn(tmp_path):
    found = report.drawings(Space(), ["3", "x", "3", "1", "2"], limit=2)
    assert list(found.graphs) == ["3", "1"] and found.left_out == 1
    assert report.drawings(None, ["3"]).graphs == {}
    column = charts.column("x", [1, 2, 3])
    chart = charts.scatter("p", [column, column], archs=["1", "2", "3"], alt="", caption="Points.")
    table = report.Table(("architecture", "n"), [[report.Code("1"), "1"], [report.Code("2"), "2"]])
    page = written(tmp_path, table, chart, networks=found)
    data, source = embedded(page), page.read_text()
    place = {arch: str(i) for i, arch in enumerate(data["archs"])}
    assert set(data["graphs"]) == {place["1"], place["3"]} and data["labels"] == ["in", "op"]
    graph = data["graphs"][place["3"]]
    assert graph["n"] == [0, 1, 1, 1] and graph["e"] == [0, 1, 1, 2, 2, 3] and graph["y"] == [0, 1, 2, 3]
    assert source.count('class="arch"') == 1 and f'data-a="{place["1"]}"' in source
    assert "2 of the architectures are drawn" in source
