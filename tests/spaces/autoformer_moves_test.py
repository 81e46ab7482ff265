"""Tests of nasjax.spaces.autoformer_moves."""

import functools

import jax
import numpy as np
import pytest

from nasjax.spaces import autoformer_moves as moves
from nasjax.spaces.autoformer_codec import Choices, check, split
from nasjax.types import InputError

CHOICES = Choices((8, 16, 24), (1, 2, 4), (1, 2), (20, 30, 40))
SHALLOW = np.array([8, 1, 2, 0, 0, 0, 30, 0, 0, 0], np.int32)
DEEP = np.array([24, 4, 1, 2, 1, 2, 40, 20, 30, 20], np.int32)
NUM = 400


@jax.jit
def mutants(key, arch, block_rate=0.2, shape_rate=0.4):
    move = functools.partial(moves.mutate, choices=CHOICES, block_rate=block_rate, shape_rate=shape_rate)
    return jax.vmap(lambda k: move(k, arch=arch))(jax.random.split(key, NUM))


def test_samples_follow_the_official_law():
    archs = np.asarray(moves.sample(jax.random.key(0), CHOICES, 6000))
    check(CHOICES, archs)
    parts = split(archs)
    for values, among in ((parts.embed_dim, CHOICES.embed_dims), (parts.depth, CHOICES.depths)):
        counts = np.array([(values == v).sum() for v in among])
        assert abs(counts - 2000).max() < 5 * np.sqrt(6000 * 2 / 9)
    for block in range(4):
        there = parts.heads[:, block] > 0
        np.testing.assert_array_equal(there, parts.depth > block)
        assert abs((parts.heads[there, block] == 1).mean() - 1 / 2) < 5 * np.sqrt(1 / 4 / there.sum())
        assert abs((parts.tenths[there, block] == 30).mean() - 1 / 3) < 5 * np.sqrt(2 / 9 / there.sum())


def test_sample_size_is_checked():
    assert moves.sample(jax.random.key(0), CHOICES, 0).shape == (0, 10)
    with pytest.raises(InputError, match="num=-1 architectures"):
        moves.sample(jax.random.key(0), CHOICES, -1)


@pytest.mark.parametrize("arch", [SHALLOW, DEEP])
def test_mutants_are_in_the_space_and_change_at_the_given_rates(arch):
    found = np.asarray(mutants(jax.random.key(1), arch))
    check(CHOICES, found)
    parts, own = split(found), split(arch)
    # A redrawn part comes out as before in one of its choices.
    for values, old, rate, among in (
        (parts.embed_dim, own.embed_dim, 0.4, 3),
        (parts.depth, own.depth, 0.4, 3),
        (parts.heads[:, 0], own.heads[0], 0.2, 2),
        (parts.tenths[:, 0], own.tenths[0], 0.2, 3),
    ):
        expected = rate * (1 - 1 / among)
        assert abs((values != old).mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / NUM)


def test_mutation_without_rates_changes_nothing_and_added_blocks_are_random():
    np.testing.assert_array_equal(mutants(jax.random.key(2), DEEP, block_rate=0.0, shape_rate=0.0)[0], DEEP)
    grown = np.asarray(mutants(jax.random.key(3), SHALLOW, block_rate=0.0, shape_rate=1.0))
    deep = split(grown[split(grown).depth == 4])
    np.testing.assert_array_equal(deep.heads[:, 0], 2)
    assert {tuple(p) for p in zip(deep.heads[:, 3], deep.tenths[:, 3], strict=True)} == {
        (h, t) for h in CHOICES.heads for t in CHOICES.tenths
    }


def test_children_take_every_part_from_a_parent():
    keys = jax.random.split(jax.random.key(4), NUM)
    found = np.asarray(jax.vmap(lambda k: moves.crossover(k, SHALLOW, DEEP))(keys))
    check(CHOICES, found)
    parts = split(found)
    for values, either in ((parts.embed_dim, {8, 24}), (parts.depth, {1, 4}), (parts.heads[:, 0], {1, 2})):
        assert set(values.tolist()) == either
        assert abs((values == min(either)).mean() - 0.5) < 5 * np.sqrt(0.25 / NUM)
    deep = parts.depth == 4
    np.testing.assert_array_equal(parts.heads[deep, 1:], np.broadcast_to(DEEP[3:6], (deep.sum(), 3)))
    np.testing.assert_array_equal(moves.crossover(keys[0], DEEP, DEEP), DEEP)


def test_neighbours_by_hand():
    near = moves.neighbours(CHOICES, SHALLOW)
    # Two widths, one number of heads, two ratios, and depth 2 with six kinds of new block.
    assert near.shape == (2 + 1 + 2 + 6, 10) and len(np.unique(near, axis=0)) == 11
    check(CHOICES, near)
    assert not (near == SHALLOW).all(1).any()
    assert [8, 2, 2, 1, 0, 0, 30, 40, 0, 0] in near.tolist()
    deep = moves.neighbours(CHOICES, DEEP)
    assert deep.shape == (2 + 4 * 3 + 1, 10)
    assert [24, 2, 1, 2, 0, 0, 40, 20, 0, 0] in deep.tolist()


def test_neighbours_are_mutual_between_adjacent_depths():
    for other in moves.neighbours(CHOICES, SHALLOW):
        assert (moves.neighbours(CHOICES, other) == SHALLOW).all(1).any()


def test_neighbours_of_many_are_refused():
    with pytest.raises(InputError, match=r"shape \[2, 10\]; allowed: one"):
        moves.neighbours(CHOICES, np.stack([SHALLOW, DEEP]))
