"""Steps against formulas: optimisers, losses, measures, the moving average, many networks at once."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import get_space
from nasjax.data.augment import AugmentConfig
from nasjax.training import TrainConfig, eval_step, init_state, train_step
from nasjax.training.objectives import measured, similarity, summary, train_loss
from nasjax.training.optimizers import transformation
from nasjax.training.step import check_drop_path
from nasjax.types import InputError, Output, Variables

KEY = jax.random.key(5)
PLAIN = TrainConfig(epochs=2, batch_size=6, schedule="constant", learning_rate=0.1)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8), np.arange(6, dtype=np.int32) % 3


def test_sgd_with_momentum_decay_and_clipping(tiny, x64):
    config = TrainConfig(weight_decay=0.01, momentum=0.5, clip=1.0, nesterov=False)
    params = {"weights": {"a": jnp.array([1.0, -2.0])}, "scale": jnp.array([3.0])}
    gradient = {"weights": {"a": jnp.array([3.0, 0.0])}, "scale": jnp.array([4.0])}
    for nesterov in (False, True):
        for everything in (True, False):
            own = dataclasses.replace(config, nesterov=nesterov, decay_all=everything)
            rule = transformation(own, tiny)
            state, velocity = rule.init(params), np.zeros(3)
            for _ in range(3):
                direction, state = rule.update(gradient, state, params)
                decays = np.array([0.01, 0.01, 0.01 * everything])
                g = np.array([3.0, 0.0, 4.0]) / 5 + decays * np.array([1.0, -2.0, 3.0])
                velocity = 0.5 * velocity + g
                expected = g + 0.5 * velocity if nesterov else velocity
                np.testing.assert_allclose([*direction["weights"]["a"], *direction["scale"]], expected, rtol=1e-12)


def test_adamw(tiny, x64):
    config = TrainConfig(optimizer="adamw", weight_decay=0.1, decay_all=False)
    params = {"weights": jnp.array([2.0]), "shift": jnp.array([2.0])}
    rule = transformation(config, tiny)
    state, m, v = rule.init(params), 0.0, 0.0
    for t, g in enumerate((1.0, -3.0), 1):
        direction, state = rule.update({"weights": jnp.array([g]), "shift": jnp.array([g])}, state, params)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        adam = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose([direction["weights"][0], direction["shift"][0]], [adam + 0.2, adam], rtol=1e-7)


def test_a_step_follows_the_gradient(tiny, arch, batch, x64):
    images, labels = batch
    config = dataclasses.replace(PLAIN, weight_decay=0.0, momentum=0.0, average=0.75)
    state = init_state(KEY, tiny, arch, config, 4)
    step = jax.jit(functools.partial(train_step, space=tiny, config=config))
    after, measures = step(state, arch, images, labels, KEY)

    @jax.jit
    def loss(params):
        output = tiny.apply(Variables(params, state.stats), arch, jnp.asarray(images) / 255)
        return tiny.loss(output, labels), output.stats

    (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, gradient)
    same = functools.partial(jax.tree.map, functools.partial(np.testing.assert_allclose, rtol=1e-7, atol=1e-9))
    same(after.params, expected)
    same(after.stats, stats)
    same(after.average, jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, state.variables, Variables(expected, stats)))
    same(after.evaluated, after.average)
    assert int(after.step) == 1 and float(measures["learning_rate"]) == pytest.approx(0.1)
    np.testing.assert_allclose(measures["loss"], value)
    np.testing.assert_allclose(measures["sums"]["loss"] / 6, value)


def test_many_networks_at_once_are_each_by_itself(tiny, batch):
    config = dataclasses.replace(PLAIN, augment=AugmentConfig(flip=True, mixup=0.5), label_smoothing=0.1, drop_path=0.3)
    archs, keys = np.array([[1], [2]], np.int32), jax.random.split(KEY)

    def run(arch, key):
        def body(state, _):
            state, measures = train_step(state, arch, *batch, key, space=tiny, config=config)
            return state, measures["loss"]

        return jax.lax.scan(body, init_state(key, tiny, arch, config, 4), None, length=3)

    together = jax.jit(lambda archs, keys: jax.lax.map(lambda own: run(*own), (archs, keys)))(archs, keys)
    alone = [jax.jit(run)(archs[i], keys[i]) for i in range(2)]
    for i in range(2):
        for a, b in zip(jax.tree.leaves(alone[i]), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(a, b[i], rtol=1e-5, atol=1e-6)
    assert not np.allclose(together[1][0], together[1][1])
    assert (np.asarray(together[1])[:, 0] > 0).all()


def test_smoothing_and_auxiliary_head(tiny, x64):
    rng = np.random.default_rng(0)
    logits, extra = rng.normal(size=(2, 4, 3))
    targets = np.eye(3)[[0, 1, 2, 0]]

    def entropy(logits, targets):
        logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return -(targets * logp).sum(-1).mean()

    smooth = 0.9 * targets + 0.1 / 3
    found = train_loss(tiny, Output(jnp.asarray(logits), {}, {}), jnp.asarray(targets), smoothing=0.1, auxiliary=0.4)
    np.testing.assert_allclose(found, entropy(logits, smooth))
    output = Output(jnp.asarray(logits), {}, {"auxiliary": jnp.asarray(extra)})
    found = train_loss(tiny, output, jnp.asarray(targets), smoothing=0.1, auxiliary=0.4)
    np.testing.assert_allclose(found, entropy(logits, smooth) + 0.4 * entropy(extra, smooth))


def test_padding_does_not_count(tiny, arch, batch):
    images, labels = batch
    variables = tiny.init(KEY, arch)
    measure = jax.jit(functools.partial(eval_step, space=tiny, config=PLAIN))
    whole = measure(variables, arch, images[:4], labels[:4])
    padded = measure(variables, arch, images, labels, weights=np.array([1, 1, 1, 1, 0, 0], np.float32))
    for name in ("count", "loss", "accuracy"):
        np.testing.assert_allclose(whole[name], padded[name], rtol=1e-6)
    assert summary("class", whole).keys() == {"loss", "accuracy"}


def test_accuracies_count_ties_as_wrong():
    logits = jnp.array([[0.0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]])
    found = summary("class", measured("class", logits, jnp.array([0, 1, 0]), jnp.ones(3)))
    assert found["accuracy"] == pytest.approx(1 / 3) and found["top5"] == pytest.approx(2 / 3)


def test_a_network_that_diverged_is_never_right():
    logits = jnp.full((3, 6), jnp.nan).at[1, 2].set(1.0)
    found = measured("class", logits, jnp.array([0, 2, 0]), jnp.ones(3))
    assert not found["accuracy"] and not found["top5"] and np.isnan(found["loss"])


def test_measures_of_pixels_and_values(x64):
    truth = np.array([[[0, 0], [1, 1]], [[2, 2], [2, 2]]])
    said = np.array([[[0, 1], [1, 1]], [[0, 0], [0, 0]]])
    logits = jnp.asarray(np.eye(4)[said] * 9)
    found = summary("pixel classes", measured("pixel classes", logits, jnp.asarray(truth), jnp.array([1.0, 0.0])))
    # Classes 2 and 3 do not occur in the image that counts: 1/2 and 2/3.
    assert found["miou"] == pytest.approx((1 / 2 + 2 / 3) / 2) and found["accuracy"] == pytest.approx(0.75)
    values = measured("values", jnp.array([[1.0, 2.0], [9.0, 9.0]]), jnp.zeros((2, 2)), jnp.array([1.0, 0.0]))
    assert summary("values", values) == {"loss": 2.5}


def test_similarity(x64):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 2, 12, 12, 1))
    np.testing.assert_allclose(similarity(jnp.asarray(a), jnp.asarray(a)), 1.0)
    at = np.arange(11) - 5
    bell = np.exp(-((at / 1.5) ** 2) / 2)
    window = np.outer(bell, bell) / bell.sum() ** 2

    def of_window(x, y):
        mx, my = (window * x).sum(), (window * y).sum()
        vx, vy, c = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2, (window * x * y).sum() - mx * my
        c1, c2 = 0.02**2, 0.06**2
        return (2 * mx * my + c1) * (2 * c + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))

    def windows(images):
        return [images[i : i + 11, j : j + 11, 0] for i in range(2) for j in range(2)]

    expected = [np.mean([of_window(*both) for both in zip(windows(x), windows(y), strict=True)])
                for x, y in zip(a, b, strict=True)]  # fmt: skip
    np.testing.assert_allclose(similarity(jnp.asarray(a), jnp.asarray(b)), expected, rtol=1e-9)


def test_drop_path_needs_paths():
    space = get_space("nasbench201")
    with pytest.raises(InputError, match="nasbench201 has no paths"):
        check_drop_path(space, dataclasses.replace(PLAIN, drop_path=0.1))
    check_drop_path(space, PLAIN)
