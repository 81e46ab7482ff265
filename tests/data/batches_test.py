"""Batches: the same at every iteration, no image twice, normalised, and checked."""

import dataclasses
import hashlib
import pickle

import numpy as np
import pytest

from nasjax.data import Batches
from nasjax.data.batches import order
from nasjax.types import Batch, InputError


def make(number=20, size=6, channels=3, dtype=np.uint8):
    """Images whose first pixel is the number of the image, and labels that repeat 0, 1, 2."""
    images = np.random.default_rng(1).integers(0, 256, (number, size, size, channels)).astype(dtype)
    images[:, 0, 0, :] = np.arange(number)[:, None]
    return images, np.arange(number) % 3


def numbers(batches):
    """Which images were taken, read back from their first pixel."""
    pixel = batches.stacked.images[:, :, 0, 0, 0]
    return np.rint((pixel * batches.std[0] + batches.mean[0]) * 255).astype(int).ravel()


def test_shapes_and_attributes():
    batches = Batches.from_arrays(*make(), batch_size=4, num_batches=3, class_names=["a", "b", "c", "d"])
    assert (batches.batch_size, batches.num_batches, len(batches)) == (4, 3, 3)
    assert (batches.image_size, batches.channels, batches.num_classes) == (6, 3, 4)
    assert batches.class_names == ("a", "b", "c", "d")
    assert repr(batches) == "Batches('arrays', 3 x 4 images 6x6x3 float32, 4 classes)"
    for batch in batches:
        assert isinstance(batch, Batch)
        assert batch.images.shape == (4, 6, 6, 3)
        assert batch.images.dtype == np.float32
        assert batch.labels.shape == (4,)
        assert batch.labels.dtype == np.int32
    assert batches.stacked.images.shape == (3, 4, 6, 6, 3)


def test_can_be_iterated_again_and_not_changed():
    batches = Batches.from_arrays(*make(), batch_size=4)
    for first, second in zip(batches, batches, strict=True):
        np.testing.assert_array_equal(first.images, second.images)
        np.testing.assert_array_equal(first.labels, second.labels)
        with pytest.raises(ValueError, match="read-only"):
            first.images[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        batches.num_classes = 3


def test_no_image_twice_and_labels_stay_with_their_images():
    batches = Batches.from_arrays(*make(), batch_size=5, num_batches=4)
    taken = numbers(batches)
    assert sorted(taken) == list(range(20))
    assert taken.tolist() != list(range(20))
    np.testing.assert_array_equal(batches.labels.ravel(), taken % 3)


def test_without_a_seed_the_order_of_the_file_is_kept():
    batches = Batches.from_arrays(*make(), batch_size=5, seed=None)
    assert numbers(batches).tolist() == list(range(10))


def test_seeds_choose_and_repeat():
    def fingerprint(seed):
        return Batches.from_arrays(*make(), batch_size=5, seed=seed).fingerprint

    assert fingerprint(3) == fingerprint(3)
    assert len({fingerprint(seed) for seed in (None, 0, 1, 2, 3)}) == 5
    assert sorted(order(9, 4)) == list(range(9))


def test_more_batches_leave_the_first_as_they_are():
    few = Batches.from_arrays(*make(), batch_size=5, num_batches=1)
    many = Batches.from_arrays(*make(), batch_size=5, num_batches=4)
    np.testing.assert_array_equal(few.images[0], many.images[0])


def test_equality_hash_and_pickle_follow_the_arrays():
    one, two = (Batches.from_arrays(*make(), batch_size=5) for _ in range(2))
    other = Batches.from_arrays(*make(), batch_size=4)
    assert one == two
    assert one != other
    assert one != "one"
    assert len({one, two, other}) == 2
    assert pickle.loads(pickle.dumps(one)) == one
    assert len(one.fingerprint) == len(hashlib.sha256().hexdigest())


def test_fingerprint_sees_images_and_labels():
    images, labels = make()
    base = Batches.from_arrays(images, labels, batch_size=5, seed=None).fingerprint
    assert Batches.from_arrays(images, 2 - labels, batch_size=5, seed=None).fingerprint != base
    assert Batches.from_arrays(255 - images, labels, batch_size=5, seed=None).fingerprint != base
    assert Batches.from_arrays(images, labels, batch_size=5, seed=None, dtype="float64").fingerprint != base


def test_normalisation_uses_the_whole_source_by_default():
    images, labels = make()
    batches = Batches.from_arrays(images, labels, batch_size=2, num_batches=1)
    np.testing.assert_allclose(batches.mean, (images / 255).mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(batches.std, (images / 255).std((0, 1, 2)), rtol=1e-5)


def test_normalisation_options():
    images, labels = make()
    raw = Batches.from_arrays(images, labels, batch_size=5, seed=None, normalize=False)
    np.testing.assert_allclose(raw.images[0], images[:5] / 255, rtol=1e-6)
    half = Batches.from_arrays(images, labels, batch_size=5, seed=None, mean=(0.5,) * 3, std=(0.5,) * 3)
    np.testing.assert_allclose(half.images, raw.images * 2 - 1, atol=1e-6)
    assert Batches.from_arrays(images, labels, batch_size=5, mean=(0.5,) * 3).std != (1.0,) * 3
    with pytest.raises(InputError, match="normalize=False"):
        Batches.from_arrays(images, labels, batch_size=5, normalize=False, mean=(0.5,) * 3)


def test_uint8_and_the_same_floats_agree():
    images, labels = make()
    whole = Batches.from_arrays(images, labels, batch_size=5, dtype="float64")
    unit = Batches.from_arrays(images / 255, labels, batch_size=5, dtype="float64")
    np.testing.assert_allclose(whole.images, unit.images, rtol=1e-9)
    assert whole.images.dtype == np.float64


def test_one_channel_and_resizing():
    batches = Batches.from_arrays(*make(size=8, channels=1), batch_size=5, image_size=4)
    assert (batches.image_size, batches.channels) == (4, 1)
    whole = Batches.from_arrays(*make(size=8), batch_size=10, image_size=4)
    np.testing.assert_allclose(whole.images.mean((0, 1, 2, 3)), 0, atol=1e-4)  # of the resized images
    np.testing.assert_allclose(whole.images.std((0, 1, 2, 3)), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batch_size": 21}, "batch_size=21 x num_batches=2 needs 42 images, but mine has 20"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"batch_size": 2.0}, "batch_size=2.0"),
        ({"batch_size": 2, "num_batches": 0}, "num_batches=0"),
        ({"batch_size": 2, "image_size": -32}, "image_size=-32"),
        ({"batch_size": 2, "seed": -1}, "seed=-1"),
        ({"batch_size": 2, "dtype": "int8"}, "dtype='int8'"),
        ({"batch_size": 2, "dtype": "fast"}, "dtype='fast'"),
        ({"batch_size": 2, "num_classes": 2}, "num_classes=3 or more"),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(InputError, match=match):
        Batches.from_arrays(*make(), source="mine", **options)


def test_bad_arrays():
    images, labels = make()
    with pytest.raises(InputError, match="constant"):
        Batches.from_arrays(np.full_like(images, 9), labels, batch_size=5)
    with pytest.raises(InputError, match="NaN"):
        Batches.from_arrays(np.full(images.shape, np.nan), labels, batch_size=5)
    with pytest.raises(InputError, match="no labels"):
        Batches.from_arrays(images, None, batch_size=5)
    with pytest.raises(InputError, match="image_size=N"):
        Batches.from_arrays(images[:, :4], labels, batch_size=5)
    assert Batches.from_arrays(images[:, :4], labels, batch_size=5, image_size=4).image_size == 4


def test_other_targets():
    batches = Batches.from_arrays(*make(8), batch_size=4, num_batches=2)
    own = batches.with_targets(batches.images)
    np.testing.assert_array_equal(own.labels, batches.images)
    assert own.labels.dtype == np.float32 and own.fingerprint != batches.fingerprint
    masks = np.arange(8 * 4, dtype=np.int64).reshape(8, 2, 2)
    flat, stacked = batches.with_targets(masks), batches.with_targets(masks.reshape(2, 4, 2, 2))
    assert flat == stacked and flat.labels.shape == (2, 4, 2, 2) and flat.labels.dtype == np.int32


def test_targets_are_shuffled_with_the_images():
    images, labels = make(8)
    values = np.stack([labels, -labels], 1).astype(np.float64)
    plain = Batches.from_arrays(*make(8), batch_size=4, num_batches=2)
    own = Batches.from_arrays(images, None, targets=values, batch_size=4, num_batches=2)
    np.testing.assert_array_equal(own.images, plain.images)
    np.testing.assert_array_equal(own.labels, np.stack([plain.labels, -plain.labels], -1))


@pytest.mark.parametrize(
    ("targets", "match"),
    [
        (np.zeros((7, 2)), "7 targets for 8 images"),
        (np.full((8, 2), np.nan), "NaN"),
        (np.array(["a"] * 8), "allowed: numbers"),
        (np.array(1.0), "allowed: numbers"),
    ],
)
def test_targets_that_are_none(targets, match):
    batches = Batches.from_arrays(*make(8), batch_size=4, num_batches=2)
    with pytest.raises(InputError, match=match):
        batches.with_targets(targets)
