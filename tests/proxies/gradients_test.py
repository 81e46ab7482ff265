"""Proxies of weights and loss gradients, on a linear network and on statistics by hand."""

import types

import numpy as np
import pytest

from nasjax.proxies import gradients, passes
from nasjax.proxies.base import Facts
from nasjax.types import InputError


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 1))
    return a, b, rng.normal(size=(2, 5, 3)), rng.integers(-2, 3, (2, 5))


@pytest.fixture
def score(run_linear, linear_space, x64, case):
    """Raw value of a proxy on the case."""

    def score(proxy):
        served = passes.merge(list(proxy.passes))
        stats = {p: run_linear(served[p], *case) for p in proxy.passes}
        return proxy.finish(Facts(linear_space.layers(None), 16, 0, stats))

    return score


def sample_gradients(a, b, x, t):
    """Gradients of (x a b - t)^2 / 2 for each sample alone, [n, 16]."""
    error = (x @ a @ b)[:, 0] - t
    da = np.einsum("n,ni,h->nih", error, x, b[:, 0])
    return np.concatenate([da.reshape(len(x), -1), error[:, None] * (x @ a)], 1)


def test_l2_norm(score, case):
    a, b, *_ = case
    assert score(gradients.l2_norm()).score == pytest.approx(np.linalg.norm(a) + np.linalg.norm(b))


def test_plain_keeps_signs(score, case):
    a, b, x, t = case
    weights = np.concatenate([a.ravel(), b.ravel()])
    assert score(gradients.signed_saliency()).score == pytest.approx(
        weights @ sample_gradients(a, b, x[0], t[0]).mean(0)
    )


def test_fisher_hands_a_channel_to_each_of_its_weights(score, case):
    a, b, x, t = case
    hidden, out = x[0] @ a, x[0] @ a @ b
    error = (out[:, 0] - t[0]) / len(out)
    first = 0.5 * np.square(hidden * error[:, None] * b.T).mean(0).sum() * 3
    second = 0.5 * np.square(out[:, 0] * error).mean() * 4
    assert score(gradients.fisher()).score == pytest.approx(first + second)


def test_grasp_is_minus_the_curvature(score, case):
    a, b, x, t = case

    def loss(scale, step):
        """Loss at weights (1 + scale) w - step g, whose mixed derivative is the form."""
        g = sample_gradients(a, b, x[0], t[0]).mean(0)
        v = (1 + scale) * np.concatenate([a.ravel(), b.ravel()]) + step * g
        return 0.5 * np.square((x[0] @ v[:12].reshape(3, 4) @ v[12:]) - t[0]).mean()

    h = 1e-3
    mixed = (loss(h, h) - loss(h, -h) - loss(-h, h) + loss(-h, -h)) / (4 * h * h)
    assert score(gradients.grasp()).score == pytest.approx(-mixed, rel=1e-4)


def test_gradsign_counts_agreeing_signs(score, case):
    a, b, x, t = case
    signs = np.sign(sample_gradients(a, b, x[0], t[0]))
    assert score(gradients.gradsign()).score == pytest.approx(np.abs(signs.sum(0)).mean())


def test_gsnr(score, case):
    a, b, x, t = case
    g = sample_gradients(a, b, x[0], t[0])
    assert score(gradients.gsnr()).score == pytest.approx((g.mean(0) ** 2 / (g.var(0) + 1e-8)).sum())


def test_snr_of_snip(score, case):
    a, b, x, t = case
    g = sample_gradients(a, b, x[0], t[0]).mean(0)
    layers = [np.abs(a.ravel() * g[:12]), np.abs(b.ravel() * g[12:])]
    expected = sum(s.sum() / s.std(ddof=1) for s in layers)
    assert score(gradients.snr(saliency="snip")).score == pytest.approx(expected)


def test_snr_of_synflow_does_not_depend_on_the_scale():
    proxy = gradients.snr()
    synflow, weight = proxy.passes
    layers = types.SimpleNamespace(active=np.array([True, True, False, True]))
    s = np.array([1.0, 2.0, 4.0])

    def facts(log_scale):
        sums, squares = np.array([s.sum(), 3.0, 0.0, 0.0]), np.array([(s**2).sum(), 9.0, 0.0, 0.0])
        own = {"synflow": sums, "synflow_square": squares, "log_scale": np.float64(log_scale)}
        return Facts(layers, 0, 0, {synflow: own, weight: {"count": np.array([3.0, 1.0, 0.0, 5.0])}})

    ratio = s.sum() / s.std(ddof=1)
    assert proxy.finish(facts(0.0)).score == pytest.approx(ratio + 3.0)  # one weight has no deviation
    assert proxy.finish(facts(np.log(10.0))).score == pytest.approx(ratio + 30.0)


def test_a_constant_saliency_gives_its_sum():
    found = gradients.snr_of_layers(np.array([6.0, 0.0]), np.array([12.0, 0.0]), np.array([3.0, 4.0]))
    np.testing.assert_array_equal(found, [6.0, 0.0])


def test_an_unknown_saliency():
    with pytest.raises(InputError, match="'grasp'.*synflow, snip"):
        gradients.snr(saliency="grasp")


# Which passes join.


def test_fisher_is_read_in_a_gradient_pass_that_runs_anyway():
    plain, fisher = passes.GradientPass(), passes.FisherPass()
    patterns = passes.ActivationPass(patterns=True)
    served = passes.merge([fisher, patterns, plain])
    joined = passes.FisherPass(num_batches=2, activations=patterns)
    assert served == {fisher: joined, plain: joined, patterns: joined}


def test_one_mini_batch_is_the_first_of_several():
    one, two, four = (passes.GradientPass(num_batches=m) for m in (1, 2, 4))
    assert passes.merge([one]) == {one: one}
    assert passes.merge([one, four, two]) == {one: four, four: four, two: two}
    fisher, joined = passes.FisherPass(), passes.FisherPass(num_batches=2)
    assert passes.merge([one, fisher, two]) == {one: joined, fisher: joined, two: joined}
    assert passes.merge([one, fisher]) == {one: fisher, fisher: fisher}
    # Moments of the samples of one mini-batch are not those of two.
    few, many = (passes.GradientPass(num_batches=m, granularity="sample") for m in (1, 2))
    assert passes.merge([few, many, one]) == {few: few, many: many, one: one}


def test_signs_are_read_with_the_moments_of_samples():
    own, signs, other = gradients.gsnr().passes[0], passes.SignPass(), passes.GradientPass()
    assert passes.merge([own, signs, other]) == {own: signs, signs: signs, other: other}


def test_passes_on_other_networks_stay_apart():
    fisher, other = passes.FisherPass(init="normal"), passes.GradientPass()
    assert passes.merge([fisher, other]) == {fisher: fisher, other: other}
