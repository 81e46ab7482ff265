"""T-CET: how differently images pass each weight layer, times the signal-to-noise ratio of the layer's saliency."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from nasjax.proxies.base import Facts, Proxy, Value, plain, where_finite
from nasjax.proxies.gradients import saliency_pass, snr_by_layer
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.pass_base import CustomPass
from nasjax.types import Array, PyTree, Variables


@dataclasses.dataclass(frozen=True)
class AgreementPass(CustomPass):
    """How many outputs of each weight layer two images give the same sign.

    Attributes:
      init: as in `CustomPass`; so are ``repeats``.
      norm: batch-norm mode; with "running" images do not act on each other.
    """

    norm: str = "running"

    requires: ClassVar[tuple[str, ...]] = ("layer_outputs",)

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
          "kernels" [L, batch, batch], ``x x^T + (1 - x)(1 - x)^T`` with x the indicators that an output is above
          zero; counts are exact below 2^24 in float32. "finite" bool [L], whether all outputs are finite numbers.
        """
        del labels, key, fixed

        def visit(values: Array, padding: Array | int = 0) -> tuple[Array, Array]:
            x = (values > 0).astype(values.dtype).reshape(*values.shape[:2], -1)
            both = jnp.einsum("kin,kjn->kij", x, x, precision="highest")
            ones = x.sum(-1)
            outputs = jnp.asarray(x.shape[-1] - padding, x.dtype).reshape(-1, 1, 1)
            kernels = outputs - ones[:, :, None] - ones[:, None, :] + 2 * both
            return kernels, jnp.isfinite(values).reshape(values.shape[0], -1).all(-1)

        seen = space.layer_outputs(variables, arch, images[0], visit, norm=self.norm)
        batch = images.shape[1]
        return {
            "kernels": jnp.concatenate([kernels.reshape(-1, batch, batch) for kernels, _ in seen]),
            "finite": jnp.concatenate([finite.reshape(-1) for _, finite in seen]),
        }


def log_determinants(kernels: np.ndarray) -> np.ndarray:
    """``log det K`` of each kernel: float64 [..., n, n] -> [...]; 0 for a singular one.

    Kernels are sums of Gram matrices of whole numbers, so an eigenvalue within rounding of zero is zero.
    """
    values = np.linalg.eigvalsh(kernels)
    largest = values[..., -1:]
    rounding = values.shape[-1] * np.finfo(np.float64).eps * np.maximum(largest, 1)
    singular = values[..., 0] <= rounding[..., 0]
    return np.where(singular, 0.0, np.log(np.maximum(values, rounding)).sum(-1))


def t_cet(*, preset: str = "nbsz", saliency: str = "synflow", init: str = "torch") -> Proxy:
    """``sum_l log det K_l sum_w s / std_w(s)``: expressivity times trainability, layer by layer. Higher is better.

    K_l counts, for two images of one batch, the outputs of convolution or linear layer l with equal indicator of
    being above zero; norms use their running statistics there. A layer with a singular K_l, such as one with fewer
    outputs than images, adds nothing. The second factor is that of `nasjax.proxies.gradients.snr`.

    Args:
      preset: "paper" and "nbsz" agree.
      saliency: "synflow" or "snip".
      init: initialisation law.

    Returns:
      the proxy.

    Raises:
      InputError: unknown saliency.

    References:
      T-CET, AutoML 2023, names layer-wise NASWOT and the ratio; the third-party code iViolinSolo/zero-cost-proxies,
      which was studied, takes layer outputs instead of rectifiers and no batch statistics, as here. Its determinants
      are in single precision, where a singular one may come out as rounding.
    """
    check_preset("t_cet", preset)
    s, w = saliency_pass("t_cet", saliency, init)
    p = AgreementPass(init)

    def finish(facts: Facts) -> Value:
        active = np.asarray(facts.layers.active)
        ratios = snr_by_layer(facts, s, w)
        kernels, finite = (facts.stats[p][name][active] for name in ("kernels", "finite"))
        score = float((log_determinants(kernels) * ratios[active]).sum())
        return where_finite({"finite": finite}, plain(score))

    # Version 2: outputs that are not finite make it invalid.
    return Proxy("t_cet", (("init", init), ("saliency", saliency)), (s, w, p), finish, version=2)
