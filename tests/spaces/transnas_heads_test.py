"""Tests of nasjax.spaces.transnas_heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import initial, runner
from nasjax.spaces import transnas_heads as heads
from nasjax.spaces import transnas_tasks as tasks

SEGMENTATION, GENERATIVE = tasks.get("segmentsemantic"), tasks.get("normal")
pytestmark = pytest.mark.usefixtures("double")


def test_official_widths():
    chain = heads.plan(SEGMENTATION, 512, 64, 17)
    assert [layer.outs for layer in chain] == [1024, 512, 256, 128, 64, 32, 32, 17]
    assert [layer.doubles_from <= 5 for layer in chain] == [False, False, True, True, True, True, True, False]
    chain = heads.plan(GENERATIVE, 512, 64, 3)
    assert [layer.outs for layer in chain] == [1024, 1024, 512, 512, 256, 128, 64, 64, 32, 32, 16, 32, 16, 3]
    assert [i for i, layer in enumerate(chain, 1) if layer.doubles_from <= 4] == [7, 9, 11, 13]
    assert chain[0].name == "decoder.conv1.conv" and chain[-1].name == "decoder.conv14.conv"


@pytest.mark.parametrize("task", [SEGMENTATION, GENERATIVE])
@pytest.mark.parametrize("halvings", [2, 3, 4, 5, 6])
def test_every_decoder_returns_to_the_image(task, halvings):
    layers = heads.plan(task, 8, 2, 3)
    assert sum(halvings >= layer.doubles_from for layer in layers) == halvings


def test_linear_heads():
    (layer,) = heads.plan(tasks.get("jigsaw"), 16, 2, 1000)
    assert layer.shape == (144, 1000) and heads.macs((layer,), 7, 5) == 144000
    assert heads.num_params((layer,)) == 145000
    assert heads.norm_shapes((layer,)) == {}


def draw(layers, halvings, law="torch"):
    laws = heads.weight_laws(layers, law, halvings)
    weights, biases = initial.draw(jax.random.key(0), laws, jnp.float64)
    norms, stats = initial.norms({heads.NAME: heads.norm_shapes(layers)}, jnp.float64)
    return {"weights": {heads.NAME: weights}, "bias": {heads.NAME: biases}, **norms}, stats


def test_fans_of_transposed_convolutions():
    layers = heads.plan(SEGMENTATION, 8, 4, 3)
    weights, biases = heads.weight_laws(layers, "torch", 5)
    plain, doubling = layers[1].name, layers[2].name
    assert float(weights[plain].scale) == pytest.approx((9 * 64) ** -0.5)
    assert float(weights[doubling].scale) == float(biases[doubling].scale) == pytest.approx((9 * 16) ** -0.5)


@pytest.mark.parametrize("task", [SEGMENTATION, GENERATIVE])
def test_decoder_equals_a_plain_loop(task, plain):
    halvings = 3
    layers = heads.plan(task, 8, 2, 3)
    params, stats = draw(layers, halvings)
    x = np.random.default_rng(0).standard_normal((2, 2, 2, 8))
    options = runner.Forward("batch", "highest", rescale=False)

    def decode(params, x):
        own = runner.Runner(options, params, stats, {}, None, None, x.dtype)
        return heads.decode(own, task, layers, x, halvings)

    found = jax.jit(decode)(params, x)
    count = multiply_adds = 0
    for layer in layers:
        w, bias = (np.asarray(params[kind][heads.NAME][layer.name]) for kind in ("weights", "bias"))
        count += w.size + bias.size + 2 * bias.size * (not layer.last)
        multiply_adds += w.size * x.shape[1] * x.shape[2]
        x = (plain.transposed_conv(x, w) if halvings >= layer.doubles_from else plain.conv(x, w)) + bias
        if not layer.last:
            x = plain.norm(x, 1, 0, None, "batch")
            x = np.where(x > 0, x, 0.2 * x)
    np.testing.assert_allclose(found, np.tanh(x) if task is GENERATIVE else x, atol=1e-10)
    assert found.shape == (2, 16, 16, 3)
    assert heads.num_params(layers) == count and heads.macs(layers, 2, halvings) == multiply_adds


def test_rescaling_is_linear():
    # Without norms and tanh the decoder is piecewise linear; biases must shrink with the activations.
    layers = heads.plan(GENERATIVE, 8, 2, 3)
    params, stats = draw(layers, 2)
    x = np.random.default_rng(1).standard_normal((1, 1, 1, 8))

    def run(x, rescale):
        options = runner.Forward("none", "highest", rescale=rescale)
        own = runner.Runner(options, params, stats, {}, None, None, x.dtype)
        y = heads.decode(own, SEGMENTATION, layers, x, 2)
        return y, own.log_scale

    both = jax.jit(lambda x: (run(x, False), run(x, True)))
    (whole, zero), (scaled, log_scale) = both(x)
    assert zero == 0 and log_scale != 0
    np.testing.assert_allclose(scaled * np.exp(log_scale), whole, rtol=1e-9)
