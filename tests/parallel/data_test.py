"""A batch on several devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nasjax import nn, parallel
from nasjax.types import InputError

AXIS = parallel.AXIS


def gradient(whole, batch, *, axis):
    """Loss and gradient of a layer with a norm over the batch, weighted so that every image matters differently."""
    images, weights = batch
    mode = "batch" if axis is None else f"batch@{axis}"

    def loss(params):
        x = nn.linear(images, params["matrix"])
        fast, stats = nn.batch_norm(x, params["scale"], params["shift"], stats=whole["stats"], mode=mode, fast=True)
        slow, _ = nn.batch_norm(x, params["scale"], params["shift"], mode=mode)
        own = jnp.sin(fast) + jnp.cos(2 * slow)
        return (own.mean((1, 2, 3)) * weights).mean(), stats

    found = jax.value_and_grad(loss, has_aux=True)(whole["params"])
    return found if axis is None else lax.pmean(found, axis)


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(0)
    params = {"matrix": rng.normal(size=(3, 5)), "scale": rng.uniform(1, 2, 5), "shift": rng.normal(size=5)}
    whole = {"params": params, "stats": (rng.normal(size=5), rng.uniform(1, 2, 5))}
    return whole, (rng.normal(size=(8, 2, 2, 3)), rng.uniform(1, 3, 8))


def test_gradients_are_those_of_the_whole_batch(setting, x64):
    whole, batch = setting
    one = parallel.data_parallel(gradient, devices=1)
    assert one.size == 1
    expected = one(whole, one.place(batch))
    for count in (2, 4):
        run = parallel.data_parallel(gradient, devices=count)
        assert run.size == count and run.part == (0, 1) and len(run.devices) == count
        found = run(whole, run.place(batch))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, expected)
        # What comes out goes in again.
        again = run({**whole, "params": found[1]}, run.place(batch))
        other = one({**whole, "params": expected[1]}, one.place(batch))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), again, other)


def test_batches_that_leave_a_remainder_are_refused():
    run = parallel.data_parallel(gradient, devices=4)
    run.check_batch(8, even=True)
    run.check_batch(4)
    with pytest.raises(InputError, match="batch_size=10 on 4 devices; allowed: multiples of 4; do: take 8"):
        run.check_batch(10)
    with pytest.raises(InputError, match="in pairs; allowed: multiples of 8"):
        run.check_batch(4, even=True)
    with pytest.raises(InputError, match="9 devices asked for"):
        parallel.data_parallel(gradient, devices=9)
