"""Options, presets and schedules."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.data.augment import AugmentConfig
from nasjax.training import TrainConfig, preset, presets
from nasjax.training.schedules import drop_path_rate, learning_rate
from nasjax.types import InputError


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 2.0}, "batch_size=2.0"),
        ({"optimizer": "adam"}, "optimizer='adam'; allowed: sgd, adamw"),
        ({"schedule": "linear"}, "cosine"),
        ({"rhythm": "image"}, "step, epoch"),
        ({"norm_over": "host"}, "all, device"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"learning_rate_batch": 0}, "learning_rate_batch=0"),
        ({"momentum": 1.0}, "below 1"),
        ({"clip": 0.0}, "clip=0.0"),
        ({"average": 1.0}, "average=1.0"),
        ({"learning_rate": float("inf")}, "learning_rate=inf"),
        ({"milestones": (0,)}, "a milestone=0"),
        ({"milestones": 0}, "a milestone=0"),
        ({"nesterov": 1}, "nesterov=1"),
        ({"warmup_epochs": 12}, "warmup_epochs=12 with epochs=12"),
        ({"augment": None}, "an AugmentConfig"),
    ],
)
def test_wrong_values_are_named(wrong, named):
    with pytest.raises(InputError) as error:
        TrainConfig(**wrong)
    assert named in str(error.value)


def test_options_can_be_hashed_and_written():
    config = TrainConfig(milestones=[2, 3], augment=AugmentConfig(flip=True))
    assert hash(config) == hash(dataclasses.replace(config)) and config.milestones == (2, 3)
    described = json.loads(json.dumps(config.describe()))
    assert described["augment"]["flip"] and described["milestones"] == [2, 3]


def test_presets_are_the_published_settings():
    short, long = preset("nasbench201_12"), preset("nasbench201_200")
    assert (short.epochs, long.epochs) == (12, 200) and dataclasses.replace(long, epochs=12) == short
    assert (short.learning_rate, short.weight_decay, short.batch_size, short.nesterov) == (0.1, 5e-4, 256, True)
    assert short.augment == AugmentConfig(crop_padding=4, flip=True)
    cifar, imagenet = preset("darts_cifar"), preset("darts_imagenet")
    assert (cifar.epochs, cifar.learning_rate, cifar.weight_decay, cifar.clip, cifar.batch_size) == (
        600, 0.025, 3e-4, 5.0, 96,
    )  # fmt: skip
    assert (cifar.drop_path, cifar.drop_path_grows, cifar.auxiliary, cifar.augment.cutout) == (0.2, True, 0.4, 16)
    assert (imagenet.epochs, imagenet.schedule, imagenet.decay, imagenet.label_smoothing) == (
        250, "exponential", 0.97, 0.1,
    )  # fmt: skip
    former = preset("autoformer")
    assert (former.optimizer, former.peak(), former.weight_decay, former.decay_all) == ("adamw", 1e-3, 0.05, False)
    mixed = former.augment
    assert (mixed.mixup, mixed.cutmix, mixed.random_erasing, mixed.randaugment[:2]) == (0.8, 1.0, 0.25, (2, 9))
    assert preset("autoformer", batch_size=512).peak() == 5e-4
    assert set(presets.names()) >= {"nasbench201_12", "nasbench201_200", "darts_cifar", "darts_imagenet", "autoformer"}


def test_unknown_presets_and_options_are_answered_by_the_nearest():
    with pytest.raises(InputError, match="did you mean 'nasbench201_12'"):
        preset("nasbench201_21")
    with pytest.raises(InputError, match="did you mean 'batch_size'"):
        preset("autoformer", batchsize=3)


def test_learning_rates():
    cosine = TrainConfig(epochs=10, learning_rate=2.0, final_learning_rate=0.5)
    rates = [float(learning_rate(cosine, step, 4)) for step in (0, 20, 40)]
    np.testing.assert_allclose(rates, [2.0, 1.25, 0.5], rtol=1e-6)
    by_epoch = dataclasses.replace(cosine, rhythm="epoch")
    assert float(learning_rate(by_epoch, 23, 4)) == float(learning_rate(by_epoch, 20, 4)) == pytest.approx(1.25)
    decayed = TrainConfig(schedule="exponential", rhythm="epoch", decay=0.5)
    assert float(learning_rate(decayed, 11, 4)) == pytest.approx(0.1 * 0.25)
    steps = TrainConfig(schedule="steps", milestones=(1, 2), decay=0.1)
    np.testing.assert_allclose([learning_rate(steps, s, 2) for s in (1, 2, 4)], [0.1, 0.01, 0.001], rtol=1e-6)
    warm = TrainConfig(schedule="constant", warmup_epochs=2, warmup_learning_rate=0.02, learning_rate=0.1)
    np.testing.assert_allclose([learning_rate(warm, s, 2) for s in (0, 2, 4)], [0.02, 0.06, 0.1], rtol=1e-6)


def test_rates_are_traceable_and_drop_path_grows():
    config = TrainConfig(epochs=10, drop_path=0.2, drop_path_grows=True)
    rates = jax.jit(jax.vmap(lambda step: drop_path_rate(config, step, jnp.int32(3))))(jnp.array([0, 2, 3, 15]))
    np.testing.assert_allclose(rates, [0, 0, 0.02, 0.1], rtol=1e-6)
    assert float(drop_path_rate(dataclasses.replace(config, drop_path_grows=False), 0, 3)) == pytest.approx(0.2)
