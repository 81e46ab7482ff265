"""What a search space may offer beyond `nasjax.spaces.base.SearchSpace`; some proxies need it.

A pass names the methods it needs; on a space without them it is refused with their names. A space whose gradient of
``apply`` can be differentiated by forward mode says so by an attribute ``forward_over_reverse = True``: no function
with a vjp of its own may then stand inside another one's forward rule. A network of tokens, whose norms are
no batch norms, says so by ``tokens = True``. Training may leave out paths of a network whose ``apply`` takes
``drop_path`` and which says so by ``drops_paths = True``. A space whose architectures are scored faster together, by
``vmap``, than one after another on an accelerator says so by ``together = True``. One whose targets are no classes
names their kind by ``targets``, see `nasjax.spaces.transnas_tasks.Task`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from nasjax.types import Array, Output, PyTree, Tap, Variables, Visit, Walk

ModuleVisit = Callable[[Array, Array], PyTree]
ResponseVisit = Callable[[Array | int, Array, Array, Array], PyTree]


class OutputVisit(Protocol):
    """What `HasLayerOutputs.layer_outputs` calls."""

    def __call__(self, values: Array, padding: Array | int = 0) -> PyTree:
        """Reduces the outputs of some layers.

        Args:
          values: float [k, batch, ...], outputs of equal shape; zero for a layer that the architecture lacks.
          padding: int32 [k] or 0; how many entries of a sample belong to no output. They are zero.

        Returns:
          tree of arrays with the leading axis k.
        """
        ...


class RefusesPasses(Protocol):
    """A space that some passes do not fit, though it has all methods."""

    def check_pass(self, p: Any) -> None:
        """Raises `nasjax.types.InputError` for a pass of `nasjax.proxies.passes` that it cannot serve."""
        ...


class HasFresh(Protocol):
    """A space whose ``init`` may give fixed variables."""

    def fresh(self, key: Array, arch: PyTree, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Variables drawn anew, as ``init`` of other spaces; for passes that repeat the draw."""
        ...


class ChecksImages(Protocol):
    """A space that images of any shape may fit."""

    def check_images(self, images: np.ndarray) -> None:
        """Raises `nasjax.types.InputError` for images [num_batches, batch, ...] that do not; in place of the sizes."""
        ...


class Enumerates(Protocol):
    """A space of few architectures: limits of a search are checked exactly."""

    def all(self) -> np.ndarray:
        """Every architecture, int [n, ...]."""
        ...


class HasExtremes(Protocol):
    """A space that knows its smallest and largest networks: limits of a search are checked exactly."""

    def extremes(self) -> np.ndarray:
        """Architectures int [n, ...] with the smallest and largest parameters and multiply-adds of the space."""
        ...


class HasKeys(Protocol):
    """A space whose architectures do not each have a random key of their own."""

    def architecture_keys(self, key: Array, encodings: Sequence[str]) -> Array:
        """Typed keys [n]; in place of `nasjax.spaces.base.architecture_keys`."""
        ...


class HasSupernet(Protocol):
    """A space with a supernet, whose edges are weighted sums of all operations: pruning search.

    The weights of the sums are a *mask*, float [..., edges, operations], and data: one program serves all of them.
    """

    def init_supernet(self, key: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables of every operation; arguments as of ``init``."""
        ...

    def apply_supernet(
        self,
        variables: Variables,
        mask: Array,
        images: Array,
        *,
        norm: str = "batch",
        tap: Tap | None = None,
        moments: PyTree | None = None,
        rescale: bool = False,
    ) -> Output:
        """Forward pass; operations of weight 0 are not computed. Other arguments as of ``apply``."""
        ...

    def supernet_mask(self, arch: Any) -> np.ndarray:
        """The mask under which the supernet is one architecture."""
        ...

    def inherit(self, variables: Variables, arch: Any) -> Variables:
        """Variables of one architecture out of those of the supernet, for ``apply``."""
        ...

    def masked(self, *, mixture: str = "mean", shared_weights: bool = True) -> Any:
        """The supernet as a space whose architectures are masks, `nasjax.spaces.masked.Masked`."""
        ...


class HasWeightMask(Protocol):
    """A space that tells which weights an architecture has: l2_norm, GradSign, SNR."""

    def weight_mask(self, arch: PyTree) -> PyTree:
        """Tree shaped like ``weights``, bool arrays that broadcast to them; traceable."""
        ...


class HasNamedWeights(Protocol):
    """A space that tells which parameters PyTorch names "weight": the tangent kernel of TE-NAS."""

    def named_weights(self, params: PyTree) -> PyTree:
        """Weights of convolutions, linear layers and norms, out of a tree shaped like the parameters."""
        ...


class HasBlocks(Protocol):
    """A network that can be walked block by block: AZ-NAS, Zen."""

    def blocks(self, variables: Variables, arch: PyTree, images: Array, visit: Visit, *, norm: str = "batch") -> Walk:
        """Walks the network.

        Args:
          variables: what ``init`` makes.
          arch: one architecture.
          images: float [batch, height, width, channels].
          visit: called as visit(block, function, x) in forward order, also inside loops, where ``function`` maps
            the block's input x to (output, running statistics). It returns (function(x), statistic), so it may
            differentiate the block with respect to x by the way, and the statistic stays small.
          norm: batch-norm mode.

        Returns:
          features before the global pooling, running statistics, and the statistics by block name.
        """
        ...


class HasModules(Protocol):
    """A network that shows the output of every module of its official code: MeCo, Dextr."""

    def modules(
        self, variables: Variables, arch: PyTree, images: Array, visit: ModuleVisit, *, norm: str = "batch"
    ) -> tuple[Array, list[PyTree]]:
        """Shows the outputs of all modules; traceable by forward-mode derivatives.

        Args:
          variables: what ``init`` makes.
          arch: one architecture.
          images: float [batch, height, width, channels].
          visit: called as visit(values, counts) on float [k, batch, height, width, channels], values of equal
            shape, and int32 [k], how many modules of the official network, containers included, put out each;
            0 for values that the architecture lacks.
          norm: batch-norm mode.

        Returns:
          logits, and what the visitor returned, in forward order, with a leading axis for repeated cells.
        """
        ...


class HasLayerOutputs(Protocol):
    """A network that shows what every weight layer puts out: T-CET."""

    def layer_outputs(
        self, variables: Variables, arch: PyTree, images: Array, visit: OutputVisit, *, norm: str = "batch"
    ) -> list[PyTree]:
        """Shows the outputs of convolutions and linear layers, biases included.

        Args:
          variables: what ``init`` makes.
          arch: one architecture.
          images: float [batch, height, width, channels].
          visit: called on the outputs of k layers at a time, see `OutputVisit`.
          norm: batch-norm mode.

        Returns:
          what the visitor returned, k slots or [cells, k] of repeated cells each, in the order of ``layers``.
        """
        ...


class HasResponses(Protocol):
    """A network that shows every rectifier's input beside its gradient: WRCor."""

    def responses(
        self,
        variables: Variables,
        arch: PyTree,
        images: Array,
        labels: Array,
        visit: ResponseVisit,
        *,
        norm: str = "batch",
    ) -> list[PyTree]:
        """One forward and one backward pass of the mean loss.

        Args:
          variables: what ``init`` makes.
          arch: one architecture.
          images: float [batch, height, width, channels].
          labels: int32 [batch].
          visit: called as visit(index, values, cotangents, counts): number of the block, 0 for the first after
            the stem; inputs of rectifiers float [k, batch, ...]; the gradients that flow back through each of
            them alone, same shape; int32 [k], 1 where the architecture has the rectifier, else 0.
          norm: batch-norm mode.

        Returns:
          what the visitor returned, in backward order, with a leading axis for repeated cells.
        """
        ...


class ThinNetwork(Protocol):
    """The cell alone, one channel wide, between image and last rectifier."""

    def init(self, key: Array, arch: PyTree, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables."""
        ...

    def codes(self, variables: Variables, arch: PyTree, images: Array) -> tuple[Array, Array]:
        """Activation pattern of every sample.

        Args:
          variables: what ``init`` makes.
          arch: one architecture.
          images: float [batch, height, width, 1].

        Returns:
          bool [batch, neurons], False where the architecture has no such neuron; and bool [], whether all activations
          are finite numbers.
        """
        ...


class HasThin(Protocol):
    """A space whose cells can stand alone: the linear regions of TE-NAS."""

    def thin(self) -> ThinNetwork:
        """The thin network."""
        ...


class WeightRoles(NamedTuple):
    """Weights of a vision transformer, or anything of their structure, by what they do.

    Attributes:
      attention: stacks of matrices [n, in, out] of the attention layers; zero where an architecture lacks one.
      mlp: stacks of matrices of the other layers in the blocks.
      head: [in, out], of the classifier.
    """

    attention: tuple[Array, ...]
    mlp: tuple[Array, ...]
    head: Array


class HasRoles(Protocol):
    """A vision transformer: DSS."""

    def weights_by_role(self, weights: PyTree) -> WeightRoles:
        """Sorts a tree shaped like ``weights``; the patch embedding has no role."""
        ...
