"""Splits without leaks, metrics, selection and transfer."""

import jax
import numpy as np
import pytest

import nasjax
from nasjax import grasp
from nasjax.data import tables
from nasjax.grasp import selection
from nasjax.types import InputError

SMALL = {"layers": 1, "width": 8, "steps": 30, "learning_rate": 1e-2, "engine": "jit"}


@pytest.fixture(scope="module")
def data():
    space = nasjax.get_space("nasbench201", drop_dead=True)
    archs = np.asarray(space.sample(jax.random.key(9), 60))
    return space, archs, grasp.encode(space, archs), np.log(np.asarray(space.num_params(archs), float))


@pytest.mark.parametrize("single", [True, False])
def test_no_function_is_on_both_sides(single):
    table = tables.load("nasbench201")
    groups = table["iso_group"].to_numpy()
    for part in grasp.splits(groups, 78, range(3), single=single):
        assert not set(groups[part.train]) & set(groups[part.test])
        assert len(set(part.train.tolist()) & set(part.test.tolist())) == 0 and len(part.train) == 78
        if single:
            both = np.concatenate([part.train, part.test])
            assert len(both) == len(set(groups[both])) == len(set(groups))
    space, sample = nasjax.get_space("nasbench201"), table.iloc[:400]
    own = grasp.groups_of(space, space.decode(sample["arch"].tolist()))
    part = grasp.split(own, 100, seed=1)
    texts = np.array(space.canonical(space.decode(sample["arch"].tolist())))
    assert not set(texts[part.train]) & set(texts[part.test])


def test_a_smaller_training_set_is_part_of_a_larger_one():
    groups = np.arange(200) // 2
    small, large = (grasp.split(groups, n, seed=3).train for n in (10, 40))
    np.testing.assert_array_equal(small, large[:10])
    assert grasp.split(groups, 10, seed=4).train.tolist() != small.tolist()
    for wrong in (0, 100, 99, True):
        with pytest.raises(InputError):
            grasp.split(groups, wrong, seed=0)


def test_metrics_by_hand():
    scores, targets = [0.9, 0.8, 0.7, 0.1, 0.0], [70.0, 90.0, 60.0, 95.0, 50.0]
    found = grasp.evaluate(scores, targets, ks=(1, 2, 10), validation=[1, 0, 5, 2, 3])
    assert found.precision == {1: 0.0, 2: 0.5} and found.best == {1: 70.0, 2: 90.0}
    assert found.regret == {1: 25.0, 2: 5.0} and found.best_rank == {1: 3.0, 2: 2.0}
    assert found.selected == {1: 70.0, 2: 70.0}  # the validation prefers the worse of the two
    assert found.row()["N@2"] == 2.0 and found.number == 5
    np.testing.assert_allclose(found.kendall, 0.2)
    with pytest.raises(InputError, match="ks="):
        grasp.evaluate(scores, targets, ks=(10,))
    with pytest.raises(InputError, match="validation"):
        grasp.evaluate(scores, targets, validation=[np.nan] * 5)


def test_selection_labels_each_once_and_finds_the_best(data):
    _, _, graphs, targets = data
    asked = []

    def label(rows):
        asked.extend(rows.tolist())
        return targets[rows]

    found = grasp.select(graphs, label, 24, rounds=3, seed=0, **SMALL)
    assert asked == found.rows.tolist() and len(set(asked)) == 24
    assert found.rounds.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    np.testing.assert_array_equal(found.targets, targets[found.rows])
    drawn = grasp.select(graphs, label, 24, rounds=3, seed=0, sample="random", **SMALL)
    later = found.rounds > 0
    assert found.targets[later].mean() > drawn.targets[later].mean()  # good ones are asked for
    np.testing.assert_array_equal(found.rows[:8], drawn.rows[:8])


def test_selection_refuses_what_does_not_fit(data):
    _, _, graphs, targets = data
    for options, message in (
        ({"budget": 10, "rounds": 5}, "at least 4 labels a round"),
        ({"budget": 100}, "at most 60 in all"),
        ({"budget": 24, "sample": "best"}, "allowed: brp, random, uncertain"),
        ({"budget": 24, "sample": "uncertain"}, "needs an ensemble"),
    ):
        with pytest.raises(InputError, match=message):
            grasp.select(graphs, lambda rows: targets[rows], **options)
    with pytest.raises(InputError, match=r"label gave shape \[1\]"):
        grasp.select(graphs, lambda rows: [1.0], 24, rounds=3, **SMALL)


def test_candidates_of_a_round_are_good_ones(data):
    _, _, graphs, _ = data

    class Fixed:
        def predict(self, given):
            return grasp.Prediction(np.arange(60.0), np.zeros(60), np.zeros((1, 60)))

    free = np.ones(60, bool)
    free[59] = False
    rows = selection._choose(Fixed(), graphs, free, 6, 2, "brp", np.random.default_rng(0))
    assert rows[:3].tolist() == [58, 57, 56] and len(set(rows)) == 6 and rows.min() >= 60 - 60 // 4 - 4


def test_transfer_matrix_by_its_parts(data):
    _, _, graphs, targets = data
    rng = np.random.default_rng(0)
    columns = {"a": targets, "b": targets + 0.5 * rng.normal(size=60), "noise": rng.normal(size=60)}
    groups = np.arange(60) // 2
    found = grasp.transfer_matrix(graphs, columns, num_train=12, seeds=(0, 1), groups=groups, sources=("a",), **SMALL)
    assert found.taus.shape == (1, 3, 2) and found.ceilings[0, 0] == 1
    part = grasp.split(groups, 12, seed=1)
    rows = np.stack([grasp.split(groups, 12, seed=seed).train for seed in (0, 1)])
    model = grasp.fit_many(graphs, rows, targets[rows], seeds=(0, 1), **SMALL)[1]  # the program of the matrix
    tau = grasp.evaluate(model.score(graphs[part.test]), columns["b"][part.test], ks=(1,)).kendall
    np.testing.assert_allclose(found.taus[0, 1, 1], tau, atol=1e-6)
    assert found.taus[0, 1].mean() > found.taus[0, 2].mean()  # noise cannot be ranked
    table = found.table()
    assert table["target"].tolist() == ["a", "b", "noise"] and table["seeds"].tolist() == [2] * 3
    assert found.figure().get_size_inches()[0] > 3
    tuned = grasp.transfer_matrix(graphs, {"a": targets, "b": columns["b"]}, num_train=12, seeds=(0, 1), groups=groups,
                                  sources=("a",), finetune=8, **SMALL)  # fmt: skip
    assert tuned.taus[0, 0, 0] == found.taus[0, 0, 0] and tuned.taus[0, 1, 0] != found.taus[0, 1, 0]


def test_transfer_refuses_what_does_not_fit(data):
    _, _, graphs, targets = data
    for given, options, message in (
        ({"a": targets}, {"sources": ("c",)}, "unknown source 'c'"),
        ({"a": targets[:5]}, {}, r"have shape \[5\] for 60 graphs"),
        ({"a": targets}, {"groups": [1]}, "groups of 1"),
        ({"a": targets}, {"finetune": 2}, "finetune=2"),
        ({}, {}, "no targets"),
    ):
        with pytest.raises(InputError, match=message):
            grasp.transfer_matrix(graphs, given, num_train=12, **options)
    with pytest.raises(InputError, match="no graphs for data set 'a'"):
        grasp.transfer_matrix({}, {"a": targets}, num_train=12)
