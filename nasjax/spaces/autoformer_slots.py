"""Names and places in an AutoFormer network: weight layers, activation calls, tensors of the official code."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from nasjax.spaces import slots
from nasjax.spaces.autoformer_codec import Choices, split
from nasjax.spaces.autoformer_cost import Sizes
from nasjax.spaces.autoformer_network import site_names
from nasjax.spaces.torch_layout import Place
from nasjax.types import Array, LayerTable

_BLOCK_LAYERS = {"qkv": "attn.qkv", "proj": "attn.proj", "fc1": "fc1", "fc2": "fc2"}
_BLOCK_NORMS = {"attention": "attn_layer_norm", "mlp": "ffn_layer_norm"}
_TABLES = {"key": "attn.rel_pos_embed_k", "value": "attn.rel_pos_embed_v"}


def layer_names(choices: Choices) -> tuple[str, ...]:
    """Slot names: the module names of the official network, in forward order."""
    blocks = (f"blocks.{i}.{layer}" for i in range(choices.slots) for layer in _BLOCK_LAYERS.values())
    return ("patch_embed_super.proj", *blocks, "head")


def layer_table(choices: Choices, arch: Any) -> LayerTable:
    """The weight layers of an architecture, one row a slot; traceable.

    Args:
      choices: of the space.
      arch: int [2 + 2 D].

    Returns:
      the table; the blocks beyond the depth are inactive. Its units are patch embedding, blocks and head.
    """
    there = split(jnp.asarray(arch)).heads > 0
    one = jnp.ones(1, bool)
    active = jnp.concatenate([one, jnp.repeat(there, len(_BLOCK_LAYERS)), one])
    blocks = np.repeat(np.arange(1, choices.slots + 1), len(_BLOCK_LAYERS)).tolist()
    return slots.layer_table(layer_names(choices), active)._replace(units=(0, *blocks, choices.slots + 1))


def site_calls(choices: Choices, arch: Any) -> dict[str, Array]:
    """Activation calls of the official network by site and depth-percentile bin.

    A block's GELU lies in front of fc2. Its units are spread over one site a ratio, so that units the architecture
    lacks are in sites without calls.

    Args:
      choices: of the space.
      arch: int [2 + 2 D].

    Returns:
      site -> int32 [D, 10].
    """
    tenths = split(jnp.asarray(arch)).tenths
    names = layer_names(choices)
    before = np.array([[f"blocks.{i}.fc2" == name for name in names] for i in range(choices.slots)])
    masks = {
        name: before & (tenths >= least)[:, None]
        for name, least in zip(site_names(choices), choices.tenths, strict=True)
    }
    return slots.site_calls(layer_table(choices, arch), masks)


def torch_places(choices: Choices, sizes: Sizes, arch: Any, *, interleaved: bool = False) -> dict[str, Place]:
    """Where every tensor of an official network with exactly the sizes of ``arch`` goes.

    Args:
      choices: of the space.
      sizes: of the space.
      arch: int [2 + 2 D].
      interleaved: whether rows of ``qkv.weight`` alternate between queries, keys and values, as in the official
        supernet, or come one after the other.

    Returns:
      tensor name -> place; see `nasjax.spaces.torch_layout`.
    """
    width, depth, heads, tenths = split(np.asarray(arch))
    most = choices.heads[-1] * sizes.head_dim
    every = slice(None)
    places: dict[str, Place] = {
        "pos_embed": ("params", ("tokens", "position"), None),
        "cls_token": ("params", ("tokens", "token"), None),
    }

    def layer(name: str, *path: Any, weight: Any = None, bias: Any = None) -> None:
        places[f"{name}.weight"] = ("params", ("weights", *path), weight)
        places[f"{name}.bias"] = ("params", ("bias", *path), bias)

    def norm(name: str, *path: Any) -> None:
        places[f"{name}.weight"] = ("params", ("scale", *path), None)
        places[f"{name}.bias"] = ("params", ("shift", *path), None)

    layer("patch_embed_super.proj", "patch")
    for i in range(int(depth)):
        units, hidden = int(heads[i]) * sizes.head_dim, int(width * tenths[i] // 10)
        unit, part = np.divmod(np.arange(3 * units), 3)
        plain = (np.arange(3)[:, None] * most + np.arange(units)[None]).ravel()
        cut = {
            "qkv": ((every, part * most + unit if interleaved else plain), (plain,)),
            "proj": ((slice(units),), None),
            "fc1": ((every, slice(hidden)), (slice(hidden),)),
            "fc2": ((slice(hidden),), None),
        }
        for own, name in _BLOCK_LAYERS.items():
            layer(f"blocks.{i}.{name}", own, i, weight=cut[own][0], bias=cut[own][1])
        for own, name in _BLOCK_NORMS.items():
            norm(f"blocks.{i}.{name}", own, i)
        for own, name in _TABLES.items():
            for axis in ("vertical", "horizontal"):
                path = ("tokens", f"{own}_{axis}", i)
                places[f"blocks.{i}.{name}.embeddings_table_{axis[0]}"] = ("params", path, None)
    norm("norm", "head")
    layer("head", "head")
    return places
