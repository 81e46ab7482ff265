"""Populations as plain arrays: flattened pytrees whose typed keys travel as words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.types import InputError, PyTree


class Spec(NamedTuple):
    """Structure of a flattened pytree; typed keys travel as raw words with their implementation."""

    treedef: Any
    impls: tuple[str | None, ...]


def flatten(tree: PyTree, what: str) -> tuple[list[Any], Spec]:
    """Flattens to plain arrays: typed keys become their words.

    Args:
      tree: pytree of arrays, numbers and typed keys.
      what: its name, for messages.

    Returns:
      the leaves, and what `unflatten` needs.

    Raises:
      InputError: a leaf is no number, boolean or key.
    """
    leaves, treedef = jax.tree.flatten(tree)
    plain: list[Any] = []
    impls: list[str | None] = []
    for leaf in leaves:
        is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        impls.append(str(jax.random.key_impl(leaf)) if is_key else None)
        plain.append(jax.random.key_data(leaf) if is_key else leaf if isinstance(leaf, jax.Array) else np.asarray(leaf))
        if plain[-1].dtype.kind in "OUSMm":
            raise InputError(
                f"a leaf of the {what} has dtype {plain[-1].dtype}; allowed: numbers, booleans and "
                "typed PRNG keys; do: encode it as an array of numbers."
            )
    return plain, Spec(treedef, tuple(impls))


def unflatten(leaves: Sequence[Any], spec: Spec) -> PyTree:
    """The tree that `flatten` took apart, of leaves of any shape."""
    wrapped = [
        leaf if impl is None else jax.random.wrap_key_data(leaf, impl=impl)
        for leaf, impl in zip(leaves, spec.impls, strict=True)
    ]
    return jax.tree.unflatten(spec.treedef, wrapped)


def population_size(leaves: list[Any]) -> int:
    """Leading size that all leaves share.

    Args:
      leaves: arrays.

    Returns:
      the size, 1 or more.

    Raises:
      InputError: there is none.
    """
    shapes = [tuple(leaf.shape) for leaf in leaves]
    rule = "allowed: arrays with one common leading axis of at least one item"
    if not shapes:
        raise InputError(f"the population holds no array; {rule}; do: pass at least one item.")
    if any(not shape for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
        raise InputError(f"population leaves have shapes {shapes}; {rule}; do: stack every leaf over the items.")
    if shapes[0][0] == 0:
        raise InputError(f"the population has 0 items; {rule}; do: pass at least one item.")
    return shapes[0][0]
