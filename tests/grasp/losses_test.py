"""Ranking losses: by hand, ties, batches without a pair, and what lowers them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.grasp import TrainConfig, losses
from nasjax.grasp.config import LOSSES
from nasjax.grasp.model import Readings

S, Y = jnp.array([0.3, -0.2, 1.1, 0.5]), jnp.array([80.0, 91.0, 91.0, 60.0])
ONE = jnp.ones(4)


def value(name, scores, targets, weights=ONE):
    pair = jnp.stack([scores / 2, -scores / 2], 1) * 2
    standard = (targets - targets.mean()) / jnp.maximum(targets.std(), 1)
    readings = Readings(scores, pair, scores[:, None], scores[:, None])
    return losses.loss(readings, standard, targets, weights, TrainConfig(loss=name))


def pairs(targets):
    return [(i, j) for i, j in itertools.permutations(range(len(targets)), 2) if targets[i] > targets[j]]


def test_pairwise_losses_by_hand():
    found = pairs(Y)
    assert len(found) == 5  # the tie gives none
    bt = np.mean([np.log1p(np.exp(-(S[i] - S[j]))) for i, j in found])
    hinge = np.mean([max(0, 0.1 - (S[i] - S[j])) for i, j in found])
    np.testing.assert_allclose(value("bt", S, Y), bt, rtol=1e-5)
    np.testing.assert_allclose(value("hinge", S, Y), hinge, rtol=1e-5)


def test_brp_is_the_divergence_of_both_softmaxes():
    total = []
    for i, j in itertools.permutations(range(4), 2):
        if Y[i] == Y[j]:
            continue
        p = np.asarray(jax.nn.softmax(jnp.array([Y[i], Y[j]]) / 100))
        q = np.asarray(jax.nn.softmax(jnp.array([S[i] - S[j], 0.0])))
        total.append((p * np.log(p / q)).sum())
    np.testing.assert_allclose(value("brp", S, Y), np.mean(total), rtol=1e-4)


def test_listmle_by_hand_without_ties():
    y = jnp.array([3.0, 1.0, 4.0, 2.0])
    order = np.argsort(-np.asarray(y))
    wanted = np.mean([np.log(np.exp(np.asarray(S)[order[k:]]).sum()) - S[order[k]] for k in range(4)])
    np.testing.assert_allclose(value("listmle", S, y), wanted, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_no_pair_is_finite(name):
    for targets, weights in ((jnp.full(4, 50.0), ONE), (Y, jnp.array([1.0, 0, 0, 0])), (Y, jnp.zeros(4))):
        found, gradient = jax.value_and_grad(lambda s, t=targets, w=weights: value(name, s, t, w))(S)
        assert np.isfinite(found) and np.isfinite(gradient).all()
        if name not in ("mse", "l1"):
            assert float(found) == 0 and not gradient.any()


@pytest.mark.parametrize("name", LOSSES)
def test_ties_and_absent_graphs_do_not_count(name):
    order = jnp.array([2, 0, 3, 1])
    np.testing.assert_allclose(value(name, S[order], Y[order]), value(name, S, Y), rtol=1e-5)
    if name in ("mse", "l1"):
        return
    more = jnp.concatenate([S, jnp.array([9.0])]), jnp.concatenate([Y, jnp.array([10.0])])
    np.testing.assert_allclose(value(name, *more, jnp.array([1.0, 1, 1, 1, 0])), value(name, S, Y), rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_descent_orders_the_scores(name):
    targets, scores = jnp.array([55.0, 91.0, 72.0, 64.0]), jnp.array([0.1, -0.1, 0.0, 0.2])
    step = jax.jit(jax.grad(lambda s: value(name, s, targets)))
    for _ in range(200):
        scores = scores - 0.5 * step(scores)
    assert np.argsort(np.asarray(scores)).tolist() == [0, 3, 2, 1]
