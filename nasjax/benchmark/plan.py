"""Which architectures a benchmark trains, and in which blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.benchmark.config import BenchmarkConfig
from nasjax.hashing import fingerprint
from nasjax.spaces.base import check_key
from nasjax.types import InputError, PyTree

_DRAW = 256  # architectures of one draw
_VAIN = 20  # draws in a row without a new architecture: the space has no more


class Block(NamedTuple):
    """Architectures of one signature that one program trains together, on one task with one seed.

    Attributes:
      number: of the block in the plan.
      task: name of the task.
      seed: of the training.
      signature: what fixes tensor shapes.
      archs: official encodings.
    """

    number: int
    task: str
    seed: int
    signature: str
    archs: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of its directory: the number, and a hash of what it trains."""
        return f"{self.number:06d}-{fingerprint([self.task, self.seed, list(self.archs)])[:8]}"


def sample_distinct(key: jax.Array, space: Any, number: int, *, dead: bool = False) -> list[str]:
    """Draws architectures of which no two are isomorphic, by the law of ``space.sample``.

    Args:
      key: typed key; a smaller number gives the first of them.
      space: search space.
      number: how many.
      dead: whether to keep those whose output does not depend on the images.

    Returns:
      Official encodings, of different ``space.canonical``.

    Raises:
      InputError: the space has fewer.
    """
    check_key(key)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise InputError(f"number={number!r}; allowed: whole numbers from 1; do: say how many architectures to draw")
    found: dict[str, PyTree] = {}
    draw = vain = 0
    while vain < _VAIN:
        before = len(found)
        for arch in members(space.sample(jax.random.fold_in(key, draw), _DRAW)):
            if dead or space.is_valid(arch)[0]:
                found.setdefault(space.canonical(arch), arch)
            if len(found) == number:
                return list(space.encode(jax.tree.map(lambda *rows: np.stack(rows), *found.values())))
        draw, vain = draw + 1, 0 if len(found) > before else vain + 1
    raise InputError(
        f"{number} architectures of {space.name}; allowed: at most about {len(found)}, no two of them isomorphic"
        f"{'' if dead else ', none dead'}; do: ask for fewer"
    )


def members(population: PyTree) -> list[PyTree]:
    """The architectures of a population [n, ...], one by one, as NumPy arrays."""
    arrays = jax.tree.map(np.asarray, population)
    return [jax.tree.map(lambda a, i=i: a[i], arrays) for i in range(len(jax.tree.leaves(arrays)[0]))]


def isomorphic(space: Any, archs: Sequence[str]) -> list[tuple[str, str]]:
    """Finds architectures that repeat an earlier one in another encoding.

    Args:
      space: search space.
      archs: official encodings.

    Returns:
      Pairs (architecture, the first one of the same ``canonical``).
    """
    first: dict[str, str] = {}
    pairs = []
    for text, arch in zip(archs, members(space.decode(list(archs))), strict=True):
        known = first.setdefault(space.canonical(arch), text)
        if known != text:
            pairs.append((text, known))
    return pairs


def blocks(space: Any, archs: Sequence[str], tasks: Sequence[str], config: BenchmarkConfig) -> list[Block]:
    """Plans the work: by task, then signature in the order of first appearance, then seed.

    Args:
      space: search space; signatures depend neither on the number of classes nor on the image size.
      archs: official encodings, each once.
      tasks: names of the tasks.
      config: seeds, and how many architectures make a block.

    Returns:
      The blocks; the same arguments give the same ones.

    Raises:
      InputError: no architecture, or one twice.
    """
    archs = list(archs)
    if not archs or len(set(archs)) < len(archs):
        raise InputError(f"{len(archs)} architectures, {len(set(archs))} different ones; allowed: each once, one or "
                         "more; do: remove repetitions")  # fmt: skip
    signatures = list(space.signature(space.decode(archs)))
    repeated = round(config.repeated * len(archs))
    plan: list[Block] = []
    for task in tasks:
        for signature in dict.fromkeys(signatures):
            for seed in range(config.seeds):
                wanted = range(len(archs) if seed == 0 else repeated)
                members = [archs[i] for i in wanted if signatures[i] == signature]
                for start in range(0, len(members), config.block):
                    part = tuple(members[start : start + config.block])
                    plan.append(Block(len(plan), task, seed, signature, part))
    return plan


def share(plan: Sequence[Block], *, process: int = 0, processes: int = 1) -> list[Block]:
    """The blocks of one process: those whose number leaves ``process`` modulo ``processes``.

    Args:
      plan: all blocks.
      process: number of this process.
      processes: how many there are.

    Returns:
      Its blocks, in order.

    Raises:
      InputError: there is no such process.
    """
    if not 0 <= process < processes:
        raise InputError(f"process={process} of {processes}; allowed: 0 to {processes - 1}; do: correct the number")
    return [block for block in plan if block.number % processes == process]
