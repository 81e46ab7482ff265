"""What every registered proxy promises, on a tiny space, with a few compiled programs."""

import dataclasses
import importlib
import json

import jax
import numpy as np
import pytest

import nasjax
from nasjax.data import Batches
from nasjax.proxies import get, names, parse
from nasjax.records import Store
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError

SPACE = NasBench201(channels=2, cells=1, num_classes=4, image_size=8)
DEAD = 2
ARCHS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
    "|nor_conv_1x1~0|+|avg_pool_3x3~0|skip_connect~1|+|none~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
)
PROXIES = tuple(p.name for p in parse("all", space=SPACE))
# Proxies of one program each: several small programs compile faster than a large one.
GROUPS = (
    "params,flops,grad_norm,snip,plain,l2_norm,fisher,zico,lswag,nwot,swap,reg_swap",
    "grasp,jacob_cov,epe_nas",
    "gradsign,gsnr",
    "synflow,snr,t_cet,zen",
    "te_ntk,te_regions,te_nas",
)
GROUPS = (*GROUPS, ",".join(n for n in PROXIES if n not in ",".join(GROUPS).split(",")))
RANKED = tuple(n for n in PROXIES if get(n).members)  # scores of a population
SINGLE = tuple(n for n in PROXIES if n not in RANKED)
COUNTS = ("swap", "reg_swap")  # eight images have 256 patterns, which larger cells nearly exhaust
RANDOM = tuple(n for n in PROXIES if n not in ("params", "flops"))  # depend on the weights
# The same program however it is cut up, so last bits alone may differ.
SAME = {"rtol": 1e-9, "atol": 0}
score_module = importlib.import_module("nasjax.proxies.score")  # the package's name `score` is the function


pytestmark = pytest.mark.usefixtures("programs_stay")


@pytest.fixture(scope="module", autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    return Batches.from_arrays(
        rng.normal(size=(16, 8, 8, 3)), np.arange(16) % 4, batch_size=8, num_batches=2, dtype="float64", num_classes=4
    )


@pytest.fixture(scope="module")
def run(batches):
    def run(archs, *, seed=0, chunk=4, groups=GROUPS, engines=("jit",), **options):
        """Scores by all proxies: the columns of one result a group, whose engines take turns."""
        found = [
            nasjax.score(
                SPACE,
                list(archs),
                batches,
                group,
                key=jax.random.key(seed),
                engine=engines[i % len(engines)],
                chunk=chunk,
                **options,
            )
            for i, group in enumerate(groups)
        ]
        joined = {
            field: {name: column for part in found for name, column in getattr(part, field).items()}
            for field in ("scores", "raw", "valid", "reasons")
        }
        return found[0]._replace(**joined)

    return run


@pytest.fixture(scope="module")
def result(run):
    return run(ARCHS)


@pytest.fixture(scope="module")
def reversed_result(run):
    return run(ARCHS[::-1])


@pytest.fixture(scope="module")
def single_result(run):
    return run(ARCHS[:1])


@pytest.fixture(scope="module")
def other_key(run):
    return run(ARCHS, seed=1)


def columns(result):
    """Every numeric table of a result, by proxy."""
    return {n: (result.scores[n], result.raw[n], result.valid[n].astype(float)) for n in result.scores}


def test_every_proxy_has_a_column(result):
    assert sorted(result.scores) == sorted(PROXIES)
    assert result.archs == list(ARCHS)
    assert list(result.table()["arch"]) == list(ARCHS)
    assert (result.seconds > 0).all()


@pytest.mark.parametrize("name", PROXIES)
def test_valid_architectures_have_finite_scores(name, result):
    alive = np.arange(len(ARCHS)) != DEAD
    np.testing.assert_array_equal(result.valid[name], alive)
    assert np.isfinite(result.scores[name][alive]).all()
    assert all(("path" in text) == (i == DEAD) for i, text in enumerate(result.reasons[name]))


@pytest.mark.parametrize("name", PROXIES)
def test_a_dead_architecture_is_last(name, result):
    order = result.ranking(name)
    assert sorted(order) == list(range(len(ARCHS)))
    assert order[-1] == DEAD
    assert (np.diff(result.scores[name][order[:-1]]) <= 0).all()
    assert not result.table()["valid"][DEAD]


@pytest.mark.parametrize("name", [n for n in PROXIES if n != "te_nas"])  # the ranks it adds may cancel
def test_scores_tell_architectures_apart(name, result):
    assert len(set(result.scores[name][result.valid[name]])) > (1 if name in COUNTS else 2)


@pytest.mark.parametrize("name", PROXIES)
def test_order_does_not_matter(name, result, reversed_result):
    for there, back in zip(columns(result)[name], columns(reversed_result)[name], strict=True):
        np.testing.assert_allclose(back[::-1], there, **SAME)


@pytest.mark.parametrize("name", SINGLE)
def test_alone_is_as_in_a_batch(name, result, single_result):
    for many, one in zip(columns(result)[name], columns(single_result)[name], strict=True):
        np.testing.assert_allclose(one, many[:1], **SAME)


@pytest.mark.parametrize("name", SINGLE)
def test_the_key_decides(name, run, result, other_key):
    different = not np.allclose(result.scores[name][:2], other_key.scores[name][:2], rtol=1e-12, atol=0)
    assert different == (name in RANDOM) or name in COUNTS


def test_the_same_key_gives_the_same_bits(run, result):
    again = run(ARCHS)
    for name in PROXIES:
        for a, b in zip(columns(result)[name], columns(again)[name], strict=True):
            np.testing.assert_array_equal(a, b)


def test_repeated_architectures_have_one_score(run, result):
    twice = run((*ARCHS[:2], ARCHS[0]))
    for name in SINGLE:
        np.testing.assert_allclose(twice.scores[name], result.scores[name][[0, 1, 0]], **SAME)
    once = run(ARCHS[:2])
    for name in RANKED:
        np.testing.assert_allclose(twice.scores[name], once.scores[name][[0, 1, 0]], **SAME)


def test_the_score_of_a_population_is_not_stored(run, result, tmp_path):
    with Store.open(tmp_path) as store:
        first = run(ARCHS[:3], store=store)
        kept = {json.loads(text)["proxy"] for _, text in store.contexts()}
        again = run(ARCHS, store=store)
    assert kept == set(SINGLE)
    for name in RANKED:
        assert first.scores[name][0] != result.scores[name][0]
        np.testing.assert_allclose(again.scores[name], result.scores[name], **SAME)


def test_a_second_population_does_not_retrace(run, result):
    def traces():
        return {name: mapped.trace_count for name, mapped in score_module._PROGRAMS.items()}

    before = traces()
    others = SPACE.encode(np.asarray(SPACE.sample(jax.random.key(5), 9)))
    run(others)
    assert traces() == before
    here = dataclasses.replace(SPACE, precision="highest"), "jit", 4
    mine = [n for (space, own, engine, _, chunk, _), n in before.items() if own and (space, engine, chunk) == here]
    assert mine == [1] * len(GROUPS)


def test_a_subset_of_proxies_has_the_same_scores(run, result):
    cheap = run(ARCHS, groups=("flops,params",))
    for name in ("params", "flops"):
        np.testing.assert_array_equal(cheap.scores[name], result.scores[name])


@pytest.mark.parametrize("name", [n for n in names() if n not in PROXIES])
def test_what_the_space_cannot_serve_is_refused_by_name(name, batches):
    with pytest.raises(InputError, match=rf"{name}: .*\(\), which the space 'nasbench201' does not offer; leave out"):
        nasjax.score(SPACE, ARCHS[:1], batches, name, key=jax.random.key(0))


@pytest.mark.slow
def test_neither_engine_nor_devices_nor_chunk_matter(run, result):
    found = run(ARCHS, chunk=2, engines=("pmap", "shard_map"), devices=2)
    for name in PROXIES:
        for a, b in zip(columns(result)[name], columns(found)[name], strict=True):
            np.testing.assert_allclose(b, a, **SAME)
