"""Populations of graphs: checks, indexing, and what is refused."""

import numpy as np
import pytest

import nasjax
from nasjax.grasp import EncodeConfig, concatenate, encode, from_graphs
from nasjax.grasp.graphs import as_graphs, check_acyclic, depths
from nasjax.types import Graph, InputError

CHAIN = Graph(("input", "a", "output"), ((0, 1), (1, 2)))
FORK = Graph(("input", "a", "b", "output"), ((0, 1), (0, 2), (1, 3), (2, 3)))


@pytest.fixture
def pair():
    return from_graphs([CHAIN, FORK])


def test_smaller_graphs_are_filled_up(pair):
    assert pair.vocabulary == ("a", "b", "input", "output") and pair.num_nodes == 4
    assert pair.ops[0].tolist() == [2, 0, 3, -1]
    assert np.argwhere(pair.adjacency[1]).tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]


def test_cycles_are_refused():
    with pytest.raises(InputError, match=r"graph 1 has a cycle \(nodes \[1, 2\]\)"):
        from_graphs([CHAIN, Graph(("input", "a", "a"), ((0, 1), (1, 2), (2, 1)))])
    backwards = np.zeros((1, 3, 3), bool)
    backwards[0, 2, 1] = backwards[0, 1, 0] = True
    check_acyclic(backwards)  # another numbering is no cycle
    backwards[0, 0, 2] = True
    with pytest.raises(InputError, match="cycle"):
        check_acyclic(backwards)


def test_unknown_operations_and_edges_are_refused(pair):
    with pytest.raises(InputError, match="unknown operation 'b'; allowed: input, a, output"):
        from_graphs([FORK], vocabulary=("input", "a", "output"))
    with pytest.raises(InputError, match="edge 0 -> 9"):
        from_graphs([Graph(("a", "b"), ((0, 9),))])
    with pytest.raises(InputError, match="unknown operation number 7"):
        type(pair)("custom", pair.vocabulary, np.full((2, 4), 7, np.int32), pair.adjacency, pair.shapes)
    with pytest.raises(InputError, match="place without a node"):
        type(pair)("custom", pair.vocabulary, np.where(pair.ops == 0, -1, pair.ops), pair.adjacency, pair.shapes)


def test_two_spaces_do_not_mix(pair):
    other = from_graphs([CHAIN], space="other", vocabulary=pair.vocabulary)
    with pytest.raises(InputError, match="graphs of two spaces: 'other' beside 'custom'"):
        concatenate([pair, other])
    with pytest.raises(InputError, match="with other labels"):
        as_graphs([pair, from_graphs([CHAIN])])
    with pytest.raises(InputError, match="encode the architectures first"):
        as_graphs("cells")


def test_labels_may_be_counted_anew(pair):
    chain = from_graphs([CHAIN])
    again = chain.relabelled(pair.vocabulary)
    assert again.ops.tolist() == pair.ops[:1, :3].tolist() and len(as_graphs([pair, again])) == 3
    with pytest.raises(InputError, match="b is not among a, input, output"):
        pair.relabelled(chain.vocabulary)
    assert pair[:1].relabelled(chain.vocabulary).ops.tolist() == [[1, 0, 2, -1]]


def test_graphs_encoded_in_two_ways_do_not_mix():
    space = nasjax.get_space("nasbench201")
    cells = np.asarray(space.all())[[15624, 9000]]
    skips, nodes = (encode(space, cells, config=EncodeConfig(skip=skip)) for skip in ("contract", "node"))
    with pytest.raises(InputError, match="skip='contract' beside drop_dead=True, skip='node'; do: encode both alike"):
        concatenate([nodes, skips])
    assert len(concatenate([nodes, nodes[:1]])) == 3
    for wrong in ({"num_classes": 0, "num_images": 10}, {"num_classes": 10, "num_images": np.nan}):
        with pytest.raises(InputError, match="at least 1"):
            nodes.with_dataset(**wrong)


def test_rows_and_parts(pair):
    marked = pair.with_proxies({"cost": [1.0, 2.0], "degree": pair.adjacency.sum(1)})
    assert marked[[1]].proxies["cost"].tolist() == [2.0] and len(marked[1:]) == 1
    both = concatenate([marked[:1], marked[1:]])
    assert both.proxies["cost"].tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(both.node_proxies["degree"], marked.node_proxies["degree"])
    assert both.with_dataset(num_classes=10, num_images=5e4).dataset.tolist() == [[10, 5e4]] * 2
    with pytest.raises(InputError, match="proxy 'cost' has shape"):
        pair.with_proxies({"cost": [1.0, 2.0, 3.0]})


def test_depth_is_the_longest_path(pair):
    shortcut = from_graphs([Graph(("a", "b", "c"), ((0, 1), (1, 2), (0, 2)))])
    assert depths(shortcut.adjacency).tolist() == [[0, 1, 2]]
    assert depths(pair.adjacency)[1].tolist() == [0, 1, 1, 2]
