"""What the benchmark asks of training: pure functions of one network, and their fixed options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nasjax.types import Array, PyTree


class Trainer(NamedTuple):
    """How one network is trained and evaluated; every function is pure and traceable.

    Attributes:
      epochs: of a training.
      batch_size: images a step.
      init: ``init(key, space, arch, steps_per_epoch) -> state``, a pytree of arrays.
      step: ``step(state, arch, images, labels, key, space) -> (state, loss)``; images uint8, or float in 0..1,
        [batch, h, w, c], labels int32 [batch], loss a number. The key is that of the whole training: the state knows
        the number of the step.
      evaluate: ``evaluate(state, arch, images, labels, space) -> (loss, correct)``, float [] each: summed over the
        images whose label is not -1.
      description: everything that decides the numbers; what JSON can hold.
    """

    epochs: int
    batch_size: int
    init: Callable[[Array, Any, PyTree, int], PyTree]
    step: Callable[[PyTree, PyTree, Array, Array, Array, Any], tuple[PyTree, Array]]
    evaluate: Callable[[PyTree, PyTree, Array, Array, Any], tuple[Array, Array]]
    description: Mapping[str, Any]
