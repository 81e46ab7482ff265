"""The operations of a DARTS cell, on one edge."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nasjax import nn
from nasjax.spaces import darts_codec as codec
from nasjax.types import Array, PyTree

KERNELS = {codec.SEP3: 3, codec.SEP5: 5, codec.DIL3: 3, codec.DIL5: 5}
SEPARABLE = (codec.SEP3, codec.SEP5)
LARGEST = 5


class EdgeConfig(NamedTuple):
    """Static options of an edge.

    Attributes:
      norm: batch-norm mode.
      precision: matrix precision.
      pool_norm: whether a norm follows a pool.
      outputs: whether the outputs of convolutions are wanted.
      fast: see `nasjax.nn.conv`; False where forward-mode derivatives are taken.
    """

    norm: str
    precision: Any
    pool_norm: bool
    outputs: bool = False
    fast: bool | None = None


class Edge(NamedTuple):
    """Arrays one edge owns.

    Attributes:
      weights: "depthwise" [2, 5, 5, 1, C] and "pointwise" [2, 1, 1, C, C], of the first and the second half of a
        separable convolution, a dilated one has the first only, a 3x3 kernel is the middle of the 5x5; in a
        reduction cell also "skip" [2, 1, 1, C, C / 2] for even and odd pixels.
      scale: float [2, C], of the norms of both halves; None without.
      shift: float [2, C], or None.
      mean: float [2, C], running.
      var: float [2, C], running.
      kept: float [batch], what the output of each image is multiplied by, see `nasjax.spaces.drop`; None for nothing.
    """

    weights: dict[str, Array]
    scale: Array | None
    shift: Array | None
    mean: Array
    var: Array
    kept: Array | None = None


class Result(NamedTuple):
    """What an operation gives.

    Attributes:
      output: float [batch, height / stride, width / stride, C].
      inner: what the second rectifier of a separable convolution reads, else zeros; of the shape of ``output``.
      mean: float [2, C], running.
      var: float [2, C], running.
      outputs: what the convolutions give, float [k, ...] of the shape of ``output``, zero for those that the operation
        lacks: of both halves the depthwise and the pointwise one, and with "skip" weights those of even and odd
        pixels, with zeros behind. None unless asked for.
    """

    output: Array
    inner: Array
    mean: Array
    var: Array
    outputs: Array | None = None


def even_and_odd(x: Array) -> tuple[Array, Array]:
    """Every second pixel, from the first and from the second on, of an image of even size."""
    return x[:, ::2, ::2], x[:, 1::2, 1::2]


def operation(config: EdgeConfig, op: int, stride: int, x: Array, edge: Edge, moments: PyTree) -> Result:
    """One operation.

    Args:
      config: static options.
      op: number of the operation, static.
      stride: 1 or 2.
      x: float [batch, height, width, C].
      edge: arrays of the edge.
      moments: readers of `nasjax.nn` shaped like the weights, or None.

    Returns:
      output and running statistics; statistics of norms that it lacks are unchanged.
    """
    mean, var = list(edge.mean), list(edge.var)
    size = [-(-n // stride) for n in x.shape[1:3]]
    zero = jnp.zeros((x.shape[0], *size, x.shape[-1]), x.dtype)
    shown = [zero] * (2 * edge.mean.shape[0] + 2 * ("skip" in edge.weights))

    def norm(y: Array, half: int, affine: bool = True) -> Array:
        scale, shift = (a[half] if affine and a is not None else None for a in (edge.scale, edge.shift))
        z, new = nn.batch_norm(y, scale, shift, stats=(edge.mean[half], edge.var[half]), mode=config.norm)
        assert new is not None
        mean[half], var[half] = new
        return z

    def own(name: str, index: Any) -> tuple[Array, PyTree]:
        """Part of the weights of a name, and of their readers."""
        tree = (edge.weights[name], None if moments is None else moments[name])
        weight, reader = jax.tree.map(lambda a: a[index], tree)
        return weight, reader

    def half(y: Array, number: int, stride: int, dilation: int) -> Array:
        """Rectifier, depthwise and pointwise convolution, norm."""
        kernel = KERNELS[op]
        rim = (LARGEST - kernel) // 2
        middle = slice(rim, rim + kernel)
        weight, reader = own("depthwise", (number, middle, middle))
        y = nn.depthwise_conv(
            jax.nn.relu(y),
            weight,
            stride=stride,
            padding=kernel // 2 * dilation,
            dilation=dilation,
            moments=reader,
            fast=config.fast is not False,
        )
        weight, reader = own("pointwise", number)
        z = nn.conv(y, weight, precision=config.precision, moments=reader, fast=config.fast)
        shown[2 * number : 2 * number + 2] = y, z
        return norm(z, number)

    def reduce() -> Array:
        parts = []
        for number, pixels in enumerate(even_and_odd(jax.nn.relu(x))):
            weight, reader = own("skip", number)
            parts.append(nn.conv(pixels, weight, precision=config.precision, moments=reader, fast=config.fast))
        shown[-2:] = (jnp.concatenate([part, jnp.zeros_like(part)], -1) for part in parts)
        return norm(jnp.concatenate(parts, -1), 0)

    inner = zero
    if op in SEPARABLE:
        inner = half(x, 0, stride, 1)
        out = half(inner, 1, 1, 1)
    elif op in KERNELS:
        out = half(x, 0, stride, 2)
    elif op == codec.SKIP:
        out = x if stride == 1 else reduce()
    elif op == codec.NONE:
        out = zero
    else:
        pool = nn.max_pool if op == codec.MAX else nn.avg_pool
        out = pool(x, 3, stride=stride, padding=1, fast=config.fast)
        if config.pool_norm:
            out = norm(out, 0, affine=False)
    if edge.kept is not None and not (op == codec.SKIP and stride == 1):  # as DARTS, which keeps identities
        out = out * edge.kept[:, None, None, None]
    return Result(out, inner, jnp.stack(mean), jnp.stack(var), jnp.stack(shown) if config.outputs else None)
