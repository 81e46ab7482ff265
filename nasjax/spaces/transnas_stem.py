"""The stem of TransNAS-Bench-101 networks: two 3x3 convolutions of stride 2, a rectifier between them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from nasjax.spaces import torch_layout
from nasjax.spaces.runner import Runner
from nasjax.types import Array, BlockFunction, PyTree

NAME = "stem"  # in the trees, and of the tap site
LAYERS = ("stem.0", "stem.2.ops.1")  # module names in the official code
_NORMS = ("stem.1", "stem.2.ops.2")
_PARTS = ("first", "second")


def _channels(in_channels: int, width: int) -> tuple[tuple[int, int], ...]:
    """Input and output channels of both convolutions."""
    return (in_channels, width // 2), (width // 2, width)


def weight_shapes(in_channels: int, width: int) -> PyTree:
    """Shapes of the weights."""
    return {part: (3, 3, *pair) for part, pair in zip(_PARTS, _channels(in_channels, width), strict=True)}


def norm_shapes(width: int) -> PyTree:
    """Shapes of one vector of each batch norm."""
    return {"first": (width // 2,), "second": (width,)}


def run(runner: Runner, images: Array) -> Array:
    """Images [batch, h, w, in_channels] to [batch, h / 4, w / 4, width], sizes rounded up."""
    x = runner.norm(runner.conv(images, NAME, "first", stride=2, padding=1), NAME, "first")
    x = runner.conv(runner.activation(x, NAME), NAME, "second", stride=2, padding=1)
    return runner.rescale(runner.norm(x, NAME, "second"))


def function(runner: Runner) -> BlockFunction:
    """The stem as a function of the images: output, and its running means and variances."""

    def apply(images: Array) -> tuple[Array, PyTree]:
        own = runner.twin(runner.log_scale)
        return run(own, images), (own.mean[NAME], own.var[NAME])

    return apply


def layer_sums(terms: PyTree) -> Array:
    """Sums over each convolution: float [2]."""
    return jnp.stack([terms[NAME][part].sum() for part in _PARTS])


def num_params(in_channels: int, width: int) -> int:
    """Weights and norms."""
    return sum(9 * c * d + 2 * d for c, d in _channels(in_channels, width))


def macs(in_channels: int, width: int, side: int) -> tuple[int, int]:
    """Multiply-adds for an image of height ``side``, and the height of the output."""
    total = 0
    for c, d in _channels(in_channels, width):
        side = -(-side // 2)
        total += 9 * c * d * side**2
    return total, side


def torch_places() -> dict[str, torch_layout.Place]:
    """Where the tensors of the official stem go; see `nasjax.spaces.torch_layout`."""
    places: dict[str, Any] = {}
    for part, layer, norm in zip(_PARTS, LAYERS, _NORMS, strict=True):
        places |= torch_layout.weight(layer, NAME, part) | torch_layout.norm(norm, NAME, part)
    return places
