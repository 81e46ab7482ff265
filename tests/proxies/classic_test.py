"""Regularised SWAP by hand."""

import math

import numpy as np

from nasjax.proxies import get
from nasjax.proxies.base import Facts


def value(num_params, **options):
    proxy = get("reg_swap", **options)
    stats = {proxy.passes[0]: {"patterns": np.array([5, 0, 7, 0, 0, 0, 0, 0, 0, 0]), "finite": np.array(True)}}
    return proxy.finish(Facts(None, num_params, 0, stats))


def test_the_score_falls_away_from_the_size_that_is_wanted():
    found = value(43_500, mu=40, sigma=25.0)
    exponent = -(3.5**2) / 25
    np.testing.assert_allclose(found.score, math.log(12) + exponent)
    np.testing.assert_allclose(found.raw, 12 * math.exp(exponent))


def test_far_from_that_size_scores_stay_apart():
    far, farther = value(1_000_000, mu=40, sigma=1), value(1_100_000, mu=40, sigma=1)
    assert far.raw == farther.raw == 0
    assert farther.score < far.score < 0


def test_without_a_size_only_patterns_count():
    assert value(10**6) == (math.log(12), 12.0, "")
    assert get("reg_swap", preset="paper").passes == get("swap", preset="paper").passes
