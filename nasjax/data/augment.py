"""Augmentation of batches on the device: pure functions of a key, the images and a configuration.

Every image has a key of its own, folded from the key of the step and the number of the image, so the
result depends neither on its place in the batch nor on how a batch is spread over devices.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any

import jax
import jax.numpy as jnp

from nasjax.data import augment_mix, augment_ops, augment_policies
from nasjax.types import Array, InputError

_NUMBERS = ("resized_crop", "resized_crop_ratio", "color_jitter", "randaugment", "mean", "std", "erasing_area",
            "erasing_ratio")  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What is done to images in training, in this order; everything is off by default.

    Attributes:
      resized_crop: least and most share of the area of a crop that is resized to ``size``, or None; ImageNet
        recipes have (0.08, 1.0).
      resized_crop_ratio: least and most ratio of width to height of that crop.
      size: height and width after ``resized_crop``, in pixels; as before by default.
      crop_padding: zeros put around an image before a crop of its own size is taken; 4 for CIFAR.
      flip: whether a coin decides on a horizontal flip.
      color_jitter: strengths of brightness, contrast and colour, and optionally of hue; or None.
      randaugment: (operations, magnitude 0..10) or (operations, magnitude, deviation of the magnitude), or None.
      randaugment_ops: operations to draw from; by default those of the paper.
      randaugment_probability: of each drawn operation; the paper has 1, the recipe of DeiT and AutoFormer 0.5.
      randaugment_increasing: whether blends move away from no change with the magnitude, in both directions, as
        in DeiT and AutoFormer; the paper goes through the range 0.1..1.9 from end to end.
      trivialaugment: TrivialAugment with its wide ranges.
      interpolation: of warps, "nearest" (published) or "bilinear".
      fill: what warps show beyond the border, one number or one a channel, in 0..1; the papers leave it open.
      mean: subtracted from every channel, in units of 0..1; empty leaves images as they are.
      std: divided by.
      cutout: side in pixels of a square set to zero, behind normalisation: to the mean; 16 for CIFAR.
      random_erasing: probability; 0.25 in DeiT and AutoFormer.
      erasing_area: least and most share of the area.
      erasing_ratio: least and most ratio of height to width.
      erasing_fill: "noise", standard normal a pixel and channel, or "zeros".
      mixup: alpha of its Beta law, 0 is off; 0.8 in DeiT and AutoFormer.
      cutmix: likewise; 1.0 in DeiT and AutoFormer.
      mix_probability: of mixing a batch.
      mix_switch: probability of cutmix where both are on.

    Raises:
      InputError: a value is not allowed.
    """

    resized_crop: tuple[float, float] | None = None
    resized_crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    size: int | None = None
    crop_padding: int = 0
    flip: bool = False
    color_jitter: tuple[float, ...] | None = None
    randaugment: tuple[float, ...] | None = None
    randaugment_ops: tuple[str, ...] = augment_policies.PAPER_OPS
    randaugment_probability: float = 1.0
    randaugment_increasing: bool = False
    trivialaugment: bool = False
    interpolation: str = "nearest"
    fill: float | tuple[float, ...] = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    cutout: int = 0
    random_erasing: float = 0.0
    erasing_area: tuple[float, float] = (0.02, 1 / 3)
    erasing_ratio: tuple[float, float] = (0.3, 10 / 3)
    erasing_fill: str = "noise"
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    mix_switch: float = 0.5

    def __post_init__(self) -> None:
        """Refuses what no augmentation can mean; lists become tuples, so that a configuration can be hashed."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
            if isinstance(field.default, bool):
                _check(self, field.name, isinstance(value, bool), "True or False")
        for name in _NUMBERS:
            value = getattr(self, name)
            fine = value is None or isinstance(value, tuple) and all(isinstance(v, numbers.Real) for v in value)
            _check(self, name, fine, "numbers in a tuple, on the command line joined by colons, as in 0.1:1")
        for name in ("crop_padding", "cutout"):
            _check(self, name, isinstance(getattr(self, name), int) and getattr(self, name) >= 0, "pixels, 0 or more")
        _check(self, "size", self.size is None or isinstance(self.size, int) and self.size > 0, "pixels, 1 or more")
        _check(self, "size", self.size is None or self.resized_crop is not None, "a size only with resized_crop")
        for name in ("randaugment_probability", "random_erasing", "mix_probability", "mix_switch"):
            _check(self, name, _within(getattr(self, name), 0, 1), "a probability, 0 to 1")
        for name in ("mixup", "cutmix"):
            _check(self, name, _within(getattr(self, name), 0, math.inf), "0 (off) or more")
        for name in ("resized_crop", "erasing_area"):
            _check(self, name, _is_range(getattr(self, name), 1.0), "two shares, 0 < least <= most <= 1")
        for name in ("resized_crop_ratio", "erasing_ratio"):
            _check(self, name, _is_range(getattr(self, name), math.inf), "two ratios, 0 < least <= most")
        allowed = augment_ops.INTERPOLATIONS
        _check(self, "interpolation", self.interpolation in allowed, " or ".join(allowed))
        _check(self, "erasing_fill", self.erasing_fill in ("noise", "zeros"), "noise or zeros")
        jitter = self.color_jitter
        fine = jitter is None or len(jitter) in (3, 4) and min(jitter) >= 0 and max(jitter[3:], default=0) <= 0.5
        _check(self, "color_jitter", fine, "three strengths, 0 or more, and optionally a hue of at most 0.5")
        self._check_randaugment()
        fine = len(self.mean) == len(self.std) and all(value > 0 for value in self.std)
        _check(self, "std", fine, "positive numbers, as many as mean")

    def _check_randaugment(self) -> None:
        """Refuses a policy that does not exist."""
        policy = self.randaugment
        if policy is not None:
            fine = len(policy) in (2, 3) and int(policy[0]) == policy[0] >= 1 and _within(policy[1], 0, 10)
            _check(self, "randaugment", fine and min(policy) >= 0, "(operations, magnitude 0..10[, deviation])")
        _check(self, "trivialaugment", policy is None or not self.trivialaugment, "one policy, not randaugment as well")
        for name in self.randaugment_ops:
            _check(self, "randaugment_ops", name in augment_ops.OPS, ", ".join(augment_ops.OPS))
        _check(self, "randaugment_ops", bool(self.randaugment_ops), "one operation at least")

    @property
    def mixes(self) -> bool:
        """Whether labels become soft."""
        return self.mixup > 0 or self.cutmix > 0


def augment(
    key: Array, images: Array, labels: Array, config: AugmentConfig, *, indices: Array | None = None
) -> tuple[Array, Array]:
    """Augments a batch and normalises it; what training feeds to a network.

    Args:
      key: typed random key, of the step.
      images: float [batch, height, width, channels] in 0..1, or uint8, which become float32 in 0..1. Where
        neither colours, policies nor ``mean`` are in use, images that are normalised already do as well.
      labels: float [batch, classes], one-hot or soft; other targets if nothing mixes.
      config: what to do; static under ``jit``.
      indices: int32 [batch], the number of every image in its data set, whose key it folds; its place in the
        batch by default.

    Returns:
      (images float [batch, height, width, channels], labels of the same shape and dtype).

    Raises:
      InputError: labels that cannot be mixed, or constants that do not fit the channels.
    """
    images, labels = as_unit(images), jnp.asarray(labels)
    channels = images.shape[-1]
    for name in ("mean", "fill"):
        value = getattr(config, name)
        if isinstance(value, tuple) and len(value) not in (0, 1, channels):
            raise InputError(f"{name}={value} for {channels} channels; allowed: one number a channel")
    if config.mixes and (labels.ndim != 2 or not jnp.issubdtype(labels.dtype, jnp.floating)):
        raise InputError(
            f"mixup={config.mixup:g}, cutmix={config.cutmix:g} with labels {labels.dtype}{list(labels.shape)}; "
            "allowed: one-hot or soft labels, float [batch, classes]; do: jax.nn.one_hot(labels, classes)"
        )
    image_key, batch_key = jax.random.split(key)
    places = jnp.arange(images.shape[0]) if indices is None else jnp.asarray(indices)
    images = jax.vmap(lambda place, image: _one(jax.random.fold_in(image_key, place), image, config))(places, images)
    if config.mixes:
        images, labels = augment_mix.mix(
            batch_key,
            images,
            labels,
            mixup=config.mixup,
            cutmix=config.cutmix,
            probability=config.mix_probability,
            switch=config.mix_switch,
        )
    return images, labels


def prepare(images: Array, config: AugmentConfig) -> Array:
    """Normalises images for evaluation, as :func:`augment` does, without changing them otherwise.

    Args:
      images: as for :func:`augment`; of the size that the network sees.
      config: whose ``mean`` and ``std`` count.

    Returns:
      float [batch, height, width, channels].
    """
    return _normalise(as_unit(images), config)


def as_unit(images: Any, *, dtype: Any = jnp.float32) -> Array:
    """Images in 0..1.

    Args:
      images: uint8, which are divided by 255, or floats, which stay.
      dtype: of what becomes of uint8.

    Returns:
      float, of the same shape.
    """
    images = jnp.asarray(images)
    return images.astype(dtype) / 255 if images.dtype == jnp.uint8 else images


def _one(key: Array, image: Array, config: AugmentConfig) -> Array:
    """One image, everything but mixing. A stage folds its own number, so that switching one changes no other."""
    fill = config.fill if isinstance(config.fill, tuple) else (config.fill,)
    if config.resized_crop is not None:
        height, width = image.shape[:2]
        size = (height, width) if config.size is None else (config.size, config.size)
        image = augment_mix.resized_crop(
            jax.random.fold_in(key, 0), image, size=size, area=config.resized_crop, ratio=config.resized_crop_ratio
        )
    if config.crop_padding:
        image = _crop(jax.random.fold_in(key, 1), image, config.crop_padding)
    if config.flip:
        image = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, 2)), image[:, ::-1], image)
    if config.color_jitter is not None:
        image = augment_policies.color_jitter(jax.random.fold_in(key, 3), image, config.color_jitter)
    if config.randaugment is not None:
        number, magnitude, *deviation = config.randaugment
        image = augment_policies.rand_augment(
            jax.random.fold_in(key, 4),
            image,
            number=int(number),
            magnitude=magnitude,
            deviation=deviation[0] if deviation else 0.0,
            probability=config.randaugment_probability,
            ops=config.randaugment_ops,
            increasing=config.randaugment_increasing,
            interpolation=config.interpolation,
            fill=fill,
        )
    if config.trivialaugment:
        image = augment_policies.trivial_augment(
            jax.random.fold_in(key, 5), image, interpolation=config.interpolation, fill=fill
        )
    image = _normalise(image, config)
    if config.cutout:
        image = augment_mix.cutout(jax.random.fold_in(key, 6), image, config.cutout)
    if config.random_erasing:
        image = augment_mix.random_erasing(
            jax.random.fold_in(key, 7),
            image,
            probability=config.random_erasing,
            area=config.erasing_area,
            ratio=config.erasing_ratio,
            noise=config.erasing_fill == "noise",
        )
    return image


def _crop(key: Array, image: Array, padding: int) -> Array:
    """A crop of the image's own size from the image within a frame of zeros."""
    units = augment_mix.units_of(key, (2,), image.dtype)
    row, column = jnp.floor(units * (2 * padding + 1)).astype(jnp.int32)
    framed = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return jax.lax.dynamic_slice(framed, (row, column, jnp.int32(0)), image.shape)


def _normalise(images: Array, config: AugmentConfig) -> Array:
    """``(images - mean) / std`` a channel, if there is a mean."""
    if not config.mean:
        return images
    shape = (1,) * (images.ndim - 1) + (-1,)
    mean, std = (jnp.asarray(value, images.dtype).reshape(shape) for value in (config.mean, config.std))
    return (images - mean) / std


def _within(value: Any, least: float, most: float) -> bool:
    """Whether a number lies in a range; nothing else does."""
    return isinstance(value, int | float) and math.isfinite(value) and least <= value <= most


def _is_range(value: Any, most: float) -> bool:
    """Whether two numbers are a range of positive numbers; so is None."""
    return value is None or len(value) == 2 and 0 < value[0] <= value[1] <= most


def _check(config: AugmentConfig, name: str, fine: bool, allowed: str) -> None:
    """Raises an InputError about a field unless it is fine."""
    if not fine:
        raise InputError(f"AugmentConfig: {name}={getattr(config, name)!r}; allowed: {allowed}; do: correct it")
