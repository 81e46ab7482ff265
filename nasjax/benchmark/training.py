"""Trains one block of architectures, epoch by epoch, so that it goes on after any stop."""

from __future__ import annotations

import math
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.benchmark.plan import Block
from nasjax.benchmark.programs import Programs, stack
from nasjax.benchmark.store import EpochStore, Row
from nasjax.benchmark.tasks import Images, TaskData
from nasjax.benchmark.trainer import Trainer
from nasjax.checkpoint import Checkpoints
from nasjax.data.stream import Prefetch, epoch_order, prefetch
from nasjax.hashing import fingerprint, stable_words
from nasjax.spaces.base import architecture_keys
from nasjax.types import InputError, PyTree

_IN_FLIGHT = 2  # parts of an epoch handed to the device before the host waits


class Setting(NamedTuple):
    """What the blocks of one task and signature share.

    Attributes:
      trainer: how a network is trained.
      data: the task.
      space: bound to the signature.
      programs: of the device the block runs on.
      key: typed key of the benchmark.
      steps: optimisation steps between two returns to the host.
      description: of the whole benchmark, whose hash a saved state carries.
    """

    trainer: Trainer
    data: TaskData
    space: Any
    programs: Programs
    key: jax.Array
    steps: int
    description: dict[str, Any]


class _Group(NamedTuple):
    """Architectures of a block that one call of a program serves."""

    archs: PyTree
    keys: jax.Array

    @property
    def number(self) -> int:
        return len(self.keys)


def steps_per_epoch(data: TaskData, trainer: Trainer) -> int:
    """Steps of an epoch; what is left at its end is left out.

    Args:
      data: of the task.
      trainer: gives the images a step.

    Returns:
      The number.

    Raises:
      InputError: fewer images than a step takes.
    """
    steps = len(data.train_rows) // trainer.batch_size
    if not steps:
        raise InputError(
            f"batch_size={trainer.batch_size}: task {data.name} has {len(data.train_rows)} images to train on; "
            "allowed: at most as many; do: lower batch_size"
        )
    return steps


def train_block(
    block: Block,
    setting: Setting,
    store: EpochStore,
    directory: pathlib.Path,
    *,
    advanced: Callable[[int], None],
) -> None:
    """Trains a block from where it stands to its last epoch.

    An epoch ends with the state on disk, then its rows in the store; see `nasjax.benchmark.store` for a kill in
    between. The state is removed when the last rows are in the store.

    Args:
      block: what to train.
      setting: how.
      store: where rows go.
      directory: of the state, for this block alone.
      advanced: called with the number of epochs that are finished, first with those of earlier runs.

    Raises:
      InputError: the state on disk is of another benchmark, or nothing can be written.
    """
    trainer, data = setting.trainer, setting.data
    per_epoch = steps_per_epoch(data, trainer)
    groups = _groups(block, setting)
    identity = fingerprint([setting.description, block.task, block.seed, list(block.archs)])
    shapes = setting.programs.shapes(groups[0].keys, groups[0].archs, per_epoch)
    with Checkpoints(directory, own=True) as saved:
        found = saved.restore(shapes)
        if found is None:
            done = 0
            states = [setting.programs.init(g.keys, g.archs, per_epoch) for g in groups]
        else:
            if found.meta.get("identity") != identity:
                raise InputError(f"{directory} holds the state of another benchmark. Use another --workdir, or the same"
                                 " settings as before.")  # fmt: skip
            done = int(found.meta["epoch"])
            # A kill may have come after the state and before its rows.
            store.put(Row(*row) for row in found.meta["rows"])
            states = _split(found.arrays, groups, setting.programs)
        advanced(done)
        while done < trainer.epochs:
            states, rows = _epoch(block, setting, groups, states, done + 1, per_epoch)
            done += 1
            meta = {"identity": identity, "epoch": done, "rows": [list(row) for row in rows]}
            arrays = stack([(s, g.number) for s, g in zip(states, groups, strict=True)])
            saved.save(done, arrays, meta)
            store.put(rows)
            advanced(done)
    shutil.rmtree(directory, ignore_errors=True)


def _groups(block: Block, setting: Setting) -> list[_Group]:
    """The block in pieces of as many architectures as a program serves."""
    space, slots = setting.space, setting.programs.slots
    archs = space.decode(list(block.archs))
    own = jax.random.fold_in(setting.key, block.seed)
    for word in stable_words(block.task):
        own = jax.random.fold_in(own, word)
    keys = getattr(space, "architecture_keys", architecture_keys)(own, block.archs)
    starts = range(0, len(block.archs), slots)
    return [_Group(jax.tree.map(lambda a, s=s: np.asarray(a)[s : s + slots], archs), keys[s : s + slots])
            for s in starts]  # fmt: skip


def _split(arrays: PyTree, groups: list[_Group], programs: Programs) -> list[PyTree]:
    """States of the groups out of those of the block."""
    states, start = [], 0
    for group in groups:
        part = jax.tree.map(lambda leaf, s=start, n=group.number: leaf[s : s + n], arrays)
        states.append(programs.put(programs.padded(part)))
        start += group.number
    return states


def _epoch(
    block: Block, setting: Setting, groups: list[_Group], states: list[PyTree], epoch: int, per_epoch: int
) -> tuple[list[PyTree], list[Row]]:
    """One epoch of training and its evaluation."""
    trainer, data, programs = setting.trainer, setting.data, setting.programs
    begin, compiled = time.perf_counter(), programs.compile_seconds
    losses: list[list[jax.Array]] = [[] for _ in groups]
    ahead: Prefetch[Any] = prefetch(_parts(data, trainer, setting.steps, block.seed, epoch, per_epoch))
    with ahead as parts:
        for images, labels, count in parts:
            images, labels = programs.put((images, labels))
            for i, group in enumerate(groups):
                states[i], loss = programs.advance(states[i], group.keys, group.archs, images, labels, count)
                losses[i].append(loss)
            if len(losses[0]) > _IN_FLIGHT:
                jax.block_until_ready([own[-1 - _IN_FLIGHT] for own in losses])
    train_loss = np.concatenate([
        np.sum([np.asarray(loss, np.float64) for loss in own], axis=0)[: group.number] / per_epoch
        for own, group in zip(losses, groups, strict=True)
    ])  # fmt: skip
    valid_loss, valid = _measure(setting, groups, states, data.train, data.valid_rows)
    test = np.full(len(block.archs), np.nan)
    if epoch == trainer.epochs:
        images = data.open_test()
        _check_test(data, images)
        _, test = _measure(setting, groups, states, images, np.arange(len(images.labels)))
    elapsed = time.perf_counter() - begin - (programs.compile_seconds - compiled)
    seconds = elapsed / len(block.archs)
    kind = programs.device.device_kind
    rows = []
    for i, arch in enumerate(block.archs):
        reason = _reason(train_loss[i], valid_loss[i], epoch)
        # Nothing is right or wrong of logits that are no numbers.
        right, later = (valid[i], test[i]) if math.isfinite(valid_loss[i]) else (math.nan, math.nan)
        numbers = (float(train_loss[i]), float(valid_loss[i]), float(right), float(later), float(seconds))
        rows.append(Row(arch, block.task, block.seed, epoch, *numbers, kind, not reason, reason))
    return states, rows


def _parts(
    data: TaskData, trainer: Trainer, steps: int, seed: int, epoch: int, per_epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """The images of an epoch: arrays of ``steps`` batches, and how many of them are real."""
    order = data.train_rows[epoch_order(seed, epoch, len(data.train_rows))]
    steps = min(steps, per_epoch)
    for start in range(0, per_epoch, steps):
        count = min(steps, per_epoch - start)
        rows = order[start * trainer.batch_size : (start + count) * trainer.batch_size]
        images, labels = batched(data.train, rows, trainer.batch_size, steps)
        yield images, labels, count


def batched(images: Images, rows: np.ndarray, size: int, batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads images into batches.

    Args:
      images: the data set.
      rows: which images, int64 [n].
      size: of a batch.
      batches: how many batches there are in the result.

    Returns:
      Images [batches, size, h, w, c], zero where there is none, and labels int32 [batches, size], -1 there.
    """
    pixels = np.asarray(images.images(rows))
    filled = np.zeros((batches * size, *pixels.shape[1:]), pixels.dtype)
    filled[: len(rows)] = pixels
    labels = np.full(batches * size, -1, np.int32)
    labels[: len(rows)] = np.asarray(images.labels)[rows]
    return filled.reshape(batches, size, *pixels.shape[1:]), labels.reshape(batches, size)


def _measure(
    setting: Setting, groups: list[_Group], states: list[PyTree], images: Images, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss and accuracy in percent on some images, float64 [n] each."""
    programs, size = setting.programs, setting.trainer.batch_size
    most = setting.steps * size
    batches = min(setting.steps, -(-len(rows) // size))
    sums: list[list[Any]] = [[] for _ in groups]
    for start in range(0, len(rows), most):
        part = programs.put(batched(images, rows[start : start + most], size, batches))
        for i, group in enumerate(groups):
            sums[i].append(programs.evaluate(states[i], group.number, group.archs, *part))
        if len(sums[0]) > _IN_FLIGHT:
            jax.block_until_ready([own[-1 - _IN_FLIGHT] for own in sums])
    total = [np.sum([np.asarray(found, np.float64) for found in own], axis=0) for own in sums]
    loss, correct = np.concatenate([t[:, : g.number] for t, g in zip(total, groups, strict=True)], axis=1)
    return loss / len(rows), 100.0 * correct / len(rows)


def _check_test(data: TaskData, images: Images) -> None:
    own, other = (getattr(part, "class_names", ()) for part in (data.train, images))
    if own and other and tuple(own) != tuple(other):
        raise InputError(
            f"test images of task {data.name} have classes of other names or in another order than the training images,"
            f" such as {sorted({*own} ^ {*other})[:3] or list(other[:3])}; do: correct the data; finished epochs are "
            "kept"
        )
    labels = np.asarray(images.labels)
    if not len(labels) or labels.max() >= data.num_classes:
        raise InputError(
            f"test images of task {data.name}: {len(labels)} labels up to {labels.max(initial=-1)}; allowed: classes "
            f"0 to {data.num_classes - 1}, as in training; do: correct the data; finished epochs are kept"
        )


def _reason(train_loss: float, valid_loss: float, epoch: int) -> str:
    if math.isfinite(train_loss) and math.isfinite(valid_loss):
        return ""
    name, value = ("training", train_loss) if not math.isfinite(train_loss) else ("validation", valid_loss)
    return f"the {name} loss of epoch {epoch} is {value}"
