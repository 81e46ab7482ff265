"""Tests of nasjax.spaces.kronecker_moves."""

import jax
import numpy as np
import pytest

from nasjax.spaces.kronecker import Kronecker
from nasjax.types import InputError

SIZES = {"channels": 4, "num_blocks": 2, "num_stages": 1, "image_size": 8}
SPACE = Kronecker(min_vertices=2, max_vertices=4, **SIZES)
BY_BLOCK = Kronecker(min_vertices=2, max_vertices=4, ops_by_block=True, **SIZES)


@pytest.mark.parametrize("space", [SPACE, BY_BLOCK])
def test_mutants_are_other_architectures_one_step_away(space):
    parents = space.by_id(range(40))
    mutants = np.asarray(jax.jit(jax.vmap(space.mutate))(jax.random.split(jax.random.key(0), 40), parents))
    np.testing.assert_array_equal(space.decode(mutants), mutants)  # checks each
    kinds = set()
    for parent, mutant in zip(parents, mutants, strict=True):
        assert (parent != mutant).any()
        edges, ops = parent[1:7] != mutant[1:7], parent[7:] != mutant[7:]
        if parent[0] != mutant[0]:
            assert abs(parent[0] - mutant[0]) == 1
            kinds.add("vertex")
        else:
            assert edges.sum() + ops.sum() == 1
            kinds.add("edge" if edges.any() else "op")
    assert kinds == {"vertex", "edge", "op"}


def test_children_are_of_their_parents():
    first, second = SPACE.by_id(range(30)), SPACE.by_id(range(30, 60))
    children = np.asarray(jax.jit(jax.vmap(SPACE.crossover))(jax.random.split(jax.random.key(1), 30), first, second))
    np.testing.assert_array_equal(SPACE.decode(children), children)
    unlike = 0
    for a, b, child in zip(first, second, children, strict=True):
        assert child[0] in (a[0], b[0])
        inside = child[7:][: child[0]]
        assert all(op in (a[7 + u], b[7 + u]) for u, op in enumerate(inside))
        unlike += (child != a).any() and (child != b).any()
    assert unlike > 10
    same = SPACE.crossover(jax.random.key(2), first[0], first[0])
    np.testing.assert_array_equal(same, first[0])


@pytest.mark.parametrize("space", [SPACE, BY_BLOCK])
def test_neighbours(space):
    arch = space.decode({"vertices": 3, "edges": [[0, 1], [0, 2], [1, 2]], "ops": ["conv3x3"] * 3})[0] if (
        space is SPACE
    ) else space.by_id([0])[0]
    found = space.neighbours(arch)
    np.testing.assert_array_equal(space.decode(found), found)
    assert len(set(space.encode(found))) == len(found) and not (found == arch).all(1).any()
    if space is SPACE:
        # Any edge may go; nine other operations; one vertex less; one more with each operation.
        assert len(found) == 3 + 9 + 1 + 4
    with pytest.raises(InputError):
        space.neighbours(arch[:-1])


def test_extremes_bound_the_costs():
    small, large = SPACE.extremes()
    np.testing.assert_array_equal(SPACE.decode(np.stack([small, large])), [small, large])
    archs = SPACE.by_id(range(60))
    for cost in (SPACE.num_params, SPACE.flops):
        low, high = cost(small), cost(large)
        assert (cost(archs) >= low).all() and (cost(archs) <= high).all() and low < high


@pytest.mark.parametrize("space", [SPACE, BY_BLOCK])
def test_genes(space):
    genes = space.genes()
    np.testing.assert_allclose(genes.frequencies.sum(1), 1)
    assert genes.frequencies.shape == (len(genes.sizes), max(genes.sizes)) and not genes.closed
    for arch in space.by_id(range(5)):
        chosen = np.asarray(genes.encode(arch))
        assert (chosen < np.asarray(genes.sizes)).all()
        hidden = chosen < 0
        assert hidden.any() == (arch[0] < 4)
        np.testing.assert_array_equal(genes.decode(np.where(hidden, 1, chosen)), arch)  # what is hidden is cut


@pytest.mark.parametrize("bad", [{"min_vertices": 0}, {"min_vertices": 5}, {"max_vertices": 2.0}, {"max_vertices": 99}])
def test_numbers_of_vertices_are_a_range(bad):
    with pytest.raises(InputError, match="allowed are integers 1 <= min <= max"):
        Kronecker(**{"min_vertices": 3, "max_vertices": 4, **SIZES, **bad})
