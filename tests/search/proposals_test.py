"""Generations without repeats, within the limits."""

import jax
import numpy as np

import nasjax
from nasjax.search.proposals import TRIES, Filler

SPACE = nasjax.get_space("nasbench201")
BIG = nasjax.get_space("darts")
KEY = jax.random.key(0)


def filler(space=SPACE, feasible=lambda archs: np.ones(len(archs), bool), **options):
    return Filler(space, feasible, lambda arch: space.encode(arch[None])[0], **options)


def test_proposals_keep_their_slots():
    asked = np.asarray(SPACE.sample(jax.random.key(3), 8))
    archs, proposed = filler().fill(KEY, 8, lambda key: asked)
    np.testing.assert_array_equal(archs, asked)
    assert proposed.all()


def test_repeats_and_infeasible_ones_are_asked_for_again():
    first, second = (np.array(SPACE.sample(jax.random.key(s), 4)) for s in (3, 4))
    first[1] = first[0]
    own = filler(feasible=lambda archs: ~(archs == first[2]).all(1))
    own.seen.add(SPACE.encode(first[3][None])[0])
    draws = [first, second]
    archs, proposed = own.fill(KEY, 4, lambda key: draws.pop(0))
    np.testing.assert_array_equal(archs, [first[0], second[1], second[2], second[3]])
    assert proposed.all() and len(own.seen) == 5


def test_what_cannot_be_proposed_is_drawn_at_random():
    same = np.repeat(np.asarray(SPACE.sample(jax.random.key(3), 1)), 6, axis=0)
    calls = []
    archs, proposed = filler().fill(KEY, 6, lambda key: calls.append(key) or same)
    assert len(calls) == TRIES
    assert proposed.tolist() == [True] + [False] * 5
    assert len(set(SPACE.encode(archs))) == 6


def test_a_listed_space_is_found_whole():
    few = lambda archs: (archs[:, :5] == 3).all(1)  # noqa: E731
    own = filler(feasible=few)
    archs, _ = own.fill(KEY, 20, None)
    assert len(archs) == 5 and few(archs).all()
    assert len(own.fill(KEY, 1, None)[0]) == 0


def test_a_space_that_cannot_be_listed_gives_up():
    own = filler(BIG, feasible=lambda archs: np.zeros(len(archs), bool), max_draws=600)
    archs, proposed = own.fill(KEY, 3, None)
    assert len(archs) == len(proposed) == 0


def test_the_key_decides():
    first, second, third = (filler().fill(jax.random.key(s), 5, None)[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)
