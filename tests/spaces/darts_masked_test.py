"""Tests of nasjax.spaces.darts_masked and darts_supernet_slots, on tiny configurations in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies import passes
from nasjax.proxies.passes import ActivationPass
from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_supernet as supernet
from nasjax.spaces.darts import Darts

SPACE = Darts(variant="naslib", channels=2, cells=3, num_classes=3, image_size=8)  # normal, reduction, reduction
MASKED = SPACE.masked()
NORMAL = [
    ("sep_conv_3x3", 1), ("max_pool_3x3", 0), ("dil_conv_5x5", 2), ("skip_connect", 0),
    ("sep_conv_5x5", 3), ("avg_pool_3x3", 1), ("dil_conv_3x3", 4), ("dil_conv_3x3", 0),
]  # fmt: skip
REDUCE = [
    ("skip_connect", 0), ("sep_conv_5x5", 1), ("dil_conv_3x3", 0), ("max_pool_3x3", 2),
    ("sep_conv_3x3", 2), ("skip_connect", 3), ("avg_pool_3x3", 4), ("sep_conv_5x5", 1),
]  # fmt: skip
ARCH = SPACE.decode([{"normal": NORMAL, "reduce": REDUCE}])[0]
pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def variables(double):
    return jax.jit(SPACE.init_supernet)(jax.random.key(0))


def told(space, arch, weights):
    """What a space tells of an architecture: depth, active slots and bins of layers, calls, weights by layer."""

    def tell(arch, weights):
        table = space.layers(arch)
        held = jax.tree.map(lambda m, w: jnp.broadcast_to(m, w.shape).astype(w.dtype), space.weight_mask(arch), weights)
        return table.depth, table.active, table.bins, space.site_calls(arch), space.layer_sums(held)

    return jax.tree.map(np.asarray, jax.jit(tell)(arch, weights))


def sorted_edges(arch):
    """Edges of both cells in the order of the supernet."""
    ops, sources = codec.parts(arch)
    order = [sorted(range(codec.NUM_EDGES), key=lambda e, c=c: (codec.TARGETS[e], sources[c, e])) for c in range(2)]
    return codec.join(
        np.stack([ops[c, order[c]] for c in range(2)]), np.stack([sources[c, order[c]] for c in range(2)])
    )


def test_of_one_architecture_layers_costs_and_calls_are_those_of_the_space(variables):
    arch = sorted_edges(ARCH)  # the supernet's edges are ordered by target and then by source
    mask = MASKED.mask(arch)
    np.testing.assert_array_equal(MASKED.arch(mask), arch)
    assert MASKED.flops(mask) == SPACE.flops(arch)
    depth, active, bins, calls, counts = told(MASKED, mask, variables.params["weights"])
    inherited = SPACE.inherit(variables, arch).params["weights"]
    own_depth, own_active, own_bins, expected, own_counts = told(SPACE, arch, inherited)
    assert depth == own_depth
    np.testing.assert_array_equal(bins[active], own_bins[own_active])
    np.testing.assert_array_equal(counts[active], own_counts[own_active])
    assert (counts[~active] == 0).all()
    affine = sum(np.size(a) for f in ("scale", "shift", "bias") for a in jax.tree.leaves(variables.params[f]))
    assert MASKED.num_params(mask) == counts.sum() + affine
    assert calls.keys() == expected.keys()
    for name, found in calls.items():
        if name.endswith("/inner"):  # of each edge, two operations instead of one
            np.testing.assert_array_equal(found.sum(0), expected[name].sum(0))
        else:
            np.testing.assert_array_equal(found, expected[name], err_msg=name)


def test_the_whole_supernet(variables):
    full = np.ones(supernet.MASK_SHAPE, np.int32)
    depth, _, _, calls, counts = told(MASKED, full, variables.params["weights"])
    # A cell: entering convolutions, 14 edges with two separable and two dilated convolutions; a reduction cell also
    # eight skips of two convolutions; behind a reduction, a third entering convolution.
    cell = 14 * (2 * 4 + 2 * 2)
    assert depth == 1 + (2 + cell) + (2 + cell + 16) + (3 + cell + 16) + 1
    weights = sum(np.count_nonzero(np.asarray(w)) for w in jax.tree.leaves(variables.params["weights"]))
    rest = sum(np.size(a) for f in ("scale", "shift", "bias") for a in jax.tree.leaves(variables.params[f]))
    assert MASKED.num_params(full) == weights + rest == counts.sum() + rest
    # Input 0 of a normal cell is read by four operations of four edges; of a reduction cell by skips, too.
    assert calls["stage0/node"].sum(1).tolist() == [16, 16, 12, 8, 4]
    assert calls["reduction0/input"].sum(1).tolist() == [20, 20]
    assert MASKED.is_valid(full)[0] and not MASKED.is_valid(np.zeros_like(full))[0]
    assert (
        len(MASKED.choice.groups) == 8 and MASKED.choice.groups[1] == (2, 3, 4) and MASKED.choice.groups[4] == (14, 15)
    )


@pytest.mark.slow
def test_patterns_of_a_mask_are_those_of_its_architecture(variables):
    p = ActivationPass(kernel=True, patterns=True)
    rng = np.random.default_rng(1)
    images, labels = rng.standard_normal((1, 6, 8, 8, 3)), np.zeros((1, 6), np.int32)

    def run(space, *given):
        return jax.jit(lambda v, a, x, y: passes.run_with(space, p, v, a, x, y))(*given)

    arch = sorted_edges(ARCH)
    found = run(MASKED, variables, MASKED.mask(arch), images, labels)
    expected = run(SPACE, SPACE.inherit(variables, arch), arch, images, labels)
    np.testing.assert_array_equal(found["kernel"], expected["kernel"])
    np.testing.assert_array_equal(found["patterns"], expected["patterns"])
    assert found["patterns"].sum() > 8
