"""Tests of nasjax.spaces.darts_codec."""

import collections
import json

import numpy as np
import pytest

from nasjax.spaces import darts_codec as codec
from nasjax.types import InputError

# The genotype that DARTS found on CIFAR-10 (second order), as its code prints it.
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)
OPS = [[4, 4, 4, 4, 4, 3, 3, 6], [1, 1, 3, 1, 1, 3, 3, 1]]
SOURCES = [[0, 1, 0, 1, 1, 0, 0, 2], [0, 1, 2, 1, 0, 2, 2, 1]]
ARCH = codec.join(np.array(OPS), np.array(SOURCES))
CELLS = {
    name: [(codec.OPS[op], source) for op, source in zip(ops, sources, strict=True)]
    for name, ops, sources in zip(codec.CELLS, OPS, SOURCES, strict=True)
}
# NAS-Bench-301 numbers the edges over all sources: 0, 1 into node 2; 2..4 into 3; 5..8 into 4; 9..13 into 5.
CONFIG = {
    f"NetworkSelectorDatasetInfo:darts:edge_{cell}_{number}": op
    for cell, edges in {
        "normal": {0: "sep_conv_3x3", 1: "sep_conv_3x3", 2: "sep_conv_3x3", 3: "sep_conv_3x3", 5: "skip_connect",
                   6: "sep_conv_3x3", 9: "skip_connect", 11: "dil_conv_3x3"},
        "reduce": {0: "max_pool_3x3", 1: "max_pool_3x3", 3: "max_pool_3x3", 4: "skip_connect", 5: "max_pool_3x3",
                   7: "skip_connect", 10: "max_pool_3x3", 11: "skip_connect"},
    }.items()
    for number, op in edges.items()
}  # fmt: skip


def test_layout_by_hand():
    assert ARCH[:6].tolist() == [4, 0, 4, 1, 4, 0] and ARCH[14:18].tolist() == [6, 2, 1, 0] and ARCH.dtype == np.int32
    ops, sources = codec.parts(ARCH)
    assert ops.tolist() == OPS and sources.tolist() == SOURCES
    assert codec.TARGETS.tolist() == [2, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize(
    "encoding",
    [
        DARTS_V2,
        CELLS,
        str(CELLS),
        json.dumps(CELLS),
        CELLS | {"normal_concat": range(2, 6), "reduce_concat": [2, 3, 4, 5]},
        collections.namedtuple("Genotype", "normal normal_concat reduce reduce_concat")(
            CELLS["normal"], range(2, 6), CELLS["reduce"], range(2, 6)
        ),
        codec.compact(ARCH),
        str([list(cell) for cell in codec.compact(ARCH)]),
        ARCH,
        codec.encode(ARCH),
    ],
    ids=["printed", "dict", "text", "json", "concat", "object", "compact", "compact text", "array", "encoded"],
)
def test_forms_that_are_read(encoding):
    np.testing.assert_array_equal(codec.decode(encoding), ARCH)


def test_configurations_list_the_sources_in_order():
    ops, sources = codec.parts(codec.decode(CONFIG))
    assert sources[0].tolist() == [0, 1, 0, 1, 0, 1, 0, 2] and ops[0].tolist() == [4, 4, 4, 4, 3, 4, 3, 6]
    assert sources[1].tolist() == [0, 1, 1, 2, 0, 2, 1, 2] and ops[1].tolist() == [1, 1, 1, 3, 1, 3, 1, 3]
    del CONFIG["NetworkSelectorDatasetInfo:darts:edge_reduce_10"]
    with pytest.raises(InputError, match=r"has 1 edges into node 5 of the reduce cell; allowed: two of edge_reduce_9"):
        codec.decode(CONFIG)


def test_text_that_is_written():
    assert codec.encode(ARCH).startswith("Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ")
    assert codec.encode(ARCH).replace("[2, 3, 4, 5]", "range(2, 6)") == DARTS_V2
    assert codec.compact(ARCH)[1][:3] == ((0, 0), (1, 0), (2, 2))
    with pytest.raises(InputError, match="has no 'none'"):
        codec.compact(np.zeros(32, int))


def changed(cell="normal", edge=0, op=None, source=None):
    """The genotype with one edge changed."""
    edges = list(CELLS[cell])
    edges[edge] = (edges[edge][0] if op is None else op, edges[edge][1] if source is None else source)
    return CELLS | {cell: edges}


@pytest.mark.parametrize(
    ("encoding", "match"),
    [
        (changed(op="sep_conv_7x7"), "'sep_conv_7x7' of edge 0 of the normal cell is not in the space.*mean 'sep_c"),
        (changed(op="zzz"), "'zzz'.*allowed: none, max_pool_3x3.*use one of these"),
        (changed("reduce", 3, source=3), "edge 3 of the reduce cell leads from node 3 to node 3; allowed: from nodes"),
        (changed(source=-1), "from node -1 to node 2"),
        (changed(source="0"), "comes from '0'; allowed: a node number 0..1"),
        (CELLS | {"normal": CELLS["normal"][:7]}, "normal cell has 7 edges; allowed: 8.*node 5 lacks 1 of its two"),
        (CELLS | {"reduce": CELLS["reduce"][:4]}, "reduce cell has 4 edges.*node 4 lacks 2 of its two"),
        (CELLS | {"reduce": CELLS["reduce"] * 2}, "reduce cell has 16 edges"),
        (CELLS | {"normal": CELLS["normal"][::-1]}, "edge 0 of the normal cell leads from node 2 to node 2.*order"),
        (CELLS | {"normal": [(s, op) for op, s in CELLS["normal"]]}, "edge 0 of the normal cell comes from 'sep_conv"),
        (CELLS | {"normal": ["sep_conv_3x3"] * 8}, "normal cell .*allowed: 8 pairs"),
        (CELLS | {"normal_concat": [3, 4, 5]}, r"normal_concat=\[3, 4, 5\]; allowed: \[2, 3, 4, 5\]"),
        (CELLS | {"normal_concat": 5}, r"normal_concat=5; allowed: \[2, 3, 4, 5\]"),
        ([[(0, 7), *codec.compact(ARCH)[0][1:]], codec.compact(ARCH)[1]], "operation 7 of a compact code; allowed: 0"),
        ({"normal": CELLS["normal"]}, "is no DARTS architecture; allowed: a genotype"),
        ("Genotype(normal=[", "is no DARTS architecture"),
        ("Genotype(normal=open('x'))", "is no DARTS architecture"),
        ("Genotype(normal=[], normal_concat=range())", "is no DARTS architecture"),
        ("|nor_conv_3x3~0|", "is no DARTS architecture"),
        (3, "3 is no DARTS architecture"),
        (np.zeros(31, int), r"shape \[31\]"),
        (np.zeros(32), "float64"),
        (np.full(32, 1), "edge 0 of the normal cell|from node"),
        (np.full(32, 9), "from node 9"),
    ],
)  # fmt: skip
def test_bad_encodings(encoding, match):
    if isinstance(encoding, np.ndarray) and match.startswith("edge 0"):
        np.testing.assert_array_equal(codec.decode(encoding), encoding)  # operation 1 from node 1 everywhere
        encoding = encoding.copy()
        encoding[1] = 2
        match = "edge 0 of the normal cell leads from node 2 to node 2"
    with pytest.raises(InputError, match=match):
        codec.decode(encoding)
