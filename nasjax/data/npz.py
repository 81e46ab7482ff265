"""Images and labels from an .npz file."""

from __future__ import annotations

import pathlib
import struct
import zipfile
import zlib

import numpy as np

from nasjax.data import checks
from nasjax.types import InputError

# What numpy, zipfile and Pillow raise for a damaged file; one byte may ask for a password, a packer or all memory.
UNREADABLE = (ValueError, OSError, EOFError, LookupError, RuntimeError, MemoryError, OverflowError, TypeError,
              SyntaxError, struct.error, zipfile.BadZipFile, zlib.error)  # fmt: skip


def find(argument: str) -> pathlib.Path:
    """The file that a source names.

    Raises:
      InputError: there is none, or it is a directory.
    """
    path = checks.existing_path(argument)
    if path.is_dir():
        raise InputError(f"'{path}' is a directory; allowed: an .npz file; do: write 'folder:{argument}' for images")
    return path


def read(path: pathlib.Path, split: str | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Reads one split.

    Args:
      path: what ``numpy.savez`` wrote: arrays ``x``, ``y`` or ``x_SPLIT``, ``y_SPLIT``, optionally ``class_names``.
      split: which one; by default ``x``, else ``train``, else the only one there is.

    Returns:
      images and labels as they are in the file, and a name a class or nothing.

    Raises:
      InputError: the file cannot be read, or an array or the split is missing.
    """
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"'{path}' is no .npz file, or is damaged; allowed: what numpy.savez writes; "
            "do: numpy.savez(file, x=images, y=labels)"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"'{path}' holds one array and no names; do: numpy.savez(file, x=images, y=labels)")
            keys = set(file.files)
            ending = _choose_split(keys, split, path)
            images = file["x" + ending]
            labels = file["y" + ending] if "y" + ending in keys else None
            names = [str(name) for name in np.atleast_1d(file["class_names"])] if "class_names" in keys else []
    except UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"'{path}' cannot be read ({error}); allowed: numeric arrays without Python objects; do: write it again"
        ) from error
    if labels is None:
        raise InputError(
            f"'{path}' has no labels: array 'y{ending}' is missing (there are: {', '.join(sorted(keys))}); "
            f"do: add y{ending}, one integer an image"
        )
    if names and len(names) == len(labels) and labels.ndim == 1 and int(np.max(labels, initial=0)) >= len(names):
        names = []  # a name an image, not a name a class
    return images, labels, names


def check_split(path: pathlib.Path, split: str) -> None:
    """Refuses a split that a file does not have; reads only the names of its arrays.

    Args:
      path: the file.
      split: name of the split.

    Raises:
      InputError: there is no such split, or no such file.
    """
    if zipfile.is_zipfile(path):  # otherwise reading says what is wrong
        with zipfile.ZipFile(path) as file:
            _choose_split({name.removesuffix(".npy") for name in file.namelist()}, split, path)


def _choose_split(keys: set[str], split: str | None, path: pathlib.Path) -> str:
    """What follows x and y in the names of the arrays to take."""
    splits = sorted(key[2:] for key in keys if key.startswith("x_"))
    if split is None:
        if "x" in keys:
            return ""
        if "train" in splits or len(splits) == 1:
            return "_train" if "train" in splits else f"_{splits[0]}"
        if splits:
            raise InputError(f"'{path}' has several splits: {', '.join(splits)}; do: choose one as npz:FILE#SPLIT")
        raise InputError(
            f"'{path}' has no images: found {', '.join(sorted(keys)) or 'nothing'}; allowed: x and y, or x_train and "
            "y_train, x_test and y_test; do: rename the arrays"
        )
    if split not in splits:
        have = ", ".join(splits) or ("x and y, without a split" if "x" in keys else "none")
        raise InputError(f"'{path}' has no split '{split}'; allowed: {have}; do: choose another split")
    return f"_{split}"
