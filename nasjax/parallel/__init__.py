"""Devices: the only package that names ``pmap``, ``shard_map`` or ``Mesh``.

`population_map` maps a function over a population on every local device; `data_parallel` lets all devices share a
batch.
"""

from nasjax.parallel.data import AXIS, DataParallel, data_parallel
from nasjax.parallel.population import (
    BATCHINGS,
    ENGINES,
    Mapped,
    device_summary,
    local_devices,
    population_map,
)

__all__ = [
    "AXIS",
    "BATCHINGS",
    "ENGINES",
    "DataParallel",
    "Mapped",
    "data_parallel",
    "device_summary",
    "local_devices",
    "population_map",
]
