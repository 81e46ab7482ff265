"""What differs from one golden file to the next: a kit a search space, in a module of its name.

``nasjax/testing/kits/<space>.py`` holds ``KIT = Kit(...)``; `nasjax.testing.golden` does the rest.
"""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nasjax import interop
from nasjax.proxies.base import Proxy
from nasjax.types import InputError, PyTree, Variables

Entry = dict[str, Any]
CLAIMED = (
    "params",
    "macs",
    "logits_train",
    "logits_eval",
    "loss_train",
    "loss_eval",
    "naslib_grad_norm",
    "naslib_snip",
    "naslib_nwot",
    "naslib_synflow_log",
    "zico",
    "swap",
    "lambda.abs_all",
    "layer grad_norm_batch1",
    "layer loginvstd_abs",
)


def from_torch(space: Any, arch: PyTree, tensors: Mapping[str, np.ndarray], dtype: Any) -> Variables:
    """Variables of tensors in PyTorch layout, placed by the space itself."""
    return interop.from_torch(space, arch, tensors, dtype=dtype)


def no_extra(space: Any, arch: PyTree, entry: Entry) -> dict[str, tuple[Any, Any, float]]:
    """No further quantities."""
    del space, arch, entry
    return {}


def nothing_fixed(entry: Entry, dtype: Any) -> dict[str, PyTree]:
    """No arrays in place of random ones."""
    del entry, dtype
    return {}


def all_meaningful(entry: Entry) -> frozenset[str]:
    """No golden value is rounding."""
    del entry
    return frozenset()


@dataclasses.dataclass(frozen=True)
class Kit:
    """A search space as its golden file describes it.

    Attributes:
      space: entry -> the space, unbound.
      arch: (space, entry) -> the architecture.
      batches: (folder of the data or its file, dtype) -> images [2, batch, height, width, channels] and labels
        int32 [2, batch], as the golden numbers were made with.
      scores: golden key -> proxy, as text or as a value. A dot leads into a nested entry; what the scores lack is
        looked for in ``lswag_f64``. Names that are not registered are left out.
      variables: (space, arch, tensors in PyTorch layout, dtype) -> Variables.
      modes: suffix of the keys of logits and loss -> batch-norm mode.
      loose: golden key -> relative tolerance in float32; 1e-6 by default.
      exact: golden keys of counts that are exact in float64. The other official counts come from float32 runs,
        where a neuron within rounding of zero may fall either way: three units are allowed.
      layer_names: (space, arch) -> official name of each row of the layer table; the table's own by default.
      extra: (space, arch, entry) -> name -> (value, golden, tolerance), for what this file alone has.
      fixed: (entry, dtype) -> name of the class of a pass -> arrays in place of its random ones, see
        `nasjax.proxies.pass_base.CustomPass.measure`.
      rounding: entry -> golden keys of scores of something that is zero but for rounding; they are not compared.
      claimed: quantities that must be there and within tolerance.
    """

    space: Callable[[Entry], Any]
    arch: Callable[[Any, Entry], PyTree]
    batches: Callable[[str | pathlib.Path, Any], tuple[np.ndarray, np.ndarray]]
    scores: Mapping[str, str | Proxy]
    variables: Callable[[Any, PyTree, Mapping[str, np.ndarray], Any], Variables] = from_torch
    modes: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"_train": "batch", "_eval": "running"})
    loose: Mapping[str, float] = dataclasses.field(default_factory=dict)
    exact: frozenset[str] = frozenset()
    layer_names: Callable[[Any, PyTree], tuple[str, ...]] | None = None
    extra: Callable[[Any, PyTree, Entry], dict[str, tuple[Any, Any, float]]] = no_extra
    fixed: Callable[[Entry, Any], dict[str, PyTree]] = nothing_fixed
    rounding: Callable[[Entry], frozenset[str]] = all_meaningful
    claimed: tuple[str, ...] = CLAIMED


def names() -> tuple[str, ...]:
    """Spaces that have a kit, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def get(name: str) -> Kit:
    """The kit of a space.

    Raises:
      InputError: there is none.
    """
    if name not in names():
        raise InputError(f"space {name!r} has no golden kit; allowed: {', '.join(names())}.")
    kit: Kit = importlib.import_module(f"{__name__}.{name}").KIT
    return kit
