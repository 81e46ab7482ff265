"""Resizing, statistics and normalisation against arithmetic done another way."""

import numpy as np
import pytest

from nasjax.data import images
from nasjax.types import InputError


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


def test_statistics_are_those_of_numpy(pixels):
    mean, std = images.statistics(pixels)
    np.testing.assert_allclose(mean, (pixels / 255).mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(std, (pixels / 255).std((0, 1, 2)), rtol=1e-5)


def test_statistics_add_up_over_chunks(pixels, monkeypatch):
    whole = images.statistics(pixels)
    monkeypatch.setattr(images, "_CHUNK", 2)
    assert images.statistics(pixels) == whole


def test_a_constant_channel_has_deviation_one(pixels):
    pixels = pixels.copy()
    pixels[..., 1] = 77
    mean, std = images.statistics(pixels)
    assert std[1] == 1.0
    assert np.abs(images.normalise(pixels, mean, std, np.dtype("float32"))[..., 1]).max() < 1e-6


def test_normalised_images_have_mean_zero_and_deviation_one(pixels):
    for array in (pixels, pixels.astype(np.float32) * 3 - 100):
        out = images.normalise(array, *images.statistics(array), np.dtype("float64"))
        np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(out.std((0, 1, 2)), 1, rtol=1e-5)


def test_normalise_with_given_constants(pixels):
    out = images.normalise(pixels, images.CIFAR10_MEAN, images.CIFAR10_STD, np.dtype("float32"))
    assert out.dtype == np.float32
    expected = (float(pixels[1, 2, 3, 0]) / 255 - 0.4914) / 0.2470
    assert out[1, 2, 3, 0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("mean", "std", "match"),
    [
        (0.5, (1.0, 1.0, 1.0), "mean=0.5"),
        ((0.5,), (1.0, 1.0, 1.0), "1 numbers for 3 channels"),
        ((0.5,) * 3, (1.0, 0.0, 1.0), "positive"),
        ((0.5, np.nan, 0.5), (1.0,) * 3, "finite"),
    ],
)
def test_bad_constants(pixels, mean, std, match):
    with pytest.raises(InputError, match=match):
        images.normalise(pixels, mean, std, np.dtype("float32"))


def test_resize_keeps_what_it_need_not_change(pixels):
    assert images.resize(pixels, 8) is pixels


def test_resize_averages_on_shrinking():
    ramp = np.broadcast_to(np.linspace(0, 1, 16)[None, :, None, None], (1, 16, 16, 1)).astype(np.float32)
    small = images.resize(ramp, 4)
    assert small.shape == (1, 4, 4, 1)
    assert small.dtype == np.float32
    # Away from the border a symmetric filter leaves a ramp as it is.
    np.testing.assert_allclose(small[0, 1:3, 0, 0], ramp[0, :, 0, 0].reshape(4, 4).mean(1)[1:3], rtol=1e-5)
    checker = (np.indices((16, 16)).sum(0) % 2)[None, :, :, None].astype(np.float32)
    np.testing.assert_allclose(images.resize(checker, 4), 0.5, atol=0.02)  # no aliasing


def test_resize_cuts_the_centre_square():
    wide = np.zeros((1, 4, 8, 1), np.uint8)
    wide[:, :, 2:6] = 255
    assert (images.resize(wide, 4) == 255).all()
    assert (images.resize(wide, 2) == 255).all()
    assert images.resize(wide, 2).dtype == np.uint8


def test_evenly_spaced():
    assert images.evenly_spaced(3).tolist() == [0, 1, 2]
    assert images.evenly_spaced(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert len(set(images.evenly_spaced(100_000).tolist())) == images.STATISTICS_SAMPLE
