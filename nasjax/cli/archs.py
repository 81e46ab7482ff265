"""Which architectures a command works on: ``--archs``."""

from __future__ import annotations

import contextlib
import csv
import difflib
import gzip
import pathlib
import re
import zlib
from typing import Any

import jax
import numpy as np

from nasjax.types import InputError

_LONGEST = 100  # characters of a value in a message
FORMS = "random:N, all, file:PATH, or architectures separated by ';'"
_DRAW = 1024  # architectures of one draw from a space too large to list


def choose(key: jax.Array, space: Any, text: str, *, flag: str = "archs") -> list[str]:
    """Finds the architectures that a user asks for.

    Args:
      key: for ``random:N``.
      space: the search space.
      text: ``random:N`` (distinct ones), ``all``, ``file:PATH`` (an architecture a line, or a CSV file with a
        column ``arch``), or official strings, indices or tuples separated by ';'.
      flag: what messages call the text.

    Returns:
      Official strings, each once, in the order asked for.

    Raises:
      InputError: any part is malformed; the message says which.
    """
    try:
        return _chosen(key, space, text.strip())
    except InputError as error:
        raise InputError(re.sub("^--archs", f"--{flag}", str(error))) from None


def _chosen(key: jax.Array, space: Any, text: str) -> list[str]:
    kind, colon, rest = text.partition(":")
    if kind == "random" or text == "random":
        return _random(key, space, rest)
    if text == "all":
        return list(space.encode(_all(space)))
    if kind == "file" and colon:
        return _decoded(space, _read(rest))
    items = [(f"--archs, architecture {i}", item.strip()) for i, item in enumerate(text.split(";"), 1) if item.strip()]
    if len(items) == 1:
        items = [("--archs", items[0][1])]
    if not items:
        raise InputError(f"--archs={text!r} names no architecture. Allowed: {FORMS}.")
    try:
        return _decoded(space, items)
    except InputError:
        close = difflib.get_close_matches(kind.lower(), ("random", "file", "all"), n=1) if kind.isalpha() else []
        if not close:
            raise
        given, meant = (word[:_LONGEST] for word in (text, f"{close[0]}{colon}{rest}"))
        raise InputError(f"--archs: {given!r}: did you mean {meant}? Allowed: {FORMS}.") from None


def _random(key: jax.Array, space: Any, count: str) -> list[str]:
    """N distinct architectures; a smaller N gives the first of them."""
    wanted = whole_number(count)
    if wanted < 1:
        given = count if len(count) <= _LONGEST else f"{count[:_LONGEST]}..."
        raise InputError(f"--archs=random:{given}: the count must be a whole number of at least 1, as in"
                         " random:64.")
    if hasattr(space, "all"):
        population = _all(space)
        if wanted > len(population):
            raise InputError(f"--archs=random:{wanted}: {space.name} has {len(population):,} architectures. Ask for"
                             " fewer, or use --archs=all.")
        return list(space.encode(population[np.asarray(jax.random.permutation(key, len(population)))[:wanted]]))
    found: dict[str, None] = {}
    for i in range(wanted):
        before = len(found)
        found.update(dict.fromkeys(space.encode(np.asarray(space.sample(jax.random.fold_in(key, i), _DRAW)))))
        if len(found) >= wanted or len(found) - before < _DRAW // 100:
            break
    if len(found) < wanted:
        raise InputError(f"--archs=random:{wanted}: {len(found):,} architectures of {space.name} were found. Ask for"
                         " fewer.")
    return list(found)[:wanted]


def _all(space: Any) -> np.ndarray:
    if not hasattr(space, "all"):
        raise InputError(f"--archs=all: {space.name} is too large to list. Use --archs=random:N.")
    return np.asarray(space.all())


def _read(name: str) -> list[tuple[str, str]]:
    """Pairs of where an architecture stands and how it is written."""
    path = pathlib.Path(name)
    try:
        path = path.expanduser()
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        lines = content.decode("utf-8").splitlines()
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InputError(f"--archs=file:{path}: this is no gzip file, or it is cut short. Copy it again.") from None
    except OSError as error:
        raise InputError(f"--archs=file:{path}: {error.strerror}. Name a text file with an architecture a line, or a"
                         " CSV file with a column arch.") from None
    except (RuntimeError, ValueError) as error:  # no such home directory, no name of a file, or bytes that are no text
        if not isinstance(error, UnicodeDecodeError):
            raise InputError(f"--archs=file:{path}: {error}. Name a text file with an architecture a line.") from None
        raise InputError(f"--archs=file:{path}: this is no text file. Name a text file with an architecture a line, or"
                         " a CSV file with a column arch.") from None
    header = next(csv.reader(lines[:1]), [])
    if len(header) > 1 and "arch" in header or header == ["arch"]:
        rows = csv.DictReader(lines)
        items = [(f"{path}, line {rows.line_num}", (row["arch"] or "").strip()) for row in rows]
    else:
        items = [(f"{path}, line {i}", line.partition("#")[0].strip()) for i, line in enumerate(lines, 1)]
    items = [(where, item) for where, item in items if item]
    if not items:
        raise InputError(f"--archs=file:{path}: the file holds no architecture. Write one a line.")
    return items


def _decoded(space: Any, items: list[tuple[str, str]]) -> list[str]:
    try:
        return list(dict.fromkeys(space.encode(space.decode([value(item) for _, item in items]))))
    except InputError:
        for where, item in items:  # find the one at fault
            try:
                space.decode([value(item)])
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
        raise


def value(text: str) -> Any:
    """What a text stands for: an index, a tuple of numbers, or else the text.

    Args:
      text: an architecture as people write it. Digits with a leading zero are a code, no index.

    Returns:
      What the ``decode`` of a space takes.
    """
    with contextlib.suppress(ValueError):  # more digits than Python reads
        if re.fullmatch(r"-?(0|[1-9]\d*)", text):
            return int(text)
        if re.fullmatch(r"[(\[]?\s*-?\d+(\s*,\s*-?\d+)+\s*,?\s*[)\]]?", text):
            return tuple(int(number) for number in re.findall(r"-?\d+", text))
    return text


def whole_number(text: str) -> int:
    """The number that digits stand for; -1 where they are none, or more than anybody means."""
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else -1
