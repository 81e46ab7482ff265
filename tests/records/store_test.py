"""The store: faithful, durable, shared by processes, and clear about files that are not its own."""

import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import pandas as pd
import pytest

from nasjax.records import Record, Store
from nasjax.types import InputError


def row(arch="a", proxy="zico", context="c", score=1.5, raw=None, valid=True, reason="", seconds=0.25):
    return Record(context, arch, proxy, score, score if raw is None else raw, valid, reason, seconds)


def start(code, *args):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *map(str, args)], stdout=subprocess.PIPE,
                            text=True)


def fill(path, rows=None, **options):
    with Store.open(path, **options) as store:
        store.put([row()] if rows is None else rows)
        return store.path


# --- what is put is got -----------------------------------------------------------------------------------------------


def test_round_trip(tmp_path):
    rows = [row("a", score=0.1 + 0.2), row("b", score=-1e-308, valid=False, reason="no path from input to output")]
    assert fill(tmp_path / "new" / "dir", rows) == tmp_path / "new" / "dir" / "scores.sqlite"
    with Store.open(tmp_path / "new" / "dir") as store:
        assert store.get("c") == {r.arch: r for r in rows}
        assert store.get("c", ["b", "unknown"]) == {"b": rows[1]}
        assert store.get("c", []) == {}
        assert store.get("other") == {}


@pytest.mark.parametrize("value", [math.inf, -math.inf, 5e-324, 1.7976931348623157e308])
def test_special_values_are_kept(tmp_path, value):
    fill(tmp_path, [row(score=value, raw=math.nan, valid=False, reason="not finite")])
    with Store.open(tmp_path) as store:
        found = store.get("c")["a"]
    assert found.score == value
    assert math.isnan(found.raw)
    assert found.valid is False


def test_numpy_values_are_stored_as_floats(tmp_path):
    import numpy as np

    fill(tmp_path, [row(score=np.float32(0.5), raw=np.float64("nan"), valid=np.bool_(True), seconds=np.float64(2))])
    with Store.open(tmp_path) as store:
        found = store.get("c")["a"]
    assert (found.score, found.valid, found.seconds) == (0.5, True, 2.0) and type(found.score) is float


def test_is_empty(tmp_path):
    with Store.open(tmp_path) as store:
        assert store.is_empty()
        fill(tmp_path, process=3)
        assert not store.is_empty()


def test_a_second_put_replaces(tmp_path):
    fill(tmp_path, [row(score=1.0)])
    fill(tmp_path, [row(score=2.0), row("b")])
    with Store.open(tmp_path) as store:
        assert store.get("c")["a"].score == 2.0
        assert len(store.get("c")) == 2


def test_put_is_all_or_nothing(tmp_path):
    with Store.open(tmp_path) as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.put([row("a"), row("b", reason=None)])
        assert store.get("c") == {}
        store.put([])
        store.put([row("a")])
        assert list(store.get("c")) == ["a"]


def test_several_proxies_of_a_context_need_a_name(tmp_path):
    fill(tmp_path, [row(proxy="zico"), row(proxy="nwot", score=7.0)])
    with Store.open(tmp_path) as store:
        with pytest.raises(ValueError, match="several proxies"):
            store.get("c")
        assert store.get("c", proxy="nwot")["a"].score == 7.0


def test_contexts_are_described(tmp_path):
    with Store.open(tmp_path) as store:
        store.describe("b", {"seed": 1, "space": {"cells": 5}})
        store.describe("a", {"seed": 2})
        store.describe("b", {"seed": 3})
    with Store.open(tmp_path, read_only=True) as store:
        assert dict((c, json.loads(d)) for c, d in store.contexts()) == {"a": {"seed": 2}, "b": {"seed": 3}}


def test_to_frame(tmp_path):
    with Store.open(tmp_path) as store:
        empty = store.to_frame()
        store.put([row("b", score=math.nan, valid=False), row("a")])
        frame = store.to_frame()
    assert list(empty.columns) == list(Record._fields) and len(empty) == 0
    assert list(frame["arch"]) == ["a", "b"] and frame["valid"].dtype == bool
    assert math.isnan(frame["score"][1])


# --- csv --------------------------------------------------------------------------------------------------------------


def test_csv_is_wide_and_exact(tmp_path):
    third = 1 / 3
    rows = [
        row("b", "zico", "z", score=third),
        row("a", "zico", "z", score=math.nan, valid=False, reason="not finite"),
        row("a", "nwot", "n", score=math.inf),
        row("d", "zico", "z", score=0.0, valid=False, reason="dead"),
        row("d", "nwot", "n", score=0.0, valid=False, reason="dead"),
    ]
    with Store.open(tmp_path) as store:
        store.put(rows)
        assert store.write_csv(tmp_path / "scores.csv", contexts=["z", "n"], archs=["b", "a", "d", "b", "q"]) == 4
    assert (tmp_path / "scores.csv").read_text() == (
        "arch,zico,nwot,valid,reason\n"
        f"b,{third!r},,True,\n"
        "a,nan,inf,False,zico: not finite\n"
        "d,0.0,0.0,False,dead\n"
        "q,,,False,not scored\n"
    )
    assert pd.read_csv(tmp_path / "scores.csv")["nwot"].tolist()[1:3] == [math.inf, 0.0]


def test_csv_takes_all_and_tells_contexts_apart(tmp_path):
    with Store.open(tmp_path) as store:
        store.put([row("b", context="0123456789ab", score=1.0), row("a", context="fedcba987654", score=2.0)])
        store.write_csv(tmp_path / "s.csv")
    frame = pd.read_csv(tmp_path / "s.csv")
    assert list(frame.columns) == ["arch", "zico@01234567", "zico@fedcba98", "valid", "reason"]
    assert list(frame["arch"]) == ["a", "b"]
    assert sorted(f.name for f in tmp_path.iterdir()) == ["s.csv", "scores.sqlite"]


def test_csv_that_cannot_be_written(tmp_path):
    with Store.open(tmp_path) as store, pytest.raises(InputError, match="Cannot write .*absent"):
        store.write_csv(tmp_path / "absent" / "scores.csv")


# --- processes --------------------------------------------------------------------------------------------------------


def test_files_of_processes_are_merged(tmp_path):
    fill(tmp_path, [row("a", score=1.0)])
    assert fill(tmp_path, [row("b", score=2.0)], process=0).name == "scores-0.sqlite"
    fill(tmp_path, [row("a", score=1.0), row("c", score=3.0)], process=11)
    (tmp_path / "scores-old.sqlite").write_text("not part of the store")
    with Store.open(tmp_path, process=0) as store:
        assert {a: r.score for a, r in store.get("c").items()} == {"a": 1.0, "b": 2.0, "c": 3.0}
        assert len(store.to_frame()) == 3
    with Store.open(tmp_path, read_only=True) as store:
        assert len(store.get("c")) == 3


def test_a_store_may_be_a_file(tmp_path):
    assert fill(tmp_path / "mine.db") == tmp_path / "mine.db"
    assert fill(tmp_path / "mine.db", [row("b")], process=2) == tmp_path / "mine-2.db"
    with Store.open(tmp_path / "mine.db", read_only=True) as store:
        assert set(store.get("c")) == {"a", "b"}


WRITER = """
    import sys
    from nasjax.records import Record, Store
    path, name, transactions, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with Store.open(path) as store:
        for i in range(transactions):
            store.put([Record("c", f"{name}-{i}-{j}", "zico", i, j, True, "x" * 500, 0.0) for j in range(rows)])
            print(i, flush=True)
"""


def test_two_processes_write_one_store(tmp_path):
    writers = [start(WRITER, tmp_path, name, 60, 5) for name in ("a", "b")]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    with Store.open(tmp_path) as store:
        assert len(store.get("c")) == 2 * 60 * 5


def test_kill_loses_nothing_that_was_put(tmp_path):
    rng = random.Random(0)
    acknowledged = []
    for attempt in range(4):
        writer = start(WRITER, tmp_path, f"w{attempt}", 10**6, 2000)
        wanted = rng.randint(1, 5)
        for _ in range(wanted):
            acknowledged.append((attempt, int(writer.stdout.readline())))
        time.sleep(rng.random() * 0.03)  # somewhere inside a transaction
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [(attempt, int(line)) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
        with Store.open(tmp_path, read_only=attempt % 2 == 0) as store:
            counts = pd.Series([a.rsplit("-", 1)[0] for a in store.get("c")]).value_counts()
        assert set(counts) == {2000}, "a transaction is whole or absent"
        assert {f"w{a}-{i}" for a, i in acknowledged} <= set(counts.index)
