"""launch.grasp_benchmark as people run it."""

import json

import numpy as np
import pytest

from nasjax import benchmark as library
from nasjax.benchmark import Trainer
from nasjax.cli import benchmark, common, grasp_benchmark
from nasjax.spaces.kronecker import Kronecker

OPTIONS = "num_blocks=2,num_stages=2,min_vertices=2,max_vertices=3"
TINY = ("--channels=4", "--epochs=3", "--batch_size=8", "--block=4", "--archs=ids:6", f"--space_options={OPTIONS}")


def cheap(training):
    """A trainer that counts convolutions instead of training."""

    def init(key, space, arch, steps_per_epoch):
        del key, space, steps_per_epoch
        return {"step": (arch[0] * 0).astype("int32")}

    def step(state, arch, images, labels, key, space):
        del images, labels, key, space
        return {"step": state["step"] + 1}, 1.0 + 0.0 * arch[0]

    def evaluate(state, arch, images, labels, space):
        del images, space
        number = (labels >= 0).sum()
        return 1.0 * number, (0.02 * arch.sum() + 0.001 * state["step"]) * number

    return lambda data: Trainer(training.epochs, training.batch_size, init, step, evaluate, training.describe())


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Colour images of 8 pixels, and grey ones of 28."""
    folder, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name, shape in (("colour", (8, 8, 3)), ("grey", (28, 28, 3))):
        arrays = {}
        for split, number in (("train", 40), ("test", 12)):
            arrays[f"x_{split}"] = generator.integers(0, 256, (number, *shape)).astype(np.uint8)
            arrays[f"y_{split}"] = np.arange(number) % 4
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


@pytest.fixture
def run_here(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "make_trainer", cheap)

    def run_here(*argv):
        with pytest.raises(SystemExit) as end:
            common.run(grasp_benchmark.main, grasp_benchmark.GraspBenchmarkCommand, argv=argv)
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run_here


def test_the_first_ids_on_every_data_set(run_here, images, tmp_path):
    tasks = f"--tasks=one=npz:{images}/colour.npz,fashion_mnist=npz:{images}/grey.npz"
    code, out, err = run_here(f"--workdir={tmp_path}/run", *TINY, tasks, "--repeated=0.5")
    assert code == 0, err
    table = library.read_table(tmp_path / "run")
    space = Kronecker(channels=4, num_blocks=2, num_stages=2, min_vertices=2, max_vertices=3)
    assert list(dict.fromkeys(table["arch"])) == space.encode(space.by_id(range(6)))
    # Three of six have two seeds, on two tasks, three epochs each.
    assert len(table) == 2 * (6 + 3) * 3 and table["valid"].all()
    about = json.loads((tmp_path / "run" / "benchmark.json").read_text())["benchmark"]
    sizes = {task: (o["image_size"], o["num_classes"]) for task, o in about["space options"].items()}
    assert sizes == {"one": (8, 4), "fashion_mnist": (32, 4)}
    recipe = about["training"]["one"]
    assert (recipe["learning_rate"], recipe["warmup_epochs"], recipe["augment"]["crop_padding"]) == (0.1, 1, 4)
    assert (tmp_path / "run" / "report.html").is_file() and "one" in out
    curves = library.curves(table, "one")[1]
    assert curves.shape == (6, 3) and library.rank_stability(curves)["spearman"][-1] == 1
    # The same command again trains nothing and gives the same.
    code, _, _ = run_here(f"--workdir={tmp_path}/run", *TINY, tasks, "--repeated=0.5")
    assert code == 0 and library.read_table(tmp_path / "run").equals(table)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--archs=ids:0",), "at least 1, as in ids:200"),
        (("--archs=ids:many",), "as in ids:200"),
        (("--space=nasbench201", "--space_options=", "--archs=ids:4"), "nasbench201 has no ids"),
        (("--tasks=Tiny-ImageNet",), "tiny_imagenet=folder:DIR"),
        (("--space_options=num_blocks=3,num_stages=2",), "num_blocks=3 cannot be shared"),
        (("--space_options=generator=ring",), "generator='ring'"),
    ],
)
def test_mistakes_are_one_paragraph(run_here, images, tmp_path, argv, message):
    tasks = f"--tasks=one=npz:{images}/colour.npz"
    code, _, err = run_here(f"--workdir={tmp_path}/run", *TINY, tasks, *argv)
    assert code == 2 and message in " ".join(err.split()) and not (tmp_path / "run").exists()
