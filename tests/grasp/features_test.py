"""Features: shapes, proxies and their scale, what is refused."""

import numpy as np
import pytest

from nasjax.grasp import FeatureConfig, ModelConfig, from_graphs
from nasjax.grasp.features import fit_scaling, inputs, propagation, scaled, shape_features
from nasjax.types import Graph, InputError

CHAIN = Graph(("input", "a", "output"), ((0, 1), (1, 2)))


@pytest.fixture
def graphs():
    shapes = [[[32, 32, 16, 16, 1], [16, 16, 16, 32, 2], [16, 16, 32, 32, 1]]] * 2
    return from_graphs([CHAIN, CHAIN], shapes=shapes)


def made(graphs, model=None, **options):
    features = FeatureConfig(**options)
    return inputs(graphs, features, model or ModelConfig(), fit_scaling(graphs, features.proxies))


def test_shapes_as_logarithms_over_constants(graphs):
    wanted = [4 / 7, 4 / 7, 4 / 10, 5 / 10, 1.0]
    np.testing.assert_allclose(shape_features(graphs, "log")[0, 1], wanted)
    buckets = shape_features(graphs, "onehot")
    assert buckets.shape == (2, 3, 23) and np.flatnonzero(buckets[0, 1]).tolist() == [4, 9 + 5, 22]
    assert shape_features(graphs, "none").shape == (2, 3, 0)
    assert made(graphs).nodes.shape == (2, 3, 3 + 5) and made(graphs, shapes="none").nodes.shape == (2, 3, 3)


def test_proxies_go_to_the_head_or_to_the_nodes(graphs):
    rated = graphs.with_proxies({"cost": [3.0, np.nan], "reads": graphs.adjacency.sum(1)})
    at_head = made(rated, proxies=("cost",))
    assert at_head.whole[:, 1].tolist() == [0, 1] and at_head.nodes.shape[-1] == 8  # the second is missing
    assert made(rated, proxies=("cost",), proxies_as="node").nodes.shape[-1] == 10
    of_nodes = made(rated, proxies=("reads",))
    assert of_nodes.nodes.shape[-1] == 10 and of_nodes.whole.shape[-1] == 0
    with pytest.raises(InputError, match="no proxy 'zen'; they carry: cost, reads"):
        made(rated, proxies=("zen",))
    with pytest.raises(InputError, match="infinite for 1 graphs"):
        made(graphs.with_proxies({"cost": [np.inf, 1]}), proxies=("cost",))
    with pytest.raises(InputError, match="unknown for every graph"):
        made(graphs.with_proxies({"cost": [np.nan, np.nan]}), proxies=("cost",))


def test_ranks_become_normal_scores():
    graphs = from_graphs([CHAIN] * 2001)
    values = np.random.default_rng(0).lognormal(size=2001)
    rated = graphs.with_proxies({"cost": values})
    found = scaled(rated, ("cost",), fit_scaling(rated, ("cost",)), "rank")[0]
    assert (np.argsort(found) == np.argsort(values)).mean() > 0.99 and abs(found.mean()) < 0.02
    assert abs(found.std() - 1) < 0.05 and abs(found).max() <= 3.1
    tied = graphs.with_proxies({"cost": np.repeat([0.0, 1.0], [1500, 501])})
    low, high = np.unique(scaled(tied, ("cost",), fit_scaling(tied, ("cost",)), "rank")[0])
    assert -0.5 < low < 0 < 1 < high  # the middle of each tie
    plain = scaled(rated, ("cost",), fit_scaling(rated, ("cost",)), "standard")[0]
    np.testing.assert_allclose(plain[:5], ((values - values.mean()) / values.std())[:5])


def test_data_set_and_degrees(graphs):
    known = graphs.with_dataset(num_classes=1024, num_images=2.0**20)
    np.testing.assert_allclose(made(known, dataset=True).whole, [[1, 1], [1, 1]])
    with pytest.raises(InputError, match="with_dataset"):
        made(graphs, dataset=True)
    found = made(graphs, degrees=True).nodes[0, :, -3:]
    np.testing.assert_allclose(found, [[0, 0.25, 0], [0.25, 0.25, 0.5], [0.25, 0, 1]])


def test_propagation_is_that_of_the_publications(graphs):
    a, present = graphs.adjacency[:1], np.ones((1, 3), bool)
    both = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1.0]])
    degree = np.diag(both.sum(1) ** -0.5)
    np.testing.assert_allclose(propagation(a, present, "sym")[0, 0], degree @ both @ degree, rtol=1e-6)
    forward, backward = propagation(a, present, "bi")[0]
    np.testing.assert_allclose(forward, [[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(backward, [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1]])
    np.testing.assert_array_equal(propagation(a, present, "succ")[0, 0], a[0] + np.eye(3))


def test_a_global_node_reads_all(graphs):
    given = made(graphs, ModelConfig(readout="global", direction="succ"))
    assert given.mask.tolist() == [[0, 0, 0, 1]] * 2 and given.nodes.shape == (2, 4, 9)
    assert given.links[0, 0, 3].tolist() == [1, 1, 1, 1] and given.links[0, 0, :3, 3].tolist() == [0, 0, 0]
