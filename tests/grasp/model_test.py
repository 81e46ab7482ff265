"""The network by jraph, by dense matrices, and by an oracle of segment sums."""

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest

import nasjax
from nasjax.grasp import FeatureConfig, ModelConfig, encode
from nasjax.grasp.features import edge_lists, fit_scaling, inputs
from nasjax.grasp.model import RankGCN, to_tuple

NONE = FeatureConfig()


@pytest.fixture(scope="module")
def graphs():
    space = nasjax.get_space("nasbench201")
    return encode(space, np.asarray(space.sample(jax.random.key(0), 6)))


def made(graphs, **options):
    model = ModelConfig(layers=2, width=6, dropout=0.0, **options)
    return model, inputs(graphs, NONE, model, fit_scaling(graphs, ()))


def start(model, given, seed):
    """Random parameters, none of them zero."""
    params = jax.jit(RankGCN(model).init)(jax.random.key(seed), given)["params"]
    return jax.tree.map(lambda x: x + 0.1 * np.arange(x.size).reshape(x.shape) / x.size, params)


def score(model, params, given):
    return jax.jit(lambda p, g: RankGCN(model).apply({"params": p}, g).score)(params, given)


def oracle(params, given, direction, layers):
    """The same network from edges, graph by graph, in sums over segments."""
    params = jax.tree.map(np.asarray, params)
    scores = []
    for nodes, mask, (senders, receivers) in zip(given.nodes, given.mask, given.links, strict=True):
        size = len(nodes)
        real = senders < size
        senders, receivers = senders[real], receivers[real]

        def gather(values, s, r, size=size):
            s, r = np.concatenate([s, np.arange(size)]), np.concatenate([r, np.arange(size)])
            total, degree = np.zeros_like(values), np.zeros((size, 1))
            np.add.at(total, r, values[s])
            np.add.at(degree, r, 1)
            return total, degree

        h = nodes
        for layer in range(layers):
            p, norm = params[f"layer_{layer}"], params[f"norm_{layer}"]
            z = h @ p["weights"]["kernel"]
            if direction == "succ":
                z, _ = gather(z, senders, receivers)
            elif direction == "sym":
                root = np.sqrt(gather(z, senders, receivers)[1])
                z = gather(z / root, senders, receivers)[0] / root
            else:
                a, b = np.split(z, 2, -1)
                (fa, fn), (ba, bn) = gather(a, senders, receivers), gather(b, receivers, senders)
                z = (fa / fn + ba / bn) / 2
            z = z + p["bias"]
            z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-6)
            h = np.maximum(z * norm["scale"] + norm["bias"], 0)
        embedding = (h * mask[:, None]).sum(0) / mask.sum()
        scores.append((embedding @ params["score"]["kernel"] + params["score"]["bias"])[0])
    return np.array(scores)


@pytest.mark.parametrize(("direction", "readout"), [("sym", "mean"), ("bi", "global"), ("succ", "global")])
def test_jraph_dense_and_the_oracle_agree(graphs, direction, readout):
    model, dense = made(graphs, direction=direction, readout=readout)
    by_jraph, edges = made(graphs, direction=direction, readout=readout, implementation="jraph")
    params = start(model, dense, 1)
    found = [score(m, params, g) for m, g in ((model, dense), (by_jraph, edges))]
    wanted = oracle(params, edges, direction, 2)
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(found[0], wanted, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(found[1], wanted, rtol=2e-5, atol=2e-5)


def test_both_have_the_same_gradient(graphs):
    model, dense = made(graphs)
    by_jraph, edges = made(graphs, implementation="jraph")
    params = start(model, dense, 2)
    first, second = (
        jax.jit(jax.grad(lambda p, g, m=m: (RankGCN(m).apply({"params": p}, g).score ** 2).sum()))(params, g)
        for m, g in ((model, dense), (by_jraph, edges))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), first, second)


@pytest.mark.parametrize(("direction", "implementation"), [("bi", "dense"), ("sym", "jraph")])
def test_renaming_and_filling_up_change_nothing(graphs, direction, implementation):
    model, given = made(graphs, direction=direction, implementation=implementation)
    params = start(model, given, 3)
    before = score(model, params, given)
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
        after = score(model, params, inputs(other, NONE, model, fit_scaling(other, ())))
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
    read = jax.jit(lambda g: net.apply(net.init(jax.random.key(4), g), g))(given)
    logits = read.pair[:, None, 0] + read.pair[None, :, 1]
    antisymmetric = (logits - logits.T) / 2
    np.testing.assert_allclose(antisymmetric, read.score[:, None] - read.score[None], rtol=1e-4, atol=1e-6)
