"""Tests of nasjax.spaces.transnas_tasks."""

import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import transnas_tasks as tasks
from nasjax.types import InputError, Output

LOGITS = jnp.log(jnp.array([[1.0, 1, 2], [4, 2, 2]]))  # probabilities 1/4 1/4 1/2 and 1/2 1/4 1/4
IMAGES = np.zeros((2, 4, 6, 6, 3), np.float32)


def loss(name, logits, targets):
    return float(tasks.loss(tasks.get(name), Output(logits, None, {}), jnp.asarray(targets)))


def test_cross_entropy():
    assert loss("class_scene", LOGITS, [2, 1]) == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert loss("jigsaw", LOGITS, [0, 0]) == pytest.approx((np.log(4) + np.log(2)) / 2)
    pixels = jnp.broadcast_to(LOGITS[:, None, None], (2, 5, 5, 3))
    assert loss("segmentsemantic", pixels, np.full((2, 5, 5), [[[2]], [[1]]])) == pytest.approx(1.5 * np.log(2))


def test_soft_targets():
    soft = np.array([[0.5, 0, 0.5], [0, 1, 0]], np.float32)
    logs = np.log(np.array([0.25, 0.5, 0.25]) + 1e-5)
    assert loss("class_object", LOGITS, soft) == pytest.approx(-((logs[0] + logs[1]) / 2 + logs[2]) / 2, rel=1e-6)


def test_regression_and_reconstruction():
    assert loss("room_layout", jnp.ones((2, 9)), np.full((2, 9), 3.0)) == pytest.approx(4)
    for name in ("autoencoder", "normal"):
        assert loss(name, jnp.ones((2, 4, 4, 3)), np.full((2, 4, 4, 3), 3.0)) == pytest.approx(2)


def test_tiles_row_by_row():
    image = jnp.arange(36).reshape(1, 6, 6, 1) * jnp.ones((2, 1, 1, 1), int)
    found = np.asarray(tasks.tiles(image))
    assert found.shape == (9, 2, 2, 2, 1)
    for t in range(9):
        row, column = divmod(t, 3)
        np.testing.assert_array_equal(found[t], image[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2])


FITTING = {
    "class_object": np.zeros((2, 4), np.int32),
    "class_scene": np.full((2, 4, 5), 0.2, np.float32),
    "jigsaw": np.full((2, 4), 4, np.int32),
    "room_layout": np.zeros((2, 4, 5), np.float32),
    "autoencoder": np.zeros((2, 4, 6, 6, 5), np.float32),
    "segmentsemantic": np.zeros((2, 4, 6, 6), np.int32),
}


@pytest.mark.parametrize("name", FITTING)
def test_targets_fit_their_own_task(name):
    for other, targets in FITTING.items():
        both = {name, other}
        same = tasks.get(name).targets == tasks.get(other).targets or both == {"room_layout", "class_scene"}
        same = same or (tasks.get(name).targets == "class" and other == "class_scene")
        if name == "room_layout" and other != "class_scene":
            same = other == "room_layout"
        if same and not (name in ("class_object", "jigsaw") and other == "room_layout"):
            tasks.check_targets(tasks.get(name), name, targets, IMAGES, 5)
        elif tasks.get(name).targets != "class" or other != "room_layout":
            with pytest.raises(InputError, match=f"do not fit task {name!r}"):
                tasks.check_targets(tasks.get(name), name, targets, IMAGES, 5)


@pytest.mark.parametrize("label", [5, -1])
def test_labels_out_of_range(label):
    for name, shape in (("class_scene", (2, 4)), ("segmentsemantic", (2, 4, 6, 6))):
        with pytest.raises(InputError, match=f"Label {label} does not fit num_classes=5"):
            tasks.check_targets(tasks.get(name), name, np.full(shape, label), IMAGES, 5)


def test_unknown_task():
    with pytest.raises(InputError, match="'segmentation'.*did you mean 'segmentsemantic'"):
        tasks.get("segmentation")
    with pytest.raises(InputError, match="autoencoder.*class_object, class_scene"):
        tasks.check_linear("autoencoder")
