"""launch.benchmark as people run it, and what other commands make of its table."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import nasjax
from nasjax.benchmark import Trainer, read_table, reader
from nasjax.cli import accuracies, benchmark, common, correlate, libra
from nasjax.types import InputError

TINY = ("--channels=4", "--cells=1", "--epochs=4", "--batch_size=8", "--block=3", "--steps=5")


def cheap(training):
    """A trainer that knows the answer of an architecture without its network."""

    def init(key, space, arch, steps_per_epoch):
        del space, arch, steps_per_epoch
        return {"step": jnp.zeros((), jnp.int32), "luck": jax.random.uniform(key)}

    def step(state, arch, images, labels, key, space):
        del images, labels, key, space
        quality = 0.05 * (arch == 3).sum()  # 3x3 convolutions
        return state | {"step": state["step"] + 1}, 2.0 - quality

    def evaluate(state, arch, images, labels, space):
        del images, space
        share = jnp.clip(0.1 * (arch == 3).sum() + 0.02 * state["luck"] + 0.001 * state["step"], 0, 1)
        number = (labels >= 0).sum()
        return 2.0 * number, share * number

    return lambda data: Trainer(training.epochs, training.batch_size, init, step, evaluate, {"rate": 1})


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two npz files of train and test images."""
    folder = tmp_path_factory.mktemp("images")
    for name, classes in (("one", 4), ("two", 6)):
        generator = np.random.default_rng(classes)
        arrays = {}
        for split, number in (("train", 40), ("test", 12)):
            arrays[f"x_{split}"] = generator.integers(0, 256, (number, 8, 8, 3)).astype(np.uint8)
            arrays[f"y_{split}"] = np.arange(number) % classes
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


@pytest.fixture
def run_here(monkeypatch, capsys):
    """A command within this process, trainings being the cheap ones."""
    monkeypatch.setattr(benchmark, "make_trainer", cheap)

    def run_here(*argv, main=benchmark.main, config=benchmark.BenchmarkCommand):
        with pytest.raises(SystemExit) as end:
            common.run(main, config, argv=[str(word) for word in argv])
        seen = capsys.readouterr()
        return end.value.code, seen.out, seen.err

    return run_here


@pytest.fixture(scope="module")
def built(images, tmp_path_factory):
    """A benchmark of 12 cells on two tasks, two seeds for a third of them."""
    workdir = tmp_path_factory.mktemp("built") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "make_trainer", cheap)
        with pytest.raises(SystemExit) as end:
            common.run(benchmark.main, benchmark.BenchmarkCommand, argv=[
                f"--workdir={workdir}", *TINY, "--archs=random:12", "--seeds=2", "--repeated=0.34",
                f"--tasks=npz:{images}/one.npz,other=npz:{images}/two.npz",
            ])  # fmt: skip
    assert end.value.code == 0
    return workdir


def test_files_of_a_run(built):
    table = read_table(built)
    assert reader.tasks(table) == ["one", "other"] and table["arch"].nunique() == 12
    assert len(table) == 2 * (12 + 4) * 4 and table["valid"].all()
    space = nasjax.get_space("nasbench201", channels=4, cells=1, num_classes=6, image_size=8)
    arch = table["arch"].iloc[0]
    costs = table[(table["arch"] == arch) & (table["task"] == "other")].iloc[0]
    assert costs["params"] == space.num_params(space.decode([arch])[0])
    result = json.loads((built / "result.json").read_text())
    assert result["tasks"]["one"]["offline epoch"] == 1 and result["tasks"]["one"]["seeds"]["count"] == 4
    assert result["sha256"] == reader.about(built)["sha256"]
    page = (built / "report.html").read_text()
    assert page.count('<figure class="chart"') == 5 and result["sha256"] in page
    assert (built / "rank_stability.png").stat().st_size > 1000
    assert "--seeds=2" in (built / "run.flags").read_text()


def test_the_same_command_goes_on(run_here, built):
    before = (built / "benchmark.csv.gz").read_bytes()
    code, out, err = run_here(f"--flagfile={built / 'run.flags'}", "--steps=7")
    assert code == 0 and "ranks settle at" in out and "Training: 128/128" in err
    assert (built / "benchmark.csv.gz").read_bytes() == before
    code, out, err = run_here(f"--flagfile={built / 'run.flags'}", "--learning_rate=0.5")
    assert code == 2 and "another configuration" in err and "learning_rate" in err


def test_correlate_reads_the_table(run_here, built, tmp_path):
    archs = list(dict.fromkeys(read_table(built)["arch"]))
    scores = tmp_path / "mine.csv"
    pd.DataFrame({"arch": archs, "mine": [a.count("nor_conv_3x3") for a in archs]}).to_csv(scores, index=False)
    flags = {"main": correlate.main, "config": correlate.CorrelateConfig}
    table = f"--table={built}/benchmark.csv.gz"
    code, out, err = run_here(f"--workdir={tmp_path}", f"--scores={scores}", table, **flags)
    assert code == 0, err
    found = json.loads((tmp_path / "result.json").read_text())["correlations"]
    assert [row["target"] for row in found] == ["one_valid", "one_test", "other_valid", "other_test"]
    assert all(row["count"] == 12 and row["spearman"] > 0.8 for row in found)
    code, out, err = run_here(
        f"--workdir={tmp_path}", f"--scores={scores}", f"--table={built}", "--columns=one_valid_e2", **flags
    )
    assert code == 0 and "one valid e2" in out


def test_correlate_compares_two_tables(run_here, built, tmp_path):
    flags = {"main": correlate.main, "config": correlate.CorrelateConfig}
    tables = (f"--scores={built}/benchmark.csv.gz", f"--table={built}")
    code, _, err = run_here(f"--workdir={tmp_path}", *tables, "--columns=one_test", "--bootstrap=0", **flags)
    assert code == 0, err
    found = {row["proxy"]: row for row in json.loads((tmp_path / "result.json").read_text())["correlations"]}
    assert found["trained_one_test"]["spearman"] == 1
    assert set(found) == {f"trained_{t}_{s}" for t in ("one", "other") for s in ("valid", "test")} | {"params", "flops"}


def test_libra_reads_the_table(run_here, built, tmp_path):
    archs = list(dict.fromkeys(read_table(built)["arch"]))
    generator = np.random.default_rng(0)
    columns = {name: generator.normal(size=12) for name in ("zico", "nwot", "synflow")}
    pd.DataFrame({"arch": archs, **columns}).to_csv(tmp_path / "scores.csv", index=False)
    flags = (f"--table={built}/benchmark.csv.gz", f"--scores={tmp_path}", "--accuracy=one_valid", "--bootstrap=0")
    code, out, err = run_here(f"--workdir={tmp_path}/run", *flags, main=libra.main, config=libra.LibraCommandConfig)
    assert code == 0, err
    assert "12 architectures scored, 12 of them in the table" in out + err


def test_accuracies_of_another_space(built):
    assert accuracies.load(str(built), "nasbench201")["one_valid"].notna().all()
    with pytest.raises(InputError, match="holds architectures of nasbench201, this run scored darts"):
        accuracies.load(str(built), "darts")
    assert accuracies.default_columns("nasbench201") == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tasks=cifar11",), "did you mean cifar1"),
        (("--preset=nasbench",), "did you mean 'nasbench201"),
        (("--train_options=cutouts=8",), "Did you mean cutout"),
        (("--batch_size=64",), "batch_size=64: task one has 36 images"),
        (("--valid_fraction=1",), "valid_fraction=1.0"),
        (("--image_size=9",), "multiple of 4"),
    ],
)
def test_bad_input_writes_nothing(run_here, images, tmp_path, flags, message):
    code, _, err = run_here(f"--workdir={tmp_path}/run", *TINY, f"--tasks=npz:{images}/one.npz", *flags)
    assert code == 2 and message in err and "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ['{"space": "darts", "seed": 1}', '{"spa'])
def test_a_directory_of_another_command_is_left_alone(run_here, images, tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    code, _, err = run_here(f"--workdir={tmp_path}", *TINY, f"--tasks=one=npz:{images}/one.npz")
    assert code == 2 and ("another configuration" in err or "is damaged" in err)
    assert (tmp_path / "config.json").read_text() == content


def test_a_file_is_no_directory(run_here, images, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run_here(f"--workdir={tmp_path}/file/x", *TINY, f"--tasks=one=npz:{images}/one.npz")
    assert code == 2 and "Not a directory" in err and "Traceback" not in err


def test_options_of_training_and_augmentation():
    command = benchmark.BenchmarkCommand(
        workdir="w", epochs=3, train_options="cutout=4,crop_padding=0,label_smoothing=0.1,clip=none,randaugment=2:9"
    )
    config = benchmark.train_config(command)
    assert (config.epochs, config.label_smoothing, config.clip) == (3, 0.1, None)
    assert (config.augment.cutout, config.augment.crop_padding, config.augment.flip) == (4, 0, True)
    assert config.augment.randaugment == (2, 9)
    with pytest.raises(InputError, match="a milestone='x'"):
        benchmark.train_config(benchmark.BenchmarkCommand(workdir="w", train_options="milestones=x"))


def test_isomorphic_cells_of_a_list_are_said(run_here, images, tmp_path):
    first = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"  # nobody reads node 1
    other = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    flags = (f"--tasks=npz:{images}/one.npz", f"--archs={first};{other}")
    code, _, err = run_here(f"--workdir={tmp_path}/run", *TINY, *flags)
    assert code == 0 and "1 of 2 architectures are isomorphic to an earlier one" in err
