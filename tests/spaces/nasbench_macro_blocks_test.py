"""The NAS-Bench-Macro network walked block by block equals the network."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import nasbench_macro_blocks as blocks
from nasjax.spaces import nasbench_macro_network as network
from nasjax.spaces.nasbench_macro import NasBenchMacro

SPACE = NasBenchMacro(channels=2, head_channels=5, num_classes=3, image_size=9)
ARCHS = np.array([[0, 1, 2, 0, 1, 1, 2, 0], [0, 1, 2, 1, 0, 1, 2, 0]], np.int32)  # an identity moves within a stage


@pytest.fixture(scope="module")
def walked():
    """By architecture: variables, what the network gives, and its walk with what blocks are."""
    with jax.enable_x64(True):
        images = np.random.default_rng(0).normal(size=(3, 9, 9, 3))

        def visit(block, function, x):
            y, stats = function(x)
            return (y, stats), (jnp.asarray(block.number), jnp.asarray(block.active), block.feature, y)

        @jax.jit
        def run(arch, images):
            own = SPACE.init(jax.random.key(0), arch, dtype=images.dtype)
            return own, SPACE.apply(own, arch, images), SPACE.blocks(own, arch, images, visit)

        run = jax.jit(run)
        yield [run(arch, images) for arch in ARCHS]


def test_a_walk_gives_the_logits_and_statistics_of_the_network(walked):
    for own, output, walk in walked:
        logits = walk.features.mean((1, 2)) @ own.params["weights"]["head"] + own.params["bias"]["head"][None]
        np.testing.assert_allclose(logits, output.logits, rtol=1e-10)
        chex.assert_trees_all_close(walk.stats, output.stats, rtol=1e-10, atol=1e-15)


def test_blocks_are_numbered_in_forward_order_and_the_last_is_no_feature(walked):
    _, _, walk = walked[0]
    names = ["stem", *(f"layer{i}" for i in range(8)), "out"]
    assert [int(walk.seen[name][0]) for name in names] == list(range(10))
    assert [bool(walk.seen[name][2]) for name in names] == [True] * 9 + [False]


def test_an_identity_is_no_block_where_it_changes_nothing(walked):
    for arch, (_, _, walk) in zip(ARCHS, walked, strict=True):
        active = [bool(walk.seen[f"layer{i}"][1]) for i in range(8)]
        assert active == [i in (0, 2, 5) or op > 0 for i, op in enumerate(arch)]
        before, after = (np.asarray(walk.seen[f"layer{i}"][3]) for i in (6, 7))
        np.testing.assert_array_equal(before, after)


def test_gradients_flow_to_the_input_of_a_block_alone(walked):
    own, _, _ = walked[0]
    trees = (*(own.params[name] for name in ("weights", "scale", "shift")), own.stats["mean"], own.stats["var"])
    arrays = network.Arrays(*(tree["layer2"] for tree in trees))
    config = network.LayerConfig("batch", "highest", 2)
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(1).normal(size=(3, 5, 5, 4)))

        def slopes(layer):
            return jax.grad(lambda x, arrays: jnp.sin(layer(x, arrays)[0]).sum(), (0, 1))(x, arrays)

        chosen = jax.jit(
            lambda op: slopes(lambda x, a: blocks._constant_layer(config, op, x, a))
        )
        for op, name in enumerate(("identity", "mb3", "mb6")):
            plain = jax.jit(
                lambda name=name: slopes(lambda x, a: network.operation(config, name, x, a, None)),
            )
            found, of_arrays = chosen(jnp.int32(op))
            np.testing.assert_allclose(found, plain()[0], rtol=1e-9, atol=1e-12)
            assert not any(np.any(leaf) for leaf in jax.tree.leaves(of_arrays))
