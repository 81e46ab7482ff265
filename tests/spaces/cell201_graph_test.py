"""Tests of nasjax.spaces.cell201_graph."""

import numpy as np
import pytest

from nasjax.spaces import cell201_graph as graph
from nasjax.spaces.cell201_codec import EDGES, from_string
from nasjax.spaces.cell201_moves import all_architectures
from nasjax.types import InputError

NONE, SKIP, CONV1, CONV3, POOL = range(5)
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))  # edges of every way from node 0 to node 3


@pytest.fixture(scope="module")
def everything():
    return all_architectures()


@pytest.fixture(scope="module")
def texts(everything):
    return graph.canonical(everything)


def test_published_number_of_classes(texts):
    assert len(set(texts)) == 6466


def test_agrees_with_the_published_groups(shared):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(shared / "data" / "nasbench201.csv.gz", usecols=["arch_string", "iso_group"])
    table["text"] = graph.canonical(from_string(table["arch_string"].tolist()))
    # A bijection between texts and groups on every row.
    assert table.groupby("text")["iso_group"].nunique().max() == 1
    assert table.groupby("iso_group")["text"].nunique().max() == 1


def test_equal_texts_mean_equal_functions(everything, texts):
    x = np.array([0.3, 0.7])
    functions = [
        np.zeros_like,
        lambda v: v,
        lambda v: np.sin(1.3 * v),
        lambda v: v * np.exp(-v),
        lambda v: np.tanh(v) ** 3,
    ]
    nodes = [np.broadcast_to(x, (len(everything), 2)), *(np.zeros((len(everything), 2)) for _ in range(3))]
    for edge, (source, target) in enumerate(EDGES):
        for op, function in enumerate(functions):
            rows = everything[:, edge] == op
            nodes[target][rows] += function(nodes[source][rows])
    values = [tuple(row) for row in np.round(nodes[3], 10).tolist()]
    assert len(set(values)) == 4930
    assert len(set(zip(texts, values, strict=True))) == 6466


def test_canonical_rules():
    def same(a, b):
        return graph.canonical(a) == graph.canonical(b)

    assert same([CONV3, NONE, NONE, SKIP, NONE, NONE], [NONE, NONE, NONE, SKIP, NONE, NONE])  # nobody reads node 1
    assert same([SKIP, CONV1, NONE, NONE, CONV3, NONE], [NONE, NONE, NONE, CONV3, NONE, NONE])  # skip is the identity
    assert same([CONV1, CONV1, NONE, NONE, CONV3, NONE], [CONV1, NONE, NONE, NONE, CONV3, NONE])  # nobody reads node 2
    assert not same([CONV1, NONE, NONE, SKIP, CONV3, NONE], [NONE, CONV1, NONE, SKIP, NONE, CONV3])  # a zero is kept
    assert not same([SKIP, NONE, NONE, SKIP, SKIP, NONE], [NONE, NONE, NONE, SKIP, NONE, NONE])  # x+x is not x
    assert not same([NONE, NONE, NONE, CONV1, NONE, NONE], [NONE, NONE, NONE, CONV3, NONE, NONE])


def test_canonical_text():
    assert graph.canonical([NONE, NONE, NONE, POOL, NONE, NONE]) == "#+#+(0)@avg_pool_3x3"
    assert graph.canonical(np.zeros((0, 6), dtype=np.int32)) == []


def test_validity_of_the_whole_space(everything):
    valid, reasons = graph.is_valid(everything)
    expected = np.zeros(len(everything), dtype=bool)
    for path in PATHS:
        expected |= (everything[:, path] != NONE).all(axis=1)
    np.testing.assert_array_equal(valid, expected)
    assert all(bool(reason) != ok for ok, reason in zip(valid, reasons, strict=True))


def test_validity_of_one():
    assert graph.is_valid([NONE, NONE, NONE, SKIP, NONE, NONE]) == (True, "")
    assert graph.is_valid([CONV3, NONE, NONE, NONE, NONE, CONV3]) == (False, "no path from input to output")
    assert type(graph.is_valid([0] * 6)[0]) is bool


def test_live_edges_of_the_whole_space(everything):
    expected = np.zeros(everything.shape, dtype=bool)
    for path in PATHS:
        expected[:, path] |= (everything[:, path] != NONE).all(axis=1)[:, None]
    live = graph.live_edges(everything)
    np.testing.assert_array_equal(live, expected)
    np.testing.assert_array_equal(graph.live_edges(everything[77]), live[77])


def test_published_number_without_dead_branches(everything):
    clean = (graph.live_edges(everything) == (everything != NONE)).all(axis=1)
    assert clean.sum() == 9445  # with the cell of nothing but none
    assert (clean & graph.is_valid(everything)[0]).sum() == 9444


def test_graph_of_a_cell():
    cell = graph.to_graph([CONV3, SKIP, POOL, NONE, CONV1, NONE])
    assert cell.nodes == ("input", "nor_conv_3x3", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "output")
    assert cell.edges == ((0, 1), (0, 2), (1, 3), (1, 4), (4, 5))


def test_graph_of_extremes():
    empty = graph.to_graph([NONE] * 6)
    assert empty.nodes == ("input", "output") and empty.edges == ()
    full = graph.to_graph([CONV3] * 6)
    assert len(full.nodes) == 8 and len(full.edges) == 3 + 4 + 3  # out of the input, inside, into the output


def test_graphs_are_topological(everything):
    for arch in everything[::61]:
        cell = graph.to_graph(arch)
        assert len(cell.nodes) == 2 + (arch != NONE).sum()
        assert all(source < target for source, target in cell.edges)
        reached = {0}
        for source, target in sorted(cell.edges):
            if source in reached:
                reached.add(target)
        assert (len(cell.nodes) - 1 in reached) == graph.is_valid(arch)[0]


@pytest.mark.parametrize("function", [graph.is_valid, graph.live_edges, graph.canonical, graph.to_graph])
def test_bad_architecture(function):
    with pytest.raises(InputError, match="out of range"):
        function([0, 0, 0, 0, 9, 0])
