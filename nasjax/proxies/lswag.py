"""L-SWAG, and ZiCo as an instance of the same code."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from nasjax.proxies import saved_intervals
from nasjax.proxies.base import PRESETS, Facts, Proxy, Value, where_finite
from nasjax.proxies.passes import ActivationPass, GradientPass
from nasjax.spaces.base import depth_bin
from nasjax.types import InputError, LayerTable

Interval = tuple[int, int]
_CHOICES = {
    "var_of": ("abs", "signed"),
    "numerator": ("one", "mean"),
    "granularity": ("batch", "sample"),
    "factors": ("product", "lambda", "psi"),
    "psi_layers": ("upto_end", "interval", "all"),
    "sign_guard": ("softplus", "none"),
    "norm": ("batch", "sample", "running"),
    "unit": ("layer", "block"),
}
_GUARD_BELOW = 30.0  # softplus(x) equals x in float64 above about 37; below, it departs smoothly


@dataclasses.dataclass(frozen=True)
class LswagConfig:
    """Configuration of the score ``Lambda * Psi`` (L-SWAG, CVPR 2025, Eq. 1).

    Lambda is the sum over the weight layers of ``log sum_w mu_w / sqrt(Var_i |dL(X_i)/dw|)``, Psi the number
    of distinct sample-wise activation patterns.

    Attributes:
      var_of: variance of "abs" (the formula) or "signed" gradients (ZiCo's code); population variance.
      numerator: "one" (L-SWAG) or "mean", the mean ``|g|`` (ZiCo).
      num_batches: M; the paper does not say; 2 as in ZiCo.
      granularity: observations are mini-batch ("batch", the paper) or "sample" gradients.
      interval: inclusive depth-percentile bins of Lambda, "auto" for the spike rule
        (`nasjax.proxies.profile`), or None for every layer.
      factors: "product", or one factor alone, for ablation.
      psi_layers: layers of Psi: "upto_end" of the interval (the paper, Eq. 7), in the "interval", or "all".
      sign_guard: the product orders architectures only while Lambda > 0; "softplus" replaces a Lambda
        below 30 by log(1 + exp(Lambda)), which keeps the order and is positive; "none" leaves it.
      norm: batch-norm mode.
      init: initialisation law; the paper builds on codes that keep the framework's default.
      unit: what Lambda takes a logarithm of, and counts the depth in: a weight "layer", or a "block", in which the
        weights of all its layers are summed up, where the space has blocks (vision transformers). The depth of
        activation calls is that of the layers in both.
    """

    var_of: str = "abs"
    numerator: str = "one"
    num_batches: int = 2
    granularity: str = "batch"
    interval: Interval | str | None = None
    factors: str = "product"
    psi_layers: str = "upto_end"
    sign_guard: str = "softplus"
    norm: str = "batch"
    init: str = "torch"
    unit: str = "layer"

    def __post_init__(self) -> None:
        """Checks every option."""
        for option, allowed in _CHOICES.items():
            if getattr(self, option) not in allowed:
                raise InputError(f"lswag: {option}={getattr(self, option)!r}; allowed are {', '.join(allowed)}.")
        fewest = 2 if self.granularity == "batch" else 1
        if not isinstance(self.num_batches, int) or self.num_batches < fewest:
            raise InputError(
                f"lswag: num_batches={self.num_batches!r}; allowed is 2 or more (1 with granularity=sample): "
                "a variance needs two observations."
            )
        if isinstance(self.interval, tuple):
            low, high = self.interval if len(self.interval) == 2 else (1, 0)
            if not 0 <= low <= high <= 9:
                raise InputError(f"lswag: interval={self.interval}; allowed are bins 0 <= low <= high <= 9.")
        elif self.interval not in (None, "auto"):
            raise InputError(f"lswag: interval={self.interval!r}; allowed are 'low-high' (bins 0..9), 'auto', None.")

    @property
    def bins(self) -> Interval:
        """Bins of Lambda; every one before "auto" is resolved."""
        return self.interval if isinstance(self.interval, tuple) else (0, 9)


def lambda_term(facts: Facts, p: GradientPass, config: LswagConfig) -> float:
    """Lambda of one architecture; layers without a weight of non-zero variance add nothing."""
    kind = "inv_std" if config.numerator == "one" else "ratio"
    sums = facts.stats[p]["layers"][f"{kind}_{config.var_of}"]
    low, high = config.bins
    bins = np.asarray(facts.layers.bins)
    if config.unit == "block" and facts.layers.units is not None:
        sums, bins = _by_block(facts.layers, sums)
    kept = (bins >= low) & (bins <= high)
    if np.isnan(sums[kept]).any():
        return math.nan
    return float(np.log(sums[kept & (sums > 0)]).sum())


def _by_block(layers: LayerTable, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and depth-percentile bins of the blocks that an architecture has."""
    active, units = np.asarray(layers.active), np.asarray(layers.units)
    present = np.unique(units[active])
    totals = np.array([sums[active & (units == unit)].sum() for unit in present])
    order: Any = np.arange(1, len(present) + 1)
    return totals, np.asarray(depth_bin(order, order[-1]))


def _finish(facts: Facts, config: LswagConfig, gradient: GradientPass, activation: ActivationPass) -> Value:
    factor, guarded, note = 1.0, 1.0, ""
    if config.factors != "psi":
        factor = guarded = lambda_term(facts, gradient, config)
        if config.factors == "product" and config.sign_guard == "softplus" and factor < _GUARD_BELOW:
            if factor <= 0:
                note = f"Lambda = {factor:.6g} is not positive; its softplus was used"
            guarded = float(np.logaddexp(0.0, factor))
    if config.factors == "lambda":
        return Value(guarded, factor, note)
    stats = facts.stats[activation]
    if activation.intervals:
        patterns = float(stats["interval_patterns"][activation.intervals.index(config.bins)])
    else:
        high = 9 if config.psi_layers == "all" else config.bins[1]
        patterns = float(stats["patterns"][: high + 1].sum())
    return where_finite(stats, Value(guarded * patterns, factor * patterns, note))


def from_config(config: LswagConfig, *, name: str = "lswag") -> Proxy:
    """The proxy of a configuration."""
    by_interval = config.psi_layers == "interval" and config.bins != (0, 9)
    activation = ActivationPass(
        init=config.init,
        norm=config.norm,
        patterns=not by_interval,
        intervals=(config.bins,) if by_interval else (),
    )
    gradient = GradientPass(config.init, config.norm, config.num_batches, config.granularity)
    passes = {"product": (gradient, activation), "lambda": (gradient,), "psi": (activation,)}[config.factors]
    changed = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    return Proxy(
        name,
        tuple(sorted(changed.items(), key=lambda kv: kv[0])),
        passes,
        lambda facts: _finish(facts, config, gradient, activation),
        version=2,  # gradients and activations that are not finite make it invalid
    )


def lswag(*, preset: str = "paper", **options: Any) -> Proxy:
    """L-SWAG: layer-wise gradient variance times the number of activation patterns. Higher is better.

    Args:
      preset: "paper": the interval by the spike rule of the paper; "nbsz": every layer, so that all
        proxies share one batch of 64 and one initialisation.
      **options: fields of `LswagConfig`; ``interval`` may also be the name of one that launch.profile_layers kept.

    Returns:
      the proxy.

    Raises:
      InputError: an option is unknown or out of range, or there is no interval of that name.

    References:
      L-SWAG, CVPR 2025, Eq. 1, 6, 7. No official code is known; agrees with an independent float64
      implementation of the equations.
    """
    base = {"interval": "auto" if check_preset("lswag", preset) == "paper" else None}
    chosen: dict[str, Any] = base | options
    if isinstance(chosen["interval"], str) and chosen["interval"] != "auto":
        chosen["interval"] = saved_intervals.load(chosen["interval"]).interval
    return from_config(LswagConfig(**chosen))


def zico(*, preset: str = "paper", num_batches: int = 2, var_of: str = "signed", init: str = "torch") -> Proxy:
    """ZiCo: ``sum_l log sum_w mean|g| / std(g)`` over M mini-batches. Higher is better.

    Args:
      preset: "paper" and "nbsz" agree.
      num_batches: M, 2 in the official code.
      var_of: "signed" as in the official code, or "abs" as in the paper's formula.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Li et al., ZiCo, ICLR 2023, Eq. 21; code SLDGroup/ZiCo studied.
    """
    check_preset("zico", preset)
    config = LswagConfig(var_of=var_of, numerator="mean", num_batches=num_batches, factors="lambda", init=init)
    proxy = from_config(config, name="zico")
    own = (("init", init), ("num_batches", num_batches), ("var_of", var_of))
    return proxy._replace(options=own)


def check_preset(name: str, preset: str) -> str:
    """The preset, if it is one."""
    if preset not in PRESETS:
        raise InputError(f"{name}: preset={preset!r}; allowed are {', '.join(PRESETS)}.")
    return preset
