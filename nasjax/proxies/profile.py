"""The layer interval of L-SWAG: gradient statistics by depth percentile and the spike rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nasjax.proxies.base import Facts, Proxy, Value, plain
from nasjax.proxies.passes import GradientPass
from nasjax.types import InputError

NUM_BINS = 10


class IntervalProfile(NamedTuple):
    """Gradient statistics of random architectures by depth-percentile bin.

    Attributes:
      mean: float64 [10], mean over architectures of log(mean sigma) in the bin; NaN for an empty bin.
      deviation: float64 [10], its standard deviation over architectures.
      z: float64 [10], distance of ``mean`` from its median in median absolute deviations.
      interval: chosen inclusive bins, or None for every layer.
      num_archs: number of architectures.
    """

    mean: np.ndarray
    deviation: np.ndarray
    z: np.ndarray
    interval: tuple[int, int] | None
    num_archs: int

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        lists = {f: getattr(self, f).tolist() for f in ("mean", "deviation", "z")}
        return lists | {"interval": None if self.interval is None else list(self.interval), "num_archs": self.num_archs}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> IntervalProfile:
        """Inverse of `to_json`; ValueError, TypeError or KeyError for what is none."""
        mean, deviation, z = (np.asarray(fields[f], np.float64) for f in ("mean", "deviation", "z"))
        if any(values.shape != (NUM_BINS,) for values in (mean, deviation, z)):
            raise ValueError(f"statistics of {NUM_BINS} bins are needed")
        interval, count = fields["interval"], fields["num_archs"]
        whole = [count] if interval is None else [count, *interval]
        if any(type(value) is not int for value in whole) or count < 1:
            raise TypeError("bins and numbers of architectures are whole numbers")
        if interval is None:
            return cls(mean, deviation, z, None, count)
        low, high = interval
        if not 0 <= low <= high < NUM_BINS:
            raise ValueError(f"bins {low} to {high}")
        return cls(mean, deviation, z, (low, high), count)


def choose_interval(mean: np.ndarray, *, threshold: float = 1.0) -> tuple[np.ndarray, tuple[int, int] | None]:
    """The spike rule.

    With z_b = (m_b - median) / MAD: the contiguous run of bins around the largest z in which z >= threshold,
    widened towards the larger neighbour to at least two bins; None when the largest z is below it. The paper
    shows spikes and no rule; this one is recommended by the design.

    Args:
      mean: float [10], mean log sigma by bin; NaN for an empty bin, which never belongs to a run.
      threshold: z from which a bin belongs to the spike.

    Returns:
      z float64 [10], and the inclusive interval or None.
    """
    if not np.isfinite(mean).any():
        return np.zeros(len(mean)), None
    center = np.nanmedian(mean)
    spread = np.nanmedian(np.abs(mean - center))
    z = np.zeros(len(mean)) if not spread > 0 else (mean - center) / spread
    safe = np.where(np.isfinite(z), z, -np.inf)
    top = int(np.argmax(safe))
    if safe[top] < threshold:
        return z, None
    low = high = top
    while low > 0 and safe[low - 1] >= threshold:
        low -= 1
    while high < len(z) - 1 and safe[high + 1] >= threshold:
        high += 1
    if low == high:
        left = safe[low - 1] if low > 0 else -np.inf
        right = safe[high + 1] if high < len(z) - 1 else -np.inf
        low, high = (low - 1, high) if left > right or high == len(z) - 1 else (low, high + 1)
    return z, (low, high)


def bin_means(sigma: np.ndarray, weights: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """log(mean sigma) of each depth bin of one architecture.

    Args:
      sigma: float [L], sum of gradient standard deviations of each layer.
      weights: float [L], number of weights of each layer.
      bins: int [L], bin of each layer, -1 for none.

    Returns:
      float64 [10]; NaN where no layer lies or every sigma is zero.
    """
    out = np.full(NUM_BINS, np.nan)
    for b in range(NUM_BINS):
        here = (bins == b) & (sigma > 0)
        if here.any():
            out[b] = np.log(np.mean(sigma[here] / weights[here]))
    return out


def _bin_proxies(gradient: GradientPass) -> tuple[Proxy, ...]:
    """What is read of one architecture, a value a bin, so that the driver runs it and the store keeps it."""

    def of(b: int) -> Proxy:
        def finish(facts: Facts) -> Value:
            stats = facts.stats[gradient]
            found = bin_means(stats["layers"]["std"], stats["weights"], np.asarray(facts.layers.bins))
            return plain(float(found[b]))

        return Proxy("log_sigma", (("bin", b),), (gradient,), finish)

    return tuple(of(b) for b in range(NUM_BINS))


def profile_interval(
    space: Any,
    batches: Any,
    *,
    key: Any,
    num_archs: int = 1000,
    num_batches: int = 2,
    init: str = "torch",
    norm: str = "batch",
    threshold: float = 1.0,
    store: Any = None,
    precision: str | None = None,
    **run_options: Any,
) -> IntervalProfile:
    """Finds the layer interval of L-SWAG, without labels of architectures (spec A.5).

    Draws random architectures, measures the standard deviation of every weight's gradient over
    mini-batches, averages log sigma by depth-percentile bin and applies `choose_interval`.

    Args:
      space: search space.
      batches: see `nasjax.data.load`.
      key: typed key; draws and initialises.
      num_archs: number of architectures, 1000 in the paper.
      num_batches: M.
      init: initialisation law.
      norm: batch-norm mode.
      threshold: see `choose_interval`.
      store: where finished chunks are kept and found again.
      precision: "highest" or "fast"; None keeps the space's.
      **run_options: engine, batching, chunk, devices, progress, as in `nasjax.score`.

    Returns:
      the profile.

    Raises:
      InputError: fewer than one architecture or two mini-batches asked for, or bad data.
    """
    import jax

    from nasjax.proxies.score import score

    if num_archs < 1:
        raise InputError(f"profile: num_archs={num_archs}; allowed is a positive integer.")
    if num_batches < 2:
        raise InputError(f"profile: num_batches={num_batches}; allowed is 2 or more: a deviation needs two of them.")
    draw, init_key = jax.random.split(key)
    archs = np.asarray(space.sample(draw, num_archs))
    proxies = _bin_proxies(GradientPass(init, norm, num_batches))
    precision = precision or ("fast" if space.precision == "default" else "highest")
    options: dict[str, Any] = {"key": init_key, "store": store, "precision": precision, **run_options}
    table = np.stack(list(score(space, archs, batches, proxies, **options).scores.values()), 1)
    with np.errstate(all="ignore"):
        counts = np.isfinite(table).sum(0)
        mean = np.where(counts > 0, np.nansum(table, 0) / np.maximum(counts, 1), np.nan)
        deviation = np.sqrt(np.nansum(np.square(table - mean), 0) / np.maximum(counts, 1))
    z, interval = choose_interval(mean, threshold=threshold)
    return IntervalProfile(mean, deviation, z, interval, num_archs)
