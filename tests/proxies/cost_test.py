"""What the passes of a set of proxies compute, in forward and backward passes of one batch on NAS-Bench-201."""

import jax
import jax.numpy as jnp
import pytest

from nasjax.proxies import parse, passes
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.testing.work import multiply_adds

SPACE = NasBench201()
SUITE = "params,flops,l2_norm,grad_norm,plain,snip,grasp,fisher,synflow,jacob_cov,nwot,epe_nas,zen"
ARCH = jax.ShapeDtypeStruct((6,), jnp.int32)  # a switch counts as its costliest branch: the cell of 3x3 convolutions
IMAGES = jax.ShapeDtypeStruct((2, 64, 32, 32, 3), jnp.float32)
LABELS = jax.ShapeDtypeStruct((2, 64), jnp.int32)


@pytest.fixture(scope="module")
def unit():
    """Multiply-adds of one forward and backward pass of a batch of 64."""

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


def test_the_unit(unit):
    dense = SPACE.flops(
        SPACE.decode(
            "|nor_conv_3x3~0|+"
            + "|nor_conv_3x3~0|nor_conv_3x3~1|+"
            + "|".join(["", *(f"nor_conv_3x3~{i}" for i in range(3)), ""])
        )[0]
    )
    # Forward, gradient of the input, gradient of the weights; none of the images.
    stem = 9 * 3 * 16 * 32 * 32
    assert unit == pytest.approx(64 * (3 * dense - stem), rel=0.1)


def test_the_suite_with_zico_swap_and_lswag_costs_at_most_eight_passes(unit):
    number = cost(f"{SUITE},zico,swap,lswag") / unit
    print(f"the suite, zico, swap and lswag: {number:.2f} forward and backward passes")
    assert 2 < number <= 8  # ZiCo alone takes two


def test_proxies_that_share_a_pass_cost_it_once(unit):
    alone = cost("zico")
    assert alone == pytest.approx(2 * unit, rel=0.02)
    assert cost("grad_norm") == pytest.approx(unit, rel=0.02)
    assert cost("zico,lswag,swap,snip,grad_norm,plain,fisher") == pytest.approx(alone, rel=1e-6)
