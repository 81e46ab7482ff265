"""Passes on weights, input gradients, curvature and the tangent kernel, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies.derivative_passes import CurvaturePass, JacobianPass, LabelPass, TangentKernelPass, WeightPass
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError, Variables

SPACE = NasBench201(channels=2, cells=1, num_classes=4, image_size=8)


def linear_case(seed, batches=2, batch=5, width=4):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(3, width)), rng.normal(size=(width, 1))
    return a, b, rng.normal(size=(batches, batch, 3)), rng.integers(-2, 3, (batches, batch))


def gradient(v, x, t):
    """Gradient of mean (x a b - t)^2 / 2 with respect to (a, b), flattened; v the same way."""
    a, b = v[:12].reshape(3, 4), v[12:, None]
    error = (x @ a @ b)[:, 0] - t
    da, db = x.T @ (error[:, None] * b.T) / len(x), (x @ a).T @ error / len(x)
    return np.concatenate([da.ravel(), db])


def test_norms_and_counts_of_weights(run_linear, x64):
    a, b, x, t = linear_case(0)
    stats = run_linear(WeightPass(), a, b, x, t)
    np.testing.assert_allclose(stats["norm"], [np.linalg.norm(a), np.linalg.norm(b)])
    np.testing.assert_array_equal(stats["count"], [12, 4])


@pytest.mark.parametrize("index", [0, 1462, 7777, 15624])
def test_weights_that_an_architecture_lacks_do_not_count(index):
    arch = SPACE.decode(index)[0]
    counts = SPACE.weight_mask(arch)
    weights = jax.eval_shape(lambda: SPACE.init(jax.random.key(0), arch)).params["weights"]
    counts = jax.tree.map(lambda s, m: np.broadcast_to(m, s.shape).astype(int), weights, counts)
    sums = np.asarray(SPACE.layer_sums(counts))
    table = SPACE.layers(arch)
    np.testing.assert_array_equal(sums > 0, table.active)
    norms = 2 * (2 + sum(int((arch == op).sum()) * c for op in (2, 3) for c in (2, 4, 8)) + 2 * (4 + 8) + 8)
    assert sums.sum() + norms + SPACE.num_classes == SPACE.num_params(arch)


@pytest.mark.parametrize("forward", [False, True])
def test_curvature_is_the_form_of_weights_hessian_and_gradient(forward, linear_space, x64):
    a, b, x, t = linear_case(1)
    v = np.concatenate([a.ravel(), b.ravel()])
    g, step = gradient(v, x[0], t[0]), 1e-5
    along = (gradient(v + step * g, x[0], t[0]) - gradient(v - step * g, x[0], t[0])) / (2 * step)
    space = type("Space", (type(linear_space),), {"forward_over_reverse": forward})()
    variables = Variables({"a": jnp.asarray(a), "b": jnp.asarray(b)}, {})
    images = jnp.asarray(x.reshape(2, 5, 1, 1, 3))
    found = jax.jit(lambda v: CurvaturePass().measure(space, v, None, images, jnp.asarray(t)))(variables)
    np.testing.assert_allclose(found["curvature"].sum(), v @ along, rtol=1e-7)


def along_weights(space, variables, arch, images, labels):
    """The gradient times its derivative along the weights, by layers, from central differences."""
    weights, step = space.weights(variables.params), 1e-5

    def loss(weights):
        changed = variables._replace(params=space.with_weights(variables.params, weights))
        return space.loss(space.apply(changed, arch, images[0]), labels[0])

    def gradient(scale):
        return jax.grad(loss)(jax.tree.map(lambda w: w * scale, weights))

    def product(g, minus, plus):
        return g * (plus - minus) / (2 * step)

    # One program serves the three points.
    points = jax.lax.map(gradient, jnp.array([1.0, 1 - step, 1 + step]))
    return space.layer_sums(jax.tree.map(lambda g: product(*g), points))


@pytest.mark.slow
def test_curvature_of_a_cell_network_is_the_slope_of_its_gradient(x64):
    space, arch, rng = SPACE, jnp.array([3, 2, 1, 0, 3, 4], jnp.int32), np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(1, 4, 8, 8, 3)))
    labels = jnp.asarray(rng.integers(0, 4, (1, 4)), jnp.int32)

    @jax.jit
    def both(variables, arch, images, labels):
        found = CurvaturePass().measure(space, variables, arch, images, labels)["curvature"]
        return found, along_weights(space, variables, arch, images, labels)

    variables = jax.jit(lambda key, arch: space.init(key, arch, dtype=jnp.float64))(jax.random.key(0), arch)
    found, slope = both(variables, arch, images, labels)
    np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-7 * float(jnp.abs(slope).max()))


def test_input_gradients_of_a_linear_network_agree(run_linear, x64):
    found = run_linear(JacobianPass(), *linear_case(2))["correlation"]
    np.testing.assert_allclose(found, np.ones((5, 5)), rtol=1e-12)


def test_tangent_kernel_of_a_linear_network(run_linear, x64):
    a, b, x, t = linear_case(3)
    found = run_linear(TangentKernelPass(samples=7), a, b, x, t)["kernel"]
    flat = x.reshape(-1, 3)[:7]
    hidden = flat @ a
    np.testing.assert_allclose(found, flat @ flat.T * (b**2).sum() + hidden @ hidden.T, rtol=1e-10)


def test_more_images_than_there_are(run_linear, x64):
    with pytest.raises(InputError, match="16 images needed, 10 given"):
        run_linear(TangentKernelPass(), *linear_case(4))


@pytest.mark.parametrize("labels", [np.zeros((2, 5)), np.zeros((2, 5, 3), int)])
def test_targets_that_are_no_classes(labels):
    with pytest.raises(InputError, match="not class numbers"):
        LabelPass().measure(SPACE, Variables({}, {}), None, jnp.zeros((2, 5, 8, 8, 3)), jnp.asarray(labels))


def test_a_space_without_the_method_is_refused():
    class Bare:
        name = "bare"

    for p, method in ((WeightPass(), "weight_mask"), (TangentKernelPass(), "named_weights")):
        with pytest.raises(InputError, match=method):
            p.check_space(Bare())


@pytest.mark.parametrize(("p", "images"), [(WeightPass(), 0), (JacobianPass(), 8), (TangentKernelPass(), 16)])
def test_images_needed(p, images):
    assert p.images_needed(8) == images
