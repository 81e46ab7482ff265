"""launch.train: what it prints, writes and refuses."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from nasjax.cli import common, options, train, train_options
from nasjax.data.augment import AugmentConfig
from nasjax.training import preset
from nasjax.types import InputError

RUN = ("--epochs=3", "--batch_size=8", "--augment=off,flip=true", "--hold_out=0.25", "--devices=1")


def tiny_space():
    """The space of the tests of training."""
    path = pathlib.Path(__file__).parents[1] / "training" / "conftest.py"
    spec = importlib.util.spec_from_file_location("training_conftest", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 3
    images = rng.integers(0, 120, (40, 4, 4, 3), dtype=np.uint8)
    images[np.arange(40), :, :, labels] += 100
    path = tmp_path_factory.mktemp("images") / "tiny.npz"
    np.savez(path, x=images, y=labels)
    return f"--data=npz:{path}"


@pytest.fixture
def run_here(monkeypatch, capsys):
    """The command within this process, on the tiny space."""
    tiny = tiny_space()
    monkeypatch.setattr(train.nasjax, "get_space", lambda name, **given: tiny(**given))

    def run_here(*argv):
        with pytest.raises(SystemExit) as end:
            common.run(train.main, train.TrainCommand, argv=[str(word) for word in argv])
        seen = capsys.readouterr()
        return end.value.code, seen.out, seen.err

    return run_here


def test_results_and_going_on(run_here, tmp_path, data):
    workdir = tmp_path / "run"
    code, out, err = run_here(f"--workdir={workdir}", data, *RUN)
    assert code == 0, err
    assert "epoch 3/3: training loss" in err and "Evaluation accuracy" in out and "3 epochs in" in out
    found = json.loads((workdir / "result.json").read_text())
    history = pd.read_csv(workdir / "history.csv")
    assert list(history.epoch) == [1, 2, 3] and found["epochs"] == 3 and found["options"]["epochs"] == 3
    assert found["best"]["valid_accuracy"] == history.valid_accuracy.max()
    assert found["options"]["augment"]["flip"] and not found["options"]["augment"]["crop_padding"]
    assert (workdir / "curves.png").stat().st_size > 1000 and "Learning curves" in (workdir / "report.html").read_text()
    code, out, _ = run_here(f"--flagfile={workdir / 'run.flags'}")
    assert code == 0 and "3 of them by an earlier run" in out
    code, _, err = run_here(f"--workdir={workdir}", data, *RUN, "--learning_rate=0.2")
    assert code == 2 and "learning_rate" in err and "another configuration" in err


def test_a_loss_that_is_no_number(run_here, tmp_path, data):
    code, out, err = run_here(f"--workdir={tmp_path / 'x'}", data, *RUN, "--learning_rate=1e38", "--epochs=40")
    assert code == 2 and "Stopped: the loss of step" in err and "is kept" in err
    if "initial state is kept" in err:  # then another learning rate may have the directory
        assert "The directory is free for other settings" in err
        assert not (tmp_path / "x" / "config.json").exists()
    else:
        assert "Other settings need a new --workdir" in err


@pytest.mark.parametrize(
    "argv, named",
    [
        (("--preset=cifar",), "Did you mean darts_cifar"),
        (("--options=weightdecay=1",), "weight_decay"),
        (("--options=epochs=3", "--epochs=3"), "epochs has a flag of its own"),
        (("--augment=randaugment=a:b",), "no list of numbers"),
        (("--augment=flips=true",), "flip"),
        (("--hold_out=1.5",), "a share below 1"),
        (("--arch=random:2",), "names 2 architectures"),
        (("--batch_size=64",), "has 36 images"),
        (("--data=npz:/nowhere.npz",), "/nowhere.npz"),
    ],
)
def test_bad_input(run_here, tmp_path, data, argv, named):
    code, _, err = run_here(f"--workdir={tmp_path / 'run'}", data, *argv)
    assert code == 2 and named in err, err
    assert not (tmp_path / "run" / "config.json").exists()


def test_options_change_a_preset():
    values = {"workdir": "x", "preset": "darts_cifar", "options": "average=0.9,milestones=3:5,clip=none"}
    found = train_options.read(train.TrainCommand(**values, augment="cutout=4,randaugment=2:9:0.5", epochs=3))
    assert (found.epochs, found.average, found.milestones, found.clip) == (3, 0.9, (3, 5), None)
    assert (found.augment.cutout, found.augment.randaugment, found.augment.crop_padding) == (4, (2, 9, 0.5), 4)
    assert train_options.read(train.TrainCommand(workdir="x", augment="off")).augment == AugmentConfig()
    assert train_options.read(train.TrainCommand(workdir="x")) == preset("nasbench201_12")
    with pytest.raises(InputError, match="augment has a flag of its own"):
        train_options.read(train.TrainCommand(workdir="x", options="augment=3"))


def test_the_help_page(root):
    done = subprocess.run([sys.executable, "-m", "launch.train", "--helpshort"], cwd=root, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in ("--preset=TEXT", "nasbench201_12", "--hold_out=X", "the same command goes on"):
        assert words in done.stdout
    assert options.help_text(train.TrainCommand, program="x", about=train.__doc__).count("--engine") == 0
