"""Linear regions of TE-NAS: distinct activation patterns of small patches in a thin copy of the cell."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.proxies import activations
from nasjax.proxies.base import Facts, Proxy, Value, check_count, where_finite
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.pass_base import CustomPass, needed
from nasjax.types import Array, InputError, PyTree, Variables

_PATCH = 3  # height and width of a patch
_BATCHES = 3  # patches are fed in so many batches


@dataclasses.dataclass(frozen=True)
class RegionsPass(CustomPass):
    """Activation patterns of patches: one channel, 3x3 pixels.

    Attributes:
      init: as in `CustomPass`; so are ``repeats``.
      samples: number of patches, a multiple of 3.
    """

    samples: int = 3000

    requires: ClassVar[tuple[str, ...]] = ("thin",)

    def variables(self, space: Any, key: Array, arch: PyTree, dtype: Any) -> Variables:
        """Random variables of the thin network."""
        variables: Variables = space.thin().init(key, arch, law=self.init, dtype=dtype)
        return variables

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
        """See `CustomPass.measure`; ``fixed`` are the patches, float [samples, 3, 3, 1].

        Returns:
          "regions" int32 []: number of distinct patterns; "official" []: the same as the sum over samples of
          one over the number of samples with an equal pattern; "finite" bool [], whether all activations are.
        """
        del labels
        patches = (
            _random_patches(needed(key), images, self.samples) if fixed is None else jnp.asarray(fixed, images.dtype)
        )
        batches = patches.reshape(_BATCHES, -1, *patches.shape[1:])
        thin = space.thin()
        codes, finite = lax.map(lambda x: thin.codes(variables, arch, x), batches)
        codes = codes.reshape(patches.shape[0], -1)
        words = activations.pack_signs(codes.T)
        equal = jnp.stack([words[:, None, i] == words[None, :, i] for i in range(words.shape[1])]).all(0)
        new = ~(equal & jnp.tri(words.shape[0], k=-1, dtype=bool)).any(1)
        return {
            "regions": new.sum(dtype=jnp.int32),
            "official": (1 / equal.sum(1, dtype=jnp.int32).astype(images.dtype)).sum(),
            "finite": finite.all(),
        }


def _random_patches(key: Array, images: Array, samples: int) -> Array:
    flat = images.reshape(-1, *images.shape[2:])
    number, height, width, channels = flat.shape
    if min(height, width) < _PATCH:
        raise InputError(f"te_regions reads patches of {_PATCH}x{_PATCH} pixels, images are {height}x{width}.")
    ends = jnp.array([number, height - _PATCH + 1, width - _PATCH + 1, channels])
    starts = jax.random.randint(key, (samples, 4), 0, ends[None])
    return jax.vmap(lambda at: lax.dynamic_slice(flat, at, (1, _PATCH, _PATCH, 1))[0])(starts)


def te_regions(
    *, preset: str = "nbsz", init: str | None = None, samples: int = 3000, repeats: int | None = None
) -> Proxy:
    """Number of distinct activation patterns among 3x3 patches of one channel, in the first cell, one channel wide.

    The thin network is the cell, a batch norm and a rectifier; all its rectifiers make up a pattern. Higher is
    better. Labels are not read.

    Args:
      preset: "paper": the mean of 3 initialisations with Kaiming weights (fan in); "nbsz": one default
        initialisation.
      init: initialisation law; overrides the preset.
      samples: number of patches, a multiple of 3.
      repeats: number of initialisations; overrides the preset.

    Returns:
      the proxy.

    References:
      Chen et al., TE-NAS, ICLR 2021; code VITA-Group/TENAS studied. Its formula in half precision
      is the raw value.
    """
    paper = check_preset("te_regions", preset) == "paper"
    init = init or ("kaiming_fan_in" if paper else "torch")
    repeats = repeats if repeats is not None else (3 if paper else 1)
    check_count("te_regions", "samples", samples)
    check_count("te_regions", "repeats", repeats)
    if samples is None or samples % _BATCHES:
        raise InputError(f"te_regions: samples={samples}; allowed is a multiple of {_BATCHES}.")
    p = RegionsPass(init=init, repeats=repeats, samples=samples)

    def finish(facts: Facts) -> Value:
        stats = facts.stats[p]
        return where_finite(stats, Value(float(np.mean(stats["regions"])), float(np.mean(stats["official"]))))

    # Version 2: activations that are not finite make it invalid.
    return Proxy("te_regions", (("init", init), ("repeats", repeats), ("samples", samples)), (p,), finish, version=2)
