"""The NAS-Bench-Macro network as one program for all 6,561 architectures.

Stem, eight layers in three stages (the first layer of a stage halves the image and doubles the channels), 1x1
convolution, mean over positions, classifier (Su et al., Prioritized Architecture Sampling with Monte-Carlo Tree
Search, CVPR 2021). A layer is a ``lax.switch`` over identity and two inverted residual blocks.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax import nn
from nasjax.spaces import initial
from nasjax.spaces.runner import Forward, Runner
from nasjax.types import Array, PyTree, Tap, Variables

BLOCKS = {"mb3": (3, 3), "mb6": (6, 5)}  # name -> (expansion, kernel), as operations 1 and 2; 0 is the identity
PARTS = ("expand", "depthwise", "project")
STAGES = (2, 3, 3)
NUM_LAYERS = sum(STAGES)


class Sizes(NamedTuple):
    """Static sizes of the network."""

    channels: int
    head_channels: int
    num_classes: int
    in_channels: int

    def layers(self) -> list[tuple[int, int, int]]:
        """(input channels, output channels, stride) of every layer."""
        found, ins = [], self.channels
        for stage in STAGES:
            for i in range(stage):
                found.append((ins, 2 * ins, 2) if i == 0 else (ins, ins, 1))
                ins = found[-1][1]
        return found


def layer_shapes(ins: int, outs: int, stride: int) -> dict[str, dict[str, tuple[int, ...]]]:
    """Kernels of one layer by operation: the identity has one only where it changes the shape."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {"identity": {"down": (1, 1, ins, outs)}} if stride > 1 else {}
    for name, (expansion, kernel) in BLOCKS.items():
        hidden = expansion * ins
        shapes[name] = {
            "expand": (1, 1, ins, hidden),
            "depthwise": (kernel, kernel, 1, hidden),
            "project": (1, 1, hidden, outs),
        }
    return shapes


def weight_shapes(sizes: Sizes) -> PyTree:
    """Shapes of all convolution and linear weights, every operation of every layer included."""
    layers = sizes.layers()
    top = layers[-1][1]
    return {
        "stem": (3, 3, sizes.in_channels, sizes.channels),
        **{f"layer{i}": layer_shapes(*layer) for i, layer in enumerate(layers)},
        "out": (1, 1, top, sizes.head_channels),
        "head": (sizes.head_channels, sizes.num_classes),
    }


def norm_shapes(sizes: Sizes) -> PyTree:
    """Shapes of one vector of every batch norm; each follows a convolution."""
    shapes = {name: part for name, part in weight_shapes(sizes).items() if name != "head"}
    return jax.tree.map(lambda shape: shape[-1:], shapes, is_leaf=initial.is_shape)


def init_params(key: Array, sizes: Sizes, law: str, dtype: Any) -> PyTree:
    """Random parameters: weights by ``law``, norms at one and zero, classifier bias as torch draws it (or zero)."""
    laws = jax.tree.map(lambda s: initial.weight(s, law), weight_shapes(sizes), is_leaf=initial.is_shape)
    head = initial.bias(sizes.num_classes, sizes.head_channels, law)
    weights, bias = initial.draw(key, (laws, head), dtype)
    return {"weights": weights, "bias": {"head": bias}, **initial.norms(norm_shapes(sizes), dtype)[0]}


def init_stats(sizes: Sizes, dtype: Any) -> PyTree:
    """Running statistics of a fresh network: mean 0, variance 1."""
    return initial.norms(norm_shapes(sizes), dtype)[1]


class LayerConfig(NamedTuple):
    """Static options of a layer."""

    norm: str
    precision: Any
    stride: int


class Arrays(NamedTuple):
    """Arrays of a layer, each a tree by operation and convolution."""

    weights: PyTree
    scale: PyTree
    shift: PyTree
    mean: PyTree
    var: PyTree


class Result(NamedTuple):
    """What a layer gives: output, inputs of its two rectifiers, running statistics as trees like those it was given.

    The rectifiers have the channels of the wider block; the narrower one leaves the second half zero.
    """

    output: Array
    expand: Array
    depthwise: Array
    mean: PyTree
    var: PyTree


def operation(config: LayerConfig, op: str, x: Array, own: Arrays, moments: PyTree) -> Result:
    """One operation of a layer."""
    return computed(config, op, x, own, moments)[0]


def computed(config: LayerConfig, op: str, x: Array, own: Arrays, moments: PyTree) -> tuple[Result, dict[str, Array]]:
    """One operation of a layer, and the outputs of its convolutions by name."""
    outputs: dict[str, Array] = {}
    mean, var = ({name: dict(part) for name, part in tree.items()} for tree in (own.mean, own.var))

    def norm(y: Array, part: str) -> Array:
        pick = lambda tree: tree[op][part]  # noqa: E731
        z, new = nn.batch_norm(
            y, pick(own.scale), pick(own.shift), stats=(pick(own.mean), pick(own.var)), mode=config.norm
        )
        assert new is not None
        mean[op][part], var[op][part] = new
        return z

    def conv(x: Array, part: str, **options: Any) -> Array:
        of_part = None if moments is None else moments[op][part]
        if part == "depthwise":
            y = nn.depthwise_conv(x, own.weights[op][part], moments=of_part, **options)
        else:
            y = nn.conv(x, own.weights[op][part], precision=config.precision, moments=of_part, **options)
        outputs[part] = y
        return y

    size = [-(-n // config.stride) for n in x.shape[1:3]]
    wide = max(expansion for expansion, _ in BLOCKS.values()) * x.shape[-1]
    z1, z2 = (jnp.zeros((x.shape[0], *spatial, wide), x.dtype) for spatial in (x.shape[1:3], size))
    if op == "identity":
        y = x if config.stride == 1 else norm(conv(x, "down", stride=config.stride, padding="VALID"), "down")
        return Result(y, z1, z2, mean, var), outputs
    kernel = BLOCKS[op][1]
    first = norm(conv(x, "expand"), "expand")
    second = norm(conv(jax.nn.relu(first), "depthwise", stride=config.stride, padding=kernel // 2), "depthwise")
    y = norm(conv(jax.nn.relu(second), "project"), "project")
    y = y + x if config.stride == 1 else y
    fill = lambda z: jnp.pad(z, ((0, 0), (0, 0), (0, 0), (0, wide - z.shape[-1])))  # noqa: E731
    return Result(y, fill(first), fill(second), mean, var), outputs


_OPERATIONS = ("identity", *BLOCKS)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def layer(config: LayerConfig, op: Array, x: Array, own: Arrays, moments: PyTree) -> Result:
    """Runs the chosen operation.

    Its own vjp keeps the input alone and computes the chosen operation again: autodiff of a switch would keep
    what every operation needs.
    """
    return lax.switch(op, [functools.partial(operation, config, name) for name in _OPERATIONS], x, own, moments)


def _layer_fwd(config: LayerConfig, op: Array, x: Array, own: Arrays, moments: PyTree) -> Any:
    return layer(config, op, x, own, moments), (op, x, own, moments)


def _layer_bwd(config: LayerConfig, saved: Any, cotangents: Result) -> Any:
    op, *operands = saved

    def gradient(name: str) -> Any:
        return lambda: jax.vjp(functools.partial(operation, config, name), *operands)[1](cotangents)

    return np.zeros(op.shape, jax.dtypes.float0), *lax.switch(op, [gradient(name) for name in _OPERATIONS])


layer.defvjp(_layer_fwd, _layer_bwd)


def arrays(run: Runner, name: str) -> Arrays:
    """Arrays of a layer."""
    trees = (run.params["weights"], run.params["scale"], run.params["shift"], run.mean, run.var)
    return Arrays(*(tree[name] for tree in trees))


def forward(
    options: Forward,
    sizes: Sizes,
    variables: Variables,
    arch: Array,
    images: Array,
    calls: dict[str, Array],
    tap: Tap | None,
    moments: PyTree | None,
) -> tuple[Array, PyTree, PyTree, Array]:
    """Runs the network.

    Args:
      options: static options.
      sizes: static sizes.
      variables: see `init_params` and `init_stats`.
      arch: int [8].
      images: float [batch, height, width, in_channels].
      calls: activation calls of every tap site, int32 [10].
      tap: called at every site on the input of its rectifier, or None.
      moments: tree of `nasjax.nn.Moments` shaped like the weights, or None.

    Returns:
      logits float [batch, num_classes]; new running statistics; taps; log of the factor by which the
      logits were scaled down.
    """
    run = Runner(options, variables.params, variables.stats, calls, tap, moments, images.dtype)
    x = run.rescale(run.activation(run.norm(run.conv(images, "stem"), "stem"), "stem"))
    for i, (ins, _, stride) in enumerate(sizes.layers()):
        name = f"layer{i}"
        config = LayerConfig(options.norm, options.precision, stride)
        found = layer(config, arch[i], x, arrays(run, name), None if moments is None else moments[name])
        run.set_stats(found.mean, found.var, name)
        narrow = min(expansion for expansion, _ in BLOCKS.values()) * ins
        for part in PARTS[:2]:
            z = getattr(found, part)
            run.read(z[..., :narrow], f"{name}/{part}")
            run.read(z[..., narrow:], f"{name}/{part}/rest")
        x = run.rescale(found.output)
    x = run.activation(run.norm(run.conv(x, "out"), "out"), "out")
    logits = run.linear(x.mean((1, 2)), "head")
    return logits, run.stats, run.taps, run.log_scale
