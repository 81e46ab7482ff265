"""The network by jraph, by dense matrices, and by an oracle of segment sums."""

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest

import nasjax
from nasjax.grasp import FeatureConfig, ModelConfig, encode
from nasjax.grasp.features import Inputs, edge_lists, fit_scaling, inputs
from nasjax.grasp.model import RankGCN, to_tuple

NONE = FeatureConfig()


@pytest.fixture(scope="module")
def graphs():
    space = nasjax.get_space("nasbench201")
    return encode(space, np.asarray(space.sample(jax.random.key(0), 6)))


def made(graphs, **options):
    model = ModelConfig(layers=2, width=6, dropout=0.0, **options)
    return model, inputs(graphs, NONE, model, fit_scaling(graphs, ()))


def oracle(params, given, direction, layers):
    """The same network from edges, graph by graph, in NumPy-like segment sums."""
    scores = []
    for nodes, mask, (senders, receivers) in zip(given.nodes, given.mask, given.links, strict=True):
        size = nodes.shape[0]
        real = senders < size
        senders, receivers = senders[real], receivers[real]
        own = np.arange(size)
        h = jnp.asarray(nodes)

        def gather(h, s, r, size=size, own=own):
            s, r = np.concatenate([s, own]), np.concatenate([r, own])
            return jax.ops.segment_sum(h[s], r, size), jnp.maximum(jax.ops.segment_sum(jnp.ones(len(r)), r, size), 1)

        for layer in range(layers):
            p = params[f"layer_{layer}"]
            z = h @ p["weights"]["kernel"]
            if direction == "succ":
                z, _ = gather(z, senders, receivers)
            elif direction == "sym":
                _, degree = gather(z, senders, receivers)
                root = jnp.sqrt(degree)[:, None]
                z = gather(z / root, senders, receivers)[0] / root
            else:
                a, b = jnp.split(z, 2, -1)
                (fa, fn), (ba, bn) = gather(a, senders, receivers), gather(b, receivers, senders)
                z = (fa / fn[:, None] + ba / bn[:, None]) / 2
            z = z + p["bias"][None]
            mean, var = z.mean(-1, keepdims=True), z.var(-1, keepdims=True)
            norm = params[f"norm_{layer}"]
            h = jax.nn.relu((z - mean) / jnp.sqrt(var + 1e-6) * norm["scale"][None] + norm["bias"][None])
        embedding = (h * mask[:, None]).sum(0) / mask.sum()
        scores.append((embedding @ params["score"]["kernel"] + params["score"]["bias"])[0])
    return jnp.stack(scores)


@pytest.mark.parametrize(("direction", "readout"), [("sym", "mean"), ("bi", "global"), ("succ", "global")])
def test_jraph_dense_and_the_oracle_agree(graphs, direction, readout):
    model, dense = made(graphs, direction=direction, readout=readout)
    by_jraph, edges = made(graphs, direction=direction, readout=readout, implementation="jraph")
    params = RankGCN(model).init(jax.random.key(1), Inputs(*(x[:1] for x in dense)))["params"]
    params = jax.tree.map(lambda x: x + 0.1 * jnp.arange(x.size).reshape(x.shape) / x.size, params)  # no zero biases
    found = [RankGCN(m).apply({"params": params}, g).score for m, g in ((model, dense), (by_jraph, edges))]
    wanted = oracle(params, edges, direction, 2)
    assert float(jnp.std(wanted)) > 1e-3
    np.testing.assert_allclose(found[0], wanted, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(found[1], wanted, rtol=2e-5, atol=2e-5)


def test_both_have_the_same_gradient(graphs):
    model, dense = made(graphs)
    by_jraph, edges = made(graphs, implementation="jraph")
    params = RankGCN(model).init(jax.random.key(2), dense)
    first, second = (
        jax.grad(lambda p, m=m, g=g: (RankGCN(m).apply(p, g).score ** 2).sum())(params)
        for m, g in ((model, dense), (by_jraph, edges))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), first, second)


@pytest.mark.parametrize(("direction", "implementation"), [("bi", "dense"), ("sym", "jraph")])
def test_renaming_and_filling_up_change_nothing(graphs, direction, implementation):
    model, given = made(graphs, direction=direction, implementation=implementation)
    params = RankGCN(model).init(jax.random.key(3), given)
    before = RankGCN(model).apply(params, given).score
    order = np.random.default_rng(0).permutation(graphs.num_nodes)
    moved = type(graphs)(
        graphs.space, graphs.vocabulary, graphs.ops[:, order], graphs.adjacency[:, order][:, :, order],
        graphs.shapes[:, order],
    )  # fmt: skip
    wider = type(graphs)(
        graphs.space, graphs.vocabulary, np.pad(graphs.ops, ((0, 0), (0, 3)), constant_values=-1),
        np.pad(graphs.adjacency, ((0, 0), (0, 3), (0, 3))), np.pad(graphs.shapes, ((0, 0), (0, 3), (0, 0))),
    )  # fmt: skip
    for other in (moved, wider):
        after = RankGCN(model).apply(params, inputs(other, NONE, model, fit_scaling(other, ()))).score
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_the_batch_is_a_padded_jraph_tuple(graphs):
    _, given = made(graphs, implementation="jraph")
    batch = to_tuple(jnp.asarray(given.nodes), jnp.asarray(given.links))
    assert batch.n_node.tolist() == [8] * 6 + [1] and len(batch.nodes) == 49
    assert jraph.get_graph_padding_mask(batch).tolist() == [True] * 6 + [False]
    assert jraph.get_node_padding_mask(batch).tolist() == [True] * 48 + [False]
    alone = [
        jraph.GraphsTuple(nodes=n, edges=None, senders=s[s < 8], receivers=r[r < 8], globals=None,
                          n_node=np.array([8]), n_edge=np.array([(s < 8).sum()]))
        for n, (s, r) in zip(given.nodes, given.links, strict=True)
    ]  # fmt: skip
    joined = jraph.batch_np(alone)
    padded = jraph.pad_with_graphs(joined, 49, len(joined.senders) + 3, 7)
    convolution = jraph.GraphConvolution(lambda x: x, add_self_edges=True)
    np.testing.assert_allclose(convolution(batch).nodes[:48], convolution(padded).nodes[:48], atol=1e-6)


def test_edge_lists_hold_each_edge_once(graphs):
    for direction, factor in (("sym", 2), ("bi", 1), ("succ", 1)):
        lists = edge_lists(graphs.adjacency, graphs.ops >= 0, direction)
        assert ((lists[:, 0] < 8).sum(1) == factor * graphs.adjacency.sum((1, 2))).all()


def test_pair_head_gives_a_total_order(graphs):
    model, given = made(graphs)
    net = RankGCN(model, pair_head=True)
    read = net.apply(net.init(jax.random.key(4), given), given)
    logits = read.pair[:, None, 0] + read.pair[None, :, 1]
    antisymmetric = (logits - logits.T) / 2
    np.testing.assert_allclose(antisymmetric, read.score[:, None] - read.score[None], rtol=1e-4, atol=1e-6)
