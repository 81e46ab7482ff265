"""The driver: bad input, the store, and every engine and number of devices."""

import dataclasses
import importlib
import re
import weakref

import jax
import numpy as np
import pytest

import nasjax
from nasjax.data import Batches
from nasjax.proxies import ScoreResult
from nasjax.records import Store
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError

SPACE = NasBench201(channels=2, cells=1, num_classes=4, image_size=8)
CHEAP = "params,flops,nwot"
ARCHS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
    "|nor_conv_1x1~0|+|avg_pool_3x3~0|skip_connect~1|+|none~0|nor_conv_3x3~1|nor_conv_1x1~2|",
)
score_module = importlib.import_module("nasjax.proxies.score")  # the package's name `score` is the function


@pytest.fixture(scope="module", autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def make_batches(*, images=12, size=8, channels=3, classes=4, batch_size=6, num_batches=2, seed=0):
    rng = np.random.default_rng(seed)
    return Batches.from_arrays(
        rng.normal(size=(images, size, size, channels)),
        np.arange(images) % classes,
        batch_size=batch_size,
        num_batches=num_batches,
        dtype="float64",
        num_classes=classes,
    )


@pytest.fixture(scope="module")
def batches():
    return make_batches()


@pytest.fixture(scope="module")
def run(batches):
    def run(archs=ARCHS, *, proxies=CHEAP, seed=0, engine="jit", chunk=2, **options):
        return nasjax.score(
            SPACE, list(archs), batches, proxies, key=jax.random.key(seed), engine=engine, chunk=chunk, **options
        )

    return run


@pytest.fixture(scope="module")
def result(run):
    """The scores on one device with engine "jit", to which all others are compared."""
    return run()


def assert_same(found, expected):
    assert found.archs == expected.archs
    assert found.reasons == expected.reasons
    for name in expected.scores:
        np.testing.assert_allclose(found.scores[name], expected.scores[name], rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(found.raw[name], expected.raw[name], rtol=1e-6, err_msg=name)
        np.testing.assert_array_equal(found.valid[name], expected.valid[name])


# Bad input, refused before anything is compiled.


@pytest.fixture
def no_work(monkeypatch):
    """Fails when any program is made."""

    def refuse(*args, **kwargs):
        raise AssertionError("work was begun")

    monkeypatch.setattr(score_module, "_program", refuse)


@pytest.mark.parametrize(
    ("data", "proxies", "words"),
    [
        ({"size": 16}, CHEAP, ["16x16", "8x8", "image_size=16", "image_size=8"]),
        ({"channels": 1}, CHEAP, ["1 channels", "in_channels=3"]),
        ({"classes": 6}, CHEAP, ["Label 5", "num_classes=4", "at least 6"]),
        ({"num_batches": 1}, "lswag", ["lswag", "12 images", "1 x 6", "num_batches=2"]),
        ({}, "zico:num_batches=5", ["zico:", "30 images", "num_batches=5"]),
        ({}, "nwot:preset=paper", ["nwot:", "128 images", "num_batches=22"]),
        ({}, "lswagg", ["'lswagg'", "'lswag'"]),
    ],
)
def test_data_that_does_not_fit_is_refused(data, proxies, words, no_work):
    with pytest.raises(InputError) as error:
        nasjax.score(SPACE, ARCHS, make_batches(**data), proxies, key=jax.random.key(0))
    for word in words:
        assert word in str(error.value)


def test_data_that_fits_passes():
    score_module.check_batches(SPACE, make_batches(images=16, batch_size=8), nasjax.proxies.parse("all", space=SPACE))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "lowest"}, "precision='lowest'.*highest, fast"),
        ({"archs": ["|nor_conv_3x3~0|"]}, "nor_conv_3x3~0"),
        ({"archs": []}, "no architecture"),
        ({"store": "runs"}, "store='runs'; open one by"),
        ({"proxies": None}, "Proxies None; allowed are names"),
        ({"profile_archs": 0, "proxies": "lswag:interval=auto"}, "num_archs=0"),
    ],
)
def test_bad_options_are_refused(options, words, run, no_work):
    with pytest.raises(InputError, match=words):
        run(**options)


@pytest.mark.parametrize("several", [False, True])
def test_what_is_no_key_is_refused(several, batches, no_work):
    key = jax.random.split(jax.random.key(0)) if several else 0
    with pytest.raises(InputError, match=r"key.*allowed is one key, as jax\.random\.key\(0\)"):
        nasjax.score(SPACE, ARCHS, batches, CHEAP, key=key)


def test_what_is_no_population_is_refused(batches, no_work):
    with pytest.raises(InputError, match="archs=None; allowed are a population"):
        nasjax.score(SPACE, None, batches, CHEAP, key=jax.random.key(0))


def test_what_is_no_batches_is_refused(no_work):
    with pytest.raises(InputError, match=r"batches is tuple; make them by nasjax\.data\.load"):
        nasjax.score(SPACE, ARCHS, (1, 2), CHEAP, key=jax.random.key(0))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"engine": "pmapp"}, "'pmapp'"), ({"devices": 99, "engine": "pmap"}, "99"), ({"chunk": 0}, "0")],
)
def test_bad_engines_are_refused(options, words, run):
    with pytest.raises(InputError, match=words):
        run(**options)


def test_precision_reaches_the_space():
    assert score_module.with_precision(SPACE, "highest").precision == "highest"
    fast = score_module.with_precision(SPACE, "fast")
    assert fast == dataclasses.replace(SPACE, precision="default")


# Results.


def test_nan_and_infinity_never_win():
    scores = {"p": np.array([np.nan, 2.0, np.inf, 3.0, -np.inf, 3.0])}
    valid = {"p": np.array([False, True, False, True, False, True])}
    made = ScoreResult(list("abcdef"), scores, scores, valid, {"p": [""] * 6}, np.zeros(6), {})
    assert made.ranking("p")[:3].tolist() == [3, 5, 1]
    assert made.table()["valid"].tolist() == valid["p"].tolist()
    with pytest.raises(InputError, match="'q'.*p"):
        made.ranking("q")


def test_a_reason_is_given_once_for_all_proxies():
    zeros = np.zeros(1)
    reasons = {"p": ["no path"], "q": ["no path"], "r": ["r is nan"]}
    made = ScoreResult(
        ["a"],
        dict.fromkeys("pqr", zeros),
        dict.fromkeys("pqr", zeros),
        dict.fromkeys("pqr", zeros > 0),
        reasons,
        zeros,
        {},
    )
    assert made.table()["reason"].tolist() == ["no path; r is nan"]


def test_params_and_flops_are_those_of_the_space(result):
    population = SPACE.decode(list(ARCHS))
    np.testing.assert_array_equal(result.scores["params"], SPACE.num_params(population))
    np.testing.assert_array_equal(result.scores["flops"], SPACE.flops(population))


# The store.


class KilledError(Exception):
    """Stands for the end of the process."""


def test_an_interrupted_run_goes_on_where_it_stopped(run, result, tmp_path):
    first, second, third = [], [], []

    def stop(done, total):
        first.append((done, total))
        if done == 2:
            raise KilledError

    with Store.open(tmp_path) as store:
        with pytest.raises(KilledError):
            run(store=store, progress=stop)
        resumed = run(store=store, progress=lambda *n: second.append(n))
        finished = run(store=store, progress=lambda *n: third.append(n))
    assert first == [(0, 5), (2, 5)]
    assert second == [(2, 5), (4, 5), (5, 5)]
    assert third == [(5, 5)]
    assert_same(resumed, result)
    assert_same(finished, result)
    np.testing.assert_array_equal(finished.seconds, resumed.seconds)


def test_what_is_stored_is_not_computed_again(run, result, tmp_path, monkeypatch):
    with Store.open(tmp_path) as store:
        run(store=store)
        monkeypatch.setattr(score_module, "run_passes", lambda *args, **kwargs: pytest.fail("computed again"))
        assert_same(run(store=store), result)
        assert_same(run(ARCHS[::-1], store=store), run(ARCHS[::-1], store=store))
        only = run(store=store, proxies="nwot")
        np.testing.assert_array_equal(only.scores["nwot"], result.scores["nwot"])


def test_another_key_data_or_option_is_another_context(run, tmp_path, batches):
    with Store.open(tmp_path) as store:
        run(store=store, proxies="params")
        assert len(store.contexts()) == 1
        run(store=store, proxies="params", seed=1)
        run(store=store, proxies="params", precision="fast")
        nasjax.score(SPACE, ARCHS, make_batches(seed=1), "params", key=jax.random.key(0), engine="jit", store=store)
        assert len(store.contexts()) == 4
        run(store=store, proxies="params", chunk=3)
        assert len(store.contexts()) == 4


def test_contexts_describe_themselves(run, tmp_path):
    with Store.open(tmp_path) as store:
        run(store=store, proxies="params")
        ((name, text),) = store.contexts()
    assert re.fullmatch("[0-9a-f]{64}", name)
    for word in ("nasbench201", "params", "highest", '"channels"'):
        assert word in text


# Engines and devices.

# Every lane is a compilation, so one of each engine runs by default.
LANES = [
    ("pmap", 4),
    ("shard_map", 2),
    ("host", 2),
    *(
        pytest.param(*lane, marks=pytest.mark.slow)
        for lane in [("pmap", 1), ("pmap", 2), ("shard_map", 4), ("host", 4)]
    ),
]


@pytest.mark.parametrize(("engine", "devices"), LANES)
def test_engine_and_devices_do_not_matter(engine, devices, run, result):
    assert_same(run(engine=engine, devices=devices), result)


@pytest.mark.slow
def test_batching_does_not_matter(run, result):
    assert_same(run(batching="vmap"), result)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 8])
def test_the_chunk_does_not_matter(chunk, run, result):
    assert_same(run(chunk=chunk), result)


def test_the_order_does_not_matter(run, result):
    order = [3, 0, 4, 2, 1]
    found = run([ARCHS[i] for i in order])
    np.testing.assert_allclose(found.scores["nwot"], result.scores["nwot"][order], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "devices"), [("pmap", 2), ("shard_map", 4), ("host", 2)])
def test_gradient_scores_do_not_depend_on_the_engine(engine, devices, run):
    assert_same(run(proxies="lswag", engine=engine, devices=devices), run(proxies="lswag"))


@pytest.mark.parametrize(
    ("backend", "batching", "proxy", "expected"),
    [
        ("cpu", "auto", "nwot", "map"),
        ("cpu", "vmap", "nwot", "vmap"),
        ("gpu", "auto", "nwot", "vmap"),
        ("gpu", "map", "nwot", "map"),
        ("gpu", "auto", "grasp", "map"),  # a forward-mode derivative
        ("gpu", "vmap", "dextr", "map"),
    ],
)
def test_how_a_block_runs_is_chosen_by_device_and_pass(backend, batching, proxy, expected, monkeypatch):
    from nasjax.proxies import registry

    score = importlib.import_module("nasjax.proxies.score")
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(score, "_PROGRAMS", {})
    passes = tuple(registry.parse(proxy)[0].passes)
    mapped = score._program(NasBench201(), passes, "auto", batching, None, 1)
    assert mapped.batching == expected
    plain = dataclasses.replace(NasBench201())
    monkeypatch.setattr(NasBench201, "together", False)
    assert score._program(plain, passes, "jit", "auto", None, 1).batching == "map"


def test_programs_are_dropped_where_another_might_not_find_room(run, monkeypatch):
    monkeypatch.setattr(score_module, "_PROGRAMS", {})
    expected = run(proxies="params,synflow").scores
    (first,) = [weakref.ref(mapped) for mapped in score_module._PROGRAMS.values()]
    run(proxies="params,flops")
    assert len(score_module._PROGRAMS) == 2 and first() is not None
    monkeypatch.setattr("nasjax.proxies.memory.crowded", lambda: True)
    run(proxies="params,synflow", seed=1)
    assert len(score_module._PROGRAMS) == 2 and first().trace_count == 1  # one that is there is used
    run(proxies="params,l2_norm")
    assert len(score_module._PROGRAMS) == 1 and first() is None
    again = run(proxies="params,synflow").scores
    assert len(score_module._PROGRAMS) == 1
    np.testing.assert_array_equal(again["synflow"], expected["synflow"])
