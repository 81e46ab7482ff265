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

from nasjax.data.folders import read_pixels
from nasjax.data.npz import UNREADABLE
from nasjax.hashing import array_fingerprint, fingerprint
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
      fingerprint: hash of what tells them from others: arrays, or names and sizes of files.
    """

    size: int
    read: Callable[[int], tuple[np.ndarray, np.ndarray]]
    num_classes: int
    class_names: tuple[str, ...] = ()
    source: str = "arrays"
    names: tuple[str, ...] = ()
    fingerprint: str = ""

    def __post_init__(self) -> None:
        """Refuses classes that the label of ignored pixels leaves no room for."""
        if not 1 <= self.num_classes <= IGNORE:
            raise InputError(f"num_classes={self.num_classes} of {self.source}; allowed: 1 to {IGNORE}, for label "
                             f"{IGNORE} is that of ignored pixels; do: correct num_classes or the masks")  # fmt: skip

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
    scenes = Scenes(len(images), lambda i: (images[i], masks[i]), classes, tuple(class_names), source,
                    fingerprint=array_fingerprint(images, masks))  # fmt: skip
    counts = masks != IGNORE
    wrong = (counts & ((masks < 0) | (masks >= classes))).any((1, 2)) | ~counts.any((1, 2))
    if wrong.any():
        scenes[int(wrong.argmax())]  # says what is wrong, before anything is trained
    return scenes


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
        raise InputError(f"'{path}' cannot be read ({error}); allowed: arrays of numbers; do: write it again") from None
    if ignore is not None and ignore == len(names) - 1:
        names = names[:-1]  # the last class is that of ignored pixels
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
    images = [root / "JPEGImages" / f"{name}.jpg" for name in names]
    masks = [root / "SegmentationClass" / f"{name}.png" for name in names]
    _all_there(images + masks, f"{split}.txt")

    def read(number: int) -> tuple[np.ndarray, np.ndarray]:
        return read_pixels(images[number], mode="RGB"), _ignored(read_pixels(masks[number], mode=None), ignore)

    return Scenes(len(names), read, num_classes or len(VOC_CLASSES), VOC_CLASSES, source, tuple(names),
                  _of_files(images + masks))  # fmt: skip


def _cityscapes(argument: str, source: str, split: str, num_classes: int | None, ignore: int | None) -> Scenes:
    root, split = _existing(argument), "val" if split == "test" else split
    images = sorted(_existing(root / "leftImg8bit" / split).glob("*/*_leftImg8bit.png"))
    if not images:
        raise InputError(f"{root}/leftImg8bit/{split} has no CITY/*_leftImg8bit.png; do: name the folder above that")

    masks = []
    for image in images:
        start = root / "gtFine" / split / image.parent.name / image.name.removesuffix("_leftImg8bit.png")
        trained = start.with_name(f"{start.name}_gtFine_labelTrainIds.png")
        masks.append(trained if trained.exists() else start.with_name(f"{start.name}_gtFine_labelIds.png"))
    _all_there(masks, f"leftImg8bit/{split}")

    def read(number: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = read_pixels(images[number], mode="RGB"), read_pixels(masks[number], mode=None)
        if masks[number].name.endswith("TrainIds.png"):
            return image, _ignored(mask, ignore)
        return image, _ignored(train_ids(mask, where=masks[number].name), ignore)

    names = tuple(path.name for path in images)
    return Scenes(len(images), read, num_classes or len(CITYSCAPES_CLASSES), CITYSCAPES_CLASSES, source, names,
                  _of_files(images + masks))  # fmt: skip


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
        mask = train_ids(mask, where=f"image {number} of {source}") if cityscapes else mask
        return np.asarray(item[found[0]], np.uint8), _ignored(mask, ignore)

    return Scenes(len(data), read, classes, CITYSCAPES_CLASSES if cityscapes else (), source,
                  fingerprint=fingerprint([source, len(data)]))  # fmt: skip


def train_ids(labels: np.ndarray, *, where: str = "labels") -> np.ndarray:
    """Label numbers of Cityscapes as classes 0 to 18, its other labels ignored.

    Args:
      labels: integers [height, width].
      where: what to call them in messages.

    Returns:
      int32 [height, width].

    Raises:
      InputError: a label that Cityscapes does not have, such as the number of an instance.
    """
    table = np.full(256, -2, np.int32)
    table[[*range(34), IGNORE]] = IGNORE
    table[list(CITYSCAPES_LABELS)] = np.arange(len(CITYSCAPES_LABELS))
    numbers = np.where(np.asarray(labels) == -1, IGNORE, labels).astype(np.int64)  # -1 is a licence plate
    found = np.where((numbers < 0) | (numbers > IGNORE), -2, table[np.clip(numbers, 0, IGNORE)])
    if (found == -2).any():
        raise InputError(f"{where}: label {int(numbers[found == -2][0])}; allowed: 0 to 33, -1 and {IGNORE}, the label "
                         "numbers of Cityscapes; do: give the files that end in _labelIds.png")  # fmt: skip
    return found


def _existing(path: str | pathlib.Path) -> pathlib.Path:
    found = pathlib.Path(path).expanduser()
    if not found.exists():
        raise InputError(f"'{found}' does not exist; do: check the path; allowed layouts: {', '.join(KINDS)}")
    return found


def _of_files(paths: Sequence[pathlib.Path]) -> str:
    return fingerprint([[path.name, path.stat().st_size] for path in paths])


def _all_there(paths: Sequence[pathlib.Path], listed: str) -> None:
    """Refuses a list of files of which some do not exist."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise InputError(f"{len(missing)} of {len(paths)} files that {listed} asks for do not exist, such as"
                         f" '{missing[0]}'; do: add them, or leave their images out")  # fmt: skip


_LOADERS: dict[str, Callable[[str, str, str, int | None, int | None], Scenes]] = {
    "camvid": _camvid,
    "npz": _npz,
    "voc": _voc,
    "cityscapes": _cityscapes,
    "tfds": _tfds,
}
