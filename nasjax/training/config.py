"""How a network is trained: everything that decides the numbers, but for network, images and key."""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import Any

from nasjax.data.augment import AugmentConfig
from nasjax.types import InputError

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "exponential", "steps", "constant")
RHYTHMS = ("step", "epoch")
NORMS = ("all", "device")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Options of supervised training. The defaults are those of NAS-Bench-201 (Dong and Yang, 2020) with 12 epochs.

    Attributes:
      epochs: passes over the training images.
      batch_size: images a step, over all devices; what is left at the end of an epoch is left out, as there are
        fewer images than a step takes.
      optimizer: "sgd" (with momentum; the decay is added to the gradient, as PyTorch does) or "adamw".
      learning_rate: peak learning rate.
      learning_rate_batch: if given, ``learning_rate`` is for steps of so many images and grows in proportion.
      schedule: "cosine" from the learning rate to ``final_learning_rate``, "exponential" (times ``decay`` every epoch),
        "steps" (times ``decay`` at each of the milestones) or "constant".
      final_learning_rate: at the end of "cosine".
      decay: see ``schedule``.
      milestones: epochs, see ``schedule``.
      warmup_epochs: epochs in which the learning rate rises in a line; the schedule counts them too.
      warmup_learning_rate: where it begins.
      rhythm: whether the learning rate changes with every "step" or every "epoch".
      momentum: of "sgd".
      nesterov: whether the momentum is Nesterov's.
      beta1: of "adamw".
      beta2: of "adamw".
      epsilon: of "adamw".
      weight_decay: coefficient.
      decay_all: whether biases, norms and embeddings decay too.
      clip: largest norm of the gradient over all parameters, or None.
      label_smoothing: share of the target that is spread over all classes.
      auxiliary: weight of an auxiliary head's loss, where the space has one.
      drop_path: probability that a path is left out; at the end, if it grows. The papers of DARTS and AutoFormer.
      drop_path_grows: whether it grows in proportion to the epochs that are over, as in DARTS.
      average: decay of the exponential moving average (EMA) of parameters and statistics, which is what is evaluated
        then; or None.
      augment: what is done to training images, and how all are normalised.
      law: initialisation law.
      norm_over: what batch norm takes its moments of with several devices: the images of "all", so that the number of
        devices changes no result, or those of each "device", without communication.
    """

    epochs: int = 12
    batch_size: int = 256
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    learning_rate_batch: int | None = None
    schedule: str = "cosine"
    final_learning_rate: float = 0.0
    decay: float = 0.97
    milestones: tuple[int, ...] = ()
    warmup_epochs: int = 0
    warmup_learning_rate: float = 0.0
    rhythm: str = "step"
    momentum: float = 0.9
    nesterov: bool = True
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 5e-4
    decay_all: bool = True
    clip: float | None = None
    label_smoothing: float = 0.0
    auxiliary: float = 0.4
    drop_path: float = 0.0
    drop_path_grows: bool = False
    average: float | None = None
    augment: AugmentConfig = AugmentConfig()
    law: str = "torch"
    norm_over: str = "all"

    def __post_init__(self) -> None:
        """Checks every value."""
        given = self.milestones
        object.__setattr__(self, "milestones", tuple(given) if isinstance(given, list | tuple) else (given,))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name}={getattr(self, name)!r}; allowed: {', '.join(choices)}; do: choose one")
        for name, least in _WHOLE.items():
            _check_whole(name, getattr(self, name), least)
        for name, (low, high, text) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(f"{name}={value!r}; allowed: {text}; do: change it")
        for name in ("nesterov", "decay_all", "drop_path_grows"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name}={getattr(self, name)!r}; allowed: True, False; do: choose one")
        for milestone in self.milestones:
            _check_whole("a milestone", milestone, 1)
        if self.learning_rate_batch is not None:
            _check_whole("learning_rate_batch", self.learning_rate_batch, 1)
        if self.clip is not None and not self.clip > 0:
            raise InputError(f"clip={self.clip!r}; allowed: a positive number or None; do: change it")
        if self.warmup_epochs >= self.epochs and self.warmup_epochs:
            raise InputError(
                f"warmup_epochs={self.warmup_epochs} with epochs={self.epochs}; allowed: fewer epochs; do: lower it"
            )
        if not isinstance(self.augment, AugmentConfig):
            raise InputError(f"augment={self.augment!r}; allowed: an AugmentConfig; do: make one")

    def describe(self) -> dict[str, Any]:
        """Every option as JSON-serialisable values."""
        return dataclasses.asdict(self)

    def peak(self) -> float:
        """Learning rate at its highest."""
        return self.learning_rate * (self.batch_size / self.learning_rate_batch if self.learning_rate_batch else 1.0)


_CHOICES = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "rhythm": RHYTHMS, "norm_over": NORMS}
_WHOLE = {"epochs": 1, "batch_size": 1, "warmup_epochs": 0}
_OPTIONAL = ("clip", "average")
_ANY = (0, sys.float_info.max, "a finite number of at least 0")
_SHARE = (0, math.nextafter(1, 0), "a number from 0 to below 1")
_RANGES: dict[str, tuple[float, float, str]] = {
    "learning_rate": _ANY,
    "final_learning_rate": _ANY,
    "warmup_learning_rate": _ANY,
    "decay": (0, 1, "a number from 0 to 1"),
    "momentum": _SHARE,
    "beta1": _SHARE,
    "beta2": _SHARE,
    "epsilon": _ANY,
    "weight_decay": _ANY,
    "clip": _ANY,
    "label_smoothing": _SHARE,
    "auxiliary": _ANY,
    "drop_path": _SHARE,
    "average": _SHARE,
}


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name}={value!r}; allowed: a whole number of at least {least}; do: change it")
