"""Tasks of a benchmark: named data sets, the held-out validation images, and a test split left alone to the end."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from nasjax.data.images import evenly_spaced, statistics
from nasjax.types import InputError


class Images(Protocol):
    """What the benchmark asks of a data set; `nasjax.data.load_dataset` makes such ones."""

    @property
    def labels(self) -> np.ndarray:
        """Int [n], class numbers."""

    @property
    def num_classes(self) -> int:
        """How many classes there are."""

    @property
    def fingerprint(self) -> str:
        """Says whether two data sets are the same."""

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Images of some numbers: uint8, or float in 0..1, [m, height, width, channels]."""
        ...


class Task(NamedTuple):
    """A data set by name.

    Attributes:
      name: short, for the columns of tables: letters, digits and underscores.
      source: of `nasjax.data.load_dataset`.
      train: name of the split of training images.
      test: name of the split that is only read for the test accuracy after the last epoch.
      image_size: height and width in pixels, of spherical images those of the grid; None for images as they are.
      spherical: whether images are projected onto a sphere.
    """

    name: str
    source: str
    train: str = "train"
    test: str = "test"
    image_size: int | None = None
    spherical: bool = False


NAMED = {
    task.name: task
    for task in (
        Task("imagenet", "tfds:imagenet2012", test="validation", image_size=224),
        Task("cifar10", "tfds:cifar10", image_size=32),
        Task("cifar100", "tfds:cifar100", image_size=32),
        Task("pets", "tfds:oxford_iiit_pet", image_size=224),
        Task("svhn", "tfds:svhn_cropped", image_size=32),
        Task("spherical_cifar100", "tfds:cifar100", image_size=60, spherical=True),
    )
}


class TaskData(NamedTuple):
    """The images of a task.

    Attributes:
      name: of the task.
      train: training images, the held-out ones among them.
      train_rows: int64 [n], which of them are trained on.
      valid_rows: int64 [m], which of them are held out.
      open_test: opens the test images; not called before the last epoch.
      num_classes: how many classes there are.
      image_size: height and width in pixels.
      channels: of an image.
      mean: of the training images, a number a channel, for images in 0..1.
      std: likewise.
      fingerprint: of the training images.
    """

    name: str
    train: Images
    train_rows: np.ndarray
    valid_rows: np.ndarray
    open_test: Callable[[], Images]
    num_classes: int
    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str

    def describe(self) -> dict[str, Any]:
        """What decides the numbers; what JSON can hold."""
        return {
            "training images": self.fingerprint,
            "trained on": len(self.train_rows),
            "held out": len(self.valid_rows),
            "classes": self.num_classes,
            "image size": self.image_size,
            "mean": list(self.mean),
            "std": list(self.std),
        }


def parse(text: str, *, image_size: int | None = None) -> list[Task]:
    """Reads a list of tasks.

    Args:
      text: tasks separated by commas. A task is a name of ``NAMED`` (CIFAR-10 and cifar10 are the same), whose images
        come by tensorflow-datasets; NAME=SOURCE, whose images come from SOURCE, such as
        ``cifar10=npz:subset.npz``; or a SOURCE alone, named after its file. NAME=SOURCE#TRAIN#TEST names the splits.
        ``spherical_cifar100`` projects the images, whatever their source.
      image_size: resizes the images of all tasks to that height and width.

    Returns:
      The tasks.

    Raises:
      InputError: an unknown name, a name twice, or no task.
    """
    found: list[Task] = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        found.append(_parse_one(part, image_size))
    names = [task.name for task in found]
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"tasks={text!r}; allowed: one or more of different names; do: write NAME=SOURCE to name one, or choose "
            f"from {', '.join(NAMED)}"
        )
    return found


def _parse_one(part: str, image_size: int | None) -> Task:
    name, sign, source = part.partition("=")
    if not sign:
        if ":" not in part and part not in ("photos",):
            return _named(part, image_size)
        source = part
        stem = re.split(r"[/\\:]", part.partition("#")[0].rstrip("/\\"))[-1]
        name = re.sub(r"\.npz$", "", stem)
    name = _plain(name.strip())
    known = NAMED.get(name, Task(name, ""))
    source, *splits = source.strip().split("#")
    task = known._replace(source=source, image_size=image_size)
    if known.source and image_size is None:  # a stand-in has the size of what it stands for
        task = task._replace(image_size=known.image_size)
    train, test = [*splits, "train", "test"][:2] if len(splits) != 1 else (splits[0], "test")
    return task._replace(train=train, test=test)


def _named(name: str, image_size: int | None) -> Task:
    short = {re.sub(r"[^a-z0-9]", "", known): known for known in NAMED}
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if plain not in short:
        near = difflib.get_close_matches(plain, short, n=1, cutoff=0.5)
        advice = f"did you mean {short[near[0]]}?" if near else "write NAME=SOURCE for images of your own"
        raise InputError(f"task {name!r} is unknown; allowed: {', '.join(NAMED)}, or NAME=SOURCE; do: {advice}")
    task = NAMED[short[plain]]
    return task if image_size is None else task._replace(image_size=image_size)


def _plain(name: str) -> str:
    """A name for the columns of a table."""
    text = re.sub(r"\W+", "_", name.lower()).strip("_")
    return {re.sub("_", "", known): known for known in NAMED}.get(text.replace("_", ""), text) or "images"


def prepare(
    name: str, train: Images, open_test: Callable[[], Images], *, valid_fraction: float = 0.1, split_seed: int = 0
) -> TaskData:
    """Holds images out and measures the others.

    Args:
      name: of the task.
      train: training images with class numbers.
      open_test: opens the test images; it is not called here, and later once.
      valid_fraction: which fraction of the training images is held out.
      split_seed: which ones.

    Returns:
      The task.

    Raises:
      InputError: labels are no class numbers, or there are too few images to hold some out.
    """
    labels = np.asarray(train.labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(
            f"task {name}: labels have shape {labels.shape} and dtype {labels.dtype}; allowed: a class number an "
            "image, as a benchmark counts correct ones; do: choose a classification source"
        )
    train_rows, valid_rows = hold_out(labels, valid_fraction, split_seed)
    sample = np.asarray(train.images(train_rows[evenly_spaced(len(train_rows))]))
    mean, std = statistics(sample)
    height, width, channels = sample.shape[1:]
    if height != width:
        raise InputError(f"task {name}: images are {height}x{width}; allowed: squares; do: give image_size")
    return TaskData(
        name, train, train_rows, valid_rows, functools.cache(open_test), int(train.num_classes), height, channels, mean,
        std, train.fingerprint,
    )  # fmt: skip


def hold_out(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits images at random, so that each class gives its share up to one image.

    Shuffled images are put in the order of their classes, and one out of every 1 / fraction is taken.

    Args:
      labels: int [n].
      fraction: of the images that is held out.
      seed: of the shuffle.

    Returns:
      Numbers of the images kept and of those held out, int64, in increasing order.

    Raises:
      InputError: one of the two parts would be empty.
    """
    number = len(labels)
    taken = round(fraction * number)
    if not 0 < taken < number:
        raise InputError(
            f"{number} training images with valid_fraction={fraction}; allowed: both parts hold an image; do: give "
            "more images or another fraction"
        )
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(number)
    by_class = shuffled[np.argsort(np.asarray(labels)[shuffled], kind="stable")]
    places = ((np.arange(taken) + generator.random()) * number / taken).astype(np.int64)
    held = np.zeros(number, bool)
    held[by_class[places]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def load(task: Task, *, valid_fraction: float = 0.1, split_seed: int = 0) -> TaskData:
    """Opens a task; the test images stay closed.

    Args:
      task: of `parse`.
      valid_fraction: which fraction of the training images is held out.
      split_seed: which ones.

    Returns:
      The task.

    Raises:
      InputError: the images cannot be read, or are none to classify, or the source has no such split for the test.
    """
    from nasjax.data import load_dataset, sources
    from nasjax.data.spherical import SphericalConfig

    size = task.image_size
    sphere: SphericalConfig | bool = False
    if task.spherical:
        if size is not None and size % 2:
            raise InputError(f"image_size={size} of {task.name}; allowed: even numbers, the grid has two points a band")
        sphere = SphericalConfig() if size is None else SphericalConfig(bandwidth=size // 2)
        size = None  # of the flat images, which stay as they are

    def opened(split: str) -> Images:
        return load_dataset(task.source, split=split, image_size=size, spherical=sphere)

    sources.check_split(task.source, task.test)  # not found out after the last epoch
    return prepare(
        task.name, opened(task.train), lambda: opened(task.test), valid_fraction=valid_fraction, split_seed=split_seed
    )
