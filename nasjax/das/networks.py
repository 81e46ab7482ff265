"""Makes video networks by name, and counts what they have."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nasjax.das.backbones import EFFICIENTNET_B0, MOBILENET_V2, STEMS, VideoMobileNet, VideoResNet
from nasjax.das.temporal import KINDS, PRECISIONS, TemporalConfig
from nasjax.types import InputError, PyTree

# Depth -> blocks of each stage, whether they are bottlenecks.
RESNETS = {10: ((1, 1, 1, 1), False), 18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}

Network = VideoResNet | VideoMobileNet


def resnet(
    depth: int,
    *,
    num_classes: int = 1000,
    width: int = 64,
    stem: str = "imagenet",
    temporal: str | TemporalConfig = "gsf",
    stages: Sequence[int] | None = None,
    bottleneck: bool | None = None,
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    kernel: int = 3,
    dropout: float = 0.5,
    precision: str = "highest",
) -> VideoResNet:
    """A ResNet over frames.

    Args:
      depth: 10, 18, 34 or 50; what ``stages`` and ``bottleneck`` leave open comes from it.
      num_classes: classes.
      width: channels of the first stage, 64 in the publication.
      stem: "imagenet" (7x7 with stride 2, then pooling), "cifar" (3x3 with stride 1) or "deep" (three 3x3).
      temporal: temporal module: "none", "tsm", "gsm", "gsf" or a configuration.
      stages: blocks of each stage, any number of stages.
      bottleneck: kind of the blocks.
      strides: step of each stage; 1, then 2.
      dilations: of each stage; 1.
      kernel: side of the 3x3 kernels of the blocks; 5 is the baseline of large kernels.
      dropout: before the classifier.
      precision: of products, "highest" or "fast".

    Returns:
      A Linen module: ``init(key, video)``, ``apply(variables, video, train=)``.

    Raises:
      InputError: a value that is not allowed.
    """
    if depth not in RESNETS:
        raise InputError(f"ResNet-{depth}; allowed: {', '.join(map(str, RESNETS))}; do: give stages= for another one")
    blocks = tuple(RESNETS[depth][0] if stages is None else stages)
    steps = (1, *[2] * (len(blocks) - 1)) if strides is None else tuple(strides)
    spacing = (1,) * len(blocks) if dilations is None else tuple(dilations)
    if not blocks or min(blocks) < 1 or len({len(blocks), len(steps), len(spacing)}) > 1:
        raise InputError(f"stages={blocks}, strides={steps}, dilations={spacing}; need one number a stage in each")
    if min(steps) < 1 or min(spacing) < 1 or kernel % 2 == 0:
        raise InputError(f"strides={steps}, dilations={spacing}, kernel={kernel}; need positive numbers, an odd kernel")
    _check(num_classes, width, stem, STEMS, precision, dropout)
    kind = RESNETS[depth][1] if bottleneck is None else bottleneck
    return VideoResNet(blocks, kind, num_classes, width, stem, steps, spacing, kernel, _temporal(temporal), dropout,
                       precision)  # fmt: skip


def mobilenet_v2(
    *,
    num_classes: int = 1000,
    width: float = 1.0,
    stem: str = "imagenet",
    temporal: str | TemporalConfig = "gsf",
    dropout: float = 0.2,
    precision: str = "highest",
) -> VideoMobileNet:
    """MobileNetV2 over frames; modules in the blocks with a residual connection and an expansion, as TSM has it.

    Args:
      num_classes: classes.
      width: factor of all channel numbers.
      stem: "imagenet", or "cifar": stem and second stage without a step.
      temporal: temporal module, or a configuration.
      dropout: before the classifier.
      precision: of products, "highest" or "fast".

    Returns:
      A Linen module, see ``resnet``.

    Raises:
      InputError: a value that is not allowed.
    """
    _check(num_classes, width, stem, STEMS[:2], precision, dropout)
    return VideoMobileNet(MOBILENET_V2, False, num_classes, width, stem, _temporal(temporal), dropout, 0.0, precision)


def efficientnet_b0(
    *,
    num_classes: int = 1000,
    width: float = 1.0,
    stem: str = "imagenet",
    temporal: str | TemporalConfig = "gsf",
    dropout: float = 0.2,
    drop_path: float = 0.2,
    precision: str = "highest",
) -> VideoMobileNet:
    """EfficientNet-B0 over frames; modules where ``mobilenet_v2`` has them.

    Args:
      num_classes: classes.
      width: factor of all channel numbers.
      stem: "imagenet", or "cifar": stem and second stage without a step.
      temporal: temporal module, or a configuration.
      dropout: before the classifier.
      drop_path: share of videos that skip the last block in training; rises linearly from the first.
      precision: of products, "highest" or "fast".

    Returns:
      A Linen module, see ``resnet``.

    Raises:
      InputError: a value that is not allowed.
    """
    _check(num_classes, width, stem, STEMS[:2], precision, dropout, drop_path)
    return VideoMobileNet(EFFICIENTNET_B0, True, num_classes, width, stem, _temporal(temporal), dropout, drop_path,
                          precision)  # fmt: skip


BACKBONES: dict[str, Callable[..., Network]] = {
    **{f"resnet{depth}": functools.partial(resnet, depth) for depth in RESNETS},
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_b0": efficientnet_b0,
}


def get_backbone(name: str, **options: Any) -> Network:
    """A network by name.

    Args:
      name: one of ``BACKBONES``, such as "resnet18".
      **options: keyword arguments of its function.

    Returns:
      A Linen module, see ``resnet``.

    Raises:
      InputError: unknown name or option, or a value that is not allowed.
    """
    if name not in BACKBONES:
        close = difflib.get_close_matches(name, BACKBONES, n=1)
        question = f"did you mean '{close[0]}'?" if close else "choose one of them"
        raise InputError(f"unknown network '{name}'; allowed: {', '.join(BACKBONES)}; do: {question}")
    try:
        return BACKBONES[name](**options)
    except TypeError as error:
        raise InputError(f"{name}: {error}; do: see the arguments of nasjax.das.networks") from None


def count_params(tree: PyTree) -> int:
    """Number of trainable numbers.

    Args:
      tree: parameters, or their shapes.

    Returns:
      The count.
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def shapes(network: Network, *, image_size: int = 32, channels: int = 3, frames: int = 2) -> PyTree:
    """Shapes of a network's variables, without computing them.

    Args:
      network: the network.
      image_size: side of the images, in pixels.
      channels: of the images.
      frames: of a video; no variable depends on them.

    Returns:
      Dictionary with ``params`` and ``batch_stats`` of ``jax.ShapeDtypeStruct``.
    """
    video = jax.ShapeDtypeStruct((1, frames, image_size, image_size, channels), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), video)


def _temporal(given: str | TemporalConfig) -> TemporalConfig:
    if isinstance(given, TemporalConfig):
        return given
    if given not in KINDS:
        raise InputError(f"temporal={given!r}; allowed: {', '.join(KINDS)}, or a TemporalConfig")
    return TemporalConfig(kind=given)


def _check(num_classes: int, width: float, stem: str, stems: Sequence[str], precision: str, dropout: float,
           drop_path: float = 0.0) -> None:  # fmt: skip
    if num_classes < 1 or width <= 0:
        raise InputError(f"num_classes={num_classes}, width={width}; need positive numbers")
    if stem not in stems:
        raise InputError(f"stem={stem!r}; allowed: {', '.join(stems)}")
    for name, value in (("dropout", dropout), ("drop_path", drop_path)):
        if not 0 <= value < 1:
            raise InputError(f"{name}={value}; allowed: 0 or more, below 1")
    if precision not in PRECISIONS:
        raise InputError(f"precision={precision!r}; allowed: {', '.join(PRECISIONS)}")
