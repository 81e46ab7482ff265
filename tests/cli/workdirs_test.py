"""What the commands do in a working directory that is in use, cannot be written, or is full."""

import builtins
import errno
import os
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import nasjax
from nasjax import records
from nasjax.cli import (
    benchmark,
    common,
    correlate,
    das_erf,
    das_search,
    das_train,
    grasp,
    grasp_benchmark,
    libra,
    profile_layers,
    score,
    search,
    train,
)
from nasjax.das.config import DASConfig
from nasjax.das.genotype import Gene, Genotype
from nasjax.locking import Lock
from nasjax.types import InputError

CELLS = ("--channels=4", "--cells=1", "--image_size=8")
CONFIGS = {
    score: score.ScoreConfig, search: search.SearchConfig, train: train.TrainCommand, grasp: grasp.GraspCommandConfig,
    benchmark: benchmark.BenchmarkCommand, grasp_benchmark: grasp_benchmark.GraspBenchmarkCommand,
    das_search: das_search.DASSearchConfig, das_train: das_train.DASTrainFlags, das_erf: das_erf.ERFFlags,
    libra: libra.LibraCommandConfig,
    correlate: correlate.CorrelateConfig, profile_layers: profile_layers.ProfileConfig,
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Images, a table and a genotype."""
    folder, random = tmp_path_factory.mktemp("inputs"), np.random.default_rng(0)
    arrays = {}
    for split, number in (("train", 40), ("test", 12)):
        arrays[f"x_{split}"] = random.integers(0, 256, (number, 8, 8, 3)).astype(np.uint8)
        arrays[f"y_{split}"] = np.arange(number) % 4
    np.savez(folder / "images.npz", **arrays)
    Genotype((Gene(0, 0, "translate_x", 0.1),), DASConfig(num_frames=2, num_nodes=1, num_inputs=1)).save(
        folder / "genotype.json"
    )
    space = nasjax.get_space("nasbench201")
    archs = space.all()[::400]
    params = np.asarray(space.num_params(archs), float)
    frame = pd.DataFrame({"arch": space.encode(archs), "top1": np.log(params), "params": params,
                          "nwot": random.normal(size=len(archs)), "zico": random.normal(size=len(archs))})  # fmt: skip
    frame.to_csv(folder / "table.csv", index=False)
    scores = frame[["arch", "nwot", "zico"]].rename(columns={"nwot": "a", "zico": "b"})
    scores.to_csv(folder / "scores.csv", index=False)
    return folder


def command(module, inputs):
    """The words of a small run, without ``--workdir``; what it does before its first file takes no compiler."""
    images = f"--data=npz:{inputs / 'images.npz'}"
    tasks = f"--tasks=mine=npz:{inputs / 'images.npz'}"
    table = f"--table={inputs / 'table.csv'}"
    space = "--space_options=num_blocks=2,num_stages=2,min_vertices=2,max_vertices=3"
    return {
        score: (*CELLS, "--data=noise", "--batch_size=4", "--archs=0;1", "--proxies=params"),
        search: (table, "--column=top1", "--budget=20", "--algorithm=random"),
        train: (*CELLS[:2], images, "--epochs=1", "--batch_size=8", "--arch=1462"),
        grasp: (table, "--column=top1", "--num_train=12", "--splits=1", "--options=steps=2,width=4,layers=1"),
        benchmark: (*CELLS[:2], tasks, "--archs=1462", "--epochs=1", "--batch_size=8",
                    "--train_options=crop_padding=1"),
        grasp_benchmark: ("--channels=4", space, tasks, "--archs=ids:2", "--epochs=2", "--batch_size=8",
                          "--image_size=8", "--train_options=crop_padding=1"),
        das_search: (images, "--num_images=20", "--batch_size=5", "--preset=single_edge", "--frames=2", "--epochs=1",
                     "--ops=identity,rotate", "--width=4"),
        das_train: (images, "--variant=das", f"--genotype={inputs / 'genotype.json'}", "--network=resnet10",
                    "--stages=1,1", "--width=4", "--temporal=tsm", "--batch_size=8", "--epochs=1"),
        das_erf: (images, "--variants=2d", "--num_images=2", "--network=resnet10", "--stages=1", "--width=4"),
        libra: (table, "--accuracy=top1", "--space=nasbench201", "--bootstrap=0"),
        correlate: (f"--scores={inputs / 'scores.csv'}", table, "--columns=top1", "--bootstrap=0"),
        profile_layers: (*CELLS, "--data=noise", "--batch_size=4", "--num_batches=2", "--num_archs=2"),
    }[module]  # fmt: skip


@pytest.fixture
def run(inputs, capsys, monkeypatch):
    """A command within this process: exit status, standard output and error."""
    monkeypatch.setattr(common, "enable_compile_cache", lambda: None)

    def run(module, workdir):
        with pytest.raises(SystemExit) as end:
            common.run(module.main, CONFIGS[module], argv=[f"--workdir={workdir}", *command(module, inputs)])
        seen = capsys.readouterr()
        return end.value.code, seen.out, seen.err

    return run


def paragraph(err):
    """The message of a refused run: one paragraph after remarks and progress."""
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


ALONE = [module for module in CONFIGS if module is not score]  # runs of launch.score share a store


@pytest.mark.parametrize("module", ALONE, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_directory_in_use(run, tmp_path, module):
    name = correlate.LOCK if module is correlate else ".lock"
    lock = Lock.take(tmp_path, what="", name=name)
    code, _, err = run(module, tmp_path)
    lock.release()
    assert code == 2, err
    assert "belongs to a run that is going on (process" in paragraph(err) and str(tmp_path) in paragraph(err)
    assert [f.name for f in tmp_path.iterdir()] == [name], "nothing else was written"


@pytest.mark.parametrize(
    ("module", "number"),
    # launch.grasp writes nothing but its lock before it has trained
    [(module, number) for module in CONFIGS for number in (errno.EROFS, errno.ENOSPC)
     if (module, number) != (grasp, errno.ENOSPC)],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else value.__name__.rpartition(".")[2],
)  # fmt: skip
def test_a_directory_that_cannot_be_written(run, tmp_path, monkeypatch, module, number):
    (tmp_path / "result.json").write_text("of an earlier run")
    before = builtins.open

    def refuse(file, mode="r", *args, **kwargs):
        here = isinstance(file, str | os.PathLike) and pathlib.Path(file).is_relative_to(tmp_path)
        free = number == errno.ENOSPC and pathlib.Path(str(file)).name.startswith(".lock")  # an empty file has room
        if here and set(mode) & set("wax+") and not free:
            raise OSError(number, os.strerror(number), str(file))
        return before(file, mode, *args, **kwargs)

    monkeypatch.setattr("io.open", refuse)
    monkeypatch.setattr(builtins, "open", refuse)
    code, _, err = run(module, tmp_path)
    assert code == 2, err
    assert os.strerror(number) in paragraph(err) and str(tmp_path) in paragraph(err)
    assert (tmp_path / "result.json").read_text() == "of an earlier run"
    assert not [f.name for f in tmp_path.iterdir() if f.name != "result.json" and not f.name.startswith(".lock")]


def test_the_lock_of_a_killed_run_blocks_nobody(tmp_path):
    code = ("import pathlib, sys, time; from nasjax.cli import common\n"
            "with common.exclusive(pathlib.Path(sys.argv[1])): print('taken', flush=True); time.sleep(60)")  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "taken\n"
        with pytest.raises(InputError, match=f"process {process.pid} on"), common.exclusive(tmp_path):
            pass
        process.kill()
        process.wait()
    with common.exclusive(tmp_path):
        pass


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / "result.json"
    for content, error in (("old", None), ("new", OSError(errno.ENOSPC, "No space left on device"))):
        try:
            with records.replaced(file) as stream:
                stream.write(content)
                if error:
                    raise error
        except InputError as refused:
            assert "No space left" in str(refused) and "what was there is kept" in str(refused)
    assert file.read_text() == "old" and [f.name for f in tmp_path.iterdir()] == ["result.json"]


def test_a_run_beside_one_that_fails_at_once_keeps_its_directory(tmp_path):
    """Both find the directory empty; the second gives it back when it fails, and the first goes on."""
    with score.claimed(tmp_path, {"seed": 0}):
        (tmp_path / records.CONFIG_FILENAME).unlink()
    with pytest.raises(InputError, match="another configuration"), score.claimed(tmp_path, {"seed": 1}):
        pass


def test_a_predictor_is_read_by_two_runs_at_once(tmp_path):
    space = nasjax.get_space("nasbench201")
    graphs = nasjax.grasp.encode(space, space.all()[:12])
    config = grasp.preset("published").with_options(steps=1, width=4, layers=1)
    nasjax.grasp.fit(graphs, np.arange(12.0), seed=0, config=config).save(tmp_path / "predictor")
    lock = Lock.take(tmp_path / "predictor", what="")
    try:
        assert nasjax.grasp.load(tmp_path / "predictor").config == config
    finally:
        lock.release()



@pytest.mark.parametrize("name", ["graph.png", None])
def test_a_full_disk_that_nobody_thought_of(capsys, name):
    def main(config):
        raise OSError(errno.ENOSPC, "No space left on device", name)

    with pytest.raises(SystemExit) as end:
        common.run(main, correlate.CorrelateConfig, argv=["--workdir=w"])
    err = capsys.readouterr().err
    assert end.value.code == 2 and "finished results are kept" in paragraph(err) and (name or "No space") in err
    with pytest.raises(OSError, match="Bad"):  # any other is a bug
        common.run(lambda config: os.read(10**6, 1), correlate.CorrelateConfig, argv=["--workdir=w"])
