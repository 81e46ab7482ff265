"""Weighted sums against their plain form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn


@pytest.mark.parametrize("num", [1, 5])
def test_value_and_derivatives_are_those_of_the_plain_form(num):
    keys = jax.random.split(jax.random.key(0), 3)
    weights, tensors = jax.random.normal(keys[0], (num,)), jax.random.normal(keys[1], (num, 2, 3, 3, 4))
    dout = jax.random.normal(keys[2], tensors.shape[1:])
    found, pull = jax.vjp(nn.weighted_sum, weights, tensors)
    wanted, plain = jax.vjp(lambda w, t: jnp.tensordot(w, t, 1, precision="highest"), weights, tensors)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    for own, other in zip(pull(dout), plain(dout), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-5)


def test_zero_weights_leave_out_their_tensors():
    tensors = jnp.stack([jnp.ones((2, 3)), jnp.full((2, 3), 7.0)])
    np.testing.assert_array_equal(nn.weighted_sum(jnp.array([0.0, 2.0]), tensors), np.full((2, 3), 14.0))
