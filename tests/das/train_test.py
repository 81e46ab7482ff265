"""Training of variants on tiny images."""

import dataclasses

import jax
import numpy as np
import pytest

from nasjax import data
from nasjax.das.config import DASConfig
from nasjax.das.genotype import Gene, Genotype
from nasjax.das.temporal import TemporalConfig
from nasjax.das.train import DASTrainConfig, make_network, recipe, train
from nasjax.data.augment import AugmentConfig
from nasjax.training.config import TrainConfig
from nasjax.training.schedules import learning_rate
from nasjax.types import InputError

GENOTYPE = Genotype((Gene(0, 0, "translate_x", 0.1),), DASConfig(num_frames=2, num_nodes=1, num_inputs=1))
SMALL = DASTrainConfig(
    options=(("width", 8), ("stages", (1, 1)), ("dropout", 0.0)),
    temporal=TemporalConfig(kind="tsm"),
    recipe=recipe(epochs=2, batch_size=16, augment=AugmentConfig(crop_padding=1, flip=True)),
)


@pytest.fixture(scope="module")
def images():
    return [data.load_dataset("photos", split=split, image_size=8, num_images=number)
            for split, number in (("train", 48), ("test", 20))]  # fmt: skip


@pytest.fixture(scope="module")
def trained(images):
    return train(GENOTYPE, *images, key=jax.random.key(0), config=SMALL)


def test_the_recipe_is_the_authors():
    own = recipe()
    rates = [float(learning_rate(own, epoch * 10, 10)) for epoch in (0, 29, 30, 60, 90, 119)]
    np.testing.assert_allclose(rates, [0.05, 0.05, 0.01, 0.002, 0.0004, 0.0004], rtol=1e-5)
    assert (own.batch_size, own.weight_decay, own.clip, own.momentum, own.nesterov) == (128, 3e-4, 5.0, 0.9, False)
    assert recipe(epochs=1).epochs == 1


def test_training(trained, images):
    assert [row["epoch"] for row in trained.fitted.history] == [1, 2]
    assert trained.fitted.history[1]["train_loss"] < trained.fitted.history[0]["train_loss"]
    logits = np.asarray(trained.logits(images[1].images(np.arange(20))))
    accuracy = (logits.argmax(-1) == images[1].labels).mean()
    assert trained.fitted.history[-1]["test_accuracy"] == pytest.approx(accuracy)
    assert trained.describe()["num_classes"] == 10 and len(trained.describe()["mean"]) == 3


def test_the_cell_reaches_the_network(trained, images):
    """The same weights on copies of the image give other logits."""
    still = trained._replace(variant=make_network(None, "identity", dataclasses.replace(SMALL, frames=2), 10, 8, 0)[0])
    pictures = images[1].images(np.arange(4))
    assert np.abs(trained.logits(pictures) - still.logits(pictures)).max() > 1e-3


def test_networks_of_variants():
    def network(variant, genotype=GENOTYPE):
        return make_network(genotype, variant, SMALL, 10, 8, 0)[1]

    assert network("das").num_temporal == network("identity").num_temporal == 2
    assert network("views").num_temporal == network("2d").num_temporal == 0
    assert network("large_kernel").kernel == 5 and network("dilated").dilations == (2, 4)
    assert network("2d").stem == "cifar"
    assert make_network(None, "2d", SMALL, 10, 224, 0)[1].stem == "imagenet"
    mobile = DASTrainConfig(network="mobilenet_v2")
    with pytest.raises(InputError, match="allowed: ResNets"):
        make_network(None, "dilated", mobile, 10, 32, 0)


def test_bad_input(images):
    with pytest.raises(InputError, match="average"):
        DASTrainConfig(recipe=TrainConfig(average=0.9))
    large = dataclasses.replace(SMALL, recipe=recipe(batch_size=64))
    with pytest.raises(InputError, match="batch_size=64 of 48"):
        train(GENOTYPE, *images, key=jax.random.key(0), config=large)
    with pytest.raises(InputError, match="image_size"):
        other = data.load_dataset("photos", split="test", image_size=16)
        train(None, images[0], other, key=jax.random.key(0), config=SMALL, variant="2d")
    with pytest.raises(InputError, match="only one of them has fish"):
        names = (*images[0].class_names[:-1], "fish")
        train(None, images[0], dataclasses.replace(images[1], class_names=names), key=jax.random.key(0), config=SMALL)
    with pytest.raises(InputError, match="needs a genotype"):
        train(None, *images, key=jax.random.key(0), config=SMALL)
