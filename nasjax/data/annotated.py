"""The layout of Tiny-ImageNet's validation images: one directory, and a text file that names the class of each."""

from __future__ import annotations

import pathlib

import numpy as np

from nasjax.types import InputError

ANNOTATIONS = "val_annotations.txt"


def scan(path: pathlib.Path) -> tuple[list[pathlib.Path], np.ndarray, tuple[str, ...]]:
    """Lists ``images/NAME`` by the lines ``NAME<tab>CLASS<tab>...`` of ``val_annotations.txt``.

    Classes are the directories of ``train`` beside ``path``, in alphabetical order, so that numbers agree; without
    them, the classes that occur.

    Args:
      path: directory with the text file.

    Returns:
      Files, labels int64 [n], names of the classes.

    Raises:
      InputError: a line that is none, an image that is missing, or a class that ``train`` does not have.
    """
    rows = [line.split("\t") for line in (path / ANNOTATIONS).read_text().splitlines() if line.strip()]
    if not rows or min(len(row) for row in rows) < 2:
        raise InputError(f"'{path / ANNOTATIONS}' is damaged; allowed: lines NAME<tab>CLASS; do: write it again")
    train = path.parent / "train"
    found = (entry.name for entry in train.iterdir() if entry.is_dir()) if train.is_dir() else (row[1] for row in rows)
    names = tuple(sorted(set(found)))
    numbers = {name: i for i, name in enumerate(names)}
    for name, label, *_ in rows:
        if label not in numbers:
            raise InputError(f"'{path / ANNOTATIONS}': class '{label}' is no directory of '{train}'; do: correct it")
        if not (path / "images" / name).is_file():
            raise InputError(f"'{path}/images/{name}' is missing; do: restore it, or remove its line in {ANNOTATIONS}")
    files = [path / "images" / row[0] for row in rows]
    return files, np.asarray([numbers[row[1]] for row in rows], np.int64), names
