"""LIBRA on tables whose choice is known, and against a plain implementation of the algorithm."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasjax import search
from nasjax.data import proxy_tables
from nasjax.search import LibraConfig, libra
from nasjax.types import InputError


def table(number=400, seed=0):
    """Proxies of different strength, and parameters that explain a part of the accuracy."""
    rng = np.random.default_rng(seed)
    params, other = rng.normal(size=number), rng.normal(size=number)
    accuracy = 90 + params + other + 0.3 * rng.normal(size=number)
    noisy = {"best": (params + other, 0.5), "near": (params + other, 0.6), "params": (params, 0.2),
             "other": (other, 0.2), "weak": (other, 3.0)}  # fmt: skip
    return {k: v + s * rng.normal(size=number) for k, (v, s) in noisy.items()}, accuracy, params


def plain(scores, y, params, margin=0.1):
    """The algorithm of the paper, written once more: pairs of dictionaries and loops."""
    rho = {name: stats.spearmanr(x, y).statistic for name, x in scores.items()}
    z1 = max(rho, key=rho.get)
    candidates = [h for h in rho if h != z1 and rho[z1] - margin < rho[h]]
    bins = round(1 + 3.322 * np.log(len(y)))

    def cells(x):
        edges = np.linspace(min(x), max(x), bins + 1)
        return [min(int(np.searchsorted(edges, value, side="right")) - 1, bins - 1) for value in x]

    def bits(*columns):
        rows = list(zip(*(cells(c) for c in columns), strict=True))
        counts = np.array([rows.count(row) for row in set(rows)]) / len(rows)
        return -(counts * np.log2(counts)).sum()

    known = bits(y, scores[z1]) - bits(scores[z1])
    gains = {h: known - (bits(y, scores[z1], scores[h]) - bits(scores[z1], scores[h])) for h in scores if h != z1}
    bias = {h: stats.spearmanr(x, params).statistic for h, x in scores.items()}
    own = stats.spearmanr(y, params).statistic
    z2 = min(candidates, key=gains.get)
    z3 = min((h for h in candidates if h != z2), key=lambda h: abs(own - bias[h]))
    return (z1, z2, z3), tuple(candidates), gains, bias


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_plain_implementation(seed):
    scores, y, params = table(seed=seed)
    chosen, candidates, gains, bias = plain(scores, y, params, margin=0.5)
    found = libra(scores, y, params, margin=0.5)
    assert found.proxies == chosen == (found.z1, found.z2, found.z3) and found.candidates == candidates
    assert found.gains == pytest.approx(gains, abs=1e-9) and found.biases == pytest.approx(bias, abs=1e-9)
    ranks = sum(stats.rankdata(scores[name]) for name in chosen)
    np.testing.assert_allclose(found.score, ranks / len(y))
    assert found.rho == pytest.approx(stats.spearmanr(ranks, y).statistic)


def test_published_table_gives_the_published_kind_of_choice():
    found = proxy_tables.load("nasbench201_cifar10", published=True)
    rows = found.table.iloc[np.random.default_rng(1).choice(len(found.table), 1000, replace=False)]
    choice = libra(rows[list(found.proxies)], rows["cifar10_valid"], rows["params"], invalid="suite")
    assert choice.proxies == ("jacov", "l2_norm", "nwot") and choice.bins == 24
    assert choice.selection(space="nasbench201").proxies == ("jacob_cov", "l2_norm", "nwot")


def test_table_rows_and_selection_hold_the_reasons():
    scores, y, params = table()
    scores = {{"best": "lswag", "near": "zico", "weak": "swap"}.get(k, k): v for k, v in scores.items()}
    scores["nwot"] = scores.pop("other")
    choice = libra(scores, y, params, margin=0.5)
    frame = choice.table()
    assert list(frame["proxy"]) == sorted(scores, key=lambda h: -choice.spearman[h])
    assert dict(zip(frame["role"], frame["proxy"], strict=True)) == {
        **dict(zip(("z1", "z2", "z3"), choice.proxies, strict=True)), "": frame["proxy"].iloc[-1],
    }  # fmt: skip
    assert np.isnan(frame.set_index("proxy").loc[choice.proxies[0], "gain"])
    candidates = frame[frame["candidate"]]
    assert set(candidates["proxy"]) == set(choice.candidates)
    assert candidates["gain"].min() == choice.gains[choice.proxies[1]]
    selection = choice.selection(space="nasbench201", source="made up")
    assert selection.proxies == choice.proxies and selection.signs == (1, 1, 1)
    assert selection.reasons["candidates"] == list(choice.candidates)
    assert selection.reasons["options"]["margin"] == 0.5
    assert selection.reasons["gains"] == choice.gains


def test_the_margin_is_open_and_few_candidates_give_fewer_proxies():
    scores, y, params = table()
    alone = libra(scores, y, params, margin=0.001)
    assert (alone.z1, alone.z2, alone.z3) == ("best", None, None) and alone.proxies == ("best",)
    gap = libra(scores, y, params).spearman
    two = libra(scores, y, params, margin=gap["best"] - gap["near"] + 1e-9)
    assert two.proxies == ("best", "near") and two.candidates == ("near",)
    assert libra(scores, y, params, margin=gap["best"] - gap["near"]).candidates == ()


def test_options_change_what_they_say():
    scores, y, params = table()
    base = libra(scores, y, params, margin=0.5)
    assert libra(scores, y, params, margin=0.5, bins=7).bins == 7
    even = libra(scores, y, params, margin=0.5, binning="frequency")
    assert even.entropy == pytest.approx(np.log2(base.bins), abs=0.01)
    assert libra(scores, y, params, margin=0.5, entropy="miller_madow").entropy > base.entropy
    by_other = libra(scores, y, None, margin=0.5, bias="other")
    assert by_other.biases["other"] == pytest.approx(1) and by_other.accuracy_bias != base.accuracy_bias
    logrank = libra(scores, y, params, margin=0.5, aggregation="logrank")
    assert logrank.proxies == base.proxies and (logrank.score <= 0).all()


def test_direction_of_the_data_turns_proxies_round():
    scores, y, params = table()
    base = libra(scores, y, params, margin=0.5)
    opposite = scores | {"best": -scores["best"], "other": -scores["other"]}
    turned = libra(opposite, y, params, margin=0.5, direction="data")
    assert turned.proxies == base.proxies and turned.directions == {
        "best": -1, "near": 1, "params": 1, "other": -1, "weak": 1,
    }  # fmt: skip
    assert turned.signs == tuple(turned.directions[name] for name in turned.proxies) and -1 in turned.signs
    np.testing.assert_array_equal(turned.score, base.score)
    assert libra(opposite, y, params, margin=0.5).proxies[0] == "near"


def test_a_table_and_a_mapping_are_the_same():
    scores, y, params = table()
    framed = libra(pd.DataFrame(scores), pd.Series(y), params)
    np.testing.assert_array_equal(framed.score, libra(scores, y, params).score)


def test_ties_are_won_by_the_first_of_the_table():
    scores, y, params = table()
    for order in itertools.permutations(("near", "twin")):
        twins = {"best": scores["best"], **dict.fromkeys(order, scores["near"])}
        assert libra(twins, y, params).proxies == ("best", *order)


def test_invalid_scores():
    scores, y, params = table()
    scores["near"][[3, 5]] = [np.nan, np.inf]
    with pytest.raises(InputError, match=r"NaN or infinite values in near \(2\) of 400.*invalid='drop'"):
        libra(scores, y, params)
    dropped = libra(scores, y, params, invalid="drop")
    assert np.flatnonzero(~dropped.kept).tolist() == [3, 5] and len(dropped.score) == 398
    suite = libra(scores, y, params, invalid="suite")
    assert suite.kept.all() and len(suite.score) == 400
    y[0] = np.nan
    with pytest.raises(InputError, match=r"accuracies \(1\)"):
        libra(scores, y, params, invalid="suite")


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        (lambda s, y, p: ({"best": s["best"]}, y, p), {}, "scores hold 1 proxies; allowed: two or more"),
        (lambda s, y, p: (None, y, p), {}, "scores hold None"),
        (lambda s, y, p: (s | {"flat": np.ones(400)}, y, p), {}, "flat: the same value for all 400"),
        (lambda s, y, p: (s, np.zeros(400), p), {}, "accuracies: the same value"),
        (lambda s, y, p: (s, y, np.zeros(400)), {}, "num_params: the same value"),
        (lambda s, y, p: ({k: v[:9] for k, v in s.items()}, y[:9], p[:9]), {}, "9 architectures; allowed: 10 or more"),
        (lambda s, y, p: (s, y[:-1], p), {}, "numbers of architectures differ: best 400.*accuracies 399"),
        (lambda s, y, p: (s, y, None), {}, "num_params is None"),
        (lambda s, y, p: (s | {"word": ["x"] * 400}, y, p), {}, "word holds something that is no number"),
        (lambda s, y, p: (s | {"accuracies": y}, y, p), {}, "a proxy is called accuracies"),
        (lambda s, y, p: (s, y, p), {"bias": "flops"}, "bias='flops'; allowed: params, or a column: best"),
        (lambda s, y, p: (s, y, p), {"margins": 0.1}, "no option 'margins'.*did you mean margin"),
        (lambda s, y, p: (s, y, p), {"margin": 0}, "margin=0; allowed: a number above 0"),
        (lambda s, y, p: (s, y, p), {"bins": 1}, "bins=1; allowed: None, or a whole number from 2"),
        (lambda s, y, p: (s, y, p), {"entropy": "plug_in"}, "did you mean plugin"),
        (lambda s, y, p: (s, y, p), {"aggregation": "sum"}, "allowed: ranksum"),
    ],
)
def test_bad_input(change, options, match):
    with pytest.raises(InputError, match=match):
        libra(*change(*table()), **options)


def test_fewer_than_ten_are_left_after_dropping():
    scores, y, params = table(15)
    scores["weak"][:7] = np.nan
    with pytest.raises(InputError, match=r"8 architectures \(7 more have NaN"):
        libra(scores, y, params, invalid="drop")


def test_a_choice_of_unknown_proxies_is_no_selection():
    with pytest.raises(InputError, match="Unknown proxy 'best'"):
        libra(*table(), margin=0.5).selection()


def test_configuration_is_hashable_and_public():
    assert len({LibraConfig(), LibraConfig(margin=0.1), LibraConfig(bins=9)}) == 2
    assert search.libra is libra


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figure_shows_the_three_steps(theme):
    choice = libra(*table(), margin=0.5)
    figure = choice.figure(theme=theme)
    assert len(figure.axes) == 3
    marked = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert marked == ["z1", "z2", "z3"]
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert names == list(choice.table()["proxy"])[::-1]
