"""Stable hashes: the same on every machine, in every process and in every run.

Python's own ``hash`` of a string is salted per process, so nothing here uses it. Keys of random
numbers, names of stored results and identities of data sets all come from SHA-256.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np


def stable_words(text: str) -> np.ndarray:
    """Two 32-bit words that identify a text.

    Meant for ``jax.random.fold_in``: the random numbers of an architecture then depend on its
    encoding and on nothing else (neither its position nor its neighbours in a population).

    Args:
      text: any string, hashed as UTF-8.

    Returns:
      uint32 [2], the first eight bytes of the SHA-256 digest read as little-endian words.

    Examples:
      >>> stable_words("").tolist()
      [1120186595, 337443992]
    """
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return np.frombuffer(digest[:8], dtype="<u4").astype(np.uint32)


def fingerprint(obj: Any) -> str:
    """SHA-256 of a configuration.

    The object is written as JSON with sorted keys and no blanks. Dataclasses count with their
    class name, arrays with their dtype, shape and content. Tuples equal lists, NumPy scalars equal
    the Python numbers of the same value, and the order of keys does not matter.

    Args:
      obj: nested mappings with string keys, lists, tuples, dataclasses, strings, numbers, booleans,
        ``None``, NumPy scalars and arrays.

    Returns:
      64 lower-case hexadecimal digits.

    Raises:
      TypeError: if something in ``obj`` has no stable description (a set, a function, ...).

    Examples:
      >>> fingerprint({"a": 1, "b": (2, 3)}) == fingerprint({"b": [2, 3], "a": 1})
      True
    """
    text = json.dumps(_plain(obj), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def array_fingerprint(*arrays: Any) -> str:
    """SHA-256 of arrays: dtype, shape and content of each, in the order given.

    Byte order and memory layout of the input do not matter.

    Args:
      *arrays: anything ``numpy.asarray`` turns into a numeric, boolean or fixed-width text array.

    Returns:
      64 lower-case hexadecimal digits.

    Raises:
      TypeError: if an array holds Python objects, whose bytes are addresses and not content.
    """
    digest = hashlib.sha256()
    for value in arrays:
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"cannot fingerprint an array of dtype {array.dtype}; convert it to numbers or text first")
        # Header with lengths, so that no two sequences of arrays share one byte stream.
        digest.update(f"{array.dtype.name}{list(array.shape)};".encode("ascii"))
        if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big"):
            array = array.astype(array.dtype.newbyteorder("<"))
        digest.update(array.tobytes(order="C"))
    return digest.hexdigest()


def _plain(obj: Any) -> Any:
    """Turns an object into what ``json`` can write; keeps distinct things distinct."""
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    if isinstance(obj, np.generic):
        return _plain(obj.item())
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        fields = {field.name: _plain(getattr(obj, field.name)) for field in dataclasses.fields(obj)}
        return {"dataclass": type(obj).__qualname__, "fields": fields}
    if isinstance(obj, Mapping):
        bad = [key for key in obj if not isinstance(key, str)]
        if bad:
            raise TypeError(f"cannot fingerprint a mapping with the key {bad[0]!r}; use strings as keys")
        return {key: _plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [_plain(value) for value in obj]
    if hasattr(obj, "__array__"):
        return {"array": array_fingerprint(obj)}
    raise TypeError(f"cannot fingerprint {obj!r} of type {type(obj).__name__}; it has no stable description")
