"""What a user gives: functions and parameters, and how they are told from another model."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.hashing import array_fingerprint, fingerprint
from nasjax.own_model import refusals
from nasjax.types import Array, InputError, PyTree

Architecture = tuple[Any, ...]  # the leaves of the parameters


class Model(NamedTuple):
    """A model of one's own.

    Attributes:
      apply_fn: ``apply_fn(params, images) -> logits`` or a tuple that starts with them; images float
        [batch, height, width, channels], logits float [batch, classes]. Any JAX function of any number of images.
      params: pytree of arrays. Of a mapping with a key "params", as Flax Linen makes it, what lies under that key
        is trained and the rest is state; otherwise every floating array is trained.
      init_fn: ``init_fn(key) -> params``, random parameters anew.
      features_fn: ``features_fn(params, images) -> list`` of feature maps float [batch, ..., channels] in forward
        order, each a function of the one before; the first is behind the stem.
      norm_free_fn: as ``apply_fn``, the model without its batch norms.
      loss_fn: ``loss_fn(logits, targets) -> mean loss`` in place of the cross-entropy.
    """

    apply_fn: Callable[[PyTree, Array], Any]
    params: PyTree
    init_fn: Callable[[Array], PyTree] | None = None
    features_fn: Callable[[PyTree, Array], Sequence[Array]] | None = None
    norm_free_fn: Callable[[PyTree, Array], Any] | None = None
    loss_fn: Callable[[Array, Array], Array] | None = None


class Leaves(NamedTuple):
    """Parameters as a list.

    Attributes:
      arrays: NumPy or JAX arrays.
      structure: of the tree.
      names: a path each.
      trainable: which are trained.
    """

    arrays: tuple[Any, ...]
    structure: Any
    names: tuple[str, ...]
    trainable: tuple[bool, ...]


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, eq=False)
class Population:
    """Parameters of models of one program; the parameters travel to it as data.

    Attributes:
      leaves: arrays with a leading axis of models.
      encodings: name of each.
    """

    leaves: tuple[Any, ...]
    encodings: tuple[str, ...]

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """The arrays alone: names must not decide what is compiled."""
        return self.leaves, None

    @classmethod
    def tree_unflatten(cls, aux: None, leaves: Any) -> Architecture:
        """One model's leaves: inside a program there is one model."""
        del aux
        return tuple(leaves)

    def __len__(self) -> int:
        """Number of models."""
        return len(self.encodings)

    def __getitem__(self, index: Any) -> Any:
        """One model's leaves, or some of the population."""
        leaves = tuple(leaf[index] for leaf in self.leaves)
        if np.ndim(index) == 0:
            return leaves
        return Population(leaves, tuple(np.asarray(self.encodings, object)[index].tolist()))


def flatten(params: PyTree) -> Leaves:
    """The parameters as a list.

    Raises:
      InputError: a leaf is no array, or none is floating.
    """
    found, structure = jax.tree_util.tree_flatten_with_path(params)
    names = tuple(_name(path) for path, _ in found)
    for name, (_, leaf) in zip(names, found, strict=True):
        if not isinstance(leaf, (jax.Array, np.ndarray, np.generic, float, int)):
            raise InputError(
                f"own model: params holds {type(leaf).__name__} at {name!r}; allowed are trees of arrays. Of a Flax "
                "NNX module take nnx.split(model, nnx.Param, ...)."
            )
    # Values a user can set to an array of their own dtype stay what they are.
    arrays = tuple(leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for _, leaf in found)
    linen = isinstance(params, Mapping) and "params" in params
    trainable = tuple(
        bool(jnp.issubdtype(array.dtype, jnp.floating)) and (not linen or _collection(path) == "params")
        for array, (path, _) in zip(arrays, found, strict=True)
    )
    if not any(trainable):
        raise InputError("own model: params holds no floating array, so there is nothing to score.")
    return Leaves(arrays, structure, names, trainable)


def shapes(arrays: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
    """Shapes and dtypes as JAX will hold the arrays."""
    return [jax.ShapeDtypeStruct(a.shape, _dtype(a.dtype)) for a in arrays]


def traceable(model: Model, leaves: Leaves, which: str) -> Callable[..., Any]:
    """A function of the model on flat parameters, whose results are a list of arrays.

    Args:
      model: functions.
      leaves: structure of the parameters.
      which: "apply", "norm_free" or "features".

    Returns:
      (list of leaves, images) -> list of arrays.
    """
    function = {"apply": model.apply_fn, "norm_free": model.norm_free_fn, "features": model.features_fn}[which]
    assert function is not None

    def run(flat: Sequence[Any], images: Array) -> list[Array]:
        found = function(jax.tree.unflatten(leaves.structure, flat), images)
        return refusals.check_output(which, found, images.shape[0])

    return run


def same_structure(leaves: Leaves, params: PyTree) -> bool:
    """Whether a tree of shapes or arrays has the structure and shapes of the parameters."""
    others, structure = jax.tree.flatten(params)
    return structure == leaves.structure and all(a.shape == b.shape for a, b in zip(leaves.arrays, others, strict=True))


def program_text(closed: Any) -> str:
    """A stable description of a traced function, constants included."""
    text = re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr))
    constants = [array_fingerprint(_plain(c)) if hasattr(c, "dtype") else repr(c) for c in closed.consts]
    return fingerprint([text, constants])


def params_text(leaves: Leaves) -> str:
    """A stable description of parameter values."""
    return fingerprint([list(leaves.names), [array_fingerprint(_plain(a)) for a in leaves.arrays]])


def _plain(array: Any) -> np.ndarray:
    key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(array) if key else array)


def _dtype(dtype: Any) -> Any:
    key = jnp.issubdtype(dtype, jax.dtypes.prng_key)
    return dtype if key else jax.dtypes.canonicalize_dtype(dtype)


def _name(path: Sequence[Any]) -> str:
    return "/".join(_part(entry) for entry in path)


def _part(entry: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)


def _collection(path: Sequence[Any]) -> str:
    return _part(path[0])
