"""Zen score: how far features move under a small change of a noise image, with the norms' scales undone."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.proxies.base import Facts, Proxy, Value, check_count, plain
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.pass_base import CustomPass, needed
from nasjax.types import Array, Block, BlockFunction, InputError, PyTree, Variables


@dataclasses.dataclass(frozen=True)
class ZenPass(CustomPass):
    """Features of noise and of the same noise, slightly changed.

    Attributes:
      init: as in `CustomPass`; so are ``repeats``.
      samples: number of noise images, or None for the batch size.
      gamma: size of the change.
    """

    init: str = "normal"
    samples: int | None = None
    gamma: float = 1e-2

    requires: ClassVar[tuple[str, ...]] = ("blocks",)

    def images_needed(self, batch_size: int) -> int:
        """None: the images are noise."""
        del batch_size
        return 0

    def measure(
        self,
        space: Any,
        variables: Variables,
        arch: PyTree,
        images: Array,
        labels: Array,
        *,
        key: Array | None = None,
        fixed: PyTree = None,
    ) -> PyTree:
        """See `CustomPass.measure`; ``fixed`` is float [2, samples, height, width, channels]: the noise, the change.

        Returns:
          "log_difference" []: log mean_n sum |f(x) - f(x + gamma x')|; "log_scale" []: sum over norms of
          log sqrt(mean of the running variance after both passes).

        Raises:
          InputError: the network has no running variances.
        """
        del labels
        if not isinstance(variables.stats, dict) or "var" not in variables.stats:
            raise InputError(f"zen: the space {space.name!r} has no batch norms, whose scales the score is about.")
        if fixed is None:
            shape = (2, self.samples or images.shape[1], *images.shape[2:])
            fixed = jax.random.normal(needed(key), shape, images.dtype)
        noise = jnp.stack([fixed[0], fixed[0] + self.gamma * fixed[1]])

        def step(stats: PyTree, x: Array) -> tuple[PyTree, Array]:
            walk = space.blocks(variables._replace(stats=stats), arch, x, _see_nothing)
            return walk.stats, walk.features

        stats, features = lax.scan(step, variables.stats, noise)
        difference = jnp.abs(features[0] - features[1]).reshape(features.shape[1], -1).sum(1).mean()
        scales = [jnp.log(var.mean(-1)).sum() / 2 for var in jax.tree.leaves(stats["var"])]
        return {"log_difference": jnp.log(difference), "log_scale": jnp.stack(scales).sum()}


def _see_nothing(block: Block, function: BlockFunction, x: Array) -> Any:
    del block
    return function(x), None


def zen(*, preset: str = "nbsz", init: str = "normal", samples: int | None = None, repeats: int | None = None) -> Proxy:
    """``log mean_n sum |f(x) - f(x + 0.01 x')| + sum_BN log sqrt(mean var)``, f before the global pooling.

    x and x' are standard-normal images, var the running variances that the two passes leave. Higher is better.
    Reads neither images nor labels. The theory holds for plain convolutional networks.

    Args:
      preset: "paper": the mean of 32 initialisations with 16 images; "nbsz": one, with one batch.
      init: initialisation law; standard normal in both.
      samples: number of noise images; overrides the preset.
      repeats: number of initialisations; overrides the preset.

    Returns:
      the proxy.

    References:
      Lin et al., Zen-NAS, ICCV 2021; codes of Zen-NAS and NASLib studied.
    """
    paper = check_preset("zen", preset) == "paper"
    samples = samples if samples is not None else (16 if paper else None)
    repeats = repeats if repeats is not None else (32 if paper else 1)
    check_count("zen", "samples", samples)
    check_count("zen", "repeats", repeats)
    p = ZenPass(init=init, repeats=repeats, samples=samples)

    def finish(facts: Facts) -> Value:
        stats = facts.stats[p]
        return plain(float(np.mean(stats["log_difference"] + stats["log_scale"])))

    return Proxy("zen", (("init", init), ("repeats", repeats), ("samples", samples)), (p,), finish, images_only=True)
