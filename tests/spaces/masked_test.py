"""Masks of supernets as architectures: texts, weights of sums, random keys, checks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nasjax
from nasjax.spaces.base import architecture_keys
from nasjax.types import InputError

SPACE = nasjax.get_space("nasbench201", channels=2, cells=1, image_size=8)
MASKED = SPACE.masked()


def test_texts_of_masks():
    masks = np.random.default_rng(0).integers(0, 2, (4, 6, 5))
    texts = MASKED.encode(masks)
    assert texts[0].count("|") == 5 and texts[0][:5] == "".join(map(str, masks[0, 0]))
    for given in (texts, masks, jnp.asarray(masks)):
        np.testing.assert_array_equal(MASKED.decode(given), masks)
    np.testing.assert_array_equal(MASKED.decode(masks[0]), masks[:1])
    np.testing.assert_array_equal(MASKED.decode(texts[1]), masks[1:2])
    assert MASKED.canonical(masks[2]) == texts[2]


def test_masks_and_architectures():
    archs = SPACE.sample(jax.random.key(0), 5)
    for arch, mask in zip(archs, MASKED.sample(jax.random.key(0), 5), strict=True):
        assert mask.sum(-1).tolist() == [1] * 6
        np.testing.assert_array_equal(MASKED.arch(mask), arch)
        assert MASKED.is_valid(mask) == SPACE.is_valid(arch)
    assert not MASKED.is_valid(np.zeros((6, 5), int))[0] and MASKED.is_valid(MASKED.full())[0]


def test_what_an_edge_brings():
    mask = np.zeros((6, 5), np.int32)
    mask[0, [1, 3]] = mask[1, 2] = 1
    mean, total = (SPACE.masked(mixture=m).weigh(mask, jnp.float32) for m in ("mean", "sum"))
    np.testing.assert_array_equal(total, mask)
    np.testing.assert_array_equal(mean[:3], [[0, 0.5, 0, 0.5, 0], [0, 0, 1, 0, 0], [0] * 5])


def test_masks_share_their_weights_unless_asked_not_to():
    key, texts = jax.random.key(7), MASKED.encode(MASKED.sample(jax.random.key(0), 3))
    shared = jax.random.key_data(MASKED.architecture_keys(key, texts))
    assert shared.shape[0] == 3 and len(np.unique(shared, axis=0)) == 1
    assert not np.array_equal(shared[0], jax.random.key_data(key))
    own = SPACE.masked(shared_weights=False).architecture_keys(key, texts)
    np.testing.assert_array_equal(jax.random.key_data(own), jax.random.key_data(architecture_keys(key, texts)))


def test_options_tell_supernets_apart():
    assert MASKED.name == "nasbench201_supernet" and MASKED.options["channels"] == 2
    assert MASKED.options != SPACE.masked(mixture="sum").options and hash(MASKED) == hash(SPACE.masked())
    assert (MASKED.num_classes, MASKED.image_size, MASKED.in_channels) == (10, 8, 3)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("0110", "nasbench201_supernet: '0110'; allowed is a text of 30 digits 0 and 1, 5 for each of 6 edges"),
        ("2" * 30, "'22222"),
        (np.full((6, 5), 2), "allowed are 0 and 1 of shape"),
        (np.zeros((2, 5, 6), int), r"masks of shape \[2, 5, 6\]"),
        ([], "'no mask'"),
    ],
)
def test_bad_masks(given, match):
    with pytest.raises(InputError, match=match):
        MASKED.decode(given)


def test_bad_options():
    with pytest.raises(InputError, match="mixture='max'; allowed are mean, sum"):
        SPACE.masked(mixture="max")
    with pytest.raises(InputError, match="shared_weights='no'; allowed are True and False"):
        SPACE.masked(shared_weights="no")
