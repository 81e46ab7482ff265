"""Tests of nasjax.spaces.kronecker_plan: the graph of an architecture in the skeleton."""

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

from nasjax.spaces import kronecker_plan as plan
from nasjax.spaces.kronecker import Kronecker
from nasjax.spaces.kronecker_codec import ABSENT, parts
from nasjax.spaces.kronecker_graph import kron_dag
from nasjax.types import InputError

SIZES = {"channels": 4, "num_blocks": 4, "num_stages": 2, "min_vertices": 2, "max_vertices": 4, "image_size": 8}
SPACES = {
    "default": Kronecker(**SIZES),
    "plain product": Kronecker(**SIZES, outer_loops=False, inner_loops=False),
    "no inner loops": Kronecker(**SIZES, inner_loops=False),
    "no outer loops": Kronecker(**SIZES, outer_loops=False),
    "wider": Kronecker(**SIZES, outer=((0, 1), (0, 2), (1, 2), (2, 3), (1, 3))),
}
CASES = pytest.mark.parametrize("space", list(SPACES.values()), ids=list(SPACES))


def reference(space, arch):
    """The product by networkx, without vertices on no path: slot -> slots that it reads, starts, ends."""
    own = parts(np, space._form, arch)
    n, most = int(own.count), space.max_vertices
    outer = np.zeros((space.num_blocks,) * 2, int)
    for b, c in space.outer:
        outer[b, c] = 1
    product = kron_dag(outer, own.wiring[:n, :n], space.outer_loops, space.inner_loops)
    whole = nx.from_numpy_array(product, create_using=nx.DiGraph)
    block = {v: v // n for v in whole}
    starts = [v for v in whole if block[v] == 0 and not whole.in_degree(v)]
    ends = [v for v in whole if block[v] == space.num_blocks - 1 and not whole.out_degree(v)]
    fed = set(starts).union(*(nx.descendants(whole, v) for v in starts)) if starts else set()
    used = set(ends).union(*(nx.ancestors(whole, v) for v in ends)) if ends else set()
    slot = {v: v // n * most + v % n for v in whole}
    live = fed & used
    edges = {(slot[a], slot[b]) for a, b in whole.edges if a in live and b in live}
    return {slot[v] for v in live}, edges, {slot[v] for v in starts if v in live}, {slot[v] for v in ends if v in live}


def found(space, graph):
    """The same out of a `Wiring`."""
    sizes, v = space._sizes, space._sizes.slots
    edges = set()
    for s in range(sizes.num_stages):
        edges |= {(a + s * v, b + s * v) for a, b in np.argwhere(graph.same[s]).tolist()}
        if graph.cross[s] is not None:
            froms, to = sizes.slots_of(sizes.read(s - 1)) + (s - 1) * v, sizes.slots_of(sizes.reading(s)) + s * v
            edges |= {(int(froms[a]), int(to[b])) for a, b in np.argwhere(graph.cross[s]).tolist()}
    live = set(np.flatnonzero(np.concatenate(graph.live)).tolist())
    ends = {s + (sizes.num_stages - 1) * v for s in np.flatnonzero(graph.ends).tolist()}
    return live, edges, set(np.flatnonzero(graph.starts).tolist()), ends


@CASES
def test_the_graph_is_the_product_without_dangling_vertices(space):
    archs = np.concatenate([space.by_id(range(25)), space.extremes()[:1]])  # the latter is the shortest chain
    whole = plan.wiring(np, space._sizes, archs)
    sizes = []
    for i, arch in enumerate(archs):
        one = plan.wiring(np, space._sizes, arch)
        assert found(space, one) == reference(space, arch)
        np.testing.assert_array_equal(whole.same[1][i], one.same[1])
        sizes.append(sum(live.sum() for live in one.live))
        assert space.is_valid(arch)[0] == (sizes[-1] > 0)
        ops = np.concatenate(one.ops)
        assert ((ops == ABSENT) == ~np.concatenate(one.live)).all()
    if space is SPACES["default"]:
        assert sizes == [4 * int(arch[0]) for arch in archs]  # nothing is ever deleted
    if space is SPACES["plain product"]:
        assert min(sizes[:25]) > 0  # ids lead through
        assert min(sizes) == 0 and space.is_valid(archs[int(np.argmin(sizes))])[1].startswith("no path")


def test_traced_graphs_are_the_same():
    space = SPACES["wider"]
    arch = space.by_id([3])[0]
    one, traced = (plan.wiring(xp, space._sizes, xp.asarray(arch)) for xp in (np, jnp))
    for a, b in zip(plan.Wiring(*one), plan.Wiring(*traced), strict=True):
        for x, y in zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]:
            assert (x is None and y is None) or (np.asarray(x) == np.asarray(y)).all()
    for s in range(2):
        own, other = (plan.order(xp, space._sizes, g, s) for xp, g in ((np, one), (jnp, traced)))
        for x, y in zip(own, other, strict=True):
            np.testing.assert_array_equal(x, y)


@CASES
def test_a_vertex_runs_behind_what_it_reads(space):
    for arch in space.by_id(range(8)):
        graph = plan.wiring(np, space._sizes, arch)
        for s in range(2):
            own = plan.order(np, space._sizes, graph, s)
            done = []
            for slot in own.slots[: own.count].tolist():
                read = own.sources[slot, : own.degree[slot]].tolist()
                assert set(read) <= set(done) and read == np.flatnonzero(graph.same[s][:, slot]).tolist()
                done.append(slot)
            assert set(done) == set(np.flatnonzero(graph.live[s]).tolist())


def test_graph_and_shapes():
    space = SPACES["default"]
    arch = space.decode({"vertices": 2, "edges": [[0, 1]], "ops": ["conv3x3", "identity"]})[0]
    graph = space.to_graph(arch)
    assert graph.nodes == ("input", *["conv3x3", "identity"] * 4, "output")
    within = [(b + 1, b + 2) for b in range(0, 8, 2)]
    onward = [e for b in range(1, 6, 2) for e in ((b, b + 2), (b + 1, b + 3), (b, b + 3))]
    assert set(graph.edges) == {(0, 1), (8, 9), *within, *onward}
    wanted = [[8, 8, 3, 4, 1], *[[8, 8, 4, 4, 1]] * 4, *[[4, 4, 4, 8, 2]] * 2, *[[4, 4, 8, 8, 1]] * 2, [1, 1, 8, 10, 1]]
    assert space.vertex_shapes(arch).tolist() == wanted
    assert space.vertex_places(arch).tolist() == [[b, u] for b in range(4) for u in range(2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_blocks": 3}, "num_blocks=3 cannot be shared among 2 stages"),
        ({"outer": ((1, 0),)}, "outer edge 1 -> 0"),
        ({"outer": ((0, 4),)}, "outer edge 0 -> 4"),
        ({"num_stages": 4, "outer": ((0, 2),)}, "skips a stage"),
        ({"image_size": 7}, "7x7 with 2 stages; allowed are multiples of 2"),
        ({"image_size": 6, "stem_stride": 2}, "multiples of 4"),
        ({"channels": 0}, "channels=0"),
        ({"head_relu": 1}, "head_relu=1"),
        ({"form": "both"}, "form='both'; allowed are masked, unrolled"),
        ({"precision": "best"}, "precision"),
    ],
)
def test_skeletons_that_do_not_fit(options, message):
    with pytest.raises(InputError, match=message):
        Kronecker(**(SIZES | options))
