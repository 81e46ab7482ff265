"""Images to videos and back, and the variants that are compared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.das.config import DASConfig
from nasjax.das.genotype import Gene, Genotype
from nasjax.das.variants import ON_FRAMES, VARIANTS, make_variant
from nasjax.das.videos import VideoMaker
from nasjax.types import InputError

CELL = DASConfig(num_frames=3, num_nodes=1, num_inputs=1)
TWO = DASConfig(num_frames=3, num_nodes=2, num_inputs=1)


def there_and_back(maker, images):
    """The video, and its frames moved back; compiled as a whole."""

    def both(images):
        video = maker(images)
        return video, maker.unwarp(video)

    return jax.jit(both).lower(images).compile()(images)


def blob(size=25):
    """A smooth spot off the centre, far from the border."""
    y, x = np.indices((size, size))
    return jnp.asarray(np.exp(-((y - 9) ** 2 + (x - 14) ** 2) / 14), jnp.float32)[None, :, :, None]


def one(op, magnitude, config=CELL):
    return VideoMaker(Genotype((Gene(0, 0, op, magnitude),), config))


@pytest.mark.parametrize("op", ["translate_y", "zoom", "rotate"])
def test_maps_are_moved_back(op):
    maker = one(op, {"zoom": 1.4, "rotate": 30.0}.get(op, 0.1))
    images = blob()
    video, back = there_and_back(maker, images)
    assert np.abs(video[0, 0] - images[0]).max() > 0.3
    np.testing.assert_allclose(back[0, 0], images[0], atol=0.08)  # interpolated twice
    np.testing.assert_allclose(back[:, 1], images, rtol=1e-6)  # the centre frame is at level 0


def test_paths_one_after_the_other_are_undone():
    genes = (Gene(0, 0, "rotate", 30.0), Gene(1, 1, "translate_x", 0.1))
    maker, images = VideoMaker(Genotype(genes, TWO)), blob()
    video, back = there_and_back(maker, images)
    assert np.abs(video[0, 0] - images[0]).max() > 0.2
    np.testing.assert_allclose(back[0, 0], images[0], atol=0.12)


def test_copies_and_the_image_alone():
    images = blob(4)
    assert VideoMaker()(images).shape == (1, 1, 4, 4, 1)
    video = VideoMaker(None, 3)(images)
    assert video.shape == (1, 3, 4, 4, 1) and (video == images[:, None]).all()
    assert VideoMaker(None, 3).unwarp(video) is video
    assert VideoMaker().normalised((0.5,), (0.2,)) == VideoMaker()
    assert one("zoom", 1.1).normalised((0.5,), (0.2,)).genotype.config.mean == (0.5,)


def test_what_cannot_be_undone():
    with pytest.raises(InputError, match="leave unwarp out"):
        VideoMaker(None, 2).check_unwarp()
    one("rotate", 10.0).check_unwarp()
    with pytest.raises(InputError, match="frames=0"):
        VideoMaker(None, 0)


def test_variants():
    genotype = one("rotate", 10.0).genotype
    made = {name: make_variant(name, genotype, seed=3) for name in VARIANTS}
    assert {name for name, v in made.items() if v.maker.num_frames > 1} == set(ON_FRAMES)
    assert {name for name, v in made.items() if v.temporal} == {"das", "identity", "random"}
    assert made["das"].maker == made["views"].maker == VideoMaker(genotype)
    assert made["random"].maker.genotype.config == genotype.config
    assert made["dilated"].network == {"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4)}
    assert make_variant("dilated", stages=2).network == {"strides": (1, 1), "dilations": (2, 4)}
    assert made["large_kernel"].network == {"kernel": 5}
    assert made["randaugment"].augment == {"randaugment": (3, 5)}
    assert made["trivialaugment"].augment == {"trivialaugment": True}


def test_random_genotypes_follow_the_seed():
    a, b, c = (make_variant("random", None, seed=seed).maker.genotype for seed in (0, 0, 1))
    assert a == b != c and a.config == DASConfig()


def test_bad_variants():
    with pytest.raises(InputError, match="needs a genotype"):
        make_variant("das")
    with pytest.raises(InputError, match="allowed: das"):
        make_variant("3d")
