"""Convolutions and norms of many shapes in one program.

Activations of any shape lie at the front of a buffer of one size, [batch, capacity], weights in the corner of
an array as large as the widest layer needs, and a ``lax.switch`` runs a layer on its true shapes. So a
network whose widths and sizes are data is one program without wasted multiply-adds. Convolutions and norms
have switches of their own, because there are fewer shapes of norms: it compiles in half the time.

Each switch has a vjp of its own that keeps the input alone: autodiff would keep the residuals of every
branch.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax import nn
from nasjax.types import Array, PyTree


class Shape(NamedTuple):
    """Shapes of one convolution.

    Attributes:
      ins: input channels.
      outs: output channels.
      side: height and width of the input.
      stride: step; the output's side is rounded up.
    """

    ins: int
    outs: int
    side: int
    stride: int


class Convs(NamedTuple):
    """Static options of a family of convolutions.

    Attributes:
      precision: matrix precision.
      shapes: shape of each, by number.
      rectify: whether a rectifier comes first.
      passes: what the number after the last shape does: True, hand the buffer on; False, give zeros.
    """

    precision: Any
    shapes: tuple[Shape, ...]
    rectify: bool
    passes: bool


class Norms(NamedTuple):
    """Static options of a family of batch norms.

    Attributes:
      mode: batch-norm mode.
      shapes: (channels, side) of each, by number; the number after the last hands the buffer on.
      eps: added to the variance.
      momentum: weight of the new value in the running statistics.
    """

    mode: str
    shapes: tuple[tuple[int, int], ...]
    eps: float = 1e-5
    momentum: float = 0.1


class NormArgs(NamedTuple):
    """Vectors of one batch norm, float [widest] each: scale, shift, running mean and variance."""

    scale: Array
    shift: Array
    mean: Array
    var: Array


def fit(x: Array, capacity: int) -> Array:
    """Activations [batch, ...] at the front of a buffer [batch, capacity], zeros behind them."""
    flat = x.reshape(x.shape[0], -1)
    return jnp.pad(flat, ((0, 0), (0, capacity - flat.shape[1])))


def view(buffer: Array, side: int, channels: int) -> Array:
    """The activations [batch, side, side, channels] of a buffer."""
    return buffer[:, : side * side * channels].reshape(-1, side, side, channels)


def _conv(config: Convs, shape: Shape, buffer: Array, weights: Array, moments: PyTree) -> Array:
    """One convolution on its true shapes."""
    x = view(buffer, shape.side, shape.ins)
    x = jax.nn.relu(x) if config.rectify else x
    stride, pad = shape.stride, weights.shape[0] // 2
    if pad == 0 and stride > 1:
        x, stride = x[:, ::stride, ::stride], 1
    corner, own = (jax.tree.map(lambda a: a[..., : shape.ins, : shape.outs], tree) for tree in (weights, moments))
    y = nn.conv(x, corner, stride=stride, padding=pad, precision=config.precision, moments=own)
    return fit(y, buffer.shape[1])


# Inner jit: one trace, however often a family stands in a program.
@functools.partial(jax.jit, static_argnums=0)
def _conv_value(config: Convs, number: Array, buffer: Array, weights: Array) -> Array:
    branches = [functools.partial(_conv, config, shape, moments=None) for shape in config.shapes]
    rest = (lambda buffer, weights: buffer) if config.passes else (lambda buffer, weights: jnp.zeros_like(buffer))
    out: Array = lax.switch(number, [*branches, rest], buffer, weights)
    return out


@functools.partial(jax.jit, static_argnums=0)
def _conv_gradient(
    config: Convs, number: Array, buffer: Array, weights: Array, moments: PyTree, dout: Array
) -> tuple[Array, Array, PyTree]:
    def run(shape: Shape, buffer: Array, weights: Array, moments: PyTree, dout: Array) -> Any:
        gradients: Any = jax.vjp(functools.partial(_conv, config, shape), buffer, weights, moments)[1](dout)
        return gradients

    def rest(buffer: Array, weights: Array, moments: PyTree, dout: Array) -> Any:
        dbuffer = dout if config.passes else jnp.zeros_like(buffer)
        return (dbuffer, *jax.tree.map(jnp.zeros_like, (weights, moments)))

    branches = [functools.partial(run, shape) for shape in config.shapes]
    return lax.switch(number, [*branches, rest], buffer, weights, moments, dout)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv(config: Convs, number: Array, buffer: Array, weights: Array, moments: PyTree) -> Array:
    """Runs one convolution.

    Args:
      config: static options.
      number: int32 [], which shape; the number of shapes for none, see `Convs.passes`.
      buffer: float [batch, capacity], input.
      weights: float [k, k, in, out], as large as the widest needs.
      moments: reader of `nasjax.nn` shaped like the weights, or None.

    Returns:
      output buffer, float [batch, capacity].
    """
    del moments
    return _conv_value(config, number, buffer, weights)


def _conv_fwd(config: Convs, number: Array, buffer: Array, weights: Array, moments: PyTree) -> Any:
    return _conv_value(config, number, buffer, weights), (number, buffer, weights, moments)


def _conv_bwd(config: Convs, saved: Any, dout: Array) -> Any:
    return np.zeros(saved[0].shape, jax.dtypes.float0), *_conv_gradient(config, *saved, dout)


conv.defvjp(_conv_fwd, _conv_bwd)


def _norm(config: Norms, shape: tuple[int, int], buffer: Array, args: NormArgs) -> tuple[Array, Array, Array]:
    """One batch norm on its true shapes: buffer, running mean and variance."""
    channels, side = shape
    used = NormArgs(*(a[:channels] for a in args))
    y, stats = nn.batch_norm(
        view(buffer, side, channels),
        used.scale,
        used.shift,
        stats=(used.mean, used.var),
        mode=config.mode,
        eps=config.eps,
        momentum=config.momentum,
    )
    assert stats is not None
    mean, var = (jnp.concatenate([new, old[channels:]]) for new, old in zip(stats, (args.mean, args.var), strict=True))
    return fit(y, buffer.shape[1]), mean, var


@functools.partial(jax.jit, static_argnums=0)
def _norm_value(config: Norms, number: Array, buffer: Array, args: NormArgs) -> tuple[Array, Array, Array]:
    branches = [functools.partial(_norm, config, shape) for shape in config.shapes]
    return lax.switch(number, [*branches, lambda buffer, args: (buffer, args.mean, args.var)], buffer, args)


@functools.partial(jax.jit, static_argnums=0)
def _norm_gradient(config: Norms, number: Array, buffer: Array, args: NormArgs, dout: Array) -> tuple[Array, NormArgs]:
    def run(shape: tuple[int, int], buffer: Array, args: NormArgs, dout: Array) -> Any:
        gradients: Any = jax.vjp(lambda buffer, args: _norm(config, shape, buffer, args)[0], buffer, args)[1](dout)
        return gradients

    branches = [functools.partial(run, shape) for shape in config.shapes]
    rest = lambda buffer, args, dout: (dout, jax.tree.map(jnp.zeros_like, args))  # noqa: E731
    return lax.switch(number, [*branches, rest], buffer, args, dout)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def norm(config: Norms, number: Array, buffer: Array, args: NormArgs) -> tuple[Array, Array, Array]:
    """Runs one batch norm.

    Args:
      config: static options.
      number: int32 [], which shape; the number of shapes for none.
      buffer: float [batch, capacity], input.
      args: its vectors.

    Returns:
      output buffer, running mean and variance.
    """
    return _norm_value(config, number, buffer, args)


def _norm_fwd(config: Norms, number: Array, buffer: Array, args: NormArgs) -> Any:
    return _norm_value(config, number, buffer, args), (number, buffer, args)


def _norm_bwd(config: Norms, saved: Any, cotangents: tuple[Array, Array, Array]) -> Any:
    gradients = _norm_gradient(config, *saved, cotangents[0])  # statistics carry no gradient
    return np.zeros(saved[0].shape, jax.dtypes.float0), *gradients


norm.defvjp(_norm_fwd, _norm_bwd)
