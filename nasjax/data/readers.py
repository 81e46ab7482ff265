"""Random access to the images and targets of a data set, by number."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from nasjax.data import folders, spherical, tfds

CACHE_BYTES = 2**30  # decoded images up to so much are kept in memory
THREADS = min(8, os.cpu_count() or 1)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Reader(Protocol):
    """What a data set reads its images with."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images [m, height, width, channels], uint8 or float in 0..1, and targets [m, ...]."""
        ...

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """Targets alone, without reading images if that can be."""
        ...


class Arrays:
    """Images and targets in memory."""

    def __init__(self, images: np.ndarray, targets: np.ndarray) -> None:
        """Images [n, height, width, channels], targets [n, ...]."""
        self._images, self._targets = images, targets

    def __len__(self) -> int:
        """Number of images."""
        return len(self._images)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Reader`."""
        return self._images[indices], self._targets[indices]

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """See :class:`Reader`."""
        return self._targets[indices]


class Files:
    """Image files, decoded by several threads."""

    def __init__(
        self, files: Sequence[pathlib.Path], targets: np.ndarray, image_size: int | None, threads: int
    ) -> None:
        """Files with their targets [n, ...]; images are cut and resized to ``image_size``."""
        self._files, self._targets, self._size, self._threads = files, targets, image_size, threads

    def __len__(self) -> int:
        """Number of images."""
        return len(self._files)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Reader`."""
        files = [self._files[index] for index in indices]
        images = parallel(lambda file: folders.read([file], self._size)[0], files, self._threads)
        folders.check_sizes(images, files)
        return np.stack(images), self._targets[indices]

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """See :class:`Reader`."""
        return self._targets[indices]


class Examples:
    """Examples of tensorflow-datasets, decoded by several threads."""

    def __init__(self, records: tfds.Records, image_size: int | None, threads: int) -> None:
        """An open split; images are cut and resized to ``image_size``."""
        self._records, self._size, self._threads = records, image_size, threads

    def __len__(self) -> int:
        """Number of images."""
        return len(self._records)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Reader`."""
        found = parallel(lambda index: tfds.read(self._records, index, self._size), indices, self._threads)
        images, labels = zip(*found, strict=True)
        return tfds.stack(images, indices, self._records.name), np.asarray(labels, np.int32)

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """See :class:`Reader`."""
        return tfds.labels(self._records, indices).astype(np.int32)


class Subset:
    """Some images of another reader."""

    def __init__(self, reader: Reader, rows: np.ndarray) -> None:
        """Rows int [n] of ``reader``."""
        self._reader, self._rows = reader, rows

    def __len__(self) -> int:
        """Number of images."""
        return len(self._rows)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Reader`."""
        return self._reader.read(self._rows[indices])

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """See :class:`Reader`."""
        return self._reader.targets(self._rows[indices])


class Mapped:
    """Images and targets of another reader, changed by a function of their numbers."""

    def __init__(
        self,
        reader: Reader,
        function: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
        targets: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """``function(images, targets, indices)`` gives images and targets; ``targets(indices)`` the latter alone."""
        self._reader, self._function, self._own = reader, function, targets

    def __len__(self) -> int:
        """Number of images."""
        return len(self._reader)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Reader`."""
        return self._function(*self._reader.read(indices), indices)

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """See :class:`Reader`."""
        return self.read(indices)[1] if self._own is None else self._own(indices)


class Cached:
    """Keeps what another reader has read, for later epochs."""

    def __init__(self, reader: Reader) -> None:
        """Nothing is read before it is asked for."""
        self._reader = reader
        self._have = np.zeros(len(reader), bool)
        self._kept: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        """Number of images."""
        return len(self._reader)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Reader`."""
        missing = np.unique(indices[~self._have[indices]])
        if len(missing):
            new = self._reader.read(missing)
            if self._kept is None:
                images, targets = (np.empty((len(self), *array.shape[1:]), array.dtype) for array in new)
                self._kept = images, targets
            for kept, array in zip(self._kept, new, strict=True):
                kept[missing] = array
            self._have[missing] = True
        assert self._kept is not None
        return self._kept[0][indices], self._kept[1][indices]

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """See :class:`Reader`."""
        return self._reader.targets(indices)


def on_sphere(reader: Reader, config: spherical.SphericalConfig) -> Reader:
    """Images projected to the sphere, each turned by its number."""

    def function(images: np.ndarray, targets: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return spherical.project(images, config, indices=indices), targets

    return Mapped(reader, function, reader.targets)


def keep(reader: Reader, cache: bool | None) -> Reader:
    """A reader that keeps what it read, if asked to or, by default, if all of it takes at most ``CACHE_BYTES``."""
    if isinstance(reader, Arrays):
        return reader
    if cache is None:
        one = sum(array.nbytes for array in reader.read(np.zeros(1, np.int64)))
        cache = len(reader) * one <= CACHE_BYTES
    return Cached(reader) if cache else reader


def parallel(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> list[Result]:
    """``map`` by several threads, in order; errors come as they are."""
    items = list(items)
    if threads < 2 or len(items) < 2 * threads:
        return [function(item) for item in items]
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
