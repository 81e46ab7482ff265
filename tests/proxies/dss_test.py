"""Tests of nasjax.proxies.dss on a tiny vision transformer in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies import dss
from nasjax.proxies.base import Facts
from nasjax.spaces.autoformer import AutoFormer
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError, Variables

SPACE = AutoFormer(
    (8,), (1, 2), (1, 2), (1.5, 2.0), num_classes=5, image_size=4, patch_size=2, head_dim=4, max_distance=1
)
ARCH = SPACE.decode((1, 1.5, 1, 8))[0]
PASS = dss.DiversityPass()


@pytest.fixture(scope="module", autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def measured(_float64):
    """Variables, and the statistics of the pass on them."""

    @jax.jit
    def run(key, images, labels):
        variables = SPACE.init(key, ARCH, law="kaiming_fan_in")
        return variables, PASS.measure(SPACE, variables, ARCH, images, labels)

    rng = np.random.default_rng(0)
    return run(jax.random.key(0), rng.standard_normal((1, 2, 4, 4, 3)), np.array([[0, 1]]))


def test_the_formula_by_numpy(measured):
    variables, found = measured
    positive = jax.tree.map(jnp.abs, variables.params)
    ones = np.ones((1, 4, 4, 3))
    total = jax.jit(lambda params: SPACE.apply(Variables(params, {}), ARCH, ones).logits.sum())
    slope = jax.grad(total)(positive)["weights"]
    weights, slope = (jax.tree.map(np.asarray, tree) for tree in (positive["weights"], slope))

    def nuclear(matrix):
        return np.linalg.norm(matrix, "nuc")

    # One head of two, 12 hidden units of 16, one block of two.
    columns = np.r_[0:4, 8:12, 16:20]
    cut = {name: (slice(None), columns) for name in ["qkv"]} | {"proj": (slice(0, 4),)}
    attention = sum(nuclear(weights[n][0][at]) * nuclear(slope[n][0][at]) for n, at in cut.items())
    np.testing.assert_allclose(found["attention"], attention, rtol=1e-10)
    mlp = sum(abs(weights[n][0] * slope[n][0]).sum() for n in ("fc1", "fc2"))
    np.testing.assert_allclose(found["mlp"], mlp, rtol=1e-12)
    np.testing.assert_allclose(found["head"], abs(weights["head"] * slope["head"]).sum(), rtol=1e-12)
    assert min(found.values()) > 0


@pytest.mark.parametrize(("options", "times"), [({}, 2), ({"head": 1}, 1)])
def test_the_head_counts_as_often_as_asked(options, times):
    proxy = dss.dss(**options)
    stats = {"attention": 100.0, "mlp": 10.0, "head": 1.0}
    value = proxy.finish(Facts(None, 0, 0, {proxy.passes[0]: stats}))
    assert value.score == value.raw == 110.0 + times


def test_other_spaces_are_refused():
    with pytest.raises(InputError, match=r"weights_by_role\(\), which the space 'nasbench201' does not offer"):
        PASS.check_space(NasBench201())


@pytest.mark.parametrize("options", [{"head": 0}, {"head": "two"}, {"preset": "own"}])
def test_bad_options_are_refused(options):
    with pytest.raises(InputError, match="dss: "):
        dss.dss(**options)
