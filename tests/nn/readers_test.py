"""What layers emit through their dummy operands, against loops over samples and channels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn

RNG = np.random.default_rng(0)
LAYERS = {
    "conv": (lambda x, w, m=None: nn.conv(x, w, stride=2, padding=1, moments=m), (5, 6, 6, 3), (3, 3, 3, 4)),
    "pointwise": (lambda x, w, m=None: nn.conv(x, w, moments=m), (5, 4, 4, 3), (1, 1, 3, 2)),
    "depthwise": (lambda x, w, m=None: nn.depthwise_conv(x, w, moments=m), (5, 5, 5, 3), (3, 3, 1, 3)),
    "linear": (lambda x, w, m=None: nn.linear(x, w, moments=m), (5, 7), (7, 4)),
    "tokens": (lambda x, w, m=None: nn.linear(x, w, moments=m), (5, 6, 7), (7, 4)),
}


@pytest.fixture(params=sorted(LAYERS))
def case(request, x64):
    """A layer, its operands, and a mean loss of its output that treats samples alike and apart."""
    layer, x_shape, w_shape = LAYERS[request.param]
    x, w = jnp.asarray(RNG.normal(size=x_shape)), jnp.asarray(RNG.normal(size=w_shape))
    targets = jnp.asarray(RNG.normal(size=x_shape[:1]))

    def loss(y, targets):
        return jnp.square(jnp.tanh(y).reshape(y.shape[0], -1).sum(1) - targets).mean()

    return layer, x, w, targets, loss


def gradients(case, reader):
    layer, x, w, targets, loss = case
    step = jax.jit(jax.grad(lambda x, w, m: loss(layer(x, w, m), targets), (0, 1, 2)))
    return step(x, w, reader.zeros_like(w))


def plain_gradients(case):
    layer, x, w, targets, loss = case
    return jax.grad(lambda x, w: loss(layer(x, w), targets), (0, 1))(x, w)


@pytest.mark.parametrize("reader", [nn.Signs, nn.Fisher])
def test_a_reader_leaves_the_gradients_alone(case, reader):
    for found, expected in zip(gradients(case, reader)[:2], plain_gradients(case), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_signs_are_those_of_single_samples(case):
    layer, x, w, targets, loss = case
    found = gradients(case, nn.Signs)[2]
    alone = np.stack(
        [jax.grad(lambda w, n=n: loss(layer(x[n : n + 1], w), targets[n : n + 1]))(w) for n in range(x.shape[0])]
    )
    np.testing.assert_array_equal(found.signs, np.sign(alone).sum(0))
    np.testing.assert_allclose(found.moments.mean, alone.mean(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.moments.m2, np.square(alone - alone.mean(0)).sum(0), rtol=1e-9)


def test_fisher_is_that_of_output_and_cotangent(case):
    layer, x, w, targets, loss = case
    found = np.asarray(gradients(case, nn.Fisher)[2].fisher)
    y = layer(x, w)
    product = np.asarray(y * jax.grad(loss)(y, targets))
    channel = 0.5 * np.square(product.reshape(product.shape[0], -1, product.shape[-1]).sum(1)).mean(0)
    assert found.shape == w.shape
    np.testing.assert_allclose(found, np.broadcast_to(channel, w.shape), rtol=1e-9)


def test_the_output_that_fisher_sees_has_the_bias(x64):
    x, w, b = (jnp.asarray(RNG.normal(size=s)) for s in ((5, 3), (3, 2), (2,)))
    found = jax.grad(lambda m: jnp.square(nn.linear(x, w, bias=b, moments=m)).sum())(nn.Fisher.zeros_like(w)).fisher
    y = np.asarray(x @ w + b[None])
    np.testing.assert_allclose(found, np.broadcast_to(0.5 * np.square(2 * y**2).mean(0), w.shape))


def test_only_readers_of_outputs_observe_them(x64):
    w = jnp.ones((2, 3))
    moments, fisher = nn.Moments.zeros_like(w), nn.Fisher.zeros_like(w)
    assert nn.observe(w, None) is w
    assert nn.observe(w, moments) is w
    assert nn.split_readers(None) == (None, None)
    assert nn.split_readers({"a": moments})[1] is None
    assert nn.split_readers({"a": fisher})[0] is None
