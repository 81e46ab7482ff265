"""Random weights: initialisation laws, and a whole tree drawn by one generator call."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.types import Array, InputError, PyTree

LAWS = ("torch", "kaiming_fan_in", "kaiming_fan_out", "normal")


class Draw(NamedTuple):
    """How one tensor is drawn.

    Attributes:
      shape: of the tensor.
      kind: "uniform" on [-scale, scale], "normal" of deviation scale, or "zeros".
      scale: see above; a number, or an array that broadcasts against the tensor.
    """

    shape: tuple[int, ...]
    kind: str
    scale: Any


def check_law(law: str) -> str:
    """The law, if it is one.

    Args:
      law: name of an initialisation law.

    Returns:
      the name.

    Raises:
      InputError: unknown law.
    """
    if law not in LAWS:
        raise InputError(f"init law {law!r}: allowed are {', '.join(LAWS)}.")
    return law


def is_shape(node: Any) -> bool:
    """Whether a node of a tree is the shape of a tensor."""
    return isinstance(node, tuple) and all(isinstance(v, int) for v in node)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Fan in and fan out of a kernel [..., kh, kw, in, out] or matrix [in, out]."""
    kernel = math.prod(shape[-4:-2]) if len(shape) >= 4 else 1
    return shape[-2] * kernel, shape[-1] * kernel


def weight(shape: tuple[int, ...], law: str, *, fan: tuple[Any, Any] | None = None) -> Draw:
    """A kernel or matrix by a law.

    Args:
      shape: of the tensor, axes (in, out) last.
      law: "torch" (uniform +-1/sqrt(fan_in)), "kaiming_fan_in", "kaiming_fan_out" (normal, variance 2/fan) or
        "normal" (standard normal).
      fan: fan in and fan out where the shape does not tell them; may be traced.

    Returns:
      how it is drawn.
    """
    fan_in, fan_out = fans(shape) if fan is None else fan
    if law == "torch":
        return Draw(shape, "uniform", fan_in**-0.5)
    scales = {"kaiming_fan_in": (2 / fan_in) ** 0.5, "kaiming_fan_out": (2 / fan_out) ** 0.5, "normal": 1.0}
    return Draw(shape, "normal", scales[law])


def bias(size: int, fan_in: Any, law: str) -> Draw:
    """The bias of a layer: as torch draws it, or zero.

    Args:
      size: number of outputs.
      fan_in: number of inputs; may be traced.
      law: initialisation law of the weights.

    Returns:
      how it is drawn.
    """
    return Draw((size,), "uniform", fan_in**-0.5) if law == "torch" else Draw((size,), "zeros", 0.0)


def draw(key: Array, tree: PyTree, dtype: Any) -> PyTree:
    """Draws a tree of tensors, with one generator call for each kind.

    A generator a tensor would make up most of the compile time.

    Args:
      key: typed key.
      tree: tree of `Draw`.
      dtype: floating dtype.

    Returns:
      tree of arrays.
    """
    leaves, structure = jax.tree.flatten(tree, is_leaf=lambda node: isinstance(node, Draw))
    kinds = sorted({leaf.kind for leaf in leaves} - {"zeros"})
    # Equal bits would make the kinds depend on each other.
    keys = [key] if len(kinds) == 1 else list(jax.random.split(key, len(kinds)))
    arrays = {i: jnp.zeros(leaf.shape, dtype) for i, leaf in enumerate(leaves) if leaf.kind == "zeros"}
    for kind, own in zip(kinds, keys, strict=True):
        chosen = [i for i, leaf in enumerate(leaves) if leaf.kind == kind]
        counts = [math.prod(leaves[i].shape) for i in chosen]
        if kind == "uniform":
            flat = jax.random.uniform(own, (sum(counts),), dtype, -1.0, 1.0)
        else:
            flat = jax.random.normal(own, (sum(counts),), dtype)
        for i, part in zip(chosen, jnp.split(flat, np.cumsum(counts)[:-1]), strict=True):
            arrays[i] = part.reshape(leaves[i].shape) * leaves[i].scale
    return jax.tree.unflatten(structure, [arrays[i] for i in range(len(leaves))])


def norms(shapes: PyTree, dtype: Any) -> tuple[PyTree, PyTree]:
    """Vectors of fresh batch norms: ``({"scale", "shift"}, {"mean", "var"})``, ones where they multiply.

    Args:
      shapes: tree of shapes, one a norm.
      dtype: floating dtype.

    Returns:
      parameters and running statistics.
    """
    ones, zeros = (jax.tree.map(lambda s, f=f: f(s, dtype), shapes, is_leaf=is_shape) for f in (jnp.ones, jnp.zeros))
    return {"scale": ones, "shift": zeros}, {"mean": zeros, "var": ones}
