"""How commands are named, in a checkout and where nasjax is installed."""

import sys
import types

import pytest

from nasjax.cli import correlate, program

TEXT = "  python -m launch.das_search --workdir=x\nRun launch.score with this; nasjax.launch, launch.flags_"


@pytest.fixture
def called(monkeypatch):
    def call(path, spec=None):
        main = types.SimpleNamespace(__spec__=spec and types.SimpleNamespace(name=spec))
        monkeypatch.setitem(sys.modules, "__main__", main)
        monkeypatch.setattr(sys, "argv", [path])

    return call


def test_a_module(called):
    called("/x/launch/score.py", "launch.score")
    assert program.program() == "python -m launch.score" and program.spelled(TEXT) == TEXT


def test_an_installed_command(called):
    called("/usr/bin/nasjax-das-search")
    assert program.program() == "nasjax-das-search"
    assert program.spelled(TEXT).startswith("  nasjax-das-search --workdir=x\nRun nasjax-score with this;")


def test_a_file(called):
    called("small.py")
    assert program.program() == "python small.py" and program.spelled(TEXT) == TEXT


def test_again(called, tmp_path):
    called("/x/launch/score.py", "launch.score")
    file = tmp_path / "run.flags"
    assert program.again(["--archs=a|b;c", "--seed=1"], "--seed=1\n", file) == (
        "python -m launch.score '--archs=a|b;c' --seed=1"
    )
    file.write_text("# Repeats this run: x\n--seed=1\n")
    assert program.again(["--seed=1"], "--seed=1\n", file) == f"python -m launch.score --flagfile={file}"
    assert program.again(["--seed=2"], "--seed=2\n", file) == "python -m launch.score --seed=2"


def test_the_command_of_a_configuration_is_the_one_that_was_typed(called):
    config = correlate.CorrelateConfig(workdir="runs/x")
    called("/usr/bin/nasjax-correlate")
    assert program.command(config) == "nasjax-correlate"
    called("/x/launch/correlate.py", "launch.correlate")
    assert program.command(config) == "python -m launch.correlate"
    for path, spec in (("other", None), ("/x/nasjax/cli/demo.py", "nasjax.cli.demo")):  # which runs others
        called(path, spec)
        assert program.command(config) == "python -m nasjax.cli.correlate"
