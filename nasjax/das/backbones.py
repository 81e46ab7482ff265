"""Video networks: 2-D networks that see T frames through temporal modules, and average the logits of the frames.

Without a module and with one frame they are the plain 2-D networks, with the parameter counts of torchvision's:
ResNet (He et al. 2016, strides in the 3x3 convolutions), MobileNetV2 (Sandler et al. 2018), EfficientNet-B0 (Tan and Le
2019). Layout: video [batch, frames, height, width, channels].
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nasjax.das.temporal import PRECISIONS, Temporal, TemporalConfig
from nasjax.nn import depthwise_conv, max_pool
from nasjax.types import Array, InputError

OUTPUTS = ("logits", "frames", "features")
STEMS = ("imagenet", "cifar", "deep")

# Kernel, expansion, channels, blocks, stride of the first; of MobileNetV2 and EfficientNet-B0.
MOBILENET_V2 = ((3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (3, 6, 32, 3, 2), (3, 6, 64, 4, 2), (3, 6, 96, 3, 1),
                (3, 6, 160, 3, 2), (3, 6, 320, 1, 1))  # fmt: skip
EFFICIENTNET_B0 = ((3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1),
                   (5, 6, 192, 4, 2), (3, 6, 320, 1, 1))  # fmt: skip

_fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
_linear = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def frames_of(video: Array) -> int:
    """Number of frames of a video.

    Args:
      video: float [batch, frames, height, width, channels].

    Returns:
      Frames.

    Raises:
      InputError: the array is no video, or has no frame.
    """
    if video.ndim != 5 or video.shape[1] < 1:
        raise InputError(f"video {tuple(video.shape)}; need [batch, frames, height, width, channels] with at least one "
                         "frame; do: images[:, None] makes videos of one frame")  # fmt: skip
    return int(video.shape[1])


def consensus(x: Array, frames: int, output: str) -> Array:
    """Mean over frames, of logits and not of probabilities.

    Args:
      x: float [batch * frames, ...].
      frames: frames of a video.
      output: "logits", or "frames" for those of every frame.

    Returns:
      float [batch, ...], or [batch, frames, ...].
    """
    split = x.reshape(-1, frames, *x.shape[1:])
    return split if output == "frames" else split.mean(1)


class Conv(nn.Module):
    """Convolution without bias, padded by half its reach, and batch norm (momentum 0.9, epsilon 1e-5).

    Attributes:
      channels: output channels.
      kernel: side of the kernel.
      stride: step.
      dilation: spacing of taps.
      depthwise: whether every channel is by itself.
      normed: whether the norm follows.
      precision: "highest" or "fast".
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    depthwise: bool = False
    normed: bool = True
    precision: str = "highest"

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Applies both.

        Args:
          x: float [n, height, width, channels].
          train: whether the norm uses the statistics of this batch.

        Returns:
          float [n, out_height, out_width, channels].
        """
        pad = self.dilation * (self.kernel // 2)
        if self.depthwise:
            w = self.param("kernel", _fan_out, (self.kernel, self.kernel, 1, self.channels))
            x = depthwise_conv(x, w, stride=self.stride, padding=pad, dilation=self.dilation)
        else:
            size = (self.kernel, self.kernel)
            x = nn.Conv(self.channels, size, self.stride, pad, kernel_dilation=self.dilation, use_bias=False,
                        kernel_init=_fan_out, precision=PRECISIONS[self.precision], name="conv")(x)  # fmt: skip
        return norm(x, train) if self.normed else x


def norm(x: Array, train: bool) -> Array:
    """Batch norm of PyTorch's defaults, within the calling module.

    Args:
      x: float [..., channels].
      train: whether to use the statistics of this batch.

    Returns:
      Array of the same shape.
    """
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, name="norm")(x)


class _Tail(nn.Module):
    """Last convolution of a residual branch, the temporal module of placement "end", and its norm.

    Attributes:
      fields: of the convolution.
      temporal: the module; nothing of placement "start".
      width: channels that its ratio counts.
    """

    fields: Any
    temporal: TemporalConfig
    width: int

    @nn.compact
    def __call__(self, x: Array, frames: int, *, train: bool = False) -> Array:
        """Applies the three: [batch * frames, height, width, channels] in and out."""
        fields = dict(self.fields)
        x = Conv(**fields, normed=False, name="conv")(x)
        if self.temporal.place == "end":
            x = Temporal(self.temporal, self.width, fields["precision"], name="mixing")(x, frames, train=train)
        return norm(x, train)


class _ResidualBlock(nn.Module):
    """Basic or bottleneck block.

    Attributes:
      channels: width of the block; a bottleneck puts out four times as many.
      bottleneck: kind, and ``stride``, its step.
      dilation: of its convolutions.
      kernel: side of its wide kernels, 3 in the publication.
      temporal: the module in the residual branch.
      precision: "highest" or "fast".
    """

    channels: int
    bottleneck: bool
    stride: int
    dilation: int
    kernel: int
    temporal: TemporalConfig
    precision: str

    @nn.compact
    def __call__(self, x: Array, frames: int, *, train: bool = False) -> Array:
        """Applies the block: [batch * frames, height, width, channels] in and out."""
        out = self.channels * (4 if self.bottleneck else 1)
        y = x
        if self.temporal.place == "start":
            y = Temporal(self.temporal, x.shape[-1], self.precision, name="mixing")(y, frames, train=train)
        wide = {"kernel": self.kernel, "dilation": self.dilation, "precision": self.precision}
        if self.bottleneck:
            y = nn.relu(Conv(self.channels, 1, precision=self.precision, name="conv1")(y, train=train))
            y = nn.relu(Conv(self.channels, stride=self.stride, **wide, name="conv2")(y, train=train))  # type: ignore[arg-type]
            last = {"channels": out, "kernel": 1, "precision": self.precision}
        else:
            y = nn.relu(Conv(self.channels, stride=self.stride, **wide, name="conv1")(y, train=train))  # type: ignore[arg-type]
            last = {"channels": out, **wide}
        width = out if self.temporal.relative_to == "output" else self.channels
        y = _Tail(tuple(last.items()), self.temporal, width, name="last")(y, frames, train=train)
        if x.shape != y.shape:
            x = Conv(out, 1, self.stride, precision=self.precision, name="shortcut")(x, train=train)
        return nn.relu(x + y)


class VideoResNet(nn.Module):
    """ResNet over frames; make one with ``resnet``, whose arguments its fields are.

    Attributes:
      stages: blocks of each stage.
      bottleneck: kind of the blocks.
      num_classes: classes.
      width: channels of the first stage; each further one doubles them.
      stem: "imagenet" (7x7, stride 2, pooling), "cifar" (3x3) or "deep" (three 3x3, stride 2, pooling).
      strides: step of each stage.
      dilations: of each stage.
      kernel: side of the wide kernels.
      temporal: temporal module of every block.
      dropout: share of features dropped before the classifier in training.
      precision: "highest" or "fast".
    """

    stages: tuple[int, ...]
    bottleneck: bool
    num_classes: int
    width: int
    stem: str
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    kernel: int
    temporal: TemporalConfig
    dropout: float
    precision: str

    @property
    def num_temporal(self) -> int:
        """Number of temporal modules."""
        return sum(self.stages) if self.temporal.place else 0

    @nn.compact
    def __call__(self, video: Array, *, train: bool = False, output: str = "logits") -> Any:
        """Classifies videos, or returns their feature maps.

        Args:
          video: float [batch, frames, height, width, channels].
          train: statistics of the batch in norms, which changes ``batch_stats``, and dropout, which needs a key
            ``dropout``.
          output: "logits", "frames" (logits of every frame), or "features".

        Returns:
          float [batch, num_classes] or [batch, frames, num_classes]; or the maps of all stages, a list of
          [batch * frames, height, width, channels].

        Raises:
          InputError: no video, or another output.
        """
        frames = _check(video, output)
        x = video.reshape(-1, *video.shape[2:])
        if self.stem == "cifar":
            x = nn.relu(Conv(self.width, 3, precision=self.precision, name="first")(x, train=train))
        elif self.stem == "imagenet":
            x = nn.relu(Conv(self.width, 7, 2, precision=self.precision, name="first")(x, train=train))
        else:
            for i, (channels, stride) in enumerate(((self.width, 2), (self.width, 1), (2 * self.width, 1))):
                x = nn.relu(Conv(channels, 3, stride, precision=self.precision, name=f"first{i}")(x, train=train))
        if self.stem != "cifar":
            x = max_pool(x, 3, stride=2, padding=1)
        maps = []
        for stage, blocks in enumerate(self.stages):
            for block in range(blocks):
                x = _ResidualBlock(self.width * 2**stage, self.bottleneck, self.strides[stage] if block == 0 else 1,
                                  self.dilations[stage], self.kernel, self.temporal, self.precision,
                                  name=f"stage{stage + 1}_block{block}")(x, frames, train=train)  # fmt: skip
            maps.append(x)
        return maps if output == "features" else _classify(self, x, frames, train, output)


class _InvertedBlock(nn.Module):
    """Expansion, depthwise convolution, attention over channels where asked for, projection.

    Attributes:
      channels: output channels.
      expansion: how many times wider the inside is.
      kernel: side of the depthwise kernel.
      stride: step of the block.
      efficient: EfficientNet's: SiLU and squeeze-and-excitation in place of ReLU6.
      drop: share of videos that skip the branch in training.
      temporal: the module, in blocks with a residual connection and an expansion.
      precision: "highest" or "fast".
    """

    channels: int
    expansion: int
    kernel: int
    stride: int
    efficient: bool
    drop: float
    temporal: TemporalConfig
    precision: str

    @nn.compact
    def __call__(self, x: Array, frames: int, *, train: bool = False) -> Array:
        """Applies the block: [batch * frames, height, width, channels] in and out."""
        act = nn.silu if self.efficient else nn.relu6
        residual = self.stride == 1 and x.shape[-1] == self.channels
        temporal = self.temporal if residual and self.expansion > 1 else TemporalConfig(kind="none")
        inside = x.shape[-1] * self.expansion
        y = x
        if temporal.place == "start":
            y = Temporal(temporal, x.shape[-1], self.precision, name="mixing")(y, frames, train=train)
        if self.expansion > 1:
            y = act(Conv(inside, 1, precision=self.precision, name="expand")(y, train=train))
        y = act(Conv(inside, self.kernel, self.stride, depthwise=True, precision=self.precision,
                     name="depthwise")(y, train=train))  # fmt: skip
        if self.efficient:
            squeezed = nn.silu(_pointwise(self, "squeeze", y.mean((1, 2), keepdims=True), max(1, x.shape[-1] // 4)))
            y = y * nn.sigmoid(_pointwise(self, "excite", squeezed, inside))
        last = {"channels": self.channels, "kernel": 1, "precision": self.precision}
        y = _Tail(tuple(last.items()), temporal, self.channels, name="last")(y, frames, train=train)
        if not residual:
            return y
        if train and self.drop > 0:
            kept = jax.random.bernoulli(self.make_rng("dropout"), 1 - self.drop, (y.shape[0] // frames,))
            y = y * (jnp.repeat(kept, frames)[:, None, None, None] / (1 - self.drop)).astype(y.dtype)
        return x + y


class VideoMobileNet(nn.Module):
    """MobileNetV2 or EfficientNet-B0 over frames; make one with ``mobilenet_v2`` or ``efficientnet_b0``.

    Attributes:
      layout: of the blocks, see ``MOBILENET_V2``.
      efficient: which of the two.
      num_classes: classes.
      width: factor of all channel numbers.
      stem: "imagenet" (stride 2), or "cifar" (stem and first strided stage without a step).
      temporal: temporal module of the blocks with a residual connection and an expansion.
      dropout: share of features dropped before the classifier in training.
      drop_path: of the last block; rises linearly from the first.
      precision: "highest" or "fast".
    """

    layout: tuple[tuple[int, ...], ...]
    efficient: bool
    num_classes: int
    width: float
    stem: str
    temporal: TemporalConfig
    dropout: float
    drop_path: float
    precision: str

    @property
    def num_temporal(self) -> int:
        """Number of temporal modules."""
        found, before = 0, _scaled(32, self.width)
        for stage, (_, expansion, channels, blocks, stride) in enumerate(self.layout):
            after, step = _scaled(channels, self.width), 1 if self.stem == "cifar" and stage == 1 else stride
            found += (blocks - 1 + (step == 1 and before == after)) * (expansion > 1)
            before = after
        return found if self.temporal.place else 0

    @nn.compact
    def __call__(self, video: Array, *, train: bool = False, output: str = "logits") -> Any:
        """As ``VideoResNet.__call__``; features are the maps before each step in size, and the last."""
        frames = _check(video, output)
        act = nn.silu if self.efficient else nn.relu6
        small, total, done = self.stem == "cifar", sum(row[3] for row in self.layout), 0
        x = video.reshape(-1, *video.shape[2:])
        stem = Conv(_scaled(32, self.width), 3, 1 if small else 2, precision=self.precision, name="first")
        x = act(stem(x, train=train))
        maps: list[Array] = []
        for stage, (kernel, expansion, channels, blocks, stride) in enumerate(self.layout):
            step = 1 if small and stage == 1 else stride
            if step > 1:
                maps.append(x)
            for block in range(blocks):
                x = _InvertedBlock(_scaled(channels, self.width), expansion, kernel, step if block == 0 else 1,
                                  self.efficient, self.drop_path * done / total, self.temporal, self.precision,
                                  name=f"stage{stage}_block{block}")(x, frames, train=train)  # fmt: skip
                done += 1
        if output == "features":
            return [*maps, x]
        wide = 1280 if self.efficient else max(1280, _scaled(1280, self.width))
        x = act(Conv(wide, 1, precision=self.precision, name="head")(x, train=train))
        return _classify(self, x, frames, train, output)


def _scaled(channels: int, factor: float) -> int:
    """A channel number times a factor, to a multiple of 8 and at most 10 % lower."""
    wanted = channels * factor
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


def _check(video: Array, output: str) -> int:
    if output not in OUTPUTS:
        raise InputError(f"output={output!r} of a network; allowed: {', '.join(OUTPUTS)}")
    return frames_of(video)


def _pointwise(module: _InvertedBlock, name: str, x: Array, channels: int) -> Array:
    return nn.Dense(channels, precision=PRECISIONS[module.precision], kernel_init=_linear, name=name)(x)


def _classify(module: VideoResNet | VideoMobileNet, x: Array, frames: int, train: bool, output: str) -> Array:
    """Spatial mean, dropout, linear layer, consensus; within the network."""
    x = nn.Dropout(module.dropout, deterministic=not train)(x.mean((1, 2)))
    precision = PRECISIONS[module.precision]
    x = nn.Dense(module.num_classes, precision=precision, kernel_init=_linear, name="classifier")(x)
    return consensus(x, frames, output)
