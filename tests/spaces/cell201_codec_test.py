"""Tests of nasjax.spaces.cell201_codec: every encoding, over the whole space."""

import itertools
import random

import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import cell201_codec as codec
from nasjax.types import InputError

CHECK_TUPLE = (4, 0, 3, 1, 4, 3)
CHECK_STRING = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"
CHECK_ARCH = [4, 1, 0, 2, 4, 2]


@pytest.fixture(scope="module")
def everything():
    return np.array(list(itertools.product(range(5), repeat=6)), dtype=np.int32)


def test_edge_order_check():
    assert codec.to_string(codec.from_tuple(CHECK_TUPLE)) == CHECK_STRING
    assert codec.to_tuple(codec.from_string(CHECK_STRING)) == CHECK_TUPLE
    assert codec.from_string(CHECK_STRING).tolist() == CHECK_ARCH


def test_the_two_orders_agree_edge_by_edge():
    # One 3x3 convolution on one edge: the tuple has it where NASLib lists that edge.
    for edge, pair in enumerate(codec.EDGES):
        arch = np.zeros(6, dtype=np.int32)
        arch[edge] = codec.OPS.index("nor_conv_3x3")
        ops = codec.to_tuple(arch)
        assert codec.NASLIB_EDGES[ops.index(codec.NASLIB_OPS.index("nor_conv_3x3"))] == pair
        source, target = pair
        group = codec.to_string(arch).split("+")[target - 1]
        assert group.strip("|").split("|")[source] == f"nor_conv_3x3~{source}"


def test_string_round_trip_of_the_whole_space(everything):
    texts = codec.to_string(everything)
    assert len(set(texts)) == 15625
    back = codec.from_string(texts)
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, everything)
    assert codec.to_string(everything[123]) == texts[123]


def test_tuple_round_trip_of_the_whole_space(everything):
    tuples = codec.to_tuple(everything)
    assert len(set(tuples)) == 15625
    np.testing.assert_array_equal(codec.from_tuple(tuples), everything)
    assert all(type(value) is int for value in tuples[7])


def test_enumeration_is_a_base_five_number(everything):
    index = codec.enumeration_index(everything)
    np.testing.assert_array_equal(index, np.arange(15625))
    np.testing.assert_array_equal(codec.from_enumeration_index(index), everything)
    assert codec.enumeration_index([0, 0, 0, 0, 1, 2]) == 7
    assert codec.from_enumeration_index(7).tolist() == [0, 0, 0, 0, 1, 2]


def test_official_index_round_trip_of_the_whole_space(everything):
    index = codec.to_index(everything)
    np.testing.assert_array_equal(np.sort(index), np.arange(15625))
    np.testing.assert_array_equal(codec.from_index(index), everything)
    assert type(codec.to_index(CHECK_ARCH)) is int


def test_official_index_known_values():
    texts = {
        0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        2566: "|none~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|",
    }
    for index, text in texts.items():
        assert codec.to_string(codec.from_index(index)) == text
        assert codec.to_index(codec.from_string(text)) == index


def test_official_index_of_the_published_table(shared):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(shared / "data" / "nasbench201.csv.gz", usecols=["arch_index", "arch_string"])
    archs = codec.from_string(table["arch_string"].tolist())
    np.testing.assert_array_equal(codec.to_index(archs), table["arch_index"].to_numpy())


def test_official_order_leaves_the_global_generator_alone():
    codec._official_orders.cache_clear()
    random.seed(3)
    expected = random.random()
    random.seed(3)
    codec.from_index(5)
    assert random.random() == expected


def test_official_order_is_checked(monkeypatch):
    codec._official_orders.cache_clear()
    monkeypatch.setattr(codec, "_OFFICIAL_SEED", 89)
    with pytest.raises(RuntimeError, match="shuffles differently"):
        codec.to_index(CHECK_ARCH)
    codec._official_orders.cache_clear()


def test_empty_populations():
    empty = np.zeros((0, 6), dtype=np.int32)
    assert codec.to_string(empty) == [] and codec.to_tuple(empty) == []
    assert codec.from_string([]).shape == (0, 6)
    assert codec.to_index(empty).shape == (0,)
    assert codec.from_index(np.zeros(0, dtype=np.int64)).shape == (0, 6)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
def test_any_integer_type(dtype):
    assert codec.to_string(np.array(CHECK_ARCH, dtype=dtype)) == CHECK_STRING
    assert codec.enumeration_index(np.full(6, 4, dtype=dtype)) == 15624


@pytest.mark.parametrize(
    "encoding",
    [
        CHECK_STRING,
        f"  {CHECK_STRING}\n",
        CHECK_TUPLE,
        "(4, 0, 3, 1, 4, 3)",
        "(4,0,3,1,4,3)",
        codec.to_index(CHECK_ARCH),
        np.int64(codec.to_index(CHECK_ARCH)),
        np.array(codec.to_index(CHECK_ARCH)),
        str(codec.to_index(CHECK_ARCH)),
        np.array(CHECK_ARCH),
        np.array(CHECK_ARCH, dtype=np.int8),
        jnp.array(CHECK_ARCH),
    ],
)
def test_decode(encoding):
    arch = codec.decode(encoding)
    assert arch.dtype == np.int32
    assert arch.tolist() == CHECK_ARCH


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (
            "|nor_conv_9x9~0|+|none~0|none~1|+|none~0|none~1|none~2|",
            "'nor_conv_9x9' in part 'nor_conv_9x9~0' of node 1",
        ),
        ("|none~0|+|none~0|nor_conv3x3~1|+|none~0|none~1|none~2|", "do: replace it by 'nor_conv_3x3'"),
        ("|none~0|+|none~0|none~1|+|skip~0|none~1|none~2|", "node 3 .*do: replace it by 'skip_connect'"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|%%%~2|", "allowed: none, skip_connect.*use one of the allowed"),
        ("|none~0|+|none~0|none~1|", "it has 2 groups joined by"),
        ("", "it has 1 groups"),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", "the group of node 2, .* has 1 parts, not 2"),
        ("|none~0|+none~0|none~1|+|none~0|none~1|none~2|", "the group of node 2, .*start and end with"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "part 'none~0' of node 2 should end with '~1'"),
        ("|none|+|none~0|none~1|+|none~0|none~1|none~2|", "part 'none' of node 1 should end with '~0'"),
        ("|none~0|+||+|none~0|none~1|none~2|", "node 2"),
    ],
)
def test_bad_strings_name_the_part(text, pattern):
    with pytest.raises(InputError, match=pattern) as error:
        codec.from_string(text)
    assert "allowed: " in str(error.value) and "do: " in str(error.value)
    with pytest.raises(InputError, match=pattern):
        codec.from_string([CHECK_STRING, text])
    with pytest.raises(InputError):
        codec.decode(text)


def test_string_of_the_wrong_type():
    with pytest.raises(InputError, match="7 is no string"):
        codec.from_string([7])


@pytest.mark.parametrize(
    ("ops", "pattern"),
    [
        ((1, 2, 3), "has 3 entries; allowed: a NASLib tuple of 6"),
        ((), "has 0 entries"),
        ((0, 0, 0, 0, 0, 5), r"5 at tuple entry 5 \(2>3\) is out of range; allowed: 0 skip_connect, 1 none"),
        ((0, 0, -1, 0, 0, 0), r"-1 at tuple entry 2 \(0>3\)"),
        ((0.5, 0, 0, 0, 0, 0), "allowed: integers"),
        (("none",) * 6, "allowed: integers"),
        ([(0,) * 6, (0, 0, 9, 0, 0, 0)], "of architecture 1 is out of range"),
        ([(0,) * 6, (0,) * 5], "unequal length"),
        (3, "no entries"),
    ],
)
def test_bad_tuples(ops, pattern):
    with pytest.raises(InputError, match=pattern):
        codec.from_tuple(ops)


@pytest.mark.parametrize(
    ("arch", "pattern"),
    [
        ([0] * 5, r"shape \[5\]; allowed: \[6\] or \[n, 6\]"),
        (np.zeros((2, 2, 6), int), r"shape \[2, 2, 6\]"),
        (3, r"shape \[\]"),
        ([0, 0, 0, 5, 0, 0], r"5 at edge 3 \(0>3\) is out of range; allowed: 0 none, 1 skip_connect"),
        ([[0] * 6, [0, 0, -2, 0, 0, 0]], r"-2 at edge 2 \(1>2\) of architecture 1"),
        (np.zeros(6), "type float64"),
        (np.zeros(6, dtype=bool), "type bool"),
    ],
)
def test_bad_arrays(arch, pattern):
    for function in (codec.check_arch, codec.to_string, codec.to_tuple, codec.to_index, codec.enumeration_index):
        with pytest.raises(InputError, match=pattern):
            function(arch)


@pytest.mark.parametrize(
    ("index", "pattern"),
    [
        (15625, "15625 is no official index of NAS-Bench-201; allowed: 0..15624"),
        (-1, "-1 is no official index"),
        ([3, 99999], "99999 is no official index"),
        (2.0, "2.0 is no official index; allowed: integers"),
        ([[1]], "allowed: integers"),
    ],
)
def test_bad_indices(index, pattern):
    with pytest.raises(InputError, match=pattern):
        codec.from_index(index)
    with pytest.raises(InputError, match=pattern.replace("official", "enumeration")):
        codec.from_enumeration_index(index)


@pytest.mark.parametrize("bad", [None, 1.5, True, CHECK_ARCH, {"a": 1}, b"x"])
def test_decode_refuses_what_is_unclear(bad):
    with pytest.raises(InputError, match=r"does not name an architecture; allowed: .*; do: .*numpy.array"):
        codec.decode(bad)


@pytest.mark.parametrize(
    "bad", ["15625", "(1, 2)", (1, 2), np.zeros(5, int), np.zeros((2, 6), int), (CHECK_TUPLE,) * 2]
)
def test_decode_checks_values(bad):
    with pytest.raises(InputError, match="allowed"):
        codec.decode(bad)
