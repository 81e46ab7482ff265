"""NAS-Bench-201: batches of 64 images of CIFAR-10."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nasjax.proxies import kernels
from nasjax.proxies.base import Facts, Proxy, Value, plain
from nasjax.spaces import cell201
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.testing import golden
from nasjax.testing.kits import CLAIMED, Entry, Kit


def _extra(space: Any, arch: Any, entry: Entry) -> dict[str, tuple[Any, Any, float]]:
    del space
    count = round(float(cell201.flops_xautodl(arch)), 6)
    return {"flops_xautodl": (count, entry["flops_xautodl_M"], 1e-9)}


def _normal(generator: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Standard-normal images of the kit [n, channels, height, width], channels last."""
    return generator.standard_normal(shape, dtype=np.float32).transpose(0, 2, 3, 1).astype(dtype)


def _probe(number: int, stage: int, dtype: Any) -> np.ndarray:
    """Probe +-1 of feature map ``number``, channels last."""
    shape = (64, 16 << stage, 32 >> stage, 32 >> stage)
    signs = np.random.default_rng([2026, 5000 + number]).integers(0, 2, size=shape, dtype=np.int8)
    return (2 * signs - 1).transpose(0, 2, 3, 1).astype(dtype)


def _fixed(entry: Entry, dtype: Any) -> dict[str, Any]:
    """Noise and probes in place of random ones; the recipe is the kit's."""
    del entry
    rng, probes, number = np.random.default_rng([2026, 1001]), {}, 1
    for stage in range(3):
        probes[f"stage{stage}"] = np.stack([_probe(number + i, stage, dtype) for i in range(5)])
        number += 5
        if stage < 2:
            probes[f"reduction{stage}"] = _probe(number, stage + 1, dtype)
            number += 1
    return {
        "ZenPass": np.stack([_normal(rng, (64, 3, 32, 32), dtype) for _ in range(2)]),
        "FeaturePass": probes,
        "CorrelationPass": _normal(np.random.default_rng([2026, 1002]), (1, 3, 64, 64), dtype),
    }


def _condition_number() -> Proxy:
    """``te_ntk`` as the official code reports it: positive, and 100,000 for a network without gradient."""
    proxy = kernels.te_ntk()

    def finish(facts: Facts) -> Value:
        kappa = proxy.finish(facts).raw
        return plain(1e5 if math.isnan(kappa) else kappa)

    return proxy._replace(finish=finish)


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
        "zerocostnas_jacob_cov": "jacob_cov",
        "naslib_epe_nas": "epe_nas",
        "naslib_plain": "plain",
        "naslib_l2_norm": "l2_norm",
        "naslib_fisher": "fisher",
        "naslib_grasp": "grasp",
        "gradsign": "gradsign",
        "alethiometer_snr_snip": "snr:saliency=snip",
        "alethiometer_snr_syn": "snr",
        "alethiometer_tcet": "t_cet",
        "alethiometer_tcet_snip_none": "t_cet:saliency=snip",
        "tenas_ntk_cond_B16": _condition_number(),
        "zico": "zico",
        "swap_S16": "swap:samples=16",
        "swap_S64": "swap",
        "naslib_zen": "zen",
        "meco": "meco",
        "aznas.expressivity": "az_expressivity",
        "aznas.progressivity": "az_progressivity",
        "aznas.trainability": "az_trainability",
    },
    # Three times the official codes' own float32-float64 gap.
    loose={
        "zerocostnas_jacob_cov": 1e-4,
        "naslib_epe_nas": 3e-2,
        "naslib_plain": 6e-2,
        "naslib_fisher": 2e-3,
        "naslib_grasp": 3e-2,
        "gradsign": 1e-3,
        "alethiometer_snr_snip": 2e-4,
        "alethiometer_tcet": 1e-5,  # a few of 10^8 outputs lie within rounding of zero
        "alethiometer_tcet_snip_none": 2e-4,
        "tenas_ntk_cond_B16": 1e-2,
        "naslib_grad_norm": 6e-3,
        "naslib_snip": 3e-3,
        "naslib_jacov": 1e-4,
        "zico": 3e-2,
        "naslib_zen": 2e-6,
        "meco": 3e-4,
        # The official single precision has no value where the rank is not full; these are against double precision.
        "aznas.expressivity": 1e-4,
        "aznas.progressivity": 1e-4,
        "aznas.trainability": 3e-4,
    },
    exact=frozenset({"swap_S64"}),
    extra=_extra,
    fixed=_fixed,
    claimed=(
        *(name for name in CLAIMED if name != "swap"),
        "swap_S16",
        "swap_S64",
        "psi.all",
        "lswag.abs_all_x_psi_all",
        "naslib_fisher",
        "naslib_grasp",
        "naslib_epe_nas",
        "gradsign",
        "tenas_ntk_cond_B16",
        "alethiometer_tcet",
    ),
)
