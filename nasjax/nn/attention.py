"""Self-attention over a square grid of patches and a class token, with 2-D relative positions."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.types import Array, InputError


class RelativeTables(NamedTuple):
    """Embeddings of relative positions, shared by the heads of a layer.

    Attributes:
      vertical: float [2 R + 2, head_dim]; row 0 belongs to pairs with the class token, row d + R + 1 to keys
        d rows below the query, distances beyond R being clipped to R.
      horizontal: float [2 R + 2, head_dim]; the same for columns.
    """

    vertical: Array
    horizontal: Array


class _Positions(NamedTuple):
    """Tables unfolded over a grid of ``side`` x ``side`` patches."""

    rows: Array  # [side, side, head_dim]: query row, key row
    columns: Array  # [side, side, head_dim]: query column, key column
    token: Array  # [head_dim]: any pair with the class token

    @classmethod
    def of(cls, tables: RelativeTables, side: int) -> _Positions:
        reach = tables.vertical.shape[0] // 2 - 1
        place = np.arange(side)
        index = np.clip(place[None] - place[:, None], -reach, reach) + reach + 1
        return cls(tables.vertical[index], tables.horizontal[index], tables.vertical[0] + tables.horizontal[0])


def _indicators(side: int, dtype: Any) -> Array:
    """[tokens, 2 side + 1]: grid row and grid column of every patch, and whether it is the class token."""
    row, column = np.divmod(np.arange(side * side), side)
    table = np.zeros((1 + side * side, 2 * side + 1))
    table[0, -1] = 1
    table[np.arange(1, len(table)), row] = 1
    table[np.arange(1, len(table)), side + column] = 1
    return jnp.asarray(table, dtype)


def relative_attention(
    q: Array,
    k: Array,
    v: Array,
    key_tables: RelativeTables,
    value_tables: RelativeTables,
    *,
    scale: float,
    precision: Any = "highest",
) -> Array:
    """Softmax attention whose keys and values have 2-D relative position embeddings added.

    With r the embedding of the relative position of tokens n and m (vertical plus horizontal):
    ``a = softmax_m(scale q_n (k_m + r^K_nm))``, output ``sum_m a_nm (v_m + r^V_nm)`` (AutoFormer, ICCV 2021, after Wu
    et al., iRPE, ICCV 2021).

    r depends on a pair of rows plus a pair of columns, so no array [tokens, tokens, head_dim] is formed: products of
    q with the tables are appended to the features of q, indicators of row and column to those of k and v, and
    the two matrix products do the rest.

    Args:
      q: float [batch, tokens, heads, head_dim]; token 0 is the class token, the others a square grid row by row.
      k: float, as ``q``.
      v: float, as ``q``.
      key_tables: embeddings added to the keys.
      value_tables: embeddings added to the values.
      scale: factor of the products, head_dim^-0.5 as a rule.
      precision: matrix precision.

    Returns:
      float [batch, tokens, heads, head_dim].

    Raises:
      InputError: the number of tokens is not a square plus one.
    """
    batch, tokens, heads, width = q.shape
    side = math.isqrt(tokens - 1)
    if side * side + 1 != tokens or side < 1:
        raise InputError(f"attention: {tokens} tokens; allowed is a square number of patches and one class token.")
    einsum = functools.partial(jnp.einsum, precision=precision)
    marks = jnp.broadcast_to(_indicators(side, q.dtype)[None, :, None], (batch, tokens, heads, 2 * side + 1))

    own = _Positions.of(key_tables, side)
    grid = q[:, 1:].reshape(batch, side, side, heads, width)
    token = einsum("bnhd,d->bnh", q, own.token)[..., None]
    by_row, by_column = einsum("bxyhd,xid->bxyhi", grid, own.rows), einsum("bxyhd,yjd->bxyhj", grid, own.columns)
    near = jnp.concatenate([by_row, by_column], -1).reshape(batch, tokens - 1, heads, 2 * side)
    # The class token as a query: its one embedding whatever the key's row, nothing for the column.
    first = jnp.pad(jnp.broadcast_to(token[:, :1], (batch, 1, heads, side)), ((0, 0), (0, 0), (0, 0), (0, side)))
    near = jnp.concatenate([first, near], 1)
    logits = einsum("bnhd,bmhd->bhnm", jnp.concatenate([q, near, token], -1), jnp.concatenate([k, marks], -1))
    attention = jax.nn.softmax(logits * scale, -1)

    own = _Positions.of(value_tables, side)
    out = einsum("bhnm,bmhd->bnhd", attention, jnp.concatenate([v, marks], -1))
    out, share, to_token = jnp.split(out, (width, width + 2 * side), -1)
    share = share[:, 1:].reshape(batch, side, side, heads, 2 * side)
    by_row = einsum("bxyhi,xid->bxyhd", share[..., :side], own.rows)
    by_column = einsum("bxyhj,yjd->bxyhd", share[..., side:], own.columns)
    patches = (by_row + by_column).reshape(batch, tokens - 1, heads, width)
    patches = patches + to_token[:, 1:] * own.token[None, None, None]
    # Attention sums to one, and the class token has one embedding for every key.
    first = jnp.broadcast_to(own.token[None, None, None], (batch, 1, heads, width))
    return out + jnp.concatenate([first, patches], 1)
