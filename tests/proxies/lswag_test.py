"""Lambda and Psi against cases derived by hand."""

import dataclasses

import numpy as np
import pytest

from nasjax.proxies import Facts, LswagConfig, get, lswag, zico
from nasjax.proxies.lswag import from_config, lambda_term
from nasjax.proxies.passes import ActivationPass, GradientPass
from nasjax.types import InputError, LayerTable

# y = 3 (x_1 + 2 x_2), two mini-batches of one sample.
#   x = (1, 0), t = 1:  h = 1, y = 3, e = 2.   dL/da = 3 e x = (6, 0),    dL/db = e h = 2
#   x = (1, 1), t = 10: h = 3, y = 9, e = -1.  dL/da = (-3, -3),          dL/db = -3
# |g|:    a (6, 3), (0, 3): std 1.5, 1.5, means 4.5, 1.5;  b (2, 3): std 0.5, mean 2.5
# signed: a (6, -3), (0, -3): std 4.5, 1.5;                b (2, -3): std 2.5
A, B = [[1.0], [2.0]], [[3.0]]
X, T = [[[1.0, 0.0]], [[1.0, 1.0]]], [[1], [10]]
HAND = {
    ("abs", "one"): (1 / 1.5 + 1 / 1.5, 1 / 0.5),
    ("signed", "one"): (1 / 4.5 + 1 / 1.5, 1 / 2.5),
    ("abs", "mean"): (4.5 / 1.5 + 1.5 / 1.5, 2.5 / 0.5),
    ("signed", "mean"): (4.5 / 4.5 + 1.5 / 1.5, 2.5 / 2.5),
}


def facts(space, stats):
    return Facts(space.layers(None), 3, 3, stats)


@pytest.mark.parametrize(("var_of", "numerator"), HAND)
def test_lambda_of_the_hand_derived_network(var_of, numerator, linear_space, run_linear, x64):
    config = LswagConfig(var_of=var_of, numerator=numerator, factors="lambda")
    (p,) = from_config(config).passes
    stats = run_linear(p, A, B, X, T)
    np.testing.assert_allclose(stats["loss"], [2.0, 0.5])
    first, second = HAND[var_of, numerator]
    own = facts(linear_space, {p: stats})
    np.testing.assert_allclose(lambda_term(own, p, config), np.log(first) + np.log(second), rtol=1e-12)
    value = from_config(config).finish(own)
    np.testing.assert_allclose([value.score, value.raw], np.log(first * second), rtol=1e-12)


@pytest.mark.parametrize(("interval", "layers"), [((0, 4), []), ((5, 5), [0]), ((6, 9), [1]), ((0, 9), [0, 1])])
def test_lambda_takes_the_layers_of_the_interval(interval, layers, linear_space, run_linear, x64):
    config = LswagConfig(interval=interval, factors="lambda")
    p = GradientPass()
    sums = np.array(HAND["abs", "one"])
    found = lambda_term(facts(linear_space, {p: run_linear(p, A, B, X, T)}), p, config)
    np.testing.assert_allclose(found, np.log(sums[layers]).sum(), rtol=1e-12)


BLOCKS = LayerTable(
    tuple("abcdef"),
    np.array([True, True, True, False, False, True]),
    np.array([1, 2, 3, 0, 0, 4]),
    np.array(4),
    np.array([2, 5, 7, -1, -1, 9]),
    units=(0, 1, 1, 2, 2, 3),
)
SUMS = np.array([2.0, 3.0, 4.0, 0.0, 0.0, 5.0])


@pytest.mark.parametrize(
    ("unit", "interval", "expected"),
    [
        ("layer", None, np.log([2, 3, 4, 5]).sum()),
        ("block", None, np.log([2, 3 + 4, 5]).sum()),
        # Three blocks are there: they lie in bins 3, 6 and 9.
        ("block", (3, 6), np.log([2, 7]).sum()),
        ("block", (0, 2), 0.0),
        ("layer", (0, 2), np.log(2)),
    ],
)
def test_lambda_of_blocks(unit, interval, expected):
    config = LswagConfig(unit=unit, interval=interval, factors="lambda")
    p = GradientPass()
    own = Facts(BLOCKS, 1, 1, {p: {"layers": {"inv_std_abs": SUMS}}})
    assert lambda_term(own, p, config) == pytest.approx(expected)
    by_layer = own._replace(layers=BLOCKS._replace(units=None))
    assert lambda_term(by_layer, p, config) == lambda_term(by_layer, p, dataclasses.replace(config, unit="layer"))


def test_psi_of_the_hand_derived_network(linear_space, run_linear, x64):
    # x over the samples (1, -1) and hidden x (1, -1, 2): patterns 10 in bin 0; 10, 01, 10 in bin 5.
    p = ActivationPass(patterns=True, intervals=((5, 9), (0, 3), (6, 9)))
    stats = run_linear(p, [[1.0, -1.0, 2.0]], [[1.0]] * 3, [[[1.0], [-1.0]]], [[0, 0]])
    np.testing.assert_array_equal(stats["patterns"], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(stats["interval_patterns"], [2, 1, 0])


@pytest.mark.parametrize(
    ("interval", "psi_layers", "expected"),
    [
        (None, "upto_end", 2),
        ((5, 9), "upto_end", 2),
        ((0, 4), "upto_end", 1),
        ((0, 4), "all", 2),
        ((5, 9), "interval", 2),
        ((0, 4), "interval", 1),
        ((6, 9), "interval", 0),
    ],
)
def test_psi_counts_the_layers_asked_for(interval, psi_layers, expected, linear_space, run_linear, x64):
    proxy = lswag(preset="nbsz", interval=interval, psi_layers=psi_layers, factors="psi")
    (p,) = proxy.passes
    stats = run_linear(p, [[1.0, -1.0, 2.0]], [[1.0]] * 3, [[[1.0], [-1.0]]], [[0, 0]])
    assert proxy.finish(facts(linear_space, {p: stats})).score == expected


def layer_stats(*sums):
    names = [f"{kind}_{of}" for kind in ("inv_std", "ratio") for of in ("abs", "signed")]
    return {"layers": {name: np.array(sums, np.float64) for name in names}}


def finished(space, proxy, *sums, patterns=7):
    counts = np.zeros(10, np.int32)
    counts[3] = patterns
    seen = {"patterns": counts, "finite": np.array(True)}
    stats = {p: layer_stats(*sums) if isinstance(p, GradientPass) else seen for p in proxy.passes}
    return proxy.finish(facts(space, stats))


def test_the_score_is_the_product_of_both_factors(linear_space):
    value = finished(linear_space, get("lswag"), np.exp(20.0), np.exp(30.0))
    np.testing.assert_allclose(value.score, 7 * 50.0)
    assert value.note == ""


def test_a_negative_lambda_is_guarded_and_said(linear_space):
    value = finished(linear_space, get("lswag"), np.exp(-1.0), np.exp(-2.0))
    np.testing.assert_allclose(value.score, 7 * np.log1p(np.exp(-3.0)))
    assert "not positive" in value.note
    assert "-3" in value.note
    bare = finished(linear_space, get("lswag", sign_guard="none"), np.exp(-1.0), np.exp(-2.0))
    np.testing.assert_allclose(bare.score, -21.0)
    assert bare.note == ""


def test_the_guard_keeps_the_order_of_lambda(linear_space):
    lambdas = np.concatenate([np.linspace(-60, 60, 49), [29.999, 30.001]])
    scores = [finished(linear_space, get("lswag"), np.exp(v), 1.0).score for v in lambdas]
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(lambdas))
    assert min(scores) > 0
    large = finished(linear_space, get("lswag"), np.exp(12.0), np.exp(20.0)).score
    np.testing.assert_allclose(large, 7 * 32.0, rtol=1e-12)


def test_more_patterns_never_lower_the_score(linear_space):
    for total in (-40.0, -1.0, 0.0, 5.0):
        few, many = (finished(linear_space, get("lswag"), np.exp(total), 1.0, patterns=n).score for n in (3, 30))
        assert many > few


def test_layers_without_variance_add_nothing_and_nan_is_kept(linear_space):
    proxy = get("lswag", factors="lambda")
    np.testing.assert_allclose(finished(linear_space, proxy, 0.0, np.e).score, 1.0)
    assert finished(linear_space, proxy, 0.0, 0.0).score == 0.0
    assert np.isnan(finished(linear_space, proxy, np.nan, np.e).score)


def test_inactive_slots_add_nothing(linear_space):
    p = GradientPass()
    table = linear_space.layers(None)._replace(active=np.array([True, False]), bins=np.array([0, -1]))
    own = Facts(table, 1, 1, {p: layer_stats(np.e, 100.0)})
    np.testing.assert_allclose(lambda_term(own, p, LswagConfig()), 1.0)


@pytest.mark.parametrize("var_of", ["signed", "abs"])
def test_zico_is_an_instance_of_the_same_code(var_of, linear_space, run_linear, x64):
    own = zico(var_of=var_of)
    general = lswag(preset="nbsz", var_of=var_of, numerator="mean", factors="lambda")
    assert own.passes == general.passes
    (p,) = own.passes
    given = facts(linear_space, {p: run_linear(p, A, B, X, T)})
    assert own.finish(given) == general.finish(given)
    np.testing.assert_allclose(own.finish(given).score, np.log(np.prod(HAND[var_of, "mean"])), rtol=1e-12)


def test_presets():
    assert dict(lswag(preset="paper").options)["interval"] == "auto"
    assert dict(lswag(preset="nbsz").options)["interval"] is None
    assert dict(zico().options) == {"init": "torch", "num_batches": 2, "var_of": "signed"}


def test_only_the_passes_of_the_factors_run():
    kinds = {f: {type(p) for p in get("lswag", factors=f).passes} for f in ("product", "lambda", "psi")}
    assert kinds == {"product": {GradientPass, ActivationPass}, "lambda": {GradientPass}, "psi": {ActivationPass}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"var_of": "square"}, "var_of='square'.*abs, signed"),
        ({"numerator": "two"}, "numerator='two'.*one, mean"),
        ({"granularity": "pixel"}, "granularity='pixel'.*batch, sample"),
        ({"factors": "sum"}, "factors='sum'.*product"),
        ({"psi_layers": "some"}, "psi_layers='some'.*upto_end"),
        ({"sign_guard": "abs"}, "sign_guard='abs'.*softplus"),
        ({"norm": "layer"}, "norm='layer'.*running"),
        ({"num_batches": 1}, "num_batches=1.*2 or more"),
        ({"num_batches": -2, "granularity": "sample"}, "num_batches=-2"),
        ({"num_batches": "many"}, "num_batches='many'"),
        ({"interval": (6, 3)}, r"interval=\(6, 3\).*0 <= low <= high <= 9"),
        ({"interval": (0, 10)}, r"interval=\(0, 10\)"),
        ({"interval": "early"}, "interval='early'.*auto"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        LswagConfig(**options)


def test_one_batch_suffices_for_sample_gradients():
    assert LswagConfig(num_batches=1, granularity="sample").num_batches == 1
