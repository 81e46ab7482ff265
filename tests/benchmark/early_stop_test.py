"""Rank correlation between epochs, and the two rules."""

import numpy as np
import pytest
from scipy import stats

from nasjax.benchmark import early_stop
from nasjax.benchmark.figures import curves_figure, stability_figure
from nasjax.types import InputError


def noisy(n=40, epochs=6):
    generator = np.random.default_rng(0)
    truth = generator.normal(size=n)
    return np.stack([truth + generator.normal(size=n) * 2.0 ** (1 - 2 * e) for e in range(epochs)], axis=1)


def test_correlations_are_those_of_scipy():
    curves = noisy()
    found = early_stop.rank_stability(curves)
    for e in range(6):
        expected = stats.spearmanr(curves[:, e], curves[:, -1]).statistic
        assert found["spearman"][e] == pytest.approx(expected, abs=1e-12)
        assert found["kendall"][e] == pytest.approx(stats.kendalltau(curves[:, e], curves[:, -1]).statistic)
    assert np.isnan(found["step"][0]) and found["spearman"][-1] == found["kendall"][-1] == 1
    assert found["step"][3] == pytest.approx(stats.spearmanr(curves[:, 3], curves[:, 2]).statistic, abs=1e-12)


def test_the_rules():
    curves = noisy()
    found = early_stop.rank_stability(curves)
    offline = early_stop.offline_epoch(curves)
    assert found["spearman"][offline - 1] >= 0.9 > found["spearman"][offline - 2]
    online = early_stop.online_epoch(curves)
    assert min(found["step"][online - 2 : online]) >= 0.95 and online > 2
    # The online rule knows nothing of what comes later.
    assert early_stop.online_epoch(curves[:, :online]) == online
    assert early_stop.online_epoch(curves[:, : online - 1]) is None


def test_rankings_that_never_settle():
    curves = np.random.default_rng(1).normal(size=(30, 5))
    assert early_stop.online_epoch(curves) is None
    assert early_stop.offline_epoch(curves) == 5
    assert early_stop.offline_epoch(np.ones((5, 3))) is None


def test_failed_trainings_are_left_out():
    curves = noisy()
    failed = np.concatenate([curves, [[1, 2, np.nan, 4, 5, 6]]])
    expected = early_stop.rank_stability(curves)["kendall"]
    np.testing.assert_array_equal(early_stop.rank_stability(failed)["kendall"], expected)
    with pytest.raises(InputError, match="1 architectures with an accuracy at every epoch"):
        early_stop.rank_stability([[1.0, 2.0], [np.nan, 1.0]])


def test_figures_show_the_tasks():
    figure = stability_figure({"cifar10": noisy(), "svhn": noisy(20, 4)})
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["cifar10", "svhn"]
    assert len(curves_figure(noisy(), task="svhn", theme="dark").axes[0].lines) == 41
