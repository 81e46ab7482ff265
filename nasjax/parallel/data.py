"""One batch on all devices: each works on its share, and what it finds is averaged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import jax
import numpy as np

from nasjax.parallel.population import choose_devices
from nasjax.types import InputError, PyTree

AXIS = "shard"


class Shared(Protocol):
    """What `data_parallel` takes."""

    def __call__(self, whole: PyTree, batch: PyTree, *, axis: str | None) -> PyTree:
        """Works on a share of a batch.

        Args:
          whole: what all devices have in common, such as parameters.
          batch: the share, arrays with a leading axis.
          axis: name of the axis of devices, over which results are to be summed or averaged (``jax.lax.psum``,
            ``jax.lax.pmean``); None on one device, where the share is the batch.

        Returns:
          pytree of arrays, the same on all devices.
        """
        ...


class DataParallel:
    """A function of a batch that runs on the shares of all devices at once; see `data_parallel`, which makes it.

    Attributes:
      devices: tuple of the devices of this process.
      size: int, shares of a batch: devices of all processes.
      part: (number, of how many): which part of every batch this process gives, see `nasjax.data.stream.batches`.
    """

    def __init__(self, fn: Shared, devices: tuple[jax.Device, ...], processes: int):
        """Stores checked values; call ``data_parallel`` instead."""
        self.devices = devices
        self.size = len(devices) * processes
        self.part = (jax.process_index() if processes > 1 else 0, processes)
        self._run: Callable[[PyTree, PyTree], PyTree]
        self._split: jax.sharding.Sharding
        if self.size == 1:
            self._run = jax.jit(functools.partial(fn, axis=None))
            self._split = jax.sharding.SingleDeviceSharding(devices[0])
        else:
            # With several processes pmap takes the devices of all.
            own = devices if processes == 1 else None
            self._run = jax.pmap(
                functools.partial(fn, axis=AXIS), axis_name=AXIS, in_axes=(None, 0), out_axes=None, devices=own
            )
            mesh = jax.sharding.Mesh(np.array(devices), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))
            self._split = jax.sharding.NamedSharding(mesh, jax.P(AXIS))

    def check_batch(self, size: int, *, even: bool = False) -> None:
        """Refuses a batch that the devices cannot share.

        Args:
          size: images of a batch, over all devices.
          even: whether the images of a share must make pairs.

        Raises:
          InputError: it leaves a remainder.
        """
        step = self.size * (2 if even else 1)
        if size % step:
            pairs = " whose images are mixed in pairs" if even else ""
            least = max(size // step, 1) * step
            raise InputError(
                f"batch_size={size} on {self.size} devices{pairs}; allowed: multiples of {step}; do: take {least}, or "
                "fewer devices"
            )

    def place(self, batch: PyTree) -> PyTree:
        """Puts this process's part of a batch on its devices; may be called from another thread.

        Args:
          batch: arrays [n, ...], n a multiple of the number of devices.

        Returns:
          the batch as the function takes it.
        """
        if self.size == 1:
            return jax.device_put(batch, self._split)
        count = len(self.devices)
        return jax.device_put(
            jax.tree.map(lambda a: a.reshape(count, a.shape[0] // count, *a.shape[1:]), batch), self._split
        )

    def __call__(self, whole: PyTree, batch: PyTree) -> PyTree:
        """Runs the function; returns as soon as the work is handed to the devices.

        Args:
          whole: what all devices have in common; what an earlier call returned costs no transfer.
          batch: of ``place``.

        Returns:
          what the function returns.
        """
        return self._run(whole, batch)


def data_parallel(fn: Shared, *, devices: int | Sequence[jax.Device] | None = None) -> DataParallel:
    """Makes a function of a share of a batch run on all devices at once, by pmap; on one device it is jitted alone.

    With several processes (`jax.distributed`), each gives its part of the batch to its own devices, and the axis spans
    the devices of all.

    Args:
      fn: pure and traceable; see `Shared`. It compiles once for each shape of batch.
      devices: None for all local devices, a count, or the devices themselves; with several processes all are used.

    Returns:
      the function.

    Raises:
      InputError: devices that do not exist, or a choice of devices with several processes.
    """
    processes = jax.process_count()
    if processes > 1 and devices is not None:
        raise InputError(
            f"devices={devices!r} with {processes} processes; allowed: None, all devices of all processes; do: leave "
            "it out"
        )
    return DataParallel(fn, choose_devices(devices), processes)
