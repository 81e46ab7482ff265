"""The benchmark of training: its flags, and the part that needs no network."""

import json

import pytest

from benchmarks import training
from nasjax.training import TrainConfig, presets


def test_images_a_second(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(presets, "_PRESETS", {"nasbench201_200": TrainConfig(), "plain": TrainConfig()})
    file = tmp_path / "found.json"
    argv = ["input", "--image_size=4", "--images=12", "--batch_size=4", "--steps=2", f"--json={file}"]
    assert training.main(argv) == 0
    assert "images a second" in capsys.readouterr().out
    found = json.loads(file.read_text())["input"]
    assert found.keys() == {"reading", "augment nothing", "augment plain"} and min(found.values()) > 0


@pytest.mark.parametrize("flag", ["--steps=0", "--images=3", "--batch_size=0", "two"])
def test_bad_flags_are_refused(flag, capsys):
    with pytest.raises(SystemExit):
        training.arguments([flag])
    assert "usage" in capsys.readouterr().err
