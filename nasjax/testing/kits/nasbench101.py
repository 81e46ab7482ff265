"""NAS-Bench-101: 32 channels, three stacks of one cell, batches of 16 images of CIFAR-10."""

from __future__ import annotations

import functools
from typing import Any

from nasjax.spaces.nasbench101 import NasBench101
from nasjax.testing import golden
from nasjax.testing.kits import Entry, Kit


def _extra(space: Any, arch: Any, entry: Entry) -> dict[str, tuple[Any, Any, float]]:
    del space
    return {"params_full_size": (int(NasBench101().num_params(arch)), entry["params_full_128x3x3"], 0)}


KIT = Kit(
    space=lambda entry: NasBench101(channels=32, cells=1),
    arch=lambda space, entry: space.decode([entry["arch"]])[0],
    batches=functools.partial(golden.cifar_batches, size=16),
    scores={
        "naslib_grad_norm": "grad_norm",
        "naslib_snip": "snip",
        "naslib_nwot": "nwot",
        "naslib_synflow_log": "synflow",
        "naslib_jacov": "jacob_cov",
        "zico": "zico",
        "swap": "swap",
    },
    # Three times the official codes' own float32-float64 gap.
    loose={"naslib_grad_norm": 9e-4, "naslib_snip": 6e-4, "naslib_jacov": 3e-5, "zico": 6e-2},
    layer_names=lambda space, arch: space.official_names(arch),
    extra=_extra,
)
