"""Ranks of a population, by hand."""

import numpy as np
import pytest

from nasjax.proxies import base, get, parse, population, te_nas
from nasjax.proxies.registry import column_names
from nasjax.proxies.score import ScoreResult

INF, NAN = np.inf, np.nan


def member(name):
    return base.Proxy(name, (), (), lambda facts: base.plain(0.0))


def column(scores, reasons=None):
    scores = np.array(scores, float)
    return population.Column(scores, scores, np.isfinite(scores), reasons or [""] * len(scores))


PROXY = population.proxy("both", (), (member("a"), member("b")), population.log_ranks)


def ranked(members, encodings="wxyz", alive=(True,) * 4):
    return population.ranked(PROXY, members, list(encodings), np.array(alive))


def test_log_ranks():
    found = ranked([column([3, 1, 2, 4]), column([10, 20, 20, 5])])
    # Ranks 3, 1, 2, 4 and, ties sharing the average, 2, 3.5, 3.5, 1; divided by 4.
    np.testing.assert_allclose(found.scores, np.log([3 * 2 / 16, 3.5 / 16, 2 * 3.5 / 16, 4 / 16]))
    assert found.valid.all()


def test_rank_sum():
    np.testing.assert_array_equal(population.rank_sum(np.array([[1.0, 2, 3], [3, 1, 2]])), [4, 3, 5])


def test_dead_architectures_are_left_out():
    found = ranked([column([3, 1, 2, 4]), column([10, 20, 30, 5])], alive=(True, False, True, True))
    np.testing.assert_allclose(
        found.scores, np.log([2 * 2 / 9, 0, 1 * 3 / 9, 3 * 1 / 9], where=[1, 0, 1, 1], out=np.full(4, -INF))
    )
    np.testing.assert_array_equal(found.valid, [True, False, True, True])


def test_a_repeated_architecture_counts_once():
    found = ranked([column([3, 1, 3, 4]), column([1, 2, 1, 3])], encodings="wxwz")
    np.testing.assert_allclose(found.scores, np.log([2 * 1 / 9, 1 * 2 / 9, 2 * 1 / 9, 3 * 3 / 9]))


def test_what_is_no_number_is_last_and_named():
    reasons = ["", "a is -inf", "a is nan", ""]
    found = ranked([column([3, -INF, NAN, 4], reasons), column([1, 2, 3, 4])])
    np.testing.assert_allclose(found.scores, np.log([3 * 1 / 16, 1.5 * 2 / 16, 1.5 * 3 / 16, 4 * 4 / 16]))
    assert found.reasons == reasons
    assert found.valid.all()


def test_a_member_without_any_number_is_left_out():
    found = ranked([column([NAN] * 4, ["a is nan"] * 4), column([1, 2, 3, 4])])
    np.testing.assert_allclose(found.scores, np.log([1 / 4, 2 / 4, 3 / 4, 1]))
    assert found.reasons == [""] * 4
    nothing = ranked([column([NAN] * 4), column([NAN] * 4)])
    assert not nothing.valid.any()


def test_a_population_of_dead_ones():
    assert not ranked([column([1, 2, 3, 4])] * 2, alive=(False,) * 4).valid.any()


def test_members_run_once_each():
    chosen = parse(["az_nas,flops,az_expressivity", te_nas.te_nas()])
    single, names = population.expand(chosen, column_names(chosen))
    assert [p.name for p in single] == [
        "flops",
        "az_expressivity",
        "az_progressivity",
        "az_trainability",
        "te_ntk",
        "te_regions",
    ]
    assert names[:2] == ["flops", "az_expressivity"]
    assert len(set(names)) == 6


def test_a_result_has_the_columns_asked_for():
    chosen = (PROXY, member("b"))
    table = {"b": np.array([1.0, 2.0, 3.0]), "a": np.array([5.0, 6.0, 4.0])}
    valid = {name: np.ones(3, bool) for name in table}
    texts = {name: [""] * 3 for name in table}
    found = ScoreResult(["x", "y", "z"], table, table, valid, texts, np.ones(3), {})
    result = population.ranked_result(found, chosen, ["both", "b"], lambda i: True)
    assert list(result.scores) == ["both", "b"]
    np.testing.assert_allclose(result.scores["both"], np.log([2 * 1 / 9, 3 * 2 / 9, 1 * 3 / 9]))
    assert population.ranked_result(found, chosen[1:], ["b"], lambda i: True) is found


def test_a_population_score_has_no_value_of_one_architecture():
    with pytest.raises(TypeError, match="az_nas"):
        get("az_nas").finish(base.Facts(None, 0, 0, {}))
