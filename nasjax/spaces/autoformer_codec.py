"""Encodings of AutoFormer architectures.

Inside the library an architecture is int32 [2 + 2 D], D the largest depth of the space: embedding width, depth,
attention heads of each block, ten times the MLP ratio of each block. Blocks beyond the depth hold zeros.

The official code (microsoft/Cream) passes candidates as a tuple (depth, ratios..., heads..., width), whose text is
the encoding that scores are kept by; tables and checkpoints use dictionaries.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax.types import InputError

_KEYS = {
    "embed_dim": ("embed_dim", "hidden_dim", "arch_hidden_dim"),
    "depth": ("depth", "layer_num", "arch_depth"),
    "mlp_ratio": ("mlp_ratio", "arch_mlp_ratio"),
    "num_heads": ("num_heads", "arch_num_heads"),
}


class Choices(NamedTuple):
    """What an architecture chooses from; every tuple increases.

    Attributes:
      embed_dims: widths of the embedding, shared by all blocks.
      depths: numbers of blocks.
      heads: attention heads of a block.
      tenths: ten times the MLP ratio of a block.
    """

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    tenths: tuple[int, ...]

    @property
    def slots(self) -> int:
        """Blocks of the deepest architecture, D."""
        return self.depths[-1]

    @property
    def ratios(self) -> tuple[float, ...]:
        """MLP ratios as numbers."""
        return tuple(t / 10 for t in self.tenths)


class Parts(NamedTuple):
    """Named views of a stack of architectures.

    Attributes:
      embed_dim: int [...].
      depth: int [...].
      heads: int [..., D]; 0 beyond the depth.
      tenths: int [..., D]; 0 beyond the depth.
    """

    embed_dim: Any
    depth: Any
    heads: Any
    tenths: Any


def split(arch: Any) -> Parts:
    """Parts of an architecture, int [..., 2 + 2 D]; works on NumPy and JAX arrays, traced ones too."""
    slots = (arch.shape[-1] - 2) // 2
    return Parts(arch[..., 0], arch[..., 1], arch[..., 2 : 2 + slots], arch[..., 2 + slots :])


def check(choices: Choices, archs: Any) -> np.ndarray:
    """Checks architectures in the library's own form.

    Args:
      choices: of the space.
      archs: integers [2 + 2 D] or [n, 2 + 2 D].

    Returns:
      int32 array of the same shape.

    Raises:
      InputError: wrong shape or type, or a value the space does not have; names the block.
    """
    array = np.asarray(archs)
    if array.ndim not in (1, 2) or array.shape[-1] != 2 + 2 * choices.slots:
        raise InputError(
            f"architecture of shape {list(array.shape)}; allowed: [{2 + 2 * choices.slots}] or [n, "
            f"{2 + 2 * choices.slots}] (width, depth, {choices.slots} heads, {choices.slots} tenths of MLP ratios)"
        )
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"architecture of type {array.dtype}; allowed: integers; do: convert it, or use decode")
    for row in np.atleast_2d(array):
        parts = split(row)
        depth = int(parts.depth)
        ends = parts.heads[depth:].any() or parts.tenths[depth:].any()
        ratios = (parts.tenths[:depth] / 10).tolist()
        _check_values(choices, int(parts.embed_dim), depth, ratios, parts.heads[:depth].tolist())
        if ends:
            raise InputError(f"architecture {row.tolist()} has blocks beyond its depth {depth}; allowed there: zeros")
    return array.astype(np.int32)


def decode(choices: Choices, encoding: Any) -> np.ndarray:
    """One architecture of any encoding.

    Args:
      choices: of the space.
      encoding: the official tuple (depth, ratios..., heads..., width); a dictionary or table row with width, depth,
        ratios and heads under the names of the official configurations ("embed_dim", "layer_num", "mlp_ratio",
        "num_heads") or of ViT-Bench-101 ("arch_hidden_dim", ...), other keys ignored; the text of either; or an
        integer array in the library's own form.

    Returns:
      int32 [2 + 2 D].

    Raises:
      InputError: it is none of these, or not in the space.

    Examples:
      >>> decode(Choices((192,), (2,), (3, 4), (35, 40)), "(2, 3.5, 4.0, 3, 4, 192)").tolist()
      [192, 2, 3, 4, 35, 40]
    """
    if hasattr(encoding, "__array__") and not isinstance(encoding, Mapping) and not hasattr(encoding, "keys"):
        array = check(choices, encoding)
        if array.ndim != 1:
            raise InputError(f"{array.shape[0]} architectures; allowed here: one; do: decode them one by one")
        return array
    if isinstance(encoding, str):
        try:
            encoding = ast.literal_eval(encoding.strip())
        except (ValueError, SyntaxError):
            raise InputError(
                f"{encoding!r} is no AutoFormer architecture; allowed: {example(choices)}, or a dictionary with "
                "embed_dim, depth, mlp_ratio and num_heads"
            ) from None
    if isinstance(encoding, Mapping) or hasattr(encoding, "keys"):
        values = _from_mapping(encoding)
    elif isinstance(encoding, tuple | list):
        values = _from_tuple(choices, encoding)
    else:
        raise InputError(f"{encoding!r} is no AutoFormer architecture; allowed: {example(choices)}, or a dictionary")
    _check_values(choices, *values)
    width, depth, ratios, heads = values
    blank = [0] * (choices.slots - int(depth))
    return np.array([width, depth, *heads, *blank, *(round(10 * r) for r in ratios), *blank], np.int32)


def to_tuple(arch: Any) -> tuple[float, ...]:
    """The official tuple (depth, ratios..., heads..., width) of one architecture int [2 + 2 D].

    Examples:
      >>> to_tuple([192, 2, 3, 4, 0, 35, 40, 0])
      (2, 3.5, 4.0, 3, 4, 192)
    """
    width, depth, ratios, heads = _values(arch)
    return (depth, *ratios, *heads, width)


def to_text(arch: Any) -> str:
    """Text of the official tuple, the encoding that scores are kept by."""
    return str(to_tuple(arch))


def to_dict(arch: Any) -> dict[str, Any]:
    """The form of ViT-Bench-101: hidden_dim, mlp_ratio, depth, num_heads."""
    width, depth, ratios, heads = _values(arch)
    return {"hidden_dim": width, "mlp_ratio": ratios, "depth": depth, "num_heads": heads}


def _values(arch: Any) -> tuple[int, int, list[float], list[int]]:
    parts = split(np.asarray(arch))
    depth = int(parts.depth)
    return int(parts.embed_dim), depth, (parts.tenths[:depth] / 10).tolist(), parts.heads[:depth].tolist()


def example(choices: Choices) -> str:
    """The official tuple of the space, as messages show it."""
    depth = choices.depths[0]
    ratios, heads = f"{choices.ratios[0]}, ...", f"{choices.heads[0]}, ..."
    return f"'({depth}, {ratios}, {heads}, {choices.embed_dims[0]})' with {depth} ratios and {depth} numbers of heads"


def _from_tuple(choices: Choices, encoding: Sequence[Any]) -> tuple[int, int, list[float], list[int]]:
    depth: Any = encoding[0] if len(encoding) else None
    if not _is_whole(depth) or len(encoding) != 2 + 2 * int(depth):
        raise InputError(
            f"{tuple(encoding)!r} has {len(encoding)} entries; allowed: depth, as many MLP ratios, as many numbers of "
            f"heads, and the width, as in {example(choices)}"
        )
    depth = int(depth)
    return encoding[-1], depth, list(encoding[1 : 1 + depth]), list(encoding[1 + depth : 1 + 2 * depth])


def _from_mapping(encoding: Any) -> tuple[Any, Any, list[Any], list[Any]]:
    found = {}
    for name, keys in _KEYS.items():
        present = [key for key in keys if key in encoding]
        if len(present) != 1:
            have, allowed = ", ".join(map(str, encoding.keys())), " or ".join(keys)
            raise InputError(f"architecture with the keys {have}; allowed: {name} once, under {allowed}")
        found[name] = _read(present[0], encoding[present[0]])
    for name in ("mlp_ratio", "num_heads"):
        if not hasattr(found[name], "__iter__"):
            raise InputError(f"{name}={found[name]!r}; allowed: a list with one number for each block")
    width = found["embed_dim"]
    if isinstance(width, Sequence | np.ndarray):  # the official configuration repeats it for every block
        if len(set(width)) != 1:
            raise InputError(f"embed_dim={list(width)}; allowed: one width for all blocks")
        width = width[0]
    return width, found["depth"], list(found["mlp_ratio"]), list(found["num_heads"])


def _read(key: str, value: Any) -> Any:
    """A value of a dictionary, or what its text stands for."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise InputError(f"{key}={value!r} is no number or list of numbers; allowed: one, as in '[3, 4]'") from None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and float(value).is_integer()


def _check_values(choices: Choices, width: Any, depth: Any, ratios: Sequence[Any], heads: Sequence[Any]) -> None:
    for name, value, allowed in (("width", width, choices.embed_dims), ("depth", depth, choices.depths)):
        if not _is_whole(value) or int(value) not in allowed:
            raise InputError(f"{name} {value!r} is not in the space; allowed: {', '.join(map(str, allowed))}")
    for name, values, among in (("MLP ratios", ratios, choices.ratios), ("numbers of heads", heads, choices.heads)):
        if len(values) != depth:
            raise InputError(f"{len(values)} {name} for depth {depth}; allowed: one for each of the {depth} blocks")
        for block, value in enumerate(values):
            if value not in among:
                raise InputError(
                    f"{name}: {value!r} in block {block} is not in the space; allowed: {', '.join(map(str, among))}; "
                    "do: choose one of them, or widen the space by its options heads and mlp_ratios"
                )
