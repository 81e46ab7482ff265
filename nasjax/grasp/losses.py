"""Ranking losses over a batch; pure functions of scores and targets.

Pairs whose targets differ by less than ``tie`` count for nothing, and neither do graphs of weight 0. A batch without a
pair has a loss of zero and finite gradients. Scores float [b], targets float [b] (higher is better), weights [b] of 0
and 1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nasjax.grasp.config import TrainConfig
from nasjax.grasp.model import Readings
from nasjax.types import Array

_GAIN = 5.0  # grades that LambdaRank gives the best target, as usual in retrieval (0..5)


def loss(readings: Readings, targets: Array, raw: Array, weights: Array, config: TrainConfig) -> Array:
    """The configured loss.

    Args:
      readings: of the network.
      targets: float [b], standardised.
      raw: float [b], as given.
      weights: float [b], 0 for graphs that are not there.
      config: names the loss and its options.

    Returns:
      scalar.
    """
    scores = readings.score
    if config.loss == "brp":
        return brp(readings.pair, raw * config.brp_scale, weights, tie=config.tie * config.brp_scale)
    if config.loss == "listmle":
        return listmle(scores, raw, weights, tie=config.tie)
    if config.loss in ("mse", "l1"):
        error = scores - targets
        size = error**2 if config.loss == "mse" else jnp.abs(error)
        return (weights * size).sum() / jnp.maximum(weights.sum(), 1)
    if config.loss == "hinge":
        return hinge(scores, raw, weights, margin=config.margin, tie=config.tie)
    if config.loss == "lambdarank":
        return lambdarank(scores, raw, weights, tie=config.tie)
    return bt(scores, raw, weights, tie=config.tie)


def bt(scores: Array, targets: Array, weights: Array, *, tie: float = 1e-6) -> Array:
    """Bradley-Terry: mean of softplus(-(s_i - s_j)) over pairs with y_i > y_j."""
    return _mean(jax.nn.softplus(-_gaps(scores)), _pairs(targets, weights, tie))


def hinge(scores: Array, targets: Array, weights: Array, *, margin: float = 0.1, tie: float = 1e-6) -> Array:
    """Mean of max(0, margin - (s_i - s_j)) over pairs with y_i > y_j (GATES)."""
    return _mean(jax.nn.relu(margin - _gaps(scores)), _pairs(targets, weights, tie))


def brp(pair: Array, targets: Array, weights: Array, *, tie: float = 1e-8) -> Array:
    """BRP-NAS: KL divergence of the pair head from softmax((y_i, y_j)), over all ordered pairs that are no ties.

    Args:
      pair: float [b, 2], see `Readings`.
      targets: float [b], accuracies as fractions.
      weights: float [b].
      tie: difference below which there is no pair.

    Returns:
      scalar.
    """
    logits = pair[:, None, 0] + pair[None, :, 1]
    gaps = _gaps(targets)
    wanted = jax.nn.sigmoid(gaps)  # softmax of two numbers
    entropy = wanted * jax.nn.log_sigmoid(gaps) + (1 - wanted) * jax.nn.log_sigmoid(-gaps)
    cross = wanted * jax.nn.log_sigmoid(logits) + (1 - wanted) * jax.nn.log_sigmoid(-logits)
    both = (jnp.abs(gaps) > tie) * weights[:, None] * weights[None, :]
    return _mean(entropy - cross, both)


def listmle(scores: Array, targets: Array, weights: Array, *, tie: float = 1e-6) -> Array:
    """ListMLE: minus the mean log likelihood of the order under Plackett-Luce.

    Tied targets share their denominator (all that are not better), so the loss does not depend on how a sort would
    break them. Where all are tied, it is the logarithm of their number at equal scores.
    """
    behind = (_gaps(targets) >= -tie) & (weights > 0)[None, :]  # row i: those that are not better
    behind |= jnp.eye(len(scores), dtype=bool)  # an empty row would have no gradient
    total = jax.nn.logsumexp(jnp.where(behind, scores[None, :], -jnp.inf), axis=1, where=behind)
    some = _pairs(targets, weights, tie).any()
    kept = jnp.where(weights > 0, total - scores, 0)
    return jnp.where(some, kept.sum() / jnp.maximum(weights.sum(), 1), 0.0)


def lambdarank(scores: Array, targets: Array, weights: Array, *, tie: float = 1e-6) -> Array:
    """LambdaRank: the logistic pair loss weighted by the change of NDCG when both would swap places.

    Gains are 2^(5 g) - 1 of targets scaled to 0..1 within the batch; discounts 1 / log2(1 + rank) are those of the
    present scores.
    """
    pairs = _pairs(targets, weights, tie)
    there = weights > 0
    low, high = jnp.where(there, targets, jnp.inf).min(), jnp.where(there, targets, -jnp.inf).max()
    gains = jnp.where(there, 2.0 ** (_GAIN * (targets - low) / jnp.maximum(high - low, tie)) - 1, 0)
    rank = 1 + ((_gaps(scores) < 0) & there[None, :]).sum(1)
    discounts = 1 / jnp.log2(1 + rank)
    ideal = (jnp.sort(gains)[::-1] / jnp.log2(2 + jnp.arange(len(gains)))).sum()
    change = jnp.abs(_gaps(gains) * _gaps(discounts)) / jnp.maximum(ideal, 1e-9)
    change = jax.lax.stop_gradient(jnp.where(pairs > 0, change, 0))
    total = (change * jax.nn.softplus(-_gaps(scores))).sum()
    return total / jnp.maximum(change.sum(), 1e-9)


def _gaps(values: Array) -> Array:
    """Differences v_i - v_j, [b, b]."""
    return values[:, None] - values[None, :]


def _pairs(targets: Array, weights: Array, tie: float) -> Array:
    """1 where i is better than j, float [b, b]."""
    return (_gaps(targets) > tie) * weights[:, None] * weights[None, :]


def _mean(values: Array, pairs: Array) -> Array:
    return (values * pairs).sum() / jnp.maximum(pairs.sum(), 1)
