"""launch.das_train and launch.das_erf as people run them."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from nasjax.cli import common, das_erf, das_train
from nasjax.das.config import DASConfig
from nasjax.das.genotype import Gene, Genotype

TINY = ("--devices=1", "--network=resnet10", "--stages=1,1", "--width=8", "--temporal=tsm")
CLASSES = (*TINY, "--image_size=8", "--epochs=2", "--batch_size=160", "--dropout=0")
PIXELS = (*TINY, "--task=segmentation", "--variant=identity", "--frames=2", "--stem=cifar", "--output_stride=2",
          "--crop=8", "--base=0", "--test_size=0", "--epochs=1", "--batch_size=3")  # fmt: skip


@pytest.fixture
def run(capsys):
    def run(command, *argv):
        with pytest.raises(SystemExit) as end:
            config = das_erf.ERFFlags if command is das_erf else das_train.DASTrainFlags
            common.run(command.main, config, argv=[str(word) for word in argv])
        seen = capsys.readouterr()
        return end.value.code, seen.out, seen.err

    return run


@pytest.fixture(scope="module")
def genotype(tmp_path_factory):
    config = DASConfig(num_frames=2, num_nodes=1, num_inputs=1)
    return Genotype((Gene(0, 0, "translate_x", 0.1),), config).save(tmp_path_factory.mktemp("g") / "genotype.json")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("das") / "views"


def test_training_again_and_measuring(run, workdir, genotype, tmp_path):
    argv = (f"--workdir={workdir}", "--variant=views", f"--genotype={genotype}", *CLASSES)
    code, out, err = run(das_train, *argv)
    assert code == 0, err
    result = json.loads((workdir / "result.json").read_text())
    rows = pd.read_csv(workdir / "history.csv")
    assert result["epochs"] == len(rows) == 2 and result["frames"] == 2 and result["temporal_modules"] == 0
    assert rows["test_accuracy"].iloc[-1] == pytest.approx(result["test_accuracy"])
    assert f"{100 * result['test_accuracy']:.2f} %" in out and "Traceback" not in err
    assert (workdir / "report.html").read_text().count('<figure class="chart"') == 2
    assert "--variant=views" in (workdir / "run.flags").read_text()
    code, out, _ = run(das_train, *argv)
    assert code == 0 and "2 epochs by an earlier run" in out
    assert json.loads((workdir / "result.json").read_text())["test_accuracy"] == result["test_accuracy"]
    code, _, err = run(das_train, *argv, "--seed=1")
    assert code == 2 and "seed: there 0, now 1" in err
    before = genotype.read_text()
    other = Genotype.load(genotype)
    Genotype(other.genes, dataclasses.replace(other.config, num_frames=3)).save(genotype)  # the same genes
    code, _, err = run(das_train, *argv)
    genotype.write_text(before)
    assert code == 2 and "genotype_text" in err

    code, out, err = run(das_erf, f"--workdir={tmp_path / 'erf'}", f"--trained={workdir}", "--num_images=4",
                         "--batch_size=4", "--image_size=8")  # fmt: skip
    assert code == 0, err
    fields = pd.read_csv(tmp_path / "erf" / "erf.csv")
    assert list(fields["name"]) == ["views, trained", "views, fresh"]
    with np.load(tmp_path / "erf" / "erf.npz") as maps:
        one, two = (maps[name] for name in fields["name"])
    assert one.shape == (8, 8) and not np.allclose(one / one.max(), two / two.max())
    assert fields["area"][0] == (one > 0.01 * one.max()).sum()


def test_segmentation(run, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (4, 8, 8, 3), np.uint8), rng.integers(0, 3, (4, 8, 8))
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    code, out, err = run(das_train, f"--workdir={tmp_path / 'w'}", f"--data=npz:{tmp_path / 'a.npz'}", *PIXELS)
    assert code == 0, err
    result = json.loads((tmp_path / "w" / "result.json").read_text())
    values = [v for v in result["class_iou"].values() if v is not None]
    assert result["test_miou"] == pytest.approx(np.mean(values)) and len(result["class_iou"]) == 3
    assert (tmp_path / "w" / "masks.png").stat().st_size > 1000 and "test miou" in out
    np.savez(tmp_path / "a.npz", x_train=x[::-1], y_train=y[::-1], x_test=x[:2], y_test=y[:2])
    code, _, err = run(das_train, f"--workdir={tmp_path / 'w'}", f"--data=npz:{tmp_path / 'a.npz'}", *PIXELS)
    assert code == 2 and "images" in err


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        (("--variant=das",), "needs a genotype"),
        (("--genotype=absent.json",), "absent.json cannot be read"),
        (("--variant=2d", "--batch_size=100000"), "lower it"),
        (("--variant=2d", "--network=resnet9"), "ResNet-9|did you mean"),
        (("--variant=2d", "--data=photos#test"), "test_split"),
        (("--task=segmentation", "--variant=randaugment"), "not for segmentation"),
        (("--task=segmentation", "--variant=2d", "--data=photos"), "camvid:FILE"),
        (("--variant=2d", "--randaugment=a,b"), "two numbers"),
        (("--variant=2d", "--stages=2,x"), "whole numbers"),
        (("--variant=2d", "--width=4.5"), "whole number of channels"),
        (("--variant=2d", "--dropout=1.5"), "dropout=1.5"),
        (("--task=segmentation", "--variant=2d", "--width=4.5"), "whole number of channels"),
    ],
)
def test_bad_input_is_one_clear_message(run, tmp_path, argv, match):
    code, _, err = run(das_train, f"--workdir={tmp_path / 'w'}", *argv)
    assert code == 2 and "Traceback" not in err
    assert any(part in err for part in match.split("|")), err
    assert not (tmp_path / "w" / "config.json").exists()


def test_fields_that_cannot_be_measured(run, tmp_path):
    for argv, match in ((("--variants=3d",), "Allowed: das"), (("--variants=das",), "need --genotype"),
                        ((f"--trained={tmp_path}",), "no finished training")):  # fmt: skip
        code, _, err = run(das_erf, f"--workdir={tmp_path / 'w'}", *argv)
        assert code == 2 and match in err, err


def test_help_pages(run):
    for command in (das_train, das_erf):
        code, out, _ = run(command, "--helpshort")
        assert code == 0 and "Examples:" in out and "--workdir" in out
