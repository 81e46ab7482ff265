"""Aggregations compared by one interface."""

import numpy as np
import pytest
from scipy import stats

from nasjax.search import aggregate, compare
from nasjax.search.comparison import METHODS
from nasjax.types import InputError


def table(number=300):
    rng = np.random.default_rng(0)
    params, other = rng.normal(size=number), rng.normal(size=number)
    scores = {
        "jacov": params + other + 0.6 * rng.normal(size=number),
        "nwot": params + 0.5 * rng.normal(size=number),
        "synflow": np.exp(other + 0.5 * rng.normal(size=number)),
        "plain": -params,
        "params": params,
    }
    return scores, 90 + params + other, params


def test_every_method_in_one_call():
    scores, y, params = table()
    seen = []
    found = compare(scores, y, params, margin=0.5, num_bootstrap=50, progress=lambda *counts: seen.append(counts))
    assert seen == [(done, 10) for done in range(11)]
    assert {m.method for m in found.measured} == set(METHODS) - {"az_nas"}
    rhos = [m.spearman for m in found.measured]
    assert rhos == sorted(rhos, reverse=True)
    for entry in found.measured:
        assert entry.spearman == pytest.approx(stats.spearmanr(entry.score, y).statistic)
        assert entry.low <= entry.spearman <= entry.high
        merged = aggregate({name: scores[name] for name in entry.proxies}, kind=entry.kind, signs=entry.signs)
        np.testing.assert_array_equal(entry.score, merged)
    assert found.entry("libra").proxies == found.choice.proxies
    assert found.entry("best_single").proxies == ("jacov",)
    assert found.entry("t_cet").proxies == ("nwot", "synflow") and found.entry("t_cet").kind == "product"
    assert found.entry("te_nas").proxies == tuple(scores) and found.entry("te_nas").kind == "denserank"
    assert found.entry("vote").proxies == found.entry("ranksum").proxies == tuple(scores)
    frame = found.table()
    assert list(frame["method"]) == [m.method for m in found.measured]
    assert frame["proxies"].iloc[0] == " ".join(found.measured[0].proxies)


def test_best_pair_is_the_best_of_all_pairs():
    scores, y, params = table()
    found = compare(scores, y, params, num_bootstrap=0)
    names = list(scores)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    pairs.remove(("plain", "params"))  # whose ranks add up to a constant
    rhos = [stats.spearmanr(stats.rankdata(scores[a]) + stats.rankdata(scores[b]), y).statistic for a, b in pairs]
    assert found.entry("best_pair").spearman == pytest.approx(max(rhos))
    assert np.isnan(found.entry("best_pair").low)


def test_direction_of_the_data_serves_all_methods():
    scores, y, params = table()
    found = compare(scores, y, params, num_bootstrap=0, direction="data", margin=0.5)
    assert found.choice.directions == {"jacov": 1, "nwot": 1, "synflow": 1, "plain": -1, "params": 1}
    assert found.entry("ranksum").signs == (1, 1, 1, -1, 1)
    turned = compare(scores | {"plain": -scores["plain"]}, y, params, num_bootstrap=0, margin=0.5)
    for method in ("ranksum", "vote", "best_pair", "libra"):
        assert found.entry(method).spearman == turned.entry(method).spearman


def test_published_methods_take_their_own_parts_where_they_are():
    scores, y, params = table()
    rng = np.random.default_rng(5)
    parts = ("az_expressivity", "az_progressivity", "az_trainability", "flops", "te_ntk", "te_regions", "snr")
    scores |= {name: y + rng.normal(size=len(y)) for name in parts}
    found = compare(scores, y, params, num_bootstrap=0)
    assert found.entry("az_nas").proxies == parts[:4] and found.entry("az_nas").kind == "logrank"
    assert found.entry("te_nas").proxies == ("te_ntk", "te_regions")
    assert found.entry("t_cet").proxies == ("nwot", "snr")


def test_chosen_on_some_and_measured_on_others():
    scores, y, params = table()
    found = compare(scores, y, params, choose_on=100, num_bootstrap=0, margin=0.5)
    assert (found.chosen_on, found.measured_on, found.held_out) == (100, 200, True)
    assert found.choice.kept.sum() == 100 and len(found.accuracies) == 200
    measured = np.flatnonzero(~found.choice.kept)
    np.testing.assert_array_equal(found.accuracies, y[measured])
    expected = aggregate({name: scores[name][measured] for name in found.choice.proxies})
    np.testing.assert_array_equal(found.entry("libra").score, expected)


def test_left_out_architectures_are_counted():
    scores, y, params = table()
    scores["nwot"][:4] = np.nan
    found = compare(scores, y, params, invalid="drop", num_bootstrap=0)
    assert (found.left_out, found.measured_on) == (4, 296)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"methods": ("libra", "votes")}, "method 'votes'.*did you mean vote"),
        ({"methods": ("az_nas",)}, "az_nas merges az_expressivity.*take logrank"),
        ({"choose_on": 9}, "choose_on=9 of 300 architectures; allowed: 0"),
        ({"choose_on": 291}, "to 290"),
        ({"num_bootstrap": -1}, "num_bootstrap=-1"),
        ({"margin": "wide"}, "margin='wide'"),
    ],
)
def test_bad_input(options, match):
    with pytest.raises(InputError, match=match):
        compare(*table(), **options)
