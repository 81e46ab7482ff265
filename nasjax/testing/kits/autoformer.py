"""AutoFormer-Tiny: batches of four photos at 224x224; patterns on the first 8 and 16."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from nasjax.proxies.base import Facts, Proxy, Value, plain
from nasjax.proxies.dss import DiversityPass
from nasjax.proxies.lswag import LswagConfig, lambda_term
from nasjax.proxies.passes import ActivationPass, GradientPass
from nasjax.spaces.autoformer import AutoFormerTiny
from nasjax.testing import golden
from nasjax.testing.kits import Entry, Kit

_INTERVAL = (2, 6)
# Patterns of the file: the first bin and the last, inclusive.
_PSI = {"all": (0, 9), "upto_end": (0, _INTERVAL[1]), "interval": _INTERVAL}


def _batches(path: str | pathlib.Path, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Four batches of four images: gradients read two, patterns all."""
    images, labels = golden.image_batches(
        path, "imagenet_sample_224.npz", dtype, size=8, mean=golden.IMAGENET_MEAN, std=golden.IMAGENET_STD
    )
    return images.reshape(4, 4, *images.shape[2:]), labels.reshape(4, 4)


def _pattern_pass(samples: int) -> ActivationPass:
    return ActivationPass(samples=samples, intervals=tuple(_PSI.values()))


def _count(facts: Facts, samples: int, where: str) -> float:
    p = _pattern_pass(samples)
    return float(facts.stats[p]["interval_patterns"][p.intervals.index(_PSI[where])])


def _psi(samples: int, where: str) -> Proxy:
    return Proxy("psi", (), (_pattern_pass(samples),), lambda facts: plain(_count(facts, samples, where)))


def _product(interval: tuple[int, int] | None, samples: int, where: str) -> Proxy:
    config, gradient = LswagConfig(interval=interval, factors="lambda"), GradientPass()

    def finish(facts: Facts) -> Value:
        return plain(lambda_term(facts, gradient, config) * _count(facts, samples, where))

    return Proxy("lswag", (), (gradient, _pattern_pass(samples)), finish)


def _diversity(part: str) -> Proxy:
    """One of the sums that DSS adds up."""
    p = DiversityPass()
    return Proxy("dss", (), (p,), lambda facts: plain(float(facts.stats[p][part])))


def _scores() -> dict[str, str | Proxy]:
    found: dict[str, str | Proxy] = {
        "zico": "zico",
        "snip_tftas": "snip",
        "naswot_gelu_S8": "nwot:samples=8",
        "dss_aznas_copy.official_sum": "dss",
        "aznas.expressivity": "az_expressivity",
        "aznas.trainability": "az_trainability",
    }
    for key, part in (("msa", "attention"), ("mlp", "mlp"), ("head_once", "head")):
        found[f"dss_aznas_copy.{key}"] = _diversity(part)
    found |= {f"psi.S{n}.{where}": _psi(n, where) for n in (8, 16) for where in _PSI}
    for name, interval in (("all", None), ("interval", _INTERVAL)):
        for n in (8, 16):
            found |= {f"lswag.abs_{name}_x_psi{n}_{where}": _product(interval, n, where) for where in _PSI}
    return found


def _complexity(space: Any, arch: Any, entry: Entry) -> dict[str, tuple[Any, Any, float]]:
    return {"complexity": (space.complexity(arch), entry["scores_f64"]["aznas"]["complexity"], 0)}


def _fixed(entry: Entry, dtype: Any) -> dict[str, Any]:
    """Probes +-1 of AZ-NAS by feature map, for the most blocks; the recipe is the kit's."""
    depth, shape = max(AutoFormerTiny.depths), (4, 197, entry["arch"]["embed_dim"])

    def probe(number: int) -> np.ndarray:
        signs = np.random.default_rng([2026, 5000 + number]).integers(0, 2, size=shape, dtype=np.int8)
        return (2 * signs - 1).astype(dtype)

    halves = {
        name: np.stack([probe(2 * i + start) for i in range(depth - 1)])
        for start, name in ((1, "mlp"), (2, "attention"))
    }
    return {"FeaturePass": halves | {"last": probe(2 * depth - 1)}}


def _space(entry: Entry) -> AutoFormerTiny:
    # The published AutoFormer-T has blocks of ratio 3, which its own search space lacks.
    del entry
    return AutoFormerTiny(mlp_ratios=(3.0, 3.5, 4.0))


KIT = Kit(
    space=_space,
    arch=lambda space, entry: space.decode(entry["arch"])[0],
    batches=_batches,
    scores=_scores(),
    modes={"": "batch"},
    # Three times the official codes' own float32-float64 gap.
    loose={
        "zico": 3e-2,
        **{f"dss_aznas_copy.{part}": 6e-5 for part in ("official_sum", "msa", "mlp")},
        "dss_aznas_copy.head_once": 3e-6,
    },
    extra=_complexity,
    fixed=_fixed,
    claimed=(
        "params",
        "complexity",
        "logits",
        "loss",
        "zico",
        "snip_tftas",
        "naswot_gelu_S8",
        "dss_aznas_copy.official_sum",
        "aznas.expressivity",
        "aznas.trainability",
        "lambda.abs_all",
        "psi.S16.all",
        "lswag.abs_interval_x_psi16_upto_end",
        "layer grad_norm_batch1",
        "layer loginvstd_abs",
    ),
)
