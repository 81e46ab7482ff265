"""Linear regions against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies import get
from nasjax.proxies.base import NOT_FINITE, Facts
from nasjax.proxies.regions import RegionsPass, _random_patches
from nasjax.types import InputError, Variables


class Thin:
    """Codes are the signs of a patch, by default of its first row."""

    def init(self, key, arch, *, law, dtype):
        del arch, law
        return Variables(jax.random.normal(key, (), dtype), {})

    def codes(self, variables, arch, images):
        del arch
        rows = images.reshape(images.shape[0], -1)[:, :3]
        return (rows > variables.params) | jnp.zeros((1, 3), bool), jnp.isfinite(rows).all()


class Space:
    name = "thin"

    def thin(self):
        return Thin()


def finish(proxy, stats):
    return proxy.finish(Facts(None, 0, 0, {proxy.passes[0]: jax.tree.map(np.asarray, stats)}))


def test_distinct_patterns(x64):
    patches = np.random.default_rng(0).normal(size=(30, 3, 3, 1))
    patches[:, 0, 2] = 1.0
    p = RegionsPass(samples=30)
    images = jnp.zeros((1, 2, 4, 4, 3))
    stats = p.measure(Space(), Variables(jnp.array(0.5), {}), None, images, None, fixed=patches)
    expected = len(np.unique(patches.reshape(30, 9)[:, :3] > 0.5, axis=0))
    value = finish(get("te_regions", samples=30), stats)
    assert 1 < value.score == expected < 8
    np.testing.assert_allclose(value.raw, expected, rtol=1e-12)


def test_patterns_of_what_is_not_finite_are_none(x64):
    patches = np.ones((30, 3, 3, 1))
    patches[17, 0, 1] = np.inf
    images = jnp.zeros((1, 2, 4, 4, 3))
    p = RegionsPass(samples=30)
    stats = p.measure(Space(), Variables(jnp.array(0.5), {}), None, images, None, fixed=patches)
    value = finish(get("te_regions", samples=30), stats)
    assert np.isnan([value.score, value.raw]).all() and value.note == NOT_FINITE


def test_patches_are_parts_of_the_images():
    images = jnp.asarray(np.random.default_rng(1).normal(size=(2, 2, 5, 4, 2)))
    patches = np.asarray(_random_patches(jax.random.key(0), images, 60))
    flat = np.asarray(images).reshape(4, 5, 4, 2)
    windows = np.lib.stride_tricks.sliding_window_view(flat, (3, 3), axis=(1, 2)).reshape(-1, 9)
    found = [np.flatnonzero((windows == patch.reshape(9)).all(1)) for patch in patches]
    assert all(len(f) == 1 for f in found)
    assert len({int(f[0]) for f in found}) > 30  # of 48: images, channels, rows and columns all vary


def test_repeats_are_averaged():
    proxy = get("te_regions", samples=30, repeats=3)
    images = jnp.asarray(np.random.default_rng(1).normal(size=(1, 2, 5, 5, 2)))
    stats = proxy.passes[0].run(Space(), jax.random.key(0), None, images, None)
    assert stats["regions"].shape == (3,)
    np.testing.assert_allclose(finish(proxy, stats).score, np.mean(stats["regions"]))


def test_options():
    assert dict(get("te_regions", preset="paper").options) == {
        "init": "kaiming_fan_in",
        "repeats": 3,
        "samples": 3000,
    }
    assert dict(get("te_regions").options) == {"init": "torch", "repeats": 1, "samples": 3000}
    with pytest.raises(InputError, match="samples=100; allowed is a multiple of 3"):
        get("te_regions", samples=100)
    with pytest.raises(InputError, match="2x5"):
        _random_patches(jax.random.key(0), jnp.zeros((1, 1, 2, 5, 1)), 3)
