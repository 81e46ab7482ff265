"""Tests of nasjax.spaces.kronecker_graph."""

import itertools

import networkx as nx
import numpy as np
import pytest

from nasjax.spaces import kronecker_graph as graph
from nasjax.types import InputError


def strict(rng, n, p=0.5):
    return np.triu(rng.random((n, n)) < p, 1)


def test_the_product_by_hand():
    chain = np.eye(2, k=1)
    wiring = np.array([[0, 1, 1], [0, 0, 0], [0, 0, 0]])
    edges = {tuple(map(int, edge)) for edge in np.argwhere(graph.kron_dag(chain, wiring))}
    within = {(0, 1), (0, 2), (3, 4), (3, 5)}
    onward = {(0, 3), (1, 4), (2, 5), (0, 4), (0, 5)}  # own like, and successors
    assert edges == within | onward
    plain = graph.kron_dag(chain, wiring, outer_loops=False, inner_loops=False)
    np.testing.assert_array_equal(plain, np.kron(chain, wiring))
    assert {tuple(map(int, e)) for e in np.argwhere(graph.kron_dag(chain, wiring, inner_loops=False))} == within | {
        (0, 4), (0, 5),
    }  # fmt: skip


@pytest.mark.parametrize(("outer_loops", "inner_loops"), itertools.product([True, False], repeat=2))
def test_any_factors_give_a_graph_without_cycles_in_topological_order(outer_loops, inner_loops):
    rng = np.random.default_rng(0)
    for _ in range(20):
        outer, inner = strict(rng, rng.integers(1, 6)), strict(rng, rng.integers(1, 7))
        product = graph.kron_dag(outer, inner, outer_loops, inner_loops)
        assert product.shape == (len(outer) * len(inner),) * 2
        assert not np.tril(product).any()
        assert nx.is_directed_acyclic_graph(nx.from_numpy_array(product, create_using=nx.DiGraph))


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (np.ones((2, 2)), "edge 0 -> 0; allowed are edges from lower to higher"),
        ([[0, 0], [1, 0]], "edge 1 -> 0.*acyclic.*topological order"),
        (np.zeros((2, 3)), r"shape \[2, 3\]; allowed is a square matrix"),
        ([[0, 2], [0, 0]], "zeros and ones"),
    ],
)
def test_factors_that_are_none(inner, message):
    with pytest.raises(InputError, match=message):
        graph.kron_dag(np.eye(2, k=1), inner)


def test_closure_and_connection():
    rng = np.random.default_rng(1)
    many = np.stack([strict(rng, 6, 0.25) for _ in range(30)])
    there = np.arange(6)[None] < rng.integers(1, 7, (30, 1))
    reach, connected = graph.closure(np, many), graph.is_connected(np, many, there)
    assert 5 < connected.sum() < 25
    for a, r, t, c in zip(many, reach, there, connected, strict=True):
        whole = nx.from_numpy_array(a, create_using=nx.DiGraph)
        wanted = {(u, v) for u in whole for v in {u} | nx.descendants(whole, u)}
        assert {tuple(map(int, edge)) for edge in np.argwhere(r)} == wanted
        assert c == nx.is_weakly_connected(whole.subgraph(np.flatnonzero(t).tolist()))


def canonical(adjacency, labels):
    order = graph.canonical_order(adjacency, labels)
    return adjacency[np.ix_(order, order)].tobytes(), tuple(labels[v] for v in order)


def relabelled(rng, adjacency, labels):
    """The same graph in another topological order."""
    n = len(adjacency)
    left, order = set(range(n)), []
    while left:
        free = [v for v in left if not any(adjacency[p, v] for p in left)]
        order.append(free[rng.integers(len(free))])
        left.remove(order[-1])
    return adjacency[np.ix_(order, order)], [labels[v] for v in order]


def test_other_numbers_change_no_canonical_form():
    rng = np.random.default_rng(2)
    for n in (1, 2, 5, 8):
        for p in (0.2, 0.6):
            a, labels = strict(rng, n, p), rng.integers(2, size=n).tolist()
            form = canonical(a, labels)
            assert not np.tril(np.frombuffer(form[0], bool).reshape(n, n)).any()
            assert all(canonical(*relabelled(rng, a, labels)) == form for _ in range(5))


def test_canonical_forms_tell_graphs_apart_as_networkx_does():
    """Equal forms: equal hashes of Weisfeiler and Lehman, and isomorphic by an exact search; and the other way."""
    rng = np.random.default_rng(3)
    graphs = [(strict(rng, 4, 0.5), rng.integers(2, size=4).tolist()) for _ in range(50)]
    forms = [canonical(*g) for g in graphs]
    whole = [graph.to_networkx(*g) for g in graphs]
    hashes = [nx.weisfeiler_lehman_graph_hash(g, node_attr="op") for g in whole]
    equal = 0
    for i, j in itertools.combinations(range(len(graphs)), 2):
        same = nx.is_isomorphic(whole[i], whole[j], node_match=lambda a, b: a["op"] == b["op"])
        assert (forms[i] == forms[j]) == same
        assert not same or hashes[i] == hashes[j]
        equal += same
    assert equal > 3


def test_regular_graphs_need_more_than_colours():
    """Six vertices read six others, in one ring or in two: all neighbourhoods are alike."""
    def rings(length):
        a = np.zeros((12, 12), bool)
        for i in range(6):
            ring = i // length * length
            a[i, 6 + i] = a[i, 6 + ring + (i + 1) % length] = True
        return a

    one, two = (canonical(rings(length), [0] * 12) for length in (6, 3))
    assert one != two
    rng = np.random.default_rng(4)
    assert canonical(*relabelled(rng, rings(3), [0] * 12)) == two
