"""Tests of nasjax.spaces.nasbench101_units: the hand-written backward against autodiff of the chosen operation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.spaces.nasbench101_units import Unit, UnitConfig, unit

CONFIG = UnitConfig("batch", "highest", ("none", "kernel", "centre", "pool"))
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def operands(double):
    rng = np.random.default_rng(0)
    shapes = [(3, 4, 4, 2), (3, 3, 2, 2), (2,), (2,), (2,), (2,)]
    x, *arrays = (jnp.asarray(rng.uniform(0.5, 1.5, s) * rng.choice([-1, 1], s)) for s in shapes)
    return x, Unit(*arrays), jnp.asarray(rng.normal(size=x.shape))


def plain(kind, x, args):
    """One operation, differentiated by JAX."""
    if kind == 0:
        return jnp.zeros_like(x)
    if kind == 3:
        return nn.max_pool(x, 3)
    weight = args.weight if kind == 1 else args.weight[1:2, 1:2]
    return nn.batch_norm(nn.conv(x, weight, fast=False), args.scale, args.shift)[0]


@pytest.fixture(scope="module")
def pulled(operands):
    """Value and gradients by kind, one program."""
    _, _, dout = operands

    def loss(x, args, moments, kind):
        out, mean, var = unit(CONFIG, kind, x, args, moments)
        return (out * dout).sum(), (out, mean, var)

    return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))


@pytest.mark.parametrize("kind", range(4))
def test_gradients_equal_those_of_the_operation(kind, operands, pulled):
    x, args, dout = operands
    (_, (out, mean, _)), (dx, dargs, _) = pulled(x, args, nn.Moments.zeros_like(args.weight), jnp.int32(kind))
    expected, back = jax.vjp(lambda x, args: plain(kind, x, args), x, args)
    np.testing.assert_allclose(out, expected, atol=1e-12)
    for found, wanted in zip(jax.tree.leaves((dx, dargs)), jax.tree.leaves(back(dout)), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-11)
    assert np.allclose(mean, args.mean) == (kind in (0, 3))


def test_moments_of_the_centre_are_those_of_a_small_kernel(operands, pulled):
    x, args, dout = operands
    zero = nn.Moments.zeros_like(args.weight)
    moments = pulled(x, args, zero, jnp.int32(2))[1][2]

    def alone(own):
        y = nn.conv(x, args.weight[1:2, 1:2], moments=own)
        return (nn.batch_norm(y, args.scale, args.shift)[0] * dout).sum()

    expected = jax.grad(alone)(nn.Moments.zeros_like(args.weight[1:2, 1:2]))
    for found, wanted in zip(moments, expected, strict=True):
        np.testing.assert_allclose(found[1:2, 1:2], wanted, atol=1e-10)
        assert np.count_nonzero(found) == np.count_nonzero(wanted)
    assert not any(np.any(field) for field in pulled(x, args, zero, jnp.int32(3))[1][2])
