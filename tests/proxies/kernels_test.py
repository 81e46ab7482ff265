"""Scores of correlation matrices and kernels, by hand."""

import math

import numpy as np
import pytest

from nasjax.proxies import kernels
from nasjax.proxies.base import Facts
from nasjax.types import InputError

K = 1e-5


def correlation(seed=0, n=6):
    return np.corrcoef(np.random.default_rng(seed).normal(size=(n, 20)))


def test_spectral_score_of_independent_and_equal_images():
    assert kernels.spectral_score(np.eye(4)) == pytest.approx(-4 * (math.log(1 + K) + 1 / (1 + K)))
    equal = -(math.log(4 + K) + 1 / (4 + K) + 3 * (math.log(K) + 1 / K))
    assert kernels.spectral_score(np.ones((4, 4))) == pytest.approx(equal, rel=1e-6)


def test_spectral_score_of_a_matrix_with_nan():
    assert math.isnan(kernels.spectral_score(np.full((3, 3), np.nan)))


def test_classes_up_to_a_hundred_add_up():
    matrix, labels = correlation(), np.array([0, 1, 0, 1, 0, 2])
    own = [np.log(np.abs(matrix[np.ix_(i, i)]) + K).sum() for i in ([0, 2, 4], [1, 3], [5])]
    assert kernels.class_score(matrix, labels, 10) == pytest.approx(np.abs(own).sum())


def test_more_classes_are_compared_with_each_other():
    matrix, labels = correlation(), np.array([0, 1, 0, 1, 0, 2])
    first, second = (np.log(np.abs(matrix[np.ix_(i, i)]) + K).sum() / len(i) for i in ([0, 2, 4], [1, 3]))
    # Class 2 has one image and is left out; both orders of a pair count.
    assert kernels.class_score(matrix, labels, 120) == pytest.approx(2 * abs(first - second) / 2)
    assert kernels.class_score(matrix, np.arange(6), 120) == 0.0


def test_condition_number():
    assert kernels.condition_number(np.diag([1.0, 4.0, 2.0])) == pytest.approx(4.0)
    assert kernels.condition_number(np.ones((2, 2)) - np.diag([0, 1e-3])) == math.inf
    assert math.isnan(kernels.condition_number(np.zeros((2, 2))))
    assert math.isnan(kernels.condition_number(np.full((2, 2), np.nan)))


def test_the_score_is_minus_the_mean_condition_number():
    proxy = kernels.te_ntk(samples=2, repeats=2)
    (p,) = proxy.passes
    stats = {p: {"kernel": np.stack([np.diag([1.0, 4.0]), np.diag([1.0, 2.0])])}}
    value = proxy.finish(Facts(None, 0, 0, stats))
    assert (value.score, value.raw) == (pytest.approx(-3.0), pytest.approx(3.0))


def test_presets():
    paper, suite = (dict(kernels.te_ntk(preset=p).options) for p in ("paper", "nbsz"))
    assert paper == {"init": "kaiming_fan_out", "repeats": 3, "samples": 72}
    assert suite == {"init": "torch", "repeats": 1, "samples": 16}


def test_numbers_out_of_range():
    with pytest.raises(InputError, match="samples=0"):
        kernels.te_ntk(samples=0)
    with pytest.raises(InputError, match="repeats='many'"):
        kernels.te_ntk(repeats="many")
