"""The evolution strategy: its gradient, and any optax transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nasjax
from nasjax.search import search
from nasjax.search.base import History
from nasjax.search.strategies import EsConfig, es

SPACE = nasjax.get_space("nasbench201")


def history(archs, scores, proposed=None):
    archs = np.asarray(archs, np.int32)
    count = len(archs)
    proposed = np.ones(count, bool) if proposed is None else np.asarray(proposed)
    return History(archs, np.asarray(scores, np.float32), np.zeros((count, 0), np.float32),
                   np.zeros(count, np.int32), proposed, np.int32(count))  # fmt: skip


def test_gradient_is_that_of_the_formula():
    """One step of gradient descent, against the score function written out with NumPy."""
    rate, floor = 0.5, 0.1
    algorithm = es(SPACE, EsConfig(batch=4, optimizer=optax.sgd(rate), floor=floor))
    state = algorithm.init(jax.random.key(0))
    logits = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    archs = np.array([[0, 1, 2, 3, 4, 0], [1, 1, 2, 3, 0, 0], [4, 4, 4, 4, 4, 4], [0, 0, 1, 1, 2, 2]])
    scores = [3.0, 1.0, -np.inf, 3.0]
    seen = history(archs, scores, [True, True, True, False])
    after = algorithm.tell(state._replace(logits=jnp.asarray(logits)), seen)
    utilities = np.array([0.5, 0.0, -0.5])  # the last one was drawn at random
    soft = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p = (1 - floor) * soft + floor / 5
    wanted = np.zeros((6, 5))
    for u, arch in zip(utilities, archs, strict=False):
        for g, k in enumerate(arch):
            # d log p_k / d logit_j = (1 - floor) soft_k (1[j = k] - soft_j) / p_k
            wanted[g] += u * (1 - floor) * soft[g, k] * ((np.arange(5) == k) - soft[g]) / p[g, k]
    np.testing.assert_allclose(after.logits, logits + rate * wanted / 3, rtol=1e-4, atol=1e-5)


def test_equal_scores_move_nothing():
    algorithm = es(SPACE, EsConfig(batch=4, optimizer="sgd"))
    state = algorithm.init(jax.random.key(0))
    archs = np.asarray(SPACE.sample(jax.random.key(1), 4))
    after = algorithm.tell(state, history(archs, [2.0] * 4))
    np.testing.assert_allclose(after.logits, state.logits, atol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("sgd", 15.0), ("rmsprop", 0.3), (optax.chain(optax.clip(1.0), optax.adam(0.3)), 0.0)]
)
def test_any_optax_transformation(optimizer, rate):
    found = search(SPACE, lambda archs: (archs == 3).sum(1), key=jax.random.key(0), algorithm="es", budget=150,
                   batch=25, optimizer=optimizer, learning_rate=rate)  # fmt: skip
    first, last = found.scores[:30], found.scores[-30:]
    assert last[last > -np.inf].mean() > first[first > -np.inf].mean() + 0.5


@pytest.mark.parametrize("name", ["autoformer_tiny", "darts", "nasbench101", "transnas_macro"])
def test_spaces_of_other_shapes(name):
    """Proposals are architectures of the space, and the strategy learns."""
    space = nasjax.get_space(name)
    found = search(space, lambda archs: -space.num_params(archs), key=jax.random.key(0), algorithm="es", budget=60,
                   batch=20, learning_rate=0.5)  # fmt: skip
    assert len(found.scores) == 60
    np.testing.assert_array_equal(space.decode(found.archs), found.archs)
    own = found.scores[found.proposed]
    assert own[-15:].mean() > own[:15].mean()
