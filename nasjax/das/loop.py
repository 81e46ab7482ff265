"""The loop that trains one network by epochs: exact resume, stop at a loss that is no number, curves.

It knows neither images nor networks: a ``Task`` gives the functions of arrays, a ``Feed`` the batches.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.checkpoint import Checkpoints
from nasjax.parallel import data_parallel
from nasjax.parallel.data import Shared
from nasjax.parallel.population import choose_devices
from nasjax.types import Array, InputError, PyTree, Variables

if TYPE_CHECKING:
    import optax

Progress = Callable[[int, int], None]


class State(NamedTuple):
    """Everything that changes in training.

    Attributes:
      params: trainable arrays.
      stats: running statistics.
      optimizer: state of the optimiser.
      step: int32 [], steps done.
    """

    params: PyTree
    stats: PyTree
    optimizer: PyTree
    step: Array


@dataclasses.dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
      init: ``(key, images) -> Variables`` of the network.
      loss: ``(key, first, params, stats, images, targets) -> (loss, (new stats, sums))``, in training mode; ``first``
        is the number of the first image within the batch, which several devices share; sums is a dictionary of
        numbers, added up over an epoch.
      measure: ``(variables, images, targets, weights float [batch]) -> sums``, in evaluation mode; images of weight 0
        do not count.
      summary: sums -> what a row of the history holds.
      optimizer: from gradients to steps, learning rate included.
      weight: which of the sums of ``loss`` its loss is a mean over, where that differs between the devices that share
        a batch, such as pixels that count; None where all count alike.
    """

    init: Callable[[Array, Array], Variables]
    loss: Callable[..., tuple[Array, tuple[PyTree, dict[str, Array]]]]
    measure: Callable[..., dict[str, Array]]
    summary: Callable[[Mapping[str, np.ndarray]], dict[str, float]]
    optimizer: optax.GradientTransformation
    weight: str | None = None


class Feed(Protocol):
    """Batches of one fixed size."""

    def train(self, epoch: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Batches of images and targets of an epoch; the same whenever it is asked for the same epoch."""

    def test(self) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Batches of images, targets and weights (0 where an image fills up the last batch)."""


class Fitted(NamedTuple):
    """Result of a training.

    Attributes:
      variables: of the network after the last good epoch.
      history: one row an epoch: epoch (from 1), seconds, loss, measures with ``train_`` and ``test_`` before them.
      stopped: why training ended early, or "".
      resumed: epochs that an earlier run had done.
    """

    variables: Variables
    history: list[dict[str, float]]
    stopped: str
    resumed: int


def fit(
    task: Task,
    feed: Feed,
    *,
    key: Array,
    epochs: int,
    checkpoints: Checkpoints | None = None,
    settings: Mapping[str, Any] | None = None,
    test_every: int = 1,
    variables: Variables | None = None,
    devices: int | Sequence[jax.Device] | None = 1,
    progress: Progress | None = None,
) -> Fitted:
    """Trains a network.

    The key of a step is folded from its number, the order of images comes from the number of the epoch: a training
    that was stopped and started again ends with the numbers of one that was not.

    Args:
      task: what is trained.
      feed: batches.
      key: typed key of weights and training.
      epochs: passes over the training images.
      checkpoints: where the state of every epoch is kept, or None.
      settings: what decides the outcome, kept beside the state; a state of other settings is refused.
      test_every: epochs between evaluations; the last one is always evaluated.
      variables: where to begin, in place of fresh weights.
      devices: which share every batch: a number, devices, or None for all. Batch norm takes moments of each device's
        share.
      progress: called with finished and all epochs.

    Returns:
      Variables and history.

    Raises:
      InputError: the state on disk belongs to other settings or cannot be read, devices cannot share the batch, or the
        loss of the first epoch is no number.
    """
    begin_key, step_key = jax.random.split(key)
    wanted = dict(settings or {})
    history: list[dict[str, float]] = []

    def begin(key: Array, images: Any) -> State:
        own = task.init(key, images) if variables is None else variables
        return State(own.params, own.stats, task.optimizer.init(own.params), jnp.zeros((), jnp.int32))

    images, _ = next(iter(feed.train(0)))
    saved = None
    if checkpoints is not None and checkpoints.steps():
        _check_settings(checkpoints.newest_meta().get("settings", wanted), wanted)
        saved = checkpoints.restore(jax.eval_shape(begin, begin_key, images))
    if saved is not None:
        state, history = jax.tree.map(jnp.asarray, saved.arrays), list(saved.meta["history"])
    elif variables is not None:
        state = begin(begin_key, images)
    else:
        state = _compiled(begin, begin_key, images)(begin_key, images)
    resumed, stopped = len(history), ""
    step, measure = _Program(_stepper(task), devices, len(images)), _Program(_measurer(task), devices, len(images))
    if progress:
        progress(resumed, epochs)
    for epoch in range(resumed, epochs):
        clock, before, sums = time.perf_counter(), state, None
        for batch in feed.train(epoch):
            state, found = step((step_key, state), batch)
            sums = found if sums is None else jax.tree.map(jnp.add, sums, found)
        row = {"epoch": epoch + 1, **_named("train_", task.summary(_numbers(sums or {})))}
        if not math.isfinite(row["train_loss"]) or not _finite(state):
            state = before
            stopped = f"the loss of epoch {epoch + 1} is no number ({row['train_loss']}); kept: the state before it"
            break
        if (epoch + 1) % test_every == 0 or epoch + 1 == epochs:
            row |= _named("test_", task.summary(_total(measure, Variables(state.params, state.stats), feed)))
        history.append({**row, "seconds": time.perf_counter() - clock})
        if checkpoints is not None:
            checkpoints.save(epoch + 1, state, {"settings": wanted, "history": history})
        if progress:
            progress(epoch + 1, epochs)
    if stopped and not history:
        raise InputError(f"Training failed: {stopped}. Do: lower the learning rate, or clip gradients.")
    return Fitted(Variables(state.params, state.stats), history, stopped, resumed)


def poly(rate: float, steps: int, *, power: float = 0.9) -> Callable[[Array], Array]:
    """Schedule ``rate (1 - step / steps) ** power``, usual in segmentation.

    Args:
      rate: at the start.
      steps: steps of the whole training.
      power: exponent.

    Returns:
      Function of the step.
    """
    return lambda step: rate * jnp.maximum(1 - step / steps, 0) ** power


class _Program:
    """A function of what devices have in common and of a batch that they share; on one device compiled on its own."""

    def __init__(self, function: Shared, devices: int | Sequence[jax.Device] | None, size: int) -> None:
        self._function = function
        self._shared = None
        if len(choose_devices(devices)) > 1:
            self._shared = data_parallel(function, devices=devices)
            self._shared.check_batch(size)
        self._program: Callable[..., Any] | None = None

    def __call__(self, whole: PyTree, batch: Any) -> Any:
        batch = tuple(batch)
        if self._shared is not None:
            return self._shared(whole, self._shared.place(batch))
        if self._program is None:
            self._program = _compiled(functools.partial(self._function, axis=None), whole, batch)
        return self._program(whole, batch)


def _compiled(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    return jax.jit(function).lower(*arguments).compile()


def _stepper(task: Task) -> Shared:
    def step(whole: PyTree, batch: PyTree, *, axis: str | None) -> PyTree:
        import optax

        (key, state), (images, targets) = whole, batch
        here = jax.random.fold_in(key, state.step)
        first = jnp.zeros((), jnp.int32) if axis is None else lax.axis_index(axis) * len(images)
        gradient = jax.grad(lambda params: task.loss(here, first, params, state.stats, images, targets), has_aux=True)
        grads, (stats, sums) = gradient(state.params)
        if axis is not None:
            if task.weight is not None:  # from means of shares to the mean of the batch
                share = sums[task.weight] / jnp.maximum(lax.pmean(sums[task.weight], axis), 1 / lax.axis_size(axis))
                grads = jax.tree.map(lambda g: g * share, grads)
            grads, stats = lax.pmean((grads, stats), axis)
            sums = lax.psum(sums, axis)
        updates, optimizer = task.optimizer.update(grads, state.optimizer, state.params)
        return State(optax.apply_updates(state.params, updates), stats, optimizer, state.step + 1), sums

    return step


def _measurer(task: Task) -> Shared:
    def measure(whole: PyTree, batch: PyTree, *, axis: str | None) -> PyTree:
        sums = task.measure(whole, *batch)
        return sums if axis is None else lax.psum(sums, axis)

    return measure


def _total(measure: _Program, variables: Variables, feed: Feed) -> dict[str, np.ndarray]:
    sums: dict[str, np.ndarray] = {}
    for batch in feed.test():
        found = _numbers(measure(variables, batch))
        sums = {name: sums.get(name, 0) + np.asarray(value, np.float64) for name, value in found.items()}
    return sums


def _numbers(sums: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in sums.items()}


def _named(prefix: str, row: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": float(value) for name, value in row.items()}


def _finite(state: State) -> bool:
    return bool(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((state.params, state.stats))]).all())


def _check_settings(there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    import json

    new = json.loads(json.dumps(dict(here)))
    differing = [name for name in sorted({*there, *new}) if there.get(name) != new.get(name)]
    if differing:
        lines = ", ".join(f"{name}: there {there.get(name)!r}, now {new.get(name)!r}" for name in differing)
        raise InputError(f"The saved training has other settings ({lines}). Use another directory, or the same ones.")
