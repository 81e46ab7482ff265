"""Tests of nasjax.spaces.darts_supernet, on a tiny configuration in float64."""


import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import darts_cells as cells
from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_ops
from nasjax.spaces import darts_supernet as supernet
from nasjax.spaces.darts import Darts
from nasjax.types import InputError

SPACE = Darts(variant="naslib", channels=2, cells=1, num_classes=3, image_size=8)  # one reduction cell
CELL = [
    ("sep_conv_3x3", 1), ("max_pool_3x3", 0), ("dil_conv_5x5", 2), ("skip_connect", 0),
    ("sep_conv_5x5", 3), ("avg_pool_3x3", 1), ("dil_conv_3x3", 4), ("dil_conv_3x3", 4),
]  # fmt: skip
OTHER = [
    ("skip_connect", 1), ("none", 0), ("dil_conv_3x3", 0), ("max_pool_3x3", 2),
    ("sep_conv_3x3", 2), ("skip_connect", 3), ("avg_pool_3x3", 4), ("sep_conv_5x5", 1),
]  # fmt: skip
ARCHS = SPACE.decode([{"normal": CELL, "reduce": OTHER}, {"normal": OTHER, "reduce": CELL}])
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def variables(double):
    own = jax.jit(SPACE.init_supernet)(jax.random.key(0))
    rng = np.random.default_rng(0)
    shake = lambda tree: jax.tree.map(lambda a: a + rng.uniform(0.1, 0.5, a.shape), tree)  # noqa: E731
    params = own.params | {name: shake(own.params[name]) for name in ("scale", "shift", "bias")}
    return own._replace(params=params, stats=shake(own.stats))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((3, 8, 8, 3)), np.array([0, 1, 2])


def test_masks_by_hand():
    assert supernet.EDGES[:6] == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (0, 4)) and len(supernet.EDGES) == 14
    mask = SPACE.supernet_mask(ARCHS[0])
    assert mask.shape == (2, 14, 8) and mask.sum() == 16
    assert mask[0, 1, codec.SEP3] == mask[0, 0, codec.MAX] == mask[0, 4, codec.DIL5] == 1
    assert mask[0, 13, codec.DIL3] == 2  # the same operation from the same node, twice


@pytest.mark.slow
def test_masked_to_one_architecture_it_is_that_network(variables, data):
    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(variables, mask, images):
        return SPACE.apply_supernet(variables, mask, images)

    single = jax.jit(SPACE.apply)
    for arch in ARCHS:
        output = run(variables, SPACE.supernet_mask(arch), data[0])
        expected = single(SPACE.inherit(variables, arch), arch, data[0])
        np.testing.assert_allclose(output.logits, expected.logits, rtol=1e-10, atol=1e-12)
        found = SPACE.inherit(variables._replace(stats=output.stats), arch).stats
        assert jax.tree.structure(found) == jax.tree.structure(expected.stats)
        for field, tree in expected.stats.items():
            for name in ("pre0", "pre1"):
                np.testing.assert_allclose(found[field]["reduction0"][name], tree["reduction0"][name], rtol=1e-10)
            own = tree["reduction0"]["edges"][4, 0]  # the fifth edge, of an operation with a norm
            np.testing.assert_allclose(found[field]["reduction0"]["edges"][4, 0], own, rtol=1e-10)


NORMAL = cells.CellConfig(darts_ops.EdgeConfig("batch", "highest", True), False, False)


@pytest.fixture(scope="module")
def arrays(double):
    """Inputs of a normal cell, its weights and statistics."""
    rng = np.random.default_rng(3)
    weights = {
        "depthwise": rng.standard_normal((14, 4, 2, 5, 5, 1, 2)),
        "pointwise": rng.standard_normal((14, 4, 2, 1, 1, 2, 2)),
    }
    stats = rng.uniform(0.5, 1, (14, 8, 2, 2))
    return rng.standard_normal((2, 3, 4, 4, 2)), weights, stats


def mixed(mask, inputs, weights, stats):
    own = {"weights": weights, "mean": {"edges": stats}, "var": {"edges": stats}}
    return supernet.mixed_cell(mask)(NORMAL, inputs, own).nodes


@pytest.mark.slow
def test_a_normal_cell_masked_to_one_is_that_cell(arrays):
    inputs, weights, stats = arrays
    ops, sources = (part[0] for part in codec.parts(ARCHS[0]))
    edges = np.array([supernet.EDGES.index((s, t)) for s, t in zip(sources, codec.TARGETS, strict=True)])
    kinds = np.array([max(op - codec.SEP3, 0) for op in ops])
    chosen = {name: w[edges, kinds] for name, w in weights.items()}
    edge = darts_ops.Edge(chosen, None, None, *(stats[edges, ops],) * 2)

    @jax.jit
    def alone(ops, sources, inputs, edge):
        return cells.cell(NORMAL, ops, sources, inputs, edge, None).nodes

    expected = alone(ops, sources, inputs, edge)
    found = jax.jit(mixed)(SPACE.supernet_mask(ARCHS[0]), *arrays)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert np.std(found, axis=(1, 2, 3, 4)).min() > 0


@pytest.mark.slow
def test_the_gradient_is_the_slope(arrays):
    inputs, weights, stats = arrays
    rng = np.random.default_rng(2)
    mask, probe = rng.uniform(0.1, 1, (2, 14, 8)), rng.standard_normal((6, 3, 4, 4, 2))
    mask[0, 3], mask[0, 5, 2:] = 0, 0

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(mask, inputs, weights):
        return jax.value_and_grad(lambda *given: (mixed(*given, stats) * probe).sum(), (0, 1, 2))(mask, inputs, weights)

    given = (mask, inputs, weights)
    way = jax.tree.map(lambda a: rng.standard_normal(a.shape) * (np.asarray(a) != 0), given)

    def at(step):
        return run(*jax.tree.map(lambda a, d: a + step * d, given, way))[0]

    grads = run(*given)[1]
    slope = (at(1e-6) - at(-1e-6)) / 2e-6
    along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: np.vdot(g, d), grads, way)))
    np.testing.assert_allclose(along, slope, rtol=1e-5, atol=1e-7)
    # The reduction cell is not there; operations of weight zero, and none, have no gradient.
    assert (grads[0][1] == 0).all() and (grads[0][0, 3] == 0).all() and (grads[0][:, :, codec.NONE] == 0).all()
    kinds = [codec.SEP3, codec.SEP5, codec.DIL3, codec.DIL5]
    used = np.abs(grads[2]["depthwise"]).sum((2, 3, 4, 5, 6)) > 0
    np.testing.assert_array_equal(used, mask[0][:, kinds] > 0)


def test_fans_are_those_of_the_operations(variables):
    weights = variables.params["weights"]["reduction0"]["depthwise"]
    for kind, (fan_in, rim) in enumerate(((9, 1), (25, 0), (9, 1), (25, 0))):
        own = np.abs(weights[:, kind, 0, rim : 5 - rim, rim : 5 - rim])
        assert 0.9 * fan_in**-0.5 < own.max() <= fan_in**-0.5
        assert np.count_nonzero(weights[:, kind]) == own.size * (2 if kind < 2 else 1)
    assert variables.params["scale"]["reduction0"] == {} and "stem" in variables.params["scale"]


def test_bad_masks():
    with pytest.raises(InputError, match=r"mask of shape \[2, 14, 7\]; allowed: \[2, 14, 8\].*none, max_pool_3x3"):
        SPACE.apply_supernet(None, jnp.ones((2, 14, 7)), jnp.ones((1, 8, 8, 3)))
