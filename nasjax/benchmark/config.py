"""What a benchmark trains: tasks, seeds, and how blocks are made."""

from __future__ import annotations

import dataclasses
from typing import Any

from nasjax.types import InputError

BATCHINGS = ("map", "vmap", "single")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """How a benchmark is built; everything here decides its numbers, but for ``batching`` up to rounding.

    The paper names the data sets of its ViT benchmark and says that networks are trained on each; seeds, the
    validation split and the number of epochs are choices of this library.

    Attributes:
      seeds: how many trainings, of seeds 0, 1, ..., a repeated architecture gets on each task.
      repeated: fraction of the architectures, the first ones, that get all seeds; the others get seed 0 alone.
      valid_fraction: fraction of the training images held out for validation.
      split_seed: of the split; the same one for all architectures and seeds.
      block: architectures of one program.
      batching: "map" trains the architectures of a block one after another within one program, "vmap" together,
        "single" calls a program of one architecture for each.
      steps: optimisation steps between two returns to the host.
    """

    seeds: int = 1
    repeated: float = 1.0
    valid_fraction: float = 0.1
    split_seed: int = 0
    block: int = 8
    batching: str = "map"
    steps: int = 32

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        for name, least in (("seeds", 1), ("split_seed", 0), ("block", 1), ("steps", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name}={value!r}; allowed: whole numbers of at least {least}; do: change it")
        if not 0 <= self.repeated <= 1:
            raise InputError(f"repeated={self.repeated!r}; allowed: a fraction between 0 and 1; do: change it")
        if not 0 < self.valid_fraction < 1:
            raise InputError(
                f"valid_fraction={self.valid_fraction!r}; allowed: above 0 and below 1; do: 0.1 is usual"
            )
        if self.batching not in BATCHINGS:
            raise InputError(f"batching={self.batching!r}; allowed: {', '.join(BATCHINGS)}; do: choose one of them")

    def describe(self) -> dict[str, Any]:
        """The fields, JSON-serialisable; without ``steps``, which change no number."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "steps"}
