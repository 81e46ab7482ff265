"""The NAS-Bench-101 network walked block by block equals the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies.az_nas import FeaturePass
from nasjax.spaces import cell101_graph as graph
from nasjax.spaces.nasbench101 import NasBench101
from nasjax.types import Variables

# Seven channels are shared unequally, and nine pixels leave one behind at the pooling.
SPACE = NasBench101(channels=7, stacks=2, cells=2, num_classes=3, image_size=9)
K3, K1, POOL = graph.OPS
ARCH = SPACE.decode([([[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], [K3, K1])])[0]
BLOCKS = ["stem", "stack0/first", "stack0/rest", "stack1/first", "stack1/rest"]


@pytest.fixture(scope="module")
def walked():
    """Variables, what the network gives, and its walk with the number and the output of every block."""
    with jax.enable_x64(True):
        images = np.random.default_rng(0).normal(size=(3, 9, 9, 3))

        def visit(block, function, x):
            y, stats = function(x)
            return (y, stats), (jnp.asarray(block.number), y)

        def run(images):
            own = SPACE.init(jax.random.key(0), ARCH, dtype=images.dtype)
            return own, SPACE.apply(own, ARCH, images), SPACE.blocks(own, ARCH, images, visit)

        yield jax.jit(run)(images)


def test_a_walk_gives_the_logits_of_the_network(walked):
    own, output, walk = walked
    logits = walk.features.mean((1, 2)) @ own.params["weights"]["head"] + own.params["bias"]["head"][None]
    np.testing.assert_allclose(logits, output.logits, rtol=1e-10)


def test_blocks_are_stem_and_cells_in_forward_order(walked):
    _, _, walk = walked
    assert sorted(walk.seen) == sorted(BLOCKS)
    assert [int(n) for name in BLOCKS for n in np.ravel(walk.seen[name][0])] == [0, 1, 2, 3, 4]
    # The pooling belongs to the first cell behind it.
    assert [walk.seen[name][1].shape[-3:] for name in BLOCKS[1::2]] == [(9, 9, 7), (4, 4, 14)]


def test_statistics_are_those_of_the_network_and_a_missing_channel_does_not_move_their_mean(walked):
    _, output, walk = walked
    assert jax.tree.structure(walk.stats) == jax.tree.structure(output.stats)
    np.testing.assert_allclose(walk.stats["var"]["stem"], output.stats["var"]["stem"], rtol=1e-10)
    for field in ("mean", "var"):
        for part in ("project", "vertex"):
            own, whole = (tree[field]["stack0"]["rest"][part] for tree in (walk.stats, output.stats))
            # Vertex 1 has four channels, vertex 2 has three, the others are not there.
            np.testing.assert_allclose(own[0, 0], whole[0, 0], rtol=1e-10)
            np.testing.assert_allclose(own[0, 1, :3], whole[0, 1, :3], rtol=1e-10)
            np.testing.assert_allclose(own[0, 1].mean(), whole[0, 1, :3].mean(), rtol=1e-10)
            np.testing.assert_array_equal(own[0, 2:], whole[0, 2:])


def test_features_of_odd_sides_have_gains(walked):
    own, _, _ = walked
    with jax.enable_x64(True):
        images = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 9, 9, 3)))
        run = jax.jit(
            lambda v: FeaturePass().measure(SPACE, v, ARCH, images, None, key=jax.random.key(1)),
        )
        found = run(Variables(*own))
    assert found["gain"].shape == (5,) and (np.asarray(found["gain"]) > 0).all()
    assert np.isfinite(found["entropy"]).all() and found["active"].all() and not found["identity"].any()
