"""Weights from outside: tensors in PyTorch layout into the variables of a search space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces.base import bind_one
from nasjax.types import InputError, Variables

_PREFIXES = ("module.", "model.")


def from_torch(space: Any, arch: Any, tensors: Mapping[str, Any], *, dtype: Any = None) -> Variables:
    """Reads a PyTorch state of the official network of a space.

    Convolution kernels (out, in, kh, kw) become (kh, kw, in, out), linear weights (out, in) become (in, out).
    Missing running statistics stay at mean 0 and variance 1; ``num_batches_tracked`` is ignored. Slots the
    architecture does not use are zero.

    Args:
      space: space of the same sizes, with ``torch_places`` (see `nasjax.spaces.torch_layout`).
      arch: the architecture the tensors belong to.
      tensors: name -> array, names as in ``state_dict()`` of the official code ("stem.0.weight", ...).
      dtype: floating dtype; by default JAX's default.

    Returns:
      Variables.

    Raises:
      InputError: a tensor is missing, left over or of another shape.
    """
    bound = bind_one(space, arch)
    dtype = jnp.zeros(()).dtype if dtype is None else dtype
    template = jax.eval_shape(lambda: bound.init(jax.random.key(0), arch, dtype=dtype))
    params, stats = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), tuple(template))
    for tree, name in ((params, "scale"), (stats, "var")):
        if name in tree:
            tree[name] = jax.tree.map(np.ones_like, tree[name])
    names = {_clean(n): n for n in tensors if not n.endswith("num_batches_tracked")}
    places = bound.torch_places(arch)
    missing = [n for n in places if n not in names and not n.endswith(("running_mean", "running_var"))]
    extra = [n for n in names if n not in places]
    if missing or extra:
        raise InputError(
            f"The tensors do not belong to {space.encode(np.asarray(arch)[None])[0]} with {space.options}: "
            f"missing {missing[:3]}{'...' if len(missing) > 3 else ''}, "
            f"not expected {extra[:3]}{'...' if len(extra) > 3 else ''}."
        )
    for name, (tree, path, index) in places.items():
        if name in names:
            value = _layout(np.asarray(tensors[names[name]]), name)
            _assign({"params": params, "stats": stats}[tree], path, index, value, name)
    return Variables(jax.tree.map(jnp.asarray, params), jax.tree.map(jnp.asarray, stats))


def _clean(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _layout(value: np.ndarray, name: str) -> np.ndarray:
    if not name.endswith(".weight"):
        return value
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    return value.T if value.ndim == 2 else value


def _assign(tree: Any, path: tuple[Any, ...], index: tuple[Any, ...] | None, value: np.ndarray, name: str) -> None:
    for part in path[:-1]:
        tree = tree[part]
    target = tree[path[-1]]
    shape = target.shape if index is None else target[index].shape
    if shape != value.shape:
        raise InputError(f"{name}: shape {value.shape} after conversion, the space expects {shape}.")
    if not np.isfinite(value).all():
        raise InputError(f"{name}: holds NaN or infinite values.")
    target[... if index is None else index] = value
