"""Proxies of weights and loss gradients: norms, saliencies, Fisher information, curvature, agreement of signs."""

from __future__ import annotations

import numpy as np

from nasjax.proxies.base import Facts, Proxy, Value, plain
from nasjax.proxies.classic import layer_sum
from nasjax.proxies.derivative_passes import CurvaturePass, WeightPass
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.passes import FisherPass, GradientPass, SignPass, SynflowPass
from nasjax.types import InputError

SALIENCIES = ("synflow", "snip")


def l2_norm(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``sum_l ||W_l||_2``. Higher is better.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021; code NASLib (zerocost) studied.
    """
    check_preset("l2_norm", preset)
    p = WeightPass(init)
    return Proxy("l2_norm", (("init", init),), (p,), lambda facts: plain(float(facts.stats[p]["norm"].sum())))


def signed_saliency(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """The proxy "plain": ``sum_w w dL/dw`` on one batch, signs kept. Higher is better, as published.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Mozer and Smolensky, Skeletonization, NeurIPS 1988, as a proxy in NAS-Bench-Suite-Zero, where it
      anti-correlates with accuracy on several benchmarks.
    """
    return layer_sum("plain", "plain", GradientPass(init=init, num_batches=1), preset=preset)


def fisher(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``sum_l sum_c n_c mean_i (sum_positions a dL/da)^2 / 2`` on one batch. Higher is better.

    a is channel c of the output of a convolution or linear layer for image i, and n_c the number of weights
    of the channel: the reference code hands the value of a channel to each of its weights, then sums.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Theis et al., 2018; Turner et al., BlockSwap, ICLR 2020; as a proxy in Abdelfattah et al., ICLR 2021.
    """
    # Version 2: with all biases, without masked weights.
    return layer_sum("fisher", "fisher", FisherPass(init=init), preset=preset, version=2)


def grasp(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``-sum_w w (H g)_w`` on one batch, H the Hessian and g the gradient of the loss. Higher is better.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Wang et al., GraSP, ICLR 2020, as a proxy in Abdelfattah et al., ICLR 2021 (temperature 1).
    """
    check_preset("grasp", preset)
    p = CurvaturePass(init)
    return Proxy("grasp", (("init", init),), (p,), lambda facts: plain(-float(facts.stats[p]["curvature"].sum())))


def gradsign(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``mean_w |sum_i sign(g_iw)|`` over the gradients of the single images of one batch. Higher is better.

    Every image passes the batch norms alone, as in the reference code, which runs batches of one.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Zhang and Jia, GradSign, ICLR 2022; code cmu-catalyst/GradSign studied.
    """
    check_preset("gradsign", preset)
    p, w = SignPass(init=init), WeightPass(init)

    def finish(facts: Facts) -> Value:
        return plain(float(facts.stats[p]["layers"]["conflict"].sum() / facts.stats[w]["count"].sum()))

    return Proxy("gradsign", (("init", init),), (p, w), finish)


def gsnr(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``sum_w mean_i(g_iw)^2 / (var_i(g_iw) + 1e-8)`` over single images of one batch. Higher is better.

    Every image passes the batch norms alone, so that the gradients are independent.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Sun et al., Unleashing the Power of Gradient Signal-to-Noise Ratio for Zero-Shot NAS, ICCV 2023. Not compared
      with a reference code.
    """
    return layer_sum("gsnr", "gsnr", GradientPass(init, "sample", 1, "sample"), preset=preset)


def snr_of_layers(total: np.ndarray, squares: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Signal-to-noise ratio of a saliency s: ``sum s / std(s)`` over each layer, ``sum s`` where the deviation is 0.

    Args:
      total: float64 [L], sum of s.
      squares: float64 [L], sum of s^2.
      count: float64 [L], number of weights.

    Returns:
      float64 [L]. The deviation divides by ``count - 1``.
    """
    with np.errstate(all="ignore"):
        deviation = np.sqrt(np.maximum(squares - total**2 / count, 0) / (count - 1))
    noisy = (count > 1) & (deviation > 0)
    ratio = np.where(noisy, total / np.where(noisy, deviation, 1), total)
    return np.where(np.isposinf(squares), np.nan, ratio)  # an overflow must not count as a large deviation


def layer_saliency(facts: Facts, p: GradientPass | SynflowPass) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the saliency and of its square over each layer: |w dL/dw|, or SynFlow's |w dR/dw|."""
    stats = facts.stats[p]
    if isinstance(p, GradientPass):
        return stats["layers"]["snip"], stats["layers"]["snip_square"]
    with np.errstate(over="ignore"):
        scale = np.exp(stats["log_scale"])
        return stats["synflow"] * scale, stats["synflow_square"] * scale**2


def saliency_pass(name: str, saliency: str, init: str) -> tuple[GradientPass | SynflowPass, WeightPass]:
    """Passes behind the ratio of a saliency.

    Raises:
      InputError: the proxy ``name`` does not know the saliency.
    """
    if saliency not in SALIENCIES:
        raise InputError(f"{name}: saliency={saliency!r}; allowed are {', '.join(SALIENCIES)}.")
    return (SynflowPass(init) if saliency == "synflow" else GradientPass(init=init, num_batches=1)), WeightPass(init)


def snr_by_layer(facts: Facts, p: GradientPass | SynflowPass, w: WeightPass) -> np.ndarray:
    """`snr_of_layers` of the saliency that a pass measured: float64 [L]."""
    return snr_of_layers(*layer_saliency(facts, p), facts.stats[w]["count"])


def snr(*, preset: str = "nbsz", saliency: str = "synflow", init: str = "torch") -> Proxy:
    """``sum_l sum_w s / std_w(s)``, the signal-to-noise ratio of a saliency s in each layer. Higher is better.

    The deviation is the unbiased one; a layer in which it is 0 adds ``sum_w s``.

    Args:
      preset: "paper" and "nbsz" agree.
      saliency: "synflow" or "snip".
      init: initialisation law.

    Returns:
      the proxy.

    Raises:
      InputError: unknown saliency.

    References:
      T-CET, AutoML 2023; the third-party code iViolinSolo/zero-cost-proxies studied.
    """
    check_preset("snr", preset)
    p, w = saliency_pass("snr", saliency, init)

    def finish(facts: Facts) -> Value:
        return plain(float(snr_by_layer(facts, p, w)[np.asarray(facts.layers.active)].sum()))

    return Proxy("snr", (("init", init), ("saliency", saliency)), (p, w), finish)
