"""The driver: what it learns, that a stop changes no number, and what it refuses."""

import csv
import dataclasses
import errno
import os

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from nasjax import checkpoint, parallel
from nasjax.data import load_dataset
from nasjax.data.augment import AugmentConfig
from nasjax.training import TrainConfig, evaluate, load_variables, loop, saved, train
from nasjax.types import InputError

KEY = jax.random.key(3)
CONFIG = TrainConfig(epochs=4, batch_size=8, learning_rate=0.5, average=0.8, drop_path=0.1, label_smoothing=0.05,
                     augment=AugmentConfig(flip=True, crop_padding=1, mixup=0.3))  # fmt: skip
TIMES = ("seconds", "waited")


def numbers(result):
    """The history without what a clock measures."""
    return [{name: value for name, value in row.items() if name not in TIMES} for row in result.history]


def assert_same(first, second):
    assert numbers(first) == numbers(second) and first.best_epoch == second.best_epoch
    for one, other in ((first.variables, second.variables), (first.best_variables, second.best_variables)):
        jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope="module")
def run(tiny, arch, datasets):
    """A training of the tiny space; options as of `train`."""

    def run(config=CONFIG, space=tiny, data=datasets, **options):
        return train(space, arch, data[0], config, **{"key": KEY, "evaluation": data[1], "devices": 1} | options)

    return run


@pytest.fixture(scope="module")
def whole(run):
    """A training that nothing stops."""
    return run()


class StopError(Exception):
    """In place of a kill."""


def stopping(calls):
    """Progress that stops at its n-th call: an epoch has one at its beginning, one a step, and one at its end."""
    left = [calls]

    def progress(done, total):
        left[0] -= 1
        if not left[0]:
            raise StopError

    return progress


def test_it_learns_and_tells(whole, tiny, arch, datasets):
    table = whole.table()
    assert list(table.epoch) == [1, 2, 3, 4] and whole.resumed == 0 and not whole.stopped
    assert table.train_loss.iloc[-1] < table.train_loss.iloc[0]
    assert {"valid_loss", "valid_accuracy", "learning_rate", *TIMES} <= set(table)
    best = whole.history[whole.best_epoch - 1]["valid_accuracy"]
    assert best == table.valid_accuracy.max() > 0.5
    found = evaluate(tiny, arch, whole.best_variables, datasets[1], whole.config, devices=1)
    assert found["accuracy"] == best
    assert whole.config.augment.mean == datasets[0].mean


def test_another_key_gives_other_numbers(run, whole):
    assert numbers(run(key=jax.random.key(4))) != numbers(whole)


@pytest.mark.parametrize(
    "calls, options, done", [(2, {}, 0), (9, {}, 24), (9, {"save_every": 1}, 40), (14, {"save_every": 2}, 64)]
)
def test_a_stop_changes_no_number(run, whole, tmp_path, calls, options, done):
    with pytest.raises(StopError):
        run(workdir=tmp_path, progress=stopping(calls), **options)
    seen = []
    again = run(workdir=tmp_path, progress=lambda done, total: seen.append((done, total)), **options)
    assert_same(again, whole)
    assert seen[0] == (done, 96) and seen[-1] == (96, 96)
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["valid_loss"]) for row in rows] == [row["valid_loss"] for row in whole.history]


def test_a_kill_before_the_best_was_saved(run, whole, tmp_path, monkeypatch, tiny, arch):
    def kill(self, epoch, variables):
        raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(saved.Saves, "save_best", kill)
        with pytest.raises(StopError):
            run(workdir=tmp_path)
    assert_same(run(workdir=tmp_path), whole)
    jax.tree.map(np.testing.assert_array_equal, load_variables(tmp_path, tiny, arch), whole.best_variables)
    # What is finished is read, not trained.
    watched = []
    again = run(workdir=tmp_path, watch=watched.append)
    assert_same(again, whole)
    assert again.resumed == 4 and watched == again.history


def test_a_state_cut_short_is_passed_over(run, whole, tmp_path, caplog):
    with pytest.raises(StopError):
        run(workdir=tmp_path, progress=stopping(12))
    states = tmp_path / "checkpoints" / "last"
    newest = max((p for p in states.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    for file in (newest / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:5])
    assert_same(run(workdir=tmp_path), whole)
    assert f"the state {newest.name} in {states} cannot be read" in caplog.text


@pytest.mark.parametrize(
    "change, named",
    [
        ({"config": dataclasses.replace(CONFIG, learning_rate=0.25)}, "options.learning_rate: there 0.5, now 0.25"),
        ({"config": dataclasses.replace(CONFIG, augment=AugmentConfig())}, "options.augment.flip: there true, now fa"),
        ({"key": jax.random.key(9)}, "key: there"),
        ({"evaluation": None}, "evaluation: there"),
    ],
)
def test_another_training_is_refused(run, tmp_path, change, named):
    with pytest.raises(StopError):
        run(workdir=tmp_path, progress=stopping(7))
    with pytest.raises(InputError, match="the state of another training") as error:
        run(workdir=tmp_path, **change)
    assert named in str(error.value)


def test_a_loss_that_is_no_number_stops_at_the_last_state(run, whole, tmp_path, datasets, arch, tiny):
    class Broken(type(datasets[0])):
        """Images of the third epoch are no numbers, but for those of its first step."""

        def batch(self, indices):
            found = super().batch(indices)
            calls.append(1)
            return found if len(calls) < 8 else found._replace(images=np.full(found.images.shape, np.nan, np.float32))

    calls = []
    broken = Broken(**{f.name: getattr(datasets[0], f.name) for f in dataclasses.fields(datasets[0])})
    result = run(whole.config, data=(broken, datasets[1]), workdir=tmp_path, save_every=1)
    assert "the loss of step 2 is nan in epoch 3; the state of step 7 is kept" in result.stopped
    assert len(result.history) == 2 and numbers(result)[:2] == numbers(whole)[:2]
    # With whole images again, it goes on from there.
    assert_same(run(workdir=tmp_path, save_every=1), whole)


@pytest.mark.parametrize("where, method", [(os, "replace"), (ocp.CheckpointManager, "save")])
def test_no_space_on_the_disk(run, whole, tmp_path, monkeypatch, where, method):
    with pytest.raises(StopError):
        run(workdir=tmp_path, progress=stopping(7))

    def full(*given, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(where, method, full)
        with pytest.raises(InputError, match="No space left on device"):
            run(workdir=tmp_path)
    assert_same(run(workdir=tmp_path), whole)


def test_states_that_cannot_be_written_are_reported(run, tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(InputError, match="Cannot write the state of the job"):
        run(workdir=tmp_path)


@pytest.mark.parametrize(
    "change, named",
    [
        ({"image_size": 8}, "images of 4 pixels a side"),
        ({"in_channels": 1}, "expects 1"),
        ({"num_classes": 2}, "has 3 classes, space tiny tells 2 apart"),
        ({"targets": "values"}, "targets of kind 'class', space tiny needs 'values'"),
    ],
)
def test_images_that_do_not_fit_are_refused(run, tiny, change, named):
    with pytest.raises(InputError) as error:
        run(space=dataclasses.replace(tiny, **change))
    assert named in str(error.value)


def test_batches_that_do_not_fit_are_refused(run):
    with pytest.raises(InputError, match="batch_size=64, but .* has 26 images"):
        run(dataclasses.replace(CONFIG, batch_size=64))
    with pytest.raises(InputError, match="batch_size=9 on 2 devices whose images are mixed in pairs; .* do: take 8"):
        run(dataclasses.replace(CONFIG, batch_size=9), devices=2)
    with pytest.raises(InputError, match="save_every=0"):
        run(save_every=0)


def test_classes_of_other_names_are_refused(run, datasets):
    train_part, valid_part = (dataclasses.replace(d, class_names=names) for d, names in
                              zip(datasets, (("a", "b", "c"), ("a", "c", "d")), strict=True))  # fmt: skip
    with pytest.raises(InputError, match="only one of them has b, d"):
        run(data=(train_part, valid_part))
    with pytest.raises(InputError, match="another order"):
        run(data=(train_part, dataclasses.replace(valid_part, class_names=("a", "c", "b"))))


def test_a_state_without_finite_numbers_is_not_kept(run, whole, tmp_path, monkeypatch):
    """Weights overflow in the last step of the second epoch, which no loss of that epoch shows."""
    made = loop.programs

    class Overflowing:
        def __init__(self, step):
            self.part, self.place, self.run = step.part, step.place, step

        def __call__(self, shared, batch):
            state, measures = self.run(shared, batch)
            if int(state.step) == 6:
                state = state._replace(params=jax.tree.map(lambda leaf: leaf * np.inf, state.params))
            return state, measures

    def broken(*args, **options):
        found = made(*args, **options)
        return found._replace(step=Overflowing(found.step))

    with monkeypatch.context() as patch:
        patch.setattr(loop, "programs", broken)
        result = run(workdir=tmp_path)
    assert "not finite, in epoch 2; the state of epoch 1 is kept" in result.stopped
    assert numbers(result) == numbers(whole)[:1]
    assert_same(run(workdir=tmp_path), whole)


def test_labels_outside_the_classes(tmp_path):
    path = tmp_path / "x.npz"
    images = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 3), dtype=np.uint8)
    np.savez(path, x=images, y=np.array([0, 1, 2, 5]))
    with pytest.raises(InputError, match="label.* 5"):
        load_dataset(f"npz:{path}", num_classes=3)


def test_the_number_of_devices_changes_no_number(run, x64):
    one = run()
    for devices in (2, 4):
        several = run(devices=devices)
        for a, b in zip(numbers(one), numbers(several), strict=True):
            assert a.keys() == b.keys()
            np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-6)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), one.variables,
                     several.variables)  # fmt: skip


def test_norms_of_each_device_by_itself_differ(run, whole):
    own = run(dataclasses.replace(CONFIG, norm_over="device"), devices=2)
    assert numbers(own)[0]["train_loss"] != pytest.approx(numbers(whole)[0]["train_loss"], rel=1e-4)


def test_a_state_knows_its_structure(run, tmp_path):
    with pytest.raises(StopError):
        run(workdir=tmp_path, progress=stopping(7))
    with checkpoint.Checkpoints(tmp_path / "checkpoints" / "last") as states:
        meta = states.newest_meta()
    assert meta["training"]["space"] == "tiny" and [row["epoch"] for row in meta["history"]] == [1]
    assert parallel.AXIS not in str(meta)
