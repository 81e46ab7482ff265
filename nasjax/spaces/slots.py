"""Tables over the weight slots of a space: which are layers, where they lie, which rectifiers precede them."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from nasjax.spaces.base import depth_bin
from nasjax.types import Array, LayerTable

_NUM_BINS = 10


def layer_table(names: tuple[str, ...], active: Array) -> LayerTable:
    """The layer table of slots in forward order.

    Args:
      names: names of the slots.
      active: bool [L]; which hold a weight layer.

    Returns:
      the table, traceable.
    """
    count = jnp.cumsum(active.astype(jnp.int32))
    order = jnp.where(active, count, 0)
    bins = jnp.where(active, depth_bin(order, count[-1]), -1)
    return LayerTable(names, active, order, count[-1], bins)


def calls_before(table: LayerTable) -> Array:
    """Bin of a rectifier in front of each slot, by the number of weight layers before it: int32 [L, 10], traceable."""
    bins = depth_bin(table.order - 1, table.depth)
    return ((bins[:, None] == jnp.arange(_NUM_BINS)[None]) & table.active[:, None]).astype(jnp.int32)


def site_calls(table: LayerTable, slots: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """Activation calls by site and depth-percentile bin.

    A rectifier belongs to the bin of the number of weight layers executed before it.

    Args:
      table: layer table of one architecture.
      slots: site -> the slots a rectifier of the site lies in front of, bool [..., L].

    Returns:
      site -> int32 [..., 10].
    """
    hot = calls_before(table)
    return {name: jnp.einsum("...l,lb->...b", jnp.asarray(mask, jnp.int32), hot) for name, mask in slots.items()}
