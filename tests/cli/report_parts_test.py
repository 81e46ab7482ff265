import numpy as np
import pandas as pd
import pytest

import nasjax
from nasjax.cli import report_parts


def test_a_ranking_lists_the_best_and_says_how_many_there_are():
    table = report_parts.ranked(["a", "b", "c"], {"score": np.array([1.0, np.nan, 3.0])}, [2, 0, 1], listed=2)
    assert [row[:3] for row in table.rows] == [["1", "c", "3"], ["2", "a", "1"]] and "best 2 of 3" in table.caption
    whole = report_parts.ranked(["a", "b"], {"score": np.array([1.0, np.nan])}, [0, 1])
    assert whole.rows[1] == ["2", "b", "–"] and whole.caption == ""


def test_agreement_leaves_out_what_is_missing_pair_by_pair():
    x = np.arange(6.0)
    y, z = -x, np.where(x < 4, np.nan, x)
    chart = report_parts.agreement({"x": x, "y": y, "z": z, "params": x**2})
    matrix = chart.traces[0]["z"]
    assert matrix[0][1] == pytest.approx(-1) and matrix[0][3] == pytest.approx(1) and matrix[0][2] is None
    assert "x and y" in chart.alt or "y and x -1.00" in chart.alt
    assert report_parts.agreement({"x": x}) is None and report_parts.agreement({"x": x[:2], "y": y[:2]}) is None


def test_columns_have_as_many_decimals():
    assert report_parts.cells(np.array([172.93, 164.0, np.nan])) == ["172.9", "164.0", "–"]
    assert report_parts.cells(np.array([0.5634, 0.5, -0.0])) == ["0.5634", "0.5000", "0.0000"]
    assert report_parts.cells(np.array([14918.0, 3.0])) == ["14,918", "3"]
    assert report_parts.cells(np.array([1e6, 0.00123, 0.5])) == ["1,000,000", "0.00123", "0.5"]
    assert report_parts.cells(np.array([1e20, 2.0])) == ["1e+20", "2"]
    assert report_parts.cells(np.array([94.123, 9.0]), decimals=2) == ["94.12", "9.00"]
    assert report_parts.cells(np.array([np.nan])) == ["–"]


def test_accuracies_in_percent_say_so():
    assert report_parts.percent("test accuracy", [90.0, np.nan, 10.0]) == "test accuracy, %"
    assert report_parts.percent("test accuracy", [0.9, 0.1]) == "test accuracy"
    assert report_parts.percent("score", [90.0]) == "score"


def test_points_of_a_chart_are_drawn_before_what_nobody_sees(monkeypatch):
    space = nasjax.get_space("nasbench201")
    archs = [f"|{op}~0|+|{op}~0|none~1|+|none~0|none~1|{last}~2|" for op in ("nor_conv_3x3", "skip_connect")
             for last in ("nor_conv_1x1", "nor_conv_3x3", "skip_connect", "avg_pool_3x3")]  # fmt: skip
    columns = {"x": np.arange(2.0), "y": np.arange(2.0)}
    chart = report_parts.scatter("p", archs[6:], columns, x="x", y="y")
    monkeypatch.setattr(report_parts, "LISTED", 1)
    assert list(report_parts.drawings(space, archs, chart).graphs)[:3] == [archs[0], archs[6], archs[7]]


def test_correlations_put_the_best_on_top():
    table = pd.DataFrame({"proxy": ["a", "b", "a", "b"], "target": ["x", "x", "y", "y"], "low": 0.1, "high": 0.9,
                          "spearman": [0.2, 0.5, 0.4, 0.6]})  # fmt: skip
    chart = report_parts.correlations("c", table, caption="")
    assert chart.layout["yaxis"]["ticktext"] == ["b", "a"] and chart.traces[0]["x"] == [0.5, 0.2]
    assert [trace["name"] for trace in chart.traces[::2]] == ["x", "y"] and "b .50 with x" in chart.alt


def test_very_long_encodings_are_cut_in_sentences():
    assert report_parts.brief("x" * 120) == "x" * 120 and report_parts.brief("x" * 121) == "x" * 60 + "…"


def test_the_best_are_finite():
    assert report_parts.best(np.array([np.nan, 1.0, 3.0, 2.0]), share=0.5).tolist() == [False, False, True, True]
    assert not report_parts.best(np.array([np.nan, np.nan])).any()


def test_a_profile_shades_its_interval():
    from nasjax.proxies.profile import IntervalProfile

    profile = IntervalProfile(np.array([1.0, 2.0, np.nan, 1.0]), np.full(4, 0.5), np.zeros(4), (1, 2), 8)
    chart = report_parts.depth_profile(profile)
    assert (chart.layout["shapes"][0]["x0"], chart.layout["shapes"][0]["x1"]) == (25, 75)
    assert chart.traces[-1]["y"] == [1.0, 2.0, None, 1.0] and chart.traces[0]["y"][0] == 0.5


def test_spaces_are_found_by_what_a_run_says(tmp_path):
    assert report_parts.space_of(tmp_path) is None
    (tmp_path / "config.json").write_text('{"space": "nasbench201", "space_options": {"channels": 4}}')
    assert report_parts.space_of(tmp_path).options["channels"] == 4
    assert report_parts.made("none", {}) is None and report_parts.made("nasbench201", {"spin": 1}) is None
    space = nasjax.get_space("nasbench201")
    assert report_parts.parameters(space, ["x"]) is None
