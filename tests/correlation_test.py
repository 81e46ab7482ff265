import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasjax import correlation
from nasjax.data import tables
from nasjax.types import InputError

ARCHS = [f"a{i}" for i in range(20)]


@pytest.fixture
def table():
    return pd.DataFrame({"arch": ARCHS, "arch_index": range(20), "easy": np.arange(20.0), "hard": np.arange(20.0) % 7})


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "arch": ARCHS, "good": np.arange(20.0) ** 2, "reversed": -np.arange(20.0), "noisy": rng.normal(size=20),
        "constant": np.ones(20), "valid": True, "reason": "",
    })  # fmt: skip


def test_perfect_reversed_constant_and_order(scores, table):
    found = correlation.correlate(scores, table, columns=["easy"], num_bootstrap=50)
    assert found.proxies == ["good", "noisy", "reversed", "constant"]
    good, reverse, constant = (found.row(name, "easy") for name in ("good", "reversed", "constant"))
    assert good["spearman"] == good["kendall"] == good["precision"] == 1 and good["regret"] == 0
    assert (good["low"], good["high"]) == (1, 1)
    assert reverse["spearman"] == reverse["kendall"] == -1 and reverse["precision"] == 0 and reverse["regret"] == 19
    assert np.isnan(constant["spearman"]) and constant["count"] == 20
    assert (found.scored, found.missing, found.table["k"].unique().tolist()) == (20, 0, [2])


def test_numbers_agree_with_scipy_and_interval_holds_them(scores, table):
    found = correlation.correlate(scores, table, num_bootstrap=200, seed=1)
    assert found.targets == ["easy", "hard"]  # keys of the table are no targets
    row = found.row("noisy", "hard")
    assert row["spearman"] == pytest.approx(stats.spearmanr(scores["noisy"], table["hard"]).statistic)
    assert row["kendall"] == pytest.approx(stats.kendalltau(scores["noisy"], table["hard"]).statistic)
    assert row["low"] < row["spearman"] < row["high"]
    again = correlation.correlate(scores, table, num_bootstrap=200, seed=1)
    pd.testing.assert_frame_equal(found.table, again.table)
    assert correlation.correlate(scores, table, num_bootstrap=0).table["low"].isna().all()


def test_joins_by_architecture_whatever_the_order(scores, table):
    shuffled = scores.sample(frac=1, random_state=3)
    stranger = pd.DataFrame({"arch": ["x", "y"], "good": [99.0, 98.0], "valid": True})
    found = correlation.correlate(pd.concat([shuffled, stranger]), table, columns=["easy"], num_bootstrap=0)
    assert (found.scored, found.missing, len(found.joined)) == (22, 2, 20)
    assert found.row("good", "easy")["spearman"] == 1
    x, y = found.pair("good", "easy")
    np.testing.assert_array_equal(x, y**2)


def test_invalid_scores_never_take_part(scores, table):
    # float64 max would win every ranking; NaN and infinities would poison it
    scores.loc[0, ["good", "valid", "reason"]] = [1e308, False, "no path from input to output"]
    scores.loc[1, ["good", "noisy", "valid", "reason"]] = [1e308, 0.5, False, "good, reversed: overflow"]
    scores.loc[2, "good"] = np.inf
    scores.loc[3, "good"] = np.nan
    found = correlation.correlate(scores, table, columns=["easy"], num_bootstrap=0)
    assert found.row("good", "easy")["spearman"] == 1
    assert found.row("good", "easy")["count"] == 16
    assert found.invalid == {"good": 4, "noisy": 1, "reversed": 2, "constant": 1}
    assert scores["good"].max() == np.inf, "the caller's table is left alone"


def test_mask_reads_flags_written_as_text(scores):
    scores["valid"] = ["True"] * 19 + ["False"]
    masked = correlation.mask_invalid(scores)
    assert masked["good"].isna().sum() == 1 and np.isnan(masked["good"].iloc[19])


def test_published_scores_of_the_built_in_table():
    known = tables.load("nasbench201")
    frame = known[["arch"]].assign(best=known["cifar10_test"], other=-known["arch_index"])
    found = correlation.correlate(frame.sample(200, random_state=0), "nasbench201", num_bootstrap=0)
    assert found.targets == ["cifar10_test", "cifar100_test", "imagenet16_test"]
    assert found.row("best", "cifar10_test")["spearman"] == pytest.approx(1)
    assert found.row("best", "imagenet16_test")["spearman"] > 0.9
    assert abs(found.row("other", "cifar10_test")["spearman"]) < 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ["esy"]}, "Did you mean easy"),
        ({"top": 0.0}, "between 0 and 1"),
        ({"top": 1.5}, "between 0 and 1"),
        ({"num_bootstrap": -1}, "0 \\(no interval\\) or more"),
    ],
)
def test_bad_options(scores, table, change, message):
    with pytest.raises(InputError, match=message):
        correlation.correlate(scores, table, **change)


def test_nothing_to_compare(scores, table):
    with pytest.raises(InputError, match="at least 3"):
        correlation.correlate(scores.head(2), table)
    with pytest.raises(InputError, match="no numeric column"):
        correlation.correlate(scores[["arch", "reason"]], table)
    with pytest.raises(InputError, match="no column arch"):
        correlation.correlate(scores[["good"]], table)
    with pytest.raises(InputError, match="both a score and"):
        correlation.correlate(scores.rename(columns={"good": "easy"}), table)
    with pytest.raises(InputError, match="no numeric column beside arch"):
        correlation.correlate(scores, table[["arch", "arch_index"]])


def test_read_scores(tmp_path, scores):
    scores.to_csv(tmp_path / "scores.csv", index=False)
    pd.testing.assert_series_equal(correlation.read_scores(tmp_path)["good"], scores["good"])
    assert list(correlation.read_scores(tmp_path / "scores.csv")["arch"]) == ARCHS
    with pytest.raises(InputError, match="no such file"):
        correlation.read_scores(tmp_path / "absent")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe")
    with pytest.raises(InputError, match="Expected: a header|no column arch"):
        correlation.read_scores(tmp_path / "image.csv")
    (tmp_path / "other.csv").write_text("name,value\nx,1\n")
    with pytest.raises(InputError, match="no column arch; it has name, value"):
        correlation.read_scores(tmp_path / "other.csv")


def test_codes_with_leading_zeros_stay_text(tmp_path):
    (tmp_path / "scores.csv").write_text("arch,good\n001,1\n010,2\n")
    assert list(correlation.read_scores(tmp_path)["arch"]) == ["001", "010"]


def test_result_is_frozen(scores, table):
    found = correlation.correlate(scores, table, num_bootstrap=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.missing = 3


def test_the_figure_has_a_panel_a_proxy_and_the_numbers_of_the_table(scores, table):
    found = correlation.correlate(scores.drop(columns="constant"), table, num_bootstrap=20)
    panels = found.panels("hard")
    assert [panel.proxy for panel in panels] == found.proxies
    assert panels[0].rho == found.row(panels[0].proxy, "hard")["spearman"]
    first, ranks = found.figure(), found.figure(target="hard", ranks=True)
    assert len(first.axes) == len(ranks.axes) == 3
    assert "easy" in [text.get_text() for text in first.texts]
    assert "rank by hard" in [text.get_text() for text in ranks.texts]
    with pytest.raises(InputError, match="target='harder'; allowed: easy, hard"):
        found.figure(target="harder")
