"""The trainer that `nasjax.training` gives."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from nasjax.benchmark.trainer import Trainer
from nasjax.data.augment import AugmentConfig
from nasjax.training import TrainConfig, eval_step, init_state, train_step
from nasjax.types import Array, PyTree


def standard_trainer(config: TrainConfig, *, mean: tuple[float, ...] = (), std: tuple[float, ...] = ()) -> Trainer:
    """Supervised training of `nasjax.training`.

    Args:
      config: its options. Where its augmentation names no mean, images are normalised by those given here.
      mean: of the task's training images, a number a channel, for images in 0..1.
      std: likewise.

    Returns:
      The trainer; what it evaluates is the moving average, if there is one.
    """
    policy = config.augment or AugmentConfig()
    if not policy.mean and mean:
        policy = dataclasses.replace(policy, mean=tuple(mean), std=tuple(std))
    config = dataclasses.replace(config, augment=policy)

    def init(key: Array, space: Any, arch: PyTree, steps_per_epoch: int) -> PyTree:
        return init_state(jax.random.split(key)[0], space, arch, config, steps_per_epoch)

    def step(state: Any, arch: PyTree, images: Array, labels: Array, key: Array, space: Any) -> tuple[PyTree, Array]:
        own = jax.random.split(key)[1]
        state, found = train_step(state, arch, images, labels, own, space=space, config=config)
        return state, found["loss"]

    def evaluate(state: Any, arch: PyTree, images: Array, labels: Array, space: Any) -> tuple[Array, Array]:
        there = labels >= 0
        found = eval_step(
            state.evaluated, arch, images, labels * there, space=space, config=config, weights=there.astype("float32")
        )
        return found["loss"], found["accuracy"]

    return Trainer(config.epochs, config.batch_size, init, step, evaluate, config.describe())
