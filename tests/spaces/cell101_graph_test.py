"""Tests of nasjax.spaces.cell101_graph."""

import csv
import gzip
import json

import jax
import numpy as np
import pytest

from nasjax.spaces import cell101_graph as graph
from nasjax.spaces.cell101_codec import decode

CHAIN = decode(([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["conv3x3-bn-relu"]))
BARE = decode(([[0, 1], [0, 0]], []))
# 1 and 2 feed the output, 3 feeds 2 alone, 4 is read by nothing, 5 is fed by nothing.
MIXED = np.array([1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 2, 0, 1])


def random_arrays(num):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.integers(0, 2, (num, 21)), rng.integers(0, 3, (num, 5))], 1)


def plain_spec(arch):
    """Matrix and operations of a pruned cell, by sets; None without a path."""
    full = [[0] * 7 for _ in range(7)]
    for (source, target), used in zip(graph.EDGES, arch, strict=False):
        full[source][target] = int(used)
    fed, read = {0}, {6}
    for _ in range(7):
        fed |= {t for s in fed for t in range(7) if full[s][t]}
        read |= {s for t in read for s in range(7) if full[s][t]}
    kept = sorted(fed & read)
    if not kept:
        return None
    ops = ["input", *(graph.OPS[arch[21 + v - 1]] for v in kept if 0 < v < 6), "output"]
    return [[full[s][t] for t in kept] for s in kept], ops


def plain_widths(rows, channels):
    """Channels of the vertices, by the rule of the paper, vertex by vertex."""
    last = len(rows) - 1
    width = [0] * last
    ends = [v for v in range(1, last) if rows[v][last]]
    for place, v in enumerate(ends):
        width[v] = channels // len(ends) + (place < channels % len(ends))
    for v in range(last - 1, 0, -1):
        if v not in ends:
            width[v] = max(width[t] for t in range(v + 1, last) if rows[v][t])
    return width[1:]


def test_pruning_and_widths_equal_a_plain_walk():
    population = random_arrays(300)
    pruned = graph.prune(population)
    for i, arch in enumerate(population):
        expected = plain_spec(arch)
        one = graph.Pruned(pruned.matrix[i], pruned.kinds[i])
        if expected is None:
            assert graph.num_edges(one) == 0 and not one.kinds.any()
            continue
        rows, ops = expected
        assert graph.spec(arch) == (rows, ops)
        inner = len(ops) - 2
        assert one.matrix.sum() == np.sum(rows) and (one.kinds > 0).sum() == inner
        assert graph.branches(one) == sum(row[-1] for row in rows[1:])
        for channels in (128, 256, 512, 7):
            assert graph.widths(one, channels).tolist() == [*plain_widths(rows, channels), *[0] * (5 - inner)]


def test_traced_functions_equal_numpy():
    population = random_arrays(50)

    def traced(arch):
        pruned = graph.prune(arch)
        return pruned, graph.wide(pruned, 2), graph.is_member(arch), graph.branches(pruned)

    found = jax.jit(jax.vmap(traced))(population)
    expected = graph.prune(population)
    numpy = (expected, graph.wide(expected, 2), graph.is_member(population), graph.branches(expected))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(numpy), strict=True):
        np.testing.assert_array_equal(a, b)


def test_pruning_by_hand():
    # Vertices 4 and 5 go; 3 stays between 2 and nothing: it leads nowhere either.
    rows, ops = graph.spec(MIXED)
    assert (rows, ops) == plain_spec(MIXED)
    assert graph.spec(CHAIN) == ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "conv3x3-bn-relu", "output"])
    assert graph.spec(BARE) == ([[0, 1], [0, 0]], ["input", "output"])


def test_validity_says_why():
    assert graph.is_valid(CHAIN) == (True, "")
    dead = np.zeros(26, int)
    assert graph.is_valid(dead) == (False, "no path from input to output")
    full = np.concatenate([np.ones(21, int), np.zeros(5, int)])
    valid, reason = graph.is_valid(full)
    assert not valid and "21 edges" in reason and "9" in reason
    assert graph.is_member(np.stack([CHAIN, dead, full])).tolist() == [True, False, False]


def test_isomorphic_cells_share_the_hash():
    rows = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    first, second = (["conv3x3-bn-relu", "maxpool3x3"][::step] for step in (1, -1))
    same, other = (["conv3x3-bn-relu"] * 2, ["conv1x1-bn-relu"] * 2)
    hashes = [graph.graph_hash(*graph.spec(decode((rows, ops)))) for ops in (first, second, same, other)]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3


def test_graph_by_hand():
    found = graph.to_graph(CHAIN)
    assert found.nodes == ("input", "conv3x3-bn-relu", "output") and found.edges == ((0, 1), (1, 2))


def test_official_hashes_of_the_table(shared):
    with gzip.open(shared / "data" / "nasbench101_1k.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))[::7]
    for row in rows:
        matrix = np.array(list(row["adjacency_rowmajor"]), int).reshape(7, 7).tolist()
        arch = decode((matrix, json.loads(row["ops"])))
        assert graph.graph_hash(*graph.spec(arch)) == row["nb101_hash"]


@pytest.mark.parametrize("extra", [0, 1, 2])
def test_the_first_vertices_are_wider(extra):
    # Three vertices side by side.
    rows = [[0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0] * 5]
    pruned = graph.prune(decode((rows, [0, 0, 0])))
    assert graph.wide(pruned, extra)[:3].tolist() == [i < extra for i in range(3)]
