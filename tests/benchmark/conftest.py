"""A space of linear networks, three little data sets and a trainer that takes no time to compile."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.benchmark.tasks import prepare
from nasjax.benchmark.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class ToySpace:
    """Networks of one linear layer on images scaled by a digit; the other digit changes nothing but the shape."""

    name: str = "toy"
    num_classes: int = 3
    image_size: int = 4
    in_channels: int = 3
    shape: int | None = None

    @property
    def options(self):
        return {"num_classes": self.num_classes, "image_size": self.image_size}

    def sample(self, key, num):
        scales, shapes = jax.random.split(key)
        return jnp.stack([jax.random.randint(scales, (num,), 0, 8), jax.random.randint(shapes, (num,), 0, 2)], axis=1)

    def decode(self, encodings):
        return np.array([[int(c) for c in text.split("-")] for text in encodings], np.int32).reshape(-1, 2)

    def encode(self, archs):
        return [f"{a}-{b}" for a, b in np.asarray(archs)]

    def canonical(self, arch):
        return f"{min(int(arch[0]), 6)}-{arch[1]}"

    def is_valid(self, arch):
        return (True, "") if arch[0] else (False, "scaled by zero")

    def signature(self, archs):
        return [str(b) for b in np.asarray(archs)[:, 1]]

    def bind(self, signature):
        return dataclasses.replace(self, shape=int(signature))

    def num_params(self, arch):
        return (3 + int(arch[1])) * self.num_classes

    def flops(self, arch):
        return 10 * int(arch[1]) + 7


class State(NamedTuple):
    weights: jax.Array
    step: jax.Array


def features(arch, images, space):
    x = images.astype(jnp.float32).mean((1, 2)) / 255.0 * arch[0]
    return jnp.pad(x, ((0, 0), (0, space.shape)))


def toy_trainer(epochs=3, batch_size=8, rate=0.5, explode="none"):
    """Softmax regression by SGD with noise from the key; the weights of one architecture become NaN on demand."""

    def init(key, space, arch, steps_per_epoch):
        del arch, steps_per_epoch
        weights = 0.01 * jax.random.normal(key, (3 + space.shape, space.num_classes))
        return State(weights, jnp.zeros((), jnp.int32))

    def loss(weights, x, labels):
        logp = jax.nn.log_softmax(x @ weights)
        return -jnp.take_along_axis(logp, labels[:, None], 1)[:, 0]

    def step(state, arch, images, labels, key, space):
        x = features(arch, images, space)
        x = x + 0.1 * jax.random.normal(jax.random.fold_in(key, state.step), x.shape)
        value, gradient = jax.value_and_grad(lambda w: loss(w, x, labels).mean())(state.weights)
        if explode != "none":
            gradient = jnp.where(arch[0] == explode, jnp.nan, gradient)
            value = jnp.where((arch[0] == explode) & (state.step > 2), jnp.nan, value)
        return State(state.weights - rate * gradient, state.step + 1), value

    def evaluate(state, arch, images, labels, space):
        x = features(arch, images, space)
        there = labels >= 0
        right = jnp.argmax(x @ state.weights, -1) == labels
        return jnp.where(there, loss(state.weights, x, labels * there), 0).sum(), (right & there).sum()

    description = {"epochs": epochs, "batch": batch_size, "rate": rate, "explode": explode}
    return Trainer(epochs, batch_size, init, step, evaluate, description)


class Toys:
    """Coloured squares; counts how often it was read."""

    def __init__(self, seed, number=60, classes=3):
        generator = np.random.default_rng(seed)
        self.labels = generator.integers(0, classes, number)
        pixels = generator.integers(0, 120, (number, 4, 4, 3))
        pixels[np.arange(number), :, :, self.labels % 3] += 60
        self.pixels = pixels.astype(np.uint8)
        self.num_classes = classes
        self.fingerprint = f"toys {seed} {number}"
        self.read = 0

    def images(self, indices):
        self.read += len(indices)
        return self.pixels[indices]


def toy_task(name="reds", seed=0, test=None):
    test = Toys(seed + 100, 20) if test is None else test
    return prepare(name, Toys(seed), lambda: test)


@pytest.fixture(scope="session")
def toys():
    """What tests of the benchmark are made of."""
    return ToyKit()


class ToyKit:
    space = ToySpace()
    trainer = staticmethod(toy_trainer)
    task = staticmethod(toy_task)
    images = Toys
