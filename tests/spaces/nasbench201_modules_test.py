"""Modules inside the blocks: their number, their values, and the thin cell."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces.nasbench201 import NasBench201

SPACE = NasBench201(channels=2, cells=2, num_classes=3, image_size=8)
ARCHS = ((3, 2, 3, 1, 4, 2), (0, 1, 4, 2, 1, 0), (0, 0, 0, 0, 0, 0))


@pytest.fixture(scope="module", autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def shown():
    """Jitted: logits of modules with their derivative along a direction, logits of the network, modules' values.

    Values are those of the first sample, beside their counts.
    """
    variables = SPACE.init(jax.random.key(1), jnp.zeros(6, int))
    rng = np.random.default_rng(0)
    images, direction = (jnp.asarray(rng.normal(size=(3, 8, 8, 3))) for _ in range(2))

    @jax.jit
    def run(arch, t):
        def along(t):
            x = images + t * direction
            return SPACE.modules(variables, arch, x, lambda values, counts: (values[:, 0], counts))

        logits, slope, seen = jax.jvp(along, (t,), (jnp.ones_like(t),), has_aux=True)
        return logits, slope, SPACE.apply(variables, arch, images).logits, seen

    return lambda arch, t=0.0: run(arch, jnp.asarray(t))


@pytest.mark.parametrize("arch", ARCHS)
def test_modules_give_the_logits_of_the_network(shown, arch):
    logits, _, expected, _ = shown(jnp.array(arch))
    np.testing.assert_allclose(logits, expected, rtol=1e-10)


@pytest.mark.parametrize("arch", ARCHS)
def test_every_module_of_the_official_network_counts(shown, arch):
    seen = shown(jnp.array(arch))[3]
    total = sum(int(np.sum(counts)) for _, counts in seen)
    a_cell = 1 + sum({0: 1, 1: 1, 2: 5, 3: 5, 4: 2}[op] for op in arch)
    # Stem 3, reduction blocks 14 each, last norm 3, pooling, classifier, network.
    assert total == 3 + 6 * a_cell + 2 * 14 + 3 + 3


def test_values_of_a_cell(shown):
    """Edges 0>1 none, 0>2 skip, 1>2 pool, 0>3 1x1 convolution, 1>3 skip, 2>3 none."""
    seen = shown(jnp.array(ARCHS[1]))[3]
    stem, cell = seen[0], seen[1]
    x = np.asarray(stem[0][1])  # after the norm
    values, counts = (np.asarray(part[0]) for part in cell)
    np.testing.assert_array_equal(counts, [1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 2, 3, 1, 1, 1])
    np.testing.assert_array_equal(values[0], np.maximum(x, 0))
    np.testing.assert_array_equal(values[10], x)  # the skip from the input
    np.testing.assert_array_equal(values[15], values[12])  # the output is the convolution's edge alone
    assert np.abs(values[6]).max() > 0
    assert not values[[1, 4, 5, 7, 8, 9, 11, 13]].any()


def test_forward_derivatives_are_those_of_finite_differences(shown):
    step, arch = 1e-6, jnp.array(ARCHS[0])
    ahead, behind = (shown(arch, t)[0] for t in (step, -step))
    np.testing.assert_allclose(shown(arch)[1], (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-8)


def test_codes_of_a_thin_cell():
    thin = SPACE.thin()
    images = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3, 3, 1)))
    codes = jax.jit(lambda arch: thin.codes(thin.init(jax.random.key(0), arch), arch, images))
    one, finite = map(np.asarray, codes(jnp.array([0, 0, 0, 1, 0, 0])))  # the output is the input
    assert finite
    flat = np.asarray(images).reshape(5, 9)
    assert one.shape == (5, 36)
    assert not one[:, :27].any()
    np.testing.assert_array_equal(one[:, 27:], flat > flat.mean())
    two = np.asarray(codes(jnp.array([1, 0, 3, 0, 0, 0]))[0])  # a rectifier on node 1, which is the input
    np.testing.assert_array_equal(two[:, 9:18], flat > 0)
    assert not two[:, [*range(9), *range(18, 27)]].any()


@pytest.mark.slow
def test_module_terms_equal_the_official_ones(shared):
    """Smallest eigenvalues of channel correlations at full size, module by module."""
    from nasjax import interop
    from nasjax.proxies.module_features import CorrelationPass
    from nasjax.testing import golden

    terms = json.loads((shared / "golden" / "nasbench201_meco_modules.json").read_text())
    file, params = golden.load(shared / "golden" / "nasbench201.json")
    space = NasBench201()
    noise = np.random.default_rng([2026, 1002]).standard_normal((1, 3, 64, 64), dtype=np.float32)
    noise = jnp.asarray(noise.transpose(0, 2, 3, 1), jnp.float64)
    run = jax.jit(lambda v, arch: CorrelationPass().measure(space, v, arch, None, None, fixed=noise)["meco"])
    for index in (1, 3):
        arch = space.decode([file["archs"][index]["arch"]])[0]
        tensors, _ = golden.weights(params[str(index)]["params"], index)
        variables = interop.from_torch(space, arch, tensors, dtype=np.float64)
        np.testing.assert_allclose(run(variables, arch), sum(t[2] for t in terms[str(index)]), rtol=1e-6)
