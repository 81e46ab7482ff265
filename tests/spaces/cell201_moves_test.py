"""Tests of nasjax.spaces.cell201_moves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import cell201_moves as moves
from nasjax.spaces.cell201_codec import enumeration_index
from nasjax.types import InputError

ARCH = jnp.array([4, 1, 0, 2, 4, 2], dtype=jnp.int32)


def test_all_architectures():
    archs = moves.all_architectures()
    assert archs.shape == (15625, 6) and archs.dtype == np.int32
    np.testing.assert_array_equal(enumeration_index(archs), np.arange(15625))
    archs[:] = 0
    assert moves.all_architectures()[-1].tolist() == [4] * 6


def test_neighbours():
    near = moves.neighbours(np.asarray(ARCH))
    assert near.shape == (24, 6) and near.dtype == np.int32
    assert len(np.unique(near, axis=0)) == 24
    assert ((near != np.asarray(ARCH)).sum(axis=1) == 1).all()
    assert near.min() == 0 and near.max() == 4


def test_neighbours_are_mutual():
    arch = np.asarray(ARCH)
    assert all((moves.neighbours(other) == arch).all(axis=1).any() for other in moves.neighbours(arch))


def test_neighbours_of_many_is_refused():
    with pytest.raises(InputError, match=r"shape \[2, 6\]; allowed: \[6\]"):
        moves.neighbours(np.zeros((2, 6), dtype=int))


def test_sample_is_uniform_on_every_edge():
    archs = np.asarray(moves.sample(jax.random.key(0), 5000))
    assert archs.shape == (5000, 6) and archs.dtype == np.int32
    counts = np.stack([np.bincount(column, minlength=5) for column in archs.T])
    assert counts.shape == (6, 5)
    assert abs(counts - 1000).max() < 5 * np.sqrt(5000 * 0.2 * 0.8)


def test_sample_repeats_with_the_key_alone():
    first = moves.sample(jax.random.key(1), 8)
    np.testing.assert_array_equal(first, moves.sample(jax.random.key(1), 8))
    assert (np.asarray(first) != np.asarray(moves.sample(jax.random.key(2), 8))).any()
    np.testing.assert_array_equal(first, jax.jit(moves.sample, static_argnums=1)(jax.random.key(1), 8))
    assert moves.sample(jax.random.key(0), 0).shape == (0, 6)


@pytest.mark.parametrize("n", [-1, 2.5, True, None])
def test_sample_size_is_checked(n):
    with pytest.raises(InputError, match="n=.* architectures; allowed: an integer >= 0"):
        moves.sample(jax.random.key(0), n)


@pytest.mark.parametrize("num_edges", [1, 3, 6])
def test_mutate_changes_exactly_so_many_edges(num_edges):
    keys = jax.random.split(jax.random.key(3), 400)
    children = jax.jit(jax.vmap(lambda key: moves.mutate(key, ARCH, num_edges=num_edges)))(keys)
    children = np.asarray(children)
    assert children.dtype == np.int32
    assert ((children != np.asarray(ARCH)).sum(axis=1) == num_edges).all()
    assert children.min() >= 0 and children.max() <= 4


def test_mutate_reaches_every_neighbour_evenly():
    keys = jax.random.split(jax.random.key(4), 4800)
    children = np.asarray(jax.jit(jax.vmap(lambda key: moves.mutate(key, ARCH)))(keys))
    found, counts = np.unique(children, axis=0, return_counts=True)
    near = moves.neighbours(np.asarray(ARCH))
    np.testing.assert_array_equal(found, np.unique(near, axis=0))
    assert abs(counts - 200).max() < 5 * np.sqrt(200)


@pytest.mark.parametrize("num_edges", [0, 7, 1.0, True])
def test_mutate_strength_is_checked(num_edges):
    with pytest.raises(InputError, match="num_edges=.*; allowed: an integer 1..6"):
        moves.mutate(jax.random.key(0), ARCH, num_edges=num_edges)


def test_crossover_takes_each_edge_from_a_parent():
    a, b = jnp.zeros(6, jnp.int32), jnp.full(6, 4, jnp.int32)
    keys = jax.random.split(jax.random.key(5), 2000)
    children = np.asarray(jax.jit(jax.vmap(lambda key: moves.crossover(key, a, b)))(keys))
    assert children.dtype == np.int32
    assert set(np.unique(children)) == {0, 4}
    assert abs((children == 0).mean(axis=0) - 0.5).max() < 0.06
    assert len(np.unique(children, axis=0)) == 64


def test_crossover_keeps_what_parents_share():
    child = moves.crossover(jax.random.key(6), ARCH, ARCH)
    np.testing.assert_array_equal(child, ARCH)


def test_moves_take_numpy_and_lists():
    assert moves.mutate(jax.random.key(0), [0] * 6).shape == (6,)
    assert moves.crossover(jax.random.key(0), np.zeros(6, np.int8), [1] * 6).dtype == jnp.int32
