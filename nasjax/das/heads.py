"""Segmentation networks on a video backbone: PSPNet (Zhao et al. 2017) and DeepLabV3+ (Chen et al. 2018).

Both give one map of logits a frame, at the resolution of the head; ``nasjax.das.segmentation`` enlarges and averages
them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from nasjax.das.backbones import Conv, frames_of
from nasjax.das.temporal import PRECISIONS
from nasjax.types import Array


class Maps(NamedTuple):
    """Logits of a segmentation network.

    Attributes:
      logits: float [batch, frames, height, width, classes], coarser than the images.
      auxiliary: likewise, of the head on an earlier stage that helps training; None where there is none.
    """

    logits: Array
    auxiliary: Array | None


class PSPNet(nn.Module):
    """Pyramid pooling on the last stage, and an auxiliary head on the one before.

    Attributes:
      backbone: network whose feature maps are read; it should keep an eighth of the resolution.
      num_classes: classes.
      bins: sides of the grids that features are averaged to.
      dropout: share of the channels dropped before the classifier in training.
    """

    backbone: Any
    num_classes: int
    bins: tuple[int, ...] = (1, 2, 3, 6)
    dropout: float = 0.1

    @nn.compact
    def __call__(self, video: Array, *, train: bool = False) -> Maps:
        """Classifies pixels.

        Args:
          video: float [batch, frames, height, width, channels].
          train: statistics of the batch in norms, and dropout, which needs a key ``dropout``.

        Returns:
          Logits of every frame.
        """
        frames, precision = frames_of(video), self.backbone.precision
        maps = self.backbone(video, train=train, output="features")
        early, x = maps[-2:]
        channels = x.shape[-1]

        def conv(name: str, x: Array, channels: int, kernel: int) -> Array:
            return nn.relu(Conv(max(1, channels), kernel, precision=precision, name=name)(x, train=train))

        parts = [x]
        for bins in self.bins:
            pooled = conv(f"pool{bins}", pooled_to(x, bins, precision=precision), channels // len(self.bins), 1)
            parts.append(resized(pooled, x.shape[1:3]))
        fused = conv("fuse", jnp.concatenate(parts, -1), channels // 4, 3)
        aux = conv("auxiliary", early, early.shape[-1] // 4, 3)
        logits = _classifier(self, "classifier", fused, train, precision)
        extra = _classifier(self, "auxiliary_classifier", aux, train, precision)
        return Maps(_split(logits, frames), _split(extra, frames))


class DeepLabV3Plus(nn.Module):
    """Atrous spatial pyramid on the last stage, refined by the first.

    Attributes:
      backbone: network whose feature maps are read; it should keep a sixteenth of the resolution.
      num_classes: classes.
      width: channels of the head, 256 in the publication.
      low_width: channels that are kept of the first stage, 48 in the publication.
      rates: dilations of the pyramid.
      dropout: share of the channels dropped in training.
    """

    backbone: Any
    num_classes: int
    width: int = 256
    low_width: int = 48
    rates: tuple[int, ...] = (6, 12, 18)
    dropout: float = 0.1

    @nn.compact
    def __call__(self, video: Array, *, train: bool = False) -> Maps:
        """Classifies pixels; see ``PSPNet.__call__``.

        Args:
          video: float [batch, frames, height, width, channels].
          train: statistics of the batch in norms, and dropout.

        Returns:
          Logits of every frame, without an auxiliary head.
        """
        frames, precision = frames_of(video), self.backbone.precision
        maps = self.backbone(video, train=train, output="features")
        low, x = maps[0], maps[-1]

        def conv(name: str, x: Array, channels: int, kernel: int = 1, dilation: int = 1) -> Array:
            return nn.relu(Conv(channels, kernel, 1, dilation, precision=precision, name=name)(x, train=train))

        parts = [conv("pyramid1", x, self.width)]
        parts += [conv(f"pyramid{rate}_dilated", x, self.width, 3, rate) for rate in self.rates]
        pooled = conv("pyramid_pool", x.mean((1, 2), keepdims=True), self.width)
        parts.append(jnp.broadcast_to(pooled, parts[0].shape))
        x = conv("project", jnp.concatenate(parts, -1), self.width)
        x = nn.Dropout(self.dropout, broadcast_dims=(1, 2), deterministic=not train)(x)
        x = jnp.concatenate([resized(x, low.shape[1:3]), conv("low", low, self.low_width)], -1)
        x = conv("refine2", conv("refine1", x, self.width, 3), self.width, 3)
        return Maps(_split(_classifier(self, "classifier", x, train, precision), frames), None)


def resized(x: Array, size: tuple[int, ...]) -> Array:
    """Bilinear resizing whose pixels are areas (corners are not aligned), without a filter.

    Args:
      x: float [..., height, width, channels].
      size: new height and width.

    Returns:
      float [..., *size, channels].
    """
    if x.shape[-3:-1] == tuple(size):
        return x
    return jax.image.resize(x, (*x.shape[:-3], *size, x.shape[-1]), "bilinear", antialias=False)


def pooled_to(x: Array, bins: int, *, precision: str = "highest") -> Array:
    """Means over a grid of cells that cover the map; neighbours overlap where sizes do not divide.

    Args:
      x: float [n, height, width, channels].
      bins: cells along each side, fewer where the map has fewer pixels.
      precision: of products.

    Returns:
      float [n, bins, bins, channels].
    """
    rows, columns = (jnp.asarray(_cells(size, min(bins, size)), x.dtype) for size in x.shape[1:3])
    x = jnp.einsum("ih,nhwc->niwc", rows, x, precision=PRECISIONS[precision])
    return jnp.einsum("jw,niwc->nijc", columns, x, precision=PRECISIONS[precision])


def _cells(size: int, bins: int) -> np.ndarray:
    """Averaging matrix [bins, size] of PyTorch's adaptive pooling."""
    matrix = np.zeros((bins, size))
    for i in range(bins):
        start, end = i * size // bins, -(-(i + 1) * size // bins)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


def _classifier(module: PSPNet | DeepLabV3Plus, name: str, x: Array, train: bool, precision: str) -> Array:
    """Dropout of whole channels and a 1x1 convolution with bias."""
    x = nn.Dropout(module.dropout, broadcast_dims=(1, 2), deterministic=not train, name=f"{name}_dropout")(x)
    return nn.Dense(module.num_classes, precision=PRECISIONS[precision], name=name)(x)


def _split(x: Array, frames: int) -> Array:
    return x.reshape(-1, frames, *x.shape[1:])
