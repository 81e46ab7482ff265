"""The Zen score against NumPy, on a network whose features are derived by hand."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies import get
from nasjax.proxies.base import Facts
from nasjax.proxies.zen import ZenPass
from nasjax.types import Block, InputError, Variables, Walk

WEIGHT = np.random.default_rng(0).normal(size=(3, 5))


class Space:
    """One block: features x W, a running variance that adds 1 a pass."""

    name = "one_block"

    def blocks(self, variables, arch, images, visit, *, norm="batch"):
        del arch, norm
        stats = {"mean": {"a": jnp.zeros(5)}, "var": {"a": variables.stats["var"]["a"] + 1}}
        (y, stats), _ = visit(Block("stem", 0, 0, True, True), lambda x: (x @ variables.params, stats), images)
        return Walk(y, stats, {})

    def init(self, key, arch, *, law, dtype):
        del arch
        assert law == "normal"
        stats = {"mean": {"a": jnp.zeros(5, dtype)}, "var": {"a": jnp.arange(5, dtype=dtype)}}
        return Variables(jax.random.normal(key, (3, 5), dtype), stats)


def value(proxy, stats):
    return proxy.finish(Facts(None, 0, 0, {proxy.passes[0]: jax.tree.map(np.asarray, stats)})).score


def test_formula(x64):
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2, 4, 2, 2, 3))
    variables = Variables(jnp.asarray(WEIGHT), {"mean": {"a": jnp.zeros(5)}, "var": {"a": jnp.arange(5.0)}})
    stats = ZenPass().measure(Space(), variables, None, None, None, fixed=jnp.asarray(noise))
    difference = np.abs(0.01 * noise[1] @ WEIGHT).sum((1, 2, 3))
    expected = np.log(difference.mean()) + 0.5 * np.log(np.mean(np.arange(5) + 2))
    np.testing.assert_allclose(value(get("zen"), stats), expected, rtol=1e-10)


def test_repeats_are_averaged_and_differ(x64):
    images = jnp.zeros((1, 2, 4, 4, 3))
    p = get("zen", samples=3, repeats=4).passes[0]
    stats = p.run(Space(), jax.random.key(0), None, images, None)
    scores = stats["log_difference"] + stats["log_scale"]
    assert len(np.unique(scores)) == 4
    np.testing.assert_allclose(value(get("zen", samples=3, repeats=4), stats), np.mean(scores))
    once = get("zen", samples=3).passes[0].run(Space(), jax.random.key(0), None, images, None)
    np.testing.assert_allclose(once["log_difference"], stats["log_difference"][0], rtol=1e-12)


def test_presets():
    assert dict(get("zen", preset="paper").options) == {"init": "normal", "repeats": 32, "samples": 16}
    assert dict(get("zen", preset="nbsz").options) == {"init": "normal", "repeats": 1, "samples": None}
    assert get("zen").passes[0].images_needed(64) == 0


def test_a_network_without_batch_norms_is_refused():
    with pytest.raises(InputError, match="'one_block' has no batch norms"):
        ZenPass().measure(Space(), Variables({}, {}), None, jnp.zeros((1, 1, 4, 4, 3)), None, key=jax.random.key(0))


def test_a_space_without_blocks_is_refused():
    with pytest.raises(InputError, match=r"ZenPass needs blocks\(\).*'bare'"):
        ZenPass().check_space(types.SimpleNamespace(name="bare"))
