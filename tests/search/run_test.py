"""The driver: proxies as objectives, what is saved, what is refused when a search goes on."""

from typing import NamedTuple

import jax
import numpy as np
import pytest

import nasjax
from nasjax.proxies.score import ScoreResult
from nasjax.records import Store
from nasjax.search import Limits, ProxyObjective, Selection, aggregate, evolve, search
from nasjax.types import InputError

SPACE = nasjax.get_space("nasbench201", channels=4, cells=1, image_size=8)
KEY = jax.random.key(0)
SMALL = {"population": 6, "parents": 3, "mutations": 3, "crossovers": 2}


class NamedInterval(NamedTuple):
    interval: tuple[int, int]


def len_of(archs):
    return archs.sum(1)


@pytest.fixture(scope="module")
def batches():
    return nasjax.data.load("noise", batch_size=4, num_batches=2, image_size=8)


def test_a_generation_is_scored_in_one_call(monkeypatch, batches):
    from nasjax.search import proxy_objective

    sizes, score = [], proxy_objective.score

    def counted(space, archs, *args, **options):
        sizes.append(len(archs))
        return score(space, archs, *args, **options)

    monkeypatch.setattr(proxy_objective, "score", counted)
    found = evolve(SPACE, ProxyObjective.of("nwot", batches, key=KEY), key=KEY, budget=12, **SMALL)
    assert len(sizes) == 2 and sum(sizes) == 12 - sum("no path" in r for r in found.reasons)
    alone = nasjax.score(SPACE, found.archs, batches, "nwot", key=KEY)
    np.testing.assert_array_equal(found.scores[found.valid], alone.scores["nwot"][found.valid])


def test_a_selection_is_ranked_within_what_was_scored(batches, tmp_path):
    chosen = Selection(("nwot", "params"), (1, -1), "ranksum")
    file = chosen.save(tmp_path / "selection.json")
    objective = ProxyObjective.of_selection(file, batches, key=KEY)
    found = evolve(SPACE, objective, key=KEY, budget=12, **SMALL)
    own = {name: values[found.valid] for name, values in found.columns.items()}
    np.testing.assert_array_equal(own["params"], found.costs["params"][found.valid])
    np.testing.assert_allclose(found.scores[found.valid], aggregate(own, signs=(1, -1)))


def test_a_score_of_a_population_is_ranked_online(batches):
    """te_nas has two members; their ranks are taken within all that was scored."""
    objective = ProxyObjective.of("te_nas", batches, key=KEY)
    assert len(objective.names) == 2 and "te_nas" not in objective.names
    columns = np.random.default_rng(0).normal(size=(7, 2))
    ranks = columns.argsort(0).argsort(0) + 1
    np.testing.assert_allclose(objective.combine(columns), ranks.sum(1))


def test_an_interval_of_layers_is_found_once(monkeypatch, batches):
    """The first generation asks for interval=auto, the next ones for what was found."""
    from nasjax.search import proxy_objective

    asked = []

    def fake(space, archs, batches, proxies, **options):
        asked.append(dict(proxies[0].options)["interval"])
        count = len(archs)
        found = {"auto": {"lswag": NamedInterval((3, 5))}}.get(asked[-1], {})
        return ScoreResult(space.encode(archs), {"lswag": np.arange(count) * 1.0}, {}, {"lswag": np.ones(count, bool)},
                           {"lswag": [""] * count}, np.zeros(count), found)  # fmt: skip

    monkeypatch.setattr(proxy_objective, "score", fake)
    objective = ProxyObjective.of("lswag:interval=auto", batches, key=KEY)
    search(SPACE, objective, key=KEY, algorithm="random", budget=6, batch=2)
    assert asked == ["auto", (3, 5), (3, 5)]
    assert "interval=auto" in objective.describe()["proxies"][0]


def test_a_search_goes_on_with_its_own_settings_alone(tmp_path):
    def first(archs):
        return archs.sum(1)

    def second(archs):
        return archs.sum(1)

    settings = {"key": KEY, "algorithm": "random", "budget": 10, "batch": 5, "checkpoints": tmp_path}
    found = search(SPACE, first, **settings)
    changed = [
        {"budget": 11}, {"batch": 4}, {"key": jax.random.key(1)}, {"limits": Limits(max_params=1e6)},
        {"costs": ("flops",)}, {"duplicates": "encoding"}, {"algorithm": "es"},
    ]  # fmt: skip
    for change in changed:
        with pytest.raises(InputError, match="another search") as error:
            search(SPACE, first, **settings | change)
        assert next(iter(change)) in str(error.value) or "options" in str(error.value)
    with pytest.raises(InputError, match="second"):
        search(SPACE, second, **settings)
    again = search(SPACE, first, **settings)
    np.testing.assert_array_equal(again.archs, found.archs)
    assert again.elapsed == found.elapsed


def test_a_state_that_cannot_be_read_is_said(tmp_path):
    settings = {"key": KEY, "algorithm": "random", "budget": 10, "batch": 5, "checkpoints": tmp_path}
    search(SPACE, len_of, **settings)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.write_bytes(b"x")
    with pytest.raises(InputError, match="no state in .* can be read"):
        search(SPACE, len_of, **settings)


def test_limits_that_nothing_meets_together_name_the_nearest_values(monkeypatch):
    """Each can be met, both cannot; the space is too large to be listed."""
    monkeypatch.setattr("nasjax.search.limits._EXPLAINED", 512)
    space = nasjax.get_space("darts", channels=4, cells=2, image_size=16)
    counts = np.asarray(space.num_params(space.extremes()))
    middle = float(counts.mean()) + 0.5  # between two numbers of parameters
    limits = Limits(min_params=middle, max_params=middle + 0.25, max_draws=512)
    with pytest.raises(InputError, match=r"random or at the ends, so many meet .*: \d+ and \d+; do: widen the limits$"):
        search(space, len_of, key=KEY, algorithm="random", budget=5, limits=limits)


@pytest.mark.parametrize(("algorithm", "option"), [("nsga2", "population"), ("es", "batch")])
def test_a_budget_beyond_the_space_takes_no_more_memory(algorithm, option):
    table = {text: float(i) for i, text in enumerate(SPACE.encode(SPACE.sample(KEY, 9)))}
    found = search(SPACE, table, key=KEY, algorithm=algorithm, budget=9_000_000, **{option: 4})
    assert "no other architecture" in found.stopped and len(found.scores) <= 9


def test_scores_in_the_store_are_not_computed_again(batches, tmp_path):
    """A kill within a generation: what was scored is read from the store."""
    with Store.open(tmp_path) as store:
        objective = ProxyObjective.of("nwot", batches, key=KEY, store=store)
        first = search(SPACE, objective, key=KEY, algorithm="random", budget=6, batch=6)
        kept = {r.arch: r.seconds for r in store.to_frame().itertuples()}
        again = search(SPACE, objective, key=KEY, algorithm="random", budget=6, batch=6)
        assert {r.arch: r.seconds for r in store.to_frame().itertuples()} == kept
    np.testing.assert_array_equal(first.scores, again.scores)


def test_progress_and_table():
    seen = []
    found = search(SPACE, lambda archs: archs.sum(1), key=KEY, algorithm="random", budget=30, batch=10,
                   progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert seen == [(0, 30), (10, 30), (20, 30), (30, 30)]
    table = found.table()
    assert list(table.columns) == ["arch", "score", "<lambda>", "params", "flops", "generation", "proposed", "front",
                                   "valid", "reason", "seconds"]  # fmt: skip
    assert table["front"].sum() == len(found.front) and len(table) == 30
    assert table.loc[table["score"].idxmax(), "arch"] == found.encoding
    order = found.top(3)
    assert order[0] == found.best_index and (np.diff(found.scores[order]) <= 0).all()


def test_images_that_do_not_fit_are_refused_before_any_work(batches):
    big = nasjax.get_space("nasbench201", channels=4, cells=1, image_size=16)
    with pytest.raises(InputError, match="8x8"):
        evolve(big, ProxyObjective.of("nwot", batches, key=KEY), key=KEY)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda b: ProxyObjective.of("nwott", b, key=KEY), "nwot"),
        (lambda b: ProxyObjective.of("nwot,zico", b, key=KEY, weights=[1]), "weights"),
        (lambda b: ProxyObjective.of("nwot,zico", b, key=KEY, weights=[1, 2], aggregation="vote"), "vote"),
        (lambda b: ProxyObjective.of("nwot", b, key=jax.random.split(KEY)), "one key"),
        (lambda b: ProxyObjective.of_selection("absent.json", b, key=KEY), "absent.json"),
    ],
)
def test_bad_proxies(batches, make, part):
    with pytest.raises(InputError) as error:
        make(batches)
    assert part in str(error.value)
