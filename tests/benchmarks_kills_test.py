"""The harness that kills runs, on little programs in place of the commands."""

import json
import os
import sys

import numpy as np
import pytest

from benchmarks import kills

# Writes a line, again and again, and goes on from the lines that are there; the careless one begins anew after them.
PROGRAM = """
import json, pathlib, sys, time
workdir, careless = pathlib.Path(sys.argv[1]), sys.argv[2] == "careless"
workdir.mkdir(exist_ok=True)
lines = workdir / "lines"
done = 0 if careless or not lines.exists() else len(lines.read_text())
for _ in range(done, 20):
    time.sleep(0.005)
    with lines.open("a") as file:
        file.write(".")
(workdir / "result.json").write_text(json.dumps({"lines": len(lines.read_text()), "seconds": time.time()}))
"""


def program(kind):
    def begin(workdir, log):
        out = [(os.POSIX_SPAWN_OPEN, n, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for n in (1, 2)]
        argv = [sys.executable, "-S", "-c", PROGRAM, str(workdir), kind]
        return os.posix_spawn(sys.executable, argv, dict(os.environ), file_actions=out)

    return begin


@pytest.fixture(autouse=True)
def not_apart(monkeypatch):
    monkeypatch.setattr(kills, "apart", kills.results)  # this process has used JAX


def test_a_run_that_goes_on_ends_with_the_same(tmp_path, capsys):
    rows = kills.torture("toy", program("careful"), tmp_path, 4, np.random.default_rng(0))
    assert sum(len(row["kills"]) for row in rows) == 4
    assert not any(row["differing"] or row["failure"] for row in rows)
    assert all(0 <= moment < 1 for row in rows for moment in row["kills"])
    assert "same results" in capsys.readouterr().out


def test_a_run_that_begins_anew_is_found(tmp_path, capsys):
    rows = kills.torture("toy", program("careless"), tmp_path, 3, np.random.default_rng(0))
    assert any("result.json" in row["differing"] for row in rows)
    assert "differs: result.json" in capsys.readouterr().out


def test_what_is_compared(tmp_path):
    for name, seconds, score in (("a", 1.0, "2"), ("b", 3.0, "2"), ("c", 1.0, "4")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps({"x": [{"seconds": seconds, "y": 1}]}))
        (tmp_path / name / "search.csv").write_text(f"arch,score,seconds\nq,{score},{seconds}\n")
        (tmp_path / name / "report.html").write_text(str(seconds))
    a, b, c = (kills.results(tmp_path / name) for name in "abc")
    assert sorted(a) == ["result.json", "search.csv"]
    assert kills.differing(a, b) == [] and kills.differing(a, c) == ["search.csv"]
    assert kills.differing(a, {}) == ["result.json", "search.csv"]


def test_jobs_are_commands(tmp_path):
    found = kills.jobs(tmp_path)
    assert {job.group for job in found} == {"score", "search", "train", "grasp", "das"}
    for group in {job.group for job in found}:
        assert sum(job.share for job in found if job.group == group) == pytest.approx(1)
    assert [job.name for job in kills.chosen(tmp_path, "grasp_fit,das")] == ["grasp_fit", "das_search", "das_train"]
    with pytest.raises(SystemExit, match="allowed are score"):
        kills.chosen(tmp_path, "sing")
