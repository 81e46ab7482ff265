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

from nasjax.proxies.activations import ActivationPass as ActivationPass
from nasjax.proxies.activations import activation_statistics, first_images, join, pack
from nasjax.proxies.derivative_passes import CurvaturePass
from nasjax.proxies.gradient_pass import FisherPass as FisherPass
from nasjax.proxies.gradient_pass import GradientPass as GradientPass
from nasjax.proxies.gradient_pass import SignPass as SignPass
from nasjax.proxies.gradient_pass import gradient_statistics, share, share_curvature
from nasjax.proxies.pass_base import CustomPass, draw, over_initialisations
from nasjax.spaces.base import SearchSpace, check_law
from nasjax.types import Array, PyTree, Variables


@dataclasses.dataclass(frozen=True)
class SynflowPass:
    """Synaptic flow: all-ones image, absolute parameters, no norms.

    Attributes:
      init: initialisation law.
    """

    init: str = "torch"

    def __post_init__(self) -> None:
        """Refuses an unknown initialisation law."""
        check_law(self.init)


@dataclasses.dataclass(frozen=True)
class CostPass:
    """Parameters and multiply-adds; computed on the host."""


Pass = ActivationPass | GradientPass | SynflowPass | CostPass | CustomPass


def merge(passes: list[Pass]) -> dict[Pass, Pass]:
    """Fewest passes that serve all.

    Activation passes on the same network and input join; one that a gradient pass runs anyway is read
    in that pass's first forward. So do gradient passes that read more, see `nasjax.proxies.gradient_pass.share`, and
    curvature, whose derivative has the gradient as its first part.

    Returns:
      each requested pass -> the pass that serves it.
    """
    groups: dict[Any, ActivationPass] = {}
    for p in passes:
        if isinstance(p, ActivationPass):
            key = (p.init, p.norm, p.samples, p.repeats)
            groups[key] = join(groups.get(key, p), p)
    served: dict[Pass, Pass] = {}
    shared = share([p for p in passes if isinstance(p, GradientPass)])
    curved = share_curvature(shared, [p for p in passes if isinstance(p, CurvaturePass)])
    carriers: dict[Any, GradientPass] = {}
    carrying: dict[GradientPass, GradientPass] = {}
    for g in dict.fromkeys(shared.values()):
        mine = groups.get((g.init, g.norm, None, 1))
        if mine is not None and (g.init, g.norm) not in carriers:
            carriers[g.init, g.norm] = carrying[g] = dataclasses.replace(g, activations=mine)
    served |= {requested: carrying.get(g, g) for requested, g in shared.items()}
    for p in passes:
        if isinstance(p, ActivationPass):
            joined = groups[p.init, p.norm, p.samples, p.repeats]
            carrier = carriers.get((p.init, p.norm)) if (p.samples, p.repeats) == (None, 1) else None
            served[p] = joined if carrier is None else carrier
        elif isinstance(p, CurvaturePass) and p in curved:
            served[p] = carrying.get(curved[p], curved[p])
        elif not isinstance(p, GradientPass):
            served[p] = p
    return served


def images_needed(p: Pass, batch_size: int) -> int:
    """How many images a pass reads, given the batch size."""
    if isinstance(p, GradientPass):
        return p.num_batches * batch_size
    if isinstance(p, ActivationPass):
        return p.samples or batch_size
    return p.images_needed(batch_size) if isinstance(p, CustomPass) else 0


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
    if isinstance(p, CustomPass):
        return p.run(space, key, arch, images, labels)

    repeats = p.repeats if isinstance(p, ActivationPass) else 1

    def once(init_key: Array) -> PyTree:
        variables = draw(space, init_key, arch, law=p.init, dtype=images.dtype, repeats=repeats)
        return run_with(space, p, variables, arch, images, labels)

    return over_initialisations(once, key, repeats)


def check_pass(space: Any, p: Pass) -> None:
    """Refuses a space that a pass cannot run on.

    Raises:
      InputError: the space lacks a method, or refuses the pass itself (`nasjax.spaces.optional.RefusesPasses`).
    """
    own = getattr(space, "check_pass", None)
    if own is not None:
        own(p)
    if isinstance(p, CustomPass):
        p.check_space(space)


def run_with(
    space: SearchSpace,
    p: Pass,
    variables: Variables,
    arch: PyTree,
    images: Array,
    labels: Array,
    *,
    fixed: PyTree = None,
) -> PyTree:
    """Runs a pass on given variables; arguments as in `run`, ``fixed`` as in `CustomPass.measure`.

    Returns:
      ActivationPass: "patterns" int32 [10] distinct patterns by first bin, "interval_patterns" int32 [k],
      "kernel" [batch, batch], as asked for; "finite" bool [], whether all activations are finite numbers.
      GradientPass: "loss" [M]; "layers": dictionary of [L] arrays: "inv_std_abs", "inv_std_signed" (sums of
      1/std over weights with std > 0), "ratio_abs", "ratio_signed" (sums of mean|g|/std), "nonzero_abs",
      "nonzero_signed" (their number), "std" (sum of std of g), "gsnr" (sum of mean(g)^2 / (var(g) + 1e-8)); on
      the first batch "grad_norm", "plain" (sum of w g), "snip" and "snip_square" (sums of |w g| and its square);
      "weights" [L] number of weights the architecture has; "activations" as above.
      With its curvature also "curvature", see `CurvaturePass`.
      FisherPass: also "fisher" [L] on the first batch, summed over the weights of every channel.
      SignPass: also "conflict" [L] on the first batch, sum of |sum_n sign(g_n)|.
      SynflowPass: "log_synflow" [] (natural logarithm of the sum of |w dR/dw|); "synflow", "synflow_square" [L],
      sums of |w dR/dw| and its square divided by exp("log_scale") and its square.
      CustomPass: what its ``measure`` returns with ``fixed`` and without a key.
    """
    if isinstance(p, ActivationPass):
        x = first_images(images, p.samples)
        taps = space.apply(variables, arch, x, norm=p.norm, tap=pack).taps
        return activation_statistics(space, p, arch, taps, x.shape[0], x.dtype)
    if isinstance(p, GradientPass):
        return gradient_statistics(space, p, variables, arch, images, labels)
    if isinstance(p, SynflowPass):
        return _synflow(space, variables, arch, images[0, :1])
    return p.measure(space, variables, arch, images, labels, fixed=fixed) if isinstance(p, CustomPass) else {}


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
    saliency = jax.tree.map(lambda w, g: jnp.abs(w * g), weights, grads)
    sums = space.layer_sums(saliency)
    squares = space.layer_sums(jax.tree.map(jnp.square, saliency))
    return {
        "log_synflow": jnp.log(sums.sum()) + log_scale,
        "synflow": sums,
        "synflow_square": squares,
        "log_scale": log_scale,
    }


def to_host(stats: PyTree) -> PyTree:
    """Statistics as NumPy arrays, floats in float64."""
    return jax.tree.map(
        lambda a: np.asarray(a, np.float64) if np.asarray(a).dtype.kind == "f" else np.asarray(a), stats
    )
