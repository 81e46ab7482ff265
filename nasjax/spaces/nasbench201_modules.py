"""Inside the blocks of the NAS-Bench-201 network: outputs of modules and layers, rectifiers, the thin cell."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.spaces import cell_visits
from nasjax.spaces import nasbench201_network as network
from nasjax.spaces.nasbench201_blocks import Layers, shortcut, walk
from nasjax.spaces.optional import ModuleVisit, OutputVisit, ResponseVisit
from nasjax.types import Array, Block, BlockFunction, PyTree, Variables


class _Reduction(NamedTuple):
    """Values inside a reduction block: convolutions, norms, the rectifier between them, shortcut and output."""

    conv_a: Array
    norm_a: Array
    middle: Array
    conv_b: Array
    norm_b: Array
    side: Array
    output: Array


def _reduction(layers: Layers, active: Array, x: Array, s: int) -> _Reduction:
    """Reduction block ``s`` on its input x, rectified in ``active``."""
    a = layers.conv(active, "reductions", s, "conv_a", stride=2, padding=1)
    norm_a = layers.norm(a, "reductions", s, "conv_a")[0]
    middle = jax.nn.relu(norm_a)
    b = layers.conv(middle, "reductions", s, "conv_b")
    norm_b = layers.norm(b, "reductions", s, "conv_b")[0]
    side = shortcut(layers, x, s)
    return _Reduction(a, norm_a, middle, b, norm_b, side, norm_b + side)


def modules(
    options: network.Forward, variables: Variables, arch: Array, images: Array, visit: ModuleVisit
) -> tuple[Array, list[PyTree]]:
    """Outputs of all modules; see `nasjax.spaces.optional.HasModules`."""
    layers = Layers(options, variables, fast=False)
    seen: list[PyTree] = []

    def show(*pairs: tuple[Array, Any]) -> None:
        values, counts = zip(*pairs, strict=True)
        seen.append(visit(jnp.stack(values), jnp.stack([jnp.asarray(c, jnp.int32) for c in counts])))

    def cell(x: Array, own: PyTree) -> tuple[Array, PyTree]:
        return cell_visits.show(layers.edge_config, arch, x, cell_visits.edge_args(own), visit)

    y = layers.conv(images, "stem")
    x = layers.norm(y, "stem")[0]
    show((y, 1), (x, 2))
    for s in range(3):
        x, reduced = lax.scan(cell, x, layers.stage(s))
        seen.append(reduced)
        if s < 2:
            active = jax.nn.relu(x)
            show((active, 1))
            show((nn.avg_pool(x, 2, stride=2, padding="VALID"), 1))
            own = _reduction(layers, active, x, s)
            x = own.output
            show(*zip(own, (1, 3, 1, 1, 3, 2, 1), strict=True))
    y = layers.norm(x, "head")[0]
    x = jax.nn.relu(y)
    show((y, 1), (x, 2))
    pooled = x.mean((1, 2), keepdims=True)
    show((pooled, 1))
    logits = classify(options, variables.params, x)
    show((logits[:, None, None], 2))  # the classifier and the network itself
    return logits, seen


def layer_outputs(
    options: network.Forward, variables: Variables, arch: Array, images: Array, visit: OutputVisit
) -> list[PyTree]:
    """Outputs of all weight layers; see `nasjax.spaces.optional.HasLayerOutputs`."""
    layers = Layers(options, variables)

    def cell(x: Array, own: PyTree) -> tuple[Array, PyTree]:
        return cell_visits.show_convolutions(layers.edge_config, arch, x, cell_visits.edge_args(own), visit)

    y = layers.conv(images, "stem")
    seen = [visit(y[None])]
    x = layers.norm(y, "stem")[0]
    for s in range(3):
        x, reduced = lax.scan(cell, x, layers.stage(s))
        seen.append(reduced)
        if s < 2:
            own = _reduction(layers, jax.nn.relu(x), x, s)
            seen.append(visit(jnp.stack([own.conv_a, own.conv_b, own.side])))
            x = own.output
    features = jax.nn.relu(layers.norm(x, "head")[0])
    return [*seen, visit(classify(options, variables.params, features)[None])]


def classify(options: network.Forward, params: PyTree, features: Array) -> Array:
    """Logits [batch, classes] of the features before the global pooling."""
    pooled = features.mean((1, 2))
    return nn.linear(pooled, params["weights"]["head"], precision=options.precision) + params["bias"][None]


def responses(
    options: network.Forward,
    variables: Variables,
    arch: Array,
    images: Array,
    loss: Callable[[Array], Array],
    visit: ResponseVisit,
) -> list[PyTree]:
    """Rectifier inputs and their gradients; ``loss`` of logits. See `nasjax.spaces.optional.HasResponses`."""
    layers = Layers(options, variables)
    one = jnp.ones(1, jnp.int32)
    seen: list[PyTree] = []

    def keep_input(block: Block, function: BlockFunction, x: Array) -> Any:
        del block
        return function(x), x

    forward = walk(options, variables, arch, images, keep_input)
    dy = jax.grad(lambda features: loss(classify(options, variables.params, features)))(forward.features)

    def back(index: int, function: Callable[[Array], Array], x: Array, dy: Array) -> Array:
        """Gradient before ``function``, which starts with a rectifier on x."""
        dx = jax.vjp(function, x)[1](dy)[0]
        seen.append(visit(index, x[None], dx[None], one))
        return dx

    def cell(dy: Array, xs: tuple[PyTree, Array, Array]) -> tuple[Array, PyTree]:
        own, x, index = xs
        return cell_visits.respond(layers.edge_config, arch, x, cell_visits.edge_args(own), dy, index, visit)

    count = layers.stage(0)["scale"].shape[0]
    index = 3 * count + 2
    x, normalise = jax.vjp(lambda x: layers.norm(x, "head")[0], forward.seen["head"])
    dy = normalise(back(index, jax.nn.relu, x, dy))[0]
    for s in (2, 1, 0):
        index -= count
        inputs = forward.seen[f"stage{s}"]
        numbers = index + jnp.arange(count)
        dy, reduced = lax.scan(cell, dy, (layers.stage(s), inputs, numbers), reverse=True)
        seen.append(reduced)
        if s:
            index -= 1
            x, part = forward.seen[f"reduction{s - 1}"], ("reductions", s - 1)

            def first(x: Array, part: Any = part) -> Array:
                y = layers.conv(jax.nn.relu(x), *part, "conv_a", stride=2, padding=1)
                return layers.norm(y, *part, "conv_a")[0]

            def second(h: Array, part: Any = part) -> Array:
                return layers.norm(layers.conv(jax.nn.relu(h), *part, "conv_b"), *part, "conv_b")[0]

            side = jax.vjp(functools.partial(shortcut, layers, s=s - 1), x)[1](dy)[0]
            dy = back(index, first, x, back(index, second, first(x), dy)) + side
    return seen


@dataclasses.dataclass(frozen=True)
class ThinCell:
    """One cell, one channel wide, without stem, then norm and rectifier; see `nasjax.spaces.optional.ThinNetwork`.

    Attributes:
      precision: matrix precision.
    """

    precision: str = "highest"

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Variables of a network of one channel and one cell a stage, of which the first cell is read."""
        del arch
        sizes = network.Sizes(1, 1, 1, 1)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        return Variables(network.init_params(key, sizes, law, dtype), network.init_stats(sizes, dtype))

    def codes(self, variables: Variables, arch: Array, images: Array) -> tuple[Array, Array]:
        """Patterns bool [batch, 4 x positions]: three nodes and the output; and whether all is finite."""
        layers = Layers(network.Forward("batch", self.precision, rescale=False), variables)
        edges = cell_visits.edge_args(jax.tree.map(lambda a: a[0], layers.stage(0)))
        signs, finite, y = cell_visits.node_signs(layers.edge_config, arch, images, edges)
        output = nn.batch_norm(y, None, None)[0] > 0  # scale 1 and shift 0, as every fresh norm
        return jnp.concatenate([s.reshape(s.shape[0], -1) for s in (*signs, output)], 1), finite
