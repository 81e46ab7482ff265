"""Contract of every search algorithm, on objectives that need no network."""

import jax
import numpy as np
import pytest

import nasjax
from nasjax.search import Limits, registry, search
from nasjax.types import InputError

SPACE = nasjax.get_space("nasbench201", channels=4, cells=1, image_size=8)
SMALL = {
    "random": {"batch": 20},
    "aging": {"population": 20, "sample": 5, "children": 4},
    "evolution": {"population": 20, "parents": 5, "mutations": 10, "crossovers": 8},
    "es": {"batch": 20},
    "nsga2": {"population": 20},
}
COSTS = np.random.default_rng(0).normal(size=(6, 5))  # of each operation on each edge
BUDGET = 150


def easy(archs):
    """An objective of one optimum, to which every step leads."""
    return np.where(archs == np.array([3, 1, 3, 2, 1, 3]), 1.0, COSTS[np.arange(6), archs] / 10).sum(1)


class StopError(Exception):
    pass


def run(name, seed=0, **options):
    """A search; the objective refuses what it has seen."""
    seen = []

    def watched(archs):
        seen.extend(SPACE.canonical(arch) for arch in archs)
        return easy(archs)

    settings = {"budget": BUDGET, **SMALL[name], **options}
    found = search(SPACE, watched, key=jax.random.key(seed), algorithm=name, **settings)
    assert len(seen) == len(set(seen)), "an architecture was scored twice"
    return found


@pytest.fixture(scope="module", params=sorted(SMALL))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def found(name):
    return run(name)


def test_all_registered_algorithms_are_tested():
    assert set(SMALL) == set(registry.names())


def test_results(name, found):
    assert found.algorithm == name and found.stopped == ""
    assert found.archs.shape == (BUDGET, 6) and found.archs.dtype == np.int32
    np.testing.assert_array_equal(found.scores[found.valid], easy(found.archs)[found.valid])
    assert found.score == found.scores.max() and found.encoding == SPACE.encode(found.best[None])[0]
    assert found.num_params == SPACE.num_params(found.best) and found.flops == SPACE.flops(found.best)
    assert (np.diff(found.generation) >= 0).all() and found.generation[0] == 0
    assert (np.diff(found.curve()) >= 0).all() and found.curve()[-1] == found.score


def test_dead_architectures_are_kept_and_never_win(found):
    dead = [i for i, arch in enumerate(found.archs) if not SPACE.is_valid(arch)[0]]
    assert (~found.valid).nonzero()[0].tolist() == dead
    for i in dead:
        assert found.scores[i] == -np.inf and "no path" in found.reasons[i]
    assert found.valid[found.best_index]


def test_the_key_decides(name, found):
    again, other = run(name), run(name, seed=1)
    np.testing.assert_array_equal(again.archs, found.archs)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert not np.array_equal(other.archs, found.archs)


def test_finds_more_than_random_search(name, found):
    if name == "random":
        assert found.score < 6
        return
    seeds = range(3)
    costs = {"costs": ("flops",)} if name == "nsga2" else {}
    own = np.mean([run(name, seed, **costs).score for seed in seeds])
    assert own > np.mean([run("random", seed).score for seed in seeds]) + 0.3


def test_limits_are_kept(name):
    low, high = 5_000, 9_000
    own = run(name, limits=Limits(min_params=low, max_params=high))
    params = SPACE.num_params(own.archs)
    assert (params >= low).all() and (params <= high).all()


@pytest.mark.parametrize("stop", [0, 3])
def test_resumed_after_a_stop(name, found, tmp_path, stop):
    """The objective fails in a generation; what was saved before goes on with the same outcome."""
    calls = []

    def failing(archs):
        if len(calls) == stop:
            raise StopError
        calls.append(len(archs))
        return easy(archs)

    def watched(archs):
        calls.append(len(archs))
        return easy(archs)

    failing.__name__ = watched.__name__ = "easy"
    settings = {"budget": BUDGET, "key": jax.random.key(0), "checkpoints": tmp_path, "algorithm": name, **SMALL[name]}
    with pytest.raises(StopError):
        search(SPACE, failing, **settings)
    again = search(SPACE, watched, **settings)
    np.testing.assert_array_equal(again.archs, found.archs)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert again.reasons == found.reasons
    assert sum(calls) == found.columns["watched"].size - sum("no path" in r for r in found.reasons), "scored again"


def test_a_space_is_exhausted(name):
    """Fewer architectures than the budget: all are found, and the search ends."""
    small = Limits(predicates=(lambda archs: (archs[:, 2:] == 3).all(1) & (archs[:, 0] > 0),))
    least = {"aging": {"population": 8, "sample": 2}, "nsga2": {"population": 8},
             "evolution": {"population": 8, "mutations": 4, "crossovers": 4}}  # fmt: skip
    own = run(name, limits=small, duplicates="encoding", **least.get(name, {}))
    assert len(own.scores) == 20 and "no other architecture" in own.stopped


def test_functions_are_traced_once(name):
    algorithm = registry.get_algorithm(name, SPACE, **SMALL[name])
    run(name, seed=5)
    before = algorithm.ask._cache_size()  # a state from a checkpoint, of NumPy arrays, counts by itself
    run(name, seed=6)
    assert algorithm.ask._cache_size() == before <= 2


@pytest.mark.parametrize(
    ("name", "options", "parts"),
    [
        ("agin", {}, ["agin", "aging"]),
        ("aging", {"populaton": 10}, ["populaton", "population"]),
        ("aging", {"population": 0}, ["population=0", "at least 1"]),
        ("aging", {"population": -5}, ["population=-5"]),
        ("aging", {"population": 10, "sample": 11}, ["sample=11", "population=10"]),
        ("aging", {"population": 2.5}, ["2.5"]),
        ("evolution", {"mutations": 40, "crossovers": 20}, ["40", "20", "50"]),
        ("evolution", {"block_rate": 1.5}, ["block_rate=1.5", "[0, 1]"]),
        ("es", {"optimizer": "adm"}, ["adm", "adam"]),
        ("es", {"learning_rate": -0.1}, ["-0.1"]),
        ("nsga2", {"crossover_rate": 2}, ["crossover_rate=2"]),
        ("evolution", {"budget": 49}, ["budget=49", "50", "evolution"]),
        ("random", {"budget": 0}, ["budget=0"]),
        ("random", {"budget": -3}, ["budget=-3"]),
        ("random", {"duplicates": "iso"}, ["iso", "canonical"]),
        ("nsga2", {"costs": ("parms",)}, ["parms", "params"]),
        ("nsga2", {"costs": ()}, ["one or more"]),
        ("random", {"limits": Limits(min_params=1e12)}, ["min_params", "nearest"]),
    ],
)  # fmt: skip
def test_bad_options(name, options, parts):
    with pytest.raises(InputError) as error:
        search(SPACE, easy, key=jax.random.key(0), algorithm=name, **options)
    for part in parts:
        assert part in str(error.value)
