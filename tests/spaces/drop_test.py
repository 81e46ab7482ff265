"""Paths left out, in the spaces that have some."""


import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import darts_cells, darts_codec, drop
from nasjax.spaces.autoformer import AutoFormer
from nasjax.spaces.darts import Darts
from nasjax.spaces.darts_ops import Edge, EdgeConfig, operation
from nasjax.types import InputError, Variables

KEYS = jax.random.split(jax.random.key(1), 3)
ALMOST = 1 - 2.0**-24  # every path that may be left out is


def test_multipliers():
    keys = jax.random.split(jax.random.key(0), 4000)
    found = np.asarray(drop.multipliers(keys, jnp.array([[0.0], [0.25]]), (2, 3), jnp.float32))
    assert found.shape == (2, 3, 4000) and (found[0] == 1).all()
    assert set(np.unique(found[1])) == {0, np.float32(4 / 3)}
    np.testing.assert_allclose(found.mean(-1), 1, atol=0.05)
    # An image's own key decides, wherever it stands, in every dtype.
    np.testing.assert_array_equal(drop.multipliers(keys[5:9], 0.25, (3,), jnp.float32),
                                  drop.multipliers(keys, 0.25, (3,), jnp.float32)[:, 5:9])  # fmt: skip
    with jax.enable_x64(True):
        double = drop.multipliers(keys, 0.25, (3,), jnp.float64)
        assert double.dtype == jnp.float64
        np.testing.assert_array_equal(double > 0, drop.multipliers(keys, 0.25, (3,), jnp.float32) > 0)


def test_a_cell_of_darts_follows_its_edges(x64):
    """Against a loop over the edges, by autodiff."""
    ops = [darts_codec.SEP3, darts_codec.SKIP, darts_codec.DIL3, darts_codec.MAX, darts_codec.SKIP, darts_codec.SEP3,
           darts_codec.SKIP, darts_codec.DIL3]  # fmt: skip
    sources, rng = [0, 1, 2, 1, 2, 0, 4, 3], np.random.default_rng(0)
    inputs = rng.normal(size=(2, 3, 4, 4, 2))
    weights = {"depthwise": rng.normal(size=(8, 2, 5, 5, 1, 2)), "pointwise": rng.normal(size=(8, 2, 1, 1, 2, 2))}
    kept = np.array(drop.multipliers(KEYS, 0.5, (8,), jnp.float64))
    edges = Edge(weights, rng.uniform(1, 2, (8, 2, 2)), rng.normal(size=(8, 2, 2)), np.zeros((8, 2, 2)),
                 np.ones((8, 2, 2)), kept)  # fmt: skip
    config = darts_cells.CellConfig(EdgeConfig("batch", "highest", False), False, False)
    probe = rng.normal(size=(4, 3, 4, 4, 2))
    assert 0 < (kept == 0).sum() < kept.size

    def fused(inputs, edges):
        arrays = (jnp.array(ops), jnp.array(sources))
        return (darts_cells.cell(config, *arrays, inputs, edges, None).nodes[2:] * probe).sum()

    def plain(inputs, edges):
        nodes = [inputs[0], inputs[1], *(jnp.zeros_like(inputs[0]) for _ in range(4))]
        for e, (op, source) in enumerate(zip(ops, sources, strict=True)):
            own = jax.tree.map(lambda a, e=e: a[e], edges)
            found = operation(config.edge, op, 1, nodes[source], own._replace(kept=None), None).output
            factor = 1 if op == darts_codec.SKIP else own.kept[:, None, None, None]
            nodes[2 + e // 2] = nodes[2 + e // 2] + factor * found
        return (jnp.stack(nodes[2:]) * probe).sum()

    found, expected = (
        jax.jit(jax.value_and_grad(f, argnums=(0, 1)))(inputs, edges) for f in (fused, plain)
    )
    np.testing.assert_allclose(found[0], expected[0])
    np.testing.assert_allclose(found[1][0], expected[1][0], rtol=1e-8, atol=1e-10)
    for name in weights:
        np.testing.assert_allclose(found[1][1].weights[name], expected[1][1].weights[name], rtol=1e-8, atol=1e-10)
    for field in ("scale", "shift"):
        np.testing.assert_allclose(getattr(found[1][1], field), getattr(expected[1][1], field), rtol=1e-8, atol=1e-10)


def test_keys_are_one_an_image():
    space = Darts(channels=2, cells=1, num_classes=3, image_size=8)
    with pytest.raises(InputError, match="darts: key is None; drop_path needs one typed key an image"):
        space.apply(Variables({}, {}), np.zeros(32, int), jnp.zeros((3, 8, 8, 3)), drop_path=0.1)
    with pytest.raises(InputError, match=r"of shape \[\]"):
        drop.checked(KEYS[0], "darts")


def test_autoformer_without_its_last_block_is_a_shallower_one(x64):
    space = AutoFormer((8,), (1, 2), (1, 2), (1.5, 2.0), num_classes=5, image_size=4, patch_size=2, head_dim=4,
                       max_distance=1)  # fmt: skip
    deep, shallow = space.decode([(2, 2.0, 1.5, 2, 1, 8), (1, 2.0, 2, 8)])
    variables = space.init(jax.random.key(0), deep)
    images = np.random.default_rng(0).normal(size=(3, 4, 4, 3))
    run = jax.jit
    dropped = run(lambda v, a, x, r: space.apply(v, a, x, key=KEYS, drop_path=r).logits)
    plain = run(lambda v, a, x: space.apply(v, a, x).logits)
    np.testing.assert_allclose(dropped(variables, deep, images, ALMOST), plain(variables, shallow, images), rtol=1e-10)
    np.testing.assert_allclose(dropped(variables, deep, images, 0.0), plain(variables, deep, images), rtol=1e-10)
