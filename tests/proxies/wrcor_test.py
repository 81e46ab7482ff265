"""WRCor against NumPy, on given responses."""

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.proxies import get
from nasjax.proxies.base import Facts
from nasjax.proxies.wrcor import ResponsePass
from nasjax.types import Variables

RNG = np.random.default_rng(0)
VALUES, GRADIENTS = RNG.normal(size=(2, 2, 4, 3, 3, 2)), RNG.normal(size=(2, 2, 4, 3, 3, 2)) * 1e-170
LAST, LAST_GRADIENTS = RNG.normal(size=(1, 4, 6)), RNG.normal(size=(1, 4, 6))
COUNTS = np.array([1, 0], np.int32)


class Space:
    """Two repeated blocks with two rectifiers, the second not there, then one with a dead image in the gradient."""

    name, precision = "given", "highest"

    def responses(self, variables, arch, images, labels, visit, *, norm="batch"):
        del variables, arch, labels, norm
        step = lambda c, xs: (c, visit(xs[0], xs[1], xs[2], jnp.asarray(COUNTS)))  # noqa: E731
        gradients = LAST_GRADIENTS.copy()
        gradients[0, 2] = 0
        last = visit(2, jnp.asarray(LAST) + 0 * images.sum(), jnp.asarray(gradients), jnp.ones(1, jnp.int32))
        repeated = jax.lax.scan(step, 0, (jnp.arange(2), jnp.asarray(VALUES), jnp.asarray(GRADIENTS)))[1]
        return [last, repeated]


def test_kernel_and_score(x64):
    p = ResponsePass()
    images, labels = jnp.zeros((1, 4, 3, 3, 2)), jnp.zeros((1, 4), jnp.int32)
    stats = p.measure(Space(), Variables({}, {}), None, images, labels)
    correlation = lambda rows: np.abs(np.corrcoef(rows.reshape(4, -1)))  # noqa: E731
    kernel = 4 * correlation(LAST[0])  # a constant row leaves its gradients out
    for block in range(2):
        kernel = kernel + 2**block * (correlation(VALUES[block, 0]) + correlation(GRADIENTS[block, 0] * 1e170))
    np.testing.assert_allclose(stats["kernel"], kernel, rtol=1e-9)
    value = get("wrcor").finish(Facts(None, 0, 0, {p: {"kernel": np.asarray(stats["kernel"])}}))
    np.testing.assert_allclose(value.score, np.linalg.slogdet(kernel)[1], rtol=1e-9)
    assert get("wrcor").passes == (p,)


def test_a_response_that_is_no_number_is_not_taken_for_a_constant_one(x64):
    images = jnp.zeros((1, 4, 3, 3, 2)).at[0, 1].set(np.nan)
    stats = ResponsePass().measure(Space(), Variables({}, {}), None, images, jnp.zeros((1, 4), jnp.int32))
    value = get("wrcor").finish(Facts(None, 0, 0, {ResponsePass(): {"kernel": np.asarray(stats["kernel"])}}))
    assert np.isnan(value.score)
