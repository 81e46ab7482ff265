"""Tests of nasjax.nn.attention against the formula written out with an embedding for every pair of tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.types import InputError

BATCH, SIDE, HEADS, WIDTH, REACH = 2, 3, 2, 4, 1
TOKENS = SIDE * SIDE + 1


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def operands():
    rng = np.random.default_rng(0)
    qkv = rng.standard_normal((3, BATCH, TOKENS, HEADS, WIDTH))
    tables = rng.standard_normal((2, 2, 2 * REACH + 2, WIDTH))
    return (*qkv, nn.RelativeTables(*tables[0]), nn.RelativeTables(*tables[1]))


def embeddings(tables, tokens=TOKENS, side=SIDE):
    """[tokens, tokens, width], the row of each table found pair by pair."""
    rows, columns = np.zeros((2, tokens, tokens), int)
    for n in range(1, tokens):
        for m in range(1, tokens):
            down, right = (m - 1) // side - (n - 1) // side, (m - 1) % side - (n - 1) % side
            rows[n, m], columns[n, m] = (max(-REACH, min(REACH, d)) + REACH + 1 for d in (down, right))
    return tables.vertical[rows] + tables.horizontal[columns]


def written_out(q, k, v, key_tables, value_tables, *, scale, tokens=TOKENS, side=SIDE):
    rk, rv = embeddings(key_tables, tokens, side), embeddings(value_tables, tokens, side)
    logits = jnp.einsum("bnhd,bmhd->bhnm", q, k) + jnp.einsum("bnhd,nmd->bhnm", q, rk)
    weights = jnp.exp(scale * logits)
    weights = weights / weights.sum(-1, keepdims=True)
    return jnp.einsum("bhnm,bmhd->bnhd", weights, v) + jnp.einsum("bhnm,nmd->bnhd", weights, rv)


def test_values_equal_the_formula(operands):
    found = nn.relative_attention(*operands, scale=0.7)
    np.testing.assert_allclose(found, written_out(*operands, scale=0.7), rtol=1e-12, atol=1e-13)


def test_gradients_equal_the_formula(operands):
    rng = np.random.default_rng(1)
    way = rng.standard_normal((BATCH, TOKENS, HEADS, WIDTH))

    def slope(attention):
        return jax.jit(jax.grad(lambda ops: (attention(*ops, scale=0.7) * way).sum()))(operands)

    for found, expected in zip(*(jax.tree.leaves(slope(f)) for f in (nn.relative_attention, written_out)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)


def test_one_patch(operands):
    q, k, v = (a[:, :2] for a in operands[:3])
    found = nn.relative_attention(q, k, v, *operands[3:], scale=1.0)
    expected = written_out(q, k, v, *operands[3:], scale=1.0, tokens=2, side=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_every_product_has_the_precision(operands):
    program = jax.make_jaxpr(lambda *ops: nn.relative_attention(*ops, scale=1.0, precision="high"))(*operands)
    found = [product for equation in program.jaxpr.eqns for product in _dots(equation)]
    assert len(found) == 7
    assert all(str(product.params["precision"]).count("HIGH") == 2 for product in found)


def _dots(equation):
    """Products in an equation and in the programs it calls."""
    if equation.primitive.name == "dot_general":
        return [equation]
    called = [v for v in equation.params.values() if hasattr(v, "jaxpr")]
    return [e for program in called for inner in program.jaxpr.eqns for e in _dots(inner)]


def test_tokens_that_form_no_square_are_refused(operands):
    q, k, v = (a[:, :7] for a in operands[:3])
    with pytest.raises(InputError, match="7 tokens; allowed is a square"):
        nn.relative_attention(q, k, v, *operands[3:], scale=1.0)
