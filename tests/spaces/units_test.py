"""Tests of nasjax.spaces.units: buffers of any shape against plain layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.spaces import units

SHAPES = (units.Shape(2, 2, 5, 1), units.Shape(2, 4, 5, 2), units.Shape(4, 4, 3, 1))
STATES = ((2, 5), (4, 3))
CAPACITY = 60
rng = np.random.default_rng(0)
BUFFER = rng.standard_normal((3, CAPACITY))
WEIGHTS = rng.standard_normal((3, 3, 4, 4))
ARGS = units.NormArgs(*rng.uniform(0.5, 1.5, (4, 4)))
CONVS = units.Convs("highest", SHAPES, rectify=True, passes=False)
NORMS = units.Norms("batch", STATES)
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def value_and_gradient(double):
    """Sum of squares of convolution and norm, one program for all shapes."""

    def loss(buffer, weights, args, moments, number, state):
        y = units.conv(CONVS, number, buffer, weights, moments)
        out, mean, var = units.norm(NORMS, state, y, args)
        return (out * jnp.arange(CAPACITY)[None]).sum(), (y, out, mean, var)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True))


def direct(number, state, buffer, weights, args, moments):
    """The same by the layers themselves."""
    shape, (channels, side) = SHAPES[number], STATES[state]
    x = jax.nn.relu(units.view(buffer, shape.side, shape.ins))
    corner, own = jax.tree.map(lambda a: a[:, :, : shape.ins, : shape.outs], (weights, moments))
    y = nn.conv(x, corner, stride=shape.stride, padding=1, moments=own)
    assert y.shape == (3, side, side, channels)
    scale, shift, mean, var = (a[:channels] for a in args)
    out, stats = nn.batch_norm(y, scale, shift, stats=(mean, var))
    return units.fit(y, CAPACITY), units.fit(out, CAPACITY), stats


@pytest.mark.parametrize(("number", "state"), [(0, 0), (1, 1), (2, 1)])
def test_equals_the_layers(value_and_gradient, number, state):
    moments = nn.Moments.zeros_like(WEIGHTS)
    (_, found), gradients = value_and_gradient(BUFFER, WEIGHTS, ARGS, moments, number, state)

    def loss(*operands):
        seen = direct(number, state, *operands)
        return (seen[1] * jnp.arange(CAPACITY)[None]).sum(), seen

    run = jax.jit(jax.value_and_grad(loss, (0, 1, 2, 3), has_aux=True))
    (_, (y, out, stats)), wanted = run(BUFFER, WEIGHTS, ARGS, moments)
    channels = STATES[state][0]
    np.testing.assert_allclose(found[0], y, atol=1e-12)
    np.testing.assert_allclose(found[1], out, atol=1e-12)
    for new, old, expected in zip(found[2:], ARGS[2:], stats, strict=True):
        np.testing.assert_allclose(new[:channels], expected, atol=1e-12)
        np.testing.assert_array_equal(new[channels:], old[channels:])

    for got, want in zip(jax.tree.leaves(gradients), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-8)


def test_no_layer(value_and_gradient):
    moments = nn.Moments.zeros_like(WEIGHTS)
    (_, found), gradients = value_and_gradient(BUFFER, WEIGHTS, ARGS, moments, len(SHAPES), len(STATES))
    np.testing.assert_array_equal(found[0], 0)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradients))
    passing = CONVS._replace(passes=True)
    out, pullback = jax.vjp(lambda b: units.conv(passing, jnp.int32(len(SHAPES)), b, WEIGHTS, None), BUFFER)
    np.testing.assert_array_equal(out, BUFFER)
    np.testing.assert_array_equal(pullback(out)[0], BUFFER)


def test_pointwise_with_a_stride(plain):
    shapes = (units.Shape(2, 4, 5, 2),)
    config = units.Convs("highest", shapes, rectify=False, passes=True)
    weights = rng.standard_normal((1, 1, 4, 4))
    found = units.conv(config, jnp.int32(0), BUFFER, weights, None)
    x = BUFFER[:, :50].reshape(3, 5, 5, 2)
    np.testing.assert_allclose(found, units.fit(plain.conv(x, weights[:, :, :2], 2), CAPACITY), atol=1e-12)


def test_buffers():
    x = rng.standard_normal((2, 3, 3, 2))
    buffer = units.fit(x, 20)
    assert buffer.shape == (2, 20) and not np.any(buffer[:, 18:])
    np.testing.assert_array_equal(units.view(buffer, 3, 2), x)
