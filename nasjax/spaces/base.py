"""What every search space offers, and the random key of an architecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import jax
import numpy as np

from nasjax.hashing import stable_words
from nasjax.spaces.initial import check_law as check_law
from nasjax.types import Array, Graph, InputError, LayerTable, Output, PyTree, Tap, Variables


class SearchSpace(Protocol):
    """A search space: a frozen object of pure functions. An architecture is an integer pytree.

    Spaces are hashable and compare by value, so they may be static arguments of ``jax.jit``. What a space may offer
    beyond, such as a supernet for pruning search, is in `nasjax.spaces.optional`.
    """

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def options(self) -> dict[str, Any]:
        """Everything that distinguishes this configuration, JSON-serialisable."""
        ...

    @property
    def num_classes(self) -> int:
        """Number of outputs."""
        ...

    def init(self, key: Array, arch: PyTree, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables of one architecture.

        Args:
          key: typed key.
          arch: one architecture.
          law: initialisation law.
          dtype: floating type; JAX's default by default.

        Returns:
          parameters and running statistics.
        """
        ...

    def apply(
        self,
        variables: Variables,
        arch: PyTree,
        images: Array,
        *,
        norm: str = "batch",
        tap: Tap | None = None,
        moments: PyTree | None = None,
        rescale: bool = False,
    ) -> Output:
        """Forward pass.

        Args:
          variables: what ``init`` makes.
          arch: one architecture.
          images: float [batch, height, width, channels].
          norm: batch-norm mode: "batch", "running", "sample" or "none".
          tap: called at every activation site; what it returns is in ``Output.taps``.
          moments: dummy operands of the weight layers whose gradients are reduced statistics; see `nasjax.nn`.
          rescale: keep activations in range, where only their logarithm matters.

        Returns:
          logits, updated statistics and taps.
        """
        ...

    def loss(self, output: Output, targets: Array) -> Array:
        """Mean loss over the batch.

        Args:
          output: of ``apply``.
          targets: int32 [batch], class indices.

        Returns:
          scalar.
        """
        ...

    def weights(self, params: PyTree) -> PyTree:
        """The convolution and linear weights among the parameters."""
        ...

    def with_weights(self, params: PyTree, weights: PyTree) -> PyTree:
        """Parameters with the weights replaced.

        Args:
          params: parameters.
          weights: tree shaped like that of ``weights``.

        Returns:
          new parameters.
        """
        ...

    def weight_mask(self, arch: PyTree) -> PyTree:
        """Which weights an architecture has: tree shaped like ``weights``, bool arrays that broadcast to them."""
        ...

    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a tree shaped like ``weights`` over each weight layer: float [L]."""
        ...

    def layers(self, arch: PyTree) -> LayerTable:
        """Weight layers, traceable."""
        ...

    def site_calls(self, arch: PyTree) -> dict[str, Array]:
        """Activation calls by depth-percentile bin of every tap site, int32 [..., 10], traceable."""
        ...

    def decode(self, encodings: Sequence[Any]) -> np.ndarray:
        """Official encodings to a population."""
        ...

    def encode(self, archs: Any) -> list[str]:
        """Population to official strings."""
        ...

    def sample(self, key: Array, num: int) -> Array:
        """A random population.

        Args:
          key: typed key.
          num: how many architectures.

        Returns:
          int32 [num, ...], uniform over the space.
        """
        ...

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """Whether the output depends on the input, and the reason if not."""
        ...

    def canonical(self, arch: Any) -> str:
        """Text shared by isomorphic architectures."""
        ...

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters, exact."""
        ...

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of convolutions and linear layers for one image, exact."""
        ...

    def to_graph(self, arch: Any) -> Graph:
        """The cell as a labelled graph."""
        ...

    def signature(self, archs: Any) -> list[str]:
        """What fixes tensor shapes, for each architecture of a population; one program serves those that share it."""
        ...

    def bind(self, signature: str) -> SearchSpace:
        """The space for architectures of one signature, whose functions are traceable in the architecture.

        A space of one signature returns itself.

        Args:
          signature: one of ``signature``.

        Returns:
          a space that differs in nothing else.
        """
        ...


def bind_one(space: Any, arch: PyTree) -> Any:
    """The space bound to the signature of one architecture.

    Args:
      space: search space.
      arch: one architecture, not traced.

    Returns:
      the bound space.
    """
    return space.bind(space.signature(jax.tree.map(lambda a: np.asarray(a)[None], arch))[0])


def by_signature(space: Any, archs: PyTree) -> list[tuple[Any, np.ndarray]]:
    """Parts of a population that one program each serves.

    Args:
      space: search space.
      archs: population.

    Returns:
      (bound space, indices int [m] in increasing order) of each signature, in the order of first appearance.
    """
    signatures = np.asarray(space.signature(archs))
    return [(space.bind(text), np.flatnonzero(signatures == text)) for text in dict.fromkeys(signatures.tolist())]


def check_key(key: Any) -> None:
    """Refuses what is not one key.

    Args:
      key: what was given as a key.

    Raises:
      InputError: it is not.
    """
    try:
        jax.random.fold_in(key, 0)
    except (TypeError, ValueError):
        shown = f"key of shape {list(np.shape(key))}" if np.ndim(key) else f"key={key!r}"
        raise InputError(f"{shown}; allowed is one key, as jax.random.key(0) makes it.") from None


def architecture_keys(key: Array, encodings: Sequence[str]) -> Array:
    """One key an architecture: two words of a stable hash of its encoding folded into ``key``.

    Position, chunk, order, padding, engine and device count therefore do not change a score.

    Args:
      key: typed key.
      encodings: official strings, length n.

    Returns:
      typed keys [n].
    """
    words = np.stack([stable_words(text) for text in encodings]).astype(np.uint32)
    fold = jax.vmap(lambda w: jax.random.fold_in(jax.random.fold_in(key, w[0]), w[1]))
    return fold(words)


def depth_bin(order: Array, depth: Array, *, bins: int = 10) -> Array:
    """Depth-percentile bin of layer ``order`` (1..depth): ``min(100 order // (depth 100 / bins), bins - 1)``.

    L-SWAG, Eq. 6, in integers; the last layer, which would fall outside, is put in the last bin.

    Args:
      order: int32, forward position of a layer.
      depth: int32, number of layers of the network.
      bins: number of bins.

    Returns:
      int32, broadcast of order and depth.
    """
    return jax.numpy.minimum((order * 100) // (depth * (100 // bins)), bins - 1)
