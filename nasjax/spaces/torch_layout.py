"""Names of an official PyTorch network's tensors, and where each goes in the variables of a space.

A space that can read official weights offers ``torch_places(arch) -> dict[str, Place]``; `nasjax.interop`
does the rest.
"""

from __future__ import annotations

from typing import Any

Index = tuple[Any, ...] | None
Place = tuple[str, tuple[Any, ...], Index]  # tree ("params" or "stats"), path in it, index into the leaf

_NORM_FIELDS = {
    "weight": ("params", "scale"),
    "bias": ("params", "shift"),
    "running_mean": ("stats", "mean"),
    "running_var": ("stats", "var"),
}


def weight(name: str, *path: Any, index: Index = None) -> dict[str, Place]:
    """The kernel of a convolution or linear layer, at ``params["weights"]`` and further by ``path``.

    Args:
      name: module name.
      *path: keys into the tree.
      index: part of the leaf; all of it by default.

    Returns:
      tensor name -> place.
    """
    return {f"{name}.weight": ("params", ("weights", *path), index)}


def norm(name: str, *path: Any, index: Index = None) -> dict[str, Place]:
    """The vectors of a batch norm: scale and shift among the parameters, mean and variance among the statistics.

    Args:
      name: module name.
      *path: keys into each of the four trees.
      index: part of the leaf; all of it by default.

    Returns:
      tensor name -> place.
    """
    return {f"{name}.{field}": (tree, (kind, *path), index) for field, (tree, kind) in _NORM_FIELDS.items()}
