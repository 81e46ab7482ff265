"""Every architecture is scored by one process, and all end with all records, whatever each could read before."""

import concurrent.futures
import math
import threading

import numpy as np
import pytest

from nasjax import parallel
from nasjax.proxies import division
from nasjax.records import Record
from nasjax.types import InputError

CONTEXTS, ARCHS = ("c0", "c1"), tuple(f"arch {i}" for i in range(23))
SCORES = (1 / 3, math.nan, -math.inf, 1e300)


def record(context, arch):
    score = SCORES[(len(context) + int(arch.split()[1])) % 4]
    return Record(context, arch, "zico", score, -score, math.isfinite(score), f"of {arch}", 0.1)


def everything(places):
    return {(c, ARCHS[i]): record(c, ARCHS[i]) for c in CONTEXTS for i in places}


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_the_share_of_each(count):
    rng = np.random.default_rng(count)
    for density in (0.0, 0.3, 1.0):
        there = rng.random((count, len(ARCHS))) < density
        shares = [division.divide(CONTEXTS, ARCHS, there, process) for process in range(count)]
        scored = sorted(place for work in shares for place in work.own)
        np.testing.assert_array_equal(scored, np.flatnonzero(~there.any(0)))
        assert max(len(work.own) for work in shares) - min(len(work.own) for work in shares) <= 1
        assert all(work.done == there.any(0).sum() for work in shares)
        sent = [place for work in shares for place in work.send]
        assert len(sent) == len(set(sent))
        for process, row in enumerate(there):
            assert {*np.flatnonzero(row), *shares[process].own, *sent} == set(range(len(ARCHS)))


@pytest.fixture
def processes(monkeypatch):
    """Runs a function of the process's number in each of some threads that can gather."""
    own = threading.local()

    def run(count, fn):
        barrier, values = threading.Barrier(count, timeout=20), {}

        def gather(label, value):
            values[label, own.number] = value
            barrier.wait()
            return [values[label, number] for number in range(count)]

        def one(number):
            own.number = number
            return fn(number)

        monkeypatch.setattr(parallel, "process_count", lambda: count)
        monkeypatch.setattr(parallel, "process_index", lambda: own.number)
        monkeypatch.setattr(parallel, "gather", gather)
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    return run


@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
def test_all_end_with_all_records(processes, density):
    there = np.random.default_rng(1).random((3, len(ARCHS))) < density

    def score(number):
        records = everything(np.flatnonzero(there[number]))
        if number == 0:  # an architecture that an earlier run scored by one of two proxies
            records.pop(("c1", ARCHS[0]), None)
        work = division.agree(CONTEXTS, ARCHS, records)
        records |= everything(work.own)
        return work, records | division.collect(work, records)

    ends = processes(3, score)
    assert sum(len(work.own) for work, _ in ends) == len(ARCHS) - ends[0][0].done
    for _, records in ends:
        assert repr(sorted(records.items())) == repr(sorted(everything(range(len(ARCHS))).items()))


def test_another_population_is_refused(monkeypatch):
    monkeypatch.setattr(parallel, "process_count", lambda: 2)
    monkeypatch.setattr(parallel, "process_index", lambda: 0)
    monkeypatch.setattr(parallel, "gather", lambda label, value: [value, ["another", value[1]]])
    with pytest.raises(InputError, match="of process 1 differ from those of process 0; do: start all .* same flags"):
        division.agree(CONTEXTS, ARCHS, {})


def test_a_process_alone_scores_what_is_missing():
    work = division.agree(CONTEXTS, ARCHS, everything([0, 2]))
    assert work.own == (1, *range(3, len(ARCHS))) and work.done == 2
    assert division.collect(work, {}) == {}
