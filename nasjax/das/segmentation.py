"""Segmentation with video networks: crops to videos, logits of frames to one map, training, mean IoU.

As in the code of DAS, labels are not warped and the maps of all frames are averaged in place; ``unwarp=True`` moves the
map of each frame back first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.checkpoint import Checkpoints
from nasjax.das import networks
from nasjax.das.crops import CropConfig, SceneFeed
from nasjax.das.heads import DeepLabV3Plus, PSPNet, resized
from nasjax.das.loop import Fitted, Progress, Task, fit, poly
from nasjax.das.scenes import IGNORE, Scenes
from nasjax.das.temporal import TemporalConfig
from nasjax.das.videos import VideoMaker
from nasjax.types import Array, InputError, PyTree, Variables

HEADS = ("pspnet", "deeplab")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationConfig:
    """Network and recipe. The defaults are those of DAS's code on VOC 2012, but for weights of ImageNet.

    Attributes:
      head: "pspnet" (that of the code), or "deeplab" for DeepLabV3+.
      network: a ResNet of ``nasjax.das.networks``.
      width: channels of its first stage.
      stem: of the network; the code has three 3x3 convolutions.
      temporal: temporal module; the code counts its quarter of the channels in the output of a bottleneck.
      output_stride: by how much the last stage is coarser than the image; 8 for PSPNet and 16 for DeepLab by default.
      head_width: channels of DeepLab's head.
      epochs: passes over the training images.
      batch_size: images a step; the code has 4 on each of 4 devices.
      learning_rate: at the start; falls by ``(1 - step / steps) ** power``.
      power: see there.
      encoder_rate: factor of the learning rate in the backbone; by default 0.1 where weights are given, else 1.
      momentum: of SGD.
      weight_decay: of SGD.
      clip: largest norm of the gradient over all parameters.
      auxiliary: weight of the auxiliary head's loss.
      unwarp: whether maps of frames are moved back before they are averaged.
      mean: subtracted from images in 0..1, a number a channel.
      std: divided by.
      crops: how images become inputs.
      precision: of products, "highest" or "fast".
    """

    head: str = "pspnet"
    network: str = "resnet50"
    width: int = 64
    stem: str = "deep"
    temporal: TemporalConfig = TemporalConfig(relative_to="output")
    output_stride: int | None = None
    head_width: int = 256
    epochs: int = 80
    batch_size: int = 16
    learning_rate: float = 0.02
    power: float = 0.9
    encoder_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip: float = 5.0
    auxiliary: float = 0.4
    unwarp: bool = False
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    crops: CropConfig = CropConfig()
    precision: str = "highest"

    def __post_init__(self) -> None:
        """Checks what networks and crops do not check themselves."""
        if self.head not in HEADS:
            raise InputError(f"head={self.head!r}; allowed: {', '.join(HEADS)}")
        if not self.network.startswith("resnet"):
            raise InputError(f"network={self.network!r} for segmentation; allowed: a ResNet, such as resnet50")
        if self.stride not in (1, 2, 4, 8, 16, 32):
            raise InputError(f"output_stride={self.output_stride}; allowed: 1, 2, 4, 8, 16, 32")
        for name in ("epochs", "batch_size", "learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)}; allowed: a positive number")

    @property
    def stride(self) -> int:
        """The output stride in use."""
        return self.output_stride or (8 if self.head == "pspnet" else 16)


class Segmented(NamedTuple):
    """Result of a training.

    Attributes:
      network: the Linen module.
      fitted: variables and history; ``test_miou`` is a share.
      class_iou: float [classes], at the end; NaN for classes that neither occur nor were predicted.
    """

    network: Any
    fitted: Fitted
    class_iou: np.ndarray


def make_network(config: SegmentationConfig, num_classes: int, **backbone: Any) -> PSPNet | DeepLabV3Plus:
    """Backbone and head.

    Args:
      config: options.
      num_classes: classes.
      **backbone: further options of the backbone, such as ``kernel``.

    Returns:
      A Linen module: video -> ``Maps``.

    Raises:
      InputError: options that do not fit.
    """
    depth = config.network.removeprefix("resnet")
    known = networks.RESNETS.get(int(depth), ((1,) * 4,))[0] if depth.isdigit() else (1,) * 4
    stages = len(backbone.get("stages") or known)
    stride, dilation, strides, dilations = 1 if config.stem == "cifar" else 4, 1, [], []
    for step in (1, *[2] * (stages - 1)):
        if stride * step <= config.stride:
            stride, taken = stride * step, step
        else:
            dilation, taken = dilation * step, 1
        strides.append(taken)
        dilations.append(dilation)
    options = {"width": config.width, "stem": config.stem, "temporal": config.temporal, "num_classes": 1,
               "strides": strides, "dilations": dilations, "precision": config.precision}  # fmt: skip
    base = networks.get_backbone(config.network, **(options | backbone))
    if config.head == "pspnet":
        return PSPNet(base, num_classes)
    return DeepLabV3Plus(base, num_classes, config.head_width, max(1, config.head_width * 48 // 256))


def fused(maps: Array, size: tuple[int, ...], maker: VideoMaker, *, unwarp: bool) -> Array:
    """Logits of frames as one map of the size of the images.

    Args:
      maps: float [batch, frames, height, width, classes].
      size: height and width of the images.
      maker: what made the videos.
      unwarp: whether to move the maps back first.

    Returns:
      float [batch, *size, classes].
    """
    if not unwarp:
        return resized(maps.mean(1), size)  # resizing is linear, so the mean may come first
    return maker.unwarp(resized(maps, size)).mean(1)


def pixel_loss(logits: Array, masks: Array) -> tuple[Array, Array]:
    """Cross-entropy summed over the pixels that count, and their number.

    Args:
      logits: float [batch, height, width, classes].
      masks: int32 [batch, height, width], ``IGNORE`` where a pixel does not count.

    Returns:
      Two scalars.
    """
    counts = masks != IGNORE
    logp = jax.nn.log_softmax(logits)
    own = jnp.take_along_axis(logp, jnp.where(counts, masks, 0)[..., None], -1)[..., 0]
    return -jnp.where(counts, own, 0).sum(), counts.sum().astype(logits.dtype)


def confusion(predicted: Array, masks: Array, num_classes: int) -> Array:
    """How often each class was taken for each.

    Args:
      predicted: int [...].
      masks: int [...], ``IGNORE`` where a pixel does not count.
      num_classes: classes.

    Returns:
      int32 [true class, predicted class].
    """
    place = jnp.where(masks == IGNORE, num_classes**2, masks * num_classes + predicted)
    return jnp.bincount(place.reshape(-1), length=num_classes**2 + 1)[:-1].reshape(num_classes, num_classes)


def iou(matrix: np.ndarray) -> np.ndarray:
    """Intersection over union of each class.

    Args:
      matrix: confusion matrix [classes, classes].

    Returns:
      float64 [classes]; NaN for a class that neither occurs nor was predicted. ``numpy.nanmean`` is the mean IoU.
    """
    matrix = np.asarray(matrix, np.float64)
    hit = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hit
    return np.where(union > 0, hit / np.maximum(union, 1), np.nan)


def train_segmentation(
    train_scenes: Scenes,
    test_scenes: Scenes,
    maker: VideoMaker,
    *,
    key: Array,
    config: SegmentationConfig,
    backbone: Mapping[str, Any] | None = None,
    variables: Variables | None = None,
    checkpoints: Checkpoints | None = None,
    settings: Mapping[str, Any] | None = None,
    test_every: int = 1,
    devices: int | Sequence[jax.Device] | None = 1,
    progress: Progress | None = None,
) -> Segmented:
    """Trains a segmentation network on videos made of images.

    Args:
      train_scenes: images to train on.
      test_scenes: images to evaluate on.
      maker: images to videos.
      key: typed key of everything random.
      config: network and recipe.
      backbone: further options of the backbone.
      variables: weights to begin with.
      checkpoints: where every epoch is kept, see ``nasjax.das.loop.fit``.
      settings: kept beside the state.
      test_every: epochs between evaluations.
      devices: which share every batch, see ``nasjax.das.loop.fit``.
      progress: called with finished and all epochs.

    Returns:
      Network, variables, history, and IoU of the classes.

    Raises:
      InputError: images, masks or options do not fit.
    """
    seed = int(jax.random.randint(jax.random.fold_in(key, 1), (), 0, 2**31 - 1))
    feed = SceneFeed(train_scenes=train_scenes, test_scenes=test_scenes, config=config.crops,
                     batch_size=config.batch_size, seed=seed)  # fmt: skip
    if config.unwarp:
        maker.check_unwarp()
    network = make_network(config, train_scenes.num_classes, **(backbone or {}))
    task = _task(config, network, maker, train_scenes.num_classes, feed.steps, variables is not None)
    fitted = fit(task, feed, key=key, epochs=config.epochs, checkpoints=checkpoints, settings=settings,
                 test_every=test_every, variables=variables, devices=devices,
                 progress=progress)  # fmt: skip
    matrix = evaluate(network, fitted.variables, feed, maker, config=config)
    return Segmented(network, fitted, iou(matrix))


def evaluate(
    network: Any, variables: Variables, feed: SceneFeed, maker: VideoMaker, *, config: SegmentationConfig
) -> np.ndarray:
    """Confusion matrix over the images of evaluation.

    Args:
      network: of ``make_network``.
      variables: its variables.
      feed: images and masks.
      maker: images to videos.
      config: options.

    Returns:
      int64 [classes, classes].
    """
    run = jax.jit(lambda variables, images: predict(network, variables, images, maker, config=config))
    classes = feed.test_scenes.num_classes
    total = np.zeros((classes, classes), np.int64)
    for images, masks, weights in feed.test():
        real = int((weights > 0).sum())
        total += np.asarray(confusion(run(variables, images)[:real].argmax(-1), jnp.asarray(masks[:real]), classes))
    return total


def predict(
    network: Any, variables: Variables, images: Array, maker: VideoMaker, *, config: SegmentationConfig
) -> Array:
    """Logits of images.

    Args:
      network: of ``make_network``.
      variables: its variables.
      images: uint8 [batch, height, width, 3].
      maker: images to videos.
      config: options.

    Returns:
      float [batch, height, width, classes].
    """
    video = maker(normalised(images, config))
    maps = network.apply({"params": variables.params, "batch_stats": variables.stats}, video)
    return fused(maps.logits, images.shape[1:3], maker, unwarp=config.unwarp)


def normalised(images: Array, config: SegmentationConfig) -> Array:
    """Images in 0..255 as the network sees them.

    Args:
      images: uint8 [..., channels].
      config: its mean and std.

    Returns:
      float32 [..., channels].
    """
    shape = (1,) * (images.ndim - 1) + (-1,)
    mean, std = (jnp.asarray(value, jnp.float32).reshape(shape) for value in (config.mean, config.std))
    return (jnp.asarray(images, jnp.float32) / 255 - mean) / std


def _task(
    config: SegmentationConfig, network: Any, maker: VideoMaker, num_classes: int, steps: int, pretrained: bool
) -> Task:
    import optax

    def init(key: Array, images: Array) -> Variables:
        found = network.init(key, maker(normalised(images[:1], config)))
        return Variables(found["params"], found.get("batch_stats", {}))

    def loss(
        key: Array, first: Array, params: PyTree, stats: PyTree, images: Array, masks: Array
    ) -> tuple[Array, tuple[PyTree, dict[str, Array]]]:
        video = maker(normalised(images, config))
        own, rngs = {"params": params, "batch_stats": stats}, {"dropout": jax.random.fold_in(key, first)}
        maps, new = network.apply(own, video, train=True, rngs=rngs, mutable=["batch_stats"])
        logits = fused(maps.logits, masks.shape[1:3], maker, unwarp=config.unwarp)
        total, count = pixel_loss(logits, masks)
        value = total / jnp.maximum(count, 1)  # a crop may hold no pixel that counts
        if maps.auxiliary is not None:
            extra, _ = pixel_loss(fused(maps.auxiliary, masks.shape[1:3], maker, unwarp=config.unwarp), masks)
            value = value + config.auxiliary * extra / jnp.maximum(count, 1)
        right = ((logits.argmax(-1) == masks) & (masks != IGNORE)).sum().astype(logits.dtype)
        return value, (new["batch_stats"], {"loss": total, "pixels": count, "right": right})

    def measure(variables: Variables, images: Array, masks: Array, weights: Array) -> dict[str, Array]:
        masks = jnp.where(weights[:, None, None] > 0, masks, IGNORE)
        logits = predict(network, variables, images, maker, config=config)
        total, count = pixel_loss(logits, masks)
        return {"loss": total, "pixels": count, "confusion": confusion(logits.argmax(-1), masks, num_classes)}

    def summary(sums: Mapping[str, np.ndarray]) -> dict[str, float]:
        row = {"loss": float(sums["loss"]) / max(float(sums["pixels"]), 1.0)}
        if "confusion" not in sums:
            return {**row, "accuracy": float(sums["right"]) / max(float(sums["pixels"]), 1.0)}
        matrix = np.asarray(sums["confusion"], np.float64)
        if not matrix.sum():
            raise InputError("every pixel that is evaluated is ignored; do: take other test images, or a larger centre")
        return {**row, "accuracy": float(np.trace(matrix) / matrix.sum()), "miou": float(np.nanmean(iou(matrix)))}

    factor = config.encoder_rate if config.encoder_rate is not None else (0.1 if pretrained else 1.0)
    rate = poly(config.learning_rate, steps * config.epochs, power=config.power)

    def slower(updates: PyTree, params: PyTree | None = None) -> PyTree:
        del params
        scaled = jax.tree.map(lambda leaf: factor * leaf, updates["backbone"])
        return {**updates, "backbone": scaled}

    optimizer = optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.add_decayed_weights(config.weight_decay),
        optax.trace(config.momentum),
        optax.stateless(slower),
        optax.scale_by_learning_rate(rate),
    )
    return Task(init, loss, measure, summary, optimizer, weight="pixels")
