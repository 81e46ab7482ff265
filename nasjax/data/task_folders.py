"""Folders for the seven tasks of TransNAS-Bench-101: images, and one file a target.

    DIR[/SPLIT]/images/NAME.png            any image file, sub-directories allowed
    DIR[/SPLIT]/class_object/NAME.npy      class number, or probabilities [100]
    DIR[/SPLIT]/class_scene/NAME.npy       class number, or probabilities [63]
    DIR[/SPLIT]/room_layout/NAME.npy       floats [9]
    DIR[/SPLIT]/segmentsemantic/NAME.png   class numbers 0..16 as grey values, or NAME.npy, integers [height, width]
    DIR[/SPLIT]/normal/NAME.png            red, green, blue, or NAME.npy, uint8 or floats 0..1 [height, width, 3]

Only the folders of the tasks in use need be there. ``autoencoder`` and ``jigsaw`` need none: the target is the image,
or the number of the permutation of its tiles. Targets of ``normal`` and ``autoencoder`` are scaled to -1..1, the range
of the networks' output. Where images are cut and resized, maps are too: classes by the nearest pixel.
"""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import numpy as np

from nasjax.data import folders, jigsaw
from nasjax.data.images import resize, to_unit
from nasjax.data.npz import UNREADABLE
from nasjax.data.readers import Mapped, Reader, parallel
from nasjax.types import InputError


class Form(NamedTuple):
    """What the targets of a task are.

    Attributes:
      outputs: numbers that a network gives for an image or a pixel.
      kind: "class", "values", "pixel classes" or "image".
      own: whether there is a folder of targets.
    """

    outputs: int
    kind: str
    own: bool = True


FORMS = {
    "class_object": Form(100, "class"),
    "class_scene": Form(63, "class"),
    "room_layout": Form(9, "values"),
    "jigsaw": Form(jigsaw.PERMUTATIONS, "class", own=False),
    "autoencoder": Form(3, "image", own=False),
    "normal": Form(3, "image"),
    "segmentsemantic": Form(17, "pixel classes"),
}


class Pairs:
    """Image files with a file of targets each."""

    def __init__(
        self,
        files: list[tuple[pathlib.Path, pathlib.Path]],
        form: Form,
        image_size: int | None,
        threads: int,
    ) -> None:
        """Pairs of an image file and its target's."""
        self._files, self._form, self._size, self._threads = files, form, image_size, threads

    def __len__(self) -> int:
        """Number of images."""
        return len(self._files)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`nasjax.data.readers.Reader`."""
        files = [self._files[index][0] for index in indices]
        images = parallel(lambda file: folders.read([file], self._size)[0], files, self._threads)
        folders.check_sizes(images, files)
        targets = self.targets(indices)
        dense = self._form.kind in ("pixel classes", "image")
        if dense and targets.shape[1:3] != images[0].shape[:2]:
            raise InputError(
                f"'{self._files[indices[0]][1]}' is {targets.shape[1]} x {targets.shape[2]}, its image is "
                f"{images[0].shape[0]} x {images[0].shape[1]}; allowed: one size; do: give image_size=N"
            )
        return np.stack(images), targets

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """See :class:`nasjax.data.readers.Reader`."""
        files = [self._files[index][1] for index in indices]
        targets = parallel(lambda file: target(file, self._form, self._size), files, self._threads)
        for file, array in zip(files, targets, strict=True):
            if array.shape != targets[0].shape or array.dtype.kind != targets[0].dtype.kind:
                raise InputError(
                    f"'{file}' holds {array.dtype}{list(array.shape)}, but '{files[0]}' {targets[0].dtype}"
                    f"{list(targets[0].shape)}; allowed: targets of one form; do: make them agree"
                )
        return np.stack(targets)


def get(task: str) -> Form:
    """The form of a task's targets.

    Raises:
      InputError: an unknown task.
    """
    if task not in FORMS:
        raise InputError(f"task={task!r}; allowed: {', '.join(FORMS)}; do: choose one of them")
    return FORMS[task]


def open_pairs(path: pathlib.Path, task: str, image_size: int | None, threads: int) -> Reader:
    """Opens the folders of a task; no file is read yet.

    Args:
      path: the directory that holds ``images`` and the folder of the task.
      task: one of ``FORMS`` whose targets are files.
      image_size: height and width to cut and resize images and maps to.
      threads: that decode.

    Returns:
      A reader in alphabetical order of the images.

    Raises:
      InputError: a directory or a target is missing.
    """
    images, targets = image_files(path), path / task
    if not targets.is_dir():
        raise InputError(f"'{targets}' does not exist; allowed: {_layout(task)}; do: put the targets there")
    pairs = []
    for file in images:
        stem = targets / file.relative_to(path / "images").with_suffix("")
        found = [name for name in _candidates(stem, task) if name.is_file()]
        if not found:
            names = " or ".join(f"'{name}'" for name in _candidates(stem, task))
            raise InputError(f"image '{file}' has no target {names}; allowed: {_layout(task)}; do: add it")
        pairs.append((file, found[0]))
    return Pairs(pairs, FORMS[task], image_size, threads)


def image_files(path: pathlib.Path) -> list[pathlib.Path]:
    """The files below ``path/images`` in alphabetical order.

    Raises:
      InputError: there is no such directory, or no image in it.
    """
    directory = path / "images"
    if not directory.is_dir():
        raise InputError(f"'{directory}' does not exist; allowed: DIR/images/NAME.png; do: put the images there")
    files = sorted(file for file in directory.rglob("*") if file.suffix.lower() in folders.SUFFIXES and file.is_file())
    if not files:
        raise InputError(f"'{directory}' has no images; allowed: endings {' '.join(folders.SUFFIXES)}; do: add images")
    return files


def target(file: pathlib.Path, form: Form, image_size: int | None) -> np.ndarray:
    """Reads a target.

    Args:
      file: .npy, or an image for maps.
      form: of the task.
      image_size: height and width to cut and resize maps to.

    Returns:
      int32 [] or float32 [outputs]; int32 [height, width]; float32 [height, width, outputs] in -1..1.

    Raises:
      InputError: the file cannot be read, or holds something else.
    """
    array = _numbers(file, form)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise InputError(f"'{file}' holds {array.dtype}, or NaN or infinity; allowed: finite numbers; do: repair it")
    allowed, fits = _fits(array, form)
    if not fits:
        raise InputError(
            f"'{file}' holds {array.dtype}{list(array.shape)}; allowed: {allowed}; do: write it again, or choose "
            "another task"
        )
    if array.dtype.kind in "iu" and form.kind in ("class", "pixel classes"):
        if array.size and not 0 <= array.min() <= array.max() < form.outputs:
            bad = array.max() if array.max() >= form.outputs else array.min()
            raise InputError(f"'{file}' holds class {bad}; allowed: 0..{form.outputs - 1}; do: repair it")
        return _nearest(array, image_size).astype(np.int32) if form.kind == "pixel classes" else array.astype(np.int32)
    if form.kind == "image":
        array = array if image_size is None else resize(array[None], image_size)[0]
        return (2 * to_unit(array) - 1).astype(np.float32)
    return array.astype(np.float32)


def made(reader: Reader, task: str, seed: int, number: int) -> Reader:
    """Targets that are made from the images: ``autoencoder`` or ``jigsaw``.

    Args:
      reader: of the images; its targets are not read.
      task: "autoencoder" or "jigsaw".
      seed: of the permutations.
      number: of the permutations.

    Returns:
      A reader of images and targets; puzzles are the same at every reading.
    """
    if task == "autoencoder":
        return Mapped(reader, lambda images, _, indices: (images, (2 * to_unit(images) - 1).astype(np.float32)))
    return Mapped(
        reader,
        lambda images, _, indices: jigsaw.puzzles(images, indices, seed=seed, number=number),
        lambda indices: jigsaw.labels(indices, seed=seed, number=number),
    )


def _numbers(file: pathlib.Path, form: Form) -> np.ndarray:
    """Content of a target file."""
    if file.suffix != ".npy":
        return folders.read_pixels(file, mode="RGB" if form.kind == "image" else None)
    try:
        array = np.load(file, allow_pickle=False)
    except UNREADABLE as error:
        raise InputError(
            f"'{file}' cannot be read ({error}); allowed: what numpy.save writes; do: repair it"
        ) from error
    return np.asarray(array)


def _fits(array: np.ndarray, form: Form) -> tuple[str, bool]:
    """What is allowed, and whether an array is that."""
    whole, floating = array.dtype.kind in "iu", array.dtype.kind == "f"
    if form.kind == "class":
        fits = whole and array.ndim == 0 or floating and array.shape == (form.outputs,)
        return f"a class number, or probabilities, floats [{form.outputs}]", fits
    if form.kind == "values":
        return f"floats [{form.outputs}]", floating and array.shape == (form.outputs,)
    if form.kind == "pixel classes":
        return "class numbers [height, width]", whole and array.ndim == 2
    fits = (array.dtype == np.uint8 or floating) and array.ndim == 3 and array.shape[-1] == form.outputs
    return f"uint8 or floats in 0..1 [height, width, {form.outputs}]", fits


def _nearest(array: np.ndarray, size: int | None) -> np.ndarray:
    """The centre square of a map [height, width], resized by the nearest pixel."""
    height, width = array.shape
    if size is None or height == width == size:
        return array
    side = min(height, width)
    places = ((np.arange(size) + 0.5) * side / size).astype(np.int64)
    return array[(height - side) // 2 + places][:, (width - side) // 2 + places]


def _candidates(stem: pathlib.Path, task: str) -> list[pathlib.Path]:
    """Where the target of an image may be."""
    endings = (".npy",) if FORMS[task].kind in ("class", "values") else (".png", ".npy")
    return [stem.parent / (stem.name + ending) for ending in endings]


def _layout(task: str) -> str:
    """The layout of a task in a line."""
    endings = " or .".join(path.suffix[1:] for path in _candidates(pathlib.Path("x"), task))
    return f"DIR/images/NAME.png with DIR/{task}/NAME.{endings}"
