"""A benchmark is the same however it is run, and goes on after a kill at any moment."""

import functools
import itertools
import json

import jax
import numpy as np
import pandas as pd
import pytest

from nasjax.benchmark import runner, training
from nasjax.benchmark.config import BenchmarkConfig
from nasjax.benchmark.programs import Programs
from nasjax.benchmark.reader import about, read_table
from nasjax.benchmark.store import EpochStore
from nasjax.checkpoint import Checkpoints
from nasjax.types import InputError

ARCHS = ["1-0", "5-1", "3-0", "2-0"]
CONFIG = BenchmarkConfig(seeds=2, repeated=0.5, block=2, steps=4)
EPOCHS = 3


def build(toys, workdir, *, archs=ARCHS, tasks=None, trainer=None, **options):
    trainer = trainer or toys.trainer(EPOCHS)
    options = {"key": jax.random.key(0), "config": CONFIG, "devices": 1} | options
    return runner.build(toys.space, archs, tasks or [toys.task()], lambda data: trainer, workdir=workdir, **options)


def results(path):
    return read_table(path).drop(columns=["seconds", "device"])


@pytest.fixture(scope="module", autouse=True)
def shared_programs():
    """Programs are compiled once for all tests."""

    @functools.cache
    def kept(description, space, slots, batching, device):
        return Programs(trainers[description], space, slots, batching, device)

    def make(trainer, space, slots, batching, device):
        description = json.dumps(trainer.description)
        trainers.setdefault(description, trainer)
        return kept(description, space, slots, batching, device)

    trainers = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "Programs", make)
        yield


@pytest.fixture(scope="module")
def whole(toys, tmp_path_factory):
    """A benchmark that was never stopped."""
    return build(toys, tmp_path_factory.mktemp("whole"))


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_row_for_every_epoch(whole):
    table = results(whole)
    jobs = [(arch, 0) for arch in ARCHS] + [(arch, 1) for arch in ARCHS[:2]]
    assert sorted(zip(table["arch"], table["seed"], table["epoch"], strict=True)) == sorted(
        (arch, seed, epoch) for arch, seed in jobs for epoch in (1, 2, 3)
    )
    assert table["valid"].all() and np.isfinite(table[["train_loss", "valid_loss", "valid_accuracy"]]).all(axis=None)
    assert (np.isfinite(table["test_accuracy"]) == (table["epoch"] == EPOCHS)).all()
    first, last = (table[table["epoch"] == e]["train_loss"].mean() for e in (1, EPOCHS))
    assert last < first
    assert set(table.loc[table["arch"] == "5-1", "params"]) == {12} and set(table["signature"]) == {"0", "1"}


def test_numbers_are_those_of_a_plain_loop(toys, whole):
    """The loss of one network, from NumPy."""
    data, trainer = toys.task(), toys.trainer(EPOCHS)
    table = results(whole)
    assert trainer.batch_size == 8 and len(data.train_rows) == 54
    (key,) = training._groups(
        runner.planning.blocks(toys.space, ["3-0"], ["reds"], BenchmarkConfig())[0],
        training.Setting(trainer, data, toys.space.bind("0"), _Slots(1), jax.random.key(0), 4, {}),
    )[0].keys
    state = trainer.init(key, toys.space.bind("0"), np.array([3, 0]), 6)
    expected = []
    for epoch in range(1, EPOCHS + 1):
        losses = []
        order = data.train_rows[training.epoch_order(0, epoch, 54)]
        for start in range(0, 48, 8):
            rows = order[start : start + 8]
            arrays = (data.train.images(rows), data.train.labels[rows])
            state, loss = trainer.step(state, np.array([3, 0]), *map(np.asarray, arrays), key, toys.space.bind("0"))
            losses.append(float(loss))
        held = data.valid_rows
        _, right = trainer.evaluate(
            state, np.array([3, 0]), data.train.images(held), data.train.labels[held], toys.space.bind("0")
        )
        expected.append((np.mean(losses), 100 * float(right) / len(held)))
    own = table[(table["arch"] == "3-0") & (table["seed"] == 0)]
    np.testing.assert_allclose(own[["train_loss", "valid_accuracy"]], expected, rtol=1e-5)


class _Slots:
    """Stands for programs of a number of slots."""

    def __init__(self, slots):
        self.slots = slots


@pytest.mark.parametrize(
    "config",
    [
        BenchmarkConfig(seeds=2, repeated=0.5, block=3, steps=4),
        BenchmarkConfig(seeds=2, repeated=0.5, block=2, steps=100),
        BenchmarkConfig(seeds=2, repeated=0.5, block=2, steps=4, batching="single"),
        BenchmarkConfig(seeds=2, repeated=0.5, block=3, steps=4, batching="vmap"),
    ],
    ids=["block", "steps", "single", "vmap"],
)
def test_blocks_change_no_result(toys, whole, tmp_path, config):
    table = results(build(toys, tmp_path, config=config))
    keys = ["arch", "task", "seed", "epoch"]
    same = [results(whole).sort_values(keys, ignore_index=True), table.sort_values(keys, ignore_index=True)]
    pd.testing.assert_frame_equal(*same, rtol=1e-5)


def test_neither_do_other_architectures_devices_or_processes(toys, whole, tmp_path):
    alone = results(build(toys, tmp_path / "alone", archs=["3-0"], config=BenchmarkConfig(block=2, steps=4)))
    expected = results(whole)
    expected = expected[(expected["arch"] == "3-0") & (expected["seed"] == 0)].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected)

    lanes = build(toys, tmp_path / "lanes", devices=2)
    assert about(lanes)["results_sha256"] == about(whole)["results_sha256"]

    for process in (1, 0):
        shared = build(toys, tmp_path / "shared", process=process, processes=2)
        assert len(results(shared)) < 18 or process == 0
    files = sorted(file.name for file in (tmp_path / "shared").glob("*.sqlite"))
    assert files == ["benchmark-0.sqlite", "benchmark-1.sqlite"]
    assert about(shared)["results_sha256"] == about(whole)["results_sha256"]


@pytest.mark.parametrize(
    ("moment", "call"),
    [
        *itertools.product(("before the state", "between state and rows", "after the rows"), (2, 6)),
        ("at the very end", 2),  # a block ends once
    ],
)
def test_a_kill_loses_and_repeats_nothing(toys, whole, tmp_path, monkeypatch, moment, call):
    calls = {"trained": 0, "saved": 0, "put": 0, "removed": 0}
    epoch, save, put, remove = training._epoch, Checkpoints.save, EpochStore.put, training.shutil.rmtree

    def counted(name, function, dies):
        def run(*args, **kwargs):
            calls[name] += 1
            if dies and calls[name] == call:
                raise Killed
            return function(*args, **kwargs)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(training, "_epoch", counted("trained", epoch, False))
        patch.setattr(Checkpoints, "save", counted("saved", save, moment == "before the state"))
        patch.setattr(EpochStore, "put", counted("put", put, moment == "between state and rows"))
        patch.setattr(training.shutil, "rmtree", counted("removed", remove, moment == "at the very end"))
        if moment == "after the rows":
            patch.setattr(training, "_epoch", counted("trained", epoch, True))
        with pytest.raises(Killed):
            build(toys, tmp_path)
        trained = calls["trained"] - (moment == "after the rows")
        calls["trained"], before = 0, trained
    with monkeypatch.context() as patch:
        patch.setattr(training, "_epoch", counted("trained", epoch, False))
        path = build(toys, tmp_path)
    blocks = 5  # of seed 0: two of signature 0, one of signature 1; of seed 1: one of each
    assert before + calls["trained"] == blocks * EPOCHS + (moment == "before the state")
    assert about(path)["results_sha256"] == about(whole)["results_sha256"]
    assert not any((tmp_path / "checkpoints").glob("*"))


def test_a_state_that_was_cut_short(toys, whole, tmp_path, monkeypatch, caplog):
    """The one before is used, and states are saved again from there."""
    put = EpochStore.put
    calls = []

    def dies(store, rows):
        calls.append(rows)
        if len(calls) == 3:
            raise Killed
        put(store, rows)

    with monkeypatch.context() as patch:
        patch.setattr(EpochStore, "put", dies)
        with pytest.raises(Killed):
            build(toys, tmp_path)
    (states,) = (tmp_path / "checkpoints").glob("*")
    assert sorted(p.name for p in states.glob("[0-9]*")) == ["2", "3"]
    for file in (states / "3").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:5])
    saved = []
    save = Checkpoints.save
    monkeypatch.setattr(
        Checkpoints, "save", lambda own, step, *rest: (save(own, step, *rest), saved.append((step, own.steps())))
    )
    path = build(toys, tmp_path)
    assert saved[0] == (3, [2, 3]) and "cannot be read" in caplog.text
    assert about(path)["results_sha256"] == about(whole)["results_sha256"]


def test_ctrl_c_leaves_the_table_of_what_there_is(toys, whole, tmp_path, monkeypatch):
    put = EpochStore.put

    def stops(store, rows):
        put(store, rows)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EpochStore, "put", stops)
        with pytest.raises(KeyboardInterrupt):
            build(toys, tmp_path)
    assert results(tmp_path)["epoch"].tolist() == [1, 1]
    assert about(build(toys, tmp_path))["results_sha256"] == about(whole)["results_sha256"]


def test_a_finished_benchmark_trains_nothing(toys, whole, monkeypatch):
    monkeypatch.setattr(training, "_epoch", None)
    before, seen = about(whole), []
    build(toys, whole.parent, progress=lambda done, total: seen.append((done, total)))
    after = about(whole)
    assert after["sha256"] == before["sha256"] and seen == [(18, 18)] and len(after["runs"]) > len(before["runs"])


def test_the_test_images_are_read_once_training_is_over(toys, tmp_path, monkeypatch):
    images = toys.images(100, 20)
    read = []
    put = EpochStore.put
    monkeypatch.setattr(EpochStore, "put", lambda store, rows: (read.append(images.read), put(store, rows)))
    build(toys, tmp_path, archs=["3-0"], tasks=[toys.task(test=images)])
    assert read == [0, 0, 20]


def test_a_loss_that_is_no_number_is_said(toys, tmp_path):
    trainer = toys.trainer(EPOCHS, explode=2)
    table = results(build(toys, tmp_path, trainer=trainer))
    bad = table[~table["valid"]]
    assert set(bad["arch"]) == {"2-0"} and len(bad) == EPOCHS
    assert bad["reason"].str.fullmatch(r"the training loss of epoch \d is nan").all()
    assert bad[["valid_loss", "valid_accuracy", "test_accuracy"]].isna().all(axis=None)
    assert np.isfinite(table.loc[table["arch"] != "2-0", ["train_loss", "valid_accuracy"]]).all(axis=None)


def test_another_benchmark_in_the_same_place(toys, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(EpochStore, "put", lambda store, rows: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            build(toys, tmp_path)
    with pytest.raises(InputError, match="state of another benchmark"):
        build(toys, tmp_path, trainer=toys.trainer(EPOCHS, rate=0.1))


def test_what_does_not_fit_is_refused_before_training(toys, tmp_path):
    with pytest.raises(InputError, match="batch_size=64.*54 images"):
        build(toys, tmp_path, trainer=toys.trainer(batch_size=64))
    with pytest.raises(InputError, match="image_size=4, the space expects 4*8"):
        build(toys, tmp_path, spaces={"reds": toys.space.__class__(image_size=8)})
    with pytest.raises(InputError, match="3 classes, the space num_classes=2"):
        build(toys, tmp_path, spaces={"reds": toys.space.__class__(num_classes=2)})
    with pytest.raises(InputError, match="different names"):
        build(toys, tmp_path, tasks=[toys.task(), toys.task()])


def test_test_labels_outside_the_classes(toys, tmp_path):
    with pytest.raises(InputError, match=r"test images of task reds: .*classes 0 to 2, .*finished epochs are kept"):
        build(toys, tmp_path, tasks=[toys.task(test=toys.images(5, 20, classes=5))])
