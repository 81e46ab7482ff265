"""Random search: the reference that every other algorithm has to beat."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from nasjax.search.base import Algorithm, History, check_count, no_state, unchanged
from nasjax.types import Array, PyTree


@dataclasses.dataclass(frozen=True)
class RandomConfig:
    """Options of random search.

    Attributes:
      batch: architectures that are scored in one call.
    """

    batch: int = 50

    def __post_init__(self) -> None:
        """Checks the options."""
        check_count("random", "batch", self.batch)


def random_search(space: Any, config: RandomConfig) -> Algorithm:
    """Draws by the law of the space, within the limits, each architecture once.

    Args:
      space: search space.
      config: options.

    Returns:
      the algorithm.

    References:
      Li and Talwalkar, Random Search and Reproducibility for NAS, UAI 2019. AZ-NAS searches AutoFormer so, with
      10,000 draws within a window of parameters.
    """

    @jax.jit
    def ask(key: Array, state: PyTree, history: History) -> Array:
        del state, history
        return space.sample(key, config.batch)

    return Algorithm("random", dataclasses.asdict(config), 0, config.batch, no_state, ask, unchanged)
