"""Arrays as a data set of tensorflow-datasets."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from nasjax.data import checks
from nasjax.data import tfds as tfds_source
from nasjax.types import InputError


def write(
    directory: str | os.PathLike,
    splits: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    name: str = "images",
    num_classes: int | None = None,
    class_names: Sequence[str] = (),
) -> pathlib.Path:
    """Writes arrays as a data set that ``tfds:DIR`` reads: PNG images in ArrayRecord files.

    Args:
      directory: data directory; the data set goes to ``directory/name/1.0.0``.
      splits: name of a split -> images uint8 [n, height, width, 1 or 3], labels int [n].
      name: of the data set, letters, digits and underscores.
      num_classes: by default the number of names, else the largest label plus one.
      class_names: a name a class.

    Returns:
      The directory to give as ``tfds:DIR``.

    Raises:
      InputError: images or labels are of another form.
    """
    import tensorflow_datasets as tfds

    parts = {}
    for split, (images, classes) in splits.items():
        images = checks.images(images, f"split '{split}'", square=False)
        if images.dtype != np.uint8 or images.shape[-1] not in (1, 3):
            raise InputError(
                f"images of split '{split}' are {images.dtype} with {images.shape[-1]} channels; allowed: uint8 with 1 "
                "or 3; do: convert them"
            )
        parts[split] = (images, checks.labels(classes, len(images), f"split '{split}'"))
    together = np.concatenate([classes for _, classes in parts.values()])
    count = checks.classes(together, num_classes, class_names, "the splits")
    shapes = {images.shape[1:] for images, _ in parts.values()}
    shape = shapes.pop() if len(shapes) == 1 else (None, None, 3)

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Data set of arrays."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            which = {"names": list(class_names)} if class_names else {"num_classes": count}
            features = {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(**which)}
            return tfds.core.DatasetInfo(
                builder=self,
                description="Images written by nasjax.",
                features=tfds.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, dl_manager: Any) -> Any:
            return {split: self._generate_examples(*part) for split, part in parts.items()}

        def _generate_examples(self, images: np.ndarray, classes: np.ndarray) -> Any:
            for index, (image, label) in enumerate(zip(images, classes, strict=True)):
                file = io.BytesIO()
                Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
                yield index, {"image": io.BytesIO(file.getvalue()), "label": int(label)}

    Builder.name = name
    builder = Builder(data_dir=os.fspath(directory), file_format=tfds_source.FORMAT)
    builder.download_and_prepare()
    return pathlib.Path(builder.data_dir)
