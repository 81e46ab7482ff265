"""Training, scores, uncertainty, saving, and bad input; one small program serves most tests."""

import dataclasses

import jax
import numpy as np
import pytest

import nasjax
from nasjax import grasp
from nasjax.grasp import predictor as module
from nasjax.grasp import storage
from nasjax.grasp.features import fit_scaling, inputs
from nasjax.grasp.train import network
from nasjax.types import InputError

SMALL = {"layers": 2, "width": 16, "steps": 60, "learning_rate": 1e-2, "engine": "jit"}


@pytest.fixture(scope="module")
def data():
    """Cells, and a target that their graphs decide."""
    space = nasjax.get_space("nasbench201", drop_dead=True)
    archs = np.asarray(space.sample(jax.random.key(5), 48))
    costs = np.log(np.asarray(space.num_params(archs), float))
    return grasp.encode(space, archs).with_proxies({"cost": costs}), costs


@pytest.fixture(scope="module")
def two(data):
    """Two members on half of the cells."""
    graphs, targets = data
    return grasp.fit(graphs[:24], targets[:24], members=2, **SMALL)


def test_it_learns_to_rank(data, two):
    graphs, targets = data
    assert grasp.evaluate(two.score(graphs[24:]), targets[24:], ks=(5,)).kendall > 0.6
    assert two.score(graphs).dtype == np.float64 and two.history.shape == (2, 1)
    order = two.rank(graphs)
    assert (np.diff(two.score(graphs)[order]) <= 0).all() and sorted(order) == list(range(48))


def test_members_differ_and_their_spread_is_the_uncertainty(data, two):
    found = two.predict(data[0])
    assert found.members.shape == (2, 48) and found.uncertainty.max() > 0.01
    np.testing.assert_allclose(found.score, found.members.mean(0))
    np.testing.assert_allclose(found.uncertainty, found.members.std(0))
    trained = two.predict(data[0][:24]).members
    np.testing.assert_allclose(trained.mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(trained.std(1), 1, atol=1e-3)


def test_a_seed_gives_the_same_scores_alone_and_among_others(data, two):
    graphs, targets = data
    rows = np.stack([np.arange(24), np.arange(24, 48)])
    many = grasp.fit_many(graphs, rows, targets[rows], seeds=(0, 7), members=2, **SMALL)
    np.testing.assert_allclose(many[0].score(graphs), two.score(graphs), rtol=1e-3, atol=1e-3)
    again = grasp.fit(graphs[:24], targets[:24], members=2, **SMALL)
    np.testing.assert_array_equal(again.score(graphs), two.score(graphs))
    assert np.abs(many[1].score(graphs) - many[0].score(graphs)).max() > 0.1


def test_devices_share_the_networks(data, two):
    graphs, targets = data
    spread = grasp.fit(graphs[:24], targets[:24], members=2, **{**SMALL, "engine": "pmap", "devices": 2})
    np.testing.assert_allclose(spread.score(graphs), two.score(graphs), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(two.score(graphs, engine="pmap", chunk=8), two.score(graphs), rtol=1e-5, atol=1e-5)


def test_saved_and_loaded(data, two, tmp_path):
    two.save(tmp_path / "p")
    found = grasp.load(tmp_path / "p", config=two.config)
    np.testing.assert_array_equal(found.score(data[0]), two.score(data[0]))
    assert found.config == two.config and found.vocabulary == two.vocabulary
    with pytest.raises(InputError, match=r"another configuration \(loss: there 'bt', now 'hinge'\)"):
        grasp.load(tmp_path / "p", config=two.config.with_options(loss="hinge"))
    other = dataclasses.replace(two, config=two.config.with_options(width=8))
    with pytest.raises(InputError, match="width: there 16, now 8"):
        other.save(tmp_path / "p")
    with pytest.raises(InputError, match="there is no predictor"):
        grasp.load(tmp_path / "absent")
    with pytest.raises(InputError, match="is the directory of a run; do: name .*predictor"):
        (tmp_path / "run" / "predictor").mkdir(parents=True)
        grasp.load(tmp_path / "run")
    storage.check_free(tmp_path / "p", two.config)
    storage.check_free(tmp_path / "absent", two.config)
    with pytest.raises(InputError, match="width: there 16, now 8"):
        storage.check_free(tmp_path / "p", other.config)
    assert found.encoding == (("drop_dead", True), ("skip", "node"))
    with pytest.raises(InputError, match="skip='contract' beside drop_dead=True, skip='node'"):
        found.score(dataclasses.replace(data[0], encoding=(("drop_dead", True), ("skip", "contract"))))
    fewer = dataclasses.replace(data[0][:2], vocabulary=(*data[0].vocabulary, "unused"))
    np.testing.assert_array_equal(found.score(fewer), found.score(data[0][:2]))


def test_validation_keeps_the_best_step_and_trains_on_the_rest(data):
    graphs, targets = data
    found = grasp.fit(graphs[:24], targets[:24], validation=0.25, checks=6, **SMALL)
    assert found.history.shape == (1, 6) and found.steps[0] in range(10, 61, 10)
    held = module._held_out(24, 24, found.config, 0)
    assert held.sum() == 6
    few = found.config.with_options(validation=0.1)
    assert module._held_out(4, 4, few, 0).sum() == 2  # never none: all steps would tie, and the first be kept
    moved = np.where(held > 0, targets[:24] + 1000 * np.arange(24), targets[:24])  # held-out labels teach nothing
    again = grasp.fit(graphs[:24], moved, validation=0.25, checks=6, **SMALL)
    np.testing.assert_allclose(found.history, again.history, rtol=1e-5)


def test_pretraining_teaches_proxies_and_carries_over(data):
    graphs, targets = data
    options = {**SMALL, "steps": 1, "learning_rate": 1e-9, "pretrain": ("cost",), "pretrain_steps": 80,
               "pretrain_rate": 1e-2}  # fmt: skip
    engine = options.pop("engine")
    config = grasp.PredictorConfig().with_options(**options)
    taught = module.pretrain(graphs, seeds=(0,), config=config, engine=engine)
    made = inputs(graphs, config.features, config.model, fit_scaling(graphs, ()))
    found = network(config).apply({"params": jax.tree.map(lambda x: x[0], taught)}, made).auxiliary[:, 0]
    assert grasp.evaluate(found, graphs.proxies["cost"], ks=(5,)).kendall > 0.7
    model = grasp.fit(graphs[:6], targets[:6], unlabelled=graphs[6:], engine=engine, config=config)
    for name in ("layer_0", "norm_1", "auxiliary"):  # no target was read so far, and almost none since
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), model.params[name], taught[name])
    with pytest.raises(InputError, match="without proxies"):
        grasp.TrainConfig(pretrain_steps=5)


def test_regression_predicts_in_the_unit_of_the_targets(data):
    graphs, targets = data
    found = grasp.fit(graphs, 1000 + 5 * targets, loss="mse", **SMALL)
    assert np.abs(found.score(graphs) - 1000 - 5 * targets).mean() < 5 * targets.std()


def test_bad_input_is_refused(data, two):
    graphs, targets = data
    gap = np.where(np.arange(5) == 2, np.nan, targets[:5])
    for bad, message in (
        ((graphs[:3], targets[:3]), "3 training graphs; allowed: 4 or more"),
        ((graphs[:5], gap), r"1 of 5 targets are NaN or infinite \(first: row 2"),
        ((graphs[:5], np.full(5, 3.0)), "all 5 targets equal 3"),
        ((graphs[:5], 1 + 1e-9 * np.arange(5)), "the 5 targets differ by 4e-09, which counts as a tie"),
        ((graphs[:5], targets[:6]), r"targets of shape \[6\] for 5 graphs"),
        ((graphs[:5], list("abcde")), "no numbers"),
        (("cells", targets[:5]), "encode the architectures first"),
    ):
        with pytest.raises(InputError, match=message):
            grasp.fit(*bad, **SMALL)
    with pytest.raises(InputError, match=r"no option 'los'; .*did you mean loss"):
        grasp.fit(graphs[:5], targets[:5], los="bt")
    with pytest.raises(InputError, match="loss='bp'; allowed: bt"):
        grasp.fit(graphs[:5], targets[:5], loss="bp")
    other = dataclasses.replace(graphs, space="nasbench101")
    with pytest.raises(InputError, match="graphs of two spaces"):
        two.score(other)
    with pytest.raises(InputError, match="graphs of two spaces"):
        grasp.fit([graphs[:4], other[:4]], targets[:8])
    with pytest.raises(InputError, match="init is a predictor of another network"):
        grasp.fit(graphs[:24], targets[:24], init=two, **SMALL)


def test_options_go_there_and_back():
    config = grasp.PredictorConfig().with_options(loss="hinge", direction="bi", proxies=("nwot",), members=3)
    assert grasp.PredictorConfig.of(config.describe()) == config and hash(config) == hash(config)
    assert grasp.preset("published") == grasp.PredictorConfig() and grasp.preset("strong").train.loss == "listmle"
    with pytest.raises(InputError, match="preset='strongest'; allowed: published, strong"):
        grasp.preset("strongest")
    assert config.train.margin == 0.1 and config.model.direction == "bi" and config.features.proxies == ("nwot",)
    for wrong in ({"direction": "both"}, {"layers": 0}, {"dropout": 1.0}, {"degrees": 1}, {"members": 0}, {"batch": 1}):
        with pytest.raises(InputError, match="allowed"):
            grasp.PredictorConfig().with_options(**wrong)
