"""Seeds of a search in one program: compiled functions whose arrays have a leading axis of seeds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.das.config import DASConfig
from nasjax.das.ops import check_magnitude
from nasjax.das.search_config import Network, SearchConfig, SearchData
from nasjax.das.search_steps import Program, SearchState, make_program, mixing_weights
from nasjax.parallel.data import data_parallel
from nasjax.types import InputError, PyTree

_SHARE_OF_MEMORY = 0.7  # that the seeds of a group may fill


class Group:
    """Runs the seeds of a group; see ``make_group``, which makes it.

    Attributes:
      cell: what is searched.
      config: settings.
    """

    def __init__(
        self, program: Program, cell: DASConfig, config: SearchConfig, data: SearchData, magnitudes: Any, devices: Any
    ) -> None:
        """Stores checked values; call ``make_group`` instead."""
        self.cell, self.config = cell, config
        self._program = program
        self._shape = data.train_images.shape[1:]
        self._train = data.train_images, data.train_labels.astype(np.int32)
        self._valid = data.valid_images, data.valid_labels.astype(np.int32)
        self._magnitudes = None if magnitudes is None else jnp.asarray(magnitudes, jnp.float32)
        self._init = jax.jit(functools.partial(self._over_seeds, self._init_one))
        self._step = data_parallel(self._step_of_all, devices=devices)
        self._step.check_batch(config.batch_size)
        self._evaluate = jax.jit(functools.partial(self._over_seeds, program.evaluate, axes=(0, 0, None, None)))
        self._reset = jax.jit(functools.partial(self._over_seeds, program.reset))

    @staticmethod
    def _over_seeds(function: Callable[..., PyTree], *args: PyTree, axes: tuple[int | None, ...] = ()) -> PyTree:
        """Maps over seeds; a single one is left alone, since mapped convolutions are slow on a CPU."""
        axes = axes or (0,) * len(args)
        seeds = next(jax.tree.leaves(a)[0].shape[0] for a, axis in zip(args, axes, strict=True) if axis == 0)
        if seeds > 1:
            return jax.vmap(function, axes)(*args)
        own = [jax.tree.map(lambda x: x[0], a) if axis == 0 else a for a, axis in zip(args, axes, strict=True)]
        return jax.tree.map(lambda x: x[None], function(*own))

    def _init_one(self, key: jax.Array) -> SearchState:
        return self._program.init(key, self._shape, self._magnitudes)

    def _step_of_all(self, whole: PyTree, batch: PyTree, *, axis: str | None) -> PyTree:
        """One step of every seed: images and labels have the axis of seeds behind that of the batch."""
        state, rate, keys = whole
        train, valid = batch
        own = functools.partial(self._program.step, axis=axis)
        swapped = jax.tree.map(lambda x: x.swapaxes(0, 1), (train, valid))
        return self._over_seeds(own, state, *swapped, rate, keys, axes=(0, 0, 0, None, 0))

    def init(self, keys: jax.Array) -> SearchState:
        """State at the beginning; every array has a leading axis of seeds.

        Args:
          keys: typed keys [seeds].

        Returns:
          the state.
        """
        state: SearchState = self._init(jax.vmap(jax.random.fold_in, (0, None))(keys, 0))
        return state

    def reset(self, state: SearchState) -> SearchState:
        """The state with a fresh optimiser of the weights."""
        fresh: SearchState = self._reset(state)
        return fresh

    def weights(self, state: SearchState) -> np.ndarray:
        """Weights of the present mixtures: float [seeds, edges, operations]."""
        return np.asarray(jax.vmap(mixing_weights)(state.arch["alpha"], state.chosen, state.kept))

    def _placed(self, state: SearchState) -> SearchState:
        """The state where the step leaves it: arrays that lie elsewhere would have the same program compiled again."""
        return jax.device_put(state, self._step.devices[0]) if self._step.size == 1 else state

    def run_epoch(
        self, keys: jax.Array, state: SearchState, epoch: int, rate: float
    ) -> tuple[SearchState, dict[str, np.ndarray]]:
        """One epoch over the images of the weights.

        Args:
          keys: typed keys [seeds].
          state: before.
          epoch: its number, from which the order of the images follows.
          rate: learning rate of the weights.

        Returns:
          the state after, and means over the steps: float64 [seeds].
        """
        batch, halves = self.config.batch_size, (self._train, self._valid)
        steps = len(self._train[1]) // batch
        state = self._placed(state)
        orders = [
            np.stack([_rows(jax.random.fold_in(key, stream), epoch, len(y), steps * batch) for key in keys], 1)
            for stream, (_, y) in zip((1, 4), halves, strict=True)
        ]
        step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, 2)
        sums: list[dict[str, jax.Array]] = []
        for number in range(steps):
            rows = [order[number * batch : (number + 1) * batch] for order in orders]
            taken = [(x[own], y[own]) for own, (x, y) in zip(rows, halves, strict=True)]
            state, measures = self._step((state, jnp.float32(rate), step_keys), self._step.place(taken))
            sums.append(measures)
        mean = {name: np.mean([np.asarray(m[name], np.float64) for m in sums], 0) for name in sums[0]}
        return state, mean

    def evaluate(self, state: SearchState, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Judges mixtures on the images of alpha, with batch norm by the batch.

        Args:
          state: networks.
          weights: float [seeds, c, edges, operations].

        Returns:
          accuracy and mean loss, float64 [seeds, c]. Images that do not fill a batch are left out.
        """
        batch = self.config.batch_size
        number = len(self._valid[1]) // batch
        state = self._placed(state)
        order = np.random.default_rng(0).permutation(len(self._valid[1]))
        correct, loss = np.zeros(weights.shape[:2]), np.zeros(weights.shape[:2])
        for i in range(number):
            rows = order[i * batch : (i + 1) * batch]
            images, labels = self._valid[0][rows], self._valid[1][rows]
            own_correct, own_loss = self._evaluate(state, weights, images, labels)
            correct += np.asarray(own_correct, np.float64)
            loss += np.asarray(own_loss, np.float64)
        return correct / (number * batch), loss / (number * batch)

    def seeds_that_fit(self, keys: jax.Array) -> int:
        """How many seeds to run in one program.

        Args:
          keys: typed keys [seeds].

        Returns:
          1 on a CPU; elsewhere as many as fit by what the compiler says about a step of one seed.
        """
        device = self._step.devices[0]
        if device.platform == "cpu" or len(keys) == 1:
            return 1
        limit = (device.memory_stats() or {}).get("bytes_limit", 0)
        used = self.step_bytes(keys[:1])
        return max(1, min(len(keys), int(_SHARE_OF_MEMORY * limit // used))) if limit and used else 1

    def step_bytes(self, keys: jax.Array) -> int:
        """Memory of one step, by the compiler's own account: arguments, results and scratch, in bytes.

        Args:
          keys: typed keys [seeds].

        Returns:
          bytes; 0 where the compiler says nothing.
        """
        state = jax.eval_shape(self._init, keys)
        size = self.config.batch_size // self._step.size, len(keys)
        batch = [
            (jax.ShapeDtypeStruct((*size, *x.shape[1:]), x.dtype), jax.ShapeDtypeStruct(size, y.dtype))
            for x, y in (self._train, self._valid)
        ]
        one = jax.jit(functools.partial(self._step_of_all, axis=None))
        lowered = one.lower((state, jnp.float32(0), keys), batch)
        memory = lowered.compile().memory_analysis()
        if memory is None:
            return 0
        return int(memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes)


def make_group(
    network: Network,
    cell: DASConfig,
    config: SearchConfig,
    data: SearchData,
    magnitudes: Any,
    devices: int | Sequence[jax.Device] | None,
) -> Group:
    """Makes the programs of a group of seeds.

    Args:
      network: over videos.
      cell: what is searched.
      config: settings.
      data: images.
      magnitudes: float [edges, operations], or None to draw them.
      devices: which share every batch.

    Returns:
      The group.

    Raises:
      InputError: magnitudes do not fit the cell.
    """
    wanted = len(cell.edges), len(cell.operations)
    if magnitudes is not None and (np.shape(magnitudes) != wanted or not np.isfinite(magnitudes).all()):
        raise InputError(f"magnitudes {np.shape(magnitudes)}; allowed: finite numbers {wanted}, edges and operations")
    if magnitudes is not None:
        for row in np.asarray(magnitudes, float).tolist():
            for operation, value in zip(cell.operations, row, strict=True):
                check_magnitude(operation, value, where="magnitudes")
    return Group(make_program(network, cell, config), cell, config, data, magnitudes, devices)


def _rows(key: jax.Array, epoch: int, size: int, number: int) -> np.ndarray:
    """The images of an epoch: int32 [number], in an order of its own, again from the start where there are too few."""
    parts = []
    for turn in range(-(-number // size)):
        own = jax.random.fold_in(jax.random.fold_in(key, epoch), turn)
        parts.append(np.asarray(jax.random.permutation(own, size)))
    return np.concatenate(parts)[:number].astype(np.int32)
