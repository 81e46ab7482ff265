"""A predictor guides a search."""

import jax
import numpy as np
import pytest

import nasjax
from nasjax import grasp, search
from nasjax.types import InputError


@pytest.fixture(scope="module")
def space():
    return nasjax.get_space("nasbench201", drop_dead=True)


@pytest.fixture(scope="module")
def model(space):
    archs = np.asarray(space.sample(jax.random.key(0), 40))
    targets = np.log(np.asarray(space.num_params(archs), float))
    return grasp.fit(grasp.encode(space, archs), targets, members=2, layers=2, width=16, steps=60, learning_rate=1e-2,
                     engine="jit")  # fmt: skip


def test_evolution_follows_the_predictor(space, model):
    found = search.search(
        space, search.PredictorObjective(model), key=jax.random.key(1), algorithm="evolution", budget=120,
        population=30, parents=5, mutations=15, crossovers=15,
    )  # fmt: skip
    random = model.score(grasp.encode(space, np.asarray(space.sample(jax.random.key(2), 120))))
    assert found.score >= np.quantile(random, 0.95)
    np.testing.assert_allclose(model.score(grasp.encode(space, [found.encoding]))[0], found.score, rtol=1e-4)


def test_exploration_adds_the_uncertainty(space, model):
    archs = np.asarray(space.sample(jax.random.key(3), 9))
    plain, bold = (search.PredictorObjective(model, exploration=c) for c in (0.0, 2.0))
    expected = model.predict(grasp.encode(space, archs))
    np.testing.assert_allclose(plain.evaluate(space, archs).columns[:, 0], expected.score)
    np.testing.assert_allclose(bold.evaluate(space, archs).columns[:, 0], expected.score + 2 * expected.uncertainty)
    assert plain.describe() != bold.describe() and plain.feasible(space, archs).all()


def test_what_does_not_fit_is_refused(space, model):
    with pytest.raises(InputError, match="trained on 'nasbench201'; the search is in 'darts'"):
        search.PredictorObjective(model).check(nasjax.get_space("darts"))
    with pytest.raises(InputError, match="what nasjax.grasp.fit"):
        search.PredictorObjective("model")
    archs = np.asarray(space.sample(jax.random.key(4), 6))
    rated = grasp.encode(space, archs).with_proxies({"cost": np.arange(6.0)})
    reads = grasp.fit(rated, np.arange(6.0), proxies=("cost",), layers=1, width=4, steps=2, engine="jit")
    with pytest.raises(InputError, match="reads cost beside the graph"):
        search.PredictorObjective(reads)
