"""Devices and processes: the only package that names ``pmap``, ``shard_map``, ``Mesh`` or ``jax.distributed``.

Within a process, `population_map` maps a function over a population on every local device. Several processes, on one
machine or many, are joined by `initialize`; each then scores on its own devices, and `gather` exchanges results. With
`data_parallel`, all devices of all processes share a batch.
"""

from nasjax.parallel.data import AXIS, DataParallel, data_parallel
from nasjax.parallel.exchange import LOOK, check_agreement, gather, gather_bytes, give_up, shared
from nasjax.parallel.population import BATCHINGS, ENGINES, Mapped, population_map
from nasjax.parallel.processes import (
    device_summary,
    initialize,
    is_main,
    local_devices,
    process_count,
    process_index,
)

__all__ = [
    "AXIS",
    "BATCHINGS",
    "ENGINES",
    "LOOK",
    "DataParallel",
    "Mapped",
    "check_agreement",
    "data_parallel",
    "device_summary",
    "gather",
    "gather_bytes",
    "give_up",
    "initialize",
    "is_main",
    "local_devices",
    "population_map",
    "process_count",
    "process_index",
    "shared",
]
