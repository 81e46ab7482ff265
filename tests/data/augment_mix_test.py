"""Crops, cutout, erasing, mixup and cutmix: what they leave alone and how much they take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from nasjax.data import augment_mix

KEYS = jax.random.split(jax.random.key(0), 200)


def test_cutout_is_a_square_that_the_border_cuts(quick):
    image = jnp.ones((9, 9, 2))
    holes = 1 - np.asarray(quick(jax.vmap(lambda key: augment_mix.cutout(key, image, 4)), KEYS))
    assert set(np.unique(holes)) == {0, 1}
    assert (holes[..., 0] == holes[..., 1]).all()
    tall, broad = holes[..., 0].any(2).sum(1), holes[..., 0].any(1).sum(1)
    np.testing.assert_array_equal(holes[..., 0].sum((1, 2)), tall * broad)  # a rectangle
    # A centre may be any pixel: 2 pixels at least remain of a side of 4.
    assert set(tall) == {2, 3, 4} and set(broad) == {2, 3, 4}
    rows = holes[..., 0].any(2).mean(0)
    assert (rows > 0.15).all()


@pytest.mark.parametrize("noise", [True, False])
def test_random_erasing(quick, noise):
    image = jnp.full((12, 16, 2), 9.0)
    options = {"probability": 0.6, "area": (0.05, 0.3), "ratio": (0.5, 2.0), "noise": noise}
    out = np.asarray(quick(jax.vmap(lambda key: augment_mix.random_erasing(key, image, **options)), KEYS))
    erased = (out != 9).any(-1)
    touched = erased.any((1, 2))
    assert 0.45 < touched.mean() < 0.75
    shares = erased[touched].mean((1, 2))
    assert shares.min() > 0.03 and 0.22 < shares.max() < 0.36
    tall, broad = erased[touched].any(2).sum(1), erased[touched].any(1).sum(1)
    np.testing.assert_array_equal(erased[touched].sum((1, 2)), tall * broad)
    values = out[out != 9]
    if noise:
        assert abs(values.mean()) < 0.05 and abs(values.std() - 1) < 0.05
    else:
        assert not values.any()


def test_erasing_that_never_fits_does_nothing(quick):
    image = jnp.ones((4, 4, 1))
    options = {"probability": 1.0, "area": (1.0, 1.0), "ratio": (1.0, 1.0), "noise": False}
    out = quick(lambda key: augment_mix.random_erasing(key, image, **options), KEYS[0])
    np.testing.assert_array_equal(out, image)


def test_crop_of_everything_is_a_smoothed_resize(quick):
    image = np.random.default_rng(0).random((12, 12, 1)).astype(np.float32)
    options = {"size": (5, 5), "area": (1.0, 1.0), "ratio": (1.0, 1.0)}
    found = quick(lambda key: augment_mix.resized_crop(key, jnp.asarray(image), **options), KEYS[0])
    expected = Image.fromarray(image[..., 0]).resize((5, 5), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found[..., 0], np.asarray(expected), atol=1e-5)


def test_crops_are_of_the_area_they_say(quick):
    """An image whose pixel values are its coordinates shows where a crop lies."""
    size = 32
    grid = np.stack(np.mgrid[:size, :size], -1).astype(np.float32) + 0.5
    options = {"size": (4, 4), "area": (0.25, 0.5), "ratio": (0.75, 4 / 3)}
    out = quick(jax.vmap(lambda key: augment_mix.resized_crop(key, jnp.asarray(grid), **options)), KEYS)
    tall, broad = (
        np.asarray(out[:, 3, 0, 0] - out[:, 0, 0, 0]) * 4 / 3,
        np.asarray(out[:, 0, 3, 1] - out[:, 0, 0, 1]) * 4 / 3,
    )
    areas = tall * broad / size**2
    # Sides are rounded to whole pixels, and where a crop shrinks, its outermost values lean inwards.
    assert areas.min() > 0.2 and areas.max() < 0.53 and areas.std() > 0.05
    assert (broad / tall).min() > 0.65 and (broad / tall).max() < 1.5
    assert np.asarray(out).min() > 0 and np.asarray(out).max() < size


def test_a_crop_that_never_fits_takes_the_centre(quick):
    grid = np.stack(np.mgrid[:8, :16], -1).astype(np.float32) + 0.5
    options = {"size": (8, 8), "area": (1.0, 1.0), "ratio": (1.0, 1.0)}
    out = quick(lambda key: augment_mix.resized_crop(key, jnp.asarray(grid), **options), KEYS[0])
    np.testing.assert_allclose(out, grid[:, 4:12], atol=1e-5)


def test_partners_are_neighbours():
    assert augment_mix.partners(6).tolist() == [1, 0, 3, 2, 5, 4]
    assert augment_mix.partners(3).tolist() == [1, 0, 2]
    whole = augment_mix.partners(8)
    np.testing.assert_array_equal(whole[4:] - 4, augment_mix.partners(4))


OFF = {"mixup": 0.0, "cutmix": 0.0, "probability": 1.0, "switch": 0.5}


@pytest.fixture(scope="module")
def mixed(quick):
    """Images whose value is their number, and what mixing makes of them under many keys."""

    def run(**options):
        images = jnp.broadcast_to(jnp.arange(4.0).reshape(4, 1, 1, 1), (4, 8, 8, 1))
        return quick(jax.vmap(lambda key: augment_mix.mix(key, images, jnp.eye(4), **(OFF | options))), KEYS)

    return run


def test_mixup_mixes_images_and_labels_alike(mixed):
    images, labels = map(np.asarray, mixed(mixup=0.8))
    numbers = np.broadcast_to((labels @ np.arange(4.0))[:, :, None, None, None], images.shape)
    np.testing.assert_allclose(images, numbers, atol=1e-5)
    shares = labels[:, 0, 0]
    np.testing.assert_allclose(labels[:, 2, 2], shares, atol=1e-6)  # one share a batch
    assert abs(shares.mean() - 0.5) < 0.08 and abs(shares.var() - 1 / (4 * 2.6)) < 0.02  # of Beta(0.8, 0.8)


def test_cutmix_labels_are_areas(mixed):
    images, labels = map(np.asarray, mixed(cutmix=1.0))
    assert set(np.unique(images)) == {0, 1, 2, 3}
    np.testing.assert_allclose((images[:, 0] == 0).mean((1, 2, 3)), labels[:, 0, 0], atol=1e-6)
    pasted = images[:, 0, :, :, 0] == 1
    np.testing.assert_array_equal(pasted.sum((1, 2)), pasted.any(1).sum(1) * pasted.any(2).sum(1))
    kept = labels[:, 0, 0]
    assert kept.min() < 0.5 and kept.max() == 1 and 0.6 < kept.mean() < 0.95


def test_switch_and_probability(mixed):
    images, labels = map(np.asarray, mixed(mixup=0.8, cutmix=1.0))
    cut = np.asarray([set(np.unique(batch)) <= {0, 1, 2, 3} for batch in images])
    assert 0.35 < cut.mean() < 0.65
    np.testing.assert_allclose(labels.sum(-1), 1, atol=1e-6)
    images, labels = map(np.asarray, mixed(mixup=0.8, probability=0.3))
    assert 0.2 < (labels[:, 0, 0] < 1).mean() < 0.4
