"""Fixed labelled batches of normalised images."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nasjax.data import checks
from nasjax.data.images import evenly_spaced, normalise, resize, statistics
from nasjax.hashing import array_fingerprint
from nasjax.types import Batch, InputError

DTYPES = ("float32", "float64")


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """Labelled batches that are the same at every iteration.

    Two objects are equal when their arrays are. Arrays are read-only. Make one with
    :func:`nasjax.data.load` or :meth:`from_arrays`, which check their input.

    Attributes:
      images: float [num_batches, batch_size, height, width, channels], normalised.
      labels: int32 [num_batches, batch_size], class indices; or other targets [num_batches, batch_size, ...],
        see :meth:`with_targets`.
      num_classes: number of classes of the source.
      class_names: a name a class, or empty where the source has none.
      source: where the images came from.
      mean: subtracted from every channel, in the units of 0..1 images.
      std: divided by, a number a channel.
    """

    images: np.ndarray
    labels: np.ndarray
    num_classes: int
    class_names: tuple[str, ...] = ()
    source: str = "arrays"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Keeps read-only views, so that no consumer changes what the next one sees."""
        for name in ("images", "labels"):
            view = np.asarray(getattr(self, name)).view()
            view.setflags(write=False)
            object.__setattr__(self, name, view)

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any,
        *,
        targets: Any = None,
        batch_size: int = 64,
        num_batches: int = 2,
        image_size: int | None = None,
        seed: int | None = 0,
        normalize: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        dtype: Any = "float32",
        num_classes: int | None = None,
        class_names: Sequence[str] = (),
        source: str = "arrays",
    ) -> Batches:
        """Draws batches from arrays, no image twice.

        Args:
          images: uint8 (0..255) or float [n, height, width, channels].
          labels: integers [n]; not read if ``targets`` are given.
          targets: other targets [n, ...], see :meth:`with_targets`; images are not resized along with them.
          batch_size: images a batch.
          num_batches: number of batches.
          image_size: height and width to resize the centre square to, in pixels; as it is by default.
          seed: of the shuffle that chooses the images; ``None`` takes the first ones in order.
          normalize: whether to subtract ``mean`` and divide by ``std``; if not, uint8 becomes 0..1 and
            floating point stays.
          mean: a number a channel, in units of uint8 / 255 (or of the floating-point images); by default that
            of all ``images`` (after resizing: of at most 1,024 evenly spaced ones).
          std: as ``mean``, positive.
          dtype: of the images, "float32" or "float64".
          num_classes: number of classes; by default the number of names, else the largest label plus one.
          class_names: a name a class.
          source: what to call the images in messages and tables.

        Returns:
          The batches.

        Raises:
          InputError: if a count is not positive, images or labels are missing, of wrong rank, dtype, size or
            value, or there are fewer images than asked for.
        """
        batch_size = checks.count(batch_size, "batch_size")
        num_batches = checks.count(num_batches, "num_batches")
        size = None if image_size is None else checks.count(image_size, "image_size")
        kind = _check_dtype(dtype)
        array = checks.images(images, source, square=size is None)
        if targets is None:
            classes = checks.labels(labels, len(array), source)
        else:
            targets = checks.targets(targets, len(array), source)
            classes = np.zeros(len(array), np.int64)
        number_of_classes = checks.classes(classes, num_classes, class_names, source)
        checks.enough(len(array), batch_size, num_batches, source)
        if not normalize and (mean is not None or std is not None):
            raise InputError("mean or std given with normalize=False; allowed: one or the other; do: leave one out")

        chosen = order(len(array), seed)[: batch_size * num_batches]
        picked = array[chosen] if size is None else resize(array[chosen], size)
        checks.not_constant(picked, source)
        channels = array.shape[-1]
        if not normalize:
            mean, std = (0.0,) * channels, (1.0,) * channels
        elif mean is None or std is None:
            resized = size is not None and array.shape[1:3] != (size, size)
            basis = resize(array[evenly_spaced(len(array))], size) if resized and size is not None else array
            own_mean, own_std = statistics(basis)
            mean, std = own_mean if mean is None else mean, own_std if std is None else std
        ready = normalise(picked, mean, std, kind)
        batches = cls(
            images=ready.reshape(num_batches, batch_size, *ready.shape[1:]),
            labels=classes[chosen].astype(np.int32).reshape(num_batches, batch_size),
            num_classes=number_of_classes,
            class_names=tuple(str(name) for name in class_names),
            source=source,
            mean=tuple(float(value) for value in mean),
            std=tuple(float(value) for value in std),
        )
        return batches if targets is None else batches.with_targets(targets[chosen])

    def with_targets(self, targets: Any) -> Batches:
        """The same images with other targets, for tasks that are no classification.

        Args:
          targets: integers (class numbers of pixels, for example) or floats (values, images), in the order of
            the images: [num_batches, batch_size, ...], or [num_batches * batch_size, ...].

        Returns:
          Batches whose ``labels`` are int32, or floats of the images' dtype. ``batches.with_targets(batches.images)``
          asks for the images themselves.

        Raises:
          InputError: if they are no finite numbers, or not one an image.
        """
        array, lead = np.asarray(targets), (self.num_batches, self.batch_size)
        if array.shape[:2] == lead:
            array = array.reshape(-1, *array.shape[2:])
        array = checks.targets(array, self.num_batches * self.batch_size, self.source)
        array = array.astype(self.images.dtype if array.dtype.kind == "f" else np.int32)
        return dataclasses.replace(self, labels=array.reshape(*lead, *array.shape[1:]))

    def __iter__(self) -> Iterator[Batch]:
        """Yields ``num_batches`` batches: images [batch_size, h, w, c], labels int32 [batch_size]."""
        return (Batch(images, labels) for images, labels in zip(self.images, self.labels, strict=True))

    def __len__(self) -> int:
        """Number of batches."""
        return self.num_batches

    def __eq__(self, other: object) -> bool:
        """Whether the arrays are the same."""
        return isinstance(other, Batches) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        """Hash of the arrays."""
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        """Short description without the arrays."""
        size = f"{self.image_size}x{self.image_size}x{self.channels}"
        return (
            f"Batches({self.source!r}, {self.num_batches} x {self.batch_size} images {size} {self.images.dtype}, "
            f"{self.num_classes} classes)"
        )

    @property
    def num_batches(self) -> int:
        """Number of batches."""
        return self.images.shape[0]

    @property
    def batch_size(self) -> int:
        """Images a batch."""
        return self.images.shape[1]

    @property
    def image_size(self) -> int:
        """Height, which is the width, in pixels."""
        return self.images.shape[2]

    @property
    def channels(self) -> int:
        """Colour channels."""
        return self.images.shape[4]

    @property
    def stacked(self) -> Batch:
        """All batches with a leading axis: images [num_batches, batch_size, ...], labels likewise."""
        return Batch(self.images, self.labels)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of images and labels, 64 hexadecimal digits."""
        return array_fingerprint(self.images, self.labels)


def order(number: int, seed: int | None) -> np.ndarray:
    """The order in which images are taken: int64 [number], shuffled unless ``seed`` is ``None``.

    Raises:
      InputError: if ``seed`` is negative or no whole number.
    """
    if seed is None:
        return np.arange(number)
    return np.random.default_rng(checks.count(seed, "seed", minimum=0)).permutation(number)


def _check_dtype(dtype: Any) -> np.dtype:
    """The NumPy dtype of the images."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or kind.name not in DTYPES:
        raise InputError(f"dtype={dtype!r}; allowed: {', '.join(DTYPES)}; do: choose one of them")
    return kind
