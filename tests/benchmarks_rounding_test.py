"""Products of rounded operands."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import rounding, whole

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from benchmarks import rounding
a, b = (np.random.default_rng(i).standard_normal((5, 5), np.float32) for i in range(2))
rounding.round_products(4)
near = [np.asarray(rounding.rounded(jnp.asarray(x), 4), np.float64) for x in (a, b)]
product = jax.jit(lambda a, b: jnp.dot(a, b, precision="highest"))
np.testing.assert_allclose(product(a, b), near[0] @ near[1], rtol=1e-5, atol=1e-6)
slope = jax.jit(jax.grad(lambda a: product(a, b).sum()))(a)
exact = jnp.asarray(np.ones((5, 5)) @ near[1].T, jnp.float32)
np.testing.assert_allclose(slope, rounding.rounded(exact, 4), rtol=2**-4)
assert len(set(np.asarray(slope)[0])) == 5
"""


def test_rounding_keeps_some_bits_and_the_derivative():
    x = jnp.array([1 + 2**-3, 1 + 2**-10, 1 + 2**-11 + 2**-12, -3.3e-20], jnp.float32)
    np.testing.assert_array_equal(rounding.rounded(x, 10)[:3], [1 + 2**-3, 1 + 2**-10, 1 + 2**-10])
    assert float(jnp.abs(rounding.rounded(x, 10) / x - 1).max()) <= 2**-11
    assert jax.grad(lambda x: rounding.rounded(x, 10).sum())(x).tolist() == [1.0] * 4
    whole_numbers = jnp.arange(3)
    assert rounding.rounded(whole_numbers, 10) is whole_numbers


def test_products_and_their_derivatives_round_both_operands(root):
    # In a process of its own: it changes every product from then on.
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_bits_that_there_are_not(capsys):
    with pytest.raises(SystemExit):
        whole.arguments(["--mantissa=24"])
    assert "--mantissa=24; allowed are 1 to 23" in capsys.readouterr().err
