"""Tests of nasjax.spaces.base."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.hashing import stable_words
from nasjax.spaces import base

NAMES = ["|none~0|", "|skip_connect~0|", "another"]


def test_keys_are_the_fold_in_of_both_hash_words():
    key = jax.random.key(5)
    keys = base.architecture_keys(key, NAMES)
    assert keys.shape == (3,) and jax.dtypes.issubdtype(keys.dtype, jax.dtypes.prng_key)
    for name, found in zip(NAMES, keys, strict=True):
        first, second = stable_words(name)
        expected = jax.random.fold_in(jax.random.fold_in(key, first), second)
        np.testing.assert_array_equal(jax.random.key_data(found), jax.random.key_data(expected))


def test_a_key_does_not_depend_on_the_company():
    key = jax.random.key(0)
    data = jax.random.key_data(base.architecture_keys(key, NAMES))
    turned = jax.random.key_data(base.architecture_keys(key, NAMES[::-1]))
    alone = jax.random.key_data(base.architecture_keys(key, NAMES[1:2]))
    np.testing.assert_array_equal(data, turned[::-1])
    np.testing.assert_array_equal(data[1:2], alone)
    assert len({tuple(row) for row in np.asarray(data).tolist()}) == 3


def test_keys_depend_on_the_seed():
    one, two = (jax.random.key_data(base.architecture_keys(jax.random.key(seed), NAMES)) for seed in (0, 1))
    assert (np.asarray(one) != np.asarray(two)).any(1).all()


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (1, [9]),
        (10, [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]),
        (8, [1, 2, 3, 5, 6, 7, 8, 9]),
        (17, [0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 7, 7, 8, 8, 9, 9]),
        (3, [3, 6, 9]),
    ],
)
def test_depth_bins_by_hand(depth, expected):
    order = jnp.arange(1, depth + 1, dtype=jnp.int32)
    np.testing.assert_array_equal(base.depth_bin(order, jnp.int32(depth)), expected)


def test_depth_bins_of_another_number():
    order = jnp.arange(1, 11, dtype=jnp.int32)
    np.testing.assert_array_equal(base.depth_bin(order, jnp.int32(10), bins=5), [0, 1, 1, 2, 2, 3, 3, 4, 4, 4])


def test_depth_bins_are_the_floor_of_the_percentage():
    depth = np.arange(1, 130)[:, None]
    order = np.minimum(np.arange(1, 130)[None], depth)
    expected = np.minimum(10 * order // depth, 9)  # exact in integers
    found = base.depth_bin(jnp.asarray(order), jnp.asarray(np.broadcast_to(depth, order.shape)))
    np.testing.assert_array_equal(found, expected)
    assert (np.diff(expected) >= 0).all() and (expected[:, -1] == 9).all()
