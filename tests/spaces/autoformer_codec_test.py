"""Tests of nasjax.spaces.autoformer_codec."""

import numpy as np
import pandas as pd
import pytest

from nasjax.spaces import autoformer_codec as codec
from nasjax.types import InputError

CHOICES = codec.Choices((192, 216), (2, 3), (3, 4), (35, 40))
TUPLE = (2, 3.5, 4.0, 3, 4, 192)
ARCH = [192, 2, 3, 4, 0, 35, 40, 0]
FORMS = {
    "tuple": TUPLE,
    "list": list(TUPLE),
    "text": "(2, 3.5, 4.0, 3, 4, 192)",
    "configuration": {"embed_dim": [192, 192], "layer_num": 2, "mlp_ratio": [3.5, 4.0], "num_heads": [3, 4]},
    "golden": {"embed_dim": 192, "depth": 2, "mlp_ratio": [3.5, 4.0], "num_heads": [3, 4]},
    "dictionary text": "{'hidden_dim': 192, 'mlp_ratio': [3.5, 4.0], 'depth': 2, 'num_heads': [3, 4]}",
    "table row": pd.Series(
        {"arch_hidden_dim": 192, "arch_mlp_ratio": "[3.5, 4.0]", "arch_depth": 2, "arch_num_heads": "[3, 4]", "acc": 7}
    ),
    "own array": np.array(ARCH),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form):
    found = codec.decode(CHOICES, FORMS[form])
    assert found.dtype == np.int32 and found.tolist() == ARCH


def test_what_is_written_is_read_back():
    deep = np.array([216, 3, 4, 3, 4, 40, 35, 35], np.int32)
    for arch in (np.array(ARCH), deep):
        for write in (codec.to_tuple, codec.to_text, codec.to_dict):
            np.testing.assert_array_equal(codec.decode(CHOICES, write(arch)), arch)
    assert codec.to_tuple(deep) == (3, 4.0, 3.5, 3.5, 4, 3, 4, 216)
    assert codec.to_dict(ARCH) == {"hidden_dim": 192, "mlp_ratio": [3.5, 4.0], "depth": 2, "num_heads": [3, 4]}


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ((2, 3.5, 4.0, 3, 4, 200), "width 200 is not in the space; allowed: 192, 216"),
        ((1, 3.5, 3, 192), "depth 1 is not in the space; allowed: 2, 3"),
        ((2, 3.5, 4.0, 3, 5, 192), "numbers of heads: 5 in block 1 is not in the space; allowed: 3, 4"),
        ((2, 3.0, 4.0, 3, 4, 192), "MLP ratios: 3.0 in block 0 is not in the space.*options heads and mlp_ratios"),
        ((2, 3.5, 4.0, 3, 192), "has 5 entries; allowed: depth, as many"),
        ((), "has 0 entries"),
        ("(2, 3.5", "is no AutoFormer architecture; allowed: '\\(2, 3.5, ..., 3, ..., 192\\)'"),
        (7, "7 is no AutoFormer architecture"),
        ({"embed_dim": 192, "depth": 2, "mlp_ratio": [4.0, 4.0]}, "num_heads once, under num_heads or arch_num_heads"),
        (FORMS["golden"] | {"hidden_dim": 192}, "embed_dim once, under embed_dim or hidden_dim"),
        (FORMS["golden"] | {"mlp_ratio": [4.0]}, "1 MLP ratios for depth 2; allowed: one for each of the 2 blocks"),
        (FORMS["golden"] | {"mlp_ratio": 4.0}, "mlp_ratio=4.0; allowed: a list with one number for each block"),
        (FORMS["golden"] | {"num_heads": "3 4"}, "num_heads='3 4' is no number or list"),
        (FORMS["golden"] | {"embed_dim": [192, 216]}, "allowed: one width for all blocks"),
        (np.zeros((2, 8), int), "width 0 is not in the space"),
        (np.array([ARCH, ARCH]), "2 architectures; allowed here: one"),
        (np.array(ARCH[:-1]), r"shape \[7\]; allowed: \[8\]"),
        (np.array(ARCH, float), "type float64; allowed: integers"),
        (np.array([192, 2, 3, 4, 3, 35, 40, 0]), "has blocks beyond its depth 2"),
    ],
)
def test_bad_input_is_named(encoding, message):
    with pytest.raises(InputError, match=message):
        codec.decode(CHOICES, encoding)


def test_parts_of_a_population():
    parts = codec.split(np.array([ARCH, [216, 3, 4, 3, 4, 40, 35, 35]]))
    assert parts.embed_dim.tolist() == [192, 216] and parts.depth.tolist() == [2, 3]
    assert parts.heads.tolist() == [[3, 4, 0], [4, 3, 4]] and parts.tenths.tolist() == [[35, 40, 0], [40, 35, 35]]


def test_the_published_table_is_in_the_tiny_space(shared):
    rows = pd.read_csv(shared / "data" / "vitbench101_autoformer.csv.gz")
    choices = codec.Choices((192, 216, 240), (12, 13, 14), (3, 4), (35, 40))
    archs = np.stack([codec.decode(choices, row) for _, row in rows.iterrows()])
    assert archs.shape == (100, 30)
    for arch, (_, row) in zip(archs, rows.iterrows(), strict=True):
        written = codec.to_dict(arch)
        assert written["hidden_dim"] == row["arch_hidden_dim"] and str(written["mlp_ratio"]) == row["arch_mlp_ratio"]
        assert written["depth"] == row["arch_depth"] and str(written["num_heads"]) == row["arch_num_heads"]
