"""The two compiled programs of a training: a step, and the evaluation of a batch, each on all devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from nasjax.parallel import DataParallel, data_parallel
from nasjax.training.config import TrainConfig
from nasjax.training.step import eval_step, train_step
from nasjax.types import PyTree


class Programs(NamedTuple):
    """Functions of what all devices share and of a placed batch.

    Attributes:
      step: ((state, arch, key), (images, targets)) -> (state, measures); see `nasjax.training.train_step`.
      evaluate: ((variables, arch), (images, targets, weights)) -> sums; see `nasjax.training.eval_step`.
    """

    step: DataParallel
    evaluate: DataParallel


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

    def step(whole: PyTree, batch: PyTree, *, axis: str | None) -> PyTree:
        state, arch, key = whole
        return train_step(state, arch, *batch, key, space=space, config=config, axis=axis)

    def evaluate(whole: PyTree, batch: PyTree, *, axis: str | None) -> PyTree:
        images, targets, weights = batch
        return eval_step(*whole, images, targets, space=space, config=config, weights=weights, axis=axis)

    made = Programs(data_parallel(step, devices=devices), data_parallel(evaluate, devices=devices))
    made.step.check_batch(config.batch_size, even=config.augment.mixes)
    return made
