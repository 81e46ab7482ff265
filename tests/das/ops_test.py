"""Operations on values, levels, sets; masks and logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from nasjax.das import DASConfig, Genotype, dense_targets, ops, photometric, preset
from nasjax.data import augment_ops
from nasjax.types import InputError


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((2, 6, 7, 3)).astype(np.float32)


def apply(images, name, m=0.0, **options):
    return np.asarray(photometric.apply(jax.random.key(0), jnp.asarray(images), name, m, **options))


def test_values(images):
    np.testing.assert_allclose(apply(images, "invert"), 1 - images)
    np.testing.assert_allclose(apply(images, "solarize", 0.3), np.where(images < 0.3, images, 1 - images), atol=1e-6)
    bits = (np.round(images * 255).astype(int) >> 4 << 4) / 255
    np.testing.assert_allclose(apply(images, "posterize", 4.0), bits, atol=1e-6)
    np.testing.assert_allclose(apply(images, "brightness", 0.5), images / 2, atol=1e-6)
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    np.testing.assert_allclose(apply(images, "autocontrast"), (images - low) / (high - low), atol=1e-6)
    grey = images @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(apply(images, "color", 0.0), np.repeat(grey[..., None], 3, -1), atol=1e-5)
    np.testing.assert_allclose(apply(images, "contrast", 0.0), np.broadcast_to(
        grey.mean((1, 2))[:, None, None, None], images.shape), atol=1e-5)  # fmt: skip
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = ndimage.convolve(images, kernel[None, :, :, None])
    np.testing.assert_allclose(apply(images, "sharpness", 0.0)[:, 1:-1, 1:-1], smooth[:, 1:-1, 1:-1], atol=1e-5)
    each = np.stack([augment_ops.equalize(image) for image in jnp.asarray(images)])
    np.testing.assert_allclose(apply(images, "equalize"), each, atol=1e-6)
    noise = apply(images, "noise")
    assert np.abs(np.corrcoef(noise.ravel(), images.ravel())[0, 1]) < 0.2


def test_pool_and_cutout(images):
    pooled = apply(images, "pool")
    np.testing.assert_allclose(pooled[:, 1:4, 2:5], images[:, :6, :6].reshape(2, 3, 2, 3, 2, 3).max((2, 4)))
    assert pooled[:, 0].max() == 0 and apply(images, "pool", repeats=2)[:, [0, 3, 4, 5]].max() == 0
    cut = apply(images, "cutout", 0.4)
    changed = np.abs(cut - images).max(-1) > 0.02
    assert 0 < changed.sum() < changed.size / 2
    np.testing.assert_array_equal(apply(images, "cutout", 0.0), images)


@pytest.mark.parametrize("name", [*photometric.BLENDS, "posterize", "solarize"])
def test_magnitudes_that_change_nothing(images, name):
    op = ops.OPERATIONS[name]
    same = ops.apply(images, op, op.neutral)
    np.testing.assert_allclose(same, np.round(images * 255) / 255 if name == "posterize" else images, atol=1e-6)


def test_derivatives(images):
    """True ones of blends, by differences; straight-through for staircases."""
    target = np.random.default_rng(1).normal(size=images.shape).astype(np.float32)

    def loss(x, m, name):
        return (photometric.apply(jax.random.key(0), x, name, m) * target).sum()

    pull = jax.jit(jax.grad(loss, argnums=(0, 1)), static_argnums=2)
    for name, m in (("brightness", 0.7), ("color", 0.6), ("contrast", 0.8), ("cutout", 0.45)):
        slope = (loss(images, m + 1e-3, name) - loss(images, m - 1e-3, name)) / 2e-3
        np.testing.assert_allclose(pull(images, m, name)[1], slope, rtol=2e-2, atol=1e-3)
    for name, m in (("posterize", 5.0), ("equalize", 0.0)):
        np.testing.assert_allclose(pull(images, m, name)[0], target, atol=1e-5)
    np.testing.assert_allclose(pull(images, 0.5, "solarize")[0], np.where(images < 0.5, target, -target), atol=1e-5)
    for name, m in (("posterize", 5.0), ("solarize", 0.5)):
        np.testing.assert_allclose(pull(images, m, name)[1], target.sum(), rtol=1e-3)


def test_normalised_images_are_treated_in_their_own_units(images):
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    normalised = ((images - np.array(mean)) / np.array(std)).astype(np.float32)
    out = ops.apply(normalised, "invert", 0.0, mean=mean, std=std)
    np.testing.assert_allclose(np.asarray(out) * std + mean, 1 - images, atol=1e-5)


def test_levels():
    get = ops.OPERATIONS.__getitem__
    assert ops.frame_magnitude(get("translate_x"), 0.1, 3) == pytest.approx(0.3)
    assert ops.frame_magnitude(get("zoom"), 0.7, 4) == pytest.approx(0.7**4)
    assert ops.frame_magnitude(get("rotate"), -20.0, 4) == -80
    assert ops.frame_magnitude(get("solarize"), 0.75, 2) == 0.5
    shift = ops.frame_magnitude(get("translate_y"), 0.1, 1, pixels=(32, 64))
    assert float(shift) == pytest.approx(3 / 32)
    assert ops.part_magnitude(get("zoom"), -1) == pytest.approx(0.7)


def test_level_zero_is_the_image(images):
    for op in ops.OPERATIONS.values():
        assert ops.apply(images, op, op.high, level=0) is images


def test_sets():
    assert [len(ops.get_set(name)) for name in ops.SETS] == [5, 10, 15]
    wide = {op.name: op for op in ops.get_set("autoaugment15")}
    assert wide["translate_x"].high == 0.45 and wide["rotate"].high == 30
    with pytest.raises(InputError, match="geometric5"):
        ops.get_set("geometric")


def one_path(*genes):
    config = DASConfig(num_frames=3, num_nodes=len(genes), num_inputs=1)
    return Genotype(tuple((i, i, *gene) for i, gene in enumerate(genes)), config)


def test_masks_follow_the_images():
    masks = np.random.default_rng(0).integers(0, 4, (2, 9, 9))
    masks[0, 4, 4] = 255
    shifted = np.asarray(dense_targets.warp_masks(one_path(("translate_x", 2 / 9)), masks, num_classes=4))
    np.testing.assert_array_equal(shifted[:, 1], masks)
    np.testing.assert_array_equal(shifted[:, 0, :, 2:], masks[:, :, :-2])
    assert (shifted[:, 0, :, :2] == 255).all()  # from outside of the image
    turned = np.asarray(dense_targets.warp_masks(one_path(("rotate", 90.0)), masks, num_classes=4))
    np.testing.assert_array_equal(turned[:, 2], np.rot90(masks, axes=(1, 2)))
    with pytest.raises(InputError, match="masks"):
        dense_targets.warp_masks(one_path(("rotate", 90.0)), masks[0], num_classes=4)


def test_two_paths_vote():
    config = DASConfig(num_frames=2, num_nodes=1, num_inputs=3)
    genes = ((0, 0, "identity", 0.0), (0, 1, "identity", 0.0), (0, 2, "translate_x", 0.5))
    masks = np.random.default_rng(0).integers(0, 4, (1, 4, 4))
    voted = dense_targets.warp_masks(Genotype(genes, config), masks, num_classes=4)
    np.testing.assert_array_equal(voted[:, 0], masks)


def test_logits_are_warped_back():
    logits = np.random.default_rng(0).normal(size=(2, 1, 9, 9, 4)).astype(np.float32)
    genotype = one_path(("translate_y", 1 / 9), ("rotate", 90.0))
    video = np.concatenate([np.rot90(np.pad(logits, ((0, 0), (0, 0), (1, 0), (0, 0), (0, 0)))[:, :, :9], axes=(2, 3)),
                            logits, logits], 1)  # fmt: skip
    back = np.asarray(dense_targets.unwarp(genotype, video))
    np.testing.assert_allclose(back[:, 0, :-1], logits[:, 0, :-1], atol=1e-5)
    np.testing.assert_allclose(back[:, 1], logits[:, 0], atol=1e-6)
    assert np.abs(back[:, 0, -1]).max() < 1e-5  # had left the image
    with pytest.raises(InputError, match="logits"):
        dense_targets.unwarp(genotype, video[:, :2])
    with pytest.raises(InputError, match="num_cells"):
        dense_targets.unwarp(Genotype(genotype.genes, DASConfig(num_nodes=2, num_inputs=1, num_cells=2)), video)


def test_compounds_are_undone_in_reverse():
    op = ops.OPERATIONS["translate_rotate"]
    image = np.zeros((15, 15, 1), np.float32)
    image[7, 6:9] = 1
    there = ops.apply(image, op, 0.5)
    assert np.abs(ops.invert(there, op, 0.5) - image).max() < 0.75 < np.abs(there - image).max()
    assert preset("video10").operations[8] == op
