"""Tests of nasjax.hashing."""

import dataclasses
import hashlib
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from nasjax.hashing import array_fingerprint, fingerprint, stable_words


@dataclasses.dataclass(frozen=True)
class _Config:
    width: int = 3
    name: str = "a"


@dataclasses.dataclass(frozen=True)
class _Other:
    width: int = 3
    name: str = "a"


@pytest.mark.parametrize("text", ["", "|none~0|", "äöü", "a" * 1000])
def test_stable_words_are_the_head_of_sha256(text):
    words = stable_words(text)
    assert words.dtype == np.uint32 and words.shape == (2,)
    digest = hashlib.sha256(text.encode()).digest()
    assert int(words[0]) == int.from_bytes(digest[:4], "little")
    assert int(words[1]) == int.from_bytes(digest[4:8], "little")


def test_stable_words_known_value():
    assert stable_words("abc").tolist() == [0xBF1678BA, 0xEACF018F]


def test_stable_words_make_a_key():
    words = stable_words("|none~0|")
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), words[0]), words[1])
    assert key.shape == ()


def test_hashes_do_not_depend_on_the_process():
    code = "from nasjax.hashing import *; print(stable_words('x').tolist(), fingerprint({'b': 1, 'a': [2.5, None]}))"
    env = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert out.stdout.strip() == f"{stable_words('x').tolist()} {fingerprint({'a': [2.5, None], 'b': 1})}"


def test_fingerprint_is_sha256_of_canonical_json():
    expected = hashlib.sha256(b'{"a":1,"b":[true,null]}').hexdigest()
    assert fingerprint({"b": (True, None), "a": 1}) == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}),
        ((1, 2), [1, 2]),
        (np.float64(0.5), 0.5),
        (np.int32(4), 4),
        (_Config(), _Config(width=3)),
        ({"a": np.arange(3)}, {"a": np.arange(3)}),
        (float("nan"), float("nan")),
    ],
)
def test_fingerprint_equal(a, b):
    assert fingerprint(a) == fingerprint(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"x": 1}, {"x": 2}),
        (1, True),
        (1, "1"),
        (None, "null"),
        (_Config(), _Config(name="b")),
        (_Config(), _Other()),
        (np.arange(3), np.arange(4)),
        ([1, [2]], [[1], 2]),
    ],
)
def test_fingerprint_different(a, b):
    assert fingerprint(a) != fingerprint(b)


@pytest.mark.parametrize("bad", [{1, 2}, len, {1: "a"}, object(), _Config, [b"x"]])
def test_fingerprint_refuses_what_has_no_stable_form(bad):
    with pytest.raises(TypeError, match="cannot fingerprint"):
        fingerprint(bad)


def test_array_fingerprint_ignores_layout_and_byte_order():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = array_fingerprint(array)
    assert array_fingerprint(np.asfortranarray(array)) == expected
    assert array_fingerprint(array.astype(">f4")) == expected
    assert array_fingerprint(jax.numpy.asarray(array)) == expected
    assert len(expected) == 64


def test_array_fingerprint_sees_content_shape_dtype_and_order():
    a, b = np.arange(6, dtype=np.int32), np.arange(6, dtype=np.int32) + 1
    prints = {
        array_fingerprint(a),
        array_fingerprint(b),
        array_fingerprint(a.reshape(2, 3)),
        array_fingerprint(a.astype(np.int64)),
        array_fingerprint(a.astype(np.uint32)),
        array_fingerprint(a, b),
        array_fingerprint(b, a),
        array_fingerprint(a[:3], a[3:]),
        array_fingerprint(),
    }
    assert len(prints) == 9


def test_array_fingerprint_of_short_floats():
    array = jax.numpy.ones(3, dtype=jax.numpy.bfloat16)
    assert array_fingerprint(array) != array_fingerprint(array.astype(jax.numpy.float16))


def test_array_fingerprint_refuses_objects():
    with pytest.raises(TypeError, match="object"):
        array_fingerprint(np.array([{}], dtype=object))
