"""Images from a directory with one sub-directory a class."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from nasjax.data import annotated, checks
from nasjax.data.batches import Batches, order
from nasjax.data.images import evenly_spaced, resize, statistics
from nasjax.data.npz import UNREADABLE
from nasjax.types import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def load(
    path: pathlib.Path,
    *,
    batch_size: int,
    num_batches: int,
    image_size: int | None,
    seed: int | None,
    normalize: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    dtype: Any,
    num_classes: int | None,
    source: str,
) -> Batches:
    """Reads only the images that the batches need, and at most 1,024 more for mean and deviation.

    Args:
      path: directory; its sub-directories in alphabetical order are the classes.
      batch_size: images a batch.
      num_batches: number of batches.
      image_size: height and width in pixels; by default all images must agree and be square.
      seed: of the shuffle; ``None`` takes files in alphabetical order, class after class.
      normalize: see :meth:`nasjax.data.Batches.from_arrays`.
      mean: see there.
      std: see there.
      dtype: see there.
      num_classes: see there.
      source: what to call the images.

    Returns:
      The batches; images are RGB, labels are numbers of sub-directories.

    Raises:
      InputError: if there is no such directory, no class, no image, too few, or one cannot be read.
    """
    files, labels, names = scan(path)
    where = f"'{path}'"
    number_of_classes = checks.classes(labels, num_classes, names, where)
    checks.enough(len(files), batch_size, num_batches, where)
    chosen = order(len(files), seed)[: batch_size * num_batches]
    if normalize and (mean is None or std is None):
        sample = evenly_spaced(len(files))
        own_mean, own_std = statistics(read([files[index] for index in sample], image_size))
        mean, std = own_mean if mean is None else mean, own_std if std is None else std
    return Batches.from_arrays(
        read([files[index] for index in chosen], image_size),
        labels[chosen],
        batch_size=batch_size,
        num_batches=num_batches,
        image_size=image_size,
        seed=None,
        normalize=normalize,
        mean=mean,
        std=std,
        dtype=dtype,
        num_classes=number_of_classes,
        class_names=names,
        source=source,
    )


def scan(path: pathlib.Path) -> tuple[list[pathlib.Path], np.ndarray, tuple[str, ...]]:
    """Lists image files, their labels (int64 [n]) and the names of the classes, without reading a file.

    A directory with ``val_annotations.txt`` is read as Tiny-ImageNet's validation images, see `nasjax.data.annotated`.

    Raises:
      InputError: if ``path`` is no directory or holds no class with images.
    """
    layout = "DIR/CLASS/IMAGE with endings " + " ".join(SUFFIXES)
    if (path / annotated.ANNOTATIONS).is_file():
        return annotated.scan(path)
    if not path.is_dir():
        raise InputError(f"'{path}' is no directory; allowed: {layout}; do: give the directory above the classes")
    classes = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        loose = sum(entry.suffix.lower() in SUFFIXES for entry in path.iterdir())
        what = f"holds {loose} images but no class directories" if loose else "is empty"
        raise InputError(f"'{path}' {what}; allowed: {layout}; do: make one directory a class")
    files, labels = [], []
    for label, directory in enumerate(classes):
        found = sorted(
            entry
            for entry in directory.rglob("*")
            if entry.suffix.lower() in SUFFIXES and entry.is_file() and not entry.name.startswith(".")
        )
        if not found:
            raise InputError(
                f"class directory '{directory}' has no images; allowed: {layout}; do: add images or remove it"
            )
        files += found
        labels += [label] * len(found)
    return files, np.asarray(labels, np.int64), tuple(directory.name for directory in classes)


def read(files: Sequence[pathlib.Path], image_size: int | None) -> np.ndarray:
    """Reads files as RGB.

    Args:
      files: at least one image file.
      image_size: height and width of the result in pixels, or ``None`` if all files are of one square size.

    Returns:
      uint8 [n, height, width, 3].

    Raises:
      InputError: if a file is no image, is damaged, or has another size than the first.
    """
    images: list[np.ndarray] = []
    for file in files:
        pixels = read_pixels(file, mode="RGB")
        images.append(pixels if image_size is None else resize(pixels[None], image_size)[0])
        check_sizes([images[0], images[-1]], [files[0], file])
    return np.stack(images)


def read_pixels(file: pathlib.Path, *, mode: str | None) -> np.ndarray:
    """Decodes an image file.

    Args:
      file: path.
      mode: of PIL that it is converted to; as it is by default, palette images as numbers of the palette.

    Returns:
      Pixels [height, width] or [height, width, channels].

    Raises:
      InputError: the file is no image, or damaged.
    """
    try:
        with Image.open(file) as opened:
            return np.asarray(opened if mode is None else opened.convert(mode))
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise InputError(f"'{file}' cannot be read as an image ({error}); do: remove or repair it") from error


def check_sizes(images: Sequence[np.ndarray], files: Sequence[pathlib.Path]) -> None:
    """Refuses images that are not all of one size.

    Args:
      images: an array [height, width, channels] a file.
      files: their files, for the message.

    Raises:
      InputError: one has another size than the first.
    """
    for file, pixels in zip(files, images, strict=True):
        if pixels.shape != images[0].shape:
            raise InputError(
                f"'{file}' is {pixels.shape[0]} x {pixels.shape[1]}, but '{files[0]}' is {images[0].shape[0]} x "
                f"{images[0].shape[1]}; allowed: one size; do: give image_size=N to cut and resize them"
            )
