"""A supernet as a search space whose architectures are masks: which operations are alive on each edge.

So everything that scores architectures scores the supernets of a pruning search, any number in one program.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.hashing import stable_words
from nasjax.spaces.base import architecture_keys
from nasjax.spaces.shared import Classifier, OneProgram
from nasjax.types import Array, InputError, LayerTable, Output, PyTree, Tap, Variables

MIXTURES = ("mean", "sum")
_BREAK = "|"  # between the edges of an encoding
Base = TypeVar("Base")


class Choice(NamedTuple):
    """What a mask of one supernet means.

    Attributes:
      shape: of a mask, [..., edges, operations].
      ops: names of the operations.
      edges: name of each edge, edges of all cells in the order of the flattened mask.
      groups: edges that compete, numbers of flattened edges: of each group ``keep`` stay in the end.
      keep: see ``groups``.
      nothing: number of the operation that is nothing.
    """

    shape: tuple[int, ...]
    ops: tuple[str, ...]
    edges: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    keep: int
    nothing: int


@dataclasses.dataclass(frozen=True)
class Masked(Classifier, OneProgram, abc.ABC, Generic[Base]):
    """Base of the spaces of masks; see `nasjax.spaces.base.SearchSpace` for the functions.

    An architecture is int32 [..., edges, operations] of 0 and 1.

    Attributes:
      base: the space whose supernet it is.
      mixture: "mean": what an edge brings is the mean over its living operations, as in TE-NAS, whose softmax of equal
        numbers is that; "sum": their sum. An edge without any brings nothing.
      shared_weights: whether all masks are scored with the same random weights, so that differences between masks are
        not those of the draw. Otherwise each mask has its own, as the architectures of other spaces.
      precision: matrix precision of every convolution and product.
    """

    base: Base
    mixture: str = "mean"
    shared_weights: bool = True
    precision: str = "highest"

    def __post_init__(self) -> None:
        """Checks the options."""
        if self.mixture not in MIXTURES:
            raise InputError(f"{self.name}: mixture={self.mixture!r}; allowed are {', '.join(MIXTURES)}.")
        if not isinstance(self.shared_weights, bool):
            raise InputError(f"{self.name}: shared_weights={self.shared_weights!r}; allowed are True and False.")

    # What a supernet tells of itself.

    @property
    @abc.abstractmethod
    def choice(self) -> Choice:
        """What a mask means."""

    @abc.abstractmethod
    def arch(self, mask: np.ndarray) -> np.ndarray:
        """The architecture of the base space that a mask with one operation an edge is: int [...]."""

    @abc.abstractmethod
    def unit_costs(self, cost: str) -> tuple[int, np.ndarray]:
        """Cost ("params" or "flops") without any operation, and that of each operation: int, int64 [..., e, o]."""

    # The space.

    @property
    def network(self) -> Any:
        """The base space, with this precision."""
        return dataclasses.replace(self.base, precision=self.precision)  # type: ignore[type-var]

    @property
    def name(self) -> str:
        """Name of the space, in records and messages."""
        return f"{getattr(self.base, 'name', '')}_supernet"

    @property
    def options(self) -> dict[str, Any]:
        """Configuration as JSON-serialisable values."""
        own = {"mixture": self.mixture, "shared_weights": self.shared_weights}
        return getattr(self.base, "options", {}) | own

    @property
    def num_classes(self) -> int:
        """Outputs of the classifier."""
        return int(self.network.num_classes)

    @property
    def image_size(self) -> int:
        """Height and width of the images."""
        return int(self.network.image_size)

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return int(self.network.in_channels)

    def full(self) -> np.ndarray:
        """The mask of all operations but the one that is nothing."""
        mask = np.ones(self.choice.shape, np.int32)
        mask[..., self.choice.nothing] = 0
        return mask

    def decode(self, encodings: Sequence[Any] | Any) -> np.ndarray:
        """Masks, or their texts, to a population int32 [n, ..., edges, operations].

        Raises:
          InputError: another shape, values other than 0 and 1, or a malformed text.
        """
        shape = self.choice.shape
        if isinstance(encodings, str):
            encodings = [encodings]
        if not isinstance(encodings, np.ndarray | jax.Array) and all(isinstance(e, str) for e in encodings):
            texts = [str(e).replace(_BREAK, "") for e in encodings]
            bad = [e for e, t in zip(encodings, texts, strict=True) if len(t) != np.prod(shape) or set(t) - {"0", "1"}]
            if bad or not texts:
                raise InputError(
                    f"{self.name}: {bad[0] if bad else 'no mask'!r}; allowed is a text of {int(np.prod(shape))} digits "
                    f"0 and 1, {len(self.choice.ops)} for each of {len(self.choice.edges)} edges"
                )
            encodings = np.array([[int(c) for c in t] for t in texts], np.int32).reshape(-1, *shape)
        masks = np.asarray(encodings)
        masks = masks[None] if masks.shape == shape else masks
        if masks.shape[1:] != shape or not np.isin(masks, (0, 1)).all():
            raise InputError(
                f"{self.name}: masks of shape {list(masks.shape)}; allowed are 0 and 1 of shape {['n', *shape]}: "
                f"edges, and operations {', '.join(self.choice.ops)}"
            )
        return masks.astype(np.int32)

    def encode(self, archs: Any) -> list[str]:
        """Texts of a population: the digits of a mask, edges apart."""
        rows = np.asarray(archs).reshape(-1, len(self.choice.edges), len(self.choice.ops)).astype(np.int32)
        return [_BREAK.join("".join(map(str, edge)) for edge in mask) for mask in rows.tolist()]

    def canonical(self, arch: Any) -> str:
        """The text of the mask."""
        return self.encode(arch)[0]

    def sample(self, key: Array, num: int) -> np.ndarray:
        """Masks of random architectures of the base space."""
        return np.stack([self.mask(arch) for arch in np.asarray(self.network.sample(key, num))])

    def mask(self, arch: Any) -> np.ndarray:
        """The mask of one architecture of the base space."""
        return np.minimum(self.network.supernet_mask(arch), 1).astype(np.int32)

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """Whether the output depends on the images, and why not: that of one living operation an edge."""
        found: tuple[bool, str] = self.network.is_valid(self.arch(np.asarray(arch)))
        return found

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters of the living operations and of the rest; exact."""
        return self._cost("params", archs)

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of convolutions and the classifier for one image; exact."""
        return self._cost("flops", archs)

    def _cost(self, cost: str, archs: Any) -> Any:
        fixed, units = _unit_costs(self, cost)
        masks = np.asarray(archs)
        axes = tuple(range(masks.ndim - units.ndim, masks.ndim))
        return fixed + ((masks > 0) * units).sum(axes)

    def architecture_keys(self, key: Array, encodings: Sequence[str]) -> Array:
        """Keys of a population; one and the same where weights are shared. See `nasjax.spaces.optional.HasKeys`."""
        if not self.shared_weights:
            return architecture_keys(key, encodings)
        first, second = stable_words(self.name)
        one = jax.random.fold_in(jax.random.fold_in(key, first), second)
        return jnp.broadcast_to(one, (len(encodings),))

    def weigh(self, mask: Array, dtype: Any) -> Array:
        """The weights of the sums."""
        alive = (jnp.asarray(mask) > 0).astype(dtype)
        return alive / jnp.maximum(alive.sum(-1, keepdims=True), 1) if self.mixture == "mean" else alive

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables, those of every operation, whatever the mask."""
        del arch
        variables: Variables = self.network.init_supernet(key, law=law, dtype=dtype)
        return variables

    def apply(
        self,
        variables: Variables,
        arch: Array,
        images: Array,
        *,
        norm: str = "batch",
        tap: Tap | None = None,
        moments: PyTree | None = None,
        rescale: bool = False,
    ) -> Output:
        """Forward pass; arguments as of `nasjax.spaces.base.SearchSpace.apply`."""
        weights = self.weigh(arch, images.dtype)
        output: Output = self.network.apply_supernet(
            variables, weights, images, norm=norm, tap=tap, moments=moments, rescale=rescale
        )
        return output

    @abc.abstractmethod
    def weight_mask(self, arch: Array) -> PyTree:
        """Which weights are alive: tree shaped like ``weights``, bool arrays that broadcast to them."""

    @abc.abstractmethod
    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a tree shaped like ``weights`` over each layer slot, in forward order: float [L]."""

    @abc.abstractmethod
    def layers(self, arch: Array) -> LayerTable:
        """The weight layers of a mask, one row a slot; the operations of an edge in their order; traceable."""

    @abc.abstractmethod
    def site_calls(self, arch: Array) -> dict[str, Array]:
        """Activation calls by site and depth-percentile bin; traceable."""


@functools.lru_cache(maxsize=64)
def _unit_costs(space: Masked[Any], cost: str) -> tuple[int, np.ndarray]:
    return space.unit_costs(cost)
