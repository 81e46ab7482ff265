"""Data sets of tensorflow-datasets, read at random from ArrayRecord files without TensorFlow.

A source is ``tfds:NAME``, ``tfds:NAME/CONFIG``, ``tfds:NAME:VERSION`` or ``tfds:DIR``, the directory of a prepared
version. Names are looked for in ``$NASJAX_DATA`` and in tensorflow-datasets' own directory (``$TFDS_DATA_DIR``, or
``~/tensorflow_datasets``). Nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nasjax.data import checks
from nasjax.data.batches import Batches, order
from nasjax.data.images import evenly_spaced, resize, statistics
from nasjax.types import InputError

FORMAT = "array_record"


@dataclasses.dataclass(frozen=True, eq=False)
class Records:
    """An open split.

    Attributes:
      examples: random access to decoded examples.
      undecoded: likewise, images left as they are in the file, for reading labels alone.
      image: name of the feature that is the image.
      label: name of the feature that is the class.
      num_classes: as the data set says, or None.
      class_names: a name a class, or empty.
      name: data set, configuration, version and split, for messages and fingerprints.
    """

    examples: Sequence[Any]
    undecoded: Sequence[Any]
    image: str
    label: str
    num_classes: int | None
    class_names: tuple[str, ...]
    name: str

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.examples)


def open_records(argument: str, split: str | None) -> Records:
    """Opens a split.

    Args:
      argument: what follows ``tfds:``.
      split: "train" by default; slices such as "train[:80%]" are allowed.

    Returns:
      the open split; nothing is read yet.

    Raises:
      InputError: there is no such data set or split, it is not prepared, or not as ArrayRecord, or it holds no images
        with classes.
    """
    import tensorflow_datasets as tfds

    split = split or "train"
    builder = _builder(tfds, argument)
    image, label = _features(tfds, builder, argument)
    skip = {image: tfds.decode.SkipDecoding()}
    known = sorted(builder.info.splits)
    base = split.partition("[")[0]
    if known and any(part.partition("[")[0] not in known for part in split.split("+")):
        raise InputError(
            f"tfds data set '{argument}' has no split '{base}'; allowed: {', '.join(known)}, and parts such as "
            f"{known[0]}[:80%]; do: choose another split"
        )
    try:
        examples = builder.as_data_source(split=split)
        undecoded = builder.as_data_source(split=split, decoders=skip)
        number = len(examples)
    except Exception as error:  # tfds has a dozen of kinds for what is not prepared
        raise InputError(_unprepared(builder, argument, error)) from error
    if number == 0:
        raise InputError(f"split '{split}' of tfds data set '{argument}' is empty; allowed: one example or more")
    classes = builder.info.features[label]
    count = getattr(classes, "num_classes", None)
    names = tuple(str(name) for name in getattr(classes, "names", None) or ())
    return Records(examples, undecoded, image, label, count, names, f"{builder.info.full_name}#{split}")


def read(records: Records, index: int, image_size: int | None) -> tuple[np.ndarray, int]:
    """Decodes an example.

    Args:
      records: open split.
      index: which example.
      image_size: height and width to cut and resize to, or ``None`` for the image as it is.

    Returns:
      image [height, width, channels], uint8 unless the data set has others; class number.

    Raises:
      InputError: it cannot be decoded.
    """
    try:
        example = records.examples[int(index)]
        image, label = np.asarray(example[records.image]), int(example[records.label])
    except Exception as error:  # a damaged file raises what the decoder likes
        raise InputError(
            f"example {int(index)} of '{records.name}' cannot be read ({error}); do: prepare the data set again"
        ) from error
    if image.ndim == 2:
        image = image[..., None]
    return image if image_size is None else resize(image[None], image_size)[0], label


def labels(records: Records, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Class numbers, int64 [n], without decoding images."""
    return np.asarray([int(records.undecoded[int(index)][records.label]) for index in indices], np.int64)


def stack(images: Sequence[np.ndarray], indices: Sequence[int] | np.ndarray, name: str) -> np.ndarray:
    """Images of one shape as one array [n, height, width, channels].

    Raises:
      InputError: shapes differ.
    """
    for index, image in zip(indices, images, strict=True):
        if image.shape != images[0].shape:
            raise InputError(
                f"example {int(index)} of '{name}' is {_size(image)}, example {int(indices[0])} is {_size(images[0])}; "
                "allowed: one size; do: give image_size=N to cut and resize them"
            )
    return np.stack(images)


def load(
    argument: str,
    split: str | None,
    *,
    batch_size: int,
    num_batches: int,
    image_size: int | None,
    seed: int | None,
    num_classes: int | None,
    source: str,
    normalize: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    **options: Any,
) -> Batches:
    """Reads only the images that the batches need, and at most 1,024 more for mean and deviation.

    Args:
      argument: what follows ``tfds:``.
      split: see :func:`open_records`.
      batch_size: images a batch.
      num_batches: number of batches.
      image_size: height and width in pixels; by default all images must agree and be square.
      seed: of the shuffle; ``None`` keeps the order of the files.
      num_classes: by default as the data set says.
      source: what to call the images.
      normalize: see :meth:`nasjax.data.Batches.from_arrays`.
      mean: see there.
      std: see there.
      **options: passed on to it.

    Returns:
      The batches.

    Raises:
      InputError: see :func:`open_records`; too few images, or not of one size.
    """
    records = open_records(argument, split)
    checks.enough(len(records), batch_size, num_batches, f"'{records.name}'")
    chosen = order(len(records), seed)[: batch_size * num_batches]
    if normalize and (mean is None or std is None):
        sample = evenly_spaced(len(records))
        own_mean, own_std = statistics(_images(records, sample, image_size)[0])
        mean, std = own_mean if mean is None else mean, own_std if std is None else std
    images, classes = _images(records, chosen, image_size)
    return Batches.from_arrays(
        images,
        classes,
        batch_size=batch_size,
        num_batches=num_batches,
        image_size=image_size,
        seed=None,
        num_classes=records.num_classes if num_classes is None else num_classes,
        class_names=records.class_names,
        source=source,
        normalize=normalize,
        mean=mean,
        std=std,
        **options,
    )


def _images(records: Records, indices: np.ndarray, image_size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, height, width, channels] and class numbers [n]."""
    images, classes = zip(*(read(records, index, image_size) for index in indices), strict=True)
    return stack(images, indices, records.name), np.asarray(classes, np.int64)


def _builder(tfds: Any, argument: str) -> Any:
    """The builder of a name or of a directory."""
    root = os.environ.get("NASJAX_DATA")
    if pathlib.Path(argument).expanduser().is_dir() or argument.startswith((".", "/", "~")):
        path = checks.existing_path(argument)
        try:
            return tfds.builder_from_directory(os.fspath(path))
        except Exception as error:
            raise InputError(
                f"'{path}' holds no data set of tensorflow-datasets ({error}); allowed: a directory with "
                "dataset_info.json, such as DATA/cifar10/3.0.2; do: give that directory, or the name of a data set"
            ) from error
    name = argument.partition("/")[0].partition(":")[0]
    own = {}
    if root and (pathlib.Path(root).expanduser() / name).is_dir():
        own = {"data_dir": os.fspath(pathlib.Path(root).expanduser())}
    try:
        return tfds.builder(argument, **own)
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise InputError(
            f"tensorflow-datasets has no data set '{argument}' ({reason[0] if reason else type(error).__name__}); "
            "allowed: its names, such as cifar10, cifar100, svhn_cropped, imagenet2012, or the directory of a prepared "
            "one; do: check the spelling"
        ) from error


def _features(tfds: Any, builder: Any, argument: str) -> tuple[str, str]:
    """Names of the features that are the image and the class."""
    features = dict(builder.info.features or {})
    images = [name for name, feature in features.items() if isinstance(feature, tfds.features.Image)]
    classes = [name for name, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    found = []
    for usual, names, what in (("image", images, "image"), ("label", classes, "class label")):
        if usual in names or len(names) == 1:
            found.append(usual if usual in names else names[0])
            continue
        raise InputError(
            f"tfds data set '{argument}' has {len(names)} features of the kind {what} (features: "
            f"{', '.join(sorted(features)) or 'none'}); allowed: data sets with features image and label; do: choose "
            "another, or write the arrays to an .npz file"
        )
    return found[0], found[1]


def _unprepared(builder: Any, argument: str, error: Exception) -> str:
    """What is wrong with a data set that cannot be opened, and the command that prepares it."""
    how = f"tfds.builder('{argument}', file_format='{FORMAT}').download_and_prepare()"
    command = f'python -c "import tensorflow_datasets as tfds; {how}"'
    if not builder.is_prepared():
        return (
            f"tfds data set '{argument}' is not prepared in {builder.data_dir}; allowed: prepared data sets, as "
            f"nothing is downloaded here; do: {command}, or set TFDS_DATA_DIR or NASJAX_DATA to where it is"
        )
    form = getattr(builder.info.file_format, "value", builder.info.file_format)
    if form != FORMAT:
        return (
            f"tfds data set '{argument}' is prepared as {form} in {builder.data_dir}; allowed: {FORMAT}, which is read "
            f"without TensorFlow; do: prepare it again in another directory: {command}, with data_dir=DIR behind the "
            "name, then set TFDS_DATA_DIR=DIR"
        )
    reason = str(error).strip().splitlines()
    return (
        f"tfds data set '{argument}' in {builder.data_dir} cannot be opened "
        f"({reason[0] if reason else type(error).__name__}); do: delete it and prepare it again: {command}"
    )


def _size(image: np.ndarray) -> str:
    """Such as 32 x 32 x 3."""
    return " x ".join(str(side) for side in image.shape)
