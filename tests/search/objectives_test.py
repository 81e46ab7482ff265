"""What a search maximises: tables, functions, weighted sets, and online ranks."""

import jax
import numpy as np
import pandas as pd
import pytest

import nasjax
from nasjax.search import FunctionObjective, TableObjective, WeightedObjective, aggregate, search
from nasjax.search.merging import merge
from nasjax.search.objectives import as_objective
from nasjax.types import InputError

SPACE = nasjax.get_space("nasbench201")
ARCHS = np.asarray(SPACE.sample(jax.random.key(0), 30))
KEY = jax.random.key(0)


def test_one_column_is_the_score():
    values = np.array([3.0, -1.0, np.nan, np.inf])
    assert merge({"a": values}, "ranksum", (1.0,)).tolist() == [3.0, -1.0, -np.inf, -np.inf]
    assert merge({"a": values}, "ranksum", (-2.0,)).tolist() == [-6.0, 2.0, -np.inf, -np.inf]


def test_several_are_ranked_where_all_are_numbers():
    a, b = np.array([3.0, 1.0, np.nan, 2.0]), np.array([1.0, 5.0, 9.0, 2.0])
    found = merge({"a": a, "b": b}, "ranksum", (1, 1))
    assert found[2] == -np.inf
    np.testing.assert_allclose(found[[0, 1, 3]], aggregate({"a": a[[0, 1, 3]], "b": b[[0, 1, 3]]}))


def test_weights():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([30.0, 20.0, 10.0])
    found = merge({"a": a, "b": b}, "ranksum", (2.0, -0.5))
    np.testing.assert_allclose(found, 2 * np.array([1, 2, 3]) / 3 + 0.5 * np.array([1, 2, 3]) / 3)


def test_nothing_valid():
    assert merge({"a": np.array([np.nan]), "b": np.array([1.0])}, "ranksum", (1, 1)).tolist() == [-np.inf]


def test_ranks_are_those_of_everything_scored_so_far():
    """Two functions of opposite order: the merged score depends on the set, and is that of the final set."""
    first, second = lambda archs: archs.sum(1), lambda archs: -archs[:, 0] * 10 + archs[:, 5]
    both = WeightedObjective((FunctionObjective(first, "a"), FunctionObjective(second, "b")), (1, 2))
    found = search(SPACE, both, key=KEY, algorithm="aging", budget=60, population=20, sample=5)
    good = found.valid
    a, b = first(found.archs[good]), second(found.archs[good])
    wanted = aggregate({"a": a}) + 2 * aggregate({"b": b})
    np.testing.assert_allclose(found.scores[good], wanted)
    assert list(found.columns) == ["a", "b"]


def test_a_table_limits_the_search():
    values = np.arange(30.0)
    table = pd.DataFrame({"arch": SPACE.encode(ARCHS), "accuracy": values, "other": -values}).drop_duplicates("arch")
    found = search(SPACE, TableObjective.of(table, "accuracy"), key=KEY, algorithm="random", budget=100,
                   duplicates="encoding")  # fmt: skip
    assert set(found.encodings) == set(table["arch"]) and "no other" in found.stopped
    assert found.score == table["accuracy"][[SPACE.is_valid(SPACE.decode([a])[0])[0] for a in table["arch"]]].max()
    lower = search(SPACE, TableObjective.of(table, ["accuracy", "other"], weights=[1, -3]), key=KEY,
                   algorithm="random", budget=100, duplicates="encoding")  # fmt: skip
    assert lower.encoding == found.encoding


def test_mappings_and_functions_are_objectives():
    mapping = dict(zip(SPACE.encode(ARCHS), range(30), strict=True))
    assert isinstance(as_objective(mapping), TableObjective)
    assert as_objective(len).names == ("len",)

    class Predictor:
        def __call__(self, archs):
            return archs[:, 0]

    assert as_objective(Predictor()).names == ("Predictor",)
    with pytest.raises(InputError, match="allowed"):
        as_objective(3)


def test_names_of_a_weighted_set_are_distinct():
    part = FunctionObjective(lambda archs: archs[:, 0], "f")
    both = WeightedObjective((part, part))
    assert both.names == ("f#1", "f#2")
    outcome = both.evaluate(SPACE, ARCHS)
    assert outcome.columns.shape == (30, 2) and len(outcome.reasons) == 30


def test_invalid_numbers_are_kept_with_their_reason():
    found = search(SPACE, lambda archs: np.where(archs[:, 0] == 1, np.nan, archs[:, 1]), key=KEY, algorithm="random",
                   budget=60)  # fmt: skip
    bad = found.archs[:, 0] == 1
    assert bad.any() and not found.valid[bad].any() and (found.scores[bad] == -np.inf).all()
    assert all("nan" in found.reasons[i] or "no path" in found.reasons[i] for i in np.flatnonzero(bad))
    assert not bad[found.best_index]


def test_nothing_valid_is_said():
    found = search(SPACE, lambda archs: np.full(len(archs), np.nan), key=KEY, algorithm="random", budget=5)
    with pytest.raises(InputError, match="none of the 5 architectures is valid"):
        found.best_index  # noqa: B018


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: search(SPACE, lambda archs: np.zeros((len(archs), 2)), key=KEY, algorithm="random"), "shape"),
        (lambda: search(SPACE, lambda archs: ["a"] * len(archs), key=KEY, algorithm="random"), "no numbers"),
        (lambda: search(SPACE, {"nonsense": 1.0}, key=KEY), "nonsense"),
        (lambda: search(SPACE, {SPACE.encode(SPACE.all()[:1])[0]: 1.0, "nonsense": 1.0}, key=KEY), "nonsense"),
        (lambda: TableObjective.of({}, "x"), "no row"),
        (lambda: TableObjective.of(pd.DataFrame({"arch": ["a"], "y": [1]}), "x"), "'x'"),
        (lambda: TableObjective.of({"a": 1.0}, "x", weights=[1, 2]), "weights"),
        (lambda: TableObjective.of({"a": 1.0}, "x", weights=[0]), "not 0"),
        (lambda: TableObjective.of({"a": 1.0}, "x", aggregation="sum"), "ranksum"),
        (lambda: TableObjective.of({"a": None}, "x"), "no number"),
        (lambda: TableObjective.of(pd.DataFrame({"arch": ["a"], "y": ["b"]}), "y"), "'y' of the table does not hold"),
        (lambda: TableObjective.of(pd.DataFrame({"arch": ["a"], "y": [1]}), ["y", "y"]), "twice"),
        (lambda: WeightedObjective(()), "no part"),
        (lambda: search(SPACE, lambda archs: archs.sum(1) * 1j, key=KEY, algorithm="random"), "complex"),
        (lambda: search(SPACE, len, key=KEY, algorithm="pruning"), "nasjax.search.prune"),
        (lambda: search(SPACE, len, key=KEY, budget=10**9), "10,000,000"),
        (lambda: search(SPACE, len, key=jax.random.split(KEY)), "one key"),
    ],
)
def test_bad_objectives(make, part):
    with pytest.raises(InputError) as error:
        make()
    assert part in str(error.value)
