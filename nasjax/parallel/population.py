"""Maps a function over a population on every local device.

All engines run the same *block*: a
fixed number of items on one device, so a population of any size needs one compilation. A block that
is not full stops early (``batching="map"``) or is padded and cut off (``batching="vmap"``); an item's
result therefore depends on neither its position, nor the chunk, engine or number of devices.
"""

from __future__ import annotations

import collections
import difflib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.parallel.leaves import Spec, flatten, population_size, unflatten
from nasjax.parallel.processes import device_summary, local_devices
from nasjax.types import InputError, PyTree

ENGINES = ("auto", "pmap", "shard_map", "jit", "host")
BATCHINGS = ("map", "vmap")

_AXIS = "device"
_IN_FLIGHT = 2  # Blocks per lane: one runs, one waits with its inputs already on the device.


class _Block(NamedTuple):
    """One dispatch: rows of the population, the number of real items on each device of the lane."""

    indices: np.ndarray  # int [m], items of the block in order
    rows: np.ndarray  # int [devices * chunk], item in each slot; spare slots repeat item 0
    real: np.ndarray  # bool [devices * chunk], slots that hold an item of the block
    counts: np.ndarray  # int32 [devices]


class _Lane(NamedTuple):
    """Devices that run one block together."""

    devices: tuple[jax.Device, ...]
    split: jax.sharding.Sharding
    whole: jax.sharding.Sharding


def population_map(
    fn: Callable[..., PyTree],
    *,
    engine: str = "auto",
    batching: str = "map",
    chunk: int | None = None,
    devices: int | Sequence[jax.Device] | None = None,
) -> Mapped:
    """Makes a function of one item into a function of a whole population.

    Engines:
      - ``"pmap"``, ``"shard_map"``: one program over all devices, a block on each.
      - ``"host"``: independent blocks go to the devices in turn; none waits for another's block,
        which suits items of unequal cost. Traced once, compiled once a device.
      - ``"jit"``: one program on the first device alone.
      - ``"auto"``: pmap with more than one device, otherwise jit.

    Args:
      fn: ``fn(item, *shared) -> pytree of arrays``. ``item`` is one element of the population
        (leading axis removed). Pure and traceable; should not close over large arrays.
      engine: one of ``ENGINES``.
      batching: ``"map"`` runs the items of a block one after another, ``"vmap"`` together; ``"auto"`` is map here.
      chunk: items of a block on each device; by default 8 on CPU, and elsewhere 64, or with "vmap" 125 (25 where the
        device has less than 40 GiB).
      devices: None for all local devices, a count, or the devices themselves.

    Returns:
      A ``Mapped``; it keeps its compiled programs, so reuse it for further populations.

    Raises:
      InputError: unknown engine or batching, a chunk below one, or devices that do not exist.
    """
    _check_choice("engine", engine, ENGINES)
    _check_choice("batching", batching, ("auto", *BATCHINGS))
    batching = "map" if batching == "auto" else batching
    chosen = choose_devices(devices)
    if engine == "auto":
        engine = "pmap" if len(chosen) > 1 else "jit"
    if engine == "jit":
        chosen = chosen[:1]
    if chunk is None:
        chunk = 8 if chosen[0].platform == "cpu" else _accelerator_chunk(chosen[0], batching)
    _check_count("chunk", chunk)
    return Mapped(fn, engine, batching, int(chunk), chosen)


def _accelerator_chunk(device: jax.Device, batching: str) -> int:
    """Items of a block: many together keep an accelerator busy, and all must fit its memory."""
    if batching == "map":
        return 64
    limit = (device.memory_stats() or {}).get("bytes_limit", 0)
    return 125 if limit >= 40 * 2**30 else 25


class Mapped:
    """A function mapped over populations; see ``population_map``, which makes it.

    Attributes:
      engine: the engine in use, never ``"auto"``.
      batching: ``"map"`` or ``"vmap"``.
      chunk: items of a block on each device.
      devices: tuple of the devices in use.
      trace_count: int, how often ``fn`` was traced so far.
      compile_seconds: float, time spent in tracing and compiling so far.
    """

    def __init__(
        self,
        fn: Callable[..., PyTree],
        engine: str,
        batching: str,
        chunk: int,
        devices: tuple[jax.Device, ...],
    ):
        """Stores checked values; call ``population_map`` instead."""
        self.engine = engine
        self.batching = batching
        self.chunk = chunk
        self.devices = devices
        self.trace_count = 0
        self.compile_seconds = 0.0
        self._fn = fn
        self._programs: dict[Any, list[Callable[..., PyTree]]] = {}
        if engine in ("pmap", "shard_map"):
            axis_types = (jax.sharding.AxisType.Auto,)
            self._mesh = jax.sharding.Mesh(np.array(devices), (_AXIS,), axis_types=axis_types)
            split = jax.sharding.NamedSharding(self._mesh, jax.P(_AXIS))
            self._lanes = [_Lane(devices, split, jax.sharding.NamedSharding(self._mesh, jax.P()))]
        else:
            places = [jax.sharding.SingleDeviceSharding(device) for device in devices]
            self._lanes = [_Lane((d,), place, place) for d, place in zip(devices, places, strict=True)]

    def __call__(self, population: PyTree, *shared: PyTree) -> PyTree:
        """Maps the whole population.

        Args:
          population: pytree of arrays ``[n, ...]``; typed key arrays are welcome.
          *shared: pytrees of arrays given to every call of ``fn`` unchanged.

        Returns:
          What ``fn`` returns, as NumPy arrays with a leading axis ``n``.

        Raises:
          InputError: as ``chunks``.
        """
        results = [result for _, result, _ in self.chunks(population, *shared)]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *results)

    def chunks(self, population: PyTree, *shared: PyTree) -> Iterator[tuple[np.ndarray, PyTree, float]]:
        """Maps the population and hands over each block when it is finished, in order.

        At most two blocks a lane are in flight (a lane is one device of the host engine, all
        devices of another), so stopping early wastes little. Every device runs in a thread of its
        own: on some accelerators the host waits inside a dispatch for the index of a switch.

        Args:
          population: pytree of arrays ``[n, ...]``; typed key arrays are welcome.
          *shared: pytrees of arrays given to every call of ``fn`` unchanged.

        Returns:
          Iterator of ``(indices, result, seconds)``: int array ``[m]`` of consecutive positions,
          the pytree of NumPy arrays ``[m, ...]``, and the block's own run time without compilation.

        Raises:
          InputError: an empty population, leaves of different leading size, or a leaf that is not
            numeric. Raised here, before anything is compiled.
        """
        leaves, item_spec = flatten(population, "population")
        size = population_size(leaves)
        leaves = [np.asarray(leaf) for leaf in leaves]
        shared_leaves, shared_spec = flatten(shared, "shared argument")
        return self._run(leaves, item_spec, shared_leaves, shared_spec, size)

    def _run(
        self, leaves: list[Any], item_spec: Spec, shared_leaves: list[Any], shared_spec: Spec, size: int
    ) -> Iterator[tuple[np.ndarray, PyTree, float]]:
        shared = [jax.device_put(shared_leaves, lane.whole) for lane in self._lanes]
        blocks = self._blocks(size)
        first = next(blocks)
        programs = self._compile(self._place(leaves, first, self._lanes[0]), shared, item_spec, shared_spec)
        threads = [ThreadPoolExecutor(1, thread_name_prefix="nasjax") for _ in self._lanes]
        pending: collections.deque[tuple[_Block, Future[tuple[PyTree, float]]]] = collections.deque()
        turns = itertools.cycle(range(len(self._lanes)))
        try:
            for block in itertools.chain([first], blocks):
                if len(pending) == _IN_FLIGHT * len(self._lanes):
                    yield self._gather(*pending.popleft())
                turn = next(turns)
                # Placed here, not in the thread: dtypes follow this thread's jax settings.
                rows, counts = self._place(leaves, block, self._lanes[turn])
                future = threads[turn].submit(_timed, programs[turn], rows, counts, shared[turn])
                pending.append((block, future))
            while pending:
                yield self._gather(*pending.popleft())
        finally:
            for thread in threads:
                thread.shutdown(wait=True, cancel_futures=True)

    def _gather(self, block: _Block, future: Future[tuple[PyTree, float]]) -> tuple[np.ndarray, PyTree, float]:
        result, seconds = future.result()
        lead = 2 if self.engine == "pmap" else 1
        slots = len(block.real)
        return (
            block.indices,
            jax.tree.map(lambda x: x.reshape(slots, *x.shape[lead:])[block.real], result),
            seconds,
        )

    def _blocks(self, size: int) -> Iterator[_Block]:
        """Cuts the population into blocks; what does not fill all devices is spread evenly."""
        width, lanes = len(self._lanes[0].devices), len(self._lanes)
        turn = width * self.chunk * lanes
        for start in range(0, size, turn):
            share, extra = divmod(min(turn, size - start), lanes)
            for lane in range(lanes):
                count = share + (lane < extra)
                if count:
                    yield _block(start, count, width, self.chunk)
                start += count

    def _place(self, leaves: list[np.ndarray], block: _Block, lane: _Lane) -> tuple[Any, Any]:
        lead = (len(lane.devices), self.chunk) if self.engine == "pmap" else (len(block.rows),)
        rows = [leaf[block.rows].reshape(*lead, *leaf.shape[1:]) for leaf in leaves]
        return jax.device_put((rows, block.counts), lane.split)

    def _compile(
        self, first: tuple[Any, Any], shared: list[Any], item_spec: Spec, shared_spec: Spec
    ) -> list[Callable[..., PyTree]]:
        """Compiles ahead of time, so that run times are pure and threads never trace."""
        rows, counts = first
        avals = tuple((x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves((rows, shared[0])))
        precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
        key = (item_spec, shared_spec, avals, precision)
        if key not in self._programs:
            started = time.perf_counter()
            wrapped = self._wrap(item_spec, shared_spec)
            lowered = [
                wrapped.lower(*jax.device_put((rows, counts), lane.split), lane_shared)
                for lane, lane_shared in zip(self._lanes, shared, strict=True)
            ]
            with ThreadPoolExecutor(len(lowered)) as pool:
                self._programs[key] = list(pool.map(lambda x: x.compile(), lowered))
            self.compile_seconds += time.perf_counter() - started
        return self._programs[key]

    def _wrap(self, item_spec: Spec, shared_spec: Spec) -> Any:
        def call(item_leaves: list[Any], shared_leaves: list[Any]) -> PyTree:
            self.trace_count += 1
            return self._fn(unflatten(item_leaves, item_spec), *unflatten(shared_leaves, shared_spec))

        block = _loop_block if self.batching == "map" else _vmap_block

        def run(rows: list[Any], count: Any, shared_leaves: list[Any]) -> PyTree:
            return block(call, rows, count, shared_leaves)

        if self.engine == "pmap":
            # The size is stated, since processes may have different numbers of devices.
            own: Any = {"devices": self.devices, "axis_size": len(self.devices)}
            return jax.pmap(run, axis_name=_AXIS, in_axes=(0, 0, None), **own)
        if self.engine == "shard_map":
            # Without the varying-axes check: a scan inside fn may start from a constant carry.
            specs = (jax.P(_AXIS), jax.P(_AXIS), jax.P())
            run = jax.shard_map(run, mesh=self._mesh, in_specs=specs, out_specs=jax.P(_AXIS), check_vma=False)
        return jax.jit(run)


def _loop_block(call: Callable[..., PyTree], rows: list[Any], count: Any, shared: list[Any]) -> PyTree:
    """Runs the first ``count`` items one after another; spare slots cost nothing and stay zero."""
    # The inlined jit shares its trace between the shape query and the loop body.
    step = jax.jit(call, inline=True)

    def take(index: Any) -> list[Any]:
        return [lax.dynamic_index_in_dim(row, index, keepdims=False) for row in rows]

    def body(index: Any, results: PyTree) -> PyTree:
        result = step(take(index), shared)
        return jax.tree.map(
            lambda all_, one: lax.dynamic_update_index_in_dim(all_, one.astype(all_.dtype), index, 0),
            results,
            result,
        )

    shapes = jax.eval_shape(step, take(jnp.int32(0)), shared)
    slots = rows[0].shape[0]
    empty = jax.tree.map(lambda s: jnp.zeros((slots, *s.shape), s.dtype), shapes)
    return lax.fori_loop(jnp.int32(0), count.reshape(()), body, empty)


def _vmap_block(call: Callable[..., PyTree], rows: list[Any], count: Any, shared: list[Any]) -> PyTree:
    del count  # Spare slots repeat item 0.
    return jax.vmap(call, in_axes=(0, None))(rows, shared)


def _timed(program: Callable[..., PyTree], *args: Any) -> tuple[PyTree, float]:
    started = time.perf_counter()
    result = jax.tree.map(np.asarray, program(*args))
    return result, time.perf_counter() - started


def _block(start: int, count: int, width: int, chunk: int) -> _Block:
    """Lays ``count`` items from ``start`` out on ``width`` devices, evenly."""
    counts = np.full(width, count // width, np.int32)
    counts[: count % width] += 1
    real = np.arange(chunk)[None, :] < counts[:, None]
    rows = np.zeros((width, chunk), np.int64)
    indices = np.arange(start, start + count)
    rows[real] = indices
    return _Block(indices, rows.reshape(-1), real.reshape(-1), counts)


def choose_devices(devices: int | Sequence[jax.Device] | None) -> tuple[jax.Device, ...]:
    """Local devices that a caller asks for.

    Args:
      devices: None for all, a count, or the devices themselves.

    Returns:
      the devices.

    Raises:
      InputError: there are no such devices.
    """
    present = local_devices()
    if devices is None:
        return tuple(present)
    if isinstance(devices, Sequence):
        chosen = tuple(devices)
        if not chosen or len(set(chosen)) < len(chosen) or any(not isinstance(d, jax.Device) for d in chosen):
            raise InputError(f"devices={list(chosen)}; allowed: distinct JAX devices; do: choose from {present}.")
        return chosen
    _check_count("devices", devices)
    if devices > len(present):
        raise InputError(
            f"{devices} devices asked for; allowed: 1 to {len(present)} (here: {device_summary()}); do: ask for "
            f"fewer, or for fake CPU devices start with XLA_FLAGS=--xla_force_host_platform_device_count={devices}."
        )
    return tuple(present[:devices])


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name}={value!r}; allowed: a whole number of at least 1; do: give one or leave it out.")


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value in choices:
        return
    near = difflib.get_close_matches(str(value).lower(), choices, n=1, cutoff=0.0)[0]
    raise InputError(f"{name} {value!r} is unknown; allowed: {', '.join(choices)}; do: did you mean {near!r}?")
