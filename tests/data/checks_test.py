"""Every kind of bad input gets a message that says what is wrong and what to do."""

import numpy as np
import pytest

from nasjax.data import checks
from nasjax.types import InputError

GOOD = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)


def test_good_input_passes_unchanged():
    assert checks.images(GOOD, "here") is GOOD
    checks.not_constant(GOOD, "here")
    labels = checks.labels(np.asarray([0, 4], np.uint8), 2, "here")
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 4]
    assert checks.count(np.int32(3), "n") == 3


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.zeros((4, 4)), "shape"),
        (np.zeros((2, 4, 4), np.uint8), "add the missing axis"),
        (np.zeros((2, 1, 4, 4, 3), np.uint8), "shape"),
        (GOOD.astype(np.int64), "dtype int64"),
        (GOOD.astype(bool), "dtype bool"),
        (GOOD.astype(np.complex64), "dtype complex64"),
        (np.zeros((0, 4, 4, 3), np.uint8), "no images"),
        (np.zeros((2, 0, 4, 3), np.uint8), "length 0"),
        (np.zeros((2, 4, 4, 0), np.uint8), "length 0"),
        (np.zeros((2, 3, 8, 8), np.uint8), "channels first"),
        (np.zeros((2, 4, 6, 3), np.uint8), "4 x 6"),
    ],
)
def test_bad_images(value, match):
    with pytest.raises(InputError, match=match) as caught:
        checks.images(value, "holiday.npz")
    assert "holiday.npz" in str(caught.value)
    assert "do: " in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_images_must_be_finite_and_the_first_bad_one_is_named(bad):
    images = GOOD.astype(np.float32)
    images[1, 2, 3, 0] = bad
    with pytest.raises(InputError, match=r"1 of 2 images .*number 1"):
        checks.images(images, "here")


def test_oblong_images_pass_where_they_are_cut_later():
    assert checks.images(np.zeros((2, 4, 6, 3)), "here", square=False).shape == (2, 4, 6, 3)


def test_constant_images():
    levels = np.zeros((2, 4, 4, 3), np.uint8)
    levels[1] = 200  # each is flat, though they differ from each other
    with pytest.raises(InputError, match="all 2 images of here are constant"):
        checks.not_constant(levels, "here")
    levels[1, 0, 0, 0] = 1
    checks.not_constant(levels, "here")


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (None, "no labels"),
        ([0], "1 labels for 2 images"),
        ([[0], [1]], r"labels\[:, 0\]"),
        ([[0, 1], [1, 0]], "argmax"),
        (np.zeros((2, 4, 4), int), "segmentation"),
        ([0.0, 1.0], "dtype float64"),
        (["cat", "dog"], "dtype"),
        ([True, False], "dtype bool"),
        ([0, -1], "-1"),
    ],
)
def test_bad_labels(value, match):
    with pytest.raises(InputError, match=match):
        checks.labels(value, 2, "here")


def test_number_of_classes():
    labels = np.asarray([0, 3])
    assert checks.classes(labels, None, (), "here") == 4
    assert checks.classes(labels, None, ["a", "b", "c", "d", "e"], "here") == 5
    assert checks.classes(labels, 7, (), "here") == 7
    with pytest.raises(InputError, match="num_classes=4 or more"):
        checks.classes(labels, 3, (), "here")
    with pytest.raises(InputError, match="2 classes"):
        checks.classes(labels, None, ["a", "b"], "here")


@pytest.mark.parametrize("value", [0, -3, 1.5, "2", None, True])
def test_bad_counts(value):
    with pytest.raises(InputError, match="batch_size"):
        checks.count(value, "batch_size")


def test_more_images_than_there_are():
    checks.enough(128, 64, 2, "here")
    with pytest.raises(InputError, match="needs 192 images, but here has 128"):
        checks.enough(128, 64, 3, "here")


def test_paths_are_looked_for_below_the_data_directory(tmp_path, monkeypatch):
    (tmp_path / "a.npz").touch()
    monkeypatch.delenv("NASJAX_DATA", raising=False)
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(InputError, match="'a.npz' does not exist"):
        checks.existing_path("a.npz")
    monkeypatch.setenv("NASJAX_DATA", str(tmp_path))
    assert checks.existing_path("a.npz") == tmp_path / "a.npz"
    with pytest.raises(InputError, match="looked at .* and "):
        checks.existing_path("b.npz")
