"""NAS-Bench-201: batches of 64 images of CIFAR-10."""

from __future__ import annotations

from typing import Any

from nasjax.spaces import cell201
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.testing import golden
from nasjax.testing.kits import CLAIMED, Entry, Kit


def _extra(space: Any, arch: Any, entry: Entry) -> dict[str, tuple[Any, Any, float]]:
    del space
    count = round(float(cell201.flops_xautodl(arch)), 6)
    return {"flops_xautodl": (count, entry["flops_xautodl_M"], 1e-9)}


KIT = Kit(
    space=lambda entry: NasBench201(),
    arch=lambda space, entry: space.decode([entry["arch"]])[0],
    batches=golden.cifar_batches,
    scores={
        "naslib_grad_norm": "grad_norm",
        "naslib_snip": "snip",
        "naslib_nwot": "nwot",
        "naslib_synflow_log": "synflow",
        "naslib_jacov": "jacob_cov",
        "zico": "zico",
        "swap_S16": "swap:samples=16",
        "swap_S64": "swap",
    },
    # Three times the official codes' own float32-float64 gap.
    loose={"naslib_grad_norm": 6e-3, "naslib_snip": 3e-3, "naslib_jacov": 1e-4, "zico": 3e-2},
    exact=frozenset({"swap_S64"}),
    extra=_extra,
    claimed=(
        *(name for name in CLAIMED if name != "swap"),
        "swap_S16",
        "swap_S64",
        "psi.all",
        "lswag.abs_all_x_psi_all",
    ),
)
