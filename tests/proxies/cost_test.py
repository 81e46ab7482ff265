"""What the passes of a set of proxies compute, in forward and backward passes of one batch on NAS-Bench-201."""

import jax
import jax.numpy as jnp
import pytest

from nasjax.proxies import parse, passes
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.testing.work import multiply_adds

SPACE = NasBench201()
SUITE = "params,flops,l2_norm,grad_norm,plain,snip,grasp,fisher,synflow,jacob_cov,nwot,epe_nas,zen"
ARCH = jax.ShapeDtypeStruct((6,), jnp.int32)  # counts as the cell of 3x3 convolutions, or more
IMAGES = jax.ShapeDtypeStruct((2, 64, 32, 32, 3), jnp.float32)
LABELS = jax.ShapeDtypeStruct((2, 64), jnp.int32)


@pytest.fixture(scope="module")
def unit():
    """Multiply-adds of one forward and backward pass of a batch of 64, by the formula.

    Forward, gradient of the input, gradient of the weights; none of the images.
    """
    cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    stem = 9 * 3 * 16 * 32 * 32
    return 64 * (3 * int(SPACE.flops(SPACE.decode(cell)[0])) - stem)


@pytest.fixture(scope="module")
def gradient_pass():
    """Multiply-adds of the program that computes the gradient."""

    def gradient(key, arch, images, labels):
        variables = SPACE.init(key, arch)

        def loss(weights):
            params = SPACE.with_weights(variables.params, weights)
            return SPACE.loss(SPACE.apply(variables._replace(params=params), arch, images[0]), labels[0])

        return jax.grad(loss)(SPACE.weights(variables.params))

    return multiply_adds(gradient, jax.random.key(0), ARCH, IMAGES, LABELS)


def cost(text):
    """Multiply-adds of everything that proxies read from one architecture, with preset "nbsz"."""
    served = passes.merge([p for proxy in parse(text) for p in proxy.passes])
    used = tuple(dict.fromkeys(served.values()))

    def program(key, arch, images, labels):
        return {repr(p): passes.run(SPACE, p, key, arch, images, labels) for p in used}

    return multiply_adds(program, jax.random.key(0), ARCH, IMAGES, LABELS)


def test_a_gradient_convolves_a_second_time(unit, gradient_pass):
    """Four products a layer instead of three; the counter adds the 1x1 convolution that each edge may have instead."""
    assert gradient_pass == pytest.approx(unit * 4 / 3 * 10 / 9, rel=0.1)


def test_the_suite_with_zico_swap_and_lswag_costs_at_most_six_passes(gradient_pass):
    number = cost(f"{SUITE},zico,swap,lswag") / gradient_pass
    print(f"the suite, zico, swap and lswag: {number:.2f} forward and backward passes")
    assert 2 < number <= 6  # ZiCo alone takes two


def test_proxies_that_share_a_pass_cost_it_once(gradient_pass):
    alone = cost("zico")
    assert alone == pytest.approx(2 * gradient_pass, rel=0.02)
    assert cost("grad_norm") == pytest.approx(gradient_pass, rel=0.02)
    assert cost("grasp,grad_norm,fisher") == pytest.approx(cost("grasp"), rel=1e-6)
    assert cost("zico,lswag,swap,snip,grad_norm,plain,fisher") == pytest.approx(alone, rel=1e-6)
