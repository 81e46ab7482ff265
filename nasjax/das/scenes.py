"""Images with a class a pixel: CamVid and other npz files, Pascal VOC 2012 and Cityscapes as folders or from tfds.

A ``Scenes`` reads an image and its mask by number; sizes may differ from image to image. Masks are int32, classes 0 to
``num_classes - 1`` and ``IGNORE`` for pixels that count nowhere, whatever the source has for them.
"""

from __future__ import annotations

import dataclasses
import difflib
import pathlib
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nasjax.data.npz import UNREADABLE
from nasjax.types import InputError

IGNORE = 255
KINDS = ("camvid:FILE", "npz:FILE", "voc:DIR", "cityscapes:DIR", "tfds:NAME")

VOC_CLASSES = ("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
               "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train",
               "tv monitor")  # fmt: skip
CITYSCAPES_CLASSES = ("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
                      "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle",
                      "bicycle")  # fmt: skip
# Label numbers of Cityscapes that are trained on, in the order of the classes; the others are ignored.
CITYSCAPES_LABELS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_CAMVID_VOID = 11


@dataclasses.dataclass(frozen=True, eq=False)
class Scenes:
    """Images and masks that are read when they are needed.

    Attributes:
      size: number of images.
      read: number -> (image uint8 [height, width, 3], mask int32 [height, width]).
      num_classes: classes.
      class_names: a name a class, or empty.
      source: where they come from.
      names: what to call every image in messages, or empty.
    """

    size: int
    read: Callable[[int], tuple[np.ndarray, np.ndarray]]
    num_classes: int
    class_names: tuple[str, ...] = ()
    source: str = "arrays"
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of images."""
        return self.size

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """An image and its mask, checked.

        Args:
          number: 0 to ``size - 1``.

        Returns:
          (image uint8 [height, width, 3], mask int32 [height, width]).

        Raises:
          InputError: they do not fit each other, a label is outside the classes, or every pixel is ignored.
        """
        image, mask = self.read(number)
        name = self.names[number] if self.names else f"image {number}"
        if image.ndim != 3 or image.shape[2] != 3 or mask.shape != image.shape[:2]:
            raise InputError(f"{name} of {self.source}: image {image.shape}, mask {mask.shape}; need [height, width, 3]"
                             " and [height, width]; do: correct the file or leave it out")  # fmt: skip
        counted = mask[mask != IGNORE]
        if not counted.size:
            raise InputError(f"{name} of {self.source}: every pixel of the mask is ignored; do: leave the image out")
        if counted.min() < 0 or counted.max() >= self.num_classes:
            wrong = counted.min() if counted.min() < 0 else counted.max()
            raise InputError(f"{name} of {self.source}: label {wrong}; allowed: 0 to {self.num_classes - 1}, {IGNORE}"
                             " to ignore a pixel; do: correct the mask, num_classes or the ignored label")  # fmt: skip
        return image, mask


def load_scenes(
    source: str, *, split: str = "train", num_classes: int | None = None, ignore: int | None = None
) -> Scenes:
    """Finds images with masks.

    Sources:

    - ``camvid:FILE``: an npz file as below, with label 11 ignored and 11 classes.
    - ``npz:FILE``: arrays ``x_SPLIT`` uint8 [n, height, width, 3] and ``y_SPLIT`` integers [n, height, width],
      optionally ``class_names``.
    - ``voc:DIR``: ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation/SPLIT.txt`` of VOC2012.
    - ``cityscapes:DIR``: ``leftImg8bit/SPLIT/CITY`` and ``gtFine/SPLIT/CITY`` with ``_labelIds`` or ``_labelTrainIds``.
    - ``tfds:NAME``: prepared as array_record, which needs no TensorFlow; an image (``image`` or ``image_left``) and a
      mask (``segmentation_label``, ``segmentation_mask`` or ``label``). "cityscapes" labels are translated.

    Args:
      source: one of these.
      split: "train", or that of evaluation: "test" of npz, "val" of VOC and Cityscapes; "test" also means "val" there.
      num_classes: classes; by default those of the data set, or of the names, or the largest label plus one.
      ignore: label that is ignored beside 255.

    Returns:
      The images.

    Raises:
      InputError: an unknown source, or files that are missing or wrong.
    """
    kind, _, argument = source.partition(":")
    if kind not in _LOADERS or not argument:
        near = difflib.get_close_matches(kind.lower(), _LOADERS, n=1)
        advice = f"did you mean '{near[0]}:...'?" if near else "choose one of them"
        raise InputError(f"unknown images with masks '{source}'; allowed: {', '.join(KINDS)}; do: {advice}")
    return _LOADERS[kind](argument, source, split, num_classes, ignore)


def scenes_of_arrays(
    images: Any,
    masks: Any,
    *,
    num_classes: int | None = None,
    ignore: int | None = None,
    class_names: Sequence[str] = (),
    source: str = "arrays",
) -> Scenes:
    """Images and masks in memory.

    Args:
      images: uint8 [n, height, width, 3].
      masks: integers [n, height, width].
      num_classes: classes; by default the number of names, or the largest label that counts plus one.
      ignore: label that is ignored beside 255.
      class_names: a name a class.
      source: what to call them in messages.

    Returns:
      The images.

    Raises:
      InputError: arrays of wrong shape or type.
    """
    images, masks = np.asarray(images), np.asarray(masks)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise InputError(f"images of {source}: {images.dtype} {images.shape}; need uint8 [n, height, width, 3]")
    if masks.shape != images.shape[:3] or masks.dtype.kind not in "iu":
        raise InputError(f"masks of {source}: {masks.dtype} {masks.shape}; need integers {images.shape[:3]}")
    masks = _ignored(masks, ignore)
    found = int(masks[masks != IGNORE].max(initial=0)) + 1
    classes = num_classes or len(class_names) or found
    return Scenes(len(images), lambda i: (images[i], masks[i]), classes, tuple(class_names), source)


def _ignored(mask: np.ndarray, ignore: int | None) -> np.ndarray:
    mask = mask.astype(np.int32)
    return mask if ignore is None else np.where(mask == ignore, IGNORE, mask)


def _npz(argument: str, source: str, split: str, num_classes: int | None, ignore: int | None) -> Scenes:
    path = _existing(argument)
    if not zipfile.is_zipfile(path):
        raise InputError(f"'{path}' is no npz file, or damaged; do: write it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in (f"x_{split}", f"y_{split}") if name not in file.files]
            if missing:
                raise InputError(f"'{path}' lacks {', '.join(missing)}; it has {', '.join(sorted(file.files))}; do:"
                                 " choose another split, or add the arrays")  # fmt: skip
            images, masks = file[f"x_{split}"], file[f"y_{split}"]
            names = [str(name) for name in file["class_names"]] if "class_names" in file.files else []
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"'{path}' cannot be read ({error}); do: write it again with numpy.savez") from error
    if ignore is not None and ignore < len(names):
        names = names[:ignore]  # what is ignored is the last of the names
    return scenes_of_arrays(images, masks, num_classes=num_classes, ignore=ignore, class_names=names, source=source)


def _camvid(argument: str, source: str, split: str, num_classes: int | None, ignore: int | None) -> Scenes:
    return _npz(argument, source, split, num_classes, _CAMVID_VOID if ignore is None else ignore)


def _voc(argument: str, source: str, split: str, num_classes: int | None, ignore: int | None) -> Scenes:
    root, split = _existing(argument), "val" if split == "test" else split
    for inner in ("VOCdevkit/VOC2012", "VOC2012"):
        root = root / inner if (root / inner).is_dir() else root
    names = _existing(root / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split()
    if not names:
        raise InputError(f"{root}: no image in {split}.txt; do: name another split")

    def read(number: int) -> tuple[np.ndarray, np.ndarray]:
        image = _picture(root / "JPEGImages" / f"{names[number]}.jpg", "RGB")
        return image, _ignored(_picture(root / "SegmentationClass" / f"{names[number]}.png", None), ignore)

    return Scenes(len(names), read, num_classes or len(VOC_CLASSES), VOC_CLASSES, source, tuple(names))


def _cityscapes(argument: str, source: str, split: str, num_classes: int | None, ignore: int | None) -> Scenes:
    root, split = _existing(argument), "val" if split == "test" else split
    images = sorted(_existing(root / "leftImg8bit" / split).glob("*/*_leftImg8bit.png"))
    if not images:
        raise InputError(f"{root}/leftImg8bit/{split} has no CITY/*_leftImg8bit.png; do: name the folder above that")

    def read(number: int) -> tuple[np.ndarray, np.ndarray]:
        stem = images[number].name.removesuffix("_leftImg8bit.png")
        folder = root / "gtFine" / split / images[number].parent.name
        trained = folder / f"{stem}_gtFine_labelTrainIds.png"
        if trained.exists():
            return _picture(images[number], "RGB"), _ignored(_picture(trained, None), ignore)
        return _picture(images[number], "RGB"), train_ids(_picture(folder / f"{stem}_gtFine_labelIds.png", None))

    names = tuple(path.name for path in images)
    return Scenes(len(images), read, num_classes or len(CITYSCAPES_CLASSES), CITYSCAPES_CLASSES, source, names)


def _tfds(argument: str, source: str, split: str, num_classes: int | None, ignore: int | None) -> Scenes:
    import tensorflow_datasets as tfds

    city = argument.startswith("cityscapes")
    split = "validation" if city and split in ("test", "val") else split
    try:
        builder = tfds.builder(argument)
        data = builder.as_data_source(split)
    except Exception as error:  # tfds raises many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"'{source}', split {split}, cannot be read ({reason}); do: prepare it with"
                         ' tfds.builder(name, file_format="array_record").download_and_prepare(), or use'
                         f" another of {', '.join(KINDS)}") from error  # fmt: skip
    return scenes_of_records(data, source=source, num_classes=num_classes, ignore=ignore, cityscapes=city)


def scenes_of_records(
    data: Any, *, source: str, num_classes: int | None = None, ignore: int | None = None, cityscapes: bool = False
) -> Scenes:
    """Images and masks of a sequence of dictionaries, as tfds gives them.

    Args:
      data: sequence; an item has an image (``image`` or ``image_left``) and a mask (``segmentation_label``,
        ``segmentation_mask`` or ``label``).
      source: what to call it in messages.
      num_classes: classes; needed but for Cityscapes.
      ignore: label that is ignored beside 255.
      cityscapes: whether labels are those of Cityscapes.

    Returns:
      The images.

    Raises:
      InputError: an item lacks image or mask, or the number of classes is not known.
    """
    classes = num_classes or (len(CITYSCAPES_CLASSES) if cityscapes else None)
    if classes is None:
        raise InputError(f"'{source}': the number of classes is not known; do: give num_classes")
    first = data[0]
    found = []
    for wanted in (("image", "image_left"), ("segmentation_label", "segmentation_mask", "label")):
        names = [name for name in wanted if name in first and np.ndim(first[name]) >= 2]
        if not names:
            raise InputError(f"'{source}' has {', '.join(sorted(first))}; need one of {', '.join(wanted)}")
        found.append(names[0])

    def read(number: int) -> tuple[np.ndarray, np.ndarray]:
        item = data[number]
        mask = np.asarray(item[found[1]])
        mask = mask[..., 0] if mask.ndim == 3 else mask
        return np.asarray(item[found[0]], np.uint8), train_ids(mask) if cityscapes else _ignored(mask, ignore)

    return Scenes(len(data), read, classes, CITYSCAPES_CLASSES if cityscapes else (), source)


def train_ids(labels: np.ndarray) -> np.ndarray:
    """Label numbers of Cityscapes as classes 0 to 18, everything else ignored.

    Args:
      labels: integers [height, width].

    Returns:
      int32 [height, width].
    """
    table = np.full(256, IGNORE, np.int32)
    table[list(CITYSCAPES_LABELS)] = np.arange(len(CITYSCAPES_LABELS))
    return table[labels.astype(np.uint8)]


def _existing(path: str | pathlib.Path) -> pathlib.Path:
    found = pathlib.Path(path).expanduser()
    if not found.exists():
        raise InputError(f"'{found}' does not exist; do: check the path; allowed layouts: {', '.join(KINDS)}")
    return found


def _picture(path: pathlib.Path, mode: str | None) -> np.ndarray:
    """An image file; palette images give the numbers of their colours."""
    from PIL import Image

    try:
        with Image.open(_existing(path)) as image:
            return np.asarray(image.convert(mode) if mode else image)
    except InputError:
        raise
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise InputError(f"'{path}' cannot be read ({error}); do: write it again or leave it out") from error


_LOADERS: dict[str, Callable[[str, str, str, int | None, int | None], Scenes]] = {
    "camvid": _camvid,
    "npz": _npz,
    "voc": _voc,
    "cityscapes": _cityscapes,
    "tfds": _tfds,
}
