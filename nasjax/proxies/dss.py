"""DSS of TF-TAS: diversity of attention weights and saliency of the others, for vision transformers."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nasjax.proxies.base import Facts, Proxy, Value, check_count, plain
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.pass_base import CustomPass
from nasjax.types import Array, PyTree, Variables


@dataclasses.dataclass(frozen=True)
class DiversityPass(CustomPass):
    """Weights against the gradients of the summed outputs, all parameters absolute, on an all-ones image.

    Statistics: "attention" [], ``sum ||w||_* ||dR/dw||_*`` over the attention matrices; "mlp" [] and "head" [],
    ``sum |w dR/dw|``.
    """

    requires: ClassVar[tuple[str, ...]] = ("weights_by_role",)

    def images_needed(self, batch_size: int) -> int:
        """None."""
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
        """See `CustomPass.measure`."""
        del labels, key, fixed
        positive = jax.tree.map(jnp.abs, variables)
        weights = space.weights(positive.params)
        image = jnp.ones_like(images[0, :1])

        def total(weights: PyTree) -> Array:
            params = space.with_weights(positive.params, weights)
            logits: Array = space.apply(positive._replace(params=params), arch, image).logits
            return logits.sum()

        own, slope = (space.weights_by_role(tree) for tree in (weights, jax.grad(total)(weights)))
        attention = [_nuclear(w) * _nuclear(g) for w, g in zip(own.attention, slope.attention, strict=True)]
        saliency = lambda w, g: jnp.abs(w * g).sum()  # noqa: E731
        return {
            "attention": sum(term.sum() for term in attention),
            "mlp": sum(saliency(w, g) for w, g in zip(own.mlp, slope.mlp, strict=True)),
            "head": saliency(own.head, slope.head),
        }


def _nuclear(matrices: Array) -> Array:
    """Nuclear norms, sums of singular values: [n, rows, columns] -> [n]."""
    return jnp.linalg.svd(matrices, compute_uv=False).sum(-1)


def dss(*, preset: str = "nbsz", init: str = "torch", head: int = 2) -> Proxy:
    """``sum_MSA ||w||_* ||dR/dw||_* + sum_MLP |w dR/dw|``, R the summed outputs. Higher is better.

    All parameters are absolute, the image is all ones, ``||.||_*`` is the nuclear norm. For spaces of vision
    transformers; others are refused.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.
      head: how often the classifier counts among the MLP layers; the official codes count it twice.

    Returns:
      the proxy.

    References:
      Zhou et al., Training-free Transformer Architecture Search, CVPR 2022; the copy of the code in
      cvlab-yonsei/AZ-NAS studied. The original decemberzhou/TF_TAS reads gradients that PyTorch does not keep.
    """
    check_preset("dss", preset)
    check_count("dss", "head", head)
    p = DiversityPass(init=init)

    def finish(facts: Facts) -> Value:
        stats = facts.stats[p]
        return plain(float(stats["attention"] + stats["mlp"] + head * stats["head"]))

    return Proxy("dss", (("head", head), ("init", init)), (p,), finish)
