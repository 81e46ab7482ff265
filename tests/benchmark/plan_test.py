"""Which architectures are trained, and in which blocks."""

import jax
import numpy as np
import pytest

from nasjax.benchmark import plan
from nasjax.benchmark.config import BenchmarkConfig
from nasjax.spaces.registry import get_space
from nasjax.types import InputError


def test_no_two_drawn_cells_are_isomorphic():
    space = get_space("nasbench201")
    found = plan.sample_distinct(jax.random.key(0), space, 40)
    archs = np.asarray(space.decode(found))
    assert len({space.canonical(arch) for arch in archs}) == len(set(found)) == 40
    assert all(space.is_valid(arch)[0] for arch in archs)
    assert plan.sample_distinct(jax.random.key(0), space, 15) == found[:15]
    assert plan.sample_distinct(jax.random.key(1), space, 15) != found[:15]
    assert not plan.isomorphic(space, found)


def test_isomorphic_cells_are_named(toys):
    assert plan.isomorphic(toys.space, ["6-1", "2-1", "7-1", "6-0"]) == [("7-1", "6-1")]


def test_a_space_may_be_too_small(toys):
    assert len(plan.sample_distinct(jax.random.key(0), toys.space, 12)) == 12
    with pytest.raises(InputError, match="at most about 12, no two of them isomorphic, none dead"):
        plan.sample_distinct(jax.random.key(0), toys.space, 13)
    assert any(text.startswith("0-") for text in plan.sample_distinct(jax.random.key(0), toys.space, 14, dead=True))


def test_blocks_share_a_signature_and_hold_everything_once(toys):
    archs = [f"{a}-{b}" for a in range(1, 6) for b in (0, 1)]
    blocks = plan.blocks(toys.space, archs, ["reds", "blues"], BenchmarkConfig(seeds=2, repeated=0.4, block=2))
    jobs = [(arch, b.task, b.seed) for b in blocks for arch in b.archs]
    assert len(jobs) == len(set(jobs)) == 2 * (10 + 4)
    assert {arch for arch, _, seed in jobs if seed == 1} == set(archs[:4])
    assert all(len(b.archs) <= 2 and {a[-1] for a in b.archs} == {b.signature} for b in blocks)
    assert [b.number for b in blocks] == list(range(len(blocks))) and len({b.name for b in blocks}) == len(blocks)


def test_processes_share_the_blocks(toys):
    blocks = plan.blocks(toys.space, ["1-0", "2-0", "3-1"], ["reds"], BenchmarkConfig(block=1))
    shares = [plan.share(blocks, process=i, processes=2) for i in range(2)]
    assert sorted(b.number for s in shares for b in s) == [0, 1, 2] and [len(s) for s in shares] == [2, 1]
    with pytest.raises(InputError, match="process=2 of 2"):
        plan.share(blocks, process=2, processes=2)


def test_repeated_architectures_are_refused(toys):
    with pytest.raises(InputError, match="2 architectures, 1 different"):
        plan.blocks(toys.space, ["1-0", "1-0"], ["reds"], BenchmarkConfig())


@pytest.mark.parametrize(
    ("field", "value"),
    [("seeds", 0), ("block", 1.5), ("repeated", 1.1), ("valid_fraction", 0.0), ("batching", "scan"), ("steps", True)],
)
def test_the_configuration_is_checked(field, value):
    with pytest.raises(InputError, match=f"{field}={value!r}"):
        BenchmarkConfig(**{field: value})
