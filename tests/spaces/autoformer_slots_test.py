"""Tests of nasjax.spaces.autoformer_slots."""

import numpy as np

from nasjax.spaces import autoformer_slots as slots
from nasjax.spaces.autoformer_codec import Choices, decode
from nasjax.spaces.autoformer_cost import Sizes

CHOICES = Choices((8,), (1, 3), (1, 2), (20, 30))
SIZES = Sizes(5, 8, 3, 4, 4, 2)
SHALLOW, DEEP = decode(CHOICES, (1, 2.0, 2, 8)), decode(CHOICES, (3, 3.0, 2.0, 3.0, 2, 1, 1, 8))


def test_layers_of_a_deep_architecture():
    table = slots.layer_table(CHOICES, DEEP)
    assert table.names[:3] == ("patch_embed_super.proj", "blocks.0.attn.qkv", "blocks.0.attn.proj")
    assert table.names[-2:] == ("blocks.2.fc2", "head") and len(table.names) == 14
    assert np.all(table.active) and int(table.depth) == 14
    assert table.units == (0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4)
    np.testing.assert_array_equal(table.order, np.arange(1, 15))
    np.testing.assert_array_equal(table.bins, [0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9])


def test_layers_beyond_the_depth_are_inactive():
    table = slots.layer_table(CHOICES, SHALLOW)
    assert int(table.depth) == 6
    np.testing.assert_array_equal(table.order, [1, 2, 3, 4, 5, *[0] * 8, 6])
    np.testing.assert_array_equal(table.bins, [1, 3, 5, 6, 8, *[-1] * 8, 9])


def test_calls_stand_behind_fc1_and_only_where_the_ratio_reaches():
    calls = slots.site_calls(CHOICES, DEEP)
    assert list(calls) == ["mlp/2.0", "mlp/3.0"]
    hot = np.eye(10, dtype=int)
    # Layers 4, 8 and 12 of 14.
    np.testing.assert_array_equal(calls["mlp/2.0"], hot[[2, 5, 8]])
    np.testing.assert_array_equal(calls["mlp/3.0"], hot[[2, 5, 8]] * np.array([[1], [0], [1]]))
    np.testing.assert_array_equal(slots.site_calls(CHOICES, SHALLOW)["mlp/2.0"], [hot[6], 0 * hot[0], 0 * hot[0]])


def test_places_of_official_tensors():
    places = slots.torch_places(CHOICES, SIZES, DEEP)
    blocks = [name for name in places if name.startswith("blocks.1.")]
    assert len(blocks) == 16 and len(places) == 2 + 2 + 3 * 16 + 4
    tree, path, index = places["blocks.1.attn.qkv.weight"]
    assert (tree, path) == ("params", ("weights", "qkv", 1))
    # One head of two: four units of each part, which have room for eight.
    np.testing.assert_array_equal(index[1], [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19])
    tree, path, index = slots.torch_places(CHOICES, SIZES, DEEP, interleaved=True)["blocks.1.attn.qkv.weight"]
    np.testing.assert_array_equal(index[1], [0, 8, 16, 1, 9, 17, 2, 10, 18, 3, 11, 19])
    assert "blocks.1.attn.qkv.weight" not in slots.torch_places(CHOICES, SIZES, SHALLOW)
