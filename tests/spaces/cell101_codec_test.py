"""Tests of nasjax.spaces.cell101_codec."""

import json

import numpy as np
import pytest

from nasjax.spaces import cell101_codec as codec
from nasjax.spaces.cell101_graph import EDGES
from nasjax.types import InputError

ROWS = [[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
OPS = ["conv1x1-bn-relu", "maxpool3x3"]


def expected():
    """The cell above in the library's own form: output as vertex 6."""
    arch = np.zeros(26, np.int32)
    for edge in ((0, 1), (0, 2), (1, 2), (1, 6), (2, 6)):
        arch[EDGES.index(edge)] = 1
    arch[21:23] = 1, 2
    return arch


@pytest.mark.parametrize(
    "encoding",
    [
        {"matrix": ROWS, "ops": OPS},
        {"matrix": ROWS, "ops": ["input", *OPS, "output"], "module_hash": "anything"},
        (ROWS, OPS),
        (np.array(ROWS), [1, 2]),
        [ROWS, [-1, 1, 2, -2]],
        json.dumps({"matrix": ROWS, "ops": OPS}),
        ([[*row, 0] for row in ROWS] + [[0] * 5], [-1, 1, 2, -2, -3]),  # filled up, as published
        expected(),
    ],
)
def test_every_form_of_one_cell(encoding):
    np.testing.assert_array_equal(codec.decode(encoding), expected())


def test_text_of_nas_bench_suite_zero():
    # 0>1, 0>6, 1>6; five vertices, of which one is in use.
    bits = ["0100001", "0000001", *["0000000"] * 5]
    arch = codec.decode("".join(bits) + ":0433331")
    assert json.loads(codec.encode(arch)) == {
        "matrix": [[0, 1, 1], [0, 0, 1], [0, 0, 0]],
        "ops": ["input", "conv3x3-bn-relu", "output"],
    }


def test_round_trip():
    text = codec.encode(expected())
    assert json.loads(text) == {"matrix": ROWS, "ops": ["input", *OPS, "output"]} and " " not in text
    np.testing.assert_array_equal(codec.decode(text), expected())


def test_arrays_that_prune_alike_are_one_architecture():
    grown = expected()
    grown[EDGES.index((0, 4))] = 1  # vertex 4 leads nowhere
    assert codec.encode(codec.decode(grown)) == codec.encode(expected())
    assert codec.decode(grown)[EDGES.index((0, 4))] == 1


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ("nonsense", "'nonsense' is no NAS-Bench-101 cell.*JSON"),
        ("[1, 2, 3]", "is no NAS-Bench-101 cell; allowed"),
        (7, "7 is no NAS-Bench-101 cell"),
        ({"matrix": ROWS}, "is no NAS-Bench-101 cell"),
        ({"matrix": ROWS, "ops": 5}, "operations 5 are no list; allowed"),
        (([[0, 1], [1, 0]], []), "edge 1>0 leads backwards"),
        (([[1, 1], [0, 0]], []), "edge 0>0"),
        (([[0, 2], [0, 0]], []), "matrix .*0 and 1"),
        (([[0, 1], [0]], []), "square"),
        (([[0]], []), "2 to 7 rows"),
        ((np.zeros((8, 8), int), [0] * 6), "2 to 7 rows"),
        ((ROWS, ["conv1x1-bn-relu"]), "1 operations .*4 vertices; allowed: 2"),
        ((ROWS, ["conv1x1", "maxpool3x3"]), "'conv1x1' of vertex 1 .*did you mean 'conv1x1-bn-relu'"),
        ((ROWS, [0, 9]), "9 of vertex 2"),
        (([[0, 1, 0], [0, 0, 0], [0, 0, 0]], [0]), "no path from input to output"),
        ((np.triu(np.ones((7, 7), int), 1), [0] * 5), "21 edges after pruning, the space allows 9"),
        (np.zeros(25, int), r"shape \[25\]"),
        (np.zeros(26), "float64"),
        (np.full(26, 3), "0 or 1"),
    ],
)
def test_bad_encodings(bad, match):
    with pytest.raises(InputError, match=match):
        codec.decode(bad)
