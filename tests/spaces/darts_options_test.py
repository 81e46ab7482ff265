"""Options, loss and auxiliary head of the DARTS space; its network is tested in darts_test.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces.darts import Darts
from nasjax.types import InputError, Output

SPACE = Darts(channels=2, cells=4, num_classes=3, image_size=8)  # normal, reduction, reduction, normal
EDGES = [("sep_conv_3x3", 0), ("skip_connect", 1)] * 4
ARCH = SPACE.decode({"normal": EDGES, "reduce": EDGES})[0]
pytestmark = pytest.mark.usefixtures("double")


def test_loss_by_hand():
    logits = jnp.log(jnp.array([[1.0, 1, 1, 1], [3, 1, 1, 1]]))
    plain = Output(logits, None, {})
    assert SPACE.loss(plain, jnp.array([1, 0])) == pytest.approx(1.5 * np.log(2))
    assert SPACE.loss(plain._replace(taps={"auxiliary": logits}), jnp.array([1, 0])) == pytest.approx(2.1 * np.log(2))


def test_the_auxiliary_head_is_there_for_training_alone():
    space = Darts(channels=1, cells=3, auxiliary=True, image_size=32)
    bare = Darts(channels=1, cells=3, image_size=32)
    shapes = jax.eval_shape(lambda: space.init(jax.random.key(0), ARCH))
    # Channels 16 -> 128 -> 768 (2x2) -> 10, norms with scale and shift.
    expected = 16 * 128 + 4 * 128 * 768 + 768 * 10 + 10 + 2 * (128 + 768)
    assert space.num_params(ARCH) - bare.num_params(ARCH) == expected
    assert space.flops(ARCH) == bare.flops(ARCH)
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float64)
    for train in (False, True):
        output = jax.eval_shape(lambda v, x, train=train: space.apply(v, ARCH, x, train=train), shapes, images)
        assert ("auxiliary" in output.taps) == train
        assert jax.tree.structure(output.stats) == jax.tree.structure(shapes.stats)
    assert output.taps["auxiliary"].shape == (2, 10)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"channels": 0}, "channels=0"),
        ({"cells": -1}, "cells=-1"),
        ({"num_classes": 2.5}, "num_classes=2.5"),
        ({"in_channels": True}, "in_channels=True"),
        ({"variant": "pnas"}, "variant='pnas'; allowed are darts, imagenet, naslib, swap"),
        ({"image_size": 30}, "image_size=30 with 2 reduction cells; allowed are multiples of 4.*take 32"),
        ({"image_size": 2}, "image_size=2.*take 4"),
        ({"variant": "imagenet", "channels": 5}, "channels=5; allowed is an even number"),
        ({"variant": "imagenet", "image_size": 100}, "image_size=100 with.*stride 8.*multiples of 32.*take 128"),
        (
            {"variant": "imagenet", "image_size": 192, "auxiliary": True},
            "image_size=192.*sees 6x6 pixels; allowed are 7 to 8.*of 224",
        ),
        ({"image_size": 16, "auxiliary": True}, "image_size=16 with auxiliary=True, whose head sees 4x4.*image of 32"),
        ({"auxiliary": 1}, "auxiliary=1"),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(InputError, match=f"darts: {match}"):
        Darts(**options)


def test_images_that_do_not_suit_the_strides():
    variables = jax.eval_shape(lambda: SPACE.init(jax.random.key(0), ARCH))
    images = jax.ShapeDtypeStruct((1, 8, 10, 3), jnp.float64)
    with pytest.raises(InputError, match=r"image size=\(8, 10\) with 2 reduction cells; allowed are multiples of 4"):
        jax.eval_shape(lambda v, x: SPACE.apply(v, ARCH, x), variables, images)
    with pytest.raises(InputError, match="'xavier'.*kaiming_fan_in"):
        SPACE.init(jax.random.key(0), ARCH, law="xavier")


def test_defaults_are_those_of_the_variant():
    assert (Darts().channels, Darts().cells) == (36, 20)
    assert (Darts(variant="naslib").channels, Darts(variant="naslib").cells) == (32, 8)
    swap = Darts(variant="swap")
    assert (swap.channels, swap.cells, swap.options["variant"]) == (3, 1, "swap")
    assert Darts(variant="swap", image_size=2).image_size == 2  # one reduction
    assert Darts(channels=36, cells=20) == Darts() and hash(Darts(cells=20)) == hash(Darts())
