"""Readers: what a layer's backward reduces on the spot and emits as the "gradient" of a dummy operand.

A reader is a NamedTuple of arrays shaped like the layer's weight. Its zeros are given to the layer; differentiating
with respect to them gives the statistic. `Moments` and `Signs` reduce the per-sample weight gradients,
`Fisher` the layer's output and its cotangent.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from nasjax.nn.common import Moments, sample_moments
from nasjax.nn.norm import probe
from nasjax.types import Array


class Signs(NamedTuple):
    """Moments of the per-sample gradients, and how far their signs agree.

    Attributes:
      moments: moments over the samples.
      signs: sum over the samples of the gradient's sign; shape of the weight.
    """

    moments: Moments
    signs: Array

    @classmethod
    def zeros_like(cls, weight: Array) -> Signs:
        """The dummy operand of a weight."""
        return cls(Moments.zeros_like(weight), jnp.zeros_like(weight))

    @classmethod
    def of_samples(cls, gradients: Array) -> Signs:
        """Reduces gradients [n, ...] over the leading axis."""
        return cls(sample_moments(gradients), jnp.sign(gradients).sum(0))


class Fisher(NamedTuple):
    """Fisher information of the output channels.

    Attributes:
      fisher: ``mean_n (sum_positions a da)^2 / 2`` of output a and cotangent da, the last axis of both being
        the channel, at every weight of the channel; shape of the weight.
    """

    fisher: Array

    @classmethod
    def zeros_like(cls, weight: Array) -> Fisher:
        """The dummy operand of a weight."""
        return cls(jnp.zeros_like(weight))


@dataclasses.dataclass(frozen=True)
class _FisherOf:
    """The reduction to `Fisher`; a value, so that equal ones are one static argument."""

    shape: tuple[int, ...]

    def __call__(self, x: Array, dy: Array, /) -> Fisher:
        channels = x.shape[-1]
        by_sample = (x * dy).reshape(x.shape[0], -1, channels).sum(1)
        fisher = 0.5 * jnp.square(by_sample).mean(0)
        return Fisher(jnp.broadcast_to(fisher.reshape((1,) * (len(self.shape) - 1) + (channels,)), self.shape))


def observe(output: Array, dummy: Any) -> Array:
    """Identity on the output of a layer, which fills a reader of outputs; other readers, and None, pass by.

    Args:
      output: float [..., channels], of the layer.
      dummy: zeros of a reader, or None.

    Returns:
      ``output``.
    """
    return probe(output, dummy, _FisherOf(dummy.fisher.shape)) if isinstance(dummy, Fisher) else output


def split_readers(dummies: Any) -> tuple[Any, Any]:
    """(dummies, None) for readers of samples, (None, dummies) for readers of outputs, (None, None) for None."""
    leaves = jax.tree.leaves(dummies, is_leaf=lambda d: isinstance(d, (Moments, Signs, Fisher)))
    outputs = any(isinstance(leaf, Fisher) for leaf in leaves)
    return (None, dummies) if outputs else (dummies, None)


class Layer(Protocol):
    """Static description of a layer that is linear in its weight."""

    def forward(self, x: Array, w: Array) -> Array:
        """Output."""
        ...

    def input_gradient(self, dy: Array, w: Array, size: tuple[int, ...]) -> Array:
        """dL/dx for an input of spatial ``size``."""
        ...

    def sample_kernel_gradients(self, x: Array, dy: Array, kernel: tuple[int, int]) -> Array:
        """The summands of dL/dw by sample: [batch, *weight shape]."""
        ...


def reads_samples(dummy: Any) -> bool:
    """Whether a dummy operand is a reader of per-sample weight gradients."""
    return isinstance(dummy, (Moments, Signs))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _read(layer: Layer, reader: Any, x: Array, w: Array, dummy: Any) -> Array:
    del reader, dummy
    return layer.forward(x, w)


def _read_fwd(layer: Layer, reader: Any, x: Array, w: Array, dummy: Any) -> tuple[Array, tuple[Array, Array]]:
    del reader, dummy
    return layer.forward(x, w), (x, w)


def _read_bwd(layer: Layer, reader: Any, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array, Any]:
    x, w = saved
    summands = layer.sample_kernel_gradients(x, dy, (w.shape[0], w.shape[1]))
    # The loss is a mean over the batch: times B, a summand is on the scale of a single-sample gradient.
    reading = reader.of_samples(summands * x.shape[0])
    return layer.input_gradient(dy, w, x.shape[1:3]), summands.sum(0), reading


_read.defvjp(_read_fwd, _read_bwd)


def read(layer: Layer, x: Array, w: Array, dummy: Any) -> Array:
    """Output of a layer whose backward fills a reader of per-sample weight gradients."""
    return _read(layer, type(dummy), x, w, dummy)
