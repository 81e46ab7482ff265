"""The training loop on a linear model: exact resume, NaN, evaluation, settings."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax.checkpoint import Checkpoints
from nasjax.das.loop import Task, fit, poly
from nasjax.types import InputError, Variables

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0, 0.5])).astype(np.float32)


class Feed:
    def __init__(self, stop=None, poison=None):
        self.stop, self.poison = stop, poison

    def train(self, epoch):
        if epoch == self.stop:
            raise KeyboardInterrupt
        order = np.random.default_rng(epoch).permutation(12)
        for start in range(0, 12, 4):
            factor = np.nan if epoch == self.poison else 1
            yield X[order[start : start + 4]], factor * Y[order[start : start + 4]]

    def test(self):
        for start in (0, 8):
            weights = np.array([1, 1, 1, 1, 1, 1, 1, 1] if start == 0 else [1, 1, 1, 1, 0, 0, 0, 0], np.float32)
            rows = np.minimum(start + np.arange(8), 11)
            yield X[rows], Y[rows], weights


def task(rate=0.1, noise=0.01):
    def loss(key, first, params, stats, x, y):
        shift = noise * jax.random.normal(key, y.shape)
        errors = jnp.square(jnp.dot(x, params["w"], precision="highest") - y - shift)
        sums = {"loss": errors.sum(), "count": jnp.asarray(len(y), jnp.float32)}
        return errors.mean(), ({"seen": stats["seen"] + 1.0}, sums)

    def measure(variables, x, y, weights):
        errors = jnp.square(jnp.dot(x, variables.params["w"], precision="highest") - y)
        return {"loss": (errors * weights).sum(), "count": weights.sum()}

    return Task(
        init=lambda key, x: Variables({"w": jax.random.normal(key, (3,))}, {"seen": jnp.zeros(())}),
        loss=loss,
        measure=measure,
        summary=lambda sums: {"loss": float(sums["loss"] / sums["count"])},
        optimizer=optax.sgd(rate, momentum=0.1),
    )


KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def whole():
    return fit(task(), Feed(), key=KEY, epochs=5)


def test_it_learns_and_measures_every_image_once(whole):
    assert [row["epoch"] for row in whole.history] == [1, 2, 3, 4, 5]
    assert whole.history[-1]["test_loss"] < 0.2 * whole.history[0]["test_loss"]
    w = np.asarray(whole.variables.params["w"])
    assert whole.history[-1]["test_loss"] == pytest.approx(np.square(X @ w - Y).mean(), rel=1e-5)
    assert whole.variables.stats["seen"] == 15 and not whole.stopped


def test_stopped_and_started_again_ends_alike(whole, tmp_path):
    with Checkpoints(tmp_path) as states, pytest.raises(KeyboardInterrupt):
        fit(task(), Feed(stop=3), key=KEY, epochs=5, checkpoints=states, settings={"a": 1})
    seen = []
    with Checkpoints(tmp_path) as states:
        again = fit(task(), Feed(), key=KEY, epochs=5, checkpoints=states, settings={"a": 1},
                    progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert again.resumed == 3 and seen == [(3, 5), (4, 5), (5, 5)]
    np.testing.assert_array_equal(again.variables.params["w"], whole.variables.params["w"])
    drop = [{k: v for k, v in row.items() if k != "seconds"} for row in again.history]
    assert drop == [{k: v for k, v in row.items() if k != "seconds"} for row in whole.history]
    with Checkpoints(tmp_path) as states, pytest.raises(InputError, match="a: there 1, now 2"):
        fit(task(), Feed(), key=KEY, epochs=5, checkpoints=states, settings={"a": 2})


def test_a_loss_that_is_no_number_stops_at_the_last_good_state(whole, tmp_path):
    with Checkpoints(tmp_path) as states:
        broken = fit(task(), Feed(poison=2), key=KEY, epochs=5, checkpoints=states)
        assert states.steps() == [1, 2]
    assert "loss of epoch 3 is no number" in broken.stopped and len(broken.history) == 2
    assert np.isfinite(broken.variables.params["w"]).all()
    assert broken.history[-1]["test_loss"] == whole.history[1]["test_loss"]
    with pytest.raises(InputError, match="lower the learning rate"):
        fit(task(), Feed(poison=0), key=KEY, epochs=5)


def test_devices_share_a_batch():
    one, two = (fit(task(noise=0.0), Feed(), key=KEY, epochs=2, devices=devices) for devices in (1, 2))
    np.testing.assert_allclose(two.variables.params["w"], one.variables.params["w"], rtol=1e-5)
    for a, b in zip(one.history, two.history, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-5)
        assert a["test_loss"] == pytest.approx(b["test_loss"], rel=1e-5)
    with pytest.raises(InputError, match="batch_size=4 on 3 devices"):
        fit(task(), Feed(), key=KEY, epochs=1, devices=3)


def test_devices_weigh_what_counts():
    """Of six samples in a batch of eight, two on one device and four on the other, each counts a sixth."""

    class Masked:
        def train(self, epoch):
            yield X[:8], np.where([1, 1, 0, 0, 1, 1, 1, 1], Y[:8], np.inf).astype(np.float32)

        def test(self):
            yield X[:8], Y[:8], np.ones(8, np.float32)

    def loss(key, first, params, stats, x, y):
        counts = jnp.isfinite(y)
        errors = jnp.where(counts, jnp.square(x @ params["w"] - jnp.where(counts, y, 0)), 0).sum()
        count = counts.sum().astype(jnp.float32)
        return errors / jnp.maximum(count, 1), (stats, {"loss": errors, "count": count})

    own = dataclasses.replace(task(), loss=loss, weight="count")
    one, two = (fit(own, Masked(), key=KEY, epochs=2, devices=devices).variables.params["w"] for devices in (1, 2))
    np.testing.assert_allclose(two, one, rtol=1e-5)
    plain = fit(dataclasses.replace(own, weight=None), Masked(), key=KEY, epochs=2, devices=2).variables.params["w"]
    assert np.abs(plain - one).max() > 1e-3


def test_evaluation_is_as_rare_as_asked(whole):
    rare = fit(task(), Feed(), key=KEY, epochs=5, test_every=3)
    assert ["test_loss" in row for row in rare.history] == [False, False, True, False, True]
    np.testing.assert_array_equal(rare.variables.params["w"], whole.variables.params["w"])


def test_given_weights_are_where_it_begins():
    start = Variables({"w": jnp.asarray([1.0, -2.0, 0.5])}, {"seen": jnp.zeros(())})
    fitted = fit(task(0.0), Feed(), key=KEY, epochs=1, variables=start)
    np.testing.assert_array_equal(fitted.variables.params["w"], start.params["w"])


def test_the_polynomial_schedule():
    rate = poly(0.1, 10)
    assert float(rate(jnp.asarray(0))) == pytest.approx(0.1)
    assert float(rate(jnp.asarray(5))) == pytest.approx(0.1 * 0.5**0.9)
    assert float(rate(jnp.asarray(12))) == 0
