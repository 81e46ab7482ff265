"""Choices of every space: there and back, and every combination is an architecture where that is promised."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nasjax
from nasjax.spaces import genes as genes_lib
from nasjax.spaces import registry

# The larger AutoFormer spaces differ from the tiny one in numbers alone.
NAMES = [name for name in registry.names() if name not in ("autoformer_small", "autoformer_base")]


@pytest.mark.parametrize("name", NAMES)
def test_architectures_are_made_of_choices(name):
    space = nasjax.get_space(name)
    genes = genes_lib.of_space(space)
    archs = np.asarray(space.sample(jax.random.key(0), 64))
    chosen = np.asarray(jax.vmap(genes.encode)(jnp.asarray(archs)))
    assert chosen.shape == (64, len(genes.sizes))
    assert (chosen >= -1).all() and (chosen < np.array(genes.sizes)).all()
    back = np.asarray(jax.vmap(genes.decode)(jnp.maximum(chosen, 0)))
    np.testing.assert_array_equal(back, archs)


@pytest.mark.parametrize("name", NAMES)
def test_every_combination(name):
    space = nasjax.get_space(name)
    genes = genes_lib.of_space(space)
    np.testing.assert_allclose(genes.frequencies.sum(1), 1)
    assert ((genes.frequencies > 0).sum(1) == np.array(genes.sizes)).all()
    if not genes.closed:
        return
    rng = np.random.default_rng(0)
    chosen = np.stack([rng.integers(0, size, 200) for size in genes.sizes], 1)
    archs = np.asarray(jax.vmap(genes.decode)(jnp.asarray(chosen, jnp.int32)))
    np.testing.assert_array_equal(space.decode(archs), archs)
    again = np.asarray(jax.vmap(genes.encode)(jnp.asarray(archs)))
    assert ((again == chosen) | (again == -1)).all()


def test_what_is_not_shown_is_marked():
    space = nasjax.get_space("autoformer_tiny")
    genes = genes_lib.of_space(space)
    arch = np.asarray(space.sample(jax.random.key(0), 64))
    arch = arch[arch[:, 1] == 12][0]
    chosen = np.asarray(genes.encode(jnp.asarray(arch)))
    assert (chosen == -1).sum() == 4 and (chosen[2 + 12 : 2 + 14] == -1).all()
