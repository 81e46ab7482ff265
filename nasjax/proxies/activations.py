"""The pass of activation patterns, and their statistics: sign bits, distinct patterns, the NASWOT kernel."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.spaces.base import SearchSpace, check_law
from nasjax.types import Array, InputError, PyTree, Site

NUM_BINS = 10
_ABSENT = NUM_BINS  # bin of a row that does not count
_MIX = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F)


@dataclasses.dataclass(frozen=True)
class ActivationPass:
    """Forward pass that reads activation patterns.

    Attributes:
      init: initialisation law.
      norm: batch-norm mode.
      samples: number of images, or None for one batch.
      repeats: how many initialisations.
      kernel: whether the NASWOT kernel is needed.
      patterns: whether distinct patterns are counted.
      intervals: further inclusive bin intervals for which distinct patterns are counted.
    """

    init: str = "torch"
    norm: str = "batch"
    samples: int | None = None
    repeats: int = 1
    kernel: bool = False
    patterns: bool = False
    intervals: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Refuses an unknown initialisation law."""
        check_law(self.init)


def pack_signs(x: Array) -> Array:
    """Indicator x > 0 of every neuron over the samples, packed.

    Args:
      x: float [batch, ...].

    Returns:
      uint32 [neurons, ceil(batch / 32)]; bit s of a word is sample s.
    """
    batch = x.shape[0]
    words = -(-batch // 32)
    bits = (x > 0).reshape(batch, -1).astype(jnp.uint32)
    bits = jnp.pad(bits, ((0, words * 32 - batch), (0, 0))).reshape(words, 32, -1)
    shifts = jnp.arange(32, dtype=jnp.uint32)[None, :, None]
    return (bits << shifts).sum(1, dtype=jnp.uint32).T


def unpack_signs(words: Array, batch: int) -> Array:
    """Inverse of `pack_signs`: uint32 [neurons, words] -> bool [batch, neurons]."""
    shifts = jnp.arange(32, dtype=jnp.uint32)[None, :, None]
    bits = (words.T[:, None, :] >> shifts) & jnp.uint32(1)
    return bits.reshape(-1, words.shape[0])[:batch] > 0


def distinct_by_bin(words: Array, bins: Array, *, method: str = "auto") -> Array:
    """Counts distinct rows, each in the smallest bin it occurs in. Exact.

    Args:
      words: uint32 [rows, words].
      bins: int32 [rows]; 0..9, or 10 for a row that does not count.
      method: "hash" (scatter into a table, round after round until no two different rows share a slot),
        "sort", or "auto": sort on TPU, hash elsewhere.

    Returns:
      int32 [10]; the cumulative sum at b is the number of distinct rows in bins 0..b.
    """
    if method == "auto":
        method = "sort" if jax.default_backend() == "tpu" else "hash"
    return _distinct_sort(words, bins) if method == "sort" else _distinct_hash(words, bins)


def _tally(bins: Array, counted: Array) -> Array:
    hot = (bins[:, None] == jnp.arange(NUM_BINS)[None]) & counted[:, None]
    return hot.sum(0, dtype=jnp.int32)


def _distinct_sort(words: Array, bins: Array) -> Array:
    present = bins < _ABSENT
    first = jnp.where(present, 0, 1).astype(jnp.uint32)
    columns = [first, *(words[:, i] for i in range(words.shape[1])), bins]
    *keys, ordered = lax.sort(columns, num_keys=len(columns))
    changed = jnp.zeros(words.shape[0], bool).at[0].set(True)
    for key in keys:
        changed = changed.at[1:].set(changed[1:] | (key[1:] != key[:-1]))
    return _tally(ordered, changed & (ordered < _ABSENT))


def _distinct_hash(words: Array, bins: Array) -> Array:
    rows = words.shape[0]
    index_bits = max(1, int(np.ceil(np.log2(rows))))
    # The smallest (bin, row) wins a slot, so a winner has the smallest bin among its equals.
    rank = (bins.astype(jnp.uint32) << index_bits) | jnp.arange(rows, dtype=jnp.uint32)
    table_bits = min(index_bits + 2, 24)
    empty = jnp.uint32(0xFFFFFFFF)

    def hashed(salt: Array) -> Array:
        h = jnp.full(rows, 0, jnp.uint32) + salt
        for i in range(words.shape[1]):
            h = (h ^ words[:, i]) * jnp.uint32(_MIX[i % len(_MIX)])
            h = h ^ (h >> 15)
        h = h * jnp.uint32(0x2C1B3C6D)
        return (h ^ (h >> 13)) >> (32 - table_bits)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        left, counts, salt = state
        slot = jnp.where(left, hashed(salt), jnp.uint32(1 << table_bits))
        table = jnp.full(1 << table_bits, empty).at[slot].min(rank, mode="drop")
        best = table.at[slot].get(mode="fill", fill_value=0)
        winner = (best & jnp.uint32((1 << index_bits) - 1)).astype(jnp.int32)
        same = left & (words[winner] == words).all(1)
        counts = counts + _tally(bins, left & (winner == jnp.arange(rows)))
        return left & ~same, counts, salt * jnp.uint32(747796405) + jnp.uint32(2891336453)

    start = (bins < _ABSENT, jnp.zeros(NUM_BINS, jnp.int32), jnp.uint32(1))
    return lax.while_loop(lambda state: state[0].any(), step, start)[1]


def first_bin(calls: Array) -> Array:
    """Smallest bin with an activation call, or 10: int32 [..., 10] -> int32 [...]."""
    return jnp.where(calls.any(-1), jnp.argmax(calls > 0, -1), _ABSENT).astype(jnp.int32)


def interval_calls(calls: Array, low: int, high: int) -> Array:
    """Calls outside bins low..high set to zero."""
    bins = jnp.arange(NUM_BINS)
    return jnp.where((bins >= low) & (bins <= high), calls, 0)


def hamming_kernel(words: Array, multiplicity: Array, batch: int, dtype: jnp.dtype) -> Array:
    """NASWOT kernel of one site: multiplicity * (x x^T + (1 - x)(1 - x)^T), x the indicators.

    Args:
      words: uint32 [neurons, words], see `pack_signs`.
      multiplicity: int32 [], activation calls the site stands for.
      batch: number of samples.
      dtype: floating dtype of the result; counts are exact below 2^24 in float32.

    Returns:
      dtype [batch, batch].
    """

    def compute() -> Array:
        x = unpack_signs(words, batch).astype(dtype)
        both = jnp.dot(x, x.T, precision="highest")
        ones = x.sum(1)
        neither = words.shape[0] - ones[:, None] - ones[None, :] + both
        return multiplicity.astype(dtype) * (both + neither)

    return lax.cond(multiplicity > 0, compute, lambda: jnp.zeros((batch, batch), dtype))


def first_images(images: Array, samples: int | None) -> Array:
    """The first images of all batches.

    Args:
      images: float [batches, batch, height, width, channels].
      samples: how many, or None for one batch.

    Returns:
      float [samples, height, width, channels].

    Raises:
      InputError: fewer are given.
    """
    flat = images.reshape(-1, *images.shape[2:])
    count = images.shape[1] if samples is None else samples
    if count > flat.shape[0]:
        raise InputError(f"{count} images needed, {flat.shape[0]} given; raise num_batches or batch_size.")
    return flat[:count]


def join(a: ActivationPass, b: ActivationPass) -> ActivationPass:
    """One pass that serves two on the same network and input."""
    return dataclasses.replace(
        a,
        kernel=a.kernel or b.kernel,
        patterns=a.patterns or b.patterns,
        intervals=tuple(dict.fromkeys((*a.intervals, *b.intervals))),
    )


class Packed(NamedTuple):
    """What `pack` reads at a site.

    Attributes:
      words: sign bits, see `pack_signs`.
      finite: bool []; whether no value is infinite or not a number, whose sign bit would count as zero.
    """

    words: Array
    finite: Array


def pack(site: Site, value: Array) -> Packed:
    """Tap that packs sign bits."""
    del site
    return Packed(pack_signs(value), jnp.isfinite(value).all())


def activation_statistics(
    space: SearchSpace, p: ActivationPass, arch: PyTree, taps: dict[str, Packed], batch: int, dtype: Any
) -> PyTree:
    """What the pass asks for, out of packed signs.

    Args:
      space: search space.
      p: pass.
      arch: architecture.
      taps: what `pack` returned at every site.
      batch: number of samples.
      dtype: floating dtype of the kernel.

    Returns:
      see `nasjax.proxies.passes.run_with`.
    """
    calls = space.site_calls(arch)
    sites = []  # (words [cells, neurons, words], calls [cells, 10])
    finite = jnp.array(True)
    for name, (words, own_finite) in taps.items():
        own = calls[name]
        sites.append((words, own) if own.ndim == 2 else (words[None], own[None]))
        finite &= (own_finite | ~own.any(-1)).all()  # what no activation reads does not matter
    out: dict[str, Array] = {"finite": finite}

    def rows(select: Any) -> tuple[Array, Array]:
        all_words = jnp.concatenate([w.reshape(-1, w.shape[-1]) for w, _ in sites])
        bins = [jnp.broadcast_to(first_bin(select(c))[:, None], w.shape[:2]).reshape(-1) for w, c in sites]
        return all_words, jnp.concatenate(bins)

    if p.patterns:
        out["patterns"] = distinct_by_bin(*rows(lambda c: c))
    if p.intervals:
        counts = []
        for low, high in p.intervals:
            picked = rows(lambda c, low=low, high=high: interval_calls(c, low, high))
            counts.append(distinct_by_bin(*picked).sum())
        out["interval_patterns"] = jnp.stack(counts)
    if p.kernel:
        kernel = jnp.zeros((batch, batch), dtype)
        for words, own in sites:
            step = lambda k, wc: (k + hamming_kernel(wc[0], wc[1].sum(), batch, dtype), None)  # noqa: E731
            kernel = lax.scan(step, kernel, (words, own))[0]
        out["kernel"] = kernel
    return out
