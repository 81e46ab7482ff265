"""Tests of nasjax.spaces.nasbench201_supernet and of its masks as a space, on a tiny configuration in float64."""


import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.proxies import passes
from nasjax.proxies.passes import ActivationPass
from nasjax.spaces import cell201
from nasjax.spaces import nasbench201_network as network
from nasjax.spaces import nasbench201_supernet as supernet
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError

SPACE = NasBench201(channels=2, cells=1, num_classes=4, image_size=8)
MASKED = SPACE.masked()
MIXED = np.array([3, 0, 2, 1, 4, 2], np.int32)
FULL = np.array([3, 3, 2, 3, 2, 3], np.int32)
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def variables(double):
    own = jax.jit(SPACE.init_supernet)(jax.random.key(0))
    rng = np.random.default_rng(0)
    shake = lambda tree: jax.tree.map(lambda a: a + rng.uniform(0.1, 0.5, a.shape), tree)  # noqa: E731
    return own._replace(params=shake(own.params), stats=shake(own.stats))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.standard_normal((2, 4, 8, 8, 3)), np.array([[0, 1, 2, 3], [3, 0, 1, 2]], np.int32)


def test_masked_to_one_architecture_it_is_that_network(variables, data):
    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(variables, mask, images):
        return SPACE.apply_supernet(variables, mask, images)

    single = jax.jit(SPACE.apply)
    for arch in (MIXED, FULL):
        output = run(variables, SPACE.supernet_mask(arch), data[0][0])
        expected = single(SPACE.inherit(variables, arch), arch, data[0][0])
        np.testing.assert_allclose(output.logits, expected.logits, rtol=1e-12, atol=1e-12)
        found = SPACE.inherit(variables._replace(stats=output.stats), arch).stats
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found, expected.stats)


def statistics(space):
    """Patterns, blocks, what synaptic flow starts from, and weights by layer, in one program."""
    p = ActivationPass(kernel=True, patterns=True)

    def run(variables, arch, images, labels):
        weights = variables.params["weights"]
        held = jax.tree.map(lambda m, w: jnp.broadcast_to(m, w.shape) * w, space.weight_mask(arch), weights)
        flow = space.apply(variables, arch, images[0, :1], norm="none", rescale=True)
        walk = space.blocks(variables, arch, images[0], lambda block, function, x: (function(x), x.sum()))
        return {
            "read": passes.run_with(space, p, variables, arch, images, labels),
            "near": (flow.logits, flow.taps, walk.features, walk.seen),
            "sums": space.layer_sums(held),
        }

    return jax.jit(run)


def test_passes_read_of_a_mask_what_they_read_of_its_architecture(variables, data):
    of_mask, of_arch = statistics(MASKED), statistics(SPACE)
    for arch in (MIXED, FULL):
        mask = MASKED.mask(arch)
        found = of_mask(variables, mask, *data)
        expected = of_arch(SPACE.inherit(variables, arch), arch, *data)
        slots, layers = MASKED.layers(mask), SPACE.layers(arch)
        assert int(slots.depth) == int(layers.depth)
        np.testing.assert_array_equal(slots.bins[slots.active], layers.bins[layers.active])
        jax.tree.map(np.testing.assert_array_equal, found["read"], expected["read"])
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), found["near"], expected["near"]
        )
        sums, own_sums = np.asarray(found["sums"]), np.asarray(expected["sums"])
        np.testing.assert_allclose(sums[slots.active], own_sums[layers.active], rtol=1e-12)
        assert (sums[~np.asarray(slots.active)] == 0).all()


def test_an_edge_is_the_weighted_sum_of_its_operations(double):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, 4, 4, 2))
    shapes = {"pointwise": (6, 1, 1, 2, 2), "kernel": (6, 3, 3, 2, 2)}
    own = {"weights": {n: rng.standard_normal(s) for n, s in shapes.items()}}
    own |= {f: rng.uniform(0.5, 1.5, (6, 2, 2)) for f in ("scale", "shift", "mean", "var")}
    own["moments"] = {n: nn.Moments.zeros_like(w) for n, w in own["weights"].items()}
    mask, probe = rng.uniform(0.1, 1, (6, 5)), rng.standard_normal((3, 4, 4, 2))
    mask[2], mask[4, 2:] = 0, 0
    options = network.Forward("batch", "highest", rescale=False)

    def plain(mask, x, own):
        nodes = [x, 0, 0, 0]
        for e, (source, target) in enumerate(cell201.EDGES):
            node = nodes[source]
            total = mask[e, 1] * node + mask[e, 4] * nn.avg_pool(node, 3, padding=1)
            for k, name in enumerate(("pointwise", "kernel")):
                reader = jax.tree.map(lambda a, e=e: a[e], own["moments"][name])
                y = nn.conv(jax.nn.relu(node), own["weights"][name][e], moments=reader)
                z = nn.batch_norm(y, own["scale"][e, k], own["shift"][e, k])[0]
                total = total + mask[e, (2, 3)[k]] * z
            nodes[target] = nodes[target] + total
        return nodes[3]

    def mixed(mask, x, own):
        return supernet.mixed_cell(options, mask)(x, own)[0][3]

    def both(run):
        return jax.jit(
            jax.value_and_grad(lambda m, x, o: (run(m, x, o) * probe).sum(), (0, 1, 2), allow_int=True),
        )(mask, x, own)

    (value, grads), (expected, slopes) = both(mixed), both(plain)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    np.testing.assert_allclose(grads[1], slopes[1], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(grads[2]["weights"]["kernel"], slopes[2]["weights"]["kernel"], rtol=1e-8, atol=1e-10)
    # What layers read of single samples in their backward pass.
    there = np.flatnonzero(mask[:, 3])
    for name in ("mean", "m2", "mean_abs"):
        of_mask, of_plain = (getattr(g[2]["moments"]["kernel"], name)[there] for g in (grads, slopes))
        np.testing.assert_allclose(of_mask, of_plain, rtol=1e-7, atol=1e-10, err_msg=name)
        assert np.abs(of_plain).max() > 0
    # An operation of weight zero is not computed: neither it nor its weights have a gradient.
    np.testing.assert_allclose(grads[0][mask > 0], slopes[0][mask > 0], rtol=1e-8, atol=1e-10)
    assert (grads[0][2, 2:] == 0).all() and (grads[2]["weights"]["kernel"][4] == 0).all()


def test_costs_are_those_of_the_living_operations(variables):
    masks = np.stack([MASKED.mask(a) for a in (MIXED, FULL)])
    np.testing.assert_array_equal(MASKED.num_params(masks), SPACE.num_params(np.stack([MIXED, FULL])))
    np.testing.assert_array_equal(MASKED.flops(masks), SPACE.flops(np.stack([MIXED, FULL])))
    assert MASKED.num_params(np.ones((6, 5), int)) == sum(np.size(a) for a in jax.tree.leaves(variables.params))
    dropping = NasBench201(channels=2, cells=1, num_classes=4, image_size=8, drop_dead=True).masked()
    assert dropping.num_params(masks).tolist() == MASKED.num_params(masks).tolist()
    assert (MASKED.full()[:, 0] == 0).all() and MASKED.full().sum() == 24


def test_layers_and_calls_of_all_operations():
    table, calls = MASKED.layers(MASKED.full()), MASKED.site_calls(MASKED.full())
    assert bool(np.all(table.active)) and int(table.depth) == 1 + 3 * 12 + 2 * 3 + 1
    names = MASKED.layer_names()
    assert names[1:3] == ("cells.0.layers.0.op.1.nor_conv_1x1", "cells.0.layers.0.op.1.nor_conv_3x3")
    # A node is read by both convolutions of three, two and one edges.
    assert [int(calls[f"stage1/node{i}"].sum()) for i in range(3)] == [6, 4, 2]


def test_patterns_of_the_thin_cell():
    thin, plain = MASKED.thin(), SPACE.thin()
    own = jax.jit(lambda key: thin.init(key, None))(jax.random.key(1))
    patches = np.random.default_rng(3).standard_normal((10, 3, 3, 1))
    codes = jax.jit(thin.codes)
    expected = jax.jit(plain.codes)
    for arch in (MIXED, FULL):
        found, finite = codes(own, MASKED.mask(arch), patches)
        np.testing.assert_array_equal(found, expected(supernet.inherit(own, arch), arch, patches)[0])
        assert finite
    full, _ = codes(own, MASKED.full(), patches)
    patches[3, 0, 0] = np.inf
    assert not codes(own, MASKED.full(), patches)[1]
    assert full.shape == (10, 36) and len(np.unique(full, axis=0)) > 5


def test_bad_masks():
    with pytest.raises(InputError, match=r"mask of shape \[6, 4\]; allowed: \[6, 5\].*none, skip_connect"):
        SPACE.apply_supernet(None, jnp.ones((6, 4)), jnp.ones((1, 8, 8, 3)))
