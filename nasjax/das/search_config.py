"""What a search is given: its settings, the two halves of the images, and a network as functions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.hashing import array_fingerprint
from nasjax.types import Array, InputError, PyTree

ORDERS = ("first", "finite_difference", "exact")
SELECTIONS = ("perturbation", "argmax")
CRITERIA = ("accuracy", "loss")
MODES = ("train", "batch", "running")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of a search; defaults are those of the code of the paper's first author.

    Attributes:
      epochs: of the search itself; the choice of operations comes after them.
      batch_size: images a step, of each half.
      weight_lr: learning rate of the weights at the beginning; it falls as a cosine, epoch by epoch.
      weight_lr_min: at the end.
      momentum: of the weights.
      weight_decay: of the weights.
      clip: largest global norm of the weights' gradient, before decay.
      alpha_lr: learning rate of alpha, and of learned magnitudes.
      alpha_betas: of its Adam.
      alpha_decay: of alpha, added to the gradient.
      alpha_scale: standard deviation of alpha at the beginning.
      order: gradient of alpha: "first" takes the weights as they are; "exact" differentiates through one step of plain
        gradient descent of the weights; "finite_difference" approximates that as DARTS does.
      alpha_updates_stats: whether the forward pass of alpha's step moves the running statistics, as in the code.
      select: "perturbation", or "argmax" of alpha.
      interval: epochs of fine-tuning after each choice of the perturbation.
      criterion: what an operation's removal is judged by, on the images of alpha: "accuracy" (ties by loss) or "loss".
      edge_topology: whether nodes keep two of their edges.
      crop_padding: zeros put around an image before a random crop; a normalised zero is the mean colour.
      flip: whether a coin decides on a horizontal flip.
      tune_lr_factor: the learning rate of fine-tuning begins at this share of ``weight_lr``.

    Raises:
      InputError: a value that is not allowed.
    """

    epochs: int = 50
    batch_size: int = 64
    weight_lr: float = 0.025
    weight_lr_min: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 3e-4
    clip: float = 5.0
    alpha_lr: float = 3e-4
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    alpha_decay: float = 1e-3
    alpha_scale: float = 1e-3
    order: str = "first"
    alpha_updates_stats: bool = False
    select: str = "perturbation"
    interval: int = 5
    criterion: str = "accuracy"
    edge_topology: bool = True
    crop_padding: int = 0
    flip: bool = False
    tune_lr_factor: float = 0.1

    def __post_init__(self) -> None:
        """Checks every field."""
        for name, least in (("epochs", 0), ("batch_size", 1), ("interval", 1), ("crop_padding", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name}={value!r}; allowed: a whole number of at least {least}; do: change it")
        betas = tuple(self.alpha_betas)
        object.__setattr__(self, "alpha_betas", betas)
        for name, value in (("momentum", self.momentum), *(("alpha_betas", beta) for beta in betas)):
            if not 0 <= value < 1:
                raise InputError(f"{name}={getattr(self, name)}; allowed: 0 or more, below 1; do: change it")
        if len(betas) != 2 or not self.clip > 0:
            raise InputError(f"alpha_betas={betas}, clip={self.clip}; allowed: two numbers, and one above 0")
        for name, allowed in (("order", ORDERS), ("select", SELECTIONS), ("criterion", CRITERIA)):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r}; allowed: {', '.join(allowed)}; do: choose one")
        for name in ("weight_lr", "weight_lr_min", "momentum", "weight_decay", "clip", "alpha_lr", "alpha_decay",
                     "alpha_scale", "tune_lr_factor"):  # fmt: skip
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise InputError(f"{name}={value}; allowed: a finite number of at least 0; do: change it")

    def rate(self, epoch: int, total: int) -> float:
        """Learning rate of the weights in an epoch.

        Args:
          epoch: its number.
          total: all epochs, those of fine-tuning included.

        Returns:
          the rate.
        """
        first, number = self.weight_lr, self.epochs
        if epoch >= self.epochs:
            first, number, epoch = first * self.tune_lr_factor, total - self.epochs, epoch - self.epochs
        low = min(self.weight_lr_min, first)
        return low + (first - low) * (1 + math.cos(math.pi * epoch / max(number, 1))) / 2


@dataclasses.dataclass(frozen=True, eq=False)
class SearchData:
    """The images of a search, normalised.

    Attributes:
      train_images: float32 [n, height, width, channels], which train the weights.
      train_labels: int32 [n].
      valid_images: float32 [m, height, width, channels], which train alpha and judge operations.
      valid_labels: int32 [m].
      num_classes: of both.

    Raises:
      InputError: arrays do not fit each other, or a label is outside of the classes.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    valid_images: np.ndarray
    valid_labels: np.ndarray
    num_classes: int

    def __post_init__(self) -> None:
        """Checks shapes, labels and numbers."""
        for half in ("train", "valid"):
            images, labels = getattr(self, f"{half}_images"), getattr(self, f"{half}_labels")
            if images.ndim != 4 or min(images.shape) < 1 or images.dtype.kind != "f":
                raise InputError(f"{half}_images {images.dtype} {images.shape}; allowed: floats [n, height, width, "
                                 "channels], normalised, none of the axes empty")  # fmt: skip
            if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
                raise InputError(f"{half}_labels {labels.dtype} {labels.shape}; allowed: a class number an image")
            if labels.min() < 0 or labels.max() >= self.num_classes:
                raise InputError(f"{half}_labels run from {labels.min()} to {labels.max()}; allowed: 0 to "
                                 f"{self.num_classes - 1}; do: correct them, or num_classes")  # fmt: skip
            if not np.isfinite(images).all():
                raise InputError(f"{half}_images hold NaN or infinity; allowed: finite numbers; do: clean them")
        if self.train_images.shape[1:] != self.valid_images.shape[1:]:
            raise InputError(f"images of the halves have shapes {self.train_images.shape[1:]} and "
                             f"{self.valid_images.shape[1:]}; do: resize one")  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all arrays."""
        return array_fingerprint(self.train_images, self.train_labels, self.valid_images, self.valid_labels)


def split_halves(
    key: jax.Array, images: Any, labels: Any, *, num_classes: int | None = None, train_portion: float = 0.5
) -> SearchData:
    """Splits a training set at random into images for the weights and images for alpha.

    Args:
      key: typed key.
      images: float [n, height, width, channels], normalised.
      labels: int [n].
      num_classes: the largest label plus one by default.
      train_portion: share of the images that train the weights.

    Returns:
      The two parts.

    Raises:
      InputError: a part would be empty, or arrays do not fit.
    """
    x, y = np.asarray(images, np.float32), np.asarray(labels)
    if y.dtype.kind not in "iu":
        raise InputError(f"labels {y.dtype} {y.shape}; allowed: a class number an image, as a whole number")
    cut = round(len(x) * train_portion)
    if not 0 < cut < len(x) or len(y) != len(x):
        raise InputError(f"train_portion={train_portion} of {len(x)} images and {len(y)} labels; allowed: a share that "
                         "leaves images for both the weights and alpha, a label an image")  # fmt: skip
    order = np.asarray(jax.random.permutation(key, len(x)))
    classes = int(y.max()) + 1 if num_classes is None else num_classes
    first, second = order[:cut], order[cut:]
    y = y.astype(np.int32)
    return SearchData(x[first], y[first], x[second], y[second], classes)


class Network(NamedTuple):
    """A network over videos, as functions.

    Attributes:
      init: ``init(key, video) -> (params, stats)``.
      apply: ``apply(params, stats, video, mode, key) -> (logits [batch, classes], stats)``; mode is "train" (statistics
        of the batch, dropout), "batch" (statistics of the batch, no dropout) or "running".
      name: what it is, for the record of a run.
    """

    init: Callable[[jax.Array, Array], tuple[PyTree, PyTree]]
    apply: Callable[[PyTree, PyTree, Array, str, jax.Array], tuple[Array, PyTree]]
    name: str


def linen_network(module: Any, *, name: str = "") -> Network:
    """A Linen module as a network.

    Args:
      module: takes ``(video, train=)``, returns logits [batch, classes]; batch norm statistics, if any, are in the
        collection ``batch_stats``; an attribute ``dropout``, if any, is its rate.
      name: of the network; the module's own description by default.

    Returns:
      The network.
    """
    still = module.clone(dropout=0.0) if getattr(module, "dropout", 0.0) else module

    def init(key: jax.Array, video: Array) -> tuple[PyTree, PyTree]:
        variables = dict(still.init(key, video))
        return variables["params"], {k: v for k, v in variables.items() if k != "params"}

    def apply(params: PyTree, stats: PyTree, video: Array, mode: str, key: jax.Array) -> tuple[Array, PyTree]:
        if mode not in MODES:
            raise InputError(f"mode={mode!r}; allowed: {', '.join(MODES)}")
        variables = {"params": params, **stats}
        if mode == "running":
            return still.apply(variables, video, train=False), stats
        chosen = module if mode == "train" else still
        logits, changed = chosen.apply(variables, video, train=True, mutable=list(stats), rngs={"dropout": key})
        return logits, {**stats, **changed}

    return Network(init, apply, name or str(module))
