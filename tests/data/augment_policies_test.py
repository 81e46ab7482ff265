"""Ranges and laws of RandAugment, TrivialAugment and colour jitter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.data import augment_ops, augment_policies
from nasjax.data.augment_ops import NUMBER
from nasjax.data.augment_policies import DEIT_OPS, PAPER_OPS, STANDARD, wide


def amount(name, share, sign=1.0, ranges=STANDARD, **options):
    return float(
        augment_policies.value(jnp.int32(NUMBER[name]), jnp.float32(share), jnp.float32(sign), ranges, **options)
    )


# Ends of the ranges as published: AutoAugment's table, and the wide ones of TrivialAugment.
@pytest.mark.parametrize(
    ("name", "standard", "widest"),
    [
        ("shear_x", (0, 0.3), (0, 0.99)),
        ("translate_y", (0, 0.45), (0, 1.0)),
        ("rotate", (0, 30), (0, 135)),
        ("color", (0.1, 1.9), (0.01, 2.0)),
        ("sharpness", (0.1, 1.9), (0.01, 2.0)),
        ("posterize", (8, 4), (8, 2)),
        ("solarize", (256 / 255, 0), (256 / 255, 0)),
    ],
)
def test_ranges(name, standard, widest):
    for ranges, ends in ((STANDARD, standard), (wide(32, 32), widest)):
        np.testing.assert_allclose([amount(name, 0, ranges=ranges), amount(name, 1, ranges=ranges)], ends, atol=1e-6)


def test_signs_and_increasing_blends():
    assert amount("rotate", 0.5, -1) == -15
    assert amount("color", 0.5, -1) == pytest.approx(1.0)  # the published range has no sign
    assert amount("color", 0.5, -1, increasing=True) == pytest.approx(0.55)
    assert amount("color", 1.0, 1, increasing=True) == pytest.approx(1.9)
    assert amount("posterize", 0.4) == 6  # 6.4 bits
    assert amount("translate_x", 1, ranges=wide(64, 128)) == pytest.approx(0.25)


def test_operations_are_the_published_ones():
    assert len(PAPER_OPS) == 14 and len(DEIT_OPS) == 15
    assert {*PAPER_OPS, *DEIT_OPS} == set(augment_ops.OPS)


@pytest.fixture
def drawn(monkeypatch, quick):
    """Which operations a policy draws, and with what value, without applying them."""

    def draw(policy, number=400):
        with monkeypatch.context() as patch:
            patch.setattr(
                augment_policies.augment_ops, "apply", lambda image, op, value, **_: image.at[:, 0, 0].set(
                    jnp.stack([op.astype(image.dtype), value])
                )
            )  # fmt: skip
            image = jnp.zeros((2, 32, 1))
            out = quick(jax.vmap(lambda key: policy(key, image)), jax.random.split(jax.random.key(0), number))
        return np.asarray(out[:, 0, 0, 0]).astype(int), np.asarray(out[:, 1, 0, 0])

    return draw


def test_rand_augment_draws_uniformly(drawn):
    ops, values = drawn(lambda key, image: augment_policies.rand_augment(key, image, number=2, magnitude=5))
    counts = np.bincount(ops, minlength=16)[[NUMBER[name] for name in PAPER_OPS]]
    assert counts.sum() == 400 and counts.min() > 10 and counts.max() < 55
    np.testing.assert_allclose(np.unique(values[ops == NUMBER["rotate"]]), [-15, 15], atol=1e-4)


def test_rand_augment_deviation_and_probability(drawn):
    ops, values = drawn(
        lambda key, image: augment_policies.rand_augment(
            key, image, number=1, magnitude=9, deviation=2, probability=0.5, ops=("rotate",)
        )
    )
    assert 150 < (ops == NUMBER["rotate"]).sum() < 250 and set(ops) == {NUMBER["rotate"], NUMBER["identity"]}
    angles = np.abs(values)
    assert angles.max() == pytest.approx(30) and len(np.unique(angles)) > 50


def test_trivial_augment_draws_all_magnitudes(drawn):
    ops, values = drawn(lambda key, image: augment_policies.trivial_augment(key, image), 2000)
    angles = values[ops == NUMBER["rotate"]]
    np.testing.assert_allclose(angles / 4.5, np.round(angles / 4.5), atol=1e-4)  # 30 steps to 135 degrees
    assert angles.min() < -100 and angles.max() > 100
    assert set(ops) == {NUMBER[name] for name in PAPER_OPS}


def test_color_jitter_has_the_factors_it_says(quick):
    image = jnp.asarray(np.random.default_rng(0).random((5, 5, 3)) * 0.5 + 0.1, jnp.float32)
    keys = jax.random.split(jax.random.key(0), 20)

    def run(*strengths):
        return quick(jax.vmap(lambda key: augment_policies.color_jitter(key, image, strengths)), keys)

    np.testing.assert_allclose(run(0.0, 0.0, 0.0, 0.0), np.broadcast_to(image, (20, 5, 5, 3)), atol=1e-6)
    only = run(0.4, 0.0, 0.0)
    factors = [float((out / image).mean()) for out in only]
    assert 0.6 <= min(factors) < 0.75 and 1.25 < max(factors) <= 1.4
    np.testing.assert_allclose(only[0], image * factors[0], atol=1e-5)
