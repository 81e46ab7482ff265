"""Functions of one variable, known by ten values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.own_model import elementwise

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": jax.nn.gelu,
    "gelu_sigmoid": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
    "hard_swish": jax.nn.hard_swish,
    "selu": jax.nn.selu,
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.2),
    "elu": jax.nn.elu,
}

IDENTITIES = {"add_any", "copy_p", "name", "reduce_precision", "sharding_constraint", "stop_gradient"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_told_apart(name):
    assert elementwise.activation(np.asarray(ACTIVATIONS[name](jnp.asarray(elementwise.POINTS)))) == name


@pytest.mark.parametrize(
    "function", [lambda x: x, jnp.tanh, jax.nn.sigmoid, jnp.abs, jnp.square, lambda x: 2 * jax.nn.relu(x), jnp.exp]
)
def test_other_functions_are_none(function):
    assert elementwise.activation(np.asarray(function(jnp.asarray(elementwise.POINTS)))) is None


def test_values_that_are_not_finite_are_none():
    values = np.maximum(elementwise.POINTS, 0)
    assert elementwise.activation(np.where(values > 0, values, np.nan)) is None


@pytest.mark.parametrize("name", sorted(set(elementwise._FUNCTIONS) - IDENTITIES))
def test_every_primitive_agrees_with_jax(name):
    """Each is traced through the function of JAX that yields it, so a renamed primitive would show."""
    x, y = np.array([0.5, 1.5, 2.0]), np.array([2.0, 0.25, 1.0])
    two = {
        "add": jax.lax.add, "div": jax.lax.div, "eq": jax.lax.eq, "ge": jax.lax.ge, "gt": jax.lax.gt, "le": jax.lax.le,
        "lt": jax.lax.lt, "max": jax.lax.max, "min": jax.lax.min, "mul": jax.lax.mul, "ne": jax.lax.ne,
        "pow": jax.lax.pow, "rem": jax.lax.rem, "sub": jax.lax.sub,
    }  # fmt: skip
    bits = {"and": jax.lax.bitwise_and, "or": jax.lax.bitwise_or}
    special = {
        "clamp": lambda: jax.lax.clamp(0.6, x, 1.7),
        "copy": lambda: jnp.array(jnp.asarray(x), copy=True),
        "integer_pow": lambda: jax.lax.integer_pow(x, 3),
        "not": lambda: jax.lax.bitwise_not(x > 1),
        "select_n": lambda: jax.lax.select_n(x > 1, x, y),
    }
    if name in two:
        function = lambda: two[name](x, y)  # noqa: E731
    elif name in bits:
        function = lambda: bits[name](x > 1, y > 0.5)  # noqa: E731
    else:
        function = special.get(name) or (lambda: getattr(jax.lax, {"not": "bitwise_not"}.get(name, name))(x))
    closed = jax.make_jaxpr(function)()
    eqn = closed.jaxpr.eqns[-1]
    assert eqn.primitive.name == name
    env = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    operands = [np.asarray(v.val if hasattr(v, "val") else env[v]) if hasattr(v, "val") or v in env else None
                for v in eqn.invars]  # fmt: skip
    assert all(operand is not None for operand in operands), "an operand is computed by another equation"
    np.testing.assert_allclose(elementwise.evaluate(name, eqn.params, operands), function(), rtol=1e-12)


def test_constants_are_folded_and_large_ones_are_not():
    line = elementwise.fold("iota", {"dimension": 1}, [], (2, 3), np.dtype("int32"))
    np.testing.assert_array_equal(line, [[0, 1, 2], [0, 1, 2]])
    assert elementwise.fold("iota", {"dimension": 0}, [], (10**6,), np.dtype("int32")) is None
    spread = elementwise.fold(
        "broadcast_in_dim", {"broadcast_dimensions": (0,)}, [np.arange(2)], (2, 2), np.dtype("i4")
    )
    np.testing.assert_array_equal(spread, [[0, 0], [1, 1]])
    total = elementwise.fold("add", {}, [np.int32(2), np.int32(3)], (), np.dtype("int32"))
    assert total == 5 and total.dtype == np.int32
