"""The skeleton of a Kronecker network, and what an architecture's graph is in it.

A *slot* is a vertex of the largest block: slot b N + u of the network is vertex u of block b. The blocks of a stage
have tensors of equal shapes, so a stage has (blocks a stage) N slots.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nasjax.spaces.kronecker_codec import ABSENT, Form, parts
from nasjax.spaces.kronecker_graph import closure
from nasjax.types import InputError


class Sizes(NamedTuple):
    """Static sizes of the network.

    Attributes:
      channels: of the stem and the first stage; doubled from stage to stage.
      num_blocks: copies m of the wiring.
      num_stages: stages, of equally many blocks.
      form: sizes of architectures.
      num_classes: outputs of the classifier.
      in_channels: channels of the images.
      outer: edges (b, c) between blocks, b < c.
      outer_loops: whether the identity is added to the graph of the blocks.
      inner_loops: whether it is added to the wiring.
      stem_stride: step of the stem.
      head_relu: whether a rectifier precedes the global pooling.
    """

    channels: int
    num_blocks: int
    num_stages: int
    form: Form
    num_classes: int
    in_channels: int
    outer: tuple[tuple[int, int], ...]
    outer_loops: bool
    inner_loops: bool
    stem_stride: int
    head_relu: bool

    @property
    def per_stage(self) -> int:
        """Blocks a stage."""
        return self.num_blocks // self.num_stages

    @property
    def slots(self) -> int:
        """Slots a stage."""
        return self.per_stage * self.form.most

    def outs(self, s: int) -> int:
        """Channels of stage ``s``."""
        return self.channels * 2**s

    def blocks_of(self, s: int) -> range:
        """Blocks of stage ``s``."""
        return range(s * self.per_stage, (s + 1) * self.per_stage)

    def reading(self, s: int) -> tuple[int, ...]:
        """Blocks of stage ``s`` that read the stage before, by their number in the stage."""
        first = s * self.per_stage
        return tuple(sorted({c - first for b, c in self.outer if c in self.blocks_of(s) and b < first}))

    def read(self, s: int) -> tuple[int, ...]:
        """Blocks of stage ``s`` that the next stage reads, by their number in the stage."""
        first, end = s * self.per_stage, (s + 1) * self.per_stage
        return tuple(sorted({b - first for b, c in self.outer if b in self.blocks_of(s) and c >= end}))

    def slots_of(self, blocks: tuple[int, ...]) -> np.ndarray:
        """Slots of some blocks of a stage."""
        n = self.form.most
        return np.array([b * n + u for b in blocks for u in range(n)], int)

    def outer_matrix(self) -> np.ndarray:
        """The graph of the blocks, with its loops: bool [m, m]."""
        matrix = np.eye(self.num_blocks, dtype=bool) & self.outer_loops
        for b, c in self.outer:
            matrix[b, c] = True
        return matrix

    def side(self, s: int, image: int) -> int:
        """Height and width of stage ``s``."""
        return image // (self.stem_stride * 2**s)


def check_sizes(sizes: Sizes) -> None:
    """Refuses a skeleton that does not fit together.

    Raises:
      InputError: names what does not fit.
    """
    m = sizes.num_blocks
    if m % sizes.num_stages:
        raise InputError(
            f"kronecker: num_blocks={m} cannot be shared among {sizes.num_stages} stages; "
            "do: take a multiple of num_stages"
        )
    for b, c in sizes.outer:
        if not 0 <= b < c < m:
            raise InputError(f"kronecker: outer edge {b} -> {c}; allowed: from a lower to a higher block below {m}.")
        if c // sizes.per_stage - b // sizes.per_stage > 1:
            raise InputError(
                f"kronecker: outer edge {b} -> {c} skips a stage; allowed: edges within a stage or to the next one."
            )


class Wiring(NamedTuple):
    """The graph of an architecture, stage by stage; NumPy arrays for NumPy input.

    Attributes:
      live: for each stage bool [..., V], the vertices that there are.
      ops: for each stage int [..., V]; `ABSENT` for others.
      same: for each stage bool [..., V, V], edges (from, to) within it.
      cross: for each stage bool [..., P, K], edges from the slots of ``sizes.read(s - 1)`` to those of
        ``sizes.reading(s)``; None without.
      starts: bool [..., V], vertices of the first stage that read the stem.
      ends: bool [..., V], vertices of the last stage that the output averages.
    """

    live: tuple[Any, ...]
    ops: tuple[Any, ...]
    same: tuple[Any, ...]
    cross: tuple[Any, ...]
    starts: Any
    ends: Any


def wiring(xp: Any, sizes: Sizes, arch: Any) -> Wiring:
    """Multiplies the graphs, and deletes vertices on no path from the first block to the last; traceable.

    Args:
      xp: numpy or jax.numpy.
      sizes: static sizes.
      arch: int [..., L].

    Returns:
      the graph.
    """
    own = parts(xp, sizes.form, arch)
    n, m, lead = sizes.form.most, sizes.num_blocks, arch.shape[:-1]
    ones = (1,) * len(lead)
    eye = xp.eye(n, dtype=bool).reshape(*ones, n, n)
    inner = (own.wiring | eye) if sizes.inner_loops else own.wiring
    inner = inner & own.there[..., :, None] & own.there[..., None, :]
    outer = xp.asarray(sizes.outer_matrix()).reshape(*ones, m, 1, m, 1)
    loops = xp.eye(m * n, dtype=bool).reshape(*ones, m * n, m * n)
    whole = (outer & inner[..., None, :, None, :]).reshape(*lead, m * n, m * n) & ~loops
    there = xp.broadcast_to(own.there[..., None, :], (*lead, m, n)).reshape(*lead, m * n)
    block = xp.broadcast_to((xp.arange(m * n) // n).reshape(*ones, m * n), there.shape)
    sources, sinks = (there & (block == b) & ~whole.any(axis) for b, axis in ((0, -2), (m - 1, -1)))
    reach = closure(xp, whole)
    fed, used = (sources[..., :, None] & reach).any(-2), (sinks[..., None, :] & reach).any(-1)
    live = there & fed & used
    whole = whole & live[..., :, None] & live[..., None, :]
    ops = xp.broadcast_to(own.ops, (*lead, m, n)).reshape(*lead, m * n)
    ops = xp.where(live, ops, ABSENT).astype(np.int32)
    v = sizes.slots
    own_slots = [slice(s * v, (s + 1) * v) for s in range(sizes.num_stages)]
    cross: list[Any] = [None]
    for s in range(1, sizes.num_stages):
        a, b = (s - 1) * v + sizes.slots_of(sizes.read(s - 1)), s * v + sizes.slots_of(sizes.reading(s))
        cross.append(whole[..., a, :][..., b] if len(a) else None)
    return Wiring(
        tuple(live[..., own] for own in own_slots),
        tuple(ops[..., own] for own in own_slots),
        tuple(whole[..., own, own] for own in own_slots),
        tuple(cross),
        (sources & live)[..., own_slots[0]],
        (sinks & live)[..., own_slots[-1]],
    )


class Order(NamedTuple):
    """In which order the vertices of a stage run, and what they read; see `order`.

    Attributes:
      slots: int32 [V], live slots first, in topological order.
      count: int32 [], how many are live.
      live: bool [V].
      ops: int32 [V].
      sources: int32 [V, V], slots that a slot reads come first in its row.
      degree: int32 [V], how many it reads.
      entry: int32 [V], row of what enters the stage at a slot, -1 for none.
    """

    slots: Any
    count: Any
    live: Any
    ops: Any
    sources: Any
    degree: Any
    entry: Any


def order(xp: Any, sizes: Sizes, graph: Wiring, s: int) -> Order:
    """The order of stage ``s`` of one architecture; traceable."""
    live, same = graph.live[s], graph.same[s]
    place = xp.arange(sizes.slots)
    behind = xp.where(live, 0, sizes.slots)
    if s == 0:
        entry = xp.where(graph.starts, 0, -1)
    else:
        row = np.full(sizes.slots, -1)
        row[sizes.slots_of(sizes.reading(s))] = np.arange(len(sizes.slots_of(sizes.reading(s))))
        entry = xp.where(live, xp.asarray(row), -1)
    keys = xp.where(same.T, 0, sizes.slots) + place[None]
    return Order(
        xp.argsort(behind + place).astype(np.int32),
        live.sum().astype(np.int32),
        live,
        graph.ops[s],
        xp.argsort(keys, -1).astype(np.int32),
        same.sum(0).astype(np.int32),
        entry.astype(np.int32),
    )
