"""A NAS-Bench-Macro network block by block: stem, layers, last convolution; and the outputs of its layers."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.spaces.nasbench_macro_network import BLOCKS, PARTS, Arrays, LayerConfig, Sizes, arrays, computed, layer
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Runner
from nasjax.types import Array, Block, BlockFunction, PyTree, Visit, Walk


def walk(run: Runner, sizes: Sizes, arch: Array, images: Array, visit: Visit) -> Walk:
    """Walks the network.

    An identity that changes no shape is no block of the network: its block is inactive.

    Args:
      run: at its start, without tap.
      sizes: static sizes.
      arch: int [8].
      images: float [batch, height, width, in_channels].
      visit: see `nasjax.spaces.optional.HasBlocks`. The last convolution is the last block, and no feature map.

    Returns:
      features before the global pooling, running statistics, and what the visitor saw.
    """
    seen: dict[str, PyTree] = {}

    def visited(block: Block, function: BlockFunction, x: Array) -> Array:
        (y, own), seen[block.name] = visit(block, function, x)
        run.set_stats(*own, block.name)
        return y

    def activated(name: str, **options: Any) -> BlockFunction:
        """Convolution, norm and rectifier."""

        def function(x: Array) -> tuple[Array, PyTree]:
            twin = run.twin(run.log_scale)
            y = jax.nn.relu(twin.norm(twin.conv(x, name, **options), name))
            return y, (twin.mean[name], twin.var[name])

        return function

    def chosen(name: str, op: Array, stride: int) -> BlockFunction:
        config = LayerConfig(run.options.norm, run.options.precision, stride)
        own = arrays(run, name)

        def function(x: Array) -> tuple[Array, PyTree]:
            y, *stats = _constant_layer(config, op, x, own)
            return y, tuple(stats)

        return function

    x = visited(Block("stem", 0, 0, True, True), activated("stem"), images)
    layers = sizes.layers()
    for i, (_, _, stride) in enumerate(layers):
        name = f"layer{i}"
        active: Array | bool = True if stride > 1 else arch[i] > 0
        x = visited(Block(name, i + 1, 0, active, True), chosen(name, arch[i], stride), x)
    x = visited(Block("out", len(layers) + 1, 0, True, False), activated("out"), x)
    return Walk(x, run.stats, seen)


_OPERATIONS = ("identity", *BLOCKS)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _constant_layer(config: LayerConfig, op: Array, x: Array, own: Arrays) -> tuple[Array, PyTree, PyTree]:
    """Output and running statistics of a layer whose arrays are constants: gradients flow to the input alone."""
    found = layer(config, op, x, own, None)
    return found.output, found.mean, found.var


def _forward(config: LayerConfig, op: Array, x: Array, own: Arrays) -> Any:
    return _constant_layer(config, op, x, own), (op, x, own)


def _backward(config: LayerConfig, saved: Any, cotangents: tuple[Array, PyTree, PyTree]) -> Any:
    op, x, own = saved

    def gradient(name: str) -> Any:
        def of_input(x: Array) -> Array:
            return computed(config, name, x, own, None)[0].output

        return lambda: jax.vjp(of_input, x)[1](cotangents[0])[0]  # running statistics carry no gradient

    dx = lax.switch(op, [gradient(name) for name in _OPERATIONS])
    return np.zeros(op.shape, jax.dtypes.float0), dx, jax.tree.map(jnp.zeros_like, own)


_constant_layer.defvjp(_forward, _backward)


def layer_outputs(run: Runner, sizes: Sizes, arch: Array, images: Array) -> list[PyTree]:
    """What ``run.show`` makes of all layers; see `nasjax.spaces.optional.HasLayerOutputs`."""
    assert run.show is not None
    x = jax.nn.relu(run.norm(run.conv(images, "stem"), "stem"))
    for i, (_, outs, stride) in enumerate(sizes.layers()):
        config = LayerConfig(run.options.norm, run.options.precision, stride)
        x = _shown_layer(config, arch[i], x, arrays(run, f"layer{i}"), outs, run.show, run.shown)
    x = jax.nn.relu(run.norm(run.conv(x, "out"), "out"))
    run.linear(x.mean((1, 2)), "head")
    return run.shown


def _shown_layer(
    config: LayerConfig, op: Array, x: Array, own: Arrays, outs: int, show: OutputVisit, shown: list[PyTree]
) -> Array:
    """Output of a layer; the outputs of its convolutions are shown, as wide as the wider block has them."""
    batch, height, width, ins = x.shape
    size = tuple(-(-n // config.stride) for n in (height, width))
    wide = max(expansion for expansion, _ in BLOCKS.values()) * ins
    shapes = dict(zip(PARTS, ((height, width, wide), (*size, wide), (*size, outs)), strict=True))
    if config.stride > 1:
        shapes = {"down": (*size, outs)} | shapes

    def run(name: str) -> Any:
        def branch(x: Array, own: Arrays) -> tuple[Array, list[Array]]:
            result, found = computed(config, name, x, own, None)
            values = []
            for part, shape in shapes.items():
                y = found.get(part, jnp.zeros((batch, *shape), x.dtype))
                values.append(jnp.pad(y, ((0, 0), (0, 0), (0, 0), (0, shape[-1] - y.shape[-1]))))
            return result.output, values

        return branch

    y, values = lax.switch(op, [run(name) for name in _OPERATIONS], x, own)
    narrow = jnp.asarray([0, *(wide - expansion * ins for expansion, _ in BLOCKS.values())], jnp.int32)[op]
    for (part, shape), value in zip(shapes.items(), values, strict=True):
        missing = shape[0] * shape[1] * narrow if part in PARTS[:2] else jnp.int32(0)
        shown.append(show(value[None], missing[None]))
    return y
