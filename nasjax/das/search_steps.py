"""One step of the search, and the evaluation of cells, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from nasjax.das.cell import bounded, mixture, sample_magnitudes, unbounded
from nasjax.das.config import DASConfig
from nasjax.das.search_config import Network, SearchConfig
from nasjax.data.augment import AugmentConfig, augment
from nasjax.types import Array, PyTree

_EPSILON = 0.01  # of the finite difference, in units of one over the gradient's norm, as DARTS has it


class SearchState(NamedTuple):
    """All that changes during a search.

    Attributes:
      params: of the network.
      stats: running statistics of the network.
      weight_opt: state of the weights' optimiser.
      arch: "alpha", float32 [edges, operations]; and "magnitude", what is learned of them, if anything.
      arch_opt: state of alpha's optimiser.
      magnitudes: float32 [edges, operations], base magnitudes unless they are learned.
      chosen: int32 [edges], operation of each edge, -1 while not chosen.
      kept: bool [edges].
      gain: float32 [], what the cell's output is divided by.
      step: int32 [], steps so far.
    """

    params: PyTree
    stats: PyTree
    weight_opt: PyTree
    arch: dict[str, Array]
    arch_opt: PyTree
    magnitudes: Array
    chosen: Array
    kept: Array
    gain: Array
    step: Array


class Program(NamedTuple):
    """The functions of a search, for one network and cell.

    Attributes:
      init: ``init(key, image_shape, magnitudes or None) -> SearchState``.
      step: ``step(state, train, valid, rate, key, axis=None) -> (state, measures)``; ``train`` and ``valid`` are images
        [b, height, width, channels] and labels int32 [b] of the weights and of alpha.
      evaluate: ``evaluate(state, weights [c, edges, operations], images, labels) -> (correct [c], loss [c])``, sums.
      reset: ``reset(state) -> state`` with a fresh optimiser of the weights.
    """

    init: Callable[..., SearchState]
    step: Callable[..., tuple[SearchState, dict[str, Array]]]
    evaluate: Callable[..., tuple[Array, Array]]
    reset: Callable[[SearchState], SearchState]


def weight_optimizer(config: SearchConfig) -> optax.GradientTransformation:
    """SGD with momentum but for the learning rate: torch clips raw gradients and adds decay after that.

    Args:
      config: of the search.

    Returns:
      The transformation; its result times the learning rate is subtracted.
    """
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.add_decayed_weights(config.weight_decay),
        optax.trace(config.momentum),
    )


def alpha_optimizer(config: SearchConfig) -> optax.GradientTransformation:
    """Adam with decay in the gradient.

    Args:
      config: of the search.

    Returns:
      The transformation.
    """
    first, second = config.alpha_betas
    return optax.chain(optax.add_decayed_weights(config.alpha_decay), optax.adam(config.alpha_lr, first, second))


def mixing_weights(alpha: Array, chosen: Array, kept: Array) -> Array:
    """Weights of the operations: softmax of alpha, one-hot where chosen, zero where an edge is dropped.

    Args:
      alpha: float [edges, operations].
      chosen: int [edges], -1 while not chosen.
      kept: bool [edges].

    Returns:
      float [edges, operations].
    """
    hard = jax.nn.one_hot(chosen, alpha.shape[-1], dtype=alpha.dtype)
    weights = jnp.where((chosen >= 0)[:, None], hard, jax.nn.softmax(alpha, -1))
    return jnp.where(kept[:, None], weights, 0)


def magnitudes_of(state: SearchState, cell: DASConfig) -> Array:
    """Base magnitudes, learned or not: float [edges, operations]."""
    return bounded(state.arch["magnitude"], cell) if "magnitude" in state.arch else state.magnitudes


def make_program(network: Network, cell: DASConfig, config: SearchConfig) -> Program:
    """Makes the functions of a search; nothing is compiled yet.

    Args:
      network: over videos.
      cell: of the search.
      config: settings.

    Returns:
      The functions, pure and traceable.
    """
    weights_rule, alpha_rule = weight_optimizer(config), alpha_optimizer(config)
    variation = AugmentConfig(crop_padding=config.crop_padding, flip=config.flip)

    def varied(key: jax.Array, images: Array, axis: str | None) -> Array:
        if not (config.crop_padding or config.flip):
            return images
        # An image is known by its place in the whole batch, so that no number depends on the number of devices.
        places = jnp.arange(len(images)) + (0 if axis is None else lax.axis_index(axis) * len(images))
        return augment(key, images, jnp.zeros((len(images), 1), images.dtype), variation, indices=places)[0]

    def init(key: jax.Array, image_shape: tuple[int, ...], magnitudes: Array | None) -> SearchState:
        net_key, alpha_key, magnitude_key = jax.random.split(key, 3)
        video = jnp.zeros((1, cell.num_frames, *image_shape), jnp.float32)
        params, stats = network.init(net_key, video)
        base = sample_magnitudes(magnitude_key, cell) if magnitudes is None else jnp.asarray(magnitudes, jnp.float32)
        edges, operations = len(cell.edges), len(cell.operations)
        arch = {"alpha": config.alpha_scale * jax.random.normal(alpha_key, (edges, operations))}
        if cell.magnitude == "learned":
            arch["magnitude"] = unbounded(base, cell)
        return SearchState(
            params, stats, weights_rule.init(params), arch, alpha_rule.init(arch), base,
            jnp.full(edges, -1, jnp.int32), jnp.ones(edges, bool), jnp.float32(cell.path_gain()), jnp.int32(0),
        )  # fmt: skip

    def forward(
        params: PyTree, arch: dict[str, Array], state: SearchState, images: Array, labels: Array, key: jax.Array,
        mode: str = "train",
    ) -> tuple[Array, tuple[PyTree, Array]]:  # fmt: skip
        cell_key, net_key = jax.random.split(key)
        weights = mixing_weights(arch["alpha"], state.chosen, state.kept)
        magnitudes = magnitudes_of(state._replace(arch=arch), cell)
        video = mixture(images, weights, magnitudes, config=cell, gain=state.gain, key=cell_key)
        logits, stats = network.apply(params, state.stats, video, mode, net_key)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), (stats, (logits.argmax(-1) == labels).mean())

    def arch_loss(
        arch: dict[str, Array], state: SearchState, train: tuple[Array, Array], valid: tuple[Array, Array],
        rate: Array, keys: jax.Array, axis: str | None,
    ) -> tuple[Array, tuple[PyTree, Array]]:  # fmt: skip
        """Loss on the images of alpha after the weights' reply to ``arch``."""
        gradient = jax.grad(lambda p: forward(p, arch, state, *train, keys[1])[0])(state.params)
        gradient = _mean(gradient, axis)
        reply = jax.tree.map(lambda p, g: p - rate * (g + config.weight_decay * p), state.params, gradient)
        return forward(reply, arch, state, *valid, keys[0])

    def finite_difference(
        state: SearchState, train: tuple[Array, Array], valid: tuple[Array, Array], rate: Array, keys: jax.Array,
        axis: str | None,
    ) -> tuple[Any, PyTree]:  # fmt: skip
        params, arch = state.params, state.arch
        gradient = _mean(jax.grad(lambda p: forward(p, arch, state, *train, keys[1])[0])(params), axis)
        reply = jax.tree.map(lambda p, g: p - rate * (g + config.weight_decay * p), params, gradient)
        value, pull = jax.value_and_grad(forward, argnums=(0, 1), has_aux=True)(reply, arch, state, *valid, keys[0])
        toward = _mean(pull[0], axis)
        size = _EPSILON / jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(toward)))

        def mixed(sign: float) -> PyTree:
            moved = jax.tree.map(lambda p, d: p + sign * size * d, params, toward)
            return jax.grad(lambda a: forward(moved, a, state, *train, keys[1])[0])(arch)

        ahead, behind = mixed(1.0), mixed(-1.0)
        total = jax.tree.map(lambda g, a, b: g - rate * (a - b) / (2 * size), pull[1], ahead, behind)
        return value, total

    def step(
        state: SearchState, train: tuple[Array, Array], valid: tuple[Array, Array], rate: Array, key: jax.Array,
        *, axis: str | None = None,
    ) -> tuple[SearchState, dict[str, Array]]:  # fmt: skip
        keys = jax.random.split(jax.random.fold_in(key, state.step), 5)
        if axis is not None:
            own = jax.vmap(jax.random.fold_in, (0, None))(keys[:3], lax.axis_index(axis))
            keys = jnp.concatenate([own, keys[3:]])
        train, valid = (varied(keys[3], train[0], axis), train[1]), (varied(keys[4], valid[0], axis), valid[1])
        if config.order == "first":
            value, pull = jax.value_and_grad(forward, argnums=1, has_aux=True)(
                state.params, state.arch, state, *valid, keys[0]
            )
        elif config.order == "exact":
            value, pull = jax.value_and_grad(arch_loss, has_aux=True)(state.arch, state, train, valid, rate, keys, axis)
        else:
            value, pull = finite_difference(state, train, valid, rate, keys, axis)
        valid_loss, (stats, valid_accuracy) = value
        change, arch_opt = alpha_rule.update(_mean(pull, axis), state.arch_opt, state.arch)
        state = state._replace(arch=optax.apply_updates(state.arch, change), arch_opt=arch_opt)
        if config.alpha_updates_stats:
            state = state._replace(stats=_mean(stats, axis))
        (train_loss, (stats, train_accuracy)), gradient = jax.value_and_grad(forward, has_aux=True)(
            state.params, state.arch, state, *train, keys[2]
        )
        direction, weight_opt = weights_rule.update(_mean(gradient, axis), state.weight_opt, state.params)
        params = jax.tree.map(lambda p, d: p - rate * d, state.params, direction)
        state = state._replace(params=params, weight_opt=weight_opt, stats=_mean(stats, axis), step=state.step + 1)
        measures = {"train_loss": train_loss, "train_accuracy": train_accuracy, "valid_loss": valid_loss,
                    "valid_accuracy": valid_accuracy}  # fmt: skip
        return state, _mean(measures, axis)

    def evaluate(state: SearchState, weights: Array, images: Array, labels: Array) -> tuple[Array, Array]:
        def one(weights: Array) -> tuple[Array, Array]:
            video = mixture(images, weights, magnitudes_of(state, cell), config=cell, gain=state.gain)
            logits, _ = network.apply(state.params, state.stats, video, "batch", jax.random.key(0))
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return (logits.argmax(-1) == labels).sum(), losses.sum()

        return jax.vmap(one)(weights)

    def reset(state: SearchState) -> SearchState:
        return state._replace(weight_opt=weights_rule.init(state.params))

    return Program(init, step, evaluate, reset)


def _mean(tree: PyTree, axis: str | None) -> PyTree:
    """Mean over the devices that share a batch."""
    return tree if axis is None else lax.pmean(tree, axis)
