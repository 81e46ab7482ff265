"""The data sets of the GRASP-GCN benchmark, and the Kronecker space on each.

CIFAR-10, CIFAR-100, Tiny-ImageNet and Fashion-MNIST are those that reviews of the paper name; how images are brought to
one size is a choice of nasjax.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from nasjax.benchmark.runner import for_task
from nasjax.benchmark.tasks import Images, TaskData
from nasjax.types import InputError

DATA_SETS = ("cifar10", "cifar100", "tiny_imagenet", "fashion_mnist")
_TFDS = {"fashionmnist": "fashion_mnist=tfds:fashion_mnist"}
_FOLDER = "tinyimagenet"
_SIDE = 32  # pixels that the stem leaves


class _Padded:
    """Images with zeros around them."""

    def __init__(self, images: Images, pixels: int):
        self._images, self._pixels = images, pixels
        self.labels, self.num_classes = images.labels, images.num_classes
        self.fingerprint = f"{images.fingerprint}, {pixels} zeros around"

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `nasjax.benchmark.tasks.Images`."""
        side = (self._pixels, self._pixels)
        return np.pad(self._images.images(indices), ((0, 0), side, side, (0, 0)))


def named(text: str) -> str:
    """A list of tasks with the sources of those that only this benchmark names.

    Args:
      text: as `nasjax.benchmark.tasks.parse` takes it, or with Fashion-MNIST, which tensorflow-datasets has.

    Returns:
      what `nasjax.benchmark.tasks.parse` takes.

    Raises:
      InputError: Tiny-ImageNet without its directory.
    """
    found = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        plain = re.sub(r"[^a-z0-9]", "", part.lower())
        if plain == _FOLDER:
            raise InputError(
                f"task {part}: tensorflow-datasets does not have it; do: unpack it and write "
                "tiny_imagenet=folder:DIR#train#val, with a folder a class in both"
            )
        found.append(_TFDS.get(plain, part))
    return ",".join(found)


def fitted(data: TaskData, image_size: int | None) -> TaskData:
    """Images of 28 pixels get two zeros on every side, unless a size was asked for.

    Args:
      data: of `nasjax.benchmark.tasks.load`.
      image_size: what images were resized to, or None.

    Returns:
      the task.
    """
    if image_size is not None or data.image_size != 28:
        return data
    pixels = (_SIDE - data.image_size) // 2
    train, open_test = _Padded(data.train, pixels), data.open_test
    return data._replace(
        train=train,
        open_test=lambda: _Padded(open_test(), pixels),
        image_size=data.image_size + 2 * pixels,
        fingerprint=train.fingerprint,
    )


def space_on(space: Any, data: TaskData) -> Any:
    """The space on a data set: its classes, its size, and a stem that brings images of 64 pixels to 32.

    Args:
      space: a Kronecker space, or another one.
      data: the task.

    Returns:
      the space of the task.
    """
    if hasattr(space, "stem_stride") and data.image_size > _SIDE:
        space = dataclasses.replace(space, stem_stride=space.stem_stride * (data.image_size // _SIDE))
    return for_task(space, data)
