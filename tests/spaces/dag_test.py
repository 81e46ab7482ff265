"""Tests of nasjax.spaces.dag beyond what the cells of NAS-Bench-201 test."""

import itertools

import jax
import numpy as np
import pytest

from nasjax.spaces import dag
from nasjax.types import InputError

CELLS = np.array(list(itertools.product(range(4), repeat=6)), np.int32)


def test_traced_live_edges_agree():
    found = jax.jit(jax.vmap(dag.traced_live_edges))(CELLS)
    np.testing.assert_array_equal(found, dag.live_edges(CELLS))


def test_a_cell_is_connected_when_an_edge_is_live():
    np.testing.assert_array_equal(dag.reachable(CELLS)[:, 3], dag.live_edges(CELLS).any(1))


def test_sources():
    for node, edges in enumerate(((0, 1, 3), (2, 4), (5,))):
        np.testing.assert_array_equal(np.flatnonzero(dag.SOURCES[node]), edges)


def test_text_and_identity():
    names = ("none", "skip", "a", "b")
    cell = (1, 0, 1, 0, 0, 2)  # node 1 = node 2 = input, output = a(node 2)
    assert dag.text(cell, names, lambda op, source: op == 1) == "#+#+(#+0)@a"
    assert dag.text(cell, names, lambda op, source: op == 1 and source > 0) == "#+#+(#+(0)@skip)@a"


def test_moves_keep_to_the_operations():
    keys = jax.random.split(jax.random.key(0), 200)
    cell = CELLS[1234]
    changed = np.asarray(jax.jit(jax.vmap(lambda key: dag.mutate(key, cell, 4, 2)))(keys))
    assert ((changed != cell).sum(1) == 2).all() and changed.min() == 0 and changed.max() == 3
    assert set(map(tuple, dag.neighbours(cell, 4))) == {tuple(c) for c in CELLS if (c != cell).sum() == 1}
    drawn = np.asarray(dag.sample(jax.random.key(1), 500, 4))
    assert drawn.shape == (500, 6) and set(np.unique(drawn)) == {0, 1, 2, 3}


@pytest.mark.parametrize("number", [-1, 2.0, True])
def test_how_many(number):
    with pytest.raises(InputError, match="architectures"):
        dag.sample(jax.random.key(0), number, 4)
