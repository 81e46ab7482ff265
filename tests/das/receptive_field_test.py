"""Receptive fields with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nasjax.das import networks
from nasjax.das.config import DASConfig
from nasjax.das.genotype import Gene, Genotype
from nasjax.das.receptive_field import field_of, receptive_field
from nasjax.das.videos import VideoMaker
from nasjax.types import InputError, Variables


class Box(nn.Module):
    """One 3x3 convolution of ones, over frames."""

    @nn.compact
    def __call__(self, video, *, output):
        assert output == "features"
        x = video.reshape(-1, *video.shape[2:])
        return [nn.Conv(2, (3, 3), use_bias=False, kernel_init=nn.initializers.ones_init())(x)]


def box(images):
    found = Box().init(jax.random.key(0), images[:, None], output="features")
    return Variables(found["params"], {})


IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(3, 9, 9, 2)), jnp.float32)


def test_a_box():
    field = receptive_field(Box(), box(IMAGES), IMAGES, VideoMaker(), batch_size=2)
    expected = np.zeros((9, 9))
    expected[3:6, 3:6] = 2  # two input channels
    np.testing.assert_allclose(field.map, expected)
    assert field.centre == (4, 4) and field.area == 9 and field.images == 3
    assert field.radius50 == 1 and field.radius90 == pytest.approx(np.sqrt(2))


def test_the_cell_moves_the_field():
    """Frames 0 and 2 are shifted by two pixels, frame 1 is not: a third of the weight stays."""
    config = DASConfig(num_frames=3, num_nodes=1, num_inputs=1)
    maker = VideoMaker(Genotype((Gene(0, 0, "translate_x", 2 / 9),), config))
    field = receptive_field(Box(), box(IMAGES), IMAGES, maker)
    expected = np.zeros((9, 9))
    expected[3:6, 3:6] = 2 / 3
    expected[3:6, 1:4] += 4 / 3  # to the right by two: read two to the left
    np.testing.assert_allclose(field.map, expected, atol=1e-6)
    assert field.area == 15


def test_larger_kernels_see_more():
    def area(kernel):
        network = networks.resnet(18, stages=(1,), width=4, stem="cifar", num_classes=2, temporal="none", kernel=kernel)
        found = network.init(jax.random.key(0), IMAGES[:, None])
        field = receptive_field(network, Variables(found["params"], found["batch_stats"]), IMAGES, VideoMaker())
        rows, columns = np.nonzero(field.map)
        assert np.ptp(rows) + 1 <= 3 + 2 * (kernel - 1) and np.ptp(columns) + 1 <= 3 + 2 * (kernel - 1)
        return (field.map > 0).sum()

    assert area(3) == 49 and area(5) == 81  # 7x7; 11x11 cut by the image


@pytest.mark.parametrize("size", [32, 33])
def test_the_field_lies_about_its_centre(size):
    """Behind two strides, with kernels of one sign, the field is its own mirror image about the centre."""
    images = jnp.ones((1, size, size, 3))
    network = networks.resnet(18, stages=(1, 1, 1), width=4, stem="cifar", num_classes=2, temporal="none")
    found = jax.jit(network.init)(jax.random.key(0), images[:, None])
    ones = jax.tree.map(jnp.abs, found["params"])
    same = jax.tree.map(lambda x: jnp.full_like(x, x.mean()), ones)
    field = receptive_field(network, Variables(same, found["batch_stats"]), images, VideoMaker())
    row, column = (int(place) for place in field.centre)
    assert (row, column) == field.centre == (16, 16)
    around = field.map[row - 15 : row + 16, column - 15 : column + 16]
    np.testing.assert_allclose(around, around[::-1, ::-1], rtol=1e-3)
    assert around[15, 15] >= 0.99 * field.map.max()


def test_radii_of_a_known_map():
    map = np.zeros((5, 5))
    map[2, 2], map[2, 3], map[0, 2], map[4, 4] = 50, 35, 5, 10
    field = field_of(map, (2, 2), images=1)
    assert (field.radius50, field.radius90, field.area) == (0, 2, 4)
    assert field_of(np.where(map == 5, 0.5, map), (2, 2), images=1).area == 3  # exactly one per cent does not count


def test_bad_input():
    with pytest.raises(InputError, match="at least one image"):
        receptive_field(Box(), box(IMAGES), IMAGES[:0], VideoMaker())
    for map in (np.zeros((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(InputError, match="zero or no number"):
            field_of(map, (1, 1), images=1)
