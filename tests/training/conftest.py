"""A space that compiles in a moment, and images that it can learn."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.data import load_dataset
from nasjax.spaces import drop
from nasjax.spaces.shared import Classifier, OneProgram
from nasjax.types import Output, Variables


@dataclasses.dataclass(frozen=True)
class Tiny(Classifier, OneProgram):
    """A pointwise layer, a norm, a rectifier, the mean over pixels, a matrix. An architecture is int [1]: a factor."""

    channels: int = 4
    num_classes: int = 3
    image_size: int = 4
    in_channels: int = 3
    precision: str = "highest"
    targets: str = "class"

    name: ClassVar[str] = "tiny"
    drops_paths: ClassVar[bool] = True

    @property
    def options(self):
        return {"channels": self.channels, "num_classes": self.num_classes}

    def encode(self, archs):
        return [str(int(arch[0])) for arch in np.asarray(archs)]

    def init(self, key, arch, *, law="torch", dtype=None):
        keys = jax.random.split(key)
        first = jax.random.normal(keys[0], (self.in_channels, self.channels), dtype or jnp.zeros(()).dtype)
        last = jax.random.normal(keys[1], (self.channels, self.num_classes), first.dtype)
        one = jnp.ones(self.channels, first.dtype)
        params = {"weights": {"first": first, "last": last}, "scale": one, "shift": 0 * one}
        return Variables(params, {"mean": 0 * one, "var": one})

    def apply(self, variables, arch, images, *, norm="batch", train=False, key=None, drop_path=None):
        params, stats = variables
        x = nn.linear(images, params["weights"]["first"]) * arch[0].astype(images.dtype)
        x, (mean, var) = nn.batch_norm(
            x, params["scale"], params["shift"], stats=(stats["mean"], stats["var"]), mode=norm, fast=True
        )
        x = jax.nn.relu(x)
        if drop_path is not None:
            x = x * drop.multipliers(key, drop_path, (), x.dtype)[:, None, None, None]
        if self.targets in ("class", "values"):
            x = x.mean((1, 2))
        logits = nn.linear(x, params["weights"]["last"])
        return Output(logits, {"mean": mean, "var": var}, {})


@pytest.fixture(scope="session")
def tiny():
    """The space."""
    return Tiny()


@pytest.fixture(scope="session")
def arch():
    """An architecture."""
    return np.array([1], np.int32)


@pytest.fixture(scope="session")
def datasets(tmp_path_factory):
    """Twenty-six images to train with and ten to evaluate with, uint8; a class has a colour."""
    rng = np.random.default_rng(0)
    labels = np.arange(36) % 3
    images = rng.integers(0, 120, (36, 4, 4, 3), dtype=np.uint8)
    images[np.arange(36), :, :, labels] += 100
    path = tmp_path_factory.mktemp("images") / "tiny.npz"
    np.savez(path, x_train=images[:26], y_train=labels[:26], x_test=images[26:], y_test=labels[26:])
    return tuple(load_dataset(f"npz:{path}", split=split) for split in ("train", "test"))
