"""Crops of images and their masks for segmentation, on the host, since images differ in size.

Images are resized bilinearly and masks to the nearest pixel. What a warp shows beyond the border is the mean colour in
the image and ignored in the mask; the code of DAS labels it background instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFilter

from nasjax.das.scenes import IGNORE, Scenes
from nasjax.types import InputError

_LOOK = 16  # images
_MEAN_COLOUR = (124, 116, 104)  # of ImageNet


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropConfig:
    """How images become inputs of one size. The defaults are those of DAS on VOC 2012.

    Attributes:
      size: height and width of training crops, in pixels.
      base: long side before scaling; 0 leaves images as they are, and then they must not be smaller than a crop.
      scale: least and most factor of the long side.
      rotate: largest angle, in degrees.
      flip: whether a coin decides on a horizontal flip.
      blur: largest deviation of a Gaussian blur, in pixels; applied to every other image on average.
      test: height and width of evaluation: the short side is resized to the smaller of them and the centre cut out;
        (0, 0) leaves images as they are, which then must have one size.
    """

    size: tuple[int, int] = (380, 380)
    base: int = 400
    scale: tuple[float, float] = (0.5, 2.0)
    rotate: float = 10.0
    flip: bool = True
    blur: float = 1.0
    test: tuple[int, int] = (480, 480)

    def __post_init__(self) -> None:
        """Refuses values that mean nothing."""
        if len(self.size) != 2 or min(self.size) < 1 or self.base < 0 or len(self.test) != 2 or min(self.test) < 0:
            raise InputError(f"crop size={self.size}, base={self.base}, test={self.test}; need positive numbers")
        if 0 in self.test and self.test != (0, 0):
            raise InputError(f"test={self.test} of crops; allowed: two positive numbers, or (0, 0) for whole images")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise InputError(f"scale={self.scale} of crops; allowed: two factors, 0 < least <= most")
        if self.rotate < 0 or self.blur < 0:
            raise InputError(f"rotate={self.rotate}, blur={self.blur} of crops; allowed: 0 or more")


def train_crop(
    image: np.ndarray, mask: np.ndarray, config: CropConfig, *, seed: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """A random crop.

    Args:
      image: uint8 [height, width, 3].
      mask: int32 [height, width].
      config: what to do.
      seed: numbers that decide the draw: of run, epoch and image.

    Returns:
      (uint8 [*size, 3], int32 [*size]).

    Raises:
      InputError: the image is smaller than the crop, and images are not resized.
    """
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    picture, labels = Image.fromarray(image), Image.fromarray(mask.astype(np.uint8))
    if config.base:
        factor = config.base * rng.uniform(*config.scale) / max(height, width)
        shape = (max(1, round(width * factor)), max(1, round(height * factor)))
        picture = picture.resize(shape, Image.Resampling.BILINEAR)
        labels = labels.resize(shape, Image.Resampling.NEAREST)
    elif height < config.size[0] or width < config.size[1]:
        raise InputError(f"an image of {height}x{width} is smaller than the crop of {config.size[0]}x{config.size[1]};"
                         " do: choose a smaller crop, or resize images with base=")  # fmt: skip
    if config.rotate:
        angle = rng.uniform(-config.rotate, config.rotate)
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=_MEAN_COLOUR)
        labels = labels.rotate(angle, Image.Resampling.NEAREST, fillcolor=IGNORE)
    if config.blur and rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, config.blur)))
    x, y = _framed(np.asarray(picture), np.asarray(labels), config.size)
    top, left = (int(rng.integers(0, x.shape[i] - config.size[i] + 1)) for i in range(2))
    x, y = (a[top : top + config.size[0], left : left + config.size[1]] for a in (x, y))
    if config.flip and rng.random() < 0.5:
        x, y = x[:, ::-1], y[:, ::-1]
    return np.ascontiguousarray(x), np.ascontiguousarray(y).astype(np.int32)


def centre_crop(image: np.ndarray, mask: np.ndarray, config: CropConfig) -> tuple[np.ndarray, np.ndarray]:
    """The fixed view of evaluation.

    Args:
      image: uint8 [height, width, 3].
      mask: int32 [height, width].
      config: what to do.

    Returns:
      (uint8 [*test, 3], int32 [*test]).
    """
    if config.test == (0, 0):
        return image, mask
    factor = min(config.test) / min(image.shape[:2])
    shape = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    picture = np.asarray(Image.fromarray(image).resize(shape, Image.Resampling.BILINEAR))
    labels = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(shape, Image.Resampling.NEAREST))
    x, y = _framed(picture, labels, config.test)
    top, left = ((x.shape[i] - config.test[i]) // 2 for i in range(2))
    x, y = (a[top : top + config.test[0], left : left + config.test[1]] for a in (x, y))
    return x, y.astype(np.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SceneFeed:
    """Batches of crops for ``nasjax.das.loop.fit``.

    Attributes:
      train_scenes: images to train on.
      test_scenes: images to evaluate on.
      config: how they are cropped.
      batch_size: images a batch; what is left of an epoch is dropped.
      seed: of order and crops.
    """

    train_scenes: Scenes
    test_scenes: Scenes
    config: CropConfig
    batch_size: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses data sets that do not fit each other, or fill no batch."""
        if self.train_scenes.num_classes != self.test_scenes.num_classes:
            raise InputError(f"{self.train_scenes.num_classes} classes to train on, {self.test_scenes.num_classes} to"
                             " evaluate; do: give num_classes")  # fmt: skip
        if not 1 <= self.batch_size <= len(self.train_scenes):
            raise InputError(f"batch_size={self.batch_size}; allowed: 1 to {len(self.train_scenes)}, all images")
        if self.config.test == (0, 0):  # before anything is trained, if it shows in the first images
            sizes = {self.test_scenes[i][0].shape for i in range(min(_LOOK, len(self.test_scenes)))}
            _check_one_size(sizes, self.test_scenes)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.train_scenes) // self.batch_size

    def train(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Gives uint8 [batch_size, height, width, 3] and int32 [batch_size, height, width].

        Args:
          epoch: number of the epoch.

        Yields:
          Images and masks.
        """
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.train_scenes))
        for start in range(0, self.steps * self.batch_size, self.batch_size):
            chosen = order[start : start + self.batch_size]
            crops = [self._crop(epoch, int(i)) for i in chosen]
            yield np.stack([x for x, _ in crops]), np.stack([y for _, y in crops])

    def _crop(self, epoch: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        return train_crop(*self.train_scenes[number], self.config, seed=(self.seed, 2, epoch, number))

    def test(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Gives images, masks and weights float32 [batch_size] of the images to evaluate on.

        Yields:
          Images uint8, masks int32, weights.

        Raises:
          InputError: sizes differ though they are left as they are.
        """
        total = len(self.test_scenes)
        for start in range(0, total, self.batch_size):
            chosen = range(start, min(start + self.batch_size, total))
            crops = [centre_crop(*self.test_scenes[i], self.config) for i in chosen]
            _check_one_size({x.shape for x, _ in crops}, self.test_scenes)
            missing = self.batch_size - len(crops)
            crops += crops[:1] * missing
            weights = np.r_[np.ones(self.batch_size - missing), np.zeros(missing)].astype(np.float32)
            yield np.stack([x for x, _ in crops]), np.stack([y for _, y in crops]), weights


def _check_one_size(sizes: set[tuple[int, ...]], scenes: Scenes) -> None:
    if len(sizes) > 1:
        some = ", ".join(sorted(f"{height}x{width}" for height, width, _ in sizes)[:2])
        raise InputError(f"images of {scenes.source} differ in size ({some}), and whole ones are to be evaluated; do:"
                         " give the size of evaluation, test=(height, width) or --test_size")  # fmt: skip


def _framed(image: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """At least the size, by a frame of mean colour that is ignored."""
    lacks = [max(0, wanted - there) for wanted, there in zip(size, image.shape[:2], strict=True)]
    if not any(lacks):
        return image, mask
    sides = [(n // 2, n - n // 2) for n in lacks]
    framed = np.empty((image.shape[0] + lacks[0], image.shape[1] + lacks[1], 3), np.uint8)
    framed[:] = _MEAN_COLOUR
    (top, _), (left, _) = sides
    framed[top : top + image.shape[0], left : left + image.shape[1]] = image
    return framed, np.pad(mask, sides, constant_values=IGNORE)
