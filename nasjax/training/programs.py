"""The compiled programs of a training: the first state, a step, and the evaluation of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from nasjax.parallel import DataParallel, data_parallel
from nasjax.training.config import TrainConfig
from nasjax.training.state import TrainState, init_state
from nasjax.training.step import eval_step, train_step
from nasjax.types import PyTree


class Programs(NamedTuple):
    """Functions of what all devices share and of a placed batch.

    Attributes:
      begin: (key, arch, steps of an epoch) -> state; see `nasjax.training.init_state`.
      step: ((state, arch, key), (images, targets)) -> (state, measures); see `nasjax.training.train_step`.
      evaluate: ((variables, arch), (images, targets, weights)) -> sums; see `nasjax.training.eval_step`.
    """

    begin: Callable[[jax.Array, PyTree, int], TrainState]
    step: DataParallel
    evaluate: DataParallel


@functools.lru_cache(maxsize=8)
def _made(space: Any, config: TrainConfig, devices: int | tuple[jax.Device, ...] | None) -> Programs:
    """The programs, the same ones for the same arguments, so that a second training compiles nothing."""

    def begin(key: jax.Array, arch: PyTree, steps: int) -> TrainState:
        return init_state(key, space, arch, config, steps)

    def step(whole: PyTree, batch: PyTree, *, axis: str | None) -> PyTree:
        state, arch, key = whole
        return train_step(state, arch, *batch, key, space=space, config=config, axis=axis)

    def evaluate(whole: PyTree, batch: PyTree, *, axis: str | None) -> PyTree:
        images, targets, weights = batch
        return eval_step(*whole, images, targets, space=space, config=config, weights=weights, axis=axis)

    made = Programs(jax.jit(begin), data_parallel(step, devices=devices), data_parallel(evaluate, devices=devices))
    made.step.check_batch(config.batch_size, even=config.augment.mixes)
    return made


def programs(space: Any, config: TrainConfig, *, devices: int | Sequence[jax.Device] | None = None) -> Programs:
    """Makes the programs; nothing is compiled before it is used.

    Args:
      space: search space, bound to the signature of the architecture.
      config: options.
      devices: see `nasjax.parallel.data_parallel`.

    Returns:
      the programs.

    Raises:
      InputError: devices that there are not, or that cannot share a batch.
    """
    return _made(space, config, tuple(devices) if isinstance(devices, Sequence) else devices)
