"""The pass of loss gradients, and what it reads on the way."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.proxies import activations
from nasjax.proxies.activations import ActivationPass, activation_statistics
from nasjax.proxies.derivative_passes import CurvaturePass
from nasjax.spaces.base import SearchSpace, check_law
from nasjax.types import Array, InputError, PyTree, Site, Variables

_XI = 1e-8  # keeps the ratio of gsnr finite


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
      curvature: whether the first mini-batch also gives what `CurvaturePass` measures, of which its gradient is a part.
    """

    init: str = "torch"
    norm: str = "batch"
    num_batches: int = 2
    granularity: str = "batch"
    activations: ActivationPass | None = None
    curvature: bool = dataclasses.field(default=False, repr=False)  # stored scores are found by what a pass is called

    def __post_init__(self) -> None:
        """Refuses an unknown initialisation law."""
        check_law(self.init)

    @property
    def forward_mode(self) -> bool:
        """Whether it takes forward-mode derivatives."""
        return self.curvature

    @property
    def reader(self) -> Any:
        """What the layers' backwards reduce, see `nasjax.nn.readers`; None for nothing."""
        return nn.Moments if self.granularity == "sample" else None


@dataclasses.dataclass(frozen=True)
class FisherPass(GradientPass):
    """Gradient pass that also reads the Fisher information of every layer's output channels."""

    num_batches: int = 1

    @property
    def reader(self) -> Any:
        """See `GradientPass`."""
        return nn.Fisher


@dataclasses.dataclass(frozen=True)
class SignPass(GradientPass):
    """Gradient pass that also reads the signs of single samples' gradients."""

    norm: str = "sample"
    num_batches: int = 1
    granularity: str = "sample"

    @property
    def reader(self) -> Any:
        """See `GradientPass`."""
        return nn.Signs


def share(passes: list[GradientPass]) -> dict[GradientPass, GradientPass]:
    """Lets passes on the same network run together.

    What one mini-batch tells is read on the first of a pass that takes several, and a reading of its own with a plain
    pass.

    Returns:
      each pass -> the one that serves it.
    """
    served = {p: p for p in passes}
    plain = [p for p in served if type(p) is GradientPass]
    for p in plain:
        # Of one mini-batch there are no moments to read, unless its samples are the observations.
        if p.granularity == "batch" and p.num_batches == 1:
            served[p] = next((q for q in plain if q.num_batches > 1 and _network(q) == _network(p)), p)
    for special in [p for p in served if type(p) is not GradientPass]:
        hosts = [served[q] for q in plain if type(served[q]) is GradientPass and _network(q) == _network(special)]
        if hosts:
            joined = dataclasses.replace(special, num_batches=max(hosts[0].num_batches, special.num_batches))
            served |= {p: joined for p, server in served.items() if server in (hosts[0], special)}
    return served


def share_curvature(
    served: dict[GradientPass, GradientPass], wanted: list[CurvaturePass]
) -> dict[CurvaturePass, GradientPass]:
    """Lets passes of mini-batch gradients, as `share` has arranged them, measure curvature on the same network, too.

    Returns:
      each curvature pass that one of them serves -> that one; ``served`` is brought up to date.
    """
    found = {}
    for c in wanted:
        for server in dict.fromkeys(served.values()):
            if c.repeats == 1 and _network(server) == (c.init, c.norm, "batch"):
                found[c] = dataclasses.replace(server, curvature=True)
                served |= {p: found[c] for p, g in served.items() if g == server}
                break
    return found


def _network(p: GradientPass) -> tuple[str, str, str]:
    return p.init, p.norm, p.granularity


def gradient_statistics(
    space: SearchSpace, p: GradientPass, variables: Variables, arch: PyTree, images: Array, labels: Array
) -> PyTree:
    """Runs the pass; see `nasjax.proxies.passes.run_with`."""
    if images.shape[0] < p.num_batches:
        raise InputError(
            f"num_batches={p.num_batches} mini-batches needed for gradient statistics, {images.shape[0]} given; "
            "load the data with a larger num_batches."
        )
    if p.granularity not in ("batch", "sample"):
        raise InputError(f"granularity={p.granularity!r}; allowed are 'batch' and 'sample'.")
    by_sample = p.granularity == "sample"
    weights = space.weights(variables.params)
    dummies = None if p.reader is None else jax.tree.map(p.reader.zeros_like, weights)
    held = jax.tree.map(lambda m, w: jnp.broadcast_to(m, w.shape).astype(w.dtype), space.weight_mask(arch), weights)
    batch = images.shape[1]
    dtype = images.dtype

    def loss(weights: PyTree, dummies: PyTree, x: Array, y: Array, first: Array) -> tuple[Array, Any]:
        params = space.with_weights(variables.params, weights)

        def tap(site: Site, value: Array) -> activations.Packed:
            # Only the first mini-batch is read.
            shapes = jax.eval_shape(lambda value: activations.pack(site, value), value)
            nothing = lambda: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)  # noqa: E731
            return lax.cond(first, lambda: activations.pack(site, value), nothing)

        output = space.apply(
            variables._replace(params=params),
            arch,
            x,
            norm=p.norm,
            tap=None if p.activations is None else tap,
            moments=dummies,
        )
        return space.loss(output, y), output.taps

    def gradient(weights: PyTree, x: Array, y: Array, first: Array) -> Any:
        (value, taps), (grads, readings) = jax.value_and_grad(loss, (0, 1), has_aux=True)(weights, dummies, x, y, first)
        return grads, (value, taps, readings)

    def add(carry: Any, index: Array, grads: PyTree, read: Any) -> Any:
        total, kept = carry
        value, taps, readings = read
        have = (index * (batch if by_sample else 1)).astype(dtype)
        if by_sample:
            new, count = _moments(readings), float(batch)
        else:
            new, count = jax.tree.map(_single, grads), 1.0
        total = jax.tree.map(lambda t, n: _merge_moments(t, n, have, count), total, new, is_leaf=_is_moments)
        keep = (taps, _first_batch(space, weights, grads, readings, held))
        kept = jax.tree.map(lambda a, b: jnp.where(index == 0, b, a), kept, keep)
        return (total, kept), value

    def step(carry: Any, xs: tuple[Array, Array, Array]) -> Any:
        index, x, y = xs
        return add(carry, index, *gradient(weights, x, y, index == 0))

    probe = jax.eval_shape(
        lambda: (
            loss(weights, dummies, images[0], labels[0], jnp.array(True))[1],
            _first_batch(space, weights, weights, dummies, held),
        )
    )
    empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), probe)
    zeros = jax.tree.map(nn.Moments.zeros_like, weights)
    index = jnp.arange(p.num_batches)
    m = p.num_batches
    carry, losses, start = (zeros, empty), jnp.zeros(0, dtype), 0
    out: dict[str, Any] = {}
    if p.curvature and getattr(space, "forward_over_reverse", False):
        first = lambda weights: gradient(weights, images[0], labels[0], jnp.array(True))  # noqa: E731
        grads, along, read = jax.jvp(first, (weights,), (weights,), has_aux=True)
        out["curvature"] = space.layer_sums(jax.tree.map(jnp.multiply, grads, along))
        carry, value = add(carry, index[0], grads, read)
        losses, start = value[None], 1
    elif p.curvature:
        out |= CurvaturePass(p.init, norm=p.norm).statistics(space, variables, arch, images, labels)
    if start < m:
        carry, others = lax.scan(step, carry, (index[start:], images[start:m], labels[start:m]))
        losses = jnp.concatenate([losses, others.astype(dtype)]) if start else others
    total, (taps, saliency) = carry
    layers = _layer_statistics(space, total, m * (batch if by_sample else 1)) | saliency
    out |= {"loss": losses, "layers": layers, "weights": space.layer_sums(held)}
    if p.activations is not None:
        out["activations"] = activation_statistics(space, p.activations, arch, taps, batch, dtype)
    return out


def _is_moments(node: Any) -> bool:
    return isinstance(node, nn.Moments)


def _is_reading(node: Any) -> bool:
    return isinstance(node, (nn.Moments, nn.Signs, nn.Fisher))


def _moments(readings: PyTree) -> PyTree:
    """The moments among readings of single samples."""
    return jax.tree.map(lambda r: r.moments if isinstance(r, nn.Signs) else r, readings, is_leaf=_is_reading)


def _first_batch(
    space: SearchSpace, weights: PyTree, grads: PyTree, readings: PyTree, held: PyTree
) -> dict[str, Array]:
    """Sums over each layer that are read on the first mini-batch alone; ``held`` is 1 for weights there are, else 0."""
    saliency = jax.tree.map(lambda w, g: w * g, weights, grads)
    sums = {
        "grad_norm": jnp.sqrt(space.layer_sums(jax.tree.map(jnp.square, grads))),
        "plain": space.layer_sums(saliency),
        "snip": space.layer_sums(jax.tree.map(jnp.abs, saliency)),
        "snip_square": space.layer_sums(jax.tree.map(jnp.square, saliency)),
    }
    for reader, name, term in (
        (nn.Fisher, "fisher", lambda r: r.fisher),
        (nn.Signs, "conflict", lambda r: jnp.abs(r.signs)),
    ):
        leaves = jax.tree.leaves(readings, is_leaf=_is_reading)
        if leaves and isinstance(leaves[0], reader):
            # A reader of outputs speaks for a whole channel, weights that the architecture lacks included.
            terms = jax.tree.map(term, readings, is_leaf=_is_reading)
            sums[name] = space.layer_sums(jax.tree.map(jnp.multiply, terms, held))
    return sums


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


def _single(gradient: Array) -> nn.Moments:
    zero = jnp.zeros_like(gradient)
    return nn.Moments(gradient, zero, jnp.abs(gradient), zero)


def _layer_statistics(space: SearchSpace, moments: PyTree, count: int) -> dict[str, Array]:
    def reduce(term: Any) -> Array:
        return space.layer_sums(jax.tree.map(term, moments, is_leaf=_is_moments))

    def over_std(numerator: Any, m2: str) -> Any:
        def term(m: nn.Moments) -> Array:
            std = jnp.sqrt(getattr(m, m2) / count)
            std = jnp.where(jnp.isfinite(std), std, jnp.nan)  # an overflow must not count as a large deviation
            return jnp.where(std == 0, 0, numerator(m) / jnp.where(std == 0, 1, std))

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
        "gsnr": reduce(lambda m: jnp.square(m.mean) / (m.m2 / count + _XI)),
    }
