"""Optax transformations of a training configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from nasjax.training.config import TrainConfig
from nasjax.types import PyTree

# optax takes as long to import as the rest of the package: only where something is trained.
if TYPE_CHECKING:
    import optax


def transformation(config: TrainConfig, space: Any) -> optax.GradientTransformation:
    """Gradient to direction; the step is minus the learning rate times it.

    SGD: ``v <- m v + g + w p``, direction v, or with Nesterov ``g + w p + m v``; AdamW: Adam's direction plus ``w p``.
    The gradient is clipped before all that.

    Args:
      config: options.
      space: search space, which knows what weights are.

    Returns:
      the transformation, without a learning rate.
    """
    import optax

    def decays(params: PyTree) -> PyTree:
        nothing = jax.tree.map(lambda leaf: False, params)
        return space.with_weights(nothing, jax.tree.map(lambda leaf: True, space.weights(params)))

    decay = optax.add_decayed_weights(config.weight_decay, None if config.decay_all else decays)
    parts = [] if config.clip is None else [optax.clip_by_global_norm(config.clip)]
    if config.optimizer == "sgd":
        parts += [decay, optax.trace(config.momentum, nesterov=config.nesterov)]
    else:
        parts += [optax.scale_by_adam(config.beta1, config.beta2, config.epsilon), decay]
    return optax.chain(*parts)
