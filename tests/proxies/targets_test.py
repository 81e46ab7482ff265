"""Tests of nasjax.proxies.targets: targets that do not fit are refused before anything is computed."""

import jax
import numpy as np
import pytest

import nasjax
from nasjax.data import Batches
from nasjax.proxies.targets import check_targets
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.spaces.transnas_micro import TransNasMicro
from nasjax.types import InputError

IMAGES = np.zeros((2, 4, 32, 32, 3), np.float32)
SPACE = NasBench201(channels=2, cells=1, num_classes=4)


def test_class_numbers():
    check_targets(SPACE, np.array([[0, 1, 2, 3]] * 2), IMAGES)
    with pytest.raises(InputError, match="Label 4 does not fit num_classes=4.*at least 5"):
        check_targets(SPACE, np.array([[0, 1, 2, 4]] * 2), IMAGES)
    with pytest.raises(InputError, match="Label -1 is no class number; allowed are 0 to 3"):
        check_targets(SPACE, np.array([[0, 1, 2, -1]] * 2), IMAGES)


@pytest.mark.parametrize("targets", [IMAGES, np.zeros((2, 4)), np.zeros((2, 4, 32, 32), int)])
def test_other_targets_need_a_task(targets):
    with pytest.raises(InputError, match="'nasbench201' needs class numbers"):
        check_targets(SPACE, targets, IMAGES)


def test_a_space_with_tasks_decides_itself():
    space = TransNasMicro(channels=4, task="autoencoder", image_size=32)
    check_targets(space, IMAGES, IMAGES)
    with pytest.raises(InputError, match="do not fit task 'autoencoder'.*floats .batch, 32, 32, 3.*with_targets"):
        check_targets(space, np.zeros((2, 4), np.int32), IMAGES)


def test_the_driver_asks():
    rng = np.random.default_rng(0)
    batches = Batches.from_arrays(rng.normal(size=(8, 32, 32, 3)), np.arange(8), batch_size=4, num_batches=2)
    space = TransNasMicro(channels=4, task="segmentsemantic", image_size=32)
    with pytest.raises(InputError, match="do not fit task 'segmentsemantic'"):
        nasjax.score(space, "102333", batches, "grad_norm", key=jax.random.key(0))
