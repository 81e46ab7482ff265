"""Limits of a search, and the bounds that they are checked against."""

import dataclasses

import jax
import numpy as np
import pandas as pd
import pytest

import nasjax
from nasjax.data import latency
from nasjax.search import Limits, TableLimit
from nasjax.search.bounds import cost_bounds
from nasjax.types import InputError

NB201 = nasjax.get_space("nasbench201")
SMALL = nasjax.get_space("autoformer_small")
LEAST, MOST = 73_306, 1_531_546  # published parameters of the cells without and with 3x3 convolutions alone


@dataclasses.dataclass(frozen=True)
class Chain:
    """Numbers of 0..9; a neighbour differs by one in one place. Parameters are the sum, the space knows no bounds."""

    name: str = "chain"
    length: int = 6

    def sample(self, key, num):
        return jax.random.randint(key, (num, self.length), 2, 8)

    def neighbours(self, arch):
        steps = np.concatenate([np.eye(self.length, dtype=int), -np.eye(self.length, dtype=int)])
        around = arch + steps
        return around[((around >= 0) & (around < 10)).all(1)]

    def num_params(self, archs):
        return np.asarray(archs).sum(-1)

    def flops(self, archs):
        return 2 * np.asarray(archs).sum(-1)

    def encode(self, archs):
        return ["".join(map(str, row)) for row in np.asarray(archs).tolist()]


def test_bounds_of_every_space_are_what_samples_respect():
    for name in ("nasbench201", "nasbench_macro", "transnas_macro", "darts", "autoformer_tiny", "nasbench101"):
        space = nasjax.get_space(name)
        for cost in ("params", "flops"):
            bounds = cost_bounds(space, cost)
            archs = np.asarray(space.sample(jax.random.key(1), 64))
            values = np.asarray(space.num_params(archs) if cost == "params" else space.flops(archs))
            assert bounds.exact == (name != "nasbench101")
            assert bounds.low <= values.min() and values.max() <= bounds.high, (name, cost)
    assert cost_bounds(NB201, "params")[:3] == (LEAST, MOST, True)
    # Smallest and largest by hand: width, depth, heads and ratio all at their ends.
    ends = SMALL.num_params(SMALL.decode([(12, *[3.0] * 12, *[5] * 12, 320), (14, *[4.0] * 14, *[7] * 14, 448)]))
    assert cost_bounds(SMALL, "params")[:2] == tuple(ends)


def test_steps_to_neighbours_reach_the_ends():
    assert cost_bounds(Chain(), "params")[:3] == (0, 54, False)
    with pytest.raises(InputError, match=r"has 0 to 54 parameters \(an estimate.*do: take min_params=54, the nearest"):
        Limits(min_params=60).check(Chain())


@pytest.mark.parametrize(
    ("space", "limits", "match"),
    [
        (
            NB201,
            {"max_params": 5e4},
            r"\[-inf, 50000\] exclude every.*has 73306 to 1531546 parameters; do: take max_par",
        ),
        (NB201, {"min_params": 2e6}, "do: take min_params=1531546, the nearest feasible value"),
        (NB201, {"min_flops": 1e9}, "limits on multiply-adds .* do: take min_flops=220119680"),
        (NB201, {"min_params": 73_307, "max_params": 73_400}, "lie between two.*feasible values, 73306 or 101306"),
        (SMALL, {"max_params": 1e6}, "autoformer_small, which has 1.* do: take max_params=1"),
        (
            NB201,
            {"max_params": 8e4, "min_flops": 2e8},
            r"meets all limits; of its 15625 so many meet each \(parameters: ",
        ),
    ],
)
def test_impossible_limits_name_the_nearest_feasible_values(space, limits, match):
    with pytest.raises(InputError, match=match):
        Limits(**limits).check(space)


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        ({"min_params": 3, "max_params": 2}, "on parameters contradict each other: minimum 3, maximum 2"),
        ({"max_flops": float("nan")}, "maximum of multiply-adds is nan; allowed is a finite number"),
        ({"max_params": "1M"}, "maximum of parameters is '1M'"),
        ({"tables": ({"a": 1.0},)}, "allowed are TableLimits"),
        ({"max_draws": 0}, "max_draws=0; allowed is a positive integer"),
    ],
)
def test_contradictions_are_refused_at_once(limits, match):
    with pytest.raises(InputError, match=match):
        Limits(**limits)


def test_feasible_is_inclusive():
    archs = NB201.sample(jax.random.key(0), 200)
    params = NB201.num_params(archs)
    low, high = np.sort(params)[[50, 150]]
    limits = Limits(min_params=low, max_params=high, predicates=(lambda archs: (np.asarray(archs) == 4).any(1),))
    expected = (params >= low) & (params <= high) & (np.asarray(archs) == 4).any(1)
    np.testing.assert_array_equal(limits.feasible(NB201, archs), expected)
    assert 0 < expected.sum() < ((params >= low) & (params <= high)).sum() < 200
    assert Limits().feasible(NB201, archs).all() and Limits().empty and not limits.empty
    assert limits.feasible(NB201, archs[:0]).shape == (0,)


def test_samples_of_a_narrow_window():
    limits = Limits(min_params=21e6, max_params=24e6)
    limits.check(SMALL)
    found = limits.sample(jax.random.key(0), SMALL, 300)
    params = SMALL.num_params(found)
    assert len(found) == 300 and params.min() >= 21e6 and params.max() <= 24e6
    # The law is that of the space under the condition, and longer samples begin with the shorter.
    np.testing.assert_array_equal(limits.sample(jax.random.key(0), SMALL, 7), found[:7])
    assert not np.array_equal(limits.sample(jax.random.key(1), SMALL, 7), found[:7])
    drawn = np.asarray(SMALL.sample(jax.random.fold_in(jax.random.key(0), 0), 512))
    kept = drawn[limits.feasible(SMALL, drawn)]
    np.testing.assert_array_equal(found[: len(kept)], kept[:300])
    # One block of a thousand may be wanted in vain.
    with pytest.raises(InputError, match=r"\(acceptance rate [\d.e-]+\), 300 are wanted; do: widen the limit on par"):
        dataclasses.replace(limits, max_params=21.01e6, max_draws=1000).sample(jax.random.key(0), SMALL, 300)
    assert limits.sample(jax.random.key(0), SMALL, 0).shape == (0, 30)
    with pytest.raises(InputError, match="num=-1 architectures"):
        limits.sample(jax.random.key(0), SMALL, -1)


def test_limits_on_a_table():
    table = latency("nasbench201", "cifar10", columns=["raspi4_latency"])
    own = TableLimit.of(table, "raspi4_latency", maximum=12.0)
    limits = Limits(tables=(own,))
    limits.check(NB201)
    found = limits.sample(jax.random.key(0), NB201, 20)
    known = table.set_index("arch")["raspi4_latency"]
    assert known.loc[NB201.encode(found)].max() <= 12.0
    # Cells that the table lacks are not allowed, unless asked for.
    absent = np.array([a for a in NB201.all() if NB201.encode(a)[0] not in own.values][:3])
    assert not limits.feasible(NB201, absent).any()
    assert (
        dataclasses.replace(limits, tables=(dataclasses.replace(own, allow_unknown=True),))
        .feasible(NB201, absent)
        .all()
    )
    low = known.min()
    with pytest.raises(InputError, match=f"in the table, which has {low:g} to .*nearest feasible value, {low:.6g}"):
        Limits(tables=(dataclasses.replace(own, maximum=low / 2),)).check(NB201)
    assert limits.describe()["tables"][0]["maximum"] == 12.0
    assert hash(limits) == hash(Limits(tables=(own,)))


def test_bad_tables_and_predicates():
    frame = pd.DataFrame({"arch": ["a", "b"], "ms": [1.0, None]})
    assert dict(TableLimit.of(frame, "ms").values) == {"a": 1.0}
    with pytest.raises(InputError, match="no column 'latency'; allowed are arch, ms"):
        TableLimit.of(frame, "latency")
    with pytest.raises(InputError, match="'arch' of the table does not hold numbers"):
        TableLimit.of(frame, "arch")
    with pytest.raises(InputError, match="'none' of the table holds no number"):
        TableLimit.of(frame.assign(none=np.nan), "none")
    with pytest.raises(InputError, match="limit 'ms': values=dict of 0 entries"):
        TableLimit("ms", {})
    with pytest.raises(InputError, match="limits on ms contradict"):
        TableLimit("ms", {"a": 1.0}, 2.0, 1.0)
    archs = NB201.sample(jax.random.key(0), 4)
    with pytest.raises(InputError, match=r"predicate 0 \(<lambda>\) gave int64 of shape \[6\] for 4 arch"):
        Limits(predicates=(lambda archs: np.arange(6),)).feasible(NB201, archs)
