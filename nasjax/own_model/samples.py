"""Gradients of single images, reduced on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax

from nasjax import nn
from nasjax.types import Array

Single = Callable[[Sequence[Array], Sequence[Any], Array], Array]


def run_by_sample(
    single: Single, weights: Sequence[Array], rest: Sequence[Any], dummies: Sequence[Any], images: Array
) -> Array:
    """Runs images one by one; the backward fills readers of their weight gradients.

    Memory: the gradients of all images at once.

    Args:
      single: (weights, rest, image) -> logits [classes].
      weights: what is differentiated.
      rest: everything else, without gradient.
      dummies: zeros of a reader of `nasjax.nn.readers` for each weight.
      images: float [batch, height, width, channels].

    Returns:
      logits [batch, classes].
    """

    def forward(weights: Any, rest: Any, images: Array) -> Array:
        return jax.vmap(lambda x: single(weights, rest, x))(images)

    @jax.custom_vjp
    def run(weights: Any, rest: Any, dummies: Any, images: Array) -> Array:
        del dummies
        return forward(weights, rest, images)

    def run_fwd(weights: Any, rest: Any, dummies: Any, images: Array) -> Any:
        return forward(weights, rest, images), (weights, rest, dummies, images)

    def run_bwd(saved: Any, dlogits: Array) -> Any:
        weights, rest, dummies, images = saved

        def one(pair: tuple[Array, Array]) -> Any:
            return jax.vjp(lambda w: single(w, rest, pair[0]), weights)[1](pair[1])[0]

        gradients = lax.map(one, (images, dlogits))
        # The loss is a mean over the batch: times its size, a summand is the gradient of one image.
        exact = [g.astype(jax.tree.leaves(d)[0].dtype) for d, g in zip(dummies, gradients, strict=True)]
        readings = [type(d).of_samples(g * images.shape[0]) for d, g in zip(dummies, exact, strict=True)]
        return [g.sum(0) for g in gradients], None, readings, None

    run.defvjp(run_fwd, run_bwd)
    return run(list(weights), list(rest), list(dummies), images)


def reads_samples(dummies: Sequence[Any] | None) -> bool:
    """Whether dummies are readers of single images' gradients."""
    return dummies is not None and nn.split_readers(dummies)[0] is not None
