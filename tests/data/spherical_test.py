"""The projection to a sphere: known points, the group of rotations, and what stays constant."""

import numpy as np
import pytest

from nasjax.data import spherical
from nasjax.data.spherical import SphericalConfig, grid, project, rotation
from nasjax.types import InputError

STILL = SphericalConfig(bandwidth=8, noise=0.0)


def test_grid_is_that_of_driscoll_and_healy():
    points = grid(3).reshape(6, 6, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(np.arccos(points[:, 0, 2]), np.pi * np.array([1, 3, 5, 7, 9, 11]) / 12)
    np.testing.assert_allclose(np.arctan2(points[2, :, 1], points[2, :, 0])[:3], [0, np.pi / 3, 2 * np.pi / 3])
    np.testing.assert_allclose(points, points[::-1] * [1, 1, -1], atol=1e-12)  # the equator is a mirror


def test_values_are_those_of_the_projected_points():
    """A linear image is read exactly wherever it is: value = u + 10 v at every grid point."""
    size, extent = 16, 1.3
    u = extent * ((2 * np.arange(size) + 1) / size - 1)
    image = (u[None, :] + 10 * u[:, None])[None, :, :, None]
    found = project(image, SphericalConfig(bandwidth=6, noise=0.0, extent=extent, fill="zeros"))[0, ..., 0]
    points = grid(6).reshape(12, 12, 3)
    expected_u, expected_v = points[..., 0] / (1 - points[..., 2]), points[..., 1] / (1 - points[..., 2])
    within = np.maximum(abs(expected_u), abs(expected_v))
    sure = within < u[-1]
    np.testing.assert_allclose(found[sure], (expected_u + 10 * expected_v)[sure], atol=1e-12)
    assert not found[within > extent].any()
    assert sure[6:].all() and not sure[:2].any()  # the southern half is all image, the north pole none


def test_south_pole_is_the_centre_and_the_equator_the_middle_of_a_side():
    image = np.zeros((1, 17, 17, 1))
    image[0, 8, 8] = 1
    found = project(image, STILL)[0, ..., 0]
    assert found.argmax() // 16 == 15 and found[:12].max() == 0
    side = np.zeros((1, 17, 17, 1))
    side[0, 8, 16] = 1
    found = project(side, STILL)[0, ..., 0]
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert row in (7, 8) and column == 0  # azimuth 0 is the side of the largest columns


def test_constants_stay_constant():
    image = np.full((2, 9, 9, 3), 77, np.uint8)
    assert (project(image, SphericalConfig(bandwidth=5, fill="edge")) == 77).all()
    values = project(image, SphericalConfig(bandwidth=5))
    assert set(np.unique(values)) == {0, 77} and values.dtype == np.uint8 and values.shape == (2, 10, 10, 3)


def test_no_noise_is_no_rotation():
    np.testing.assert_array_equal(rotation(3, STILL), np.eye(3))
    images = np.random.default_rng(0).random((2, 8, 8, 1))
    np.testing.assert_array_equal(project(images, STILL), project(images, STILL, indices=np.array([7, 9])))


def test_rotations_are_rotations_and_uniform():
    config = SphericalConfig(seed=4)
    turns = np.stack([rotation(number, config) for number in range(2000)])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    # Of uniform rotations: no direction is preferred, the mean trace is 0, its mean square 1.
    assert abs(turns.mean(0)).max() < 0.05
    traces = turns.trace(axis1=1, axis2=2)
    assert abs((traces**2).mean() - 1) < 0.1
    angles = np.arccos((traces - 1) / 2)
    part = [rotation(number, SphericalConfig(seed=4, noise=0.25)) for number in range(50)]
    np.testing.assert_allclose(np.arccos((np.trace(part, axis1=1, axis2=2) - 1) / 2), angles[:50] / 4, atol=1e-6)


def test_a_half_turn_of_the_sphere_turns_the_image(monkeypatch):
    """About the axis of the poles a rotation of the sphere is one of the image: 90 degrees exactly."""
    image = np.random.default_rng(0).random((1, 8, 8, 2))
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    still = project(image, STILL)
    monkeypatch.setattr(spherical, "rotation", lambda number, config: quarter)
    turned = project(image, STILL)
    np.testing.assert_allclose(turned, np.roll(still, 4, axis=2), atol=1e-9)  # 16 columns are a full turn
    monkeypatch.undo()
    np.testing.assert_allclose(turned, project(np.rot90(image, -1, (1, 2)), STILL), atol=1e-9)


def test_an_image_keeps_its_rotation_wherever_it_is_read():
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    config = SphericalConfig(bandwidth=4, seed=2)
    whole = project(images, config)
    np.testing.assert_array_equal(project(images[3:], config, indices=np.array([3, 4])), whole[3:])
    assert (project(images, SphericalConfig(bandwidth=4, seed=3)) != whole).any()


@pytest.mark.parametrize("options", [{"bandwidth": 0}, {"noise": 2}, {"extent": 0}, {"fill": "mean"}, {"seed": -1}])
def test_bad_options(options):
    with pytest.raises(InputError, match=f"{next(iter(options))}="):
        SphericalConfig(**options)
