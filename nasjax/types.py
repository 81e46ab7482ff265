"""Shared types: batches, variables, network outputs, layer tables and the error users see."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

Array = jax.Array
PyTree = Any


class InputError(ValueError):
    """Bad input from a user.

    The message names the offending value, what is allowed and what to do. Commands print the
    message alone; a traceback is for bugs.
    """


class Batch(NamedTuple):
    """A labelled batch of images.

    Attributes:
      images: float [batch, height, width, channels], already normalised.
      labels: int32 [batch], class indices; other targets [batch, ...] for other tasks.
    """

    images: Array | np.ndarray
    labels: Array | np.ndarray


class Variables(NamedTuple):
    """What a network owns.

    Attributes:
      params: pytree of trainable arrays.
      stats: pytree of running statistics (batch-norm mean and variance).
    """

    params: PyTree
    stats: PyTree


class Output(NamedTuple):
    """Result of a forward pass.

    Attributes:
      logits: float [batch, num_classes], or [batch, height, width, num_classes] for a task of pixels.
      stats: updated running statistics, same structure as ``Variables.stats``.
      taps: dictionary of whatever the tap returned at every site, stacked over repeated cells.
    """

    logits: Array
    stats: PyTree
    taps: PyTree


class Site(NamedTuple):
    """Where a tap is called.

    Attributes:
      name: static name of the site; repeated cells share one name.
      calls: int32 [10]; how many activation calls of the official network this site stands for, by
        depth-percentile bin (spec A.4). Zero everywhere: nothing reads the value.
    """

    name: str
    calls: Array


class LayerTable(NamedTuple):
    """The weight layers of one architecture, one row a *slot* of the search space.

    Attributes:
      names: static tuple of slot names, length ``L``.
      active: bool [L]; whether this architecture has a weight layer in the slot.
      order: int32 [L]; forward position 1..depth of an active layer, 0 elsewhere.
      depth: int32 []; number of active weight layers.
      bins: int32 [L]; depth-percentile bin 0..9 of each active layer, -1 elsewhere.
      units: static number of the block that each slot belongs to, in forward order; None: every layer by itself.
    """

    names: tuple[str, ...]
    active: Array
    order: Array
    depth: Array
    bins: Array
    units: tuple[int, ...] | None = None


Tap = Callable[[Site, Array], PyTree]


class Block(NamedTuple):
    """A block of a network, in the order in which blocks are walked.

    Attributes:
      name: static name; repeated cells of a stage share one.
      number: int32 [], of the block in the network, the stem is 0.
      position: int32 [], number among the blocks of its name.
      active: bool []; False for a block that an architecture of smaller depth skips.
      feature: static; whether the block's output is one of the network's feature maps. The last block, up to
        the global pooling, is not.
    """

    name: str
    number: Array | int
    position: Array | int
    active: Array | bool
    feature: bool


class Walk(NamedTuple):
    """Result of walking a network block by block.

    Attributes:
      features: float [batch, ..., channels], what the global pooling reads.
      stats: updated running statistics, same structure as ``Variables.stats``.
      seen: name of a block -> what the visitor returned, stacked over the blocks that share the name.
    """

    features: Array
    stats: PyTree
    seen: dict[str, PyTree]


BlockFunction = Callable[[Array], tuple[Array, PyTree]]  # input -> (output, running statistics)
Visit = Callable[[Block, BlockFunction, Array], tuple[tuple[Array, PyTree], PyTree]]


@dataclasses.dataclass(frozen=True)
class Graph:
    """An architecture's cell as a labelled directed acyclic graph.

    Attributes:
      nodes: label of every node (operation or tensor), in topological order.
      edges: pairs (source, target) of node numbers.
    """

    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
