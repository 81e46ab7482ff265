"""Encoders against `to_graph` of each space, and vertex shapes."""

import jax
import numpy as np
import pytest

import nasjax
from nasjax.grasp import EncodeConfig, encode
from nasjax.spaces import cell101_graph, dag
from nasjax.types import InputError


def edges_of(graphs, row):
    """Labelled edges of a graph, places without a node left out."""
    kept = np.flatnonzero(graphs.ops[row] >= 0)
    number = {int(node): i for i, node in enumerate(kept)}
    labels = tuple(graphs.vocabulary[graphs.ops[row, node]] for node in kept)
    return labels, sorted((number[int(a)], number[int(b)]) for a, b in np.argwhere(graphs.adjacency[row]))


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101"])
def test_graphs_are_those_of_the_space(name):
    space = nasjax.get_space(name)
    archs = np.asarray(space.sample(jax.random.key(1), 24))
    graphs = encode(space, archs, config=EncodeConfig(drop_dead=False))
    for row, arch in enumerate(archs):
        graph = space.to_graph(arch)
        assert edges_of(graphs, row) == (graph.nodes, sorted(graph.edges))


def test_darts_holds_both_cells():
    space = nasjax.get_space("darts")
    archs = np.asarray(space.sample(jax.random.key(2), 12))
    graphs = encode(space, archs)
    for row, arch in enumerate(archs):
        labels, edges = edges_of(graphs, row)
        graph = space.to_graph(arch)
        assert [label.split(":")[1] for label in labels] == list(graph.nodes) and edges == sorted(graph.edges)
        half = labels.index("reduce:c_{k-2}")
        assert all(label.startswith("normal") for label in labels[:half])
        assert not any(a < half <= b for a, b in edges)
    reduced = graphs.shapes[0, 11:13], graphs.shapes[0, graphs.ops[0] == graphs.vocabulary.index("reduce:output")]
    assert reduced[0][0].tolist() == [32, 32, 36, 36, 1] and reduced[1][0].tolist() == [16, 16, 72, 72, 1]


def test_dead_operations_are_dropped_and_duplicates_become_equal():
    space = nasjax.get_space("nasbench201")
    dead = space.decode(["|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"])
    clean = space.decode(["|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"])
    assert space.canonical(dead[0]) != "" and not dag.live_edges(dead)[0, 0]
    both = encode(space, np.concatenate([dead, clean]))
    np.testing.assert_array_equal(both.ops[0], both.ops[1])
    np.testing.assert_array_equal(both.adjacency[0], both.adjacency[1])
    kept = encode(space, dead, config=EncodeConfig(drop_dead=False))
    assert (kept.ops >= 0).sum() == (both.ops[0] >= 0).sum() + 2


def test_skips_become_edges():
    space = nasjax.get_space("nasbench201")
    text = "|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"
    graphs = encode(space, text, config=EncodeConfig(skip="contract"))
    assert edges_of(graphs, 0) == (("input", "nor_conv_3x3", "output"), [(0, 1), (1, 2)])


def test_shapes_follow_the_space():
    small = encode(nasjax.get_space("nasbench201", image_size=16, channels=8), np.array([[1, 2, 3, 4, 2, 3]]))
    assert small.shapes[0, 1].tolist() == [16, 16, 8, 8, 1]
    space = nasjax.get_space("nasbench101")
    archs = np.asarray(space.sample(jax.random.key(3), 16))
    graphs, pruned = encode(space, archs), cell101_graph.prune(archs)
    np.testing.assert_array_equal(graphs.shapes[:, 1:-1, 3], cell101_graph.widths(pruned, 128))
    reads = pruned.matrix[:, 0, 1:-1] & (pruned.kinds > 0)
    assert (graphs.shapes[:, 1:-1, 2][reads] == 128).all()
    assert len({*graphs.shapes[:, 1:-1, 3][pruned.kinds > 0].tolist()}) > 2


def test_other_spaces_are_drawn_as_they_are():
    space = nasjax.get_space("transnas_micro")
    archs = np.asarray(space.sample(jax.random.key(0), 4))
    graphs = encode(space, archs)
    assert edges_of(graphs, 2) == (space.to_graph(archs[2]).nodes, sorted(space.to_graph(archs[2]).edges))


def test_options_are_checked():
    with pytest.raises(InputError, match="allowed: 'node', 'contract'"):
        EncodeConfig(skip="drop")
    with pytest.raises(InputError, match="True and False"):
        EncodeConfig(drop_dead="yes")


def test_kronecker_has_the_shape_of_every_vertex():
    space = nasjax.get_space("kronecker", channels=4, num_blocks=4, num_stages=2, image_size=16)
    archs = np.asarray(space.sample(jax.random.key(5), 4))
    graphs = encode(space, space.encode(archs))  # JSON
    assert graphs.vocabulary[0] == "input" and graphs.vocabulary[-1] == "output"
    for row, arch in enumerate(archs):
        graph = space.to_graph(arch)
        assert edges_of(graphs, row) == (graph.nodes, sorted(graph.edges))
        np.testing.assert_array_equal(graphs.shapes[row, : len(graph.nodes)], space.vertex_shapes(arch))
    assert {*graphs.shapes[0, 1:-1, 0].tolist()} >= {16.0, 8.0}
