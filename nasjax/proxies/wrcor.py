"""WRCor: how different a network's responses to different images are, layers near the output counting most."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from nasjax.proxies.base import Facts, Proxy, Value, plain
from nasjax.proxies.classic import log_determinant
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.pass_base import CustomPass
from nasjax.types import Array, PyTree, Variables


@dataclasses.dataclass(frozen=True)
class ResponsePass(CustomPass):
    """Correlations between images of the inputs of rectifiers, and of their gradients.

    Attributes:
      init: as in `CustomPass`; so are ``repeats``.
      norm: batch-norm mode.
    """

    norm: str = "batch"

    requires: ClassVar[tuple[str, ...]] = ("responses",)

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
        """See `CustomPass.measure`; nothing is random.

        Returns:
          "kernel" [batch, batch]: sum over rectifiers of 2^block (|corr(inputs)| + |corr(gradients)|).
        """
        del key, fixed

        def visit(index: Array | int, values: Array, cotangents: Array, counts: Array) -> Array:
            both = _correlations(values, space.precision) + _correlations(cotangents, space.precision)
            weight = jnp.exp2(jnp.asarray(index, values.dtype))
            return weight * jnp.where((counts > 0)[:, None, None], both, 0).sum(0)

        seen = space.responses(variables, arch, images[0], labels[0], visit, norm=self.norm)
        batch = images.shape[1]
        return {"kernel": jnp.stack([part.reshape(-1, batch, batch).sum(0) for part in seen]).sum(0)}


def _correlations(values: Array, precision: Any) -> Array:
    """|corr| between samples: [k, batch, ...] -> [k, batch, batch]; zero where a sample is constant."""
    rows = values.reshape(*values.shape[:2], -1)
    rows = rows - rows.mean(-1, keepdims=True)
    top = jnp.abs(rows).max(-1, keepdims=True)  # gradients may be so small that their squares vanish
    rows = rows / jnp.where(top > 0, top, 1)
    norm = jnp.sqrt((rows * rows).sum(-1))
    constant = (norm == 0).any(-1)  # NaN is not, and stays
    rows = rows / jnp.where(norm > 0, norm, 1)[..., None]
    found = jnp.abs(jnp.einsum("kif,kjf->kij", rows, rows, precision=precision))
    return jnp.where(constant[:, None, None], 0, found)


def wrcor(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``log |det K|``, K the sum over rectifiers of ``2^block (|corr(inputs)| + |corr(gradients)|)``.

    Correlations are between images; a rectifier's gradient is the one that flows back through it alone. One with
    a constant row is left out. Higher is better.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Jing et al., Zero-Shot NAS with Weighted Response Correlation, Neurocomputing 2025, Eq. 9 to 11; code
      kunjing96/ZSNAS-WRCor studied. That code finds rectifiers by class name, so it counts the inputs of each
      ``ReLUConvBN`` twice and adds gradients of convolution outputs; here a rectifier counts once.
    """
    check_preset("wrcor", preset)
    p = ResponsePass(init=init)

    def finish(facts: Facts) -> Value:
        return plain(log_determinant(facts.stats[p]["kernel"]))

    # Version 2: responses that are not finite make it invalid.
    return Proxy("wrcor", (("init", init),), (p,), finish, version=2)
