"""Heads of the seven tasks of TransNAS-Bench-101 behind an encoder: a matrix, or a decoder to image size.

The decoders are those of the benchmark: 3x3 convolutions and transposed convolutions of stride 2 with bias,
batch norm and a leaky rectifier. Which layers double the image depends on how often the encoder has halved
it; the channels do not. The benchmark's widest layer has 1,024 channels for an encoder of base width 64;
here it scales with the base width. Leaky rectifiers are no tap sites: the official codes of activation
patterns look at rectifiers alone, and the decoder is not what is searched.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import initial, torch_layout
from nasjax.spaces.runner import Runner
from nasjax.spaces.transnas_tasks import JIGSAW_GRID, Task
from nasjax.types import Array, PyTree

NAME = "head"  # of the linear layer, as in the official network with its own head
_NEVER, _ALWAYS = 99, 0


class Layer(NamedTuple):
    """A layer of a head.

    Attributes:
      name: module name in the official code.
      ins: input channels.
      outs: output channels.
      doubles_from: the layer doubles the image if the encoder halved it at least so often.
      last: whether neither norm nor rectifier follows.
    """

    name: str
    ins: int
    outs: int
    doubles_from: int
    last: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights."""
        return (self.ins, self.outs) if self.name == NAME else (3, 3, self.ins, self.outs)


def plan(task: Task, features: int, base: int, outputs: int) -> tuple[Layer, ...]:
    """The weight layers of a head, in forward order.

    Args:
      task: task.
      features: channels of the encoder's output.
      base: base width of the encoder.
      outputs: number of outputs.

    Returns:
      layers.
    """
    if task.head in ("linear", "jigsaw"):
        parts = JIGSAW_GRID**2 if task.head == "jigsaw" else 1
        return (Layer(NAME, parts * features, outputs, _NEVER, True),)
    widths = [max(16 * base >> k, 1) for k in range(7)]  # 1024, 512, ..., 16 for a base width of 64
    if task.head == "segmentation":
        chain = [(features, widths[0], _NEVER)]
        chain += [(widths[k], widths[k + 1], 6 - k) for k in range(5)]
        chain += [(widths[5], widths[5], _ALWAYS), (widths[5], outputs, _NEVER)]
        names = [f"decoder.model.{i}.conv" for i in range(len(chain))]
    else:
        chain = [(features, widths[0], _NEVER), (widths[0], widths[0], _NEVER)]
        chain += [(widths[0], widths[1], 6), (widths[1], widths[1], _NEVER)]
        chain += [(widths[1], widths[2], 5), (widths[2], widths[3], _NEVER)]
        chain += [(widths[3], widths[4], 4), (widths[4], widths[4], _NEVER)]
        chain += [(widths[4], widths[5], 3), (widths[5], widths[5], _NEVER)]
        chain += [(widths[5], widths[6], _ALWAYS), (widths[6], widths[5], _NEVER)]
        chain += [(widths[5], widths[6], _ALWAYS), (widths[6], outputs, _NEVER)]
        names = [f"decoder.conv{i}.conv" for i in range(1, len(chain) + 1)]
    last = len(chain) - 1
    return tuple(Layer(n, *sizes, i == last) for i, (n, sizes) in enumerate(zip(names, chain, strict=True)))


def weight_laws(layers: tuple[Layer, ...], law: str, halvings: Any, first_ins: Any = None) -> tuple[PyTree, PyTree]:
    """How weights and biases are drawn, by layer name.

    Args:
      layers: of `plan`.
      law: see `nasjax.spaces.initial.weight`.
      halvings: how often the encoder halves the image; may be traced.
      first_ins: input channels of the first layer that are in use; may be traced; all by default.

    Returns:
      trees of `nasjax.spaces.initial.Draw`.
    """
    weights, biases = {}, {}
    for i, layer in enumerate(layers):
        taps = math.prod(layer.shape[:-2])
        ins = layer.ins if i or first_ins is None else first_ins
        # PyTorch takes the fans of a transposed convolution the other way round.
        fan_in: Any = taps * ins
        fan_out: Any = taps * layer.outs
        if layer.doubles_from != _NEVER:
            swap = jnp.asarray(halvings) >= layer.doubles_from
            fan_in, fan_out = jnp.where(swap, fan_out, fan_in), jnp.where(swap, fan_in, fan_out)
        weights[layer.name] = initial.weight(layer.shape, law, fan=(fan_in, fan_out))
        biases[layer.name] = initial.bias(layer.outs, fan_in, law)
    return weights, biases


def norm_shapes(layers: tuple[Layer, ...]) -> PyTree:
    """Shapes of one vector of every batch norm, by layer name."""
    return {layer.name: (layer.outs,) for layer in layers if not layer.last}


def num_params(layers: tuple[Layer, ...]) -> int:
    """Weights, biases and norms."""
    norms = sum(2 * layer.outs for layer in layers if not layer.last)
    return norms + sum(math.prod(layer.shape) + layer.outs for layer in layers)


def torch_places(rows: np.ndarray | None = None) -> dict[str, torch_layout.Place]:
    """Where the tensors of the linear head go.

    Args:
      rows: inputs in use, int; all by default.

    Returns:
      tensor name -> place.
    """
    bias: torch_layout.Place = ("params", ("bias", NAME, NAME), None)
    places = torch_layout.weight(NAME, NAME, NAME, index=None if rows is None else (rows,))
    return places | {f"{NAME}.bias": bias}


def macs(layers: tuple[Layer, ...], side: int, halvings: int) -> int:
    """Multiply-adds for one image. A transposed convolution counts its kernel once for each input position.

    Args:
      layers: of `plan`.
      side: height of the encoder's output.
      halvings: how often the encoder halved the image.

    Returns:
      exact count.
    """
    if layers[0].name == NAME:
        return layers[0].ins * layers[0].outs
    total = 0
    for layer in layers:
        total += 9 * layer.ins * layer.outs * side**2
        side *= 2 if halvings >= layer.doubles_from else 1
    return total


def classify(runner: Runner, features: Array) -> Array:
    """Linear layer on pooled features [batch, channels]: logits [batch, outputs]."""
    return runner.linear(features, NAME, NAME)


def decode(runner: Runner, task: Task, layers: tuple[Layer, ...], x: Array, halvings: int) -> Array:
    """Decoder: features [batch, h, w, channels] to [batch, image height, image width, outputs].

    With ``rescale`` the final tanh of the generative decoder is left out: only what is linear in the scale
    can be rescaled.
    """
    leaky = functools.partial(jax.nn.leaky_relu, negative_slope=0.2)
    for layer in layers:
        if halvings >= layer.doubles_from:
            x = jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 0)])
            x = runner.conv(x, NAME, layer.name, bias=True, padding=((1, 2), (1, 2)))
        else:
            x = runner.conv(x, NAME, layer.name, bias=True)
        if not layer.last:
            x = runner.rescale(leaky(runner.norm(x, NAME, layer.name)))
    return jnp.tanh(x) if task.head == "generative" and not runner.options.rescale else x
