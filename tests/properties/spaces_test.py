"""Every registered space: codes and arrays name the same architectures, and what is no code is refused."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasjax import grasp
from nasjax.spaces import registry
from nasjax.types import InputError

from .texts import NONSENSE, VALUES, slips

NUMBER = 48
# By the published rule, cells are equal, too, where an operation that two paths share is there twice.
UNFOLDED = ("nasbench201", "transnas_micro")
SAME_MOVES = ("autoformer_small", "autoformer_base")  # as autoformer_tiny
rows = st.integers(0, NUMBER - 1)


@functools.cache
def known(name):
    """A space, some of its architectures, and mutations and children of them."""
    space = registry.get_space(name)
    if name in SAME_MOVES:
        archs = np.asarray(space.sample(jax.random.key(0), NUMBER))
        return space, archs, space.encode(archs)
    first = space.sample(jax.random.key(0), NUMBER // 2)
    keys = jax.random.split(jax.random.key(1), NUMBER // 2)
    moved = jax.jit(jax.vmap(space.mutate))(keys[::2], first[::2])
    mixed = jax.jit(jax.vmap(space.crossover))(keys[1::2], first[::2], first[1::2])
    archs = np.concatenate([np.asarray(part) for part in (first, moved, mixed)])
    return space, archs, space.encode(archs)


@pytest.fixture(params=registry.names())
def name(request):
    return request.param


def test_codes_name_the_architectures_that_they_were_made_of(name):
    space, archs, codes = known(name)
    again = space.decode(codes)
    assert again.dtype == np.int32 and again.shape == archs.shape
    assert space.encode(again) == codes, "mutations and children included"
    np.testing.assert_array_equal(space.decode(space.encode(again)), again)
    if name != "nasbench101":  # its codes forget vertices on no path
        np.testing.assert_array_equal(again, archs)
    for arch, other in zip(archs, again, strict=True):
        assert space.canonical(arch) == space.canonical(other)
        assert space.is_valid(arch) == space.is_valid(other)


def test_sizes_are_whole_numbers_and_the_same_for_equal_functions(name):
    space, archs, codes = known(name)
    own = {}
    for number in range(0, NUMBER, 6):
        family = np.concatenate([archs[number : number + 1], np.asarray(space.neighbours(archs[number]))[:40]])
        params, flops = (np.asarray(count(family)) for count in (space.num_params, space.flops))
        for arch, *sizes in zip(family, params.tolist(), flops.tolist(), strict=True):
            assert all(isinstance(size, int) and size >= 0 for size in sizes)
            if space.is_valid(arch)[0]:
                assert min(sizes) > 0
            assert name in UNFOLDED or own.setdefault(space.canonical(arch), sizes) == sizes


@given(row=rows)
def test_one_by_one_as_together(row):
    for name in registry.names():
        space, archs, codes = known(name)
        assert space.encode(archs[row][None]) == [codes[row]]
        np.testing.assert_array_equal(space.decode([codes[row]])[0], space.decode(codes)[row])
        np.testing.assert_array_equal(space.decode(codes[row])[0], space.decode([codes[row]])[0])


@pytest.mark.parametrize("what", ["slips", "nonsense", "values"])
def test_what_is_no_code_is_refused(name, what):
    space, archs, codes = known(name)

    @given(encoding={"slips": slips(st.sampled_from(codes)), "nonsense": NONSENSE, "values": VALUES}[what])
    def check(encoding):
        try:
            found = space.decode([encoding])
        except InputError as error:
            assert 10 < len(str(error)) < 2500
            return
        assert found.shape == (1, *archs.shape[1:]) and found.dtype == np.int32
        again = space.encode(found)
        np.testing.assert_array_equal(space.decode(again)[0], space.decode(space.encode(space.decode(again)))[0])
        assert space.encode(space.decode(again)) == again
        assert space.canonical(space.decode(again)[0]) == space.canonical(found[0])

    check()


@given(data=st.data())
def test_arrays_that_are_no_architectures_are_refused(data):
    for name in registry.names():
        space, archs, _ = known(name)
        arch = archs[data.draw(rows)].astype(np.int64)
        place = data.draw(st.integers(0, arch.size - 1))
        arch.reshape(-1)[place] = data.draw(st.sampled_from([-1, -(2**31), 2**31 - 1, 2**40, 7, 99]))
        try:
            found = space.decode(arch[None])
        except InputError:
            continue
        np.testing.assert_array_equal(found[0], arch)
        assert space.decode(space.encode(found)).shape == found.shape


def test_graphs_hold_every_architecture(name):
    """GRASP reads any of them: equal codes give equal graphs, functions that differ give others."""
    space, archs, codes = known(name)
    one, two = grasp.encode(space, archs), grasp.encode(space, codes)
    for field in ("ops", "adjacency", "shapes"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
    assert len(one) == NUMBER and one.vocabulary == two.vocabulary
    texts = {}
    for number in range(NUMBER):
        content = b"".join(a[number].tobytes() for a in (one.ops, one.adjacency, one.shapes))
        assert texts.setdefault(content, space.canonical(archs[number])) == space.canonical(archs[number])
