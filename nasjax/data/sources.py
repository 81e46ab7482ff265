"""From the name of an image source to batches."""

from __future__ import annotations

import difflib
import importlib.resources
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nasjax.data import checks, folders, noise
from nasjax.data.batches import Batches
from nasjax.types import InputError

KINDS = ("photos", "npz:FILE[#split]", "folder:DIR", "noise[:alpha=2.0]")


def load(
    source: str,
    *,
    batch_size: int = 64,
    num_batches: int = 2,
    image_size: int | None = None,
    split: str | None = None,
    seed: int | None = 0,
    normalize: bool = True,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    dtype: Any = "float32",
    num_classes: int | None = None,
) -> Batches:
    """Loads labelled batches of images; the same arguments give the same arrays.

    Sources:

    - ``photos``: built in; 32x32 crops of ten photographs, class = photograph, splits train (default) and test.
    - ``npz:FILE``, ``npz:FILE#SPLIT``: arrays ``x``, ``y`` or ``x_SPLIT``, ``y_SPLIT`` (uint8 or float images
      [n, height, width, channels], integer labels [n]), optionally ``class_names``. Without a split: ``x``,
      else ``train``, else the only one there is.
    - ``folder:DIR``: one sub-directory a class, image files within, read as RGB.
    - ``noise``, ``noise:alpha=2.5:classes=10``: random images of power spectrum 1/f^alpha with random labels.

    A relative path that does not exist is looked for below ``$NASJAX_DATA``.

    Args:
      source: one of the above.
      batch_size: images a batch.
      num_batches: number of batches; no image is used twice.
      image_size: height and width in pixels; by default as stored (noise: 32).
      split: same as ``#SPLIT``.
      seed: of the shuffle that chooses the images (and of noise); ``None`` keeps file order.
      normalize: whether to subtract ``mean`` and divide by ``std``.
      mean: a number a channel for images in 0..1, by default the mean of the source.
      std: likewise the standard deviation.
      dtype: of the images, "float32" or "float64".
      num_classes: number of classes; by default what the source says.

    Returns:
      The batches.

    Raises:
      InputError: if the source is unknown or anything about its content or the options is wrong.
    """
    kind, argument, split = _parse(source, split)
    options = {
        "batch_size": checks.count(batch_size, "batch_size"),
        "num_batches": checks.count(num_batches, "num_batches"),
        "image_size": None if image_size is None else checks.count(image_size, "image_size"),
        "seed": None if seed is None else checks.count(seed, "seed", minimum=0),
        "normalize": normalize,
        "mean": mean,
        "std": std,
        "dtype": dtype,
        "num_classes": num_classes,
        "source": source,
    }
    return _LOADERS[kind](argument, split, options)


def _parse(source: str, split: str | None) -> tuple[str, str, str | None]:
    """Takes a source apart: kind, argument, split."""
    if not isinstance(source, str):
        raise InputError(f"source {source!r} is no text; allowed: {', '.join(KINDS)}; do: use Batches.from_arrays")
    kind, _, argument = source.partition(":")
    head, mark, tail = source.rpartition("#")
    # A '#' may also belong to a file name; then it names no split.
    if mark and re.fullmatch(r"\w+", tail) and not (kind in ("npz", "folder") and pathlib.Path(argument).exists()):
        if split is not None and split != tail:
            raise InputError(f"source '{source}' and split='{split}' disagree; do: give the split once")
        split = tail
        kind, _, argument = head.partition(":")
    if kind == "tfds":
        raise InputError(
            f"'{source}': tfds sources are not part of this version; allowed: {', '.join(KINDS)}; "
            "do: save the images as .npz (arrays x, y) and use npz:FILE"
        )
    if kind not in _LOADERS:
        near = difflib.get_close_matches(kind.lower(), _LOADERS, n=1)
        advice = f"did you mean '{near[0]}'?" if near else "choose one of them"
        path = pathlib.Path(source)
        if path.is_dir() or path.suffix == ".npz":
            advice = f"write '{'folder' if path.is_dir() else 'npz'}:{source}'"
        raise InputError(f"unknown image source '{source}'; allowed: {', '.join(KINDS)}; do: {advice}")
    if kind in ("npz", "folder") and not argument:
        raise InputError(f"'{source}' names no path; allowed: {kind}:PATH; do: add the path after the colon")
    return kind, argument, split


def _photos(argument: str, split: str | None, options: dict[str, Any]) -> Batches:
    """The built-in photographs."""
    if argument:
        raise InputError(f"'photos:{argument}': photos has no options; allowed: photos, photos#test; do: leave it out")
    asset = importlib.resources.files("nasjax.data") / "assets" / "photos.npz"
    with importlib.resources.as_file(asset) as path:
        return _from_npz(path, split, options)


def _npz(argument: str, split: str | None, options: dict[str, Any]) -> Batches:
    """A user's .npz file."""
    path = checks.existing_path(argument)
    if path.is_dir():
        raise InputError(f"'{path}' is a directory; allowed: an .npz file; do: write 'folder:{argument}' for images")
    return _from_npz(path, split, options)


def _from_npz(path: pathlib.Path, split: str | None, options: dict[str, Any]) -> Batches:
    """Batches of the arrays in an .npz file."""
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
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
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
    return Batches.from_arrays(images, labels, class_names=names, **options)


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


def _folder(argument: str, split: str | None, options: dict[str, Any]) -> Batches:
    """A directory with one sub-directory a class."""
    path = checks.existing_path(argument)
    if split is not None:
        path = checks.existing_path(path / split)
    return folders.load(path, **options)


def _noise(argument: str, split: str | None, options: dict[str, Any]) -> Batches:
    """Random images."""
    if split is not None:
        raise InputError(f"noise has no split '{split}'; allowed: none; do: leave it out, or change the seed")
    return noise.load(argument, **options)


_LOADERS: dict[str, Callable[[str, str | None, dict[str, Any]], Batches]] = {
    "photos": _photos,
    "npz": _npz,
    "folder": _folder,
    "noise": _noise,
}
