"""A number that is none is reported by the proxies of signs, for which it would be a zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies import get, passes
from nasjax.proxies.base import NOT_FINITE, Facts
from nasjax.proxies.passes import ActivationPass
from nasjax.spaces.nasbench201 import NasBench201

SPACE = NasBench201(channels=2, cells=1, num_classes=3, image_size=8)
# Node 1 is read by the edge to node 2, which nothing reads; the output comes from edge 3 alone.
ARCH = SPACE.decode("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|none~2|")[0]
DEAD, UNUSED, LIVE = 0, 1, 3
P = ActivationPass(patterns=True, kernel=True, intervals=((0, 4),))


@pytest.fixture(scope="module")
def measured():
    """Statistics and logits by the edge of the first cell whose kernel holds a NaN; None for no edge."""
    with jax.enable_x64(True):
        images = np.random.default_rng(0).normal(size=(1, 4, 8, 8, 3))

        @jax.jit
        def run(bad):
            own = SPACE.init(jax.random.key(0), ARCH, dtype=images.dtype)
            kernels = own.params["weights"]["stages"][0]["kernel"]
            spoilt = kernels.at[0, bad].set(jnp.where(bad < 6, jnp.nan, kernels[0, bad]))
            stages = own.params["weights"]["stages"]
            weights = own.params["weights"] | {"stages": (stages[0] | {"kernel": spoilt}, *stages[1:])}
            own = own._replace(params=own.params | {"weights": weights})
            stats = passes.run_with(SPACE, P, own, ARCH, jnp.asarray(images), jnp.zeros((1, 4), jnp.int32))
            return stats, SPACE.apply(own, ARCH, jnp.asarray(images[0])).logits

        yield {bad: passes.to_host(run(6 if bad is None else bad)) for bad in (None, UNUSED, DEAD, LIVE)}


@pytest.mark.parametrize(("bad", "finite"), [(None, True), (UNUSED, True), (DEAD, False), (LIVE, False)])
def test_activations_are_watched_where_they_are_read(measured, bad, finite):
    stats, logits = measured[bad]
    assert bool(stats["finite"]) == finite
    # A dead edge shows at its site alone.
    assert np.isfinite(logits).all() == (bad != LIVE)


@pytest.mark.parametrize("name", ["swap", "reg_swap", "nwot"])
def test_the_score_is_none_and_says_why(measured, name):
    proxy = get(name)
    assert proxy.version == 2  # stores of before hold numbers for such networks
    finish = lambda bad: proxy.finish(Facts(None, 0, 0, dict.fromkeys(proxy.passes, measured[bad][0])))  # noqa: E731
    assert np.isfinite(finish(UNUSED).score) and finish(UNUSED) == finish(None)
    for bad in (DEAD, LIVE):
        value = finish(bad)
        assert np.isnan(value.score) and np.isnan(value.raw) and value.note == NOT_FINITE


@pytest.mark.parametrize("factors", ["psi", "product"])
def test_lswag_reads_the_patterns_beside_the_gradients(factors, run_linear, linear_space, x64):
    a, b = np.ones((2, 3)), np.ones((3, 1))
    proxy = get("lswag", factors=factors)
    served = passes.merge(list(proxy.passes))
    for spoilt in (False, True):
        x = np.random.default_rng(0).normal(size=(2, 4, 2))
        x[0, 1, 1] = np.nan if spoilt else x[0, 1, 1]
        stats = {}
        for p in proxy.passes:
            found = run_linear(served[p], a, b, x, np.zeros((2, 4), int))
            stats[p] = found["activations"] if isinstance(p, ActivationPass) and "activations" in found else found
        value = proxy.finish(Facts(linear_space.layers(None), 0, 0, stats))
        assert np.isnan(value.score) == spoilt
        assert value.note == (NOT_FINITE if spoilt else value.note)
