"""Moves in the Kronecker space: mutate and recombine, traceable, a typed key first; neighbours, choices, extremes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.spaces import kronecker_codec as codec
from nasjax.spaces.genes import Genes
from nasjax.spaces.kronecker_codec import IDENTITY, KERNEL, OPS, Form, Parts, parts
from nasjax.spaces.kronecker_graph import is_connected
from nasjax.types import Array, InputError

_TRIES = 200


def _split(form: Form, arch: Any) -> tuple[Array, Array, Array]:
    """Count, edges int [E] and operations int [R, N]."""
    arch = jnp.asarray(arch, jnp.int32)
    edges, ops = arch[1 : 1 + form.num_edges], arch[1 + form.num_edges :]
    return arch[0], edges, ops.reshape(form.rows, form.most)


def _until(form: Form, key: Array, draw: Any, otherwise: Array) -> Array:
    """The first draw that is another architecture than ``otherwise``, which remains if there is none."""

    def accept(child: Array) -> Array:
        own = parts(jnp, form, child)
        return is_connected(jnp, own.wiring, own.there) & (child != otherwise).any()

    def again(state: tuple[Array, Array, Array]) -> Array:
        return ~state[2] & (state[0] < _TRIES)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        drawn = draw(jax.random.fold_in(key, state[0]))
        return state[0] + 1, drawn, accept(drawn)

    _, drawn, found = lax.while_loop(again, step, (jnp.int32(0), otherwise, jnp.array(False)))
    return jnp.where(found, drawn, otherwise)


def mutate(form: Form, key: Array, arch: Any) -> Array:
    """Changes one edge, one operation, or the last vertex.

    With chances 2 : 2 : 1 an edge between two vertices comes or goes, an operation becomes another one, or the
    number of vertices changes by one: the last vertex goes, or a new one comes that reads each of the others with
    chance 1/2. Drawn anew until the wiring is weakly connected.

    Args:
      form: sizes of architectures.
      key: typed key.
      arch: int [L].

    Returns:
      int32 [L].
    """
    count, edges, ops = _split(form, arch)
    targets = jnp.asarray([b for _, b in codec.edge_list(form.most)], jnp.int32)

    def draw(key: Array) -> Array:
        kind_key, place_key, shift_key, grow_key, edge_key, op_key = jax.random.split(key, 6)
        kind = jax.random.categorical(kind_key, jnp.log(jnp.array([2.0, 2.0, 1.0])))
        # One of the edges that both ends of are there; none with a single vertex.
        noise = jax.random.uniform(place_key, targets.shape)
        edge = jnp.argmax(jnp.where(targets < count, noise, -1)) if form.num_edges else 0
        flipped = edges.at[edge].set(1 - edges[edge], mode="drop") if form.num_edges else edges
        row_key, column_key = jax.random.split(place_key)
        row, column = jax.random.randint(row_key, (), 0, form.rows), jax.random.randint(column_key, (), 0, count)
        shift = jax.random.randint(shift_key, (), 1, len(OPS), jnp.int32)
        changed = ops.at[row, column].set((ops[row, column] + shift) % len(OPS))
        grows = jax.random.bernoulli(grow_key)
        other = jnp.where(grows, count + 1, count - 1)
        other = jnp.where((other < form.least) | (other > form.most), count, other)
        fresh_edges = jax.random.bernoulli(edge_key, 0.5, targets.shape).astype(jnp.int32)
        fresh_ops = jax.random.randint(op_key, ops.shape, 0, len(OPS), jnp.int32)
        grown_edges = jnp.where(targets >= count, fresh_edges, edges)
        grown_ops = jnp.where((jnp.arange(form.most) >= count)[None], fresh_ops, ops)
        choices = (
            codec.join(jnp, form, count, flipped, ops),
            codec.join(jnp, form, count, edges, changed),
            codec.join(jnp, form, other, grown_edges, grown_ops),
        )
        return jnp.stack(choices)[kind]

    return _until(form, key, draw, jnp.asarray(arch, jnp.int32))


def crossover(form: Form, key: Array, first: Any, second: Any) -> Array:
    """Takes the number of vertices, each edge and each operation from either parent, with equal chance.

    What one parent lacks comes from the other. Drawn anew until the wiring is weakly connected; after 200 draws the
    first parent remains.

    Args:
      form: sizes of architectures.
      key: typed key.
      first: int [L].
      second: int [L].

    Returns:
      int32 [L].
    """
    a, b = (_split(form, parent) for parent in (first, second))
    targets = jnp.asarray([t for _, t in codec.edge_list(form.most)], jnp.int32)
    vertices = jnp.arange(form.most)[None]

    def pick(key: Array, own: Array, other: Array, in_own: Array, in_other: Array) -> Array:
        coin = jax.random.bernoulli(key, 0.5, own.shape)
        return jnp.where(in_own & (coin | ~in_other), own, other)

    def draw(key: Array) -> Array:
        count_key, edge_key, op_key = jax.random.split(key, 3)
        count = jnp.where(jax.random.bernoulli(count_key), a[0], b[0])
        edges = pick(edge_key, a[1], b[1], targets < a[0], targets < b[0])
        ops = pick(op_key, a[2], b[2], vertices < a[0], vertices < b[0])
        return codec.join(jnp, form, count, edges, ops)

    return _until(form, key, draw, jnp.asarray(first, jnp.int32))


def neighbours(form: Form, arch: Any) -> np.ndarray:
    """Architectures one edge or one operation away, or with the last vertex taken away, or one appended.

    An appended vertex reads the one before it, with any operation, the same in all blocks.

    Args:
      form: sizes of architectures.
      arch: int [L].

    Returns:
      int32 [n, L].

    Raises:
      InputError: no architecture.
    """
    arch = codec.check(form, arch)
    own = parts(np, form, arch)
    n = int(own.count)
    wiring, ops = own.wiring[:n, :n], own.ops[:, :n]
    found = []
    for a, b in codec.edge_list(n):
        flipped = wiring.copy()
        flipped[a, b] = not flipped[a, b]
        found.append(codec.make(form, flipped, ops))
    for row in range(form.rows):
        for column in range(n):
            for shift in range(1, len(OPS)):
                changed = ops.copy()
                changed[row, column] = (ops[row, column] + shift) % len(OPS)
                found.append(codec.make(form, wiring, changed))
    if n > form.least:
        found.append(codec.make(form, wiring[:-1, :-1], ops[:, :-1]))
    if n < form.most:
        longer = np.pad(wiring, ((0, 1), (0, 1)))
        longer[n - 1, n] = True
        found += [codec.make(form, longer, np.pad(ops, ((0, 0), (0, 1)), constant_values=op)) for op in range(len(OPS))]
    whole = np.stack(found)
    after = parts(np, form, whole)
    return np.asarray(whole[is_connected(np, after.wiring, after.there)], np.int32)


def extremes(form: Form) -> np.ndarray:
    """A chain of identities of the fewest vertices, and all edges between the most 3x3 convolutions: int32 [2, L]."""
    small, large = np.eye(form.least, k=1, dtype=bool), np.triu(np.ones((form.most, form.most), bool), 1)
    return np.stack(
        [
            codec.make(form, small, np.full((form.rows, form.least), IDENTITY)),
            codec.make(form, large, np.full((form.rows, form.most), KERNEL)),
        ]
    )


def genes(form: Form) -> Genes:
    """Independent choices: number of vertices, each edge, each operation; not all combinations are connected."""
    counts = form.most - form.least + 1
    sizes = (counts, *(2,) * form.num_edges, *(len(OPS),) * (form.rows * form.most))
    width = max(sizes)
    frequencies = (np.arange(width)[None] < np.asarray(sizes)[:, None]) / np.asarray(sizes)[:, None]

    def decode(chosen: Array) -> Array:
        edges, ops = chosen[1 : 1 + form.num_edges], chosen[1 + form.num_edges :]
        return codec.join(jnp, form, chosen[0] + form.least, edges, ops.reshape(form.rows, form.most))

    def encode(arch: Array) -> Array:
        arch = jnp.asarray(arch, jnp.int32)
        own: Parts = parts(jnp, form, arch)
        targets = jnp.asarray([b for _, b in codec.edge_list(form.most)], jnp.int32)
        shown = jnp.concatenate([targets < own.count, jnp.tile(own.there, form.rows)])
        return jnp.concatenate([arch[:1] - form.least, jnp.where(shown, arch[1:], -1)])

    return Genes(sizes, decode, encode, frequencies, closed=False)


def check_pair(least: Any, most: Any) -> None:
    """Refuses numbers of vertices that are no range.

    Raises:
      InputError: they are not.
    """
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in (least, most)) or not 1 <= least <= most <= 32:
        raise InputError(
            f"kronecker: min_vertices={least!r}, max_vertices={most!r}; allowed are integers 1 <= min <= max <= 32."
        )
