"""Several processes: what is refused before they join, and two of them that score, search and train."""

import importlib.util
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from nasjax import parallel
from nasjax.parallel import processes
from nasjax.records import Store
from nasjax.types import InputError

GOOD = {"coordinator_address": "127.0.0.1:8476", "num_processes": 2, "process_id": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"process_id": None}, "process_id is missing beside coordinator_address=127.0.0.1:8476, num_processes=2"),
        ({"process_id": None, "num_processes": None}, "num_processes and process_id are missing"),
        ({"coordinator_address": None}, "coordinator_address is missing"),
        ({"process_id": 2}, "process_id=2; allowed: 0 to 1, since num_processes=2"),
        ({"process_id": -1}, "process_id=-1"),
        ({"process_id": 1.5}, "process_id=1.5"),
        ({"num_processes": 0}, "num_processes=0"),
        ({"num_processes": True}, "num_processes=True"),
        ({"coordinator_address": "127.0.0.1"}, "'127.0.0.1'; allowed: host:port"),
        ({"coordinator_address": "http://a:80"}, "without http://"),
        ({"coordinator_address": "a:99999"}, "'a:99999'"),
        ({"coordinator_address": ""}, "host:port"),
    ],
)
def test_what_does_not_fit_together(change, message):
    with pytest.raises(InputError, match=message):
        parallel.initialize(**GOOD | change)


def test_an_unreachable_coordinator():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else can
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=f"process 1 cannot reach the coordinator at {address} within 1 s .*ref"):
            parallel.initialize(coordinator_address=address, num_processes=2, process_id=1, timeout=1)
    with pytest.raises(InputError, match=r"coordinator at no-such-host.invalid:80 within 1 s \(.*start process 0"):
        parallel.initialize(coordinator_address="no-such-host.invalid:80", num_processes=2, process_id=1, timeout=1)


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on port {port}.*choose another port"):
            parallel.initialize(coordinator_address=f"127.0.0.1:{port}", num_processes=2, process_id=0)


def test_a_process_alone(monkeypatch):
    assert not parallel.initialize()
    assert not parallel.initialize(num_processes=1)
    assert not parallel.initialize(coordinator_address="a:1", num_processes=1, process_id=0)
    assert (parallel.process_count(), parallel.process_index(), parallel.is_main()) == (1, 0, True)
    monkeypatch.setattr(processes, "_detected", lambda: 4)
    # The cluster says four, and this test has used devices already.
    with pytest.raises(InputError, match="before the first computation"):
        parallel.local_devices()
        parallel.initialize()


def test_slurm_is_detected(monkeypatch):
    assert processes._detected() == 1
    names = {"JOB_ID": 7, "STEP_NODELIST": "node[1-2]", "NTASKS": 3, "PROCID": 1, "LOCALID": 0}
    for name, value in names.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    assert processes._detected() == 3
    monkeypatch.setenv("SLURM_NTASKS", "many")
    with pytest.raises(InputError, match="does not say how many.*num_processes=1"):
        processes._detected()


# --- two processes with two devices each ----------------------------------------------------------------------------

DRIVER = pathlib.Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def driver():
    spec = importlib.util.spec_from_file_location("two_processes", DRIVER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pair(root):
    """Starts two processes, process 0 first."""
    started = []

    def pair(workdir, *flags):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(root)}
        own = [
            subprocess.Popen(
                [sys.executable, str(DRIVER), f"--workdir={workdir}", f"--coordinator_address={address}",
                 "--num_processes=2", f"--process_id={number}", *flags],
                env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for number in range(2)
        ]  # fmt: skip
        started.extend(own)
        return own

    yield pair
    for process in started:
        process.kill()
        process.communicate()


def stored(workdir):
    with Store.open(workdir, read_only=True) as store:
        return {(r.arch, r.proxy): (repr(r.score), r.seconds) for r in store.to_frame().itertuples()}


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again(driver, pair, tmp_path, capsys):
    """Two processes search, score and train; one is killed in the middle of a generation."""
    rng = np.random.default_rng(0)
    sets = {f"{name}_{part}": rng.integers(0, 255 if name == "x" else 3, shape, dtype=np.uint8)
            for part, count in (("train", 26), ("test", 10))
            for name, shape in (("x", (count, 4, 4, 3)), ("y", (count,)))}  # fmt: skip
    np.savez(tmp_path / "tiny.npz", **sets)
    alone, two = tmp_path / "alone", tmp_path / "two"
    driver.main(driver.Config(workdir=str(alone)))
    two.mkdir()

    first, victim = pair(two, "--hold")
    while not (two / "held").exists():
        assert first.poll() is None and victim.poll() is None, victim.communicate()[1]
        time.sleep(0.02)
    victim.kill()
    _, err = first.communicate(timeout=60)
    assert first.returncode != 0 and "another task died" in err
    assert not (two / "search" / "search.csv").exists()
    assert [p.name for p in (two / "search" / "checkpoints").glob("[0-9]*")] == ["1"]
    kept = {"search": stored(two / "search")}

    # A run of one process, that was killed too, has left every third score.
    (two / "score").mkdir()
    shutil.copy(alone / "score" / "config.json", two / "score")
    shutil.copy(alone / "score" / "scores.sqlite", two / "score")
    with sqlite3.connect(two / "score" / "scores.sqlite") as rows:
        rows.execute("DELETE FROM scores WHERE arch IN (SELECT DISTINCT arch FROM scores ORDER BY arch LIMIT 8)")
    rows.close()
    kept["score"] = stored(two / "score")

    ends = [(process, *process.communicate(timeout=120)) for process in pair(two)]
    assert [process.returncode for process, _, _ in ends] == [0, 0], ends
    assert ends[0][1].count("of them by an earlier run") == 2
    assert not [line for line in ends[1][1].splitlines() if not line.startswith("[Gloo]")]
    for job, file in (("search", "search.csv"), ("score", "scores.csv")):
        assert kept[job].items() <= stored(two / job).items()  # scored twice, it would have another time
        tables = [pd.read_csv(path / job / file, dtype=str) for path in (alone, two)]
        pd.testing.assert_frame_equal(*(table.drop(columns="seconds", errors="ignore") for table in tables))
    names = {file.name for file in (two / "score").iterdir()}
    assert names == {
        "config.json", "run.flags", "scores.sqlite", "scores-0.sqlite", "scores-1.sqlite", "scores.csv", "report.html",
        "scores.png", "agreement.png",
    }  # fmt: skip
    curve, other = (pd.read_csv(path / "train" / "history.csv") for path in (alone, two))
    assert len(curve) == 3 and curve.train_loss.nunique() == 3
    for name in curve.columns.drop(["seconds", "waited"]):
        np.testing.assert_allclose(other[name], curve[name], rtol=1e-6)
