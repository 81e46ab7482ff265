import numpy as np
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
