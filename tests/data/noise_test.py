"""Noise has the spectrum that was asked for."""

import numpy as np
import pytest

from nasjax.data import noise
from nasjax.types import InputError


def slope(images):
    """Slope of log power over log frequency, for the brightness of uint8 [n, s, s, 3]."""
    size = images.shape[1]
    grey = images.mean(axis=3) - images.mean(axis=(1, 2, 3))[:, None, None]
    power = np.square(np.abs(np.fft.fft2(grey))).mean(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    inside = (frequency > 1.5 / size) & (frequency < 0.4)
    return np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0]


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_power_falls_with_alpha(alpha):
    images, _ = noise.make(200, size=32, alpha=alpha, classes=10, seed=0)
    assert slope(images) == pytest.approx(-alpha, abs=0.25)


def test_images_depend_on_seed_and_number_alone():
    few = noise.make(3, size=16, alpha=2.0, classes=5, seed=7)
    many = noise.make(6, size=16, alpha=2.0, classes=5, seed=7)
    np.testing.assert_array_equal(few[0], many[0][:3])
    np.testing.assert_array_equal(few[1], many[1][:3])
    assert (noise.make(3, size=16, alpha=2.0, classes=5, seed=8)[0] != few[0]).any()
    assert len({image.tobytes() for image in many[0]}) == 6


def test_labels_are_uniform_and_channels_related_but_not_equal():
    images, labels = noise.make(2000, size=4, alpha=2.0, classes=10, seed=1)
    assert labels.dtype == np.int64
    counts = np.bincount(labels, minlength=10)
    assert np.square(counts - 200).sum() / 200 < 27.9  # chi-square, 9 degrees of freedom, 1 in 1000
    red, green = images[..., 0].ravel(), images[..., 1].ravel()
    assert 0.6 < np.corrcoef(red, green)[0, 1] < 0.95


@pytest.mark.parametrize("size", [2, 7, 16])
def test_any_size(size):
    images, _ = noise.make(2, size=size, alpha=2.0, classes=2, seed=0)
    assert images.shape == (2, size, size, 3)
    assert images.dtype == np.uint8


def test_options():
    assert noise.parse("") == (2.0, 10)
    assert noise.parse("alpha=2.5") == (2.5, 10)
    assert noise.parse("classes=100:alpha=1") == (1.0, 100)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("alpha=0", "white noise"),
        ("alpha=-1", "alpha=-1"),
        ("alpha=nan", "alpha=nan"),
        ("alpha=9", "up to 8"),
        ("alpha=soft", "'alpha=soft' is no number"),
        ("classes=0", "classes=0"),
        ("classes=2.5", "'classes=2.5' is no number"),
        ("beta=2", "no option 'beta=2'"),
        ("2.5", "no option '2.5'"),
    ],
)
def test_bad_options(text, match):
    with pytest.raises(InputError, match=match):
        noise.parse(text)
