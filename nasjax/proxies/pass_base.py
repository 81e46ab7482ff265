"""A pass that brings its own computation, and repeated initialisations."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.spaces.base import check_law
from nasjax.types import Array, InputError, PyTree, Variables


@dataclasses.dataclass(frozen=True)
class CustomPass(abc.ABC):
    """Base of passes that are not one of the shared ones of `nasjax.proxies.passes`.

    A subclass is a frozen dataclass with a ``measure`` of its own. Whatever is random beside the weights
    comes from ``key``; ``fixed`` replaces it by given arrays, as comparisons with other codes need.

    Attributes:
      init: initialisation law.
      repeats: how many initialisations; more than one stacks the statistics along a leading axis.
    """

    init: str = "torch"
    repeats: int = 1

    requires: ClassVar[tuple[str, ...]] = ()  # optional methods of a space, see `nasjax.spaces.optional`
    forward_mode: ClassVar[bool] = False  # whether it takes forward-mode derivatives

    def __post_init__(self) -> None:
        """Refuses an unknown initialisation law."""
        check_law(self.init)

    def check_space(self, space: Any) -> None:
        """Refuses a space that the pass cannot run on.

        Raises:
          InputError: the space lacks a method of ``requires``.
        """
        missing = [name for name in self.requires if not hasattr(space, name)]
        if missing:
            raise InputError(
                f"{type(self).__name__} needs {', '.join(f'{name}()' for name in missing)}, which the space "
                f"{space.name!r} does not offer; leave out the proxies that read it."
            )

    def images_needed(self, batch_size: int) -> int:
        """How many loaded images are read."""
        return batch_size

    def variables(self, space: Any, key: Array, arch: PyTree, dtype: Any) -> Variables:
        """Random variables that ``measure`` takes; those of the space's network unless overridden."""
        return draw(space, key, arch, law=self.init, dtype=dtype, repeats=self.repeats)

    @abc.abstractmethod
    def measure(
        self,
        space: Any,
        variables: Variables,
        arch: PyTree,
        images: Array,
        labels: Array,
        *,
        key: Array | None = None,
        fixed: PyTree = None,
    ) -> PyTree:
        """Statistics of one architecture.

        Args:
          space: search space.
          variables: see ``variables``.
          arch: architecture.
          images: float [batches, batch, height, width, channels].
          labels: int32 [batches, batch].
          key: typed key of everything random; may be None if ``fixed`` is given.
          fixed: arrays in place of random ones, as the subclass describes; None draws them from ``key``.

        Returns:
          dictionary of arrays.
        """

    def run(self, space: Any, key: Array, arch: PyTree, images: Array, labels: Array) -> PyTree:
        """Initialises one architecture and measures it, ``repeats`` times; see `nasjax.proxies.passes.run`."""
        self.check_space(space)

        def once(init_key: Array) -> PyTree:
            variables = self.variables(space, init_key, arch, images.dtype)
            return self.measure(space, variables, arch, images, labels, key=jax.random.fold_in(init_key, 1))

        return over_initialisations(once, key, self.repeats)


def draw(space: Any, key: Array, arch: PyTree, *, law: str, dtype: Any, repeats: int) -> Variables:
    """Random variables of a pass.

    Args:
      space: search space; one whose ``init`` may give fixed variables has ``fresh`` for those of repeated draws.
      key: typed key of this draw.
      arch: architecture.
      law: initialisation law.
      dtype: floating dtype.
      repeats: how many draws the pass makes.

    Returns:
      the variables.
    """
    init = getattr(space, "fresh", space.init) if repeats > 1 else space.init
    variables: Variables = init(key, arch, law=law, dtype=dtype)
    return variables


def needed(key: Array | None) -> Array:
    """The key of what is random.

    Raises:
      InputError: there is none.
    """
    if key is None:
        raise InputError("The pass draws random arrays; give a key, or fixed arrays in their place.")
    return key


def over_initialisations(compute: Callable[[Array], PyTree], key: Array, repeats: int) -> PyTree:
    """Calls ``compute`` with the key of each initialisation; the first is the one that all passes share.

    Args:
      compute: key -> pytree.
      key: the architecture's typed key.
      repeats: how many; the results of more than one are stacked.

    Returns:
      what ``compute`` returns.
    """
    first = jax.random.fold_in(key, 0)
    if repeats == 1:
        return compute(first)

    def once(repeat: Array) -> PyTree:
        other = jax.random.key_data(jax.random.fold_in(first, repeat))
        return compute(jax.random.wrap_key_data(jnp.where(repeat == 0, jax.random.key_data(first), other)))

    return lax.map(once, jnp.arange(repeats))
