"""Fixed labelled batches of normalised images."""

from __future__ import annotations

import dataclasses

import numpy as np

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)
CIFAR100_MEAN = (0.5071, 0.4865, 0.4409)
CIFAR100_STD = (0.2673, 0.2564, 0.2762)


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """Batches that can be iterated again (to be filled in)."""

    images: np.ndarray
    labels: np.ndarray
