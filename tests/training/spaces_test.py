"""Every space can be trained: its step is traced, not compiled."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import get_space
from nasjax.data.augment import AugmentConfig
from nasjax.spaces.autoformer import AutoFormer
from nasjax.spaces.base import bind_one
from nasjax.training import TrainConfig, init_state, preset, train_step
from nasjax.training.objectives import KINDS, kind_of

TRANSNAS = {"channels": 4, "image_size": 32}
CASES = {
    "nasbench101": {"channels": 4, "cells": 1, "image_size": 8},
    "nasbench201": {"channels": 4, "cells": 1, "image_size": 8},
    "nasbench_macro": {"image_size": 32},
    "darts": {"channels": 4, "cells": 3, "image_size": 32, "auxiliary": True},
    "kronecker": {"channels": 4, "num_blocks": 2, "num_stages": 2, "max_vertices": 5, "image_size": 8},
    "transnas_micro": TRANSNAS,
    "transnas_macro": TRANSNAS | {"image_size": 64},
    "autoformer": None,
}
TARGETS = {
    "class": lambda space: jnp.zeros(2, jnp.int32),
    "values": lambda space: jnp.zeros((2, space.num_classes)),
    "pixel classes": lambda space: jnp.zeros((2, 32, 32), jnp.int32),
    "image": lambda space: jnp.zeros((2, 32, 32, 3)),
}


def traced(space, config):
    """Measures of a step, as shapes; the state keeps its structure."""
    arch = jnp.asarray(space.sample(jax.random.key(0), 1)[0])
    bound = bind_one(space, arch)
    images = jnp.zeros((2, space.image_size, space.image_size, 3), jnp.uint8)
    targets, key = TARGETS[kind_of(space)](space), jax.random.key(1)
    state = jax.eval_shape(lambda: init_state(key, bound, arch, config, 5))
    step = functools.partial(train_step, space=bound, config=config)
    after, measures = jax.eval_shape(step, state, arch, images, targets, key)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), after) == jax.tree.map(lambda a: (a.shape, a.dtype), state)
    return measures["sums"]


@pytest.mark.parametrize("name", CASES)
def test_classes(name):
    if name == "autoformer":
        space = AutoFormer((8,), (1, 2), (1, 2), (1.5, 2.0), 10, 8, patch_size=4, head_dim=4, max_distance=2)
        config = preset("autoformer", epochs=30, batch_size=2)
    else:
        space = get_space(name, num_classes=10, **CASES[name])
        config = preset("darts_cifar", batch_size=2) if name == "darts" else TrainConfig(batch_size=2)
    found = traced(space, dataclasses.replace(config, average=0.9))
    assert found.keys() == {"count", "loss", "accuracy", "top5"}


@pytest.mark.parametrize("task", ["room_layout", "segmentsemantic", "autoencoder", "jigsaw"])
def test_tasks_of_transnas(task):
    space = get_space("transnas_micro", task=task, **TRANSNAS | ({"image_size": 96} if task == "jigsaw" else {}))
    found = traced(space, TrainConfig(batch_size=2, augment=AugmentConfig(mean=(0.5,) * 3, std=(0.5,) * 3)))
    wanted = {"class": {"top5"}, "pixel classes": {"both", "either"}}.get(kind_of(space), set())
    assert wanted | {"count", "loss"} <= found.keys()
    assert set(KINDS[kind_of(space)].measures) - {"miou"} <= found.keys()
    assert np.prod(found["loss"].shape) == 1
