"""From the name of an image source to batches."""

from __future__ import annotations

import contextlib
import difflib
import importlib.resources
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from nasjax.data import checks, folders, noise, npz, tfds
from nasjax.data.batches import Batches
from nasjax.types import InputError

KINDS = ("photos", "npz:FILE[#split]", "folder:DIR", "tfds:NAME[#split]", "noise[:alpha=2.0]")


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
    - ``tfds:NAME``, ``tfds:DIR``: a data set that tensorflow-datasets prepared as ArrayRecord, see
      `nasjax.data.tfds`; split ``train`` by default.
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
    kind, argument, split = parse(source, split)
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


def parse(source: str, split: str | None) -> tuple[str, str, str | None]:
    """Takes a source apart.

    Args:
      source: see :func:`load`.
      split: same as ``#SPLIT``.

    Returns:
      kind, argument, split.

    Raises:
      InputError: an unknown kind, two splits, or no path where one is needed.
    """
    if not isinstance(source, str):
        raise InputError(f"source {source!r} is no text; allowed: {', '.join(KINDS)}; do: use Batches.from_arrays")
    kind, _, argument = source.partition(":")
    head, mark, tail = source.rpartition("#")
    # A '#' may also belong to a file name; then it names no split.
    form = r"[\w\[\]:%+]+" if kind == "tfds" else r"\w+"  # tfds has splits such as train[:80%]
    if mark and re.fullmatch(form, tail) and not (kind in ("npz", "folder") and os.path.exists(argument)):
        if split is not None and split != tail:
            raise InputError(f"source '{source}' and split='{split}' disagree; do: give the split once")
        split = tail
        kind, _, argument = head.partition(":")
    if kind not in _LOADERS:
        near = difflib.get_close_matches(kind.lower(), _LOADERS, n=1)
        advice = f"did you mean '{near[0]}'?" if near else "choose one of them"
        path = pathlib.Path(source)
        folder = os.path.isdir(path)  # False for what no file can be named
        if folder or path.suffix == ".npz":
            advice = f"write '{'folder' if folder else 'npz'}:{source}'"
        raise InputError(f"unknown image source '{source}'; allowed: {', '.join(KINDS)}; do: {advice}")
    if kind in ("npz", "folder", "tfds") and not argument:
        what = "name" if kind == "tfds" else "path"
        raise InputError(f"'{source}' names no {what}; allowed: {kind}:{what.upper()}; do: add it after the colon")
    return kind, argument, split


def _photos(argument: str, split: str | None, options: dict[str, Any]) -> Batches:
    """The built-in photographs."""
    with photos(argument) as path:
        return _from_npz(path, split, options)


def _npz(argument: str, split: str | None, options: dict[str, Any]) -> Batches:
    """A user's .npz file."""
    return _from_npz(npz.find(argument), split, options)


def _from_npz(path: pathlib.Path, split: str | None, options: dict[str, Any]) -> Batches:
    """Batches of the arrays in an .npz file."""
    images, labels, names = npz.read(path, split)
    return Batches.from_arrays(images, labels, class_names=names, **options)


def _folder(argument: str, split: str | None, options: dict[str, Any]) -> Batches:
    """A directory with one sub-directory a class."""
    return folders.load(folder(argument, split), **options)


def _noise(argument: str, split: str | None, options: dict[str, Any]) -> Batches:
    """Random images."""
    no_split("noise", split)
    return noise.load(argument, **options)


def _tfds(argument: str, split: str | None, options: dict[str, Any]) -> Batches:
    """A data set of tensorflow-datasets."""
    return tfds.load(argument, split, **options)


def photos(argument: str) -> contextlib.AbstractContextManager[pathlib.Path]:
    """The .npz file of the built-in photographs, as long as the context lasts.

    Raises:
      InputError: there are options; photos has none.
    """
    if argument:
        raise InputError(f"'photos:{argument}': photos has no options; allowed: photos, photos#test; do: leave it out")
    return importlib.resources.as_file(importlib.resources.files("nasjax.data") / "assets" / "photos.npz")


def folder(argument: str, split: str | None) -> pathlib.Path:
    """The directory of a folder source.

    Raises:
      InputError: it does not exist.
    """
    path = checks.existing_path(argument)
    return path if split is None else checks.existing_path(path / split)


def check_split(source: str, split: str) -> None:
    """Refuses a split that there is not, by its name alone: no image is read.

    Args:
      source: see :func:`load`.
      split: its name.

    Raises:
      InputError: there is no such split.
    """
    kind, argument, name = parse(source, split)
    assert name is not None
    if kind == "tfds":
        tfds.open_records(argument, name)
    elif kind == "folder":
        folder(argument, name)
    elif kind == "noise":
        no_split(kind, name)
    elif kind == "npz":
        npz.check_split(npz.find(argument), name)
    else:
        with photos(argument) as path:
            npz.check_split(path, name)


def no_split(kind: str, split: str | None) -> None:
    """Refuses a split where there is none.

    Raises:
      InputError: a split is given.
    """
    if split is not None:
        raise InputError(f"{kind} has no split '{split}'; allowed: none; do: leave it out, or change the seed")


_LOADERS: dict[str, Callable[[str, str | None, dict[str, Any]], Batches]] = {
    "photos": _photos,
    "npz": _npz,
    "folder": _folder,
    "tfds": _tfds,
    "noise": _noise,
}
