"""Merged scores against hand-made cases and plain loops."""

import itertools

import numpy as np
import pytest
from scipy import stats

from nasjax.search import aggregate
from nasjax.search.aggregation import KINDS
from nasjax.types import InputError

A = [1.0, 2.0, 3.0, 4.0]
B = [1.0, 2.0, 4.0, 3.0]


def test_rank_sum_of_average_ranks():
    assert aggregate({"a": A, "b": [5.0, 5.0, 5.0, 9.0]}).tolist() == [0.75, 1.0, 1.25, 2.0]


def test_log_ranks():
    expected = [2 * np.log(0.25), 2 * np.log(0.5), np.log(0.75), np.log(0.75)]
    np.testing.assert_allclose(aggregate({"a": A, "b": B}, kind="logrank"), expected)


def test_equal_ranks_in_another_order_tie():
    rng = np.random.default_rng(6)
    columns = [rng.permutation(1000).astype(float) for _ in range(3)]
    for kind in ("ranksum", "logrank", "denserank"):
        one = aggregate(dict(zip("abc", columns, strict=True)), kind=kind)
        other = aggregate(dict(zip("abc", columns[::-1], strict=True)), kind=kind)
        np.testing.assert_array_equal(one, other)


def test_dense_ranks_leave_no_gap_behind_ties():
    assert aggregate({"a": [1.0, 1.0, 1.0, 7.0]}, kind="denserank").tolist() == [0.5, 0.5, 0.5, 1.0]
    assert aggregate({"a": [1.0, 1.0, 1.0, 7.0]}, kind="ranksum").tolist() == [0.5, 0.5, 0.5, 1.0]
    assert aggregate({"a": [1.0, 1.0, 7.0, 8.0]}, kind="denserank") == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1.0])


def test_product_orders_as_the_product_does():
    rng = np.random.default_rng(0)
    scores = {name: rng.lognormal(size=50) for name in "abc"}
    product = np.prod(list(scores.values()), axis=0)
    np.testing.assert_array_equal(stats.rankdata(aggregate(scores, kind="product")), stats.rankdata(product))


def test_product_neither_overflows_nor_is_turned_by_negative_scores():
    huge = aggregate({"a": [1e300, 2e300, 3e300], "b": [1e300, 1e300, 1e300]}, kind="product")
    assert np.isfinite(huge).all() and huge[0] < huge[1] < huge[2]
    # The worst of a proxy that was shifted has product 0, and lies below all others.
    shifted = aggregate({"a": [-3.0, -2.0, -1.0], "b": [9.0, 1.0, 1.0]}, kind="product")
    assert shifted[0] < shifted[1] < shifted[2]


def test_votes_are_those_of_all_pairs():
    rng = np.random.default_rng(1)
    scores = {name: rng.integers(0, 5, 30).astype(float) for name in "abcd"}
    table = np.stack(list(scores.values()))
    won = np.zeros(30)
    for i, j in itertools.permutations(range(30), 2):
        margin = np.sign(table[:, i] - table[:, j]).sum()
        won[i] += 1 if margin > 0 else 0.5 * (margin == 0)
    np.testing.assert_allclose(aggregate(scores, kind="vote"), won / 29)


def test_votes_of_more_than_one_block():
    values = np.random.default_rng(2).permutation(600).astype(float)
    np.testing.assert_allclose(aggregate({"a": values}, kind="vote"), values / 599)


@pytest.mark.parametrize("kind", KINDS)
def test_signs_turn_a_proxy_round(kind):
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=40), rng.normal(size=40)
    turned = aggregate({"a": a, "b": b}, kind=kind, signs=(1, -1))
    np.testing.assert_allclose(turned, aggregate({"a": a, "b": -b}, kind=kind))


@pytest.mark.parametrize("kind", KINDS)
def test_better_everywhere_is_better(kind):
    merged = aggregate({"a": A, "b": A}, kind=kind)
    assert (np.diff(merged) > 0).all()
    assert merged.dtype == np.float64


@pytest.mark.parametrize("kind", KINDS)
def test_invalid_scores_rank_last_and_nothing_is_infinite(kind):
    scores = {"a": [np.nan, 2.0, -np.inf, 4.0, np.inf], "b": [1.0, 2.0, 1.0, 4.0, 5.0]}
    merged = aggregate(scores, kind=kind)
    assert np.isfinite(merged).all()
    assert merged[0] == merged[2] == merged.min() and merged.argmax() == 4


@pytest.mark.parametrize("kind", KINDS)
def test_one_architecture_and_only_invalid_ones(kind):
    assert np.isfinite(aggregate({"a": [3.0]}, kind=kind)).all()
    assert len(set(aggregate({"a": [np.nan, np.nan]}, kind=kind))) == 1


def test_the_order_of_architectures_does_not_matter():
    rng = np.random.default_rng(4)
    scores, order = {name: rng.normal(size=300) for name in "abc"}, rng.permutation(300)
    for kind in KINDS:
        moved = aggregate({name: values[order] for name, values in scores.items()}, kind=kind)
        np.testing.assert_allclose(moved, aggregate(scores, kind=kind)[order])


def test_inputs_are_left_alone():
    values = np.array([np.nan, 1.0, 2.0])
    aggregate({"a": values}, signs=(-1,))
    np.testing.assert_array_equal(values, [np.nan, 1.0, 2.0])


@pytest.mark.parametrize(
    ("scores", "options", "match"),
    [
        ({}, {}, "0 proxies"),
        ({"a": []}, {}, "a has 0"),
        ({"a": A, "b": [1.0]}, {}, "a has 4, b has 1"),
        ({"a": [A]}, {}, r"shape \(1, 4\)"),
        ({"a": ["x"]}, {}, "no number"),
        ({"a": A}, {"kind": "ranks"}, "allowed: ranksum, logrank"),
        ({"a": A}, {"signs": (2,)}, r"\+1 or -1 for each of the 1"),
        ({"a": A}, {"signs": (1, 1)}, r"\+1 or -1"),
        ({"a": A}, {"invalid": "best"}, "'worst', 'raise'"),
        ({"a": [1.0, np.nan], "b": [-np.inf, np.nan]}, {"invalid": "raise"}, r"a \(1\), b \(2\) of 2"),
    ],
)
def test_bad_input(scores, options, match):
    with pytest.raises(InputError, match=match):
        aggregate(scores, **options)
