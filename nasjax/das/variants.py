"""DAS and what it is compared with: how videos are made, what the network is, how images are augmented."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax

from nasjax.das.genotype import Genotype, random_genotype
from nasjax.das.videos import VideoMaker
from nasjax.types import InputError

VARIANTS = {
    "das": "the genotype's video, through temporal modules",
    "2d": "the image alone, in a 2-D network",
    "identity": "T copies of the image, through temporal modules",
    "views": "the genotype's frames, without temporal modules: their logits are averaged",
    "random": "the video of a random genotype, through temporal modules",
    "dilated": "2-D network without steps in its last two stages, dilated by 2 and 4",
    "large_kernel": "2-D network with 5x5 kernels in place of 3x3",
    "randaugment": "2-D network trained with RandAugment",
    "trivialaugment": "2-D network trained with TrivialAugment",
}
NEEDS_GENOTYPE = ("das", "views")
ON_FRAMES = ("das", "identity", "views", "random")


class Variant(NamedTuple):
    """What a variant changes.

    Attributes:
      name: of the variant.
      maker: images to videos.
      network: options of the backbone.
      temporal: whether it has temporal modules.
      augment: fields of ``AugmentConfig``.
    """

    name: str
    maker: VideoMaker
    network: dict[str, Any]
    temporal: bool
    augment: dict[str, Any]


def make_variant(
    name: str,
    genotype: Genotype | None = None,
    *,
    frames: int | None = None,
    seed: int = 0,
    stages: int = 4,
    randaugment: tuple[float, ...] = (3, 5),
) -> Variant:
    """Resolves a variant.

    Args:
      name: one of ``VARIANTS``.
      genotype: of a search; "random" takes its cell, or that of ``DASConfig()`` without one.
      frames: copies of the image for "identity"; as many as the genotype has by default, or 8.
      seed: of the random genotype.
      stages: of the network, for "dilated".
      randaugment: operations and magnitude; the paper's for CIFAR-10 with WRN-28-10 by default.

    Returns:
      The variant.

    Raises:
      InputError: an unknown name, or the genotype is missing.
    """
    if name not in VARIANTS:
        raise InputError(f"variant {name!r}; allowed: {', '.join(VARIANTS)}; do: choose one")
    if name in NEEDS_GENOTYPE and genotype is None:
        others = ", ".join(v for v in VARIANTS if v not in NEEDS_GENOTYPE)
        raise InputError(f"variant {name!r} needs a genotype; do: give genotype.json of a search, or choose {others}")
    network: dict[str, Any] = {}
    augment: dict[str, Any] = {}
    maker = VideoMaker()
    if name in NEEDS_GENOTYPE:
        maker = VideoMaker(genotype)
    elif name == "random":
        maker = VideoMaker(_random(genotype, seed))
    elif name == "identity":
        maker = VideoMaker(None, frames or (genotype.config.num_frames if genotype else 8))
    elif name == "dilated":
        spacing = (1,) * (stages - 2) + (2, 4)[-stages:]
        network = {"strides": tuple(1 if i == 0 or d > 1 else 2 for i, d in enumerate(spacing)), "dilations": spacing}
    elif name == "large_kernel":
        network = {"kernel": 5}
    elif name == "randaugment":
        augment = {"randaugment": tuple(randaugment)}
    elif name == "trivialaugment":
        augment = {"trivialaugment": True}
    return Variant(name, maker, network, name in ("das", "identity", "random"), augment)


def _random(genotype: Genotype | None, seed: int) -> Genotype:
    from nasjax.das.cell import sample_magnitudes
    from nasjax.das.config import DASConfig

    config = DASConfig() if genotype is None else genotype.config
    if config.magnitude == "learned":
        config = dataclasses.replace(config, magnitude="sampled")
    magnitude_key, choice_key = jax.random.split(jax.random.key(seed))
    return random_genotype(choice_key, config, sample_magnitudes(magnitude_key, config))
