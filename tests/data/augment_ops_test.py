"""Operations on images against PIL and scipy, all by one compiled program."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image, ImageEnhance, ImageOps

from nasjax.data import augment_ops
from nasjax.data.augment_ops import NUMBER, OPS

SHAPE = (11, 14, 3)


@pytest.fixture(scope="module")
def pixels():
    """A photograph-like image: uint8, several levels, not the whole range."""
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    return np.clip(120 + 60 * scipy.ndimage.gaussian_filter(noise, (1, 1, 0)) / 0.3, 9, 240).astype(np.uint8)


@pytest.fixture(scope="module")
def apply():
    program = jax.jit(augment_ops.apply, static_argnames=("ops", "interpolation", "fill"))

    def run(image, name, value=0.0, **options):
        return np.asarray(program(jnp.asarray(image), NUMBER[name], jnp.float32(value), **options))

    return run


def unit(array):
    return (np.asarray(array) / 255).astype(np.float32)


ENHANCE = {
    "color": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "brightness": ImageEnhance.Brightness,
    "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("name", ENHANCE)
@pytest.mark.parametrize("factor", [0.1, 1.0, 1.9])
def test_blends_are_those_of_pil(apply, pixels, name, factor):
    expected = ENHANCE[name](Image.fromarray(pixels)).enhance(factor)
    # PIL rounds the degenerate image and the result to 8 bits.
    np.testing.assert_allclose(apply(unit(pixels), name, factor), unit(expected), atol=2.01 / 255)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("auto_contrast", 0, ImageOps.autocontrast),
        ("equalize", 0, ImageOps.equalize),
        ("invert", 0, ImageOps.invert),
        ("solarize", 100 / 255, lambda image: ImageOps.solarize(image, 100)),
        ("solarize", 256 / 255, lambda image: image),
        ("posterize", 3, lambda image: ImageOps.posterize(image, 3)),
        ("posterize", 8, lambda image: image),
        ("identity", 5, lambda image: image),
    ],
)
def test_functions_of_the_value_are_those_of_pil(apply, pixels, name, value, expected):
    tolerance = 1.01 / 255 if name == "auto_contrast" else 1e-6
    np.testing.assert_allclose(
        apply(unit(pixels), name, value), unit(expected(Image.fromarray(pixels))), atol=tolerance
    )


def test_equalize_of_many_pixels():
    """With more than 255 pixels beside the brightest ones the table has steps above one."""
    pixels = np.random.default_rng(1).integers(30, 90, (40, 30, 3), dtype=np.uint8)
    found = jax.jit(augment_ops.equalize)(unit(pixels))
    np.testing.assert_allclose(found, unit(ImageOps.equalize(Image.fromarray(pixels))), atol=1e-6)


def test_solarize_add(apply, pixels):
    values = pixels.astype(int)
    expected = np.where(values < 128, np.minimum(values + 50, 255), values)
    np.testing.assert_allclose(apply(unit(pixels), "solarize_add", 50 / 255), unit(expected), atol=1e-6)


def test_constant_images_stay(apply):
    image = np.full(SHAPE, 0.4, np.float32)
    for name in ("auto_contrast", "equalize", "color", "contrast", "sharpness"):
        np.testing.assert_allclose(apply(image, name, 1.7), image, atol=0.002, err_msg=name)


MATRICES = {
    "shear_x": lambda v, h, w: (1, v, 0, 0, 1, 0),
    "shear_y": lambda v, h, w: (1, 0, 0, v, 1, 0),
    "translate_x": lambda v, h, w: (1, 0, v * w, 0, 1, 0),
    "translate_y": lambda v, h, w: (1, 0, 0, 0, 1, v * h),
}


@pytest.mark.parametrize("name", MATRICES)
def test_nearest_warps_are_those_of_pil(apply, pixels, name):
    for value in (0.23, -0.31):
        matrix = MATRICES[name](value, *SHAPE[:2])
        expected = Image.fromarray(pixels).transform(
            SHAPE[1::-1], Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=(51, 51, 51)
        )
        np.testing.assert_allclose(apply(unit(pixels), name, value, fill=(0.2,)), unit(expected), atol=1e-6)


def test_nearest_rotation_is_that_of_pil(apply, pixels):
    for angle in (17.0, -29.0, 130.0):
        expected = unit(Image.fromarray(pixels).rotate(angle, Image.Resampling.NEAREST))
        found = apply(unit(pixels), "rotate", angle)
        # PIL rounds its matrix to 16 bits: a pixel on an edge may fall to the other side.
        assert (np.abs(found - expected).max(-1) > 1e-6).mean() < 0.03, angle


@pytest.mark.parametrize(("name", "value"), [("rotate", 25.0), ("shear_x", 0.3), ("translate_y", -0.17)])
def test_bilinear_warps_are_those_of_scipy(apply, pixels, name, value):
    height, width, channels = SHAPE
    image, fill = unit(pixels), (0.1, 0.2, 0.3)
    y, x = np.mgrid[:height, :width] + 0.5
    if name == "rotate":
        angle, cx, cy = np.deg2rad(value), width / 2, height / 2
        sx = np.cos(angle) * (x - cx) - np.sin(angle) * (y - cy) + cx
        sy = np.sin(angle) * (x - cx) + np.cos(angle) * (y - cy) + cy
    else:
        a, b, c, d, e, f = MATRICES[name](value, height, width)
        sx, sy = a * x + b * y + c, d * x + e * y + f
    expected = [
        scipy.ndimage.map_coordinates(
            image[..., i].astype(float), [sy - 0.5, sx - 0.5], order=1, mode="grid-constant", cval=fill[i]
        )
        for i in range(channels)
    ]
    found = apply(image, name, value, interpolation="bilinear", fill=fill)
    np.testing.assert_allclose(found, np.stack(expected, -1), atol=1e-5)


def test_no_change_is_exact(apply, pixels):
    image = unit(pixels)
    for name in augment_ops.WARPS:
        np.testing.assert_array_equal(apply(image, name, 0.0, interpolation="bilinear"), image)
        np.testing.assert_array_equal(apply(image, name, 0.0), image)


def test_hue_is_that_of_hsv(pixels):
    image, shift = unit(pixels), 0.3
    expected = np.asarray(
        [
            colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
            for hue, saturation, value in (colorsys.rgb_to_hsv(*map(float, rgb)) for rgb in image.reshape(-1, 3))
        ]
    ).reshape(SHAPE)
    found = jax.jit(augment_ops.shift_hue)(image, shift)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_other_channels_and_small_images():
    image = np.random.default_rng(0).random((2, 2, 4)).astype(np.float32)
    np.testing.assert_allclose(augment_ops.grey(image)[..., 0], image.mean(-1), rtol=1e-6)
    np.testing.assert_array_equal(augment_ops.smooth(image), image)


def test_families_are_complete():
    assert len(OPS) == len(set(OPS)) == 16
    assert set(OPS) == {"identity", *augment_ops.WARPS, *augment_ops.BLENDS, *augment_ops.VALUES}
