"""Convolution and batch norm, a pool, or nothing: the unit of which NAS-Bench-101 cells are made."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax import nn
from nasjax.types import Array, PyTree


class UnitConfig(NamedTuple):
    """Static options of a unit.

    Attributes:
      norm: batch-norm mode.
      precision: matrix precision.
      ops: what each kind does: "none" gives zeros, "kernel" and "pointwise" convolve with the weight, "centre"
        with its middle tap, all followed by batch norm; "pool" is the 3x3 maximum.
    """

    norm: str
    precision: Any
    ops: tuple[str, ...]


class Unit(NamedTuple):
    """Arrays one unit owns.

    Attributes:
      weight: float [k, k, in, out].
      scale: float [out], of the batch norm.
      shift: float [out].
      mean: float [out], running.
      var: float [out], running.
    """

    weight: Array
    scale: Array
    shift: Array
    mean: Array
    var: Array


Result = tuple[Array, Array, Array]  # output, running mean, running variance


def _convolve(config: UnitConfig, op: str, x: Array, weight: Array, moments: PyTree) -> Array:
    if op == "centre":
        weight, moments = jax.tree.map(lambda a: a[1:2, 1:2], (weight, moments))
    return nn.conv(x, weight, precision=config.precision, moments=moments)


def _normalise(config: UnitConfig, y: Array, args: Unit) -> Result:
    out, stats = nn.batch_norm(y, args.scale, args.shift, stats=(args.mean, args.var), mode=config.norm)
    assert stats is not None
    return out, stats[0], stats[1]


# Inner jit: the units of a cell are traced once.
@functools.partial(jax.jit, static_argnums=0)
def shown_unit(config: UnitConfig, kind: Array, x: Array, args: Unit) -> tuple[Result, Array]:
    """What `unit` returns, and the output of the convolution, zeros without one."""
    zero = jnp.zeros((*x.shape[:3], args.scale.shape[0]), x.dtype)

    def branch(op: str) -> Any:
        if op == "none":
            return lambda: ((zero, args.mean, args.var), zero)
        if op == "pool":
            return lambda: ((nn.max_pool(x, 3), args.mean, args.var), zero)

        def convolved() -> tuple[Result, Array]:
            y = _convolve(config, op, x, args.weight, None)
            return _normalise(config, y, args), y

        return convolved

    return lax.switch(kind, [branch(op) for op in config.ops])


@functools.partial(jax.jit, static_argnums=0)
def _gradient(
    config: UnitConfig, kind: Array, x: Array, args: Unit, moments: PyTree, y: Array, dout: Array
) -> tuple[Array, Unit, PyTree]:
    """Gradients with respect to the input, the arrays of the unit, and the moments."""
    idle = (jnp.zeros_like(x), jax.tree.map(jnp.zeros_like, args), jax.tree.map(jnp.zeros_like, moments))

    def branch(op: str) -> Any:
        if op == "none":
            return lambda: idle
        if op == "pool":
            return lambda: (jax.vjp(lambda x: nn.max_pool(x, 3), x)[1](dout)[0], *idle[1:])

        def convolved() -> tuple[Array, Unit, PyTree]:
            def after(y: Array, scale: Array, shift: Array) -> Array:
                return _normalise(config, y, args._replace(scale=scale, shift=shift))[0]

            dy, dscale, dshift = jax.vjp(after, y, args.scale, args.shift)[1](dout)
            before = functools.partial(_convolve, config, op)
            dx, dweight, dmoments = jax.vjp(before, x, args.weight, moments)[1](dy)
            return dx, idle[1]._replace(weight=dweight, scale=dscale, shift=dshift), dmoments

        return convolved

    return lax.switch(kind, [branch(op) for op in config.ops])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def unit(config: UnitConfig, kind: Array, x: Array, args: Unit, moments: PyTree) -> Result:
    """Runs one unit, without rectifier.

    Its own vjp keeps input and convolution output: autodiff of a switch would keep those of every branch.

    Args:
      config: static options.
      kind: int32 [], index into ``config.ops``.
      x: float [batch, height, width, in].
      args: arrays of the unit.
      moments: `nasjax.nn.Moments` of the weight's shape, or None.

    Returns:
      output float [batch, height, width, out], running mean and variance float [out].
    """
    del moments
    return shown_unit(config, kind, x, args)[0]


def _fwd(config: UnitConfig, kind: Array, x: Array, args: Unit, moments: PyTree) -> Any:
    result, y = shown_unit(config, kind, x, args)
    return result, (kind, x, args, moments, y)


def _bwd(config: UnitConfig, saved: Any, cotangents: Result) -> Any:
    kind, x, args, moments, y = saved
    # Running statistics carry no gradient.
    dx, dargs, dmoments = _gradient(config, kind, x, args, moments, y, cotangents[0])
    return np.zeros(kind.shape, jax.dtypes.float0), dx, dargs, dmoments


unit.defvjp(_fwd, _bwd)
