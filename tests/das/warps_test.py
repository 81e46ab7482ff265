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
         ("rotate", -71.0), ("shear_x", 0.3), ("shear_y", -0.25)]  # fmt: skip
KINKS = [("translate_x", 0.0), ("translate_x", 2 / SIZES[1]), ("translate_y", -1 / SIZES[0]), ("zoom", 1.0),
         ("rotate", 0.0), ("rotate", 90.0), ("shear_x", 0.0), ("shear_y", 0.0)]  # fmt: skip


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
    out = warps.warp(images, name, m)
    np.testing.assert_allclose(out, expected(images, name, m, 1, "grid-constant"), atol=2e-5)
    edge = warps.warp(images, name, m, fill="edge")
    np.testing.assert_allclose(edge, expected(images, name, m, 1, "nearest"), atol=2e-5)
    hard = warps.warp(images, name, m, interpolation="nearest")
    wanted = expected(images, name, m, 0, "grid-constant")
    assert np.mean(np.abs(hard - wanted) > 1e-6) < 0.02  # a coordinate may round to either side
    assert set(np.round(np.unique(hard), 5)) <= {0, *np.round(np.unique(images), 5)}


def test_named_directions():
    dot = np.zeros((5, 5, 1), np.float32)
    dot[2, 3] = 1  # to the right of the centre
    assert warps.warp(dot, "translate_x", 0.2)[2, 4, 0] == pytest.approx(1)
    assert warps.warp(dot, "translate_y", 0.4)[4, 3, 0] == pytest.approx(1)
    assert warps.warp(dot, "rotate", 90.0)[1, 2, 0] == pytest.approx(1, abs=1e-5)  # counter-clockwise: to the top
    assert warps.warp(dot, "zoom", 2.0)[2, 4, 0] == pytest.approx(1)


@pytest.mark.parametrize("name", warps.WARPS)
def test_identity_is_exact(images, name):
    same = warps.warp(images, name, warps.IDENTITY.get(name, 0.0))
    np.testing.assert_array_equal(same, images)


def loss_of(images, name, interpolation="bilinear"):
    target = np.random.default_rng(1).normal(size=images.shape)

    def loss(m):
        return (warps.warp(jnp.asarray(images, jnp.float64), name, m, interpolation=interpolation) * target).sum()

    return loss


@pytest.mark.parametrize(("name", "m"), CASES)
def test_derivative_of_the_magnitude(x64, images, name, m):
    loss, step = loss_of(images, name), 1e-6
    slope = (loss(m + step) - loss(m - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(loss)(m), slope, rtol=1e-5)


@pytest.mark.parametrize(("name", "m"), KINKS)
def test_derivative_at_whole_pixels_is_one_sided(x64, images, name, m):
    """Bilinear interpolation has a kink there; libraries that floor and ceil give zero."""
    loss, step = loss_of(images, name), 1e-7
    slope = (loss(m + step) - loss(m)) / step
    assert abs(slope) > 1e-3
    np.testing.assert_allclose(jax.grad(loss)(m), slope, rtol=1e-4)


def test_nearest_passes_the_bilinear_derivative(x64, images):
    for name, m in (("translate_x", 0.13), ("rotate", 17.0)):
        np.testing.assert_allclose(jax.grad(loss_of(images, name, "nearest"))(m), jax.grad(loss_of(images, name))(m))


def test_magnitudes_are_batched(images):
    video = np.stack([images, images + 1], 1)  # [3, 2, h, w, c]
    for name, values in (("rotate", np.array([10.0, -30.0])), ("zoom", np.array([0.9, 1.2]))):
        out = warps.warp(video, name, values)
        for t, value in enumerate(values):
            np.testing.assert_allclose(out[:, t], warps.warp(video[:, t], name, value), atol=1e-5)
        each = np.array([[0.8], [1.1], [1.3]])
        out = warps.warp(video, name, each)
        for b in range(3):
            np.testing.assert_allclose(out[b], warps.warp(video[b], name, each[b, 0]), atol=1e-5)


@pytest.mark.parametrize(("name", "m"), [case for case in CASES if case[0] in warps.GATHERED] + [("rotate", 45.0)])
def test_fast_reading_and_its_transpose(x64, images, name, m):
    rows = jnp.asarray(images, jnp.float64).transpose(1, 2, 0, 3).reshape(SIZES[0] * SIZES[1], -1)
    table = rotation.reader(name, jnp.asarray(m, jnp.float64), *SIZES)
    plain = rotation.Reader(*table)

    def slow(rows, m):
        t = rotation.reader(name, m, *SIZES)
        return sum(t.weight[k][:, None] * rows[t.index[k]] for k in range(4))

    np.testing.assert_allclose(rotation.read(rows, plain), slow(rows, jnp.float64(m)), atol=1e-12)
    ct = np.random.default_rng(2).normal(size=rows.shape)
    _, pull = jax.vjp(lambda r, m: rotation.read(r, rotation.reader(name, m, *SIZES)), rows, jnp.float64(m))
    _, wanted = jax.vjp(slow, rows, jnp.float64(m))
    for own, other in zip(pull(ct), wanted(ct), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-9)


def test_fast_reading_of_levels(x64):
    values = jnp.array([10.0, -40.0])
    table = rotation.reader("rotate", values, *SIZES)
    rows = jax.random.normal(jax.random.key(0), (2, SIZES[0] * SIZES[1], 3), jnp.float64)
    out = rotation.read(rows, table)
    for i in range(2):
        one = rotation.reader("rotate", values[i], *SIZES)
        np.testing.assert_allclose(out[i], rotation.read(rows[i], one), atol=1e-12)
    ct = jax.random.normal(jax.random.key(1), out.shape, jnp.float64)
    shared = jax.grad(lambda r: (rotation.read(r, table) * ct).sum())(rows[0])
    apart = [jax.grad(lambda r, i=i: (rotation.read(r, jax.tree.map(lambda t: t[i], table)) * ct[i]).sum())(rows[0])
             for i in range(2)]  # fmt: skip
    np.testing.assert_allclose(shared, sum(apart), atol=1e-12)


@pytest.mark.parametrize("change", [{"name": "spin"}, {"interpolation": "cubic"}, {"fill": "mirror"}])
def test_unknown_options_are_refused(images, change):
    with pytest.raises(InputError, match="allowed"):
        warps.warp(images, change.pop("name", "rotate"), 1.0, **change)


def test_arrays_that_do_not_fit_are_refused(images):
    for array, m in ((images[0, ..., 0], 1.0), (images, np.ones(2)), (images[0], np.ones((1, 1)))):
        with pytest.raises(InputError, match="allowed"):
            warps.warp(array, "rotate", m)
