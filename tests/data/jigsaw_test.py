"""Permutations far from each other, and tiles that go where they say."""

import numpy as np
import pytest

from nasjax.data import jigsaw
from nasjax.spaces import transnas_tasks
from nasjax.types import InputError


def test_permutations_are_far_from_each_other():
    chosen = jigsaw.permutations(24)
    assert chosen.shape == (24, 9) and chosen[0].tolist() == list(range(9))
    assert (np.sort(chosen, axis=1) == np.arange(9)).all()
    distance = (chosen[:, None] != chosen[None]).sum(-1)[~np.eye(24, dtype=bool)]
    # Nine permutations may differ everywhere; of 24 the greedy choice keeps seven places and more.
    assert (chosen[:9, None] != chosen[None, :9]).sum(-1)[~np.eye(9, dtype=bool)].min() == 9
    assert distance.min() >= 7
    np.testing.assert_array_equal(jigsaw.permutations(10), chosen[:10])
    with pytest.raises(InputError, match="1 to 362880"):
        jigsaw.permutations(0)


def test_tiles_go_to_their_places():
    images = np.arange(2 * 7 * 6).reshape(2, 7, 6, 1)
    chosen = np.stack([np.arange(9), [8, 7, 6, 5, 4, 3, 2, 1, 0]])
    out = jigsaw.scramble(images, chosen)
    np.testing.assert_array_equal(out[0], images[0, :6])  # the seventh row fills no tile
    np.testing.assert_array_equal(out[1, :2, :2], images[1, 4:6, 4:6])
    np.testing.assert_array_equal(out[1, 2:4, 4:], images[1, 2:4, :2])


def test_puzzles_are_solved_by_their_labels():
    images = np.random.default_rng(0).random((4, 9, 9, 2))
    indices = np.array([5, 6, 7, 5])
    out, labels = jigsaw.puzzles(images, indices, seed=1, number=24)
    assert labels[0] == labels[3] and len(set(labels)) > 1
    np.testing.assert_array_equal(labels, jigsaw.labels(indices, seed=1, number=24))
    inverse = np.argsort(jigsaw.permutations(24)[labels], axis=1)
    np.testing.assert_array_equal(jigsaw.scramble(out, inverse), images)


def test_tiles_are_those_of_the_networks():
    """The tile a place shows is what the network of the task sees there."""
    images = np.random.default_rng(0).random((1, 6, 6, 1)).astype(np.float32)
    chosen = jigsaw.permutations(10)[[9]]
    seen = np.asarray(transnas_tasks.tiles(jigsaw.scramble(images, chosen)))[:, 0]
    np.testing.assert_array_equal(seen, np.asarray(transnas_tasks.tiles(images))[chosen[0], 0])
