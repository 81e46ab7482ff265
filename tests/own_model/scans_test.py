"""Operands of a scan, as JAX of any supported version says them."""

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.own_model.scans import operand_counts


def test_constants_and_carried_values_are_told_apart():
    def run(a, b, xs):
        return lax.scan(lambda carry, x: ((carry[0] * a + x, carry[1] + b), carry[0]), (a, b), xs)

    traced = jax.make_jaxpr(run)(1.0, 2.0, jnp.arange(3.0))
    (equation,) = [e for e in traced.eqns if e.primitive.name == "scan"]
    assert operand_counts(equation.params) == (2, 2)
    assert len(equation.invars) == 5
