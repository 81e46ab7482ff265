"""Metrics against hand-derived cases, slow plain definitions and scipy."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from nasjax import metrics
from nasjax.types import InputError


def ranks(values):
    """Average ranks by the definition: smaller ones, plus half of the equal others."""
    return np.asarray([sum(v < w for v in values) + (sum(v == w for v in values) + 1) / 2 for w in values])


def tau_b(x, y):
    """Kendall's tau-b over all pairs."""
    pairs = list(itertools.combinations(range(len(x)), 2))
    sx = np.asarray([np.sign(x[i] - x[j]) for i, j in pairs])
    sy = np.asarray([np.sign(y[i] - y[j]) for i, j in pairs])
    return (sx * sy).sum() / math.sqrt((sx != 0).sum() * (sy != 0).sum())


def tied(seed, n=40, levels=8):
    return np.random.default_rng(seed).integers(0, levels, (2, n)).astype(float)


def test_spearman_by_hand():
    assert metrics.spearman([1, 2, 3], [10, 20, 30]) == 1.0
    assert metrics.spearman([1, 2, 3], [3, 2, 1]) == -1.0
    # d = (0, 1, -1, 0): 1 - 6 * 2 / (4 * 15)
    assert metrics.spearman([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(4))
def test_correlations_with_ties(seed):
    x, y = tied(seed)
    assert metrics.spearman(x, y) == pytest.approx(np.corrcoef(ranks(x), ranks(y))[0, 1])
    assert metrics.spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert metrics.kendall(x, y) == pytest.approx(tau_b(x, y))


def test_kendall_by_hand():
    assert metrics.kendall([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    # Pairs: (1,2) tied in x; (1,3), (2,3) concordant: 2 / sqrt(2 * 3).
    assert metrics.kendall([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(6))


def test_correlations_see_ranks_only():
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    for stat in (metrics.spearman, metrics.kendall):
        assert stat(np.exp(3 * x), y) == pytest.approx(stat(x, y))
        assert stat(-x, y) == pytest.approx(-stat(x, y))
        rows = np.random.default_rng(1).permutation(50)
        assert stat(x[rows], y[rows]) == pytest.approx(stat(x, y))


def test_infinite_values_rank_at_the_ends():
    assert metrics.spearman([-np.inf, 0, 1, np.inf], [1, 2, 3, 4]) == 1.0
    assert metrics.kendall([-np.inf, 0, np.inf], [1, 2, 3]) == pytest.approx(1.0)
    assert metrics.precision_at_k([-np.inf, 0, np.inf], [1, 2, 3], 1) == 1.0


def test_constant_input_has_no_correlation():
    for stat in (metrics.spearman, metrics.kendall):
        assert math.isnan(stat([1, 1, 1], [1, 2, 3]))
        assert math.isnan(stat([1, 2, 3], [0, 0, 0]))


def test_precision_by_hand():
    accuracies = [90, 80, 70, 60]
    assert metrics.precision_at_k([4, 3, 2, 1], accuracies, 2) == 1.0
    assert metrics.precision_at_k([4, 1, 2, 3], accuracies, 2) == 0.5
    assert metrics.precision_at_k([1, 2, 3, 4], accuracies, 2) == 0.0
    assert metrics.precision_at_k([1, 2, 3, 4], accuracies, 4) == 1.0
    # All tied: any two of four, so half of the best two are expected among them.
    assert metrics.precision_at_k([1, 1, 1, 1], accuracies, 2) == pytest.approx(0.5)


def test_regret_by_hand():
    accuracies = [90, 80, 70, 60]
    assert metrics.regret([4, 3, 2, 1], accuracies) == 0.0
    assert metrics.regret([1, 2, 3, 4], accuracies) == 30.0
    assert metrics.regret([1, 2, 3, 4], accuracies, 3) == 10.0
    assert metrics.regret([0, 1, 1, 0], accuracies) == pytest.approx(90 - 75)


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_ties_give_the_mean_over_all_ways_to_break_them(k):
    generator = np.random.default_rng(k)
    scores = generator.integers(0, 2, 6)
    accuracies = generator.permutation(6).astype(float)
    best = set(np.argsort(-accuracies)[:k])
    precisions, regrets = [], []
    for rows in itertools.permutations(range(6)):
        top = sorted(rows, key=lambda row: -scores[row])[:k]  # stable: the permutation breaks the ties
        precisions.append(len(best & set(top)) / k)
        regrets.append(accuracies.max() - accuracies[top].max())
    assert metrics.precision_at_k(scores, accuracies, k) == pytest.approx(np.mean(precisions))
    assert metrics.regret(scores, accuracies, k) == pytest.approx(np.mean(regrets))


def test_bootstrap_covers_and_repeats():
    generator = np.random.default_rng(5)
    hits = 0
    truth = 6 / math.pi * math.asin(0.6 / 2)  # Spearman of a normal pair with correlation 0.6
    for trial in range(60):
        x, noise = generator.normal(size=(2, 100))
        low, high = metrics.bootstrap(metrics.spearman, x, 0.6 * x + 0.8 * noise, num=200, seed=trial)
        hits += low <= truth <= high
    assert hits >= 50  # expected 57; below 50 is 1 in 1000 even for a true coverage of 0.92
    assert metrics.bootstrap(metrics.spearman, x, noise, num=50) == metrics.bootstrap(
        metrics.spearman, x, noise, num=50
    )
    assert metrics.bootstrap(metrics.spearman, x, noise, seed=1) != metrics.bootstrap(metrics.spearman, x, noise)


def test_bootstrap_levels_nest_and_undefined_resamples_are_left_out():
    x, y = np.random.default_rng(0).normal(size=(2, 60))
    wide = metrics.bootstrap(metrics.kendall, x, y, num=200, level=0.99)
    narrow = metrics.bootstrap(metrics.kendall, x, y, num=200, level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert metrics.bootstrap(metrics.spearman, [1, 2], [1, 2], num=50) == (1.0, 1.0)
    assert all(math.isnan(end) for end in metrics.bootstrap(metrics.spearman, [1, 1], [1, 2], num=20))


def test_paired_bootstrap():
    generator = np.random.default_rng(2)
    y, one, two = generator.normal(size=(3, 200))
    good, bad = y + 0.5 * one, y + 2 * two
    difference, low, high = metrics.paired_bootstrap(metrics.spearman, good, bad, y, num=200)
    assert difference == metrics.spearman(good, y) - metrics.spearman(bad, y)
    assert 0 < low < difference < high
    assert metrics.paired_bootstrap(metrics.spearman, good, good, y, num=50) == (0.0, 0.0, 0.0)
    # Pairing takes the common part out: the interval of good against nearly the same is tight.
    _, low, high = metrics.paired_bootstrap(metrics.spearman, good, good + 0.01 * bad, y, num=200)
    single = metrics.bootstrap(metrics.spearman, good, y, num=200)
    assert high - low < 0.2 * (single[1] - single[0])


def test_nan_raises_or_is_dropped():
    x, y = [1.0, np.nan, 3.0, 2.0], [1.0, 2.0, 3.0, np.nan]
    for stat in (
        metrics.spearman,
        metrics.kendall,
        metrics.regret,
        lambda a, b, **o: metrics.precision_at_k(a, b, 1, **o),
        lambda a, b, **o: metrics.bootstrap(metrics.spearman, a, b, **o),
        lambda a, b, **o: metrics.paired_bootstrap(metrics.spearman, a, a, b, **o),
    ):
        with pytest.raises(InputError, match="NaN in 2 of 4 rows"):
            stat(x, y)
        stat(x, y, nan="drop")
    assert metrics.spearman(x, y, nan="drop") == 1.0
    with pytest.raises(InputError, match="1 rows are left"):
        metrics.spearman([1, np.nan], [1, 2], nan="drop")
    with pytest.raises(InputError, match="nan='keep'"):
        metrics.spearman([1, 2], [1, 2], nan="keep")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: metrics.spearman([1, 2, 3], [1, 2]), "x has 3, y has 2"),
        (lambda: metrics.spearman([[1, 2]], [[1, 2]]), "shape"),
        (lambda: metrics.kendall([], []), "0 rows"),
        (lambda: metrics.kendall(["a", "b"], [1, 2]), "no number"),
        (lambda: metrics.precision_at_k([1, 2], [1, 2], 3), "k=3 is more than the 2 rows"),
        (lambda: metrics.precision_at_k([1, 2], [1, 2], 0), "k=0"),
        (lambda: metrics.precision_at_k([1, 2], [1, 2], 0.5), "k=0.5"),
        (lambda: metrics.regret([1, 2], [1, np.inf]), "infinity"),
        (lambda: metrics.regret([1, 2], [1, 2], -1), "k=-1"),
        (lambda: metrics.bootstrap(metrics.spearman, [1, 2], [1, 2], num=0), "num=0"),
        (lambda: metrics.bootstrap(metrics.spearman, [1, 2], [1, 2], seed=-1), "seed=-1"),
        (lambda: metrics.bootstrap(metrics.spearman, [1, 2], [1, 2], level=95), "level=95"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(InputError, match=match):
        call()
