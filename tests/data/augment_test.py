"""Augmentation of batches: keys, places, shapes, normalisation and what configurations refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.data.augment import AugmentConfig, as_unit, augment, prepare
from nasjax.types import InputError

EVERYTHING = AugmentConfig(
    resized_crop=(0.3, 1.0),
    crop_padding=2,
    flip=True,
    color_jitter=(0.4, 0.4, 0.4, 0.1),
    randaugment=(2, 9, 0.5),
    mean=(0.4, 0.5, 0.6),
    std=(0.2, 0.3, 0.4),
    cutout=3,
    random_erasing=0.5,
    mixup=0.8,
    cutmix=1.0,
)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
LABELS = np.eye(6, dtype=np.float32)


@pytest.fixture(scope="module")
def run(quick):
    """`augment` under a configuration, as one program."""
    programs = {}

    def call(key, images, labels, config, indices=None):
        indices = np.arange(len(images), dtype=np.int32) if indices is None else indices
        arrays, which = (key, images, labels, indices), (config, len(images))
        if which not in programs:
            programs[which] = quick.compile(lambda *a: augment(*a[:3], config, indices=a[3]), *arrays)
        return programs[which](*arrays)

    return call


def test_nothing_is_the_default():
    images, labels = augment(jax.random.key(0), jnp.asarray(IMAGES), LABELS, AugmentConfig())
    np.testing.assert_allclose(images, IMAGES / 255, rtol=1e-6)
    np.testing.assert_array_equal(labels, LABELS)
    normalised = np.random.default_rng(0).standard_normal((2, 4, 4, 1)).astype(np.float32)
    same, _ = augment(jax.random.key(0), normalised, LABELS[:2], AugmentConfig())
    np.testing.assert_array_equal(same, normalised)


def test_everything_at_once(run):
    images, labels = run(jax.random.key(0), IMAGES, LABELS, config=EVERYTHING)
    assert images.shape == IMAGES.shape and images.dtype == jnp.float32
    assert np.isfinite(images).all()
    np.testing.assert_allclose(labels.sum(-1), 1, atol=1e-6)
    again, _ = run(jax.random.key(0), IMAGES, LABELS, config=EVERYTHING)
    np.testing.assert_array_equal(again, images)
    other, _ = run(jax.random.key(1), IMAGES, LABELS, config=EVERYTHING)
    assert np.abs(other - images).max(axis=(1, 2, 3)).min() > 0.01


def test_place_in_the_batch_does_not_matter(run):
    indices = np.asarray([40, 41, 7, 8, 90, 91], np.int32)
    key = jax.random.key(3)
    images, labels = run(key, IMAGES, LABELS, config=EVERYTHING, indices=indices)
    order = np.asarray([4, 5, 0, 1, 2, 3])  # pairs that mix stay together
    moved, soft = run(key, IMAGES[order], LABELS[order], config=EVERYTHING, indices=indices[order])
    np.testing.assert_allclose(moved, images[order], atol=1e-6)
    np.testing.assert_allclose(soft, labels[order], atol=1e-6)


def test_a_slice_of_the_batch_is_augmented_as_within_it(run):
    config = AugmentConfig(flip=True, crop_padding=2, mixup=1.0)
    indices = np.arange(6, dtype=np.int32)
    key = jax.random.key(3)
    whole, soft = run(key, IMAGES, LABELS, config, indices)
    part, part_soft = run(key, IMAGES[2:], LABELS[2:], config, indices[2:])
    np.testing.assert_allclose(part, whole[2:], atol=1e-6)
    np.testing.assert_allclose(part_soft, soft[2:], atol=1e-6)


def test_crop_and_flip_only_move_pixels(quick):
    numbers = jnp.arange(1.0, 26.0).reshape(1, 5, 5, 1)
    config = AugmentConfig(crop_padding=2, flip=True)
    keys = jax.random.split(jax.random.key(0), 100)
    crops = quick(jax.vmap(lambda key: augment(key, numbers, jnp.ones((1, 1)), config)[0]), keys)
    crops = np.asarray(crops)[:, 0, :, :, 0]
    framed = np.pad(np.asarray(numbers)[0, :, :, 0], 2)
    possible = {
        side[row : row + 5, column : column + 5].tobytes(): (flipped, row, column)
        for flipped, side in enumerate((framed, framed[:, ::-1]))
        for row in range(5)
        for column in range(5)
    }
    seen = [possible[crop.tobytes()] for crop in crops]
    assert 30 < sum(flipped for flipped, _, _ in seen) < 70
    assert {row for _, row, _ in seen} == {column for _, _, column in seen} == set(range(5))


def test_normalisation_and_evaluation():
    config = AugmentConfig(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    expected = (IMAGES / 255 - config.mean) / config.std
    images, _ = augment(jax.random.key(0), IMAGES, LABELS, config)
    np.testing.assert_allclose(images, expected, atol=1e-5)
    np.testing.assert_allclose(
        prepare(IMAGES, EVERYTHING), (IMAGES / 255 - EVERYTHING.mean) / EVERYTHING.std, atol=1e-5
    )
    np.testing.assert_allclose(prepare(IMAGES, AugmentConfig()), IMAGES / 255, rtol=1e-6)


def test_cutout_is_the_mean_and_colours_come_before(run):
    config = AugmentConfig(trivialaugment=True, mean=(0.5,), std=(0.25,), cutout=4, fill=(0.5,))
    images, _ = run(jax.random.key(0), IMAGES, LABELS, config=config)
    assert ((np.asarray(images) == 0).all(-1).sum((1, 2)) >= 4).all()
    assert np.abs(images).max() <= 2 + 1e-5  # 0..1, normalised


def test_a_stage_has_random_numbers_of_its_own(run):
    erase = {"random_erasing": 1.0, "erasing_fill": "zeros"}
    both, _ = run(jax.random.key(5), IMAGES, LABELS, AugmentConfig(crop_padding=1, cutout=2, **erase))
    alone, _ = run(jax.random.key(5), IMAGES, LABELS, AugmentConfig(crop_padding=1, **erase))
    holes, erased = np.asarray(both == 0).all(-1), np.asarray(alone == 0).all(-1)
    assert (holes >= erased).all() and (holes > erased).any()
    np.testing.assert_array_equal(np.asarray(both)[~holes], np.asarray(alone)[~holes])


def test_output_size_and_double_precision(x64, quick):
    config = AugmentConfig(resized_crop=(0.5, 1.0), size=4)

    def run(images):
        return quick(lambda key, x: augment(key, x, LABELS[:1], config)[0], jax.random.key(0), images)

    images = run(IMAGES[:1] / 255)
    assert images.shape == (1, 4, 4, 3) and images.dtype == jnp.float64
    # What is drawn does not depend on the precision.
    np.testing.assert_allclose(images, run((IMAGES[:1] / 255).astype(np.float32)), atol=1e-5)
    assert as_unit(IMAGES, dtype=jnp.float64).dtype == jnp.float64


def test_labels_that_cannot_be_mixed():
    with pytest.raises(InputError, match=r"int32\[6\].*one_hot"):
        augment(jax.random.key(0), IMAGES, jnp.arange(6), AugmentConfig(mixup=0.2))
    _, labels = augment(jax.random.key(0), IMAGES, jnp.arange(6), AugmentConfig(flip=True))
    assert labels.tolist() == list(range(6))
    with pytest.raises(InputError, match="for 3 channels"):
        augment(jax.random.key(0), IMAGES, LABELS, AugmentConfig(mean=(0.5, 0.5), std=(1, 1)))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"crop_padding": -1}, "crop_padding=-1"),
        ({"cutout": 2.5}, "cutout=2.5"),
        ({"mixup": float("nan")}, "mixup=nan"),
        ({"cutmix": -1}, "cutmix=-1"),
        ({"random_erasing": 1.5}, "probability"),
        ({"randaugment": (0, 5)}, "randaugment"),
        ({"randaugment": (2, 11)}, "magnitude 0..10"),
        ({"randaugment": (2,)}, "randaugment"),
        ({"randaugment": 2}, "numbers in a tuple"),
        ({"mean": ("a",), "std": (1,)}, "numbers in a tuple"),
        ({"flip": "no"}, "flip='no'; allowed: True or False"),
        ({"randaugment": (2, 5), "trivialaugment": True}, "one policy"),
        ({"randaugment_ops": ("rotat",)}, "translate_x"),
        ({"interpolation": "cubic"}, "nearest or bilinear"),
        ({"resized_crop": (0.5, 0.1)}, "resized_crop"),
        ({"size": 8}, "only with resized_crop"),
        ({"color_jitter": (0.4,)}, "three strengths"),
        ({"mean": (0.5,), "std": ()}, "as many as mean"),
        ({"mean": (0.5,), "std": (0.0,)}, "positive"),
    ],
)
def test_bad_configurations(options, match):
    with pytest.raises(InputError, match=match):
        AugmentConfig(**options)


def test_configurations_are_values():
    assert AugmentConfig(randaugment=[2, 9]) == AugmentConfig(randaugment=(2, 9))
    assert len({AugmentConfig(flip=True), AugmentConfig(flip=True), AugmentConfig()}) == 2
