"""The command that times every space, at toy size; the process of PyTorch is a script."""

import json
import stat

import pytest

from benchmarks import space_speed, torch_process

TOY = (
    "nasbench101",
    "--archs=2",
    "--batch_size=2",
    "--repeats=1",
    "--image_size=8",
    "--programs=1",
    '--options={"channels": 4, "stacks": 1, "cells": 1}',
    "--proxies=params,nwot",
)


@pytest.fixture
def script(tmp_path):
    """Makes an executable of a shell script."""

    def make(text):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


@pytest.fixture
def one_process(monkeypatch):
    """Runs the children in this process."""

    def in_process(args, space, what):
        del args
        return space_speed.child(space_speed.arguments([space, *TOY[1:], f"--child={what}"]))

    monkeypatch.setattr(space_speed, "in_process", in_process)


def test_table_and_file_without_torch(one_process, script, tmp_path, capsys):
    python, file = script("cat > /dev/null; exit 3"), tmp_path / "speed.json"
    assert space_speed.main([*TOY, f"--torch_python={python}", f"--json={file}"]) == 0
    out = capsys.readouterr().out
    assert f"{python} has no torch" in out and "extra 'benchmark'" in out
    summary = json.loads(file.read_text())
    row = summary["rows"]["nasbench101"]
    assert row["torch"] is None and row["programs"] == 1
    assert row["all"]["proxies"] == ["params", "nwot"] and row["lswag"]["proxies"] == ["lswag"]
    assert all(
        row[what]["median"] > 0 and row[what]["peak_gib"] >= row[what]["later_peak_gib"] > 0
        for what in space_speed.GROUPS
    )
    assert len(row["job"]["archs"]) == 2 and "jax" in summary["device"]


def test_times_of_torch(one_process, script, capsys):
    job = space_speed.child(space_speed.arguments([*TOY, "--child=describe"]))
    found = {"torch": "2", "threads": 1, "seconds": [[0.5, 1.5]], "peak_gib": 0.25}
    found |= {name: job[name] for name in ("params", "multiply_adds")}
    space_speed.main([*TOY, f"--torch_python={script(f'cat > /dev/null; echo {json.dumps(json.dumps(found))}')}"])
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row[:2] == ["nasbench101", "1.000"] and row[-2].startswith("0.25/")


def test_another_network_is_refused(script):
    job = {"space": "nasbench_macro", "archs": [[0] * 8], "params": [10], "multiply_adds": [20]}
    found = {"params": [11], "multiply_adds": [20]}
    with pytest.raises(SystemExit, match="params=11, the space 10"):
        torch_process.run(script(f"cat > /dev/null; echo {json.dumps(json.dumps(found))}"), job)


@pytest.mark.parametrize("argument", ["nasbench102", "--archs=0", "--options=3"])
def test_wrong_arguments(argument, capsys):
    with pytest.raises(SystemExit):
        space_speed.arguments([argument])
    assert argument.rpartition("=")[2] in capsys.readouterr().err
