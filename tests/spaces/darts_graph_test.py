"""Tests of nasjax.spaces.darts_graph and nasjax.spaces.darts_moves."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_graph as graph
from nasjax.spaces import darts_moves as moves
from nasjax.types import InputError

SEP = "sep_conv_3x3"
CHAIN = [(SEP, 0), (SEP, 1), (SEP, 2), ("skip_connect", 0), (SEP, 3), ("avg_pool_3x3", 1), (SEP, 4), ("none", 0)]
ARCH = codec.decode({"normal": CHAIN, "reduce": CHAIN})
MUTATE = jax.jit(jax.vmap(moves.mutate, (0, None)))
SAMPLE = np.asarray(moves.sample(jax.random.key(0), 400))


def arch(normal, reduce=None):
    return codec.decode({"normal": normal, "reduce": normal if reduce is None else reduce})


# What the output depends on.


def test_validity_by_hand():
    first, second = [(SEP, 0), (SEP, 0)] + [("none", 0)] * 6, [(SEP, 1), (SEP, 1)] + [("none", 0)] * 6
    dead = [("none", 0)] * 8
    order = [False, True, False]
    assert graph.depends(graph.cells_of(arch(first))[0]) == (True, False)
    assert graph.depends(graph.cells_of(ARCH)[0]) == (True, True)
    assert graph.is_valid(ARCH, order) == (True, "")
    assert graph.is_valid(arch(dead), order) == (False, graph.NO_PATH)
    # A dead reduction cell is passed over by the cell behind it, if that reads its older input.
    assert graph.is_valid(arch(first, dead), order)[0] and not graph.is_valid(arch(second, dead), order)[0]
    assert graph.is_valid(arch(second, first), order)[0]
    assert not graph.is_valid(arch(first, dead), [True])[0]


# Isomorphism.


def swapped(cell):
    """The edges of every node exchanged."""
    return [cell[i ^ 1] for i in range(8)]


def renamed(cell, order):
    """The same cell with its nodes in another order."""
    place = {0: 0, 1: 1} | {2 + node: 2 + rank for rank, node in enumerate(order)}
    return [(op, place[source]) for node in order for op, source in cell[2 * node : 2 * node + 2]]


def test_order_of_edges_and_nodes_does_not_matter():
    free = [(SEP, 0), (SEP, 1), ("skip_connect", 0), ("dil_conv_3x3", 1), (SEP, 3), (SEP, 0), (SEP, 2), ("none", 1)]
    text = graph.canonical(arch(free))
    orders = [(1, 0, 2, 3), (0, 1, 3, 2), (0, 3, 1, 2), (1, 2, 0, 3)]
    assert {graph.canonical(arch(swapped(renamed(free, order)))) for order in orders} == {text}
    # Where nothing comes from does not matter, but all else does.
    assert graph.canonical(arch([*free[:7], ("none", 4)])) == text
    others = [[*free[:6], other, free[7]] for other in ((SEP, 3), ("sep_conv_5x5", 2))]
    others.append([*free[:2], (SEP, 0), *free[3:]])
    assert len({graph.canonical(arch(cell)) for cell in others} | {text}) == 4
    assert graph.canonical(arch(free, CHAIN)) != graph.canonical(arch(CHAIN, free))


def test_canonical_text_is_that_of_an_isomorphic_architecture():
    for row in SAMPLE[:20]:
        cells = [part.partition(":")[2] for part in graph.canonical(row).split("|")]
        edges = [[e.split("~") for node in cell.split("+") for e in node.split(",")] for cell in cells]
        again = [[(op, int(source)) for op, source in cell] for cell in edges]
        assert graph.canonical(arch(*again)) == graph.canonical(row)


# The graph.


def test_graph_by_hand():
    found = graph.to_graph(ARCH)
    half = len(found.nodes) // 2
    ops = (SEP, SEP, SEP, "skip_connect", SEP, "avg_pool_3x3", SEP)
    assert found.nodes[:half] == ("c_{k-2}", "c_{k-1}", *ops, "output")
    assert found.nodes[half:] == found.nodes[:half]
    first = {e for e in found.edges if e[1] < half}
    # Edges 2 and 3 (node 2) feed edge 4; 4 and 5 (node 3) feed 6; 6 and 7 (node 4) feed 8; all feed the output.
    inner = {(0, 2), (1, 3), (2, 4), (3, 4), (0, 5), (4, 6), (5, 6), (1, 7), (6, 8), (7, 8)}
    assert first == inner | {(v, 9) for v in range(2, 9)}
    assert {(a - half, b - half) for a, b in found.edges if b >= half} == first


# Moves.


def pairs_differ(rows):
    _, sources = codec.parts(rows)
    return (sources[..., ::2] != sources[..., 1::2]).all()


def test_samples_are_uniform_and_of_the_space():
    ops, sources = codec.parts(SAMPLE)
    assert pairs_differ(SAMPLE) and ops.min() == 1 and ops.max() == 7
    assert (sources < codec.TARGETS).all() and (sources >= 0).all()
    counts = np.bincount(ops.ravel(), minlength=8)[1:]
    assert abs(counts / ops.size - 1 / 7).max() < 5 * np.sqrt(1 / 7 / ops.size)
    for node in range(4):
        pairs = sources[..., 2 * node : 2 * node + 2].reshape(-1, 2)
        found, counts = np.unique(pairs, axis=0, return_counts=True)
        assert found.tolist() == [list(p) for p in itertools.combinations(range(node + 2), 2)]
        assert abs(counts / len(pairs) - 1 / len(found)).max() < 5 * np.sqrt(1 / len(found) / len(pairs))
    np.testing.assert_array_equal(SAMPLE[:2], np.stack([codec.decode(codec.encode(a)) for a in SAMPLE[:2]]))
    assert moves.sample(jax.random.key(0), 0).shape == (0, 32)
    with pytest.raises(InputError, match="n=-1"):
        moves.sample(jax.random.key(0), -1)


def test_mutations_change_one_entry():
    keys = jax.random.split(jax.random.key(1), 400)
    start = SAMPLE[0]
    found = np.asarray(MUTATE(keys, start))
    assert ((found != start).sum(1) == 1).all() and pairs_differ(found)
    neighbours = {tuple(row) for row in graph.neighbours(start).tolist()}
    seen = {tuple(row) for row in found.tolist()}
    assert seen <= neighbours and len(seen) > 90
    which = (found != start).argmax(1)
    share = (which % 2 == 1).mean()  # sources: half of the mutations of the six edges of eight that can move
    assert abs(share - 0.375) < 5 * np.sqrt(0.25 / 400)


def test_mutating_what_is_outside_of_the_benchmark():
    dead = np.zeros(32, np.int32)
    for found in np.asarray(MUTATE(jax.random.split(jax.random.key(3), 400), dead))[:50]:
        ops, sources = codec.parts(codec.check(found))
        assert (ops > 0).sum() + (sources > 0).sum() == 1


def test_crossover_takes_whole_nodes():
    a, b = SAMPLE[:2]
    keys = jax.random.split(jax.random.key(2), 200)
    found = np.asarray(jax.vmap(moves.crossover, (0, None, None))(keys, jnp.asarray(a), jnp.asarray(b)))
    nodes = found.reshape(-1, 8, 4)
    of_a, of_b = ((nodes == parent.reshape(8, 4)).all(-1) for parent in (a, b))
    assert (of_a | of_b).all() and 0.3 < of_a.mean() < 0.7


def test_neighbours_differ_in_one_entry():
    found = graph.neighbours(SAMPLE[0])
    assert found.shape == (120, 32) and ((found != SAMPLE[0]).sum(1) == 1).all()
    assert len({tuple(row) for row in found.tolist()}) == 120 and pairs_differ(found)
    # A node whose edges share a source has more sources to move to.
    assert len(graph.neighbours(np.zeros(32, int))) == 2 * (8 * 7 + 2 * (1 + 2 + 3 + 4))
