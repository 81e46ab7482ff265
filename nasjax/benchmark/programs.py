"""Many architectures of one signature in one program: a part of an epoch, and an evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.benchmark.trainer import Trainer
from nasjax.types import Array, PyTree


class Programs:
    """The compiled programs of one space bound to a signature, on one device.

    A program serves ``slots`` architectures. ``batching="map"`` runs those that are there one after another, each for
    all steps of the call; "vmap" runs all slots together, the spare ones repeating the first architecture. What a
    network becomes depends neither on its slot nor, with "map", on its neighbours.

    Attributes:
      slots: architectures of a program.
      device: where they run.
      compile_seconds: spent in tracing and compiling.
    """

    def __init__(self, trainer: Trainer, space: Any, slots: int, batching: str, device: jax.Device) -> None:
        """Nothing is compiled before it is used.

        Args:
          trainer: how a network is trained.
          space: bound to one signature.
          slots: architectures of a program.
          batching: "map" or "vmap".
          device: where the programs run.
        """
        self.slots = slots
        self.device = device
        self.compile_seconds = 0.0
        self._trainer = trainer
        self._space = space
        self._batching = batching
        self._place = jax.sharding.SingleDeviceSharding(device)
        self._compiled: dict[Any, Callable[..., Any]] = {}

    @property
    def count(self) -> int:
        """How many programs were compiled."""
        return len(self._compiled)

    def shapes(self, keys: Array, archs: Any, steps_per_epoch: int) -> PyTree:
        """Structure of the states that ``init`` makes, without computing them."""
        trainer, space = self._trainer, self._space
        one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a)[1:], np.asarray(a).dtype), archs)
        key = jax.eval_shape(lambda k: k[0], keys)
        return jax.eval_shape(lambda k, a: trainer.init(k, space, a, steps_per_epoch), key, one)

    def init(self, keys: Array, archs: PyTree, steps_per_epoch: int) -> PyTree:
        """Initial states.

        Args:
          keys: typed keys [n], n up to ``slots``.
          archs: population [n, ...].
          steps_per_epoch: steps of an epoch.

        Returns:
          states, leaves [slots, ...]; spare slots hold copies.
        """
        trainer, space = self._trainer, self._space

        def one(item: Any) -> PyTree:
            key, arch = item
            return trainer.init(jax.random.wrap_key_data(key, impl=impl), space, arch, steps_per_epoch)

        impl = str(jax.random.key_impl(keys))
        words = np.asarray(jax.random.key_data(keys))
        items = self.padded((words, archs))

        def run(items: Any) -> PyTree:
            return lax.map(one, items)

        return self._call("init", run, (items,), donate=False)

    def advance(
        self, states: PyTree, keys: Array, archs: PyTree, images: np.ndarray, labels: np.ndarray, count: int
    ) -> tuple[PyTree, Array]:
        """Trains for some steps; returns as soon as the work is handed to the device.

        Args:
          states: of ``init`` or ``advance``; they are used up.
          keys: typed keys [n] of whole trainings, n up to ``slots``.
          archs: population [n, ...].
          images: as the trainer takes them, [steps, batch, h, w, c], shared by the architectures.
          labels: int32 [steps, batch].
          count: how many of the steps to take.

        Returns:
          states, and the sum of the losses, float [slots].
        """
        trainer, space = self._trainer, self._space
        impl = str(jax.random.key_impl(keys))

        def one(item: Any, shared: Any) -> tuple[PyTree, Array]:
            state, key, arch = item
            images, labels, count = shared
            own = jax.random.wrap_key_data(key, impl=impl)

            def body(i: Array, carry: Any) -> Any:
                state, total = carry
                state, loss = trainer.step(state, arch, images[i], labels[i], own, space)
                return state, total + loss.astype(total.dtype)

            return lax.fori_loop(0, count, body, (state, jnp.zeros((), jnp.float32)))

        def run(states: PyTree, rest: PyTree, real: Array, shared: Any) -> tuple[PyTree, Array]:
            if self._batching == "vmap":
                return jax.vmap(lambda s, r: one((s, *r), shared))(states, rest)

            def turn(i: Array, carry: tuple[PyTree, Array]) -> tuple[PyTree, Array]:
                states, losses = carry
                state, loss = one((_row(states, i), *_row(rest, i)), shared)
                return _put(states, state, i), losses.at[i].set(loss)

            return lax.fori_loop(0, real, turn, (states, jnp.zeros(self.slots, jnp.float32)))

        real = np.int32(len(keys))
        rest = self.padded((np.asarray(jax.random.key_data(keys)), archs))
        shared = (images, labels, np.int32(count))
        return self._call("advance", run, (states, rest, real, shared), donate=True)

    def evaluate(
        self, states: PyTree, number: int, archs: PyTree, images: np.ndarray, labels: np.ndarray
    ) -> tuple[Array, Array]:
        """Evaluates; returns as soon as the work is handed to the device.

        Args:
          states: of ``init`` or ``advance``.
          number: how many slots hold an architecture.
          archs: population [number, ...].
          images: as the trainer takes them, [batches, batch, h, w, c].
          labels: int32 [batches, batch]; -1 where there is no image.

        Returns:
          summed loss and number of correct predictions, float [slots] each.
        """
        trainer, space = self._trainer, self._space

        def one(state: PyTree, arch: PyTree, shared: Any) -> tuple[Array, Array]:
            images, labels = shared

            def body(i: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
                found = trainer.evaluate(state, arch, images[i], labels[i], space)
                loss, correct = (s + v.astype(s.dtype) for s, v in zip(sums, found, strict=True))
                return loss, correct

            zero = jnp.zeros((), jnp.float32)
            return lax.fori_loop(0, labels.shape[0], body, (zero, zero))

        def run(states: PyTree, archs: PyTree, real: Array, shared: Any) -> tuple[Array, Array]:
            if self._batching == "vmap":
                return jax.vmap(lambda s, a: one(s, a, shared))(states, archs)

            def turn(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
                loss, correct = one(_row(states, i), _row(archs, i), shared)
                return carry[0].at[i].set(loss), carry[1].at[i].set(correct)

            empty = jnp.zeros(self.slots, jnp.float32)
            return lax.fori_loop(0, real, turn, (empty, empty))

        return self._call(
            "evaluate", run, (states, self.padded(archs), np.int32(number), (images, labels)), donate=False
        )

    def padded(self, tree: PyTree) -> PyTree:
        """Fills arrays [n, ...] up to [slots, ...] with copies of the first row."""

        def fill(array: Any) -> np.ndarray:
            array = np.asarray(array)
            slots = np.arange(self.slots)
            return array[np.where(slots < len(array), slots, 0)]

        return jax.tree.map(fill, tree)

    def put(self, tree: PyTree) -> PyTree:
        """Places arrays on the device of the programs."""
        return jax.device_put(tree, self._place)

    def _call(self, name: str, run: Callable[..., Any], args: tuple[Any, ...], *, donate: bool) -> Any:
        """Runs a program, compiled ahead for the shapes of its arguments, so that run times are pure."""
        placed = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else self.put(leaf), args)
        avals = tuple((x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(placed))
        key = (name, jax.tree.structure(placed), avals)
        if key not in self._compiled:
            started = time.perf_counter()
            lowered = jax.jit(run, donate_argnums=(0,) if donate else ()).lower(*placed)
            self._compiled[key] = lowered.compile()
            self.compile_seconds += time.perf_counter() - started
        return self._compiled[key](*placed)


def stack(groups: Sequence[tuple[PyTree, int]]) -> PyTree:
    """The real rows of several states as NumPy arrays.

    Args:
      groups: pairs of states [slots, ...] and how many slots are real.

    Returns:
      leaves [n, ...].
    """
    parts = [jax.tree.map(lambda leaf, n=number: np.asarray(leaf)[:n], states) for states, number in groups]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _row(tree: PyTree, index: Array) -> PyTree:
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, index, keepdims=False), tree)


def _put(tree: PyTree, row: PyTree, index: Array) -> PyTree:
    return jax.tree.map(
        lambda leaf, one: lax.dynamic_update_index_in_dim(leaf, one.astype(leaf.dtype), index, 0), tree, row
    )
