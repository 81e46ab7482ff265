"""The spike rule and the depth-percentile means it reads."""

import json

import numpy as np
import pytest

from nasjax.proxies.profile import IntervalProfile, bin_means, choose_interval, profile_interval
from nasjax.types import InputError

NAN = np.nan


def spikes(**at):
    """Low values of median 0 and median absolute deviation 1, with some bins replaced."""
    mean = np.array([-1.0, 0.5, -1.0, 0.0, 0.5, -1.0, 0.5, 0.0, -1.0, 0.5])
    for place, value in at.items():
        mean[int(place[1:])] = value
    return mean


@pytest.mark.parametrize(
    ("mean", "interval"),
    [
        (spikes(b5=20.0, b6=30.0), (5, 6)),
        (spikes(b4=20.0, b5=19.0, b6=30.0), (4, 6)),
        (spikes(b0=30.0), (0, 1)),
        (spikes(b9=30.0), (8, 9)),
        # A lone spike takes the larger neighbour: bin 1 over bin 3, and bin 7 over bin 5.
        (spikes(b2=30.0), (1, 2)),
        (spikes(b6=30.0, b5=-1.0, b7=0.0), (6, 7)),
        # Runs elsewhere do not join.
        (spikes(b1=20.0, b2=20.0, b6=30.0, b7=25.0), (6, 7)),
        (spikes(b8=30.0, b9=30.0), (8, 9)),
    ],
)
def test_the_run_around_the_largest_value_is_chosen(mean, interval):
    z, found = choose_interval(mean)
    assert found == interval
    assert np.argmax(z) == np.argmax(mean)


def test_z_is_the_distance_from_the_median_in_median_absolute_deviations():
    mean = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    z, interval = choose_interval(mean)
    np.testing.assert_allclose(z, (mean - 4.5) / 2.5)
    assert interval == (7, 9)
    assert choose_interval(mean, threshold=1.7)[1] == (8, 9)
    assert choose_interval(mean, threshold=1.9)[1] is None


def test_a_flat_profile_has_no_interval():
    z, interval = choose_interval(np.full(10, 3.0))
    assert interval is None
    np.testing.assert_array_equal(z, np.zeros(10))


def test_empty_bins_end_a_run():
    assert choose_interval(spikes(b3=30.0, b4=NAN, b5=25.0, b2=20.0))[1] == (2, 3)


@pytest.mark.parametrize("top", [0, 4, 9])
def test_a_spike_among_empty_bins_stays_in_range(top):
    mean = spikes()
    mean[max(top - 1, 0) : top + 2] = NAN
    mean[top] = 50.0
    low, high = choose_interval(mean)[1]
    assert 0 <= low <= top <= high <= 9
    assert high - low == 1


def test_bin_means_by_hand():
    sigma = np.array([2.0, 6.0, 8.0, 0.0, 5.0, 9.0])
    weights = np.array([1.0, 2.0, 2.0, 3.0, 5.0, 1.0])
    bins = np.array([0, 4, 4, 4, 7, -1])
    found = bin_means(sigma, weights, bins)
    expected = np.full(10, NAN)
    expected[0], expected[4], expected[7] = np.log(2.0), np.log(3.5), 0.0
    np.testing.assert_allclose(found, expected)


def test_a_bin_of_zeros_is_empty():
    assert np.isnan(bin_means(np.zeros(2), np.ones(2), np.array([3, 3]))).all()


@pytest.mark.parametrize("interval", [None, (2, 5)])
def test_a_profile_survives_json(interval):
    mean = np.array([0.1, NAN, *range(8)])
    profile = IntervalProfile(mean, mean + 1, mean * 2, interval, 12)
    again = IntervalProfile.from_json(json.loads(json.dumps(profile.to_json())))
    for name in ("mean", "deviation", "z"):
        np.testing.assert_array_equal(getattr(again, name), getattr(profile, name))
    assert (again.interval, again.num_archs) == (interval, 12)


def test_a_profile_needs_architectures():
    with pytest.raises(InputError, match="num_archs=0"):
        profile_interval(None, None, key=None, num_archs=0)
