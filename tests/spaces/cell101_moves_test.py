"""Tests of nasjax.spaces.cell101_moves."""

import jax
import numpy as np
import pytest

from nasjax.spaces import cell101_moves as moves
from nasjax.spaces.cell101_codec import decode, encode
from nasjax.spaces.cell101_graph import EDGES, is_member, prune
from nasjax.types import InputError

CHAIN = decode(([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["conv3x3-bn-relu"]))


@pytest.fixture(scope="module")
def population():
    return np.asarray(moves.sample(jax.random.key(0), 200))


def test_samples_belong_to_the_space_and_vary(population):
    assert population.shape == (200, 26) and population.dtype == np.int32
    assert is_member(population).all()
    assert len({encode(arch) for arch in population}) > 190
    assert set(np.unique(population[:, 21:])) == {0, 1, 2}
    np.testing.assert_array_equal(population, moves.sample(jax.random.key(0), 200))


def test_the_law_is_uniform_over_encodings():
    # By counting: cells without idle vertices, by number of inner vertices.
    rng = np.random.default_rng(1)
    plain = np.concatenate([rng.integers(0, 2, (60000, 21)), np.zeros((60000, 5), int)], 1)
    pruned = prune(plain)
    whole = (pruned.matrix.sum((1, 2)) == plain.sum(1)) & (plain.sum(1) <= 9) & ((pruned.kinds > 0).sum(1) == 5)
    found = prune(np.asarray(moves.sample(jax.random.key(1), 3000)))
    sizes = (found.kinds > 0).sum(1)
    assert sizes.min() >= 2 and 0.88 < (sizes == 5).mean() < 0.92  # 1,164,699 of 1,293,208
    edges = found.matrix.sum((1, 2))[sizes == 5]
    expected = plain.sum(1)[whole]
    assert edges.max() == 9 and abs((edges == 9).mean() - (expected == 9).mean()) < 0.06


@pytest.mark.parametrize("bad", [-1, 2.5, True])
def test_bad_counts(bad):
    with pytest.raises(InputError, match="architectures"):
        moves.sample(jax.random.key(0), bad)


def test_mutants_are_other_cells_of_the_space(population):
    parents = population[:40]
    keys = jax.random.split(jax.random.key(2), 40)
    children = np.asarray(jax.jit(jax.vmap(moves.mutate))(keys, parents))
    assert is_member(children).all()
    assert all(encode(a) != encode(b) for a, b in zip(parents, children, strict=True))
    changes = (children != parents).sum(1)
    assert changes.min() >= 1 and changes.mean() < 9  # four changes are expected before rejection


def test_a_chain_can_grow():
    keys = jax.random.split(jax.random.key(3), 300)
    arch, sizes = CHAIN, []
    mutate = jax.jit(moves.mutate)
    for key in keys:
        arch = mutate(key, arch)
        sizes.append(int((prune(np.asarray(arch)).kinds > 0).sum()))
    assert max(sizes) >= 4 and min(sizes) <= 1


def test_children_mix_their_parents(population):
    a, b = population[:40], population[40:80]
    keys = jax.random.split(jax.random.key(4), 40)
    children = np.asarray(jax.jit(jax.vmap(moves.crossover))(keys, a, b))
    assert is_member(children).all() and ((children == a) | (children == b)).all()
    assert ((children != a).any(1) & (children != b).any(1)).mean() > 0.9
    np.testing.assert_array_equal(moves.crossover(keys[0], a[0], a[0]), a[0])


def test_neighbours_differ_by_one_change():
    found = moves.neighbours(CHAIN)
    texts = {encode(arch) for arch in found}
    assert len(texts) == len(found) and encode(CHAIN) not in texts and is_member(found).all()
    # Two other operations, and the edge from input to output: the others need two edges at once.
    assert len(found) == 3 and ((found != CHAIN).sum(1) == 1).all()
    full = np.asarray(moves.sample(jax.random.key(5), 1))[0]
    assert ((moves.neighbours(full) != full).sum(1) == 1).all()
    with pytest.raises(InputError):
        moves.neighbours(np.zeros(26, int))
    assert EDGES[5] == (0, 6) and any(arch[5] for arch in found)
