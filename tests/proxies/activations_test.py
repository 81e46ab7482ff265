"""Packed sign patterns against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies import activations

ABSENT = 10


def reference_counts(words, bins):
    """Distinct rows, each in the smallest bin it occurs in."""
    smallest = {}
    for row, b in zip(map(tuple, words.tolist()), bins.tolist(), strict=True):
        if b < ABSENT:
            smallest[row] = min(b, smallest.get(row, ABSENT))
    return np.bincount(list(smallest.values()), minlength=10).astype(np.int32)


@pytest.mark.parametrize("batch", [1, 5, 32, 33, 64])
def test_signs_are_packed_and_unpacked(batch):
    x = np.random.default_rng(batch).normal(size=(batch, 2, 3, 2)).astype(np.float32)
    x[0, 0, 0, 0] = 0.0  # zero is not active
    words = activations.pack_signs(jnp.asarray(x))
    assert words.shape == (12, -(-batch // 32))
    assert words.dtype == jnp.uint32
    np.testing.assert_array_equal(activations.unpack_signs(words, batch), (x > 0).reshape(batch, -1))


def test_bit_s_is_sample_s():
    x = jnp.asarray([[1.0, -1.0], [-1.0, 2.0], [3.0, 0.0]])
    np.testing.assert_array_equal(activations.pack_signs(x), [[0b101], [0b010]])


CASES = {
    "all different": (500, 2, 2**32),
    "few different": (700, 1, 6),
    "rows alike in one word": (600, 2, 2),
    "one row": (1, 2, 2**32),
    "two rows": (2, 1, 2),
    "power of two": (256, 3, 3),
    "many": (5000, 1, 4000),
}


@pytest.mark.parametrize("case", CASES)
def test_hash_and_sort_count_what_numpy_counts(case):
    rows, width, values = CASES[case]
    rng = np.random.default_rng(rows)
    words = rng.integers(0, values, (rows, width), dtype=np.uint64).astype(np.uint32)
    bins = rng.integers(0, 11, rows).astype(np.int32)
    expected = reference_counts(words, bins)
    assert expected.sum() == len(np.unique(words[bins < ABSENT], axis=0))
    for method in ("hash", "sort", "auto"):
        found = activations.distinct_by_bin(jnp.asarray(words), jnp.asarray(bins), method=method)
        assert found.dtype == jnp.int32
        np.testing.assert_array_equal(found, expected, err_msg=method)


@pytest.mark.parametrize("method", ["hash", "sort"])
def test_neighbouring_words_and_the_extreme_ones_are_told_apart(method):
    words = np.concatenate([np.arange(300), 2**32 - 1 - np.arange(300), np.arange(300) << 16]).astype(np.uint32)[
        :, None
    ]
    words = np.concatenate([words, words])
    bins = np.repeat([7, 2], 900).astype(np.int32)
    expected = np.zeros(10, np.int32)
    expected[2] = len(np.unique(words))
    np.testing.assert_array_equal(
        activations.distinct_by_bin(jnp.asarray(words), jnp.asarray(bins), method=method), expected
    )


@pytest.mark.parametrize("method", ["hash", "sort"])
def test_absent_rows_do_not_count(method):
    words = jnp.asarray([[1], [1], [2], [3]], jnp.uint32)
    bins = jnp.asarray([ABSENT, 4, ABSENT, 0], jnp.int32)
    expected = np.zeros(10, int)
    expected[[0, 4]] = 1
    np.testing.assert_array_equal(activations.distinct_by_bin(words, bins, method=method), expected)
    none = activations.distinct_by_bin(words, jnp.full(4, ABSENT), method=method)
    np.testing.assert_array_equal(none, np.zeros(10))


def test_cumulative_sums_are_counts_up_to_a_bin():
    rng = np.random.default_rng(3)
    words = rng.integers(0, 40, (400, 1)).astype(np.uint32)
    bins = rng.integers(0, 10, 400).astype(np.int32)
    cumulative = np.cumsum(activations.distinct_by_bin(jnp.asarray(words), jnp.asarray(bins)))
    assert cumulative.tolist() == [len(np.unique(words[bins <= b])) for b in range(10)]


def test_first_bin_and_interval_of_calls():
    calls = jnp.asarray([[0, 2, 0, 1, 0, 0, 0, 0, 0, 0], [0] * 10, [3] + [0] * 9, [0] * 9 + [1]], jnp.int32)
    np.testing.assert_array_equal(activations.first_bin(calls), [1, ABSENT, 0, 9])
    np.testing.assert_array_equal(activations.first_bin(activations.interval_calls(calls, 2, 9)), [3, 10, 10, 9])
    np.testing.assert_array_equal(activations.first_bin(activations.interval_calls(calls, 0, 1)), [1, 10, 0, 10])


@pytest.mark.parametrize("multiplicity", [0, 1, 3])
@pytest.mark.parametrize("batch", [4, 40])
def test_the_kernel_counts_agreeing_neurons(batch, multiplicity):
    x = np.random.default_rng(batch).normal(size=(batch, 50)).astype(np.float32)
    on = (x > 0).astype(np.float64)
    expected = multiplicity * (on @ on.T + (1 - on) @ (1 - on).T)
    words = activations.pack_signs(jnp.asarray(x))
    kernel = jax.jit(activations.hamming_kernel, static_argnums=(2, 3))(
        words, jnp.asarray(multiplicity), batch, jnp.float32
    )
    assert kernel.dtype == jnp.float32
    np.testing.assert_array_equal(kernel, expected)
    np.testing.assert_array_equal(np.diag(kernel), np.full(batch, 50 * multiplicity))
