"""Parameters, FLOPs, gradient norm, SNIP, SynFlow, NASWOT and SWAP."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nasjax.proxies.base import Facts, Proxy, Value, check_count, plain, safe_log, where_finite
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.passes import ActivationPass, CostPass, GradientPass, SynflowPass
from nasjax.types import InputError


def layer_sum(name: str, statistic: str, p: GradientPass, *, preset: str, version: int = 1) -> Proxy:
    """The sum over all layers of a statistic that a gradient pass gives by layers. Higher is better.

    Args:
      name: of the proxy.
      statistic: see `nasjax.proxies.gradient_pass.gradient_statistics`.
      p: pass.
      preset: "paper" or "nbsz", which agree.
      version: see `Proxy`.

    Returns:
      the proxy.

    Raises:
      InputError: unknown preset.
    """
    check_preset(name, preset)
    finish = lambda facts: plain(float(facts.stats[p]["layers"][statistic].sum()))  # noqa: E731
    return Proxy(name, (("init", p.init),), (p,), finish, version)


def params(*, preset: str = "nbsz") -> Proxy:
    """Number of trainable parameters, classifier included. Higher is better by convention.

    Args:
      preset: "paper" and "nbsz" agree.

    Returns:
      the proxy.

    References:
      Baseline of NAS-Bench-Suite-Zero (which divides by 10^6).
    """
    check_preset("params", preset)
    return Proxy("params", (), (CostPass(),), lambda facts: plain(float(facts.num_params)))


def flops(*, preset: str = "nbsz") -> Proxy:
    """Multiply-adds of convolutions and linear layers for one image. Higher is better by convention.

    Args:
      preset: "paper" and "nbsz" agree.

    Returns:
      the proxy.

    References:
      Baseline of NAS-Bench-Suite-Zero, whose counter adds norms and rectifiers.
    """
    check_preset("flops", preset)
    return Proxy("flops", (), (CostPass(),), lambda facts: plain(float(facts.flops)))


def grad_norm(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``sum_l ||dL/dW_l||_2`` on one batch. Higher is better.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021; code zero-cost-nas studied.
    """
    return layer_sum("grad_norm", "grad_norm", GradientPass(init=init, num_batches=1), preset=preset)


def snip(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``sum_w |w dL/dw|`` on one batch. Higher is better.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Lee et al., SNIP, ICLR 2019, as a proxy in Abdelfattah et al., ICLR 2021.
    """
    return layer_sum("snip", "snip", GradientPass(init=init, num_batches=1), preset=preset)


def synflow(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``log sum_w |w dR/dw|``, R the sum of logits of the network without norms, with absolute parameters and ones.

    Computed in the log domain, so it never overflows; the raw value ``sum_w |w dR/dw|`` is kept too and
    may be inf. A network whose output does not depend on the input has score -inf, raw value 0 and counts
    as invalid (NAS-Bench-Suite-Zero writes 0 for it).

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Tanaka et al., SynFlow, NeurIPS 2020, as a proxy in Abdelfattah et al., ICLR 2021; the logarithm as
      NAS-Bench-Suite-Zero reports it.
    """
    check_preset("synflow", preset)
    p = SynflowPass(init=init)

    def finish(facts: Facts) -> Value:
        log = float(facts.stats[p]["log_synflow"])
        return Value(log, math.exp(log) if log < 709 else math.inf)

    return Proxy("synflow", (("init", init),), (p,), finish)


def log_determinant(kernel: np.ndarray) -> float:
    """``log |det K|`` of a stack of kernels [..., n, n], averaged; -inf for a singular one, NaN if an entry is."""
    with np.errstate(invalid="ignore"):
        return float(np.mean(np.linalg.slogdet(kernel)[1]))


def nwot(*, preset: str = "nbsz", init: str = "torch", samples: int | None = None) -> Proxy:
    """``log |det K|``, K = sum over rectifiers of x x^T + (1-x)(1-x)^T, x = 1(input > 0). Higher is better.

    Every rectifier counts once, those of dead branches included, as in NAS-Bench-Suite-Zero.

    Args:
      preset: "paper": 128 images; "nbsz": one batch.
      init: initialisation law.
      samples: number of images; overrides the preset.

    Returns:
      the proxy.

    References:
      Mellor et al., Neural Architecture Search without Training, ICML 2021.
    """
    if samples is None and check_preset("nwot", preset) == "paper":
        samples = 128
    check_count("nwot", "samples", samples)
    p = ActivationPass(init=init, samples=samples, kernel=True)

    def finish(facts: Facts) -> Value:
        stats = facts.stats[p]
        return where_finite(stats, plain(log_determinant(stats["kernel"])))

    # Version 2: activations that are not finite make it invalid.
    return Proxy("nwot", (("init", init), ("samples", samples)), (p,), finish, version=2)


def swap(
    *, preset: str = "nbsz", init: str | None = None, samples: int | None = None, repeats: int | None = None
) -> Proxy:
    """Number of distinct sample-wise activation patterns. Higher is better.

    Args:
      preset: "paper": 16 images, mean over 32 standard-normal initialisations; "nbsz": one batch, one
        default initialisation.
      init: initialisation law; overrides the preset.
      samples: number of images; overrides the preset.
      repeats: number of initialisations; overrides the preset.

    Returns:
      the proxy.

    References:
      Peng et al., SWAP-NAS, ICLR 2024; code pym1024/SWAP studied.
    """
    paper = check_preset("swap", preset) == "paper"
    init = init or ("normal" if paper else "torch")
    samples = samples if samples is not None else (16 if paper else None)
    repeats = repeats if repeats is not None else (32 if paper else 1)
    check_count("swap", "samples", samples)
    check_count("swap", "repeats", repeats)
    p = ActivationPass(init=init, samples=samples, repeats=repeats, patterns=True)

    def finish(facts: Facts) -> Value:
        stats = facts.stats[p]
        return where_finite(stats, plain(float(np.sum(stats["patterns"])) / repeats))

    # Version 2: as of nwot.
    return Proxy("swap", (("init", init), ("repeats", repeats), ("samples", samples)), (p,), finish, version=2)


def reg_swap(
    *,
    preset: str = "nbsz",
    init: str | None = None,
    samples: int | None = None,
    repeats: int | None = None,
    mu: float | None = None,
    sigma: float | None = None,
) -> Proxy:
    """``log(Psi exp(-(P - mu)^2 / sigma))``, Psi the score of `swap`, P the parameters in thousands.

    Higher is better. The logarithm keeps apart what the product rounds to zero; the raw value is the product.

    Args:
      preset: as in `swap`; so are ``init``, ``samples`` and ``repeats``.
      init: see above.
      samples: see above.
      repeats: see above.
      mu: size that is wanted, in thousands of parameters. It belongs to the search space, so it has no default:
        without mu and sigma the factor is 1, as in the official code.
      sigma: how fast the score falls away from mu, in squared thousands.

    Returns:
      the proxy.

    Raises:
      InputError: only one of mu and sigma is given, or sigma is not positive.

    References:
      Peng et al., SWAP-NAS, ICLR 2024; code pym1024/SWAP studied.
    """
    if (mu is None) != (sigma is None):
        raise InputError(f"reg_swap: mu={mu!r}, sigma={sigma!r}; give both, or none for no regularisation.")
    if mu is not None and sigma is not None and not (_is_number(mu) and _is_number(sigma) and sigma > 0):
        raise InputError(f"reg_swap: mu={mu!r}, sigma={sigma!r}; allowed are a number and a positive number.")
    base = swap(preset=preset, init=init, samples=samples, repeats=repeats)

    def finish(facts: Facts) -> Value:
        patterns, _, note = base.finish(facts)
        exponent = 0.0 if mu is None or sigma is None else -((facts.num_params / 1e3 - mu) ** 2) / sigma
        return Value(safe_log(patterns) + exponent, patterns * math.exp(exponent), note)

    options = (*base.options, ("mu", mu), ("sigma", sigma))
    return Proxy("reg_swap", tuple(sorted(options, key=lambda kv: kv[0])), base.passes, finish, base.version)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
