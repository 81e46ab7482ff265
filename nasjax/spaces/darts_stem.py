"""What stands in front of the cells of DARTS: one convolution for CIFAR, three of stride 2 for ImageNet, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nasjax.spaces import torch_layout
from nasjax.spaces.darts_plan import Sizes
from nasjax.spaces.runner import Runner, pick
from nasjax.types import Array, BlockFunction, PyTree

NAME = "stem"
_PARTS = ("first", "second", "third")  # of the deep stem


class Conv(NamedTuple):
    """A 3x3 convolution with a batch norm.

    Attributes:
      name: module name in the official code; so is ``norm``.
      norm: of the batch norm.
      path: of its arrays.
      site: where what it puts out is tapped.
      ins: input channels.
      outs: output channels.
      stride: 1 or 2.
      rectified: whether a rectifier comes first.
    """

    name: str
    norm: str
    path: tuple[str, ...]
    site: str
    ins: int
    outs: int
    stride: int
    rectified: bool


def blocks(sizes: Sizes) -> tuple[tuple[str, tuple[Conv, ...]], ...]:
    """Blocks whose outputs the first cell reads, the older first: name and convolutions."""
    if not sizes.kind.stem:
        return ((NAME, ()),)
    if not sizes.kind.deep:
        return ((NAME, (Conv("stem.0", "stem.1", (NAME,), NAME, sizes.in_channels, sizes.stem_channels, 1, False),)),)
    widths = (sizes.in_channels, sizes.channels // 2, sizes.channels, sizes.channels)
    modules = (("stem0.0", "stem0.1"), ("stem0.3", "stem0.4"), ("stem1.1", "stem1.2"))
    sites = (f"{NAME}/first", f"{NAME}/second", NAME)
    convs = tuple(
        Conv(*modules[i], (NAME, part), sites[i], widths[i], widths[i + 1], 2, i > 0) for i, part in enumerate(_PARTS)
    )
    return ((NAME, convs[:2]), (f"{NAME}/last", convs[2:]))


def convs(sizes: Sizes) -> tuple[Conv, ...]:
    """All convolutions in order."""
    return tuple(conv for _, own in blocks(sizes) for conv in own)


def tree(sizes: Sizes, leaf: Callable[[Conv], Any]) -> dict[str, Any]:
    """A value of each convolution at its path."""
    found = {conv.path: leaf(conv) for conv in convs(sizes)}
    if (NAME,) in found:
        return {NAME: found[NAME,]}
    return {NAME: {path[1]: value for path, value in found.items()}} if found else {}


def weight_shapes(sizes: Sizes) -> dict[str, Any]:
    """Shapes of the weights."""
    return tree(sizes, lambda conv: (3, 3, conv.ins, conv.outs))


def norm_shapes(sizes: Sizes) -> dict[str, Any]:
    """Shapes of one vector of each batch norm."""
    return tree(sizes, lambda conv: (conv.outs,))


def weight_mask(sizes: Sizes) -> dict[str, Any]:
    """Every weight is there."""
    return tree(sizes, lambda conv: jnp.ones((1, 1, 1, 1), bool))


def layer_sums(terms: PyTree, sizes: Sizes) -> list[Array]:
    """Sums of a tree shaped like the weights over each convolution."""
    return [pick(terms, conv.path).sum()[None] for conv in convs(sizes)]


def site_calls(sizes: Sizes, before: Array, outputs: dict[int, Array]) -> dict[str, Array]:
    """Activation calls of the sites in the stem.

    Args:
      sizes: static sizes.
      before: int32 [L, 10], see `nasjax.spaces.slots.calls_before`; the stem's convolutions come first.
      outputs: calls by the cells that read an output of the stem: -1 the newest, -2 the one before.

    Returns:
      site -> int32 [10].
    """
    own = convs(sizes)
    calls = {NAME: outputs[-1]}
    for i, earlier in enumerate(own[:-1]):  # the rectifier in front of the next
        calls[earlier.site] = before[i + 1]
    if len(blocks(sizes)) > 1:
        calls[own[-2].site] = calls[own[-2].site] + outputs[-2]
    return calls


def num_params(sizes: Sizes) -> int:
    """Weights and norms."""
    return sum(9 * conv.ins * conv.outs + 2 * conv.outs for conv in convs(sizes))


def macs(sizes: Sizes, side: int) -> tuple[int, int]:
    """Multiply-adds for an image of height ``side``, and the height of what the first cell reads."""
    total = 0
    for conv in convs(sizes):
        side //= conv.stride
        total += 9 * conv.ins * conv.outs * side**2
    return total, side


def torch_places(sizes: Sizes) -> dict[str, torch_layout.Place]:
    """Where the tensors of the official stem go; see `nasjax.spaces.torch_layout`."""
    places: dict[str, torch_layout.Place] = {}
    for conv in convs(sizes):
        places |= torch_layout.weight(conv.name, *conv.path) | torch_layout.norm(conv.norm, *conv.path)
    return places


def _block(run: Runner, own: tuple[Conv, ...], x: Array) -> Array:
    """Output of a block."""
    for conv in own:
        x = jax.nn.relu(x) if conv.rectified else x
        x = run.norm(run.conv(x, *conv.path, stride=conv.stride, padding=1), *conv.path)
        run.read(x, conv.site)
    return x


def block_function(run: Runner, own: tuple[Conv, ...]) -> BlockFunction:
    """A block as a function of its input: output, and running means and variances by convolution."""

    def function(x: Array) -> tuple[Array, PyTree]:
        twin = run.twin(run.log_scale)
        y = _block(twin, own, x)
        return y, [(pick(twin.mean, conv.path), pick(twin.var, conv.path)) for conv in own]

    return function


def apply(run: Runner, sizes: Sizes, images: Array) -> tuple[Array, Array]:
    """What the first cell reads, the older and the newer output; without a stem, the images twice."""
    outputs, x = [], images
    for _, own in blocks(sizes):
        x = _block(run, own, x)
        outputs.append(x)
    if not sizes.kind.stem:
        run.read(x, NAME)
    before = run.log_scale
    newer = run.rescale(x)
    if len(outputs) == 1:
        return newer, newer
    # Both are scaled alike.
    return (outputs[0] * jnp.exp(before - run.log_scale) if run.options.rescale else outputs[0]), newer
