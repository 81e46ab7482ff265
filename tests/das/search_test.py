"""The search: its steps, its choices, resume, and what it refuses."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from nasjax import das
from nasjax.checkpoint import Checkpoints
from nasjax.das import group, search_steps, selection
from nasjax.types import InputError

SIZE, CLASSES = 8, 2


class Tiny(nn.Module):
    """A convolution over frames, batch norm, and the mean of the frames' logits."""

    dropout: float = 0.5
    norm: bool = True

    @nn.compact
    def __call__(self, video, train=False):
        b, t = video.shape[:2]
        x = nn.Conv(4, (3, 3), 2)(video.reshape(b * t, *video.shape[2:]))
        x = jax.nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x) if self.norm else x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x.mean((1, 2)))
        return nn.Dense(CLASSES)(x).reshape(b, t, -1).mean(1)


CELL = das.DASConfig(num_frames=3, num_nodes=2, ops=("identity", "translate_x", "translate_y"))
ONE_EDGE = das.preset("single_edge", num_frames=2, ops=("identity", "translate_x", "translate_y"))
CONFIG = das.SearchConfig(epochs=2, batch_size=8, interval=1, weight_lr=0.1, alpha_lr=0.05)
NETWORK = das.linen_network(Tiny(), name="tiny")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(32, SIZE, SIZE, 1)), rng.integers(0, CLASSES, 32)
    images[labels == 1, :4] += 1.5
    return das.split_halves(jax.random.key(0), images, labels, num_classes=CLASSES)


@pytest.fixture(scope="module")
def program():
    return search_steps.make_program(NETWORK, CELL, CONFIG)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A search that nothing interrupts, and its states."""
    states, seen, made = tmp_path_factory.mktemp("whole"), [], []
    module = importlib.import_module("nasjax.das.search")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_group", lambda *args: made.append(group.make_group(*args)) or made[-1])
        result = das.search(CELL, data, NETWORK, key=jax.random.key(7), config=CONFIG, checkpoints=states,
                            progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    return result, states, seen, made[0]


def test_full_schedule():
    cell, config = das.DASConfig(), das.SearchConfig()
    assert selection.num_events(cell, config) == 17  # 14 edges and the three nodes with more than two inputs
    assert selection.total_epochs(cell, config) - config.epochs == 81
    assert [selection.event_of(e, config) for e in (49, 50, 51, 55, 130)] == [None, 0, None, 1, 16]
    single = das.preset("single_edge")
    assert selection.total_epochs(single, config) == 51
    assert selection.total_epochs(cell, dataclasses.replace(config, select="argmax")) == 50
    key = jax.random.key(0)
    subjects = [selection.subject(key, i, cell) for i in range(17)]
    assert sorted(e for e, _ in subjects[:14]) == list(range(14)) and {n for _, n in subjects[14:]} == {1, 2, 3}


def test_learning_rates_fall_as_a_cosine():
    config = das.SearchConfig()
    assert config.rate(0, 131) == pytest.approx(0.025) and config.rate(25, 131) == pytest.approx(0.013)
    assert config.rate(49, 131) < 0.0011 and config.rate(50, 131) == pytest.approx(0.0025)
    assert config.rate(130, 131) < 0.0011


def test_optimisers_are_those_of_the_code():
    """SGD: clip, then decay, then momentum, without Nesterov; Adam with the decay in its gradient."""
    config = das.SearchConfig()
    rule, w, g = search_steps.weight_optimizer(config), np.float32([3, -4]), np.float32([30, 40])
    state = rule.init(w)
    first, state = rule.update(g, state, w)
    own = g / 10 + 3e-4 * w  # the norm of 50 is cut to 5
    np.testing.assert_allclose(first, own, rtol=1e-6)
    second, _ = rule.update(np.zeros(2, np.float32), state, w)
    np.testing.assert_allclose(second, 0.9 * own + 3e-4 * w, rtol=1e-5)
    alpha, adam, a = search_steps.alpha_optimizer(config), optax.adam(3e-4, 0.5, 0.999), np.float32([5])
    state, other = alpha.init(a), adam.init(a)
    for g in (0.2, -0.3):
        change, state = alpha.update(np.float32([g]), state, a)
        wanted, other = adam.update(np.float32([g + 1e-3 * 5]), other)
    np.testing.assert_allclose(change, wanted, rtol=1e-5)


def test_mixing_weights():
    alpha = jnp.log(jnp.array([[1.0, 3.0], [1.0, 1.0], [2.0, 2.0]]))
    weights = search_steps.mixing_weights(alpha, jnp.array([-1, 1, 0]), jnp.array([True, True, False]))
    np.testing.assert_allclose(weights, [[0.25, 0.75], [0, 1], [0, 0]])


def test_a_step_moves_alpha_on_its_own_half(program, data):
    state = program.init(jax.random.key(0), (SIZE, SIZE, 1), None)
    valid, step = (data.valid_images[:8], data.valid_labels[:8]), jax.jit(program.step)

    def go(images):
        return step(state, (images[:8], data.train_labels[:8]), valid, jnp.float32(0.1), jax.random.key(1))[0]

    new = go(data.train_images)
    assert np.abs(new.arch["alpha"] - state.arch["alpha"]).max() > 1e-3
    other = go(-data.train_images)
    np.testing.assert_array_equal(new.arch["alpha"], other.arch["alpha"])  # first order: the weights' half is not seen
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (new.params, other.params)), strict=True))


def test_second_order_by_difference_is_nearly_exact(data, x64, monkeypatch):
    monkeypatch.setattr(search_steps, "_EPSILON", 1e-5)  # the usual 0.01 crosses kinks of so small a network
    cell = das.preset("single_edge", num_frames=2, ops=("identity", "translate_x"))
    still = das.linen_network(Tiny(dropout=0.0), name="still")
    halves = [(jnp.asarray(x[:8], jnp.float64), jnp.asarray(y[:8]))
              for x, y in ((data.train_images, data.train_labels), (data.valid_images, data.valid_labels))]  # fmt: skip
    found = {}
    for order in ("first", "exact", "finite_difference"):
        config = dataclasses.replace(CONFIG, order=order)
        own = search_steps.make_program(still, cell, config)
        state = own.init(jax.random.key(0), (SIZE, SIZE, 1), None)
        state = jax.tree.map(lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, state)
        new, _ = jax.jit(own.step)(state, *halves, jnp.float64(0.5), jax.random.key(1))
        # Adam's first moment after one step is half of the gradient.
        found[order] = np.asarray(jax.tree.leaves(new.arch_opt)[1]) * 2
    exact = found["exact"]
    assert np.abs(exact - found["first"]).max() > 0.02 * np.abs(exact).max()
    np.testing.assert_allclose(found["finite_difference"], exact, rtol=0.05)


def test_candidates_take_away_one_thing_each():
    weights = np.full((14, 5), 0.2)
    cell, kept = das.DASConfig(), np.ones(14, bool)
    rows, missing = selection.candidates(weights, kept, 3, -1, cell)
    assert missing.tolist() == [0, 1, 2, 3, 4]
    for k in range(5):
        assert rows[k, 3, k] == 0 and rows[k].sum() == pytest.approx(weights.sum() - 0.2)  # not renormalised
    kept[9] = False
    rows, missing = selection.candidates(weights, kept, -1, 3, cell)
    assert missing.tolist() == [10, 11, 12, 13, -1] and rows[1, 11].sum() == 0 and rows[1, 12].sum() > 0


def test_what_is_missed():
    accuracy, loss = np.array([0.5, 0.3, 0.3, 0.9]), np.array([1.0, 2.0, 3.0, 9.0])
    missing = np.array([4, 7, 2, -1])
    assert selection.most_missed(accuracy, loss, missing, "accuracy") == 2
    assert selection.least_missed(accuracy, loss, missing, "accuracy") == 4
    assert selection.most_missed(accuracy[::-1], loss, missing, "loss") == 2
    assert selection.most_missed(accuracy, np.array([1, np.nan, 3, 9]), missing, "loss") == 7


def test_argmax_and_entropy():
    cell = das.DASConfig()
    alpha = np.zeros((14, 5))
    alpha[[2, 4, 5, 8, 9, 13], [1, 2, 3, 4, 1, 2]] = [1, 2, 1, 3, 1, 2]
    chosen, kept = selection.by_argmax(alpha, cell)
    assert chosen[8] == 4 and kept.sum() == 8 and kept[[0, 1, 2, 4, 5, 8, 9, 13]].all()
    np.testing.assert_allclose(selection.entropy(np.zeros((2, 5))), 1)
    assert selection.entropy(np.array([99.0, 0, 0])) == pytest.approx(0, abs=1e-6)


def test_search(whole):
    result, states, seen, programs = whole
    assert programs._step._run._cache_size() == programs._evaluate._cache_size() == 1  # compiled once, not by phase
    total = 2 + 6  # five edges and node 1, an epoch each
    assert seen == [(i, total) for i in range(total + 1)]
    assert len(result.genotype.genes) == 4 and result.alphas.shape == (total + 1, 5, 3)
    assert [e.edge >= 0 for e in result.events] == [True] * 5 + [False]
    for event in result.events[:5]:
        assert event.accuracy[event.chosen] == min(event.accuracy)
        node, source = CELL.edges[event.edge]
        gene = [g for g in result.genotype.genes if (g.node, g.source) == (node, source)]
        assert not gene or gene[0].op == CELL.names[event.chosen]
    table = result.table()
    assert list(table["epoch"]) == list(range(total)) and (table["entropy"] <= 1).all()
    assert table["train_loss"].iloc[-1] < table["train_loss"].iloc[0]
    assert np.isfinite(result.alphas).all() and (states / str(total)).exists()


def test_stopped_search_goes_on_with_the_same_outcome(whole, data, tmp_path):
    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        das.search(CELL, data, NETWORK, key=jax.random.key(7), config=CONFIG, checkpoints=tmp_path, progress=stop)
    seen = []
    result = das.search(CELL, data, NETWORK, key=jax.random.key(7), config=CONFIG, checkpoints=tmp_path,
                        progress=lambda done, total: seen.append(done))  # fmt: skip
    assert seen[0] == 4
    assert result.genotype == whole[0].genotype and result.events == whole[0].events
    np.testing.assert_array_equal(result.alphas, whole[0].alphas)
    for a, b in zip(*map(jax.tree.leaves, (result.params, whole[0].params)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_configuration_is_not_resumed(whole, data):
    other = dataclasses.replace(CONFIG, alpha_lr=0.1)
    with pytest.raises(InputError, match="alpha_lr: there 0.05, now 0.1"):
        das.search(CELL, data, NETWORK, key=jax.random.key(7), config=other, checkpoints=whole[1])
    with pytest.raises(InputError, match="keys"):
        das.search(CELL, data, NETWORK, key=jax.random.key(8), config=CONFIG, checkpoints=whole[1])


def test_nan_stops_at_the_last_good_state(data, tmp_path):
    def init(key, video):
        params, stats = NETWORK.init(key, video)
        return params, (stats, jnp.zeros(()))

    def apply(params, stats, video, mode, key):
        logits, own = NETWORK.apply(params, stats[0], video, mode, key)
        return logits * jnp.where(stats[1] >= 3, jnp.nan, 1), (own, stats[1] + 1)  # in the second epoch of two steps

    bad, config = das.Network(init, apply, "bad"), dataclasses.replace(CONFIG, select="argmax", epochs=3)
    with pytest.raises(das.SearchDivergedError, match="alpha and .* in epoch 1") as raised:
        das.search(ONE_EDGE, data, bad, key=jax.random.key(7), config=config, checkpoints=tmp_path)
    assert raised.value.epoch == 1 and "after epoch 0" in str(raised.value) and str(tmp_path) in str(raised.value)
    with Checkpoints(tmp_path) as store:
        assert store.steps() == [1]
        like = search_steps.make_program(bad, ONE_EDGE, config).init(jax.random.key(0), (SIZE, SIZE, 1), None)
        state, alphas = store.restore((like, 0)).arrays
    assert np.isfinite(state.arch["alpha"]).all() and np.isfinite(alphas[:2]).all()


def test_seeds_together_are_those_apart(data):
    keys = jnp.stack([jax.random.key(7), jax.random.key(8)])
    config = dataclasses.replace(CONFIG, epochs=1, select="argmax")
    pair = das.search_seeds(ONE_EDGE, data, NETWORK, keys=keys, config=config, together=2)
    for key, result in zip(keys, pair, strict=True):
        one = das.search(ONE_EDGE, data, NETWORK, key=key, config=config)
        np.testing.assert_allclose(result.alphas, one.alphas, atol=2e-3)
    assert np.abs(pair[0].alphas - pair[1].alphas).max() > 1e-2


def test_devices_share_a_batch(data):
    config = dataclasses.replace(CONFIG, epochs=1, select="argmax")
    still = das.linen_network(Tiny(dropout=0.0, norm=False), name="still")  # batch norm is by device
    one, two = (das.search(ONE_EDGE, data, still, key=jax.random.key(7), config=config, devices=n) for n in (1, 2))
    assert np.abs(one.alphas[-1] - one.alphas[0]).max() > 1e-2
    np.testing.assert_allclose(two.alphas, one.alphas, atol=1e-4)
    with pytest.raises(InputError, match="multiples of 3"):
        das.search(CELL, data, NETWORK, key=jax.random.key(7), config=config, devices=3)


def test_learned_magnitudes_move(data):
    cell = dataclasses.replace(ONE_EDGE, magnitude="learned")
    config = dataclasses.replace(CONFIG, epochs=1, select="argmax")
    start = das.sample_magnitudes(jax.random.key(0), cell)
    result = das.search(cell, data, NETWORK, key=jax.random.key(7), config=config, magnitudes=start)
    assert np.abs(result.magnitudes[:, 1:] - start[:, 1:]).max() > 1e-3
    assert (np.abs(result.magnitudes) <= 0.12).all()


@pytest.mark.parametrize(
    "change", [{"epochs": -1}, {"batch_size": 0}, {"interval": 0}, {"order": "third"}, {"select": "best"},
               {"alpha_lr": float("nan")}, {"weight_lr": -1.0}, {"momentum": 1.5}, {"alpha_betas": (0.5, 1.0)},
               {"clip": 0.0}])  # fmt: skip
def test_bad_settings_are_refused(change):
    with pytest.raises(InputError, match="allowed"):
        das.SearchConfig(**change)


def test_bad_data_are_refused(data):
    images, labels = data.train_images, data.train_labels
    for arrays, message in (
        ((images, labels + 2), "allowed: 0 to 1"), ((images[0], labels), "train_images"),
        ((images, labels[:3]), "class"),
        ((np.full_like(images, np.nan), labels), "NaN"), ((images.astype(int), labels), "floats"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            das.SearchData(*arrays, *arrays, CLASSES)
    with pytest.raises(InputError, match="batch_size=64"):
        das.search(CELL, data, NETWORK, key=jax.random.key(0))
    with pytest.raises(InputError, match="train_portion"):
        das.split_halves(jax.random.key(0), images, labels, train_portion=1.0)
    with pytest.raises(InputError, match="whole number"):
        das.split_halves(jax.random.key(0), images, labels / 2)
    with pytest.raises(InputError, match="nothing to find"):
        das.search(das.DASConfig(num_frames=1), data, NETWORK, key=jax.random.key(0), config=CONFIG)
    with pytest.raises(InputError, match="of zoom, which is a factor"):
        das.search(das.preset("single_edge", ops=("zoom",)), data, NETWORK, key=jax.random.key(0), config=CONFIG,
                   magnitudes=[[-1.0]])  # fmt: skip
    with pytest.raises(InputError, match="magnitudes"):
        das.search(CELL, data, NETWORK, key=jax.random.key(0), config=CONFIG, magnitudes=np.ones((2, 3)))
