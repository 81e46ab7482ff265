"""Walks through a network: picks each layer's arrays, collects statistics, taps and scale factors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.spaces.cells import rescale
from nasjax.spaces.optional import OutputVisit
from nasjax.types import Array, InputError, PyTree, Site, Tap


class Forward(NamedTuple):
    """Static options of a forward pass.

    Attributes:
      norm: batch-norm mode.
      precision: matrix precision.
      rescale: keep activations in range, see `nasjax.spaces.cells.rescale`.
    """

    norm: str
    precision: Any
    rescale: bool


def pick(tree: PyTree, path: tuple[Any, ...]) -> Any:
    """The part of a tree at a path of keys."""
    return functools.reduce(lambda part, key: part[key], path, tree)


class Runner:
    """The state of one forward pass. Trees are nested dictionaries; a path of names leads to a layer's part."""

    def __init__(
        self,
        options: Forward,
        params: PyTree,
        stats: PyTree,
        calls: dict[str, Array],
        tap: Tap | None,
        moments: PyTree | None,
        dtype: Any,
        *,
        show: OutputVisit | None = None,
        paths: Array | None = None,
    ):
        """Starts a pass.

        Args:
          options: static options.
          params: "weights", "bias", "scale" and "shift".
          stats: running "mean" and "var".
          calls: activation calls of every tap site.
          tap: called at every site, or None.
          moments: tree of `nasjax.nn.Moments` shaped like the weights, or None.
          dtype: floating dtype of the computation.
          show: called on the output of every layer; what it returns is appended to ``shown``.
          paths: what the outputs of paths are multiplied by, see `nasjax.spaces.drop`, or None.
        """
        self.paths = paths
        self.show, self.shown = show, list[PyTree]()
        self.options, self.params, self.calls, self.tap, self.moments = options, params, calls, tap, moments
        self.mean, self.var = _copy(stats["mean"]), _copy(stats["var"])
        self.taps: dict[str, PyTree] = {}
        self.log_scale = jnp.zeros((), dtype)

    def twin(self, log_scale: Array) -> Runner:
        """A runner that starts from this state, with another scale; for the branches of a switch. It shows nothing.

        Args:
          log_scale: float [], what ``log_scale`` starts from.

        Returns:
          the runner.
        """
        twin = Runner(self.options, self.params, self.stats, self.calls, None, self.moments, log_scale.dtype)
        twin.log_scale = log_scale
        return twin

    @property
    def stats(self) -> PyTree:
        """Running statistics so far."""
        return {"mean": self.mean, "var": self.var}

    def own_moments(self, *path: Any) -> Any:
        """Moments of a layer.

        Args:
          *path: names that lead to the layer's weights.

        Returns:
          the zero operand of `nasjax.nn.conv` and its like, or None.
        """
        return None if self.moments is None else pick(self.moments, path)

    def norm(self, x: Array, *path: Any) -> Array:
        """Batch norm; its running statistics are updated.

        Args:
          x: float [..., channels].
          *path: names that lead to the norm's parameters and statistics.

        Returns:
          float, shaped like x.
        """
        scale, shift = pick(self.params["scale"], path), pick(self.params["shift"], path)
        own = (pick(self.mean, path), pick(self.var, path))
        y, new = nn.batch_norm(x, scale, shift, stats=own, mode=self.options.norm)
        assert new is not None
        self.set_stats(new[0], new[1], *path)
        return y

    def set_stats(self, mean: Array, var: Array, *path: Any) -> None:
        """New running statistics of a layer.

        Args:
          mean: float [channels].
          var: float [channels].
          *path: names that lead to the norm's statistics.
        """
        pick(self.mean, path[:-1])[path[-1]] = mean
        pick(self.var, path[:-1])[path[-1]] = var

    def conv(self, x: Array, *path: Any, bias: bool = False, **options: Any) -> Array:
        """Convolution with the weights at a path.

        Args:
          x: float [batch, height, width, in].
          *path: names that lead to the kernel [height, width, in, out].
          bias: whether the bias at the same path is added.
          **options: of `nasjax.nn.conv`: stride, padding, dilation.

        Returns:
          float [batch, height, width, out].
        """
        weights = pick(self.params["weights"], path)
        y = nn.conv(x, weights, precision=self.options.precision, moments=self.own_moments(*path), **options)
        return self.output(self.bias(y, *path) if bias else y)

    def linear(self, x: Array, *path: Any) -> Array:
        """Product with the matrix at a path, and its bias.

        Args:
          x: float [..., in].
          *path: names that lead to the matrix [in, out] and the bias [out].

        Returns:
          float [..., out].
        """
        weights = pick(self.params["weights"], path)
        y = nn.linear(x, weights, precision=self.options.precision, moments=self.own_moments(*path))
        return self.output(self.bias(y, *path))

    def output(self, y: Array) -> Array:
        """The output of a layer, which ``show`` sees.

        Args:
          y: what the layer computed.

        Returns:
          y.
        """
        if self.show is not None:
            self.shown.append(self.show(y[None]))
        return y

    def bias(self, x: Array, *path: Any) -> Array:
        """Adds the bias at a path, scaled down as x has been.

        Args:
          x: float [..., channels].
          *path: names that lead to the bias [channels].

        Returns:
          float, shaped like x.
        """
        bias = pick(self.params["bias"], path)
        if self.options.rescale:
            bias = bias * jnp.exp(-self.log_scale)
        return x + bias.reshape((1,) * (x.ndim - 1) + (-1,))

    def activation(self, x: Array, name: str, *, function: Callable[[Array], Array] = jax.nn.relu) -> Array:
        """Activation function behind a tap.

        Args:
          x: float [batch, ...].
          name: of the site; a key of ``calls``.
          function: the activation function.

        Returns:
          function(x).
        """
        self.read(x, name)
        return function(x)

    def read(self, x: Array, name: str) -> None:
        """Calls the tap.

        Args:
          x: float [batch, ...], the input of an activation.
          name: of the site; a key of ``calls``.
        """
        if self.tap is not None:
            self.taps[name] = self.tap(Site(name, self.calls[name]), x)

    def rescale(self, x: Array) -> Array:
        """Brings x into range if the options ask for it, and keeps account of the factor.

        Args:
          x: float [batch, ...].

        Returns:
          x, divided by its largest magnitude.
        """
        x, self.log_scale = rescale(x, self.log_scale, self.options.rescale)
        return x

    def over_tiles(self, function: Callable[[Array], Array], tiles: Array) -> Array:
        """Runs the same network on each tile in turn, and puts the features side by side.

        Running statistics go from tile to tile; taps get the tiles as a leading axis, merged with that of
        repeated cells.

        Args:
          function: tile [batch, ...] -> features [batch, features], with this runner.
          tiles: float [tiles, batch, ...].

        Returns:
          float [batch, tiles x features].

        Raises:
          InputError: readers of single samples' gradients are given; a sample's gradient is the sum over its tiles.
            Or outputs are shown with norms over the batch: an image's outputs are those of all its tiles, which
            then run together.
        """
        if self.show is not None:
            return self._tiles_together(function, tiles, self.show)
        readers = (nn.Moments, nn.Signs)
        if any(isinstance(n, readers) for n in jax.tree.leaves(self.moments, is_leaf=lambda n: isinstance(n, readers))):
            raise InputError(
                "Statistics of single samples' gradients are not available for jigsaw, whose layers see a sample "
                "tile by tile; use granularity='batch', or leave out the proxies that read single samples."
            )

        def step(carry: tuple[PyTree, PyTree], tile: Array) -> Any:
            self.mean, self.var = (_copy(tree) for tree in carry)
            self.taps, self.log_scale = {}, jnp.zeros_like(self.log_scale)
            features = function(tile)
            return (self.mean, self.var), (features, self.taps, self.log_scale)

        (self.mean, self.var), (features, taps, scales) = lax.scan(step, (self.mean, self.var), tiles)
        self.log_scale = scales.max()
        features = features * jnp.exp(scales - self.log_scale)[:, None, None]
        self.taps = {}
        for name, value in taps.items():
            cells = self.calls[name].ndim > 1
            self.taps[name] = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), value) if cells else value
        return features.swapaxes(0, 1).reshape(features.shape[1], -1)

    def _tiles_together(self, function: Callable[[Array], Array], tiles: Array, show: OutputVisit) -> Array:
        """`over_tiles` with the tiles in one batch; an image shows those of all its tiles."""
        if nn.batch_mode(self.options.norm)[0]:
            raise InputError(
                "Outputs of layers are not available for jigsaw with norms over the batch, which see the tiles of one "
                "position at a time; use norm='running'."
            )
        count, batch = tiles.shape[:2]

        def of_images(values: Array, padding: Array | int = 0) -> PyTree:
            return show(values.reshape(values.shape[0], batch, count, *values.shape[2:]), count * padding)

        self.show = of_images
        features = function(tiles.swapaxes(0, 1).reshape(-1, *tiles.shape[2:]))
        self.show = show
        return features.reshape(batch, -1)


def _copy(tree: PyTree) -> PyTree:
    """The dictionaries of a tree anew, with the same leaves."""
    return {key: _copy(part) for key, part in tree.items()} if isinstance(tree, dict) else tree
