"""The driver of a training: epochs, evaluation, states on disk; it goes on after any stop with the same numbers."""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import parallel
from nasjax.data import stream
from nasjax.data.stream import Dataset
from nasjax.spaces.base import bind_one, check_key
from nasjax.training.checks import check, normalised
from nasjax.training.config import TrainConfig
from nasjax.training.evaluation import measure
from nasjax.training.meter import DivergenceError, Meter
from nasjax.training.objectives import KINDS, kind_of
from nasjax.training.programs import Programs, programs
from nasjax.training.result import HISTORY, Row, TrainResult, write_history
from nasjax.training.saved import Saves
from nasjax.training.state import TrainState, start
from nasjax.types import InputError, PyTree, Variables

Progress = Callable[[int, int], None]


def train(
    space: Any,
    arch: PyTree,
    dataset: Dataset,
    config: TrainConfig,
    *,
    key: jax.Array,
    evaluation: Dataset | None = None,
    workdir: str | os.PathLike[str] | None = None,
    variables: Variables | None = None,
    devices: int | Sequence[jax.Device] | None = None,
    evaluate_every: int = 1,
    save_every: int | None = None,
    progress: Progress | None = None,
    watch: Callable[[Row], None] | None = None,
) -> TrainResult:
    """Trains one architecture.

    Args:
      space: search space.
      arch: one architecture.
      dataset: images and targets to train with, see `nasjax.data.load_dataset`.
      config: options; where the augmentation names no ``mean``, images are normalised by those of the data set.
      key: typed key; it decides initial weights, order of images and everything random, whatever the devices.
      evaluation: images to evaluate with, or None.
      workdir: directory for states (``checkpoints``) and ``history.csv``; a training that finds its own state there
        goes on from it, with the numbers of one that was never stopped.
      variables: to begin with, such as those of a supernet; drawn by default.
      devices: None for all local ones, a count, or the devices; they share every batch. Of several processes
        (`nasjax.parallel.initialize`), all devices of all do, and the first writes.
      evaluate_every: epochs between evaluations; the last epoch is always evaluated.
      save_every: steps between states saved within an epoch, besides those at its end; for long epochs.
      progress: called as progress(images, total).
      watch: called with every row of the history, those of earlier runs included.

    Returns:
      the result. A loss that is no finite number ends it with the state saved last, and ``stopped`` says so.

    Raises:
      InputError: images, space, options or devices do not fit, or the state in ``workdir`` is of another training;
        raised before any long work. An image that cannot be read, or no space on the disk: what was saved stays.
    """
    check_key(key)
    for name, value in (("evaluate_every", evaluate_every), ("save_every", 1 if save_every is None else save_every)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name}={value!r}; allowed: a whole number of at least 1; do: change it")
    bound = bind_one(space, arch)
    config = normalised(config, dataset)
    check(bound, dataset, config, evaluation=evaluation)
    encoding = space.encode(jax.tree.map(lambda a: np.asarray(a)[None], arch))[0]
    init_key, step_key, order_key = jax.random.split(key, 3)
    setting = _Setting(
        bound,
        jax.tree.map(np.asarray, arch),
        programs(bound, config, devices=devices),
        dataset,
        evaluation,
        config,
        step_key,
        order_key,
        len(dataset) // config.batch_size,
        evaluate_every,
        save_every,
        None if workdir is None else pathlib.Path(workdir),
        progress,
    )
    described = {
        "space": space.name,
        "space_options": space.options,
        "precision": str(getattr(space, "precision", "")),
        "arch": encoding,
        "options": config.describe(),
        "data": dataset.fingerprint,
        "evaluation": None if evaluation is None else evaluation.fingerprint,
        "evaluate_every": evaluate_every,
        "given_variables": variables is not None,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
    }
    with contextlib.ExitStack() as stack:
        saves = None if workdir is None else stack.enter_context(Saves(workdir, described))
        training = _Training(setting, saves, init_key, variables)
        resumed, stopped = len(training.book.history), ""
        told = (lambda row: None) if watch is None else watch
        for row in training.book.history:
            told(row)
        try:
            while len(training.book.history) < config.epochs:
                training.epoch()
                told(training.book.history[-1])
        except DivergenceError as error:
            done = len(training.book.history)
            step = int(np.asarray(training.state.step))
            where = f"state of epoch {done}" if training.book.partial is None else f"state of step {step}"
            stopped = (
                f"{error} in epoch {done + 1}; the {where if step else 'initial state'} is kept. A smaller "
                "learning rate, clip, or more warm-up may help."
            )
    last = _host(training.state.evaluated)
    best = last if training.best is None else training.best
    book = training.book
    return TrainResult(space, arch, encoding, config, book.history, last, best, book.best_epoch, resumed, stopped)


class _Setting(NamedTuple):
    """What stays the same through a training."""

    space: Any
    arch: PyTree
    programs: Programs
    dataset: Dataset
    evaluation: Dataset | None
    config: TrainConfig
    step_key: jax.Array
    order_key: jax.Array
    steps: int
    evaluate_every: int
    save_every: int | None
    workdir: pathlib.Path | None
    progress: Progress | None

    def begin(self, key: jax.Array, given: Variables | None) -> TrainState:
        """The first state."""
        if given is None:
            return self.programs.begin(key, self.arch, self.steps)
        return start(self.space, self.config, given, self.steps)


class _Book(NamedTuple):
    """What is known of a training beside its arrays, JSON-serialisable."""

    history: list[Row]
    best_epoch: int
    partial: dict[str, Any] | None = None  # measures of an epoch that is not over
    seconds: float = 0.0  # spent in that epoch
    waited: float = 0.0  # of them for images


class _Training:
    """State and book as they were saved last, to which a loss that is no number falls back."""

    def __init__(self, setting: _Setting, saves: Saves | None, key: jax.Array, given: Variables | None) -> None:
        """Begins, or goes on from what was saved."""
        self.setting, self.saves = setting, saves
        found = None
        if saves is not None:
            found = saves.restore(jax.eval_shape(setting.begin, key, given))
        if found is None:
            self.state = setting.begin(key, given)
            self.book = _Book([], 0)
        else:
            self.state, self.book = found[0], _Book(**{name: found[1][name] for name in _Book._fields})
        self.best: Variables | None = None
        epoch = self.book.best_epoch
        if saves is not None and epoch:
            self.best = saves.best(epoch, self.state.evaluated)
            # A kill may have come between the state and its copy as the best.
            if self.best is None and epoch == len(self.book.history) and self.book.partial is None:
                self.best = _host(self.state.evaluated)
                saves.save_best(epoch, self.best)

    def epoch(self) -> None:
        """One epoch, or the rest of one.

        Raises:
          DivergenceError: a loss is no finite number; state and book are those saved last.
        """
        setting, config, history = self.setting, self.setting.config, self.book.history
        state, epoch, before = self.state, len(history), self.book
        meter, begin = Meter(kind_of(setting.space), before.partial), time.monotonic()
        first, step = meter.steps, setting.programs.step
        self._report(first)
        batches = stream.batches(
            setting.dataset, config.batch_size, seed=setting.order_key, epoch=epoch, start=first, part=step.part
        )
        with stream.prefetch(batches, transfer=lambda batch: step.place(tuple(batch))) as ahead:
            for done, batch in enumerate(ahead, first + 1):
                state, measures = step((state, setting.arch, setting.step_key), batch)
                meter.add(measures)
                self._report(meter.steps)
                if setting.save_every is not None and done % setting.save_every == 0 and done < setting.steps:
                    meter.finish()
                    _check_finite(state, done)
                    seconds = before.seconds + time.monotonic() - begin
                    own = _Book(history, before.best_epoch, meter.state(), seconds, before.waited + ahead.waited)
                    self._keep(state, own)
        meter.finish()
        _check_finite(state, setting.steps)
        row: Row = {"epoch": epoch + 1, "learning_rate": meter.rate}
        row |= {f"train_{name}": value for name, value in meter.measures().items()}
        due = (epoch + 1) % setting.evaluate_every == 0 or epoch + 1 == config.epochs
        if setting.evaluation is not None and due:
            row |= {f"valid_{name}": value for name, value in self._evaluated(state).items()}
        better = self._is_best(row)
        seconds = before.seconds + time.monotonic() - begin
        row |= {"seconds": round(seconds, 3), "waited": round((before.waited + ahead.waited) / max(seconds, 1e-9), 4)}
        self._keep(state, _Book([*history, row], epoch + 1 if better else before.best_epoch))
        if better:
            self.best = _host(state.evaluated)
            if self.saves is not None:
                self.saves.save_best(epoch + 1, self.best)
        if setting.workdir is not None and parallel.is_main():
            write_history(setting.workdir / HISTORY, self.book.history)
        self._report(0)

    def _evaluated(self, state: TrainState) -> dict[str, float]:
        setting = self.setting
        assert setting.evaluation is not None
        found = measure(
            setting.programs.evaluate,
            setting.arch,
            state.evaluated,
            setting.evaluation,
            setting.config.batch_size,
            kind_of(setting.space),
        )
        if not math.isfinite(found["loss"]):
            raise DivergenceError(f"the loss of the evaluation is {found['loss']}")
        return found

    def _is_best(self, row: Row) -> bool:
        """Whether an epoch is the best so far; without an evaluation, the last one is."""
        if self.setting.evaluation is None:
            return True
        kind = KINDS[kind_of(self.setting.space)]
        name = f"valid_{kind.chosen}"
        if name not in row or not self.book.best_epoch:
            return name in row
        old, new = self.book.history[self.book.best_epoch - 1][name], row[name]
        return new > old if kind.rises else new < old

    def _keep(self, state: TrainState, book: _Book) -> None:
        self.state, self.book = state, book
        if self.saves is not None:
            self.saves.save(int(np.asarray(state.step)), state, book._asdict())

    def _report(self, steps: int) -> None:
        """Reports the steps of the epoch that is going on."""
        if self.setting.progress is not None:
            epochs, size = self.setting.config.epochs, self.setting.config.batch_size
            done = len(self.book.history) * self.setting.steps + steps
            self.setting.progress(done * size, epochs * self.setting.steps * size)


def _check_finite(state: TrainState, step: int) -> None:
    """Refuses to keep a state that no training can go on from, though no loss has shown it yet.

    Args:
      state: after a step.
      step: its number in the epoch, from 1.

    Raises:
      DivergenceError: a weight, a statistic or what the optimiser keeps is no finite number.
    """
    for leaf in jax.tree.leaves(state):
        if not np.isfinite(np.asarray(leaf)).all():
            raise DivergenceError(f"the state after step {step} holds numbers that are not finite,")


def _host(tree: PyTree) -> PyTree:
    return jax.tree.map(np.asarray, tree)
