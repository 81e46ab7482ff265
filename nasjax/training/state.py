"""What training carries from step to step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from nasjax.training.config import TrainConfig
from nasjax.training.optimizers import transformation
from nasjax.types import Array, PyTree, Variables


class TrainState(NamedTuple):
    """State of one network in training: a pytree of arrays, which may be stacked over networks.

    Attributes:
      step: int32 [], steps that are over.
      steps_per_epoch: int32 [], steps of an epoch.
      params: parameters.
      stats: running statistics.
      optimizer: state of the optax transformation.
      average: `Variables`, moving average of params and stats; () without.
    """

    step: Array
    steps_per_epoch: Array
    params: PyTree
    stats: PyTree
    optimizer: PyTree
    average: PyTree

    @property
    def variables(self) -> Variables:
        """Parameters and statistics as they are."""
        return Variables(self.params, self.stats)

    @property
    def evaluated(self) -> Variables:
        """What is evaluated: the moving average, if there is one."""
        return self.average if self.average else self.variables


def init_state(
    key: Array, space: Any, arch: PyTree, config: TrainConfig, steps_per_epoch: Array | int, *, dtype: Any = None
) -> TrainState:
    """State before the first step; traceable in everything but space, config and dtype.

    Args:
      key: typed key of the initialisation.
      space: search space, bound to the signature of the architecture where there are several.
      arch: one architecture.
      config: options.
      steps_per_epoch: steps of an epoch, which the schedules count by.
      dtype: floating type; JAX's default by default.

    Returns:
      the state.
    """
    return start(space, config, space.init(key, arch, law=config.law, dtype=dtype), steps_per_epoch)


def start(space: Any, config: TrainConfig, variables: Variables, steps_per_epoch: Array | int) -> TrainState:
    """State before the first step, from given variables.

    Args:
      space: search space.
      config: options.
      variables: to begin with.
      steps_per_epoch: steps of an epoch.

    Returns:
      the state.
    """
    return TrainState(
        jnp.zeros((), jnp.int32),
        jnp.asarray(steps_per_epoch, jnp.int32),
        variables.params,
        variables.stats,
        transformation(config, space).init(variables.params),
        () if config.average is None else variables,
    )
