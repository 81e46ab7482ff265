import types

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from nasjax import figures

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=60), RNG.uniform(85, 94, size=60)
SHOWN = {"proxy": "lswag", "target": "cifar10_test", "rho": 0.8123, "tau": 0.6, "interval": (0.7, 0.9)}


def texts(figure):
    return " ".join(t.get_text() for t in figure.findobj(matplotlib.text.Text))


def points(axis):
    return np.concatenate([c.get_offsets() for c in axis.collections if len(c.get_offsets())])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("draw", [figures.scatter_figure, figures.rank_figure])
def test_one_panel_names_what_it_shows(draw, theme):
    figure = draw(X, Y, **SHOWN, theme=theme)
    shown = texts(figure)
    for word in ("lswag", "CIFAR-10 test accuracy", ".81", "[.70, .90]", ".60"):
        assert word in shown
    assert to_hex(figure.get_facecolor()) == figures.PALETTES[theme].paper
    assert len(points(figure.axes[0])) == 60


def test_the_best_are_highlighted():
    axis = figures.scatter_figure(X, Y, **SHOWN, top=0.1).axes[0]
    highlighted = axis.collections[1].get_offsets()[:, 1]
    assert len(highlighted) == 6 and set(highlighted) == set(np.sort(Y)[-6:])


def test_failed_trainings_are_counted_on_the_edge():
    accuracies = np.where(np.arange(60) < 2, 10.0, Y)
    figure = figures.scatter_figure(X, accuracies, **SHOWN)
    assert "2 below" in texts(figure)
    low, _ = figure.axes[0].get_ylim()
    assert low > 60


@pytest.mark.parametrize(("scores", "scale"), [(np.exp(3 * X), "log"), (X, "linear"), (np.exp(3 * X) - 1, "linear")])
def test_long_tailed_positive_scores_get_a_log_axis(scores, scale):
    assert figures.scatter_figure(scores, Y, **SHOWN).axes[0].get_xscale() == scale


def test_rank_plot_has_the_best_at_the_upper_right():
    axis = figures.rank_figure(np.arange(60.0), np.arange(60.0), **SHOWN).axes[0]
    x, y = axis.transData.transform((1, 1))
    assert (x, y) > tuple(axis.transData.transform((60, 60)))
    ranks = points(axis)
    np.testing.assert_array_equal(ranks[:, 0], ranks[:, 1])


@pytest.mark.parametrize(("count", "axes"), [(1, 1), (2, 2), (4, 4), (5, 5), (9, 9)])
def test_grids_have_a_panel_each(count, axes):
    panels = [figures.Panel(f"p{i}", X, Y, 0.5, 0.4, (0.3, 0.6)) for i in range(count)]
    assert len(figures.scatter_grid(panels, target="t").axes) == axes
    assert len(figures.rank_grid(panels, target="t").axes) == axes


def test_no_valid_score_leaves_an_empty_panel(tmp_path):
    panel = figures.Panel("dead", np.array([]), np.array([]), np.nan, np.nan, (np.nan, np.nan))
    for draw in (figures.scatter_grid, figures.rank_grid):
        figure = draw([panel], target="t")
        figure.savefig(tmp_path / "x.png", dpi=40)
        assert "–" in texts(figure)


def test_one_and_constant_architectures_can_be_drawn(tmp_path):
    for x, y in ((np.ones(1), np.ones(1)), (np.ones(5), np.ones(5))):
        for draw in (figures.scatter_figure, figures.rank_figure):
            draw(x, y, **SHOWN).savefig(tmp_path / "x.png", dpi=40)


def test_correlations_are_sorted_with_the_best_on_top(tmp_path):
    rows = [("a", "t", 0.2, 0.1, 0.3), ("b", "t", 0.9, 0.8, 0.95), ("c", "t", -0.5, -0.6, -0.4),
            ("d", "t", np.nan, np.nan, np.nan)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["proxy", "target", "spearman", "low", "high"])
    figure = figures.correlation_figure(table)
    figure.savefig(tmp_path / "x.png", dpi=40)
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == ["d", "c", "a", "b"]  # from the bottom
    low, high = figure.axes[0].get_xlim()
    assert low < -0.6 and high > 0.95


def test_interval_is_shaded_and_said(tmp_path):
    profile = types.SimpleNamespace(mean=np.linspace(-7, -5, 10), deviation=np.full(10, 0.3), interval=(3, 5))
    figure = figures.interval_figure(profile)
    assert "30-60 % of depth" in texts(figure)
    missing = types.SimpleNamespace(mean=np.array([np.nan, *np.ones(9)]), deviation=np.ones(10), interval=None)
    figure = figures.interval_figure(missing, theme="dark")
    figure.savefig(tmp_path / "x.png", dpi=40)
    assert "all layers" in texts(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.834, ".83"), (-0.05, "−.05"), (1.0, "1.00"), (-0.001, ".00"), (0.999, "1.00"), (-1, "−1.00"), (np.nan, "–")],
)
def test_numbers_are_written_as_in_tables(value, text):
    assert figures.number(value) == text


def test_drawing_changes_no_global_setting():
    before = dict(matplotlib.rcParams)
    figures.scatter_figure(X, Y, **SHOWN)
    assert dict(matplotlib.rcParams) == before


def test_readable_names():
    assert figures.readable("imagenet16_test") == "ImageNet16-120 test accuracy"
    assert figures.readable("my_top1") == "my top1"
