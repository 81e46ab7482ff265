"""Latency and energy of architectures on devices, as published by HW-NAS-Bench."""

from __future__ import annotations

import difflib
import functools
import importlib.resources
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasjax.data import tables
from nasjax.types import InputError

if TYPE_CHECKING:
    import pandas as pd

DATASETS = {"nasbench201": ("cifar10", "cifar100", "imagenet16")}


def latency(space: str, dataset: str, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Loads the published latencies and energies of architectures.

    Columns: ``arch`` (official string); in milliseconds ``edgegpu_latency`` (NVIDIA Jetson TX2), ``raspi4_latency``,
    ``edgetpu_latency``, ``pixel3_latency``, ``eyeriss_latency`` (ASIC), ``fpga_latency``; in millijoule
    ``edgegpu_energy``, ``eyeriss_energy``, ``fpga_energy``; and ``eyeriss_arithmetic_intensity`` as published. Numbers
    of Eyeriss and FPGA are estimates, the others were measured. Five significant digits.

    Args:
      space: "nasbench201": 12,134 of its 15,625 cells.
      dataset: whose image size and classes the networks have: "cifar10", "cifar100" or "imagenet16".
      columns: names of the columns wanted; all by default.

    Returns:
      A fresh table, one row an architecture.

    Raises:
      InputError: there is no such table or column; the nearest names are offered.

    References:
      Li et al., HW-NAS-Bench, ICLR 2021.
    """
    if space not in DATASETS:
        raise InputError(f"no latencies of the space {space!r}; {_nearest(space, tuple(DATASETS))}")
    if dataset not in DATASETS[space]:
        raise InputError(f"no latencies of {space} on {dataset!r}; {_nearest(dataset, DATASETS[space])}")
    table = _table(space, dataset)
    known = tuple(name for name in table.columns if name != "arch")
    wanted = known if columns is None else ([columns] if isinstance(columns, str) else list(columns))
    for name in wanted:
        if name not in known:
            raise InputError(f"no column {name!r} of latencies; {_nearest(str(name), known)}")
    return table[["arch", *wanted]].copy()


@functools.cache
def _table(space: str, dataset: str) -> pd.DataFrame:
    """A table of the package, read once; its rows are those of the accuracies."""
    import pandas as pd

    asset = importlib.resources.files("nasjax.data") / "assets" / f"{space}_hw_{dataset}.csv.gz"
    with asset.open("rb") as file:
        found = pd.read_csv(file, compression="gzip", dtype="float64")
    found.insert(0, "arch", tables.load(space)["arch"])
    return found


def _nearest(name: str, allowed: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, allowed, n=2, cutoff=0.4)
    advice = f"did you mean {' or '.join(close)}?" if close else "choose one of them"
    return f"allowed: {', '.join(allowed)}; do: {advice}"
