"""Warps against scipy.ndimage and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from nasjax.das import rotation, warps
from nasjax.types import InputError

SIZES = (7, 9)
CASES = [("translate_x", 0.13), ("translate_y", -0.21), ("zoom", 0.83), ("zoom", 1.3), ("rotate", 17.0),
         ("rotate", -71.0), ("shear_x", 0.3), ("shear_y", -0.23)]  # fmt: skip
KINKS = [("translate_x", 0.0), ("translate_x", 2 / SIZES[1]), ("translate_y", -1 / SIZES[0]), ("zoom", 1.0),
         ("rotate", 0.0), ("shear_x", 0.0), ("shear_y", 0.0)]  # fmt: skip


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(3, *SIZES, 2)).astype(np.float32)


def sources(name, m):
    """Where each pixel is read, from the definition in words: the inverse of what happens to the content."""
    h, w = SIZES
    y, x = np.mgrid[:h, :w].astype(float)
    cy, cx = (h - 1) / 2, (w - 1) / 2
    if name == "translate_x":
        return y, x - m * w
    if name == "translate_y":
        return y - m * h, x
    if name == "zoom":
        return cy + (y - cy) / m, cx + (x - cx) / m
    if name == "shear_x":
        return y, x - m * (y - cy)
    if name == "shear_y":
        return y - m * (x - cx), x
    turn = np.exp(1j * np.deg2rad(m))  # the complex plane has its y axis upwards
    z = ((x - cx) - 1j * (y - cy)) / turn
    return cy - z.imag, cx + z.real


def expected(images, name, m, order, mode):
    y, x = sources(name, m)
    planes = images.transpose(0, 3, 1, 2).reshape(-1, *SIZES)
    out = [ndimage.map_coordinates(plane, [y, x], order=order, mode=mode, cval=0.0) for plane in planes]
    return np.stack(out).reshape(3, 2, *SIZES).transpose(0, 2, 3, 1)


@pytest.mark.parametrize(("name", "m"), CASES)
def test_values_are_those_of_scipy(images, name, m):
    ways = ({}, {"fill": "edge"}, {"interpolation": "nearest"})
    out, edge, hard = jax.jit(lambda x, m: [warps.warp(x, name, m, **way) for way in ways])(images, m)
    np.testing.assert_allclose(out, expected(images, name, m, 1, "grid-constant"), atol=2e-5)
    np.testing.assert_allclose(edge, expected(images, name, m, 1, "nearest"), atol=2e-5)
    wanted = expected(images, name, m, 0, "grid-constant")
    assert np.mean(np.abs(hard - wanted) > 1e-6) < 0.02  # a coordinate may round to either side
    assert set(np.round(np.unique(np.asarray(hard)), 5)) <= {0, *np.round(np.unique(images), 5)}


def test_named_directions():
    dot = np.zeros((5, 5, 1), np.float32)
    dot[2, 3] = 1  # to the right of the centre
    assert warps.warp(dot, "translate_x", 0.2)[2, 4, 0] == pytest.approx(1)
    assert warps.warp(dot, "translate_y", 0.4)[4, 3, 0] == pytest.approx(1)
    assert warps.warp(dot, "rotate", 90.0)[1, 2, 0] == pytest.approx(1, abs=1e-5)  # counter-clockwise: to the top
    assert warps.warp(dot, "zoom", 2.0)[2, 4, 0] == pytest.approx(1)


def test_identity_is_exact(images):
    still = [warps.IDENTITY.get(name, 0.0) for name in warps.WARPS]
    every = jax.jit(lambda x, still: [warps.warp(x, *both) for both in zip(warps.WARPS, still, strict=True)])
    for same in every(images, still):
        np.testing.assert_array_equal(same, images)


def losses(images, name, points, interpolation="bilinear"):
    """Value and derivative of a loss at some magnitudes, float64."""
    target = np.random.default_rng(1).normal(size=images.shape)

    def loss(m):
        return (warps.warp(jnp.asarray(images, jnp.float64), name, m, interpolation=interpolation) * target).sum()

    return jax.jit(jax.vmap(jax.value_and_grad(loss)))(jnp.asarray(points))


@pytest.mark.parametrize(("name", "m"), CASES)
def test_derivative_of_the_magnitude(x64, images, name, m):
    step = 1e-6
    value, slope = losses(images, name, [m - step, m, m + step])
    np.testing.assert_allclose(slope[1], (value[2] - value[0]) / (2 * step), rtol=1e-5)


@pytest.mark.parametrize(("name", "m"), KINKS)
def test_derivative_at_whole_pixels_is_one_sided(x64, images, name, m):
    """Bilinear interpolation has a kink there; libraries that floor and ceil give zero."""
    step = 1e-7
    value, slope = losses(images, name, [m, m + step])
    assert abs(slope[0]) > 1e-3
    np.testing.assert_allclose(slope[0], (value[1] - value[0]) / step, rtol=1e-4)


def test_nearest_passes_the_bilinear_derivative(x64, images):
    for name, m in (("translate_x", 0.13), ("rotate", 17.0)):
        hard, soft = (losses(images, name, [m], kind)[1] for kind in ("nearest", "bilinear"))
        np.testing.assert_allclose(hard, soft)


def test_magnitudes_are_batched(images):
    video = np.stack([images, images + 1], 1)  # [3, 2, h, w, c]
    run = jax.jit(warps.warp, static_argnames="name")
    frames, each = np.array([10.0, -30.0]), np.array([[0.8], [1.1], [1.3]])
    turned, zoomed = run(video, "rotate", frames), run(video, "zoom", each)
    for t in range(2):
        wanted = expected(video[:, t], "rotate", frames[t], 1, "grid-constant")
        np.testing.assert_allclose(turned[:, t], wanted, atol=1e-4)
    for b in range(3):
        one = np.repeat(video[b, :1], 3, 0)
        wanted = expected(one, "zoom", each[b, 0], 1, "grid-constant")[0]
        np.testing.assert_allclose(zoomed[b, 0], wanted, atol=1e-4)


@pytest.mark.parametrize(("name", "m"), [("rotate", 17.0), ("rotate", -71.0), ("rotate", 45.0), ("shear_y", -0.23)])
def test_fast_reading_and_its_transpose(x64, images, name, m):
    rows = jnp.asarray(images, jnp.float64).transpose(1, 2, 0, 3).reshape(SIZES[0] * SIZES[1], -1)
    def slow(rows, m):
        t = rotation.reader(name, m, *SIZES)
        return sum(t.weight[k][:, None] * rows[t.rows[k]] for k in range(4))

    def fast(rows, m):
        return rotation.read(rows, rotation.reader(name, m, *SIZES))

    ct = np.random.default_rng(2).normal(size=rows.shape)
    found = [jax.jit(jax.value_and_grad(lambda r, m, way=way: (way(r, m) * ct).sum(), (0, 1)))(rows, jnp.float64(m))
             for way in (fast, slow)]  # fmt: skip
    for own, other in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-9)


def test_fast_reading_of_levels(x64):
    values = jnp.array([10.0, -40.0])
    rows = jax.random.normal(jax.random.key(0), (2, SIZES[0] * SIZES[1], 3), jnp.float64)
    ct = jax.random.normal(jax.random.key(1), rows.shape, jnp.float64)

    @jax.jit
    def run(rows):
        out, pull = jax.vjp(lambda r: rotation.read(r, rotation.reader("rotate", values, *SIZES)), rows)
        shared, pull_shared = jax.vjp(lambda r: rotation.read(r, rotation.reader("rotate", values, *SIZES)), rows[0])
        return out, pull(ct)[0], shared, pull_shared(ct)[0]

    out, back, shared, back_shared = run(rows)
    np.testing.assert_allclose(shared[0], out[0], atol=1e-12)
    assert np.abs(shared[1] - out[1]).max() > 0.1  # another image
    np.testing.assert_allclose(back_shared, back.sum(0), atol=1e-12)  # the derivative does not depend on the image


@pytest.mark.parametrize("change", [{"name": "spin"}, {"interpolation": "cubic"}, {"fill": "mirror"}])
def test_unknown_options_are_refused(images, change):
    with pytest.raises(InputError, match="allowed"):
        warps.warp(images, change.pop("name", "rotate"), 1.0, **change)


def test_arrays_that_do_not_fit_are_refused(images):
    for array, m in ((images[0, ..., 0], 1.0), (images, np.ones(2)), (images[0], np.ones((1, 1)))):
        with pytest.raises(InputError, match="allowed"):
            warps.warp(array, "rotate", m)
