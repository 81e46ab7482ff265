"""Parameters of AutoFormer networks: slots of the largest size, masks, initialisation, inheritance from a supernet."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from nasjax.spaces import initial
from nasjax.spaces.autoformer_codec import Choices, split
from nasjax.spaces.autoformer_cost import Sizes
from nasjax.types import Array, InputError, PyTree

_DEVIATION = 0.02  # the official truncated normal cuts at 100 deviations, so it is a normal one


def hidden_sizes(choices: Choices, embed_dim: int) -> tuple[int, ...]:
    """Hidden units of the MLP for each ratio."""
    return tuple(embed_dim * t // 10 for t in choices.tenths)


def shapes(choices: Choices, sizes: Sizes, embed_dim: int) -> dict[str, PyTree]:
    """Shapes of all parameters: weights, biases, norms ("scale", "shift") and embeddings ("tokens").

    ``qkv`` has queries, keys and values one after the other, each with room for the most heads.
    """
    d, e, a = choices.slots, embed_dim, choices.heads[-1] * sizes.head_dim
    f = hidden_sizes(choices, e)[-1]
    table = (d, sizes.table_rows, sizes.head_dim)
    norms = {"attention": (d, e), "mlp": (d, e), "head": (e,)}
    return {
        "weights": {
            "patch": (sizes.patch_size, sizes.patch_size, sizes.in_channels, e),
            "qkv": (d, e, 3 * a),
            "proj": (d, a, e),
            "fc1": (d, e, f),
            "fc2": (d, f, e),
            "head": (e, sizes.num_classes),
        },
        "bias": {
            "patch": (e,),
            "qkv": (d, 3 * a),
            "proj": (d, e),
            "fc1": (d, f),
            "fc2": (d, e),
            "head": (sizes.num_classes,),
        },
        "scale": norms,
        "shift": norms,
        "tokens": {
            "token": (1, 1, e),
            "position": (1, sizes.patches + 1, e),
            "key_vertical": table,
            "key_horizontal": table,
            "value_vertical": table,
            "value_horizontal": table,
        },
    }


def masks(choices: Choices, sizes: Sizes, embed_dim: int, arch: Array) -> dict[str, Array]:
    """What the blocks of an architecture have: bool "block" [D], "heads" [D, units], "hidden" [D, units]."""
    parts = split(jnp.asarray(arch))
    units = jnp.arange(choices.heads[-1] * sizes.head_dim)
    hidden = jnp.arange(hidden_sizes(choices, embed_dim)[-1])
    return {
        "block": parts.heads > 0,
        "heads": units[None] < (parts.heads * sizes.head_dim)[:, None],
        "hidden": hidden[None] < (embed_dim * parts.tenths // 10)[:, None],
    }


def weight_mask(own: dict[str, Array]) -> dict[str, Array]:
    """Which weights an architecture has: tree shaped like the weights, bool arrays that broadcast to them.

    Args:
      own: see `masks`.
    """
    return {
        "patch": jnp.ones((1, 1, 1, 1), bool),
        "qkv": jnp.tile(own["heads"], 3)[:, None],
        "proj": own["heads"][:, :, None],
        "fc1": own["hidden"][:, None],
        "fc2": own["hidden"][:, :, None],
        "head": jnp.ones((1, 1), bool),
    }


def keep(params: PyTree, own: dict[str, Array]) -> PyTree:
    """Sets to zero what an architecture lacks.

    Args:
      params: see `shapes`.
      own: see `masks`.

    Returns:
      parameters of the same shapes.
    """
    weights = weight_mask(own)
    units = {"qkv": weights["qkv"][:, 0], "fc1": own["hidden"]}

    def held(tree: dict[str, Array], outside: tuple[str, ...]) -> dict[str, Array]:
        """Everything but the units that a block lacks."""
        found = {}
        for name, a in tree.items():
            mask = units.get(name, own["block"].reshape(-1, *(1,) * (a.ndim - 1)))
            found[name] = a if name in outside else jnp.where(mask, a, 0)
        return found

    return {
        "weights": {name: jnp.where(mask, params["weights"][name], 0) for name, mask in weights.items()},
        "bias": held(params["bias"], ("patch", "head")),
        "scale": held(params["scale"], ("head",)),
        "shift": held(params["shift"], ("head",)),
        "tokens": held(params["tokens"], ("token", "position")),
    }


def _fans(sizes: Sizes, embed_dim: int, arch: Array, dtype: Any) -> dict[str, tuple[Any, Any]]:
    """(fan in, fan out) of the block weights as the architecture has them, [D, 1, 1] each; at least one."""
    parts = split(jnp.asarray(arch))
    widths = (jnp.full_like(parts.heads, embed_dim), parts.heads * sizes.head_dim, embed_dim * parts.tenths // 10)
    e, a, f = (jnp.maximum(width, 1).astype(dtype)[:, None, None] for width in widths)
    return {"qkv": (e, 3 * a), "proj": (a, e), "fc1": (e, f), "fc2": (f, e)}


def init_params(
    key: Array, choices: Choices, sizes: Sizes, embed_dim: int, arch: Array, law: str, dtype: Any
) -> PyTree:
    """Random parameters of one architecture.

    Args:
      key: typed key.
      choices: of the space.
      sizes: of the space.
      embed_dim: width, static.
      arch: int [2 + 2 D].
      law: "torch": as the official code, normal with deviation 0.02 and zero biases, the patch convolution
        uniform +-1/sqrt(fan_in) with its bias; the others are laws of the weights, with the fans of the
        sub-network, and zero biases. Embeddings are normal with deviation 0.02 under every law.
      dtype: floating dtype.

    Returns:
      tree of `shapes`, zero where the architecture has nothing.
    """
    own = shapes(choices, sizes, embed_dim)
    fans = _fans(sizes, embed_dim, arch, dtype)

    def default(shape: tuple[int, ...]) -> initial.Draw:
        return initial.Draw(shape, "normal", _DEVIATION)

    def weight(name: str, shape: tuple[int, ...]) -> initial.Draw:
        by_law = law != "torch" or name == "patch"
        return initial.weight(shape, law, fan=fans.get(name)) if by_law else default(shape)

    laws = {
        "weights": {name: weight(name, shape) for name, shape in own["weights"].items()},
        "bias": {name: initial.Draw(shape, "zeros", 0.0) for name, shape in own["bias"].items()},
        "tokens": {name: default(shape) for name, shape in own["tokens"].items()},
    }
    laws["bias"]["patch"] = initial.bias(embed_dim, sizes.patch_values, law)
    params = {**initial.draw(key, laws, dtype), **initial.norms(own["scale"], dtype)[0]}
    return keep(params, masks(choices, sizes, embed_dim, arch))


def inherit(params: PyTree, choices: Choices, sizes: Sizes, embed_dim: int, arch: Array) -> PyTree:
    """The parameters that a sub-network inherits from a supernet.

    Leading slices of every axis. Queries, keys and values of the supernet's ``qkv.weight`` interleave in the official
    layout, here they lie apart and are sliced each; its bias is sliced plainly there, so with fewer heads its
    parts come from other places of the vector, and they do here too.

    Args:
      params: of the supernet, in the form of `shapes`, at least as large in every axis.
      choices: of the space.
      sizes: of the space.
      embed_dim: width of the sub-network, static.
      arch: int [2 + 2 D] of that width; may be traced.

    Returns:
      tree of `shapes` for the space.

    Raises:
      InputError: the supernet is too small.
    """
    wanted = shapes(choices, sizes, embed_dim)
    d, units = choices.slots, choices.heads[-1] * sizes.head_dim

    def cut(shape: tuple[int, ...], a: Array) -> Array:
        if a.ndim != len(shape) or any(n > m for n, m in zip(shape, a.shape, strict=True)):
            raise InputError(f"supernet array of shape {a.shape} is too small for the sub-network's {shape}")
        return a[tuple(slice(n) for n in shape)]

    sliced = jax.tree.map(cut, wanted, params, is_leaf=initial.is_shape)
    whole = params["weights"]["qkv"]
    qkv = whole.reshape(*whole.shape[:2], 3, -1)[:d, :embed_dim, :, :units].reshape(wanted["weights"]["qkv"])
    width = split(jnp.asarray(arch)).heads[:, None] * sizes.head_dim
    unit = jnp.arange(3 * units)[None]
    # Unit u of part p stands at p x width + u of the vector; masked units may read anything.
    place = jnp.minimum(unit // units * width + unit % units, 3 * units - 1)
    bias = jnp.take_along_axis(params["bias"]["qkv"][:d], place, 1)
    sliced["weights"], sliced["bias"] = {**sliced["weights"], "qkv": qkv}, {**sliced["bias"], "qkv": bias}
    return keep(sliced, masks(choices, sizes, embed_dim, arch))
