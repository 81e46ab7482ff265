import importlib.metadata
import json

import nasjax
from nasjax.cli import correlate, repeat


def config(**options):
    return correlate.CorrelateConfig(workdir="runs/x", run_flags="--workdir=runs/x\n--seed=3\n", **options)


def test_a_run_names_its_command_versions_seed_and_fingerprints(tmp_path):
    known = {"images": "sha256 0123456789abcdef", "data": "photos", "architectures": "24, sha256 01234567"}
    (tmp_path / "config.json").write_text(json.dumps(known | {"space_options": {"a": 1}}))
    found = repeat.repeat(config(seed=3), tmp_path, file="correlate.flags", devices=False)
    assert found.command == f"python -m nasjax.cli.correlate --flagfile={tmp_path}/correlate.flags"
    assert found.flags == "--workdir=runs/x\n--seed=3\n"
    assert found.facts["jax"] == importlib.metadata.version("jax") and found.facts["Seed"] == "3"
    assert found.facts["Images"] == "sha256 0123456789abcdef" and found.facts["Architectures"] == "24, sha256 01234567"
    assert "Data" not in found.facts and "Devices" not in found.facts
    assert found.facts["nasjax"].startswith(nasjax.__version__)


def test_devices_are_named_where_they_were_used(tmp_path):
    assert "cpu" in repeat.repeat(config(), tmp_path).facts["Devices"]


def test_damaged_configuration_has_no_fingerprints(tmp_path):
    for text in ("{", "[1]", ""):
        (tmp_path / "config.json").write_text(text)
        assert repeat.fingerprints(tmp_path) == {}
    assert repeat.fingerprints(tmp_path / "none") == {}


def test_lists_of_fingerprints_are_told_too(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"images": ["sha256 01234567", "sha256 89abcdef"], "n": [1]}))
    assert repeat.fingerprints(tmp_path) == {"Images": "sha256 01234567, sha256 89abcdef"}


def test_an_earlier_command_is_read_from_its_flags(tmp_path):
    assert repeat.earlier(tmp_path, "Before:") == []
    (tmp_path / "run.flags").write_text("# Repeats this run: python -m launch.score --flagfile=x\n--seed=1\n--a=b\n")
    step = ("Before:", "python -m launch.score --flagfile=x", "--seed=1\n--a=b\n")
    assert repeat.earlier(tmp_path, "Before:") == [step]
    assert repeat.repeat(config(), tmp_path, devices=False, earlier=[step]).earlier == (step,)
    (tmp_path / "run.flags").write_text("--seed=1\n")
    assert repeat.earlier(tmp_path, "Before:") == []
