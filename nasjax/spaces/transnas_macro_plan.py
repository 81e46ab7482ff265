"""What a macro network of TransNAS-Bench-101 does block by block, as data.

The state before a block is how often the channels were doubled and the image halved. Blocks occur in 63
shapes: 20 that keep the state, and 43 that change it. A network that doubles the channels before it halves the image
has up to eight times the activations of the others; those that never do make two thirds of the space.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nasjax.spaces import transnas_codec as codec
from nasjax.spaces import transnas_heads as heads
from nasjax.spaces import transnas_tasks as tasks
from nasjax.spaces import units
from nasjax.types import Array

PEAKS = (0, 1, 3)  # doublings of a state less twice its halvings, at most: what programs are made for
MODULES, BLOCKS = codec.LENGTH, 2 * codec.LENGTH
WIDTHS, SIDES = 4, 5  # how many channel widths and image sizes occur
NUM_STATES = WIDTHS * SIDES
STEM_HALVINGS = 2


def _changes() -> tuple[tuple[int, int], ...]:
    """(state, digit) of every block that changes the shape."""
    return tuple(
        (c * SIDES + s, digit)
        for c in range(WIDTHS)
        for s in range(SIDES)
        for digit in (2, 3, 4)
        if c + codec.doubles(digit) < WIDTHS and s + codec.halves(digit) < SIDES
    )


CHANGES = _changes()
NUM_CHANGES = len(CHANGES)


def _change_numbers() -> np.ndarray:
    """State and digit -> number of the change, int [20, 5]; ``NUM_CHANGES`` where there is none."""
    table = np.full((NUM_STATES, len(codec.MODULES)), NUM_CHANGES)
    for number, change in enumerate(CHANGES):
        table[change] = number
    return table


_CHANGE_OF = _change_numbers()


class Sizes(NamedTuple):
    """Static sizes of the network.

    Attributes:
      channels: base width.
      in_channels: channels of the image.
      side: height of the stem's output.
      task: task.
      outputs: outputs of the head.
      peak: of `PEAKS`; states beyond it have no place in the buffer.
    """

    channels: int
    in_channels: int
    side: int
    task: tasks.Task
    outputs: int
    peak: int = PEAKS[-1]

    @property
    def widest(self) -> int:
        """Channels after three doublings."""
        return self.channels << (WIDTHS - 1)

    @property
    def head(self) -> tuple[heads.Layer, ...]:
        """Layers of the head, for the widest encoder."""
        return heads.plan(self.task, self.widest, self.channels, self.outputs)

    def sides(self) -> list[int]:
        """Height of the image after each number of halvings."""
        sides = [self.side]
        while len(sides) < SIDES:
            sides.append(-(-sides[-1] // 2))
        return sides

    def states(self) -> list[tuple[int, int]]:
        """(channels, side) of every state, state ``SIDES x doublings + halvings``."""
        return [(self.channels << c, side) for c in range(WIDTHS) for side in self.sides()]

    def lengths(self) -> np.ndarray:
        """Activations a sample in each state, int [20]."""
        return np.array([channels * side**2 for channels, side in self.states()])

    def channels_of(self, state: Array) -> Array:
        """Channels in a state; traceable."""
        return jnp.asarray([channels for channels, _ in self.states()])[state]

    def kept_states(self) -> list[int]:
        """States within the peak."""
        return [i for i in range(NUM_STATES) if i // SIDES - 2 * (i % SIDES) <= self.peak]

    def kept_changes(self) -> list[int]:
        """Numbers of the changes between such states."""
        kept = self.kept_states()
        return [i for i, change in enumerate(CHANGES) if change[0] in kept and _after(*change) in kept]

    def state_numbers(self) -> np.ndarray:
        """State, or ``NUM_STATES`` for none -> its place among those kept, their number for none: int [21]."""
        return _places(self.kept_states(), NUM_STATES)

    def change_numbers(self) -> np.ndarray:
        """The same for changes: int [44]."""
        return _places(self.kept_changes(), NUM_CHANGES)

    def shape_numbers(self) -> np.ndarray:
        """The same for `shapes`: int [64]."""
        return _places([*self.kept_states(), *(NUM_STATES + i for i in self.kept_changes())], NUM_STATES + NUM_CHANGES)

    def capacity(self) -> int:
        """Activations a sample that the largest state has."""
        return int(self.lengths()[self.kept_states()].max())

    def segments(self) -> list[tuple[int, int]]:
        """Pieces of a buffer such that every state fills some of them exactly."""
        ends = sorted(set(self.lengths()[self.kept_states()].tolist()))
        return list(zip([0, *ends[:-1]], ends, strict=True))

    def shapes(self) -> tuple[units.Shape, ...]:
        """Shapes of the 3x3 convolutions: those that keep a state, in its order, then the others."""
        states = self.states()
        kept = [units.Shape(states[i][0], states[i][0], states[i][1], 1) for i in self.kept_states()]
        return (*kept, *self.changes())

    def changes(self) -> tuple[units.Shape, ...]:
        """Shapes of convolutions that change the state."""
        states = self.states()
        found = []
        for state, digit in (CHANGES[i] for i in self.kept_changes()):
            channels, side = states[state]
            stride, factor = 1 + int(codec.halves(digit)), 1 + int(codec.doubles(digit))
            found.append(units.Shape(channels, channels * factor, side, stride))
        return tuple(found)


def peaks(archs: Any) -> np.ndarray:
    """The least of `PEAKS` that every state of an architecture stays within: int [n] for int [n, 6]."""
    doublings, halvings = (np.cumsum(change(archs), 1) for change in (codec.doubles, codec.halves))
    highest = np.maximum(0, (doublings - 2 * halvings).max(1))
    return np.array(PEAKS)[np.searchsorted(PEAKS, highest)]


def _after(state: int, digit: int) -> int:
    """State behind a block."""
    return state + SIDES * int(codec.doubles(digit)) + int(codec.halves(digit))


def _places(kept: list[int], count: int) -> np.ndarray:
    """Number 0..count -> its place in ``kept``, else the length of it: int [count + 1]."""
    table = np.full(count + 1, len(kept), np.int32)
    table[kept] = np.arange(len(kept))
    return table


class Plan(NamedTuple):
    """What an architecture does block by block; int32 [12] each.

    Attributes:
      before: state before the block.
      after: state after it.
      first: shape number of its first convolution.
      second: of its second one.
      shortcut: of its shortcut, ``NUM_CHANGES`` for the identity.
      exists: 1 or 0.
    """

    before: Array
    after: Array
    first: Array
    second: Array
    shortcut: Array
    exists: Array


def plan(arch: Any) -> Plan:
    """Block by block, for one architecture int [6]; traceable."""
    arch = jnp.asarray(arch, jnp.int32)
    step = codec.doubles(arch) * SIDES + codec.halves(arch) * 1
    after = jnp.cumsum(step)
    digits = jnp.stack([arch, (arch > 0) * 1], 1).reshape(-1)  # the second block of a module keeps the shape
    after = jnp.repeat(after, 2)
    before = jnp.concatenate([jnp.zeros(1, after.dtype), after[:-1]])
    change = jnp.asarray(_CHANGE_OF)[before, digits]
    exists = digits > 0
    none = NUM_STATES + NUM_CHANGES
    first = jnp.where(digits > 1, NUM_STATES + change, before)
    fields = (before, after, jnp.where(exists, first, none), jnp.where(exists, after, none), change, exists)
    return Plan(*(field.astype(jnp.int32) for field in fields))
