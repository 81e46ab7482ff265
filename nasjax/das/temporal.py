"""Temporal modules that let a 2-D network see its neighbouring frames: TSM, GSM and GSF.

Layout everywhere: video [batch, frames, height, width, channels]. Equations: Lin et al. 2019 (TSM), Sudhakaran et al.
2020 (GSM) and 2023 (GSF). A frame outside the video is zero.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from nasjax.types import Array, InputError

KINDS = ("none", "tsm", "gsm", "gsf")
DIRECTIONS = ("both", "past", "future")
PRECISIONS: dict[str, lax.Precision | None] = {"highest": lax.Precision.HIGHEST, "fast": None}

_uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # of PyTorch's layers: 1 / sqrt(fan in)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemporalConfig:
    """Which temporal module a network has, and where.

    Attributes:
      kind: "none", "tsm", "gsm" or "gsf".
      ratio: share of the channels that GSM and GSF treat, rounded up to a multiple of 4; TSM always shifts two eighths.
        The code of DAS has 0.25, an author's note 1.0.
      direction: "both" neighbours, or "past" or "future" frames alone; "past" suits a stream of frames.
      placement: "start" of the residual branch (TSM's own), "end", after its last convolution and before the norm (that
        of DAS), or "auto", which is each method's own.
      relative_to: what ``ratio`` counts in a bottleneck, "inner" (input of its last convolution) or "output".
      start: "reference", or "identity": gates and fusion start near zero and channels are not interleaved, so that a
        pretrained network is hardly changed. The published modules permute channels, and GSF halves them, at the start.
    """

    kind: str = "gsf"
    ratio: float = 0.25
    direction: str = "both"
    placement: str = "auto"
    relative_to: str = "inner"
    start: str = "reference"

    def __post_init__(self) -> None:
        """Checks every field."""
        for name, allowed in (("kind", KINDS), ("direction", DIRECTIONS), ("placement", ("auto", "start", "end")),
                              ("relative_to", ("inner", "output")), ("start", ("reference", "identity"))):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r} of a temporal module; allowed: {', '.join(allowed)}")
        if not 0 < self.ratio <= 1:
            raise InputError(f"ratio={self.ratio} of a temporal module; allowed: above 0, at most 1")

    @property
    def place(self) -> str:
        """Where in the residual branch it is: "start" or "end", or "" without a module."""
        if self.kind == "none":
            return ""
        return self.placement if self.placement != "auto" else ("start" if self.kind == "tsm" else "end")

    def channels(self, width: int) -> int:
        """How many channels GSM and GSF treat, of a layer of ``width`` channels.

        Args:
          width: channels that ``ratio`` counts.

        Returns:
          A multiple of 4.
        """
        return 4 * math.ceil(round(width * self.ratio, 6) / 4)


def shift(video: Array, step: int) -> Array:
    """Moves frames along time, zeros coming in.

    Args:
      video: float [batch, frames, ...].
      step: 1 gives every frame its predecessor, -1 its successor.

    Returns:
      Array of the same shape.
    """
    return _moved(video, 1, -step)


def interleave(half: Array) -> Array:
    """Channel 2j+i takes channel i*(n/2)+j, i in {0, 1}, of n channels.

    Args:
      half: float [..., n], n even.

    Returns:
      Array of the same shape.
    """
    return half.reshape(*half.shape[:-1], 2, -1).swapaxes(-1, -2).reshape(half.shape)


def temporal_shift(video: Array, *, direction: str = "both") -> Array:
    """TSM: an eighth of the channels comes from the next frame, an eighth from the one before.

    Args:
      video: float [batch, frames, height, width, channels].
      direction: "both"; with "past" or "future" both eighths come from there.

    Returns:
      Array of the same shape.

    Raises:
      InputError: fewer than eight channels, of which nothing would move.
    """
    fold = video.shape[-1] // 8
    if not fold:
        raise InputError(f"tsm moves an eighth of the channels, and the layer has {video.shape[-1]}; do: widen it to 8 "
                         "or more, or choose gsm or gsf")  # fmt: skip
    first, second = _steps(direction)
    parts = [shift(video[..., :fold], first), shift(video[..., fold : 2 * fold], second), video[..., 2 * fold :]]
    return jnp.concatenate(parts, -1)


def narrow_conv(x: Array, kernel: Array, *, precision: lax.Precision | None = lax.Precision.HIGHEST) -> Array:
    """Convolution to one channel, of any rank, zero padded to the same size.

    Written as one product (all taps as output channels) and shifted sums: its gradient needs no convolution.

    Args:
      x: float [batch, *sizes, channels].
      kernel: float [*taps, channels], an odd number of taps along every axis.
      precision: of the product.

    Returns:
      float [batch, *sizes].
    """
    taps = kernel.shape[:-1]
    rows, pixels = kernel.reshape(-1, kernel.shape[-1]), x.reshape(-1, x.shape[-1])
    # Taps lead, so that each is one piece of memory.
    out = lax.dot_general(rows, pixels, (((1,), (1,)), ((), ())), precision=precision)
    out = out.reshape(*taps, *x.shape[:-1])
    for count in taps:
        # What is left is [taps to come, batch, sizes]: the axis of these taps is always at this place.
        parts = [_moved(out[i], len(taps), i - count // 2) for i in range(count)]
        out = functools.reduce(operator.add, parts)
    return out


class GSM(nn.Module):
    """Gate-shift module: gated channels move along time, the rest of them stays.

    u = relu(BN(x)); g = tanh(conv3d(u)), a gate for each half of the channels; y = g x; out = shift(y) + x - y, the
    first half from the next frame and the second from the one before; halves are interleaved. The convolution starts
    at zero.
    Gates [batch, frames, height, width, 2] are sown into the collection ``intermediates`` as ``gates``.

    Attributes:
      direction: see ``TemporalConfig``.
      start: see ``TemporalConfig``.
      precision: "highest" or "fast".
    """

    direction: str = "both"
    start: str = "reference"
    precision: str = "highest"

    @nn.compact
    def __call__(self, video: Array, *, train: bool = False) -> Array:
        """Treats all channels.

        Args:
          video: float [batch, frames, height, width, channels], channels a multiple of 4.
          train: whether the norm uses the statistics of this batch.

        Returns:
          Array of the same shape.
        """
        return _gated(self, video, train, fused=False)


class GSF(nn.Module):
    """Gate-shift-fuse module: as ``GSM``, and channel weights fuse what moved with what stayed.

    With y and g as in ``GSM``, s = shift(y) and r = x - y: w = sigmoid(conv2d of the spatial means of s and r over
    channel and time); out = w s + (1 - w) r. 29 F + 40 parameters for F channels. Convolutions start as PyTorch's do,
    so the module is no identity at the start.
    Gates [batch, frames, height, width, 2] are sown into the collection ``intermediates`` as ``gates``.

    Attributes:
      direction: see ``TemporalConfig``.
      start: see ``TemporalConfig``.
      precision: "highest" or "fast".
    """

    direction: str = "both"
    start: str = "reference"
    precision: str = "highest"

    @nn.compact
    def __call__(self, video: Array, *, train: bool = False) -> Array:
        """Treats all channels; see ``GSM.__call__``.

        Args:
          video: float [batch, frames, height, width, channels], channels a multiple of 4.
          train: whether the norm uses the statistics of this batch.

        Returns:
          Array of the same shape.
        """
        return _gated(self, video, train, fused=True)


class Temporal(nn.Module):
    """The temporal module of a configuration, on the frames of a 2-D network.

    Attributes:
      config: which module.
      width: channels that the ratio counts.
      precision: "highest" or "fast".
    """

    config: TemporalConfig
    width: int
    precision: str = "highest"

    @nn.compact
    def __call__(self, x: Array, frames: int, *, train: bool = False) -> Array:
        """Mixes neighbouring frames.

        Args:
          x: float [batch * frames, height, width, channels].
          frames: frames of a video.
          train: whether norms use the statistics of this batch.

        Returns:
          Array of the same shape.
        """
        config = self.config
        if config.kind == "none":
            return x
        video = x.reshape(-1, frames, *x.shape[1:])
        if config.kind == "tsm":
            return temporal_shift(video, direction=config.direction).reshape(x.shape)
        treated = config.channels(self.width)
        if treated > x.shape[-1]:
            raise InputError(f"{config.kind} needs {treated} channels, the layer has {x.shape[-1]}; do: widen it")
        kind = GSM if config.kind == "gsm" else GSF
        module = kind(config.direction, config.start, self.precision, name=config.kind)
        mixed = module(video[..., :treated], train=train)
        return jnp.concatenate([mixed, video[..., treated:]], -1).reshape(x.shape)


def _gated(module: GSM | GSF, video: Array, train: bool, *, fused: bool) -> Array:
    """The computation of GSM and GSF, within their scope."""
    channels = video.shape[-1]
    if video.ndim != 5 or channels % 4:
        raise InputError(f"video {video.shape}; need [batch, frames, height, width, channels], a multiple of 4 of them")
    precision = PRECISIONS[module.precision]
    gentle = module.start == "identity"
    starts_at_zero = gentle or not fused
    kernel_init = nn.initializers.zeros_init() if starts_at_zero else _uniform
    kernel = module.param("kernel", kernel_init, (3, 3, 3, channels // 2, 2))
    bias_init = nn.initializers.zeros_init() if starts_at_zero else _bias(27 * channels // 2)
    bias = module.param("bias", bias_init, (2,))
    u = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, name="norm")(video))
    halves = jnp.split(video, 2, -1)
    outs, gates = [], []
    for i, (x, seen, step) in enumerate(zip(halves, jnp.split(u, 2, -1), _steps(module.direction), strict=True)):
        gate = jnp.tanh(narrow_conv(seen, kernel[..., i], precision=precision) + bias[i])[..., None]
        y = gate * x
        moved, rest = shift(y, step), x - y
        if fused:
            weight = _fusion(module, f"fusion{i}", moved, rest, gentle, precision)
            out = moved * weight + rest * (1 - weight)
        else:
            out = moved + rest
        outs.append(out if gentle else interleave(out))
        gates.append(gate)
    module.sow("intermediates", "gates", jnp.concatenate(gates, -1))
    return jnp.concatenate(outs, -1)


def _fusion(
    module: GSM | GSF, name: str, moved: Array, rest: Array, gentle: bool, precision: lax.Precision | None
) -> Array:
    """Channel weights of a half: [batch, frames, 1, 1, channels]."""
    kernel_init = nn.initializers.zeros_init() if gentle else _uniform
    kernel = module.param(f"{name}_kernel", kernel_init, (3, 3, 2, 1))
    bias = module.param(f"{name}_bias", nn.initializers.constant(-6.0) if gentle else _bias(18), (1,))
    means = jnp.stack([moved.mean((2, 3)), rest.mean((2, 3))], -1).swapaxes(1, 2)  # [batch, channels, frames, 2]
    weight = jax.nn.sigmoid(narrow_conv(means, kernel[..., 0], precision=precision) + bias[0])
    return weight.swapaxes(1, 2)[:, :, None, None]


def _bias(fan_in: int) -> nn.initializers.Initializer:
    """PyTorch's law of a bias: uniform within 1 / sqrt(fan in)."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def _steps(direction: str) -> tuple[int, int]:
    """By how many frames the two groups of channels move."""
    return {"both": (-1, 1), "past": (1, 1), "future": (-1, -1)}[direction]


def _moved(x: Array, axis: int, offset: int) -> Array:
    """Position p holds what p + offset held, zero outside."""
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (-offset, offset, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), config)
