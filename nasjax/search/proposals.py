"""Fills a generation: proposals within the limits that were not scored before, the rest drawn at random."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

TRIES = 10  # proposals for a slot before it is filled at random
_BLOCK = 256  # random architectures drawn at a time
_LISTED = 4  # random draws before a space that can be listed is listed


@dataclasses.dataclass
class Filler:
    """Finds new architectures.

    Attributes:
      space: search space.
      feasible: population int [n, g] -> bool [n].
      identity: architecture int [g] -> text shared by those that count as the same.
      max_draws: random architectures that are tried for one generation.
      seen: identities of all architectures scored so far; ``fill`` adds those it returns.
    """

    space: Any
    feasible: Callable[[np.ndarray], np.ndarray]
    identity: Callable[[np.ndarray], str]
    max_draws: int = 200_000
    seen: set[str] = dataclasses.field(default_factory=set)

    def fill(
        self, key: jax.Array, num: int, ask: Callable[[jax.Array], Any] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """New architectures.

        Args:
          key: typed key.
          num: how many.
          ask: typed key -> proposals int [m, g], m at least ``num``, one a slot; None draws all at random.

        Returns:
          architectures int32 [k, g] in the order of the slots, k below ``num`` where the limits leave no more; and
          bool [k], which of them were proposals.
        """
        slots: dict[int, np.ndarray] = {}
        for attempt in range(TRIES if ask is not None else 0):
            assert ask is not None
            proposals = np.asarray(ask(jax.random.fold_in(key, attempt)))[:num]
            free = [i for i in range(num) if i not in slots]
            self._take(proposals[free], free, slots)
            if len(slots) == num:
                break
        proposed = np.array([i in slots for i in range(num)], bool)
        if len(slots) < num:
            self._random(jax.random.fold_in(key, TRIES), num, slots)
        order = sorted(slots)
        if not order:
            return np.zeros((0, 0), np.int32), np.zeros(0, bool)
        return np.stack([slots[i] for i in order]).astype(np.int32), proposed[order]

    def _take(self, archs: np.ndarray, free: list[int], slots: dict[int, np.ndarray]) -> None:
        """Puts those that are feasible and new into their slots."""
        for slot, arch, fits in zip(free, archs, self.feasible(archs), strict=True):
            if fits:
                self._put(slot, arch, slots)

    def _put(self, slot: int, arch: np.ndarray, slots: dict[int, np.ndarray]) -> bool:
        name = self.identity(arch)
        if name in self.seen:
            return False
        self.seen.add(name)
        slots[slot] = arch
        return True

    def _random(self, key: jax.Array, num: int, slots: dict[int, np.ndarray]) -> None:
        """Fills free slots by draws of the space; where a space can be listed, by what is left of it."""
        free = [i for i in range(num) if i not in slots]
        listed = hasattr(self.space, "all")
        blocks = _LISTED if listed else -(-self.max_draws // _BLOCK)
        for number in range(blocks):
            drawn = np.asarray(self.space.sample(jax.random.fold_in(key, number), _BLOCK))
            free = self._pour(drawn, free, slots)
            if not free:
                return
        if listed:
            everything = np.asarray(self.space.all())
            order = np.asarray(jax.random.permutation(jax.random.fold_in(key, blocks), len(everything)))
            self._pour(everything[order], free, slots)

    def _pour(self, archs: np.ndarray, free: list[int], slots: dict[int, np.ndarray]) -> list[int]:
        """Puts new ones among many into the free slots; returns those still free."""
        left = list(free)
        for arch in archs[self.feasible(archs)]:
            if not left:
                break
            if self._put(left[0], arch, slots):
                left.pop(0)
        return left
