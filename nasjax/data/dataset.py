"""A whole data set for training: images by number, and what a network must know of them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from nasjax.data import checks
from nasjax.data.images import evenly_spaced, statistics
from nasjax.data.readers import Reader, Subset
from nasjax.hashing import fingerprint as hash_of
from nasjax.types import Batch, InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and targets by number, read when they are asked for. :func:`nasjax.data.load_dataset` makes one.

    Attributes:
      reader: reads images and targets.
      num_classes: number of classes; of other tasks, of outputs of the network.
      image_size: height, which is the width, in pixels.
      channels: colour channels.
      kind: of the targets: "class", "values", "pixel classes" or "image".
      class_names: a name a class, or empty.
      source: where the images came from.
      identity: what tells this data set from others, hashed by ``fingerprint``.
    """

    reader: Reader
    num_classes: int
    image_size: int
    channels: int
    kind: str
    class_names: tuple[str, ...]
    source: str
    identity: Any

    def __len__(self) -> int:
        """Number of images."""
        return len(self.reader)

    def __repr__(self) -> str:
        """Short description."""
        size = f"{self.image_size}x{self.image_size}x{self.channels}"
        return f"Dataset({self.source!r}, {len(self)} images {size}, {self.num_classes} classes)"

    def images(self, indices: Any) -> np.ndarray:
        """Images as they are stored, not normalised.

        Args:
          indices: int [m], numbers of images, in any order.

        Returns:
          uint8, or float in 0..1, [m, height, width, channels].

        Raises:
          InputError: an image cannot be read; the message names it.
        """
        return np.asarray(self.batch(indices).images)

    def targets(self, indices: Any) -> np.ndarray:
        """Targets, without reading images if that can be.

        Args:
          indices: as of :meth:`images`.

        Returns:
          int32 [m], class numbers; or of other tasks: float32 [m, outputs], int32 [m, height, width], float32
          [m, height, width, channels] in -1..1.

        Raises:
          InputError: a target cannot be read, or is no class.
        """
        rows = self._rows(indices)
        return self._checked(self.reader.targets(rows), rows)

    def batch(self, indices: Any) -> Batch:
        """Images and targets.

        Args:
          indices: as of :meth:`images`.

        Returns:
          see :meth:`images` and :meth:`targets`.

        Raises:
          InputError: something cannot be read.
        """
        rows = self._rows(indices)
        images, targets = self.reader.read(rows)
        return Batch(images, self._checked(targets, rows))

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """All targets, see :meth:`targets`; read once."""
        labels = self.targets(np.arange(len(self)))
        labels.setflags(write=False)
        return labels

    @functools.cached_property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return statistics(self.images(evenly_spaced(len(self))))

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of every channel for images in 0..1, of at most 1,024 evenly spaced images."""
        return self._statistics[0]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation, likewise."""
        return self._statistics[1]

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256, 64 hexadecimal digits: of the content in memory; of names and sizes of files; of the version."""
        return hash_of(self.identity)

    def subset(self, rows: Any) -> Dataset:
        """Some of the images.

        Args:
          rows: int [m], numbers of images.

        Returns:
          A data set of ``m`` images in that order.

        Raises:
          InputError: no number, or one that there is not.
        """
        rows = self._rows(rows)
        identity = {"of": self.identity, "rows": rows}
        return dataclasses.replace(self, reader=Subset(self.reader, rows), identity=identity)

    def hold_out(self, share: float, *, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Splits off a part at random, for validation.

        Args:
          share: of the images that are held out, rounded to whole images.
          seed: of the shuffle.

        Returns:
          what is left, and what is held out; each in the order of the data set.

        Raises:
          InputError: one of the two would be empty.
        """
        number = len(self)
        held = round(share * number) if 0 < share < 1 else 0
        if not 0 < held < number:
            raise InputError(
                f"{share!r} of {number} images held out; allowed: a share between 0 and 1 that leaves an image on both "
                "sides; do: give another share"
            )
        order = np.random.default_rng(checks.count(seed, "seed", minimum=0)).permutation(number)
        return self.subset(np.sort(order[held:])), self.subset(np.sort(order[:held]))

    def check_fits(self, space: Any) -> None:
        """Refuses a space that the images do not fit.

        Args:
          space: whose ``image_size``, ``in_channels`` and ``num_classes`` are compared, where it has them.

        Raises:
          InputError: another image size, other channels, or fewer classes.
        """
        name = getattr(space, "name", type(space).__name__)
        for attribute, own, option in (
            ("image_size", self.image_size, f"image_size={self.image_size}"),
            ("in_channels", self.channels, f"in_channels={self.channels}"),
        ):
            wanted = getattr(space, attribute, own)
            if wanted != own:
                what = "pixels a side" if attribute == "image_size" else "channels"
                load = f", or load the data with image_size={wanted}" if attribute == "image_size" else ""
                raise InputError(
                    f"'{self.source}' has images of {own} {what}, space {name} expects {wanted}; allowed: the same; "
                    f"do: give the space {option}{load}"
                )
        outputs = getattr(space, "num_classes", self.num_classes)
        if outputs < self.num_classes:
            raise InputError(
                f"'{self.source}' has {self.num_classes} classes, space {name} tells {outputs} apart; allowed: at "
                f"least as many; do: give the space num_classes={self.num_classes}"
            )

    def _rows(self, indices: Any) -> np.ndarray:
        """Numbers of images, checked: int64 [m]."""
        rows = np.asarray(indices)
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
            raise InputError(f"indices {rows.dtype}{list(rows.shape)}; allowed: one or more whole numbers in a list")
        if rows.min() < 0 or rows.max() >= len(self):
            bad = rows.min() if rows.min() < 0 else rows.max()
            raise InputError(f"image {bad} of '{self.source}'; allowed: 0..{len(self) - 1}; do: correct the number")
        return rows.astype(np.int64)

    def _checked(self, targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Targets whose class numbers are classes."""
        if self.kind == "class" and targets.dtype.kind in "iu":
            bad = (targets < 0) | (targets >= self.num_classes)
            if bad.any():
                first = int(np.argmax(bad))
                raise InputError(
                    f"image {rows[first]} of '{self.source}' has label {targets[first]}; allowed: "
                    f"0..{self.num_classes - 1}; do: give num_classes, choose a split with labels, or correct it"
                )
        return targets
