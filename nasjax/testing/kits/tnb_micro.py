"""TransNAS-Bench-101, cell space at base width 16: batches of 16 photos of 64x64."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from nasjax.spaces.transnas_micro import TransNasMicro
from nasjax.testing import golden
from nasjax.testing.kits import Entry, Kit

NUM_CLASSES = 63
SCORES = {
    "naslib_grad_norm": "grad_norm",
    "naslib_snip": "snip",
    "naslib_nwot": "nwot",
    "naslib_synflow_log": "synflow",
    "naslib_jacov": "jacob_cov",
    "zico": "zico",
    "swap": "swap",
}
# Three times the official codes' own float32-float64 gap.
LOOSE = {"naslib_grad_norm": 2e-4, "naslib_snip": 3e-5, "zico": 6e-2}


def batches(path: str | pathlib.Path, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images [2, 16, 64, 64, 3] and labels int32 [2, 16], the class of ImageNet modulo 63."""
    mean, std = golden.IMAGENET_MEAN, golden.IMAGENET_STD
    images, labels = golden.image_batches(path, "imagenet_sample_64x64.npz", dtype, size=16, mean=mean, std=std)
    return images, labels % NUM_CLASSES


def rounding(entry: Entry) -> frozenset[str]:
    """Every path to the outputs ends in a batch norm, so the sum of the outputs over a batch is constant.

    Its gradient, which jacov correlates, is zero: some 1e-15 in float64, where that of one image's outputs is 1 to 5.
    There are official values in float32 alone.
    """
    del entry
    return frozenset({"naslib_jacov"})


KIT = Kit(
    space=lambda entry: TransNasMicro(channels=16, num_classes=NUM_CLASSES, image_size=64),
    arch=lambda space, entry: space.decode([entry["arch"]])[0],
    batches=batches,
    scores=SCORES,
    loose=LOOSE,
    rounding=rounding,
)
