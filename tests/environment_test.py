import importlib.metadata
import platform
import subprocess

from nasjax import environment


def test_versions_system_devices_and_time():
    found = environment.describe("1.2.3")
    assert found["nasjax"].startswith("1.2.3") and found["Python"] == platform.python_version()
    assert found["jax"] == importlib.metadata.version("jax") and "cpu" in found["Devices"] and "UTC" in found["Written"]
    assert "Devices" not in environment.describe(devices=False)


def test_what_is_not_installed_is_left_out(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    found = environment.describe(devices=False)
    assert found["nasjax"].startswith("of a checkout") and "jax" not in found


def test_a_commit_is_told_where_git_knows_it(monkeypatch, tmp_path):
    assert environment.with_commit("1.0", root=tmp_path) == "1.0"  # no checkout
    (tmp_path / ".git").mkdir()
    done = subprocess.CompletedProcess([], 0, "abc1234-dirty\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: done)
    assert environment.with_commit("1.0", root=tmp_path) == "1.0, commit abc1234-dirty"
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: _missing())
    assert environment.with_commit("1.0", root=tmp_path) == "1.0"


def _missing():
    raise FileNotFoundError("git")
