"""Convolutions of many networks at once against lax, one network after another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.nn.convolution import Geometry

CASES = [((3, 3), 1, 1), ((3, 3), 2, 1), ((1, 1), 1, "SAME"), ((2, 2), 2, "VALID"), ((1, 1), 2, "VALID")]
NETWORKS, BATCH, SIDE, INS, OUTS = 3, 2, 6, 2, 3


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def drawn(kernel, dtype=np.float64):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(NETWORKS, BATCH, SIDE, SIDE, INS)), rng.normal(size=(NETWORKS, *kernel, INS, OUTS))
    return jnp.asarray(x, dtype), jnp.asarray(w, dtype)


def loss(stride, padding, together, precision="highest", fast=None):
    def cubed(x, w):
        y = nn.conv(x, w, stride=stride, padding=padding, precision=precision, together=together, fast=fast)
        return (y**3).sum()

    return cubed


def assert_close(found, expected, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), found, expected)


@pytest.mark.parametrize(("kernel", "stride", "padding"), CASES)
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_value_and_gradients(axes, kernel, stride, padding, accelerator, x64):
    given = [a if axis == 0 else a[0] for a, axis in zip(drawn(kernel), axes, strict=True)]
    find = lambda together: jax.vmap(  # noqa: E731
        jax.value_and_grad(loss(stride, padding, together, fast=None if together else False), argnums=(0, 1)), axes
    )(*given)
    assert_close(find(True), find(False), rtol=1e-10, atol=1e-12)


def test_derivatives_without_a_population_are_those_of_the_plain_convolution(accelerator, x64):
    x, w = (a[0] for a in drawn((3, 3)))
    second = lambda together: jax.jvp(jax.grad(loss(1, 1, together), argnums=1), (x, w), (x, w))  # noqa: E731
    assert_close(second(True), second(False), rtol=1e-10)
    forward = lambda together: jax.jvp(loss(1, 1, together, fast=False), (x, w), (x, w))  # noqa: E731
    assert_close(forward(True), forward(False), rtol=1e-10)
    reverse = lambda together: jax.grad(loss(1, 1, together, fast=False))(x, w)  # noqa: E731
    assert_close(reverse(True), reverse(False), rtol=1e-10)


def test_a_population_makes_no_grouped_convolution(accelerator):
    given = drawn((3, 3), np.float32)
    find = lambda together: str(jax.make_jaxpr(jax.vmap(jax.grad(loss(1, 1, together), (0, 1))))(*given))  # noqa: E731
    assert "conv_general_dilated" in find(False) and "conv_general_dilated" not in find(True)
    # One kernel for all makes a plain convolution of all samples.
    shared = str(jax.make_jaxpr(jax.vmap(loss(1, 1, True), (0, None)))(given[0], given[1][0]))
    assert f"f32[{NETWORKS * BATCH},{SIDE},{SIDE},{INS}]" in shared and "conv_general_dilated" in shared


def test_fast_precision_multiplies_in_bfloat16_and_highest_does_not(accelerator):
    given = drawn((3, 3), np.float32)
    find = lambda precision: jax.vmap(jax.grad(loss(1, 1, True, precision), (0, 1)))  # noqa: E731
    assert "bf16" in str(jax.make_jaxpr(find("default"))(*given))
    assert "bf16" not in str(jax.make_jaxpr(find("highest"))(*given))
    fast, exact = find("default")(*given), find("highest")(*given)
    for a, b in zip(fast, exact, strict=True):
        assert a.dtype == b.dtype == jnp.float32
        assert 0 < float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b)) < 1e-2


def test_kernel_gradient_by_samples_is_the_kernel_gradient(x64):
    geometry = Geometry((1, 1), ((1, 1), (1, 1)), (1, 1), "highest")
    x, _ = drawn((3, 3))
    dy = jnp.asarray(np.random.default_rng(1).normal(size=(BATCH, SIDE, SIDE, OUTS)))
    found = geometry.kernel_gradient_by_samples(x[0], dy, (3, 3))
    np.testing.assert_allclose(found, geometry.kernel_gradient(x[0], dy, (3, 3)), rtol=1e-10)
