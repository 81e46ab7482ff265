"""Tests of nasjax.spaces.kronecker_laws: random architectures."""

import itertools
import subprocess
import sys

import jax
import networkx as nx
import numpy as np
import pytest

from nasjax.spaces import kronecker_laws as laws
from nasjax.spaces.kronecker import Kronecker
from nasjax.spaces.kronecker_codec import parts
from nasjax.spaces.kronecker_graph import to_networkx
from nasjax.types import InputError

SIZES = {"channels": 4, "num_blocks": 2, "num_stages": 1, "image_size": 8}
SPACE = Kronecker(min_vertices=3, max_vertices=5, **SIZES)


def test_an_id_is_one_architecture_in_any_process(root):
    code = (
        "from nasjax.spaces.kronecker import Kronecker\n"
        f"space = Kronecker(min_vertices=3, max_vertices=5, **{SIZES})\n"
        "print(*space.encode(space.by_id([7, 2])), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == SPACE.encode(SPACE.by_id([7, 2]))
    laws._drawn.cache_clear()
    alone = SPACE.by_id([7])
    np.testing.assert_array_equal(SPACE.by_id(range(9))[7], alone[0])
    other = Kronecker(min_vertices=3, max_vertices=5, space_seed=1, **SIZES)
    assert SPACE.encode(other.by_id(range(5))) != SPACE.encode(SPACE.by_id(range(5)))
    assert SPACE.by_id([]).shape == (0, SPACE.by_id([0]).shape[1])


def test_no_two_ids_are_isomorphic():
    small = Kronecker(min_vertices=2, max_vertices=3, **SIZES)
    whole = []
    for arch in small.by_id(range(40)):
        own = parts(np, small._form, arch)
        n = int(own.count)
        whole.append(to_networkx(own.wiring[:n, :n], own.ops[0, :n].tolist()))
    for a, b in itertools.combinations(whole, 2):
        assert not nx.is_isomorphic(a, b, node_match=lambda x, y: x["op"] == y["op"])


def test_a_space_may_have_no_more():
    tiny = Kronecker(min_vertices=1, max_vertices=1, **SIZES)
    assert len(set(tiny.encode(tiny.by_id(range(4))))) == 4  # the operations
    with pytest.raises(InputError, match="unlike the 4 with smaller ids"):
        tiny.by_id([4])
    assert tiny.sample(jax.random.key(0), 9).shape == (9, 2)
    for ids in ([-1], [1.5], [10**9]):
        with pytest.raises(InputError, match="allowed are integers from 0"):
            tiny.by_id(ids)


@pytest.mark.parametrize("generator", laws.GENERATORS)
def test_wirings_are_connected_and_of_their_law(generator):
    space = Kronecker(min_vertices=4, max_vertices=6, generator=generator, ba_m=(2,), ws_k=(2,), **SIZES)
    rng = np.random.default_rng(0)
    for count in (1, 2, 4, 6):
        for _ in range(5):
            wiring = laws.random_wiring(rng, space._law, count)
            assert wiring.shape == (count, count) and not np.tril(wiring).any()
            assert count == 1 or nx.is_connected(nx.from_numpy_array(wiring | wiring.T))
            if generator == "ws" and count > 2:
                assert wiring.sum() == count  # moving keeps the number of edges
            if generator == "ba" and count > 2:
                assert wiring.sum() == 2 * (count - 2)
    assert {int(a[0]) for a in space.by_id(range(30))} == {4, 5, 6}


def test_drawn_architectures_lead_through():
    space = Kronecker(min_vertices=3, max_vertices=5, num_blocks=4, num_stages=1, channels=4, image_size=8,
                      inner_loops=False)  # fmt: skip
    drawn = [*space.by_id(range(10)), *np.asarray(space.sample(jax.random.key(0), 10))]
    assert all(space.is_valid(arch)[0] for arch in drawn)
    chain, short = '{"vertices":4,"edges":[[0,1],[1,2],[2,3]],"ops":["identity","identity","identity","identity"]}', (
        '{"vertices":3,"edges":[[0,1],[1,2]],"ops":["identity","identity","identity"]}')  # fmt: skip
    assert [space.is_valid(arch)[0] for arch in space.decode([chain, short])] == [True, False]
    none = Kronecker(min_vertices=3, max_vertices=3, num_blocks=4, num_stages=1, image_size=8, inner_loops=False)
    with pytest.raises(InputError, match="no architecture unlike the 0 with smaller ids, with a path"):
        none.by_id([0])
    with pytest.raises(InputError, match="no architecture, with a path from the first block to the last, in 1,000"):
        none.sample(jax.random.key(0), 2)


def test_samples_depend_on_the_key_and_may_be_traced():
    first = np.asarray(SPACE.sample(jax.random.key(0), 6))
    assert first.dtype == np.int32
    np.testing.assert_array_equal(jax.jit(lambda key: SPACE.sample(key, 6))(jax.random.key(0)), first)
    np.testing.assert_array_equal(SPACE.sample(jax.random.key(0), 3), first[:3])
    assert SPACE.encode(SPACE.sample(jax.random.key(1), 6)) != SPACE.encode(first)
    assert len({SPACE.canonical(arch) for arch in np.asarray(SPACE.sample(jax.random.key(2), 60))}) == 60
    assert SPACE.sample(jax.random.key(0), 0).shape == (0, first.shape[1])
    with pytest.raises(InputError, match="allowed: an integer >= 0"):
        SPACE.sample(jax.random.key(0), -1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generator": "ring"}, "generator='ring'; allowed are ws, er, ba, mixed"),
        ({"ws_p": (0.5, 2.0)}, "ws_p"),
        ({"er_p": (0.0, 0.5)}, "er_p"),
        ({"ws_k": ()}, "ws_k"),
        ({"ba_m": (0,)}, "ba_m"),
        ({"space_seed": -1}, "space_seed"),
    ],
)
def test_laws_that_cannot_be_drawn_from(options, message):
    with pytest.raises(InputError, match=message):
        Kronecker(**SIZES, **options)


def test_a_graph_that_is_never_connected():
    space = Kronecker(min_vertices=8, max_vertices=8, generator="er", er_p=(0.001, 0.001), **SIZES)
    with pytest.raises(InputError, match="no connected er graph of 8 vertices.*raise er_p"):
        space.by_id([0])
