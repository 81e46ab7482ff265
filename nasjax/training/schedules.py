"""Learning rate and drop-path rate by step."""

from __future__ import annotations

import jax.numpy as jnp

from nasjax.training.config import TrainConfig
from nasjax.types import Array


def learning_rate(config: TrainConfig, step: Array | int, steps_per_epoch: Array | int) -> Array:
    """Learning rate of a step.

    With t the time in epochs (whole epochs, if ``rhythm`` is "epoch"), E epochs and peak p:
    cosine ``f + (p - f) (1 + cos(pi t / E)) / 2``; exponential ``p decay^t``; steps ``p decay^(milestones <= t)``.
    While t is below W warm-up epochs it is ``w + (p - w) t / W`` instead, so that the schedule counts the warm-up, as
    timm's does, with which AutoFormer is trained.

    Args:
      config: options.
      step: int32 [], steps that are over.
      steps_per_epoch: int32 [], steps of an epoch.

    Returns:
      float [].
    """
    t = jnp.asarray(step) / jnp.asarray(steps_per_epoch)
    if config.rhythm == "epoch":
        t = jnp.asarray(step // steps_per_epoch, t.dtype)
    peak, final = config.peak(), config.final_learning_rate
    if config.schedule == "cosine":
        rate = final + (peak - final) * (1 + jnp.cos(jnp.pi * t / config.epochs)) / 2
    elif config.schedule == "exponential":
        rate = peak * config.decay**t
    elif config.schedule == "steps":
        rate = peak * config.decay ** sum((t >= m for m in config.milestones), jnp.zeros_like(t))
    else:
        rate = jnp.full_like(t, peak)
    if config.warmup_epochs:
        start = config.warmup_learning_rate
        rate = jnp.where(t < config.warmup_epochs, start + (peak - start) * t / config.warmup_epochs, rate)
    return rate


def drop_path_rate(config: TrainConfig, step: Array | int, steps_per_epoch: Array | int) -> Array:
    """Probability that a path is left out in a step: ``drop_path``, times the share of epochs over if it grows.

    Args:
      config: options.
      step: int32 [], steps that are over.
      steps_per_epoch: int32 [], steps of an epoch.

    Returns:
      float [].
    """
    share = jnp.asarray(step // steps_per_epoch) / config.epochs if config.drop_path_grows else 1.0
    return jnp.asarray(config.drop_path * share)
