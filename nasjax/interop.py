"""Weights from outside: tensors in PyTorch layout into the variables of a search space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.types import InputError, Variables

_PREFIXES = ("module.", "model.")
_NORM_FIELDS = {
    "weight": ("params", "scale"),
    "bias": ("params", "shift"),
    "running_mean": ("stats", "mean"),
    "running_var": ("stats", "var"),
}


def from_torch(space: Any, arch: Any, tensors: Mapping[str, Any], *, dtype: Any = None) -> Variables:
    """Reads a PyTorch state of the AutoDL NAS-Bench-201 network.

    Convolution kernels (out, in, kh, kw) become (kh, kw, in, out), linear weights (out, in) become (in, out).
    Missing running statistics stay at mean 0 and variance 1; ``num_batches_tracked`` is ignored. Slots the
    architecture does not use are zero.

    Args:
      space: ``nasbench201`` space of the same sizes.
      arch: int [6], the architecture the tensors belong to.
      tensors: name -> array, names as in ``state_dict()`` of the official code ("stem.0.weight", ...).
      dtype: floating dtype; by default JAX's default.

    Returns:
      Variables.

    Raises:
      InputError: a tensor is missing, left over or of another shape.
    """
    arch = np.asarray(space.decode(np.asarray(arch)))[0]
    dtype = jnp.zeros(()).dtype if dtype is None else dtype
    template = jax.eval_shape(lambda: space.init(jax.random.key(0), arch, dtype=dtype))
    params, stats = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), tuple(template))
    params["scale"] = jax.tree.map(np.ones_like, params["scale"])
    stats["var"] = jax.tree.map(np.ones_like, stats["var"])
    names = {_clean(n): n for n in tensors if not n.endswith("num_batches_tracked")}
    places = _places(space, arch)
    missing = [n for n in places if n not in names and not n.endswith(("running_mean", "running_var"))]
    extra = [n for n in names if n not in places]
    if missing or extra:
        raise InputError(
            f"The tensors do not belong to {space.encode(arch)[0]} with {space.cells} cells a stage: "
            f"missing {missing[:3]}{'...' if len(missing) > 3 else ''}, "
            f"not expected {extra[:3]}{'...' if len(extra) > 3 else ''}."
        )
    for name, (tree, path, index) in places.items():
        if name in names:
            value = _layout(np.asarray(tensors[names[name]]))
            _assign({"params": params, "stats": stats}[tree], path, index, value, name)
    return Variables(jax.tree.map(jnp.asarray, params), jax.tree.map(jnp.asarray, stats))


def _clean(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _layout(value: np.ndarray) -> np.ndarray:
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    return value.T if value.ndim == 2 else value


def _assign(tree: Any, path: tuple[Any, ...], index: tuple[int, ...] | None, value: np.ndarray, name: str) -> None:
    for part in path[:-1]:
        tree = tree[part]
    target = tree[path[-1]]
    shape = target.shape if index is None else target[index].shape
    if shape != value.shape:
        raise InputError(f"{name}: shape {value.shape} after conversion, the space expects {shape}.")
    if not np.isfinite(value).all():
        raise InputError(f"{name}: holds NaN or infinite values.")
    target[... if index is None else index] = value


Place = tuple[str, tuple[Any, ...], tuple[int, ...] | None]


def _places(space: Any, arch: np.ndarray) -> dict[str, Place]:
    """Where every tensor of the official network goes: name -> (tree, path, index)."""
    places: dict[str, Place] = {}

    def weight(name: str, *path: Any, index: tuple[int, ...] | None = None) -> None:
        places[f"{name}.weight"] = ("params", ("weights", *path), index)

    def norm(name: str, *path: Any, index: tuple[int, ...] | None = None) -> None:
        for field, (tree, kind) in _NORM_FIELDS.items():
            places[f"{name}.{field}"] = (tree, (kind, *path), index)

    weight("stem.0", "stem")
    norm("stem.1", "stem")
    block = 0
    for s in range(3):
        for c in range(space.cells):
            for e, op in enumerate(arch):
                if op in (2, 3):
                    name = f"cells.{block}.layers.{e}.op"
                    weight(f"{name}.1", "stages", s, "pointwise" if op == 2 else "kernel", index=(c, e))
                    norm(f"{name}.2", "stages", s, index=(c, e))
            block += 1
        if s < 2:
            for part in ("conv_a", "conv_b"):
                weight(f"cells.{block}.{part}.op.1", "reductions", s, part)
                norm(f"cells.{block}.{part}.op.2", "reductions", s, part)
            weight(f"cells.{block}.downsample.1", "reductions", s, "shortcut")
            block += 1
    norm("lastact.0", "head")
    weight("classifier", "head")
    places["classifier.bias"] = ("params", ("bias",), None)
    return places


