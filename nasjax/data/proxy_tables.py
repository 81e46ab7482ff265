"""Published scores of proxies with the accuracies of the same architectures, as the package ships them."""

from __future__ import annotations

import difflib
import functools
import importlib.resources
from typing import TYPE_CHECKING, NamedTuple

from nasjax.data import tables
from nasjax.types import InputError

# pandas takes longer to import than the rest of the package: only where a table is read.
if TYPE_CHECKING:
    import pandas as pd

MISSING = -1e8  # what NAS-Bench-Suite-Zero writes where a proxy has no finite value
_TEXT = {"arch": "str", "task": "str"}
_MICRO = ("class_scene", "class_object", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder")
_MACRO = ("class_scene", "class_object", "room_layout", "jigsaw", "normal")


class _Source(NamedTuple):
    """Where a table lies: file, search space, accuracies (the one to compare with first), rows that belong to it."""

    file: str
    space: str
    accuracies: tuple[str, ...]
    task: str = ""


_SOURCES: dict[str, _Source] = {
    "nasbench201_cifar10": _Source("nasbench201_cifar10", "nasbench201", ("cifar10_valid", "cifar10_test")),
    "nasbench201_cifar100": _Source("nasbench201_cifar100", "nasbench201", ("cifar100_valid",)),
    "nasbench201_imagenet16": _Source("nasbench201_imagenet16", "nasbench201", ("imagenet16_valid", "imagenet16_test")),
    "nasbench301": _Source("nasbench301", "darts", ("cifar10_surrogate",)),
    "nasbench101": _Source("nasbench101", "nasbench101", ("cifar10_valid",)),
    **{f"transnas_micro_{t}": _Source("transnas_micro", "transnas_micro", ("valid",), t) for t in _MICRO},
    "transnas_micro_class_scene": _Source("transnas_micro_class_scene", "transnas_micro", ("valid",)),
    "transnas_micro_class_scene_early": _Source("transnas_micro", "transnas_micro", ("valid",), "class_scene"),
    **{f"transnas_macro_{t}": _Source("transnas_macro", "transnas_macro", ("valid",), t) for t in _MACRO},
}


class ProxyTable(NamedTuple):
    """A published table of proxies.

    Attributes:
      name: one of ``names()``.
      space: search space, as ``nasjax.get_space`` calls it.
      accuracies: columns of accuracies; the first is the usual target.
      proxies: columns of scores, by the names of their publication ("jacov" is ``jacob_cov`` here); higher is better.
        ``params`` and ``flops`` are in millions.
      table: ``arch`` (as the space writes it; for NAS-Bench-101 as published, as rows may prune to the same cell), the
        accuracies and the proxies; a row an architecture.
    """

    name: str
    space: str
    accuracies: tuple[str, ...]
    proxies: tuple[str, ...]
    table: pd.DataFrame


def names() -> tuple[str, ...]:
    """Tables that ``load`` knows."""
    return tuple(_SOURCES)


def load(name: str, *, published: bool = False) -> ProxyTable:
    """Loads a published table of proxies; it is read when first asked for.

    - ``nasbench201_cifar10``, ``nasbench201_imagenet16``: 7,108 cells without unreachable operations, 13 proxies;
      ``nasbench201_cifar100``: 563 cells, 12 proxies of an earlier run of the suite.
    - ``nasbench301``: 543 genotypes of DARTS with the surrogate's accuracy, 12 proxies; ``nasbench101``: 361, 11.
    - ``transnas_micro_TASK``: 539 cells, 11 proxies, seven tasks; ``transnas_micro_class_scene`` has 1,606 cells and 13
      proxies of a later run, ``transnas_micro_class_scene_early`` the others of the earlier one.
    - ``transnas_macro_TASK``: 662 or 725 networks, 10 proxies, five tasks.

    Accuracies are in percent; for ``autoencoder`` and ``normal`` SSIM, for ``room_layout`` a negative loss.

    Args:
      name: one of ``names()``.
      published: keep -1e8 where the suite wrote it for a value that is not finite; NaN takes its place otherwise.

    Returns:
      A fresh table.

    Raises:
      InputError: there is no such table.

    References:
      Krishnakumar et al., NAS-Bench-Suite-Zero, NeurIPS 2022; origins and licences in NOTICE.
    """
    if name not in _SOURCES:
        near = difflib.get_close_matches(str(name), _SOURCES, n=2, cutoff=0.4)
        advice = f"did you mean {' or '.join(near)}?" if near else "choose one of them"
        raise InputError(f"unknown table of proxies {name!r}; allowed: {', '.join(_SOURCES)}; do: {advice}")
    source = _SOURCES[name]
    table = _read(source.file)
    if source.task:
        table = table[table["task"] == source.task].reset_index(drop=True)
    table = table.drop(columns="task", errors="ignore").copy()
    proxies = tuple(column for column in table.columns if column not in ("arch", *source.accuracies))
    if not published:
        table[list(proxies)] = table[list(proxies)].mask(table[list(proxies)] <= MISSING)
    return ProxyTable(name, source.space, source.accuracies, proxies, table)


@functools.cache
def _read(file: str) -> pd.DataFrame:
    """A file of the package, with the column ``arch``."""
    import pandas as pd

    asset = importlib.resources.files("nasjax.data") / "assets" / f"proxies_{file}.csv.gz"
    with asset.open("rb") as stream:
        table = pd.read_csv(stream, compression="gzip", dtype=_TEXT)
    if "arch_index" in table:
        known = tables.load("nasbench201").set_index("arch_index")["arch"]
        table.insert(0, "arch", table.pop("arch_index").map(known))
    return table
