"""Counts of multiply-adds, by hand."""

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.testing.work import multiply_adds


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_products_and_convolutions():
    assert multiply_adds(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), f32(5, 2, 3), f32(5, 3, 4)) == 5 * 2 * 3 * 4
    conv = lambda x, w: nn.conv(x, w, stride=2)  # noqa: E731
    assert multiply_adds(conv, f32(2, 8, 8, 3), f32(3, 3, 3, 7)) == 2 * 4 * 4 * 9 * 3 * 7
    assert multiply_adds(lambda a: jnp.sin(a).sum(), f32(9)) == 0


def test_a_gradient_costs_two_more():
    x, w = f32(4, 3), f32(3, 5)
    loss = lambda x, w: jnp.square(nn.linear(x, w)).sum()  # noqa: E731
    assert multiply_adds(loss, x, w) == 60
    assert multiply_adds(jax.grad(loss, 1), x, w) == 120
    assert multiply_adds(jax.grad(loss, (0, 1)), x, w) == 180


def test_loops_and_branches():
    def program(index, x, w):
        step = lambda carry, _: (carry @ w, None)  # noqa: E731
        looped, _ = lax.scan(step, x, None, length=6)
        once, twice = (lambda x: x @ w), (lambda x: (x @ w) @ w)
        return looped + lax.cond(index, twice, once, x) + lax.fori_loop(0, index, lambda _, x: x @ w, x)

    one = 2 * 3 * 3
    assert (
        multiply_adds(jax.jit(program), jax.ShapeDtypeStruct((), jnp.int32), f32(2, 3), f32(3, 3)) == (6 + 2 + 1) * one
    )


def test_what_nothing_depends_on_does_not_count():
    @jax.jit
    def both(x, w):
        return x @ w, (x @ w.T) @ w

    def program(x, w):
        def step(carry, _):
            used, spare = carry
            return (used @ w, spare @ w), spare.sum()

        (used, _), sums = lax.scan(step, (x, x), None, length=5)
        return both(x, w)[0], used, sums

    one = 2 * 3 * 3
    x, w = f32(2, 3), f32(3, 3)
    assert multiply_adds(lambda x, w: program(x, w)[0], x, w) == one
    assert multiply_adds(lambda x, w: program(x, w)[1], x, w) == 5 * one
    assert multiply_adds(lambda x, w: program(x, w)[1:], x, w) == 10 * one
