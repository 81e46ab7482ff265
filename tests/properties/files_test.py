"""Damaged, foreign, missing files and files of another version: read as they were, or refused by one clear message."""

import os
import re

import numpy as np
import pytest

from benchmarks import fuzz

TRIALS = int(os.environ.get("NASJAX_EXAMPLES", "8"))
COSTLY = ("predictor",)  # trains one; `python -m benchmarks.fuzz` has it


@pytest.fixture(autouse=True)
def no_other_intervals(monkeypatch):
    monkeypatch.setenv("NASJAX_INTERVALS", "none")  # the fuzz sets it


@pytest.mark.parametrize("name", [name for name in fuzz.FORMATS if name not in COSTLY])
def test_damaged_files(name):
    for number in range(TRIALS):
        how, outcome, said = fuzz.trial(name, number, seed=1)
        assert outcome not in fuzz.DEFECTS, f"trial {number}, {how}: {outcome}: {said}"
        if outcome == "refused":
            assert 20 < len(said) < 2000 and "\n\n" not in said, said
        if how == "version" and name != "benchmark_store":
            assert outcome in ("refused", "same")


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("store", "noise", "no SQLite file"),
        ("store", "directory", "No score store"), ("npz", "cut", "no .npz file"),
        ("checkpoint", "empty", ""), ("table_csv_gz", "cut", "cannot be read as a table|names no arch|no column"),
        ("genotype", "empty", "no genotype"), ("selection", "noise", "no selection file"),
        ("interval", "cut", "not a layer interval"), ("config", "cut", "damaged or not written by nasjax"),
        ("benchmark_table", "cut", "is not the table that|cannot be read"), ("golden", "cut", "not JSON, or cut short"),
        ("run_flags", "missing", "flagfile|file"), ("archs_csv", "noise", "no text file|none|no architecture|allowed"),
    ],
)  # fmt: skip
def test_what_is_said(name, damage, words, tmp_path):
    """A message names the file and what is wrong with it."""
    kind, random = fuzz.FORMATS[name], np.random.default_rng(0)
    path = kind.make(tmp_path)
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file() and f.name != ".lock")
    fuzz.DAMAGES[damage](files[0], random)
    try:
        kind.read(path)
    except fuzz.InputError as error:
        assert re.search(words, str(error)), str(error)
        assert str(tmp_path) in str(error) or name == "interval"
    else:
        assert not words


def test_a_crash_would_be_counted(monkeypatch):
    def crash(path):
        if "broken" in path.read_text():
            raise KeyError("x")
        return path.read_text()

    def make(base):
        (base / "a").write_text("whole")
        return base / "a"

    monkeypatch.setitem(fuzz.FORMATS, "toy", fuzz.Format(make, crash))
    monkeypatch.setattr(fuzz, "DAMAGES", {"break": lambda path, random: path.write_text("broken")})
    assert fuzz.trial("toy", 0) == ("break", "crash", "KeyError: 'x'")
    monkeypatch.setattr(fuzz, "DAMAGES", {"leave": lambda path, random: None})
    assert fuzz.trial("toy", 0)[1] == "same"


def test_trials_go_on_where_they_were(tmp_path, capsys):
    file = tmp_path / "fuzz.json"
    first = fuzz.main(["--formats=config,transfer_parts", "--trials=3", f"--json={file}"])
    assert fuzz.main(["--formats=config,transfer_parts", "--trials=5", f"--json={file}"])["config"] != first["config"]
    whole = fuzz.main(["--formats=config,transfer_parts", "--trials=5"])
    assert whole == fuzz.main(["--formats=config", "--trials=5", f"--json={file}"])
    assert "config" in capsys.readouterr().out and sum(whole["config"].values()) == 5
