"""From the name of a source to a whole data set."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from nasjax.data import checks, folders, noise, npz, sources, task_folders, tfds
from nasjax.data.dataset import Dataset
from nasjax.data.images import resize
from nasjax.data.readers import THREADS, Arrays, Examples, Files, Reader, keep, on_sphere
from nasjax.data.spherical import SphericalConfig
from nasjax.hashing import array_fingerprint
from nasjax.types import InputError

NOISE_IMAGES = 1024


def load_dataset(
    source: str,
    *,
    split: str | None = None,
    image_size: int | None = None,
    num_classes: int | None = None,
    num_images: int | None = None,
    task: str | None = None,
    spherical: SphericalConfig | bool = False,
    seed: int = 0,
    cache: bool | None = None,
    threads: int = THREADS,
) -> Dataset:
    """Opens a whole data set for training.

    Args:
      source: as of :func:`nasjax.data.load`.
      split: same as ``#SPLIT``.
      image_size: height and width to cut the centre square to, in pixels; by default as stored.
      num_classes: by default what the source says.
      num_images: so many images drawn by the seed, in the order of the data set; all by default (noise: 1,024).
      task: a task of TransNAS-Bench-101; a ``folder:`` is then laid out as `nasjax.data.task_folders` says, and
        ``autoencoder`` and ``jigsaw`` go with any source.
      spherical: options of the projection to a sphere, or whether to project at all, with those of Spherical-CIFAR-100.
      seed: of noise, of ``num_images`` and of jigsaw permutations.
      cache: whether to keep decoded images in memory; by default if all of them take at most 1 GiB.
      threads: that decode files.

    Returns:
      The data set. Images are uint8, or floats in 0..1, and not normalised.

    Raises:
      InputError: anything about the source or the options is wrong. What is only seen when an image is read is raised
        then.
    """
    seed = checks.count(seed, "seed", minimum=0)
    threads = checks.count(threads, "threads")
    size = None if image_size is None else checks.count(image_size, "image_size")
    limit = None if num_images is None else checks.count(num_images, "num_images")
    form = None if task is None else task_folders.get(task)
    kind, argument, split = sources.parse(source, split)
    if form is not None and form.own and kind != "folder":
        raise InputError(
            f"task={task!r} with '{source}'; allowed: folder:DIR laid out for the task, as its targets are files; do: "
            "see the documentation of data, or leave task out to read classes"
        )
    names: tuple[str, ...] = ()
    own_classes: int | None = None
    identity: dict[str, Any] = {"kind": kind, "image_size": size}
    reader: Reader

    if kind in ("photos", "npz"):
        images, labels, names = _read_npz(kind, argument, split)
        reader = _arrays(images, labels, size, source, own=form is None or form.own)
        identity["content"] = array_fingerprint(*reader.read(np.arange(len(reader))))
    elif kind == "noise":
        sources.no_split("noise", split)
        alpha, own_classes = noise.parse(argument)
        options: dict[str, Any] = {
            "size": size or noise.DEFAULT_SIZE,
            "alpha": alpha,
            "classes": num_classes or own_classes,
        }
        limit = limit or NOISE_IMAGES
        reader = Arrays(*_int32(noise.make(limit, seed=seed, **options)))
        identity |= options | {"number": limit, "seed": seed}
    elif kind == "folder":
        path = sources.folder(argument, split)
        if form is None:
            files, labels, names = folders.scan(path)
            reader = Files(files, labels.astype(np.int32), size, threads)
        elif form.own:
            reader, files = task_folders.open_pairs(path, str(task), size, threads), task_folders.image_files(path)
        else:
            files = task_folders.image_files(path)
            reader = Files(files, np.zeros(len(files), np.int32), size, threads)
        identity["files"] = [[str(file.relative_to(path)), file.stat().st_size] for file in files]
    else:
        records = tfds.open_records(argument, split)
        reader, names, own_classes = Examples(records, size, threads), records.class_names, records.num_classes
        identity |= {"name": records.name, "number": len(records)}

    if spherical:
        config = spherical if isinstance(spherical, SphericalConfig) else SphericalConfig()
        reader, identity["spherical"] = on_sphere(reader, config), config
    reader = keep(reader, cache)
    if task is not None and form is not None:
        identity["task"] = task
        if not form.own:
            number = form.outputs if num_classes is None else checks.count(num_classes, "num_classes")
            reader, names = task_folders.made(reader, task, seed, number), ()
            identity |= {"seed": seed, "number": number}
    first, _ = reader.read(np.zeros(1, np.int64))
    checks.images(first, f"'{source}'")
    classes = _classes(reader, form, num_classes, own_classes, names, source)
    dataset = Dataset(
        reader=reader,
        num_classes=classes,
        image_size=first.shape[1],
        channels=first.shape[-1],
        kind="class" if form is None else form.kind,
        class_names=names,
        source=source,
        identity=identity,
    )
    return _limited(dataset, limit, seed)


def _read_npz(kind: str, argument: str, split: str | None) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Arrays of an .npz file or of the built-in photographs."""
    if kind == "photos":
        with sources.photos(argument) as path:
            images, labels, names = npz.read(path, split)
    else:
        images, labels, names = npz.read(pathlib.Path(npz.find(argument)), split)
    return images, labels, tuple(names)


def _arrays(images: np.ndarray, labels: np.ndarray, size: int | None, source: str, *, own: bool) -> Arrays:
    """A reader of arrays, checked; labels are not read where the targets are made."""
    images = checks.images(images, source, square=size is None)
    checks.not_constant(images, source)
    targets = checks.labels(labels, len(images), source) if own else np.zeros(len(images), np.int64)
    return Arrays(*_int32((images if size is None else resize(images, size), targets)))


def _int32(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Images and class numbers as int32."""
    return pair[0], pair[1].astype(np.int32)


def _classes(
    reader: Reader,
    form: task_folders.Form | None,
    given: int | None,
    own: int | None,
    names: tuple[str, ...],
    source: str,
) -> int:
    """The number of classes, or of outputs; labels at hand are compared with it at once."""
    if form is not None:
        return form.outputs if given is None or form.kind in ("values", "image") else checks.count(given, "num_classes")
    if isinstance(reader, Arrays) or own is None:
        labels = reader.targets(np.arange(len(reader)))
        return checks.classes(labels, own if given is None else given, names, f"'{source}'")
    return own if given is None else checks.count(given, "num_classes")


def _limited(dataset: Dataset, limit: int | None, seed: int) -> Dataset:
    """At most so many images, drawn by the seed."""
    if limit is None or limit == len(dataset):
        return dataset
    if limit > len(dataset):
        raise InputError(
            f"num_images={limit} needs {limit} images, but '{dataset.source}' has {len(dataset)}; allowed: "
            f"{len(dataset)} at most; do: ask for fewer, or leave it out for all"
        )
    return dataset.subset(np.sort(np.random.default_rng(seed).permutation(len(dataset))[:limit]))
