"""Passes: what is computed on a network, shared by the proxies that read it.

A pass is a frozen value. The driver runs each distinct pass once and hands its statistics to every
proxy that names it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax import nn
from nasjax.proxies import activations
from nasjax.spaces.base import SearchSpace
from nasjax.types import Array, InputError, PyTree, Site, Variables


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


@dataclasses.dataclass(frozen=True)
class GradientPass:
    """Loss gradients on M mini-batches, reduced to statistics of every weight layer.

    Attributes:
      init: initialisation law.
      norm: batch-norm mode: "batch" couples the samples of a batch; "sample" and "running" do not.
      num_batches: M.
      granularity: "batch": an observation is the gradient of a mini-batch; "sample": the summand of
        one sample in the layer's own backward, times the batch size. With norm "sample", "running" or
        "none" that is exactly the gradient of the sample by itself; with "batch" the other samples
        act through the batch statistics.
      activations: activation statistics read in the forward pass of the first mini-batch.
    """

    init: str = "torch"
    norm: str = "batch"
    num_batches: int = 2
    granularity: str = "batch"
    activations: ActivationPass | None = None


@dataclasses.dataclass(frozen=True)
class SynflowPass:
    """Synaptic flow: all-ones image, absolute parameters, no norms.

    Attributes:
      init: initialisation law.
    """

    init: str = "torch"


@dataclasses.dataclass(frozen=True)
class CostPass:
    """Parameters and multiply-adds; computed on the host."""


Pass = ActivationPass | GradientPass | SynflowPass | CostPass


def merge(passes: list[Pass]) -> dict[Pass, Pass]:
    """Fewest passes that serve all.

    Activation passes on the same network and input join; one that a gradient pass runs anyway is read
    in that pass's first forward.

    Returns:
      each requested pass -> the pass that serves it.
    """
    groups: dict[Any, ActivationPass] = {}
    for p in passes:
        if isinstance(p, ActivationPass):
            key = (p.init, p.norm, p.samples, p.repeats)
            groups[key] = _join(groups.get(key, p), p)
    served: dict[Pass, Pass] = {}
    gradient = list(dict.fromkeys(p for p in passes if isinstance(p, GradientPass)))
    carriers: dict[Any, GradientPass] = {}
    for g in gradient:
        mine = groups.get((g.init, g.norm, None, 1))
        if mine is not None and (g.init, g.norm) not in carriers:
            carriers[g.init, g.norm] = dataclasses.replace(g, activations=mine)
            served[g] = carriers[g.init, g.norm]
        else:
            served[g] = g
    for p in passes:
        if isinstance(p, ActivationPass):
            joined = groups[p.init, p.norm, p.samples, p.repeats]
            carrier = carriers.get((p.init, p.norm)) if (p.samples, p.repeats) == (None, 1) else None
            served[p] = joined if carrier is None else carrier
        elif not isinstance(p, GradientPass):
            served[p] = p
    return served


def _join(a: ActivationPass, b: ActivationPass) -> ActivationPass:
    return dataclasses.replace(
        a,
        kernel=a.kernel or b.kernel,
        patterns=a.patterns or b.patterns,
        intervals=tuple(dict.fromkeys((*a.intervals, *b.intervals))),
    )


def images_needed(p: Pass, batch_size: int) -> int:
    """How many images a pass reads, given the batch size."""
    if isinstance(p, GradientPass):
        return p.num_batches * batch_size
    if isinstance(p, ActivationPass):
        return p.samples or batch_size
    return 0


def run(space: SearchSpace, p: Pass, key: Array, arch: PyTree, images: Array, labels: Array) -> PyTree:
    """Initialises one architecture and runs a pass on it.

    Args:
      space: search space.
      p: pass.
      key: the architecture's key; every pass with the same law sees the same weights.
      arch: architecture.
      images: float [batches, batch, height, width, channels].
      labels: int32 [batches, batch].

    Returns:
      dictionary of statistics, see `run_with`.
    """
    if isinstance(p, CostPass):
        return {}
    init_key = jax.random.fold_in(key, 0)
    dtype = images.dtype
    if isinstance(p, ActivationPass) and p.repeats > 1:

        def once(repeat: Array) -> PyTree:
            own = jax.random.fold_in(init_key, repeat)
            own = jax.random.wrap_key_data(
                jnp.where(repeat == 0, jax.random.key_data(init_key), jax.random.key_data(own))
            )
            return run_with(space, p, space.init(own, arch, law=p.init, dtype=dtype), arch, images, labels)

        return lax.map(once, jnp.arange(p.repeats))
    return run_with(space, p, space.init(init_key, arch, law=p.init, dtype=dtype), arch, images, labels)


def run_with(space: SearchSpace, p: Pass, variables: Variables, arch: PyTree, images: Array, labels: Array) -> PyTree:
    """Runs a pass on given variables; arguments as in `run`.

    Returns:
      ActivationPass: "patterns" int32 [10] distinct patterns by first bin, "interval_patterns" int32 [k],
      "kernel" [batch, batch], as asked for.
      GradientPass: "loss" [M]; "layers": dictionary of [L] arrays: "inv_std_abs", "inv_std_signed" (sums of
      1/std over weights with std > 0), "ratio_abs", "ratio_signed" (sums of mean|g|/std), "nonzero_abs",
      "nonzero_signed" (their number), "std" (sum of std of g), "grad_norm", "snip" (on the first batch);
      "weights" [L] number of weights; "activations" as above.
      SynflowPass: "log_synflow" [] (natural logarithm of the sum of |w dR/dw|).
    """
    if isinstance(p, ActivationPass):
        flat = images.reshape(-1, *images.shape[2:])
        count = images.shape[1] if p.samples is None else p.samples
        if count > flat.shape[0]:
            raise InputError(
                f"{count} images needed for activation patterns, {flat.shape[0]} given; "
                "raise num_batches or batch_size."
            )
        x = flat[:count]
        taps = space.apply(variables, arch, x, norm=p.norm, tap=_pack).taps
        return _activation_statistics(space, p, arch, taps, count, x.dtype)
    if isinstance(p, GradientPass):
        return _gradient_statistics(space, p, variables, arch, images, labels)
    if isinstance(p, SynflowPass):
        return _synflow(space, variables, arch, images[0, :1])
    return {}


def _pack(site: Site, value: Array) -> Array:
    del site
    return activations.pack_signs(value)


def _activation_statistics(
    space: SearchSpace, p: ActivationPass, arch: PyTree, taps: dict[str, Array], batch: int, dtype: Any
) -> PyTree:
    calls = space.site_calls(arch)
    sites = []  # (words [cells, neurons, words], calls [cells, 10])
    for name, words in taps.items():
        own = calls[name]
        sites.append((words, own) if own.ndim == 2 else (words[None], own[None]))
    out: dict[str, Array] = {}

    def rows(select: Any) -> tuple[Array, Array]:
        all_words = jnp.concatenate([w.reshape(-1, w.shape[-1]) for w, _ in sites])
        bins = [
            jnp.repeat(activations.first_bin(select(c)), w.shape[1], total_repeat_length=w.shape[0] * w.shape[1])
            for w, c in sites
        ]
        return all_words, jnp.concatenate(bins)

    if p.patterns:
        out["patterns"] = activations.distinct_by_bin(*rows(lambda c: c))
    if p.intervals:
        counts = []
        for low, high in p.intervals:
            picked = rows(lambda c, low=low, high=high: activations.interval_calls(c, low, high))
            counts.append(activations.distinct_by_bin(*picked).sum())
        out["interval_patterns"] = jnp.stack(counts)
    if p.kernel:
        kernel = jnp.zeros((batch, batch), dtype)
        for words, own in sites:
            step = lambda k, wc: (k + activations.hamming_kernel(wc[0], wc[1].sum(), batch, dtype), None)  # noqa: E731
            kernel = lax.scan(step, kernel, (words, own))[0]
        out["kernel"] = kernel
    return out


def _merge_moments(total: nn.Moments, new: nn.Moments, have: Array, add: float) -> nn.Moments:
    """Moments of ``have`` + ``add`` observations (Chan et al.)."""
    count = have + add
    weight = add / count

    def merge_pair(mean: Array, m2: Array, mean2: Array, m22: Array) -> tuple[Array, Array]:
        delta = mean2 - mean
        return mean + delta * weight, m2 + m22 + delta * delta * (have * weight)

    mean, m2 = merge_pair(total.mean, total.m2, new.mean, new.m2)
    mean_abs, m2_abs = merge_pair(total.mean_abs, total.m2_abs, new.mean_abs, new.m2_abs)
    return nn.Moments(mean, m2, mean_abs, m2_abs)


def _is_moments(node: Any) -> bool:
    return isinstance(node, nn.Moments)


def _gradient_statistics(
    space: SearchSpace, p: GradientPass, variables: Variables, arch: PyTree, images: Array, labels: Array
) -> PyTree:
    if images.shape[0] < p.num_batches:
        raise InputError(
            f"num_batches={p.num_batches} mini-batches needed for gradient statistics, {images.shape[0]} given; "
            "load the data with a larger num_batches."
        )
    if p.granularity not in ("batch", "sample"):
        raise InputError(f"granularity={p.granularity!r}; allowed are 'batch' and 'sample'.")
    by_sample = p.granularity == "sample"
    weights = space.weights(variables.params)
    zeros = jax.tree.map(nn.Moments.zeros_like, weights)
    batch = images.shape[1]
    dtype = images.dtype

    def loss(weights: PyTree, dummy: PyTree, x: Array, y: Array, first: Array) -> tuple[Array, Any]:
        params = space.with_weights(variables.params, weights)

        def tap(site: Site, value: Array) -> Array:
            # Only the first mini-batch is read.
            shape = jax.eval_shape(activations.pack_signs, value)
            return lax.cond(first, lambda: activations.pack_signs(value), lambda: jnp.zeros(shape.shape, shape.dtype))

        output = space.apply(
            variables._replace(params=params),
            arch,
            x,
            norm=p.norm,
            tap=None if p.activations is None else tap,
            moments=dummy if by_sample else None,
        )
        return space.loss(output, y), output.taps

    def step(carry: Any, xs: tuple[Array, Array, Array]) -> Any:
        total, kept = carry
        index, x, y = xs
        first = index == 0
        (value, taps), (grads, moments) = jax.value_and_grad(loss, (0, 1), has_aux=True)(weights, zeros, x, y, first)
        have = (index * (batch if by_sample else 1)).astype(dtype)
        if by_sample:
            new, add = moments, float(batch)
        else:
            new, add = jax.tree.map(_single, grads), 1.0
        total = jax.tree.map(lambda t, n: _merge_moments(t, n, have, add), total, new, is_leaf=_is_moments)
        saliency = (
            jnp.sqrt(space.layer_sums(jax.tree.map(jnp.square, grads))),
            space.layer_sums(jax.tree.map(lambda w, g: jnp.abs(w * g), weights, grads)),
        )
        keep = (taps, saliency)
        kept = jax.tree.map(lambda a, b: jnp.where(first, b, a), kept, keep)
        return (total, kept), value

    probe = jax.eval_shape(loss, weights, zeros, images[0], labels[0], jnp.array(True))[1]
    num_layers = jax.eval_shape(space.layer_sums, weights).shape
    empty = (
        jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), probe),
        (jnp.zeros(num_layers, dtype), jnp.zeros(num_layers, dtype)),
    )
    index = jnp.arange(p.num_batches)
    m = p.num_batches
    (total, (taps, saliency)), losses = lax.scan(step, (zeros, empty), (index, images[:m], labels[:m]))
    layers = _layer_statistics(space, total, m * (batch if by_sample else 1))
    layers["grad_norm"], layers["snip"] = saliency
    ones = jax.tree.map(jnp.ones_like, weights)
    out: dict[str, Any] = {"loss": losses, "layers": layers, "weights": space.layer_sums(ones)}
    if p.activations is not None:
        out["activations"] = _activation_statistics(space, p.activations, arch, taps, batch, dtype)
    return out


def _single(gradient: Array) -> nn.Moments:
    zero = jnp.zeros_like(gradient)
    return nn.Moments(gradient, zero, jnp.abs(gradient), zero)


def _layer_statistics(space: SearchSpace, moments: PyTree, count: int) -> dict[str, Array]:
    def reduce(term: Any) -> Array:
        return space.layer_sums(jax.tree.map(term, moments, is_leaf=_is_moments))

    def over_std(numerator: Any, m2: str) -> Any:
        def term(m: nn.Moments) -> Array:
            std = jnp.sqrt(getattr(m, m2) / count)
            return jnp.where(std > 0, numerator(m) / jnp.where(std > 0, std, 1), 0)

        return term

    one = lambda m: jnp.ones_like(m.mean)  # noqa: E731
    mean = lambda m: m.mean_abs  # noqa: E731
    return {
        "inv_std_abs": reduce(over_std(one, "m2_abs")),
        "inv_std_signed": reduce(over_std(one, "m2")),
        "ratio_abs": reduce(over_std(mean, "m2_abs")),
        "ratio_signed": reduce(over_std(mean, "m2")),
        "nonzero_abs": reduce(lambda m: (m.m2_abs > 0).astype(m.m2.dtype)),
        "nonzero_signed": reduce(lambda m: (m.m2 > 0).astype(m.m2.dtype)),
        "std": reduce(lambda m: jnp.sqrt(m.m2 / count)),
    }


def _synflow(space: SearchSpace, variables: Variables, arch: PyTree, image: Array) -> PyTree:
    positive = jax.tree.map(jnp.abs, variables)
    weights = space.weights(positive.params)

    def total(weights: PyTree) -> tuple[Array, Array]:
        params = space.with_weights(positive.params, weights)
        ones = jnp.ones_like(image)
        output = space.apply(positive._replace(params=params), arch, ones, norm="none", rescale=True)
        return output.logits.sum(), output.taps["log_scale"]

    # Scale factors carry no gradient, so every weight's gradient is off by the same known factor.
    grads, log_scale = jax.grad(total, has_aux=True)(weights)
    score = space.layer_sums(jax.tree.map(lambda w, g: jnp.abs(w * g), weights, grads)).sum()
    return {"log_synflow": jnp.log(score) + log_scale}


def to_host(stats: PyTree) -> PyTree:
    """Statistics as NumPy arrays, floats in float64."""
    return jax.tree.map(
        lambda a: np.asarray(a, np.float64) if np.asarray(a).dtype.kind == "f" else np.asarray(a), stats
    )
