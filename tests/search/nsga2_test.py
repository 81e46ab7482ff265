"""NSGA-II: fronts and crowding against plain loops, and a search whose front is known."""

import jax
import numpy as np
import pytest

import nasjax
from nasjax.search import search
from nasjax.search.nsga2 import crowding, fronts, pareto_front

SPACE = nasjax.get_space("nasbench201")


def peeled(goals, alive):
    """Fronts by definition."""
    front, left, number = np.full(len(goals), len(goals)), set(np.flatnonzero(alive)), 0
    while left:
        top = {i for i in left
               if not any((goals[j] >= goals[i]).all() and (goals[j] > goals[i]).any() for j in left)}  # fmt: skip
        for i in top:
            front[i] = number
        left, number = left - top, number + 1
    return front


@pytest.mark.parametrize("goals", [2, 3])
def test_fronts(goals):
    rng = np.random.default_rng(goals)
    values = rng.integers(0, 6, (40, goals)).astype(np.float32)
    values[:3] = -np.inf
    alive = rng.random(40) < 0.8
    np.testing.assert_array_equal(fronts(values, alive), peeled(values, alive))


def test_pareto_front_is_the_first_front():
    values = np.random.default_rng(0).normal(size=(60, 3))
    np.testing.assert_array_equal(pareto_front(values), np.flatnonzero(peeled(values, np.ones(60, bool)) == 0))


def test_pareto_front_leaves_out_twins_and_what_is_no_number():
    values = np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 0.0], [np.nan, 9.0], [-np.inf, 9.0]])
    assert pareto_front(values).tolist() == [0, 2]


def test_crowding():
    goals = np.array([[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0], [9.0, 9.0]], np.float32)
    front = np.array([1, 1, 1, 1, 0], np.int32)
    distance = np.asarray(crowding(goals, front))
    assert np.isinf(distance[[0, 3, 4]]).all()
    np.testing.assert_allclose(distance[1:3], [3 / 4 + 3 / 4, 3 / 4 + 3 / 4])


def test_finds_a_known_front():
    """Score and cost are numbers of operations: the front is one architecture for each number of convolutions."""
    table = {text: float((arch == 3).sum()) for arch, text in zip(SPACE.all(), SPACE.encode(SPACE.all()), strict=True)}
    found = search(SPACE, lambda archs: (archs == 3).sum(1), key=jax.random.key(0), algorithm="nsga2", budget=400,
                   population=20, costs=("convolutions",), tables={"convolutions": table})  # fmt: skip
    assert sorted(found.scores[found.front]) == [0, 1, 2, 3, 4, 5, 6]
    plain = search(SPACE, lambda archs: (archs == 3).sum(1), key=jax.random.key(0), algorithm="random", budget=400,
                   costs=("convolutions",), tables={"convolutions": table})  # fmt: skip
    assert len(plain.front) < 7


def test_the_population_spreads():
    """With the score against parameters, survivors are on both ends."""
    found = search(SPACE, lambda archs: SPACE.flops(archs), key=jax.random.key(1), algorithm="nsga2", budget=200,
                   population=20)  # fmt: skip
    params = found.costs["params"][found.front]
    assert params.min() < 0.15e6 and params.max() > 1.2e6
    assert (np.diff(params) > 0).all() and (np.diff(found.scores[found.front]) > 0).all()
