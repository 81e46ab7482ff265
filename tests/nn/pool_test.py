"""Tests of nasjax.nn.pool: the gradient of maximum pooling; values are compared in tests/nn_test.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nasjax import nn

CASES = [
    (3, 1, 1, (5, 6)),
    (2, 2, "VALID", (7, 6)),
    (3, 2, 1, (8, 7)),
    (3, 1, ((1, 0), (0, 2)), (5, 6)),
    (2, 3, 0, (8, 8)),
]


def loop_gradient(x, dy, window, stride, padding):
    """The first largest value of each window takes all, by loops."""
    pads = [(0, 0)] * 2 if padding == "VALID" else [(padding, padding)] * 2 if isinstance(padding, int) else padding
    dx = np.zeros_like(x)
    for index in np.ndindex(dy.shape):
        b, i, j, c = index
        best, where = -np.inf, None
        for place in np.ndindex(window, window):
            row, column = i * stride - pads[0][0] + place[0], j * stride - pads[1][0] + place[1]
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2] and x[b, row, column, c] > best:
                best, where = x[b, row, column, c], (b, row, column, c)
        dx[where] += dy[index]
    return dx


@pytest.mark.parametrize(("window", "stride", "padding", "size"), CASES)
@pytest.mark.parametrize("ties", [False, True])
def test_the_gradient_goes_to_the_first_largest_value(window, stride, padding, size, ties, x64):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (2, *size, 2)).astype(float) if ties else rng.normal(size=(2, *size, 2))
    y, back = jax.vjp(lambda x: nn.max_pool(x, window, stride=stride, padding=padding), jnp.asarray(x))
    dy = rng.normal(size=y.shape)
    np.testing.assert_allclose(back(jnp.asarray(dy))[0], loop_gradient(x, dy, window, stride, padding), atol=1e-12)


def test_second_derivatives_and_loops(x64):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 6, 6, 2)))

    def reference(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 1, 1, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))

    def slope(pool, x):
        inner = jax.grad(lambda x: (jnp.sin(pool(x)) * x).sum())
        return jax.grad(lambda x: jnp.square(inner(x)).sum())(x)

    def in_a_switch(x):
        return lax.switch(jnp.int32(1), [lambda x: x, lambda x: nn.max_pool(x, 3)], x)

    expected = slope(reference, x)
    np.testing.assert_allclose(jax.jit(lambda x: slope(lambda v: nn.max_pool(v, 3), x))(x), expected, rtol=1e-10)
    np.testing.assert_allclose(jax.jit(lambda x: slope(in_a_switch, x))(x), expected, rtol=1e-10)
