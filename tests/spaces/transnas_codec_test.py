"""Tests of nasjax.spaces.transnas_codec."""

import itertools

import numpy as np
import pytest

from nasjax.spaces import transnas_codec as codec
from nasjax.types import InputError


def test_the_macro_space_by_hand():
    def inside(code):
        doubled, halved = sum(d in "24" for d in code), sum(d in "34" for d in code)
        return 1 <= doubled <= 3 and 1 <= halved <= 4

    expected = ["".join(c) for n in (4, 5, 6) for c in itertools.product("1234", repeat=n) if inside(c)]
    found = codec.macro_to_string(codec.all_macro())
    assert len(found) == 3256 == 210 + 750 + 2296
    assert found == [f"64-{code}-basic" for code in expected]


def test_micro_codes_both_ways():
    cells = np.array(list(itertools.product(range(4), repeat=6)), np.int32)
    codes = codec.micro_to_string(cells)
    assert len(set(codes)) == 4096
    np.testing.assert_array_equal(codec.decode_micro(codes, 64), cells)
    # The example of the benchmark: node 2 is none(node 0) + conv1x1(node 1).
    assert codec.decode_micro("64-41414-1_02_333", 64).tolist() == [[1, 0, 2, 3, 3, 3]]


def test_macro_codes_both_ways():
    everything = codec.all_macro()
    np.testing.assert_array_equal(codec.decode_macro(codec.macro_to_string(everything), 64), everything)
    assert codec.decode_macro("64-1234-basic", 64).tolist() == [[1, 2, 3, 4, 0, 0]]


@pytest.mark.parametrize(
    "form",
    [
        "16-41414-1_02_333",
        "1_02_333",
        "102333",
        (1, 0, 2, 3, 3, 3),
        np.array([1, 0, 2, 3, 3, 3]),
        ["102333"],
        [102333],
        102333,
    ],
)
def test_forms_of_a_micro_code(form):
    assert codec.decode_micro(form, 16).tolist() == [[1, 0, 2, 3, 3, 3]]


@pytest.mark.parametrize(
    "form", ["16-4411-basic", "4411", "441100", [4411], [441100], (4, 4, 1, 1, 0, 0), [np.array([4, 4, 1, 1, 0, 0])]]
)
def test_forms_of_a_macro_code(form):
    assert codec.decode_macro(form, 16).tolist() == [[4, 4, 1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("code", "match"),
    [
        ("64-41414-1_02_33", "not of the form '1_02_333'"),
        ("64-41414-1_02_334", "operation 4 at edge 5"),
        ("64-14141-1_02_333", "skeleton '14141'"),
        ("32-41414-1_02_333", "base width '32'.*channels"),
        ("64-41414", "2 parts"),
        ([3], "'3' is not of the form '1_02_333'"),
        ([3.5], "does not name"),
        ((1, 0, 2), r"shape \[3\]"),
        ([np.array([0.5] * 6)], "float64"),
        ([], "no architecture given"),
    ],
)
def test_bad_micro_codes(code, match):
    with pytest.raises(InputError, match=match):
        codec.decode_micro(code, 64)


@pytest.mark.parametrize(
    ("code", "match"),
    [
        ("64-1234-bottleneck", "cell 'bottleneck'"),
        ("64-12a4-basic", "skeleton '12a4'"),
        ("64-1234567-basic", "'1234567'"),
        ("124", "3 modules are too few"),
        ("1254", "digit 5"),
        ("1111", "0 modules double"),
        ("2224442", "not of the form"),
        ("222422", "6 modules double the channels"),
        ("1112", "0 modules halve"),
        ("433331", "5 modules halve"),
        (np.array([1, 2, 0, 3, 4, 1]), "digit 0"),
    ],
)
def test_bad_macro_codes(code, match):
    with pytest.raises(InputError, match=match):
        codec.decode_macro(code, 64)
