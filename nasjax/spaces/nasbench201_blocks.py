"""The NAS-Bench-201 network block by block: stem, cells, reduction blocks, last norm.

The blocks are those of `nasjax.spaces.nasbench201_network`; a visitor gets each as a function of its input,
so that it can read the output or differentiate the block by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.spaces import cell_visits
from nasjax.spaces import nasbench201_network as network
from nasjax.spaces.cells import EdgeConfig
from nasjax.types import Array, Block, PyTree, Variables, Visit, Walk

Norm = tuple[Array, Array]  # running mean and variance
RunCell = Callable[[Array, PyTree], tuple[Array, Array, Array]]


class Layers:
    """Convolutions and norms of one set of variables, by the path of their weights."""

    def __init__(self, options: network.Forward, variables: Variables, *, fast: bool | None = None) -> None:
        """Takes the variables.

        Args:
          options: static options of a forward pass.
          variables: see `nasjax.spaces.nasbench201_network.init_params` and ``init_stats``.
          fast: see `nasjax.nn.conv`; False where forward-mode derivatives are taken.
        """
        self.options, self.fast = options, fast
        self.params, self.stats = variables

    @property
    def edge_config(self) -> EdgeConfig:
        """Options of the edges of a cell."""
        return EdgeConfig(self.options.norm, self.options.precision, network.OPS, fast=self.fast)

    def conv(self, x: Array, *path: Any, **kwargs: Any) -> Array:
        """The convolution whose weights lie at ``path``."""
        w = pick(self.params["weights"], path)
        return nn.conv(x, w, precision=self.options.precision, fast=self.fast, **kwargs)

    def norm(self, x: Array, *path: Any) -> tuple[Array, Norm]:
        """The batch norm at ``path``, and its updated running statistics."""
        old = (pick(self.stats["mean"], path), pick(self.stats["var"], path))
        scale, shift = pick(self.params["scale"], path), pick(self.params["shift"], path)
        y, new = nn.batch_norm(x, scale, shift, stats=old, mode=self.options.norm)
        assert new is not None
        return y, new

    def stage(self, s: int) -> PyTree:
        """Arrays of the cells of stage ``s``, cells leading, as `nasjax.spaces.nasbench201_network` scans them."""
        own = {"scale": self.params["scale"]["stages"][s], "shift": self.params["shift"]["stages"][s]}
        running = {"mean": self.stats["mean"]["stages"][s], "var": self.stats["var"]["stages"][s]}
        return {"weights": self.params["weights"]["stages"][s], **own, **running}


def pick(tree: PyTree, path: tuple[Any, ...]) -> Any:
    """The subtree at a path of keys."""
    return functools.reduce(lambda t, key: t[key], path, tree)


def shortcut(layers: Layers, x: Array, s: int) -> Array:
    """Shortcut of reduction block ``s``: average pooling of stride 2, then a 1x1 convolution."""
    pooled = nn.avg_pool(x, 2, stride=2, padding="VALID")
    return layers.conv(pooled, "reductions", s, "shortcut", padding="VALID")


def walk(
    options: network.Forward,
    variables: Variables,
    arch: Array,
    images: Array,
    visit: Visit,
    run_cell: RunCell | None = None,
) -> Walk:
    """Walks the network.

    Args:
      options: static options.
      variables: parameters and running statistics.
      arch: int [6].
      images: float [batch, height, width, in_channels].
      visit: called on every block; cells of a stage in one ``lax.scan``.
      run_cell: what runs a cell, (input, its arrays) -> (output, running means, running variances), in place of the
        operations of ``arch``.

    Returns:
      features after the last norm and rectifier, running statistics, and what the visitor saw.
    """
    layers = Layers(options, variables)
    config = layers.edge_config
    run = run_cell or (lambda x, own: cell_visits.cell(config, arch, x, cell_visits.edge_args(own)))
    new: dict[str, Any] = {"stages": [], "reductions": []}
    seen: dict[str, PyTree] = {}

    def visited(name: str, index: int, function: Any, x: Array, *, feature: bool = True) -> tuple[Array, PyTree]:
        (y, own), seen[name] = visit(Block(name, index, 0, True, feature), function, x)
        return y, own

    def reduction(s: int, x: Array) -> tuple[Array, PyTree]:
        h, norm_a = layers.norm(
            layers.conv(jax.nn.relu(x), "reductions", s, "conv_a", stride=2, padding=1), "reductions", s, "conv_a"
        )
        h, norm_b = layers.norm(layers.conv(jax.nn.relu(h), "reductions", s, "conv_b"), "reductions", s, "conv_b")
        return h + shortcut(layers, x, s), {"conv_a": norm_a, "conv_b": norm_b}

    def head(x: Array) -> tuple[Array, PyTree]:
        y, own = layers.norm(x, "head")
        return jax.nn.relu(y), own

    def step(name: str, start: int, x: Array, xs: tuple[PyTree, Array]) -> Any:
        own, position = xs

        def function(x: Array) -> tuple[Array, PyTree]:
            y, means, variances = run(x, own)
            return y, (means, variances)

        (y, stats), reduced = visit(Block(name, start + position, position, True, True), function, x)
        return y, (stats, reduced)

    x, new["stem"] = visited("stem", 0, lambda x: layers.norm(layers.conv(x, "stem"), "stem"), images)
    index = 1
    for s in range(3):
        stage, name = layers.stage(s), f"stage{s}"
        cells = stage["scale"].shape[0]
        x, (stats, seen[name]) = lax.scan(functools.partial(step, name, index), x, (stage, jnp.arange(cells)))
        new["stages"].append(stats)
        index += cells
        if s < 2:
            x, stats = visited(f"reduction{s}", index, functools.partial(reduction, s), x)
            new["reductions"].append(stats)
            index += 1
    features, new["head"] = visited("head", index, head, x, feature=False)
    return Walk(features, _unzip(new), seen)


def _unzip(new: dict[str, Any]) -> PyTree:
    """Pairs (mean, variance) as the two trees that `nasjax.spaces.nasbench201_network.init_stats` makes."""

    def side(i: int) -> PyTree:
        return {
            "stem": new["stem"][i],
            "stages": tuple(pair[i] for pair in new["stages"]),
            "reductions": tuple({k: pair[i] for k, pair in block.items()} for block in new["reductions"]),
            "head": new["head"][i],
        }

    return {"mean": side(0), "var": side(1)}
