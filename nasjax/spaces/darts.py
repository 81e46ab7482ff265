"""DARTS: about 10^18 architectures of two cells in one program (Liu et al., ICLR 2019; NAS-Bench-301)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import darts_blocks as blocks
from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_cost as cost
from nasjax.spaces import darts_graph as graph
from nasjax.spaces import darts_moves as moves
from nasjax.spaces import darts_network as network
from nasjax.spaces import darts_params as parameters
from nasjax.spaces import darts_slots as places
from nasjax.spaces import darts_supernet as supernet
from nasjax.spaces import darts_supernet_slots as supernet_slots
from nasjax.spaces import drop, initial, torch_layout
from nasjax.spaces.checks import check_sizes, population
from nasjax.spaces.darts_masked import MaskedDarts
from nasjax.spaces.darts_plan import VARIANTS, Sizes
from nasjax.spaces.genes import Genes
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Forward, Runner
from nasjax.spaces.shared import Classifier, OneProgram
from nasjax.types import Array, Graph, InputError, LayerTable, Output, PyTree, Tap, Variables, Visit, Walk

AUXILIARY_WEIGHT = 0.4  # of the auxiliary head's loss, as the DARTS code trains


@dataclasses.dataclass(frozen=True)
class Darts(Classifier, OneProgram):
    """The DARTS search space; see `nasjax.spaces.base.SearchSpace` for the functions.

    An architecture is int [32], see `nasjax.spaces.darts_codec`. One compiled program serves all architectures of a
    configuration.

    Attributes:
      variant: which network is built around the cells. "darts": the evaluation network of DARTS for CIFAR; "imagenet":
        that for ImageNet, with a stem of three convolutions of stride 2; "naslib":
        the network that NASLib (NAS-Bench-Suite-Zero) scores, with norms behind the pools and without scale and
        shift on the edges; "swap": that of SWAP-NAS, without stem.
      channels: channels of the cells before the first reduction; 36, 48, 32 and 3 by default. Even with "imagenet".
      cells: number of cells; 20, 14, 8 and 1 by default. Those at one and at two thirds of the depth are reduction
        cells; with one cell that is the only cell.
      auxiliary: whether there is an auxiliary head, which training reads and scores do not. The published scores of
        NAS-Bench-Suite-Zero are without.
      num_classes: outputs of the classifier; 10 by default, 1000 with "imagenet".
      image_size: height and width of the images; a multiple of 4, or of 2 with one cell, eight times that with
        "imagenet". 32 by default, 224 with "imagenet".
      in_channels: channels of the images.
      precision: matrix precision of every convolution and product.
    """

    variant: str = "darts"
    channels: int = None  # type: ignore[assignment]
    cells: int = None  # type: ignore[assignment]
    auxiliary: bool = False
    num_classes: int = None  # type: ignore[assignment]
    image_size: int = None  # type: ignore[assignment]
    in_channels: int = 3
    precision: str = "highest"

    drops_paths: ClassVar[bool] = True  # see `nasjax.spaces.optional`
    forward_over_reverse: ClassVar[bool] = True  # see `nasjax.spaces.optional`

    def __post_init__(self) -> None:
        """Fills in the variant's sizes, and checks all."""
        if self.variant not in VARIANTS:
            raise InputError(f"darts: variant={self.variant!r}; allowed are {', '.join(VARIANTS)}.")
        for field in ("channels", "cells", "num_classes", "image_size"):
            if getattr(self, field) is None:
                object.__setattr__(self, field, getattr(VARIANTS[self.variant], field))
        check_sizes(self, "channels", "cells", "num_classes", "image_size", "in_channels")
        if VARIANTS[self.variant].deep and self.channels % 2:
            raise InputError(f"darts: channels={self.channels}; allowed is an even number: the stem halves it.")
        if not isinstance(self.auxiliary, bool):
            raise InputError(f"darts: auxiliary={self.auxiliary!r}; allowed are True and False.")
        network.check_image(self._sizes, self.image_size, self.image_size, "darts: image_size")

    @property
    def name(self) -> str:
        """Registered name of the space."""
        return "darts"

    @property
    def options(self) -> dict[str, Any]:
        """Configuration as JSON-serialisable values; ``precision`` is kept apart by the records."""
        options = dataclasses.asdict(self)
        del options["precision"]
        return options

    @property
    def _sizes(self) -> Sizes:
        return Sizes(self.variant, self.channels, self.cells, self.num_classes, self.in_channels, self.auxiliary)

    # Encodings, moves and costs.

    def decode(self, encodings: Sequence[Any] | Any) -> np.ndarray:
        """Encodings to a population int32 [n, 32]; see `nasjax.spaces.darts_codec.decode` for the forms.

        Raises:
          InputError: an encoding is malformed; the message names the part.
        """
        return population(
            self.name,
            encodings,
            one=codec.decode,
            rows=lambda array: np.stack([codec.check(row) for row in array]),
            single=lambda given: hasattr(given, "normal"),
            example="'Genotype(normal=[('sep_conv_3x3', 0), ...], reduce=[...])'",
        )

    def encode(self, archs: Any) -> list[str]:
        """Official genotypes of a population int [n, 32], as texts."""
        return [codec.encode(arch) for arch in np.atleast_2d(np.asarray(archs))]

    def sample(self, key: Array, num: int) -> Array:
        """Uniform population of NAS-Bench-301, int32 [num, 32]: no ``none``, two different sources a node."""
        return moves.sample(key, num)

    def mutate(self, key: Array, arch: Array) -> Array:
        """Changes the operation or the source of one edge; traceable."""
        return moves.mutate(key, arch)

    def crossover(self, key: Array, first: Array, second: Array) -> Array:
        """Takes each node with its two edges from either parent; traceable."""
        return moves.crossover(key, first, second)

    def genes(self) -> Genes:
        """The operation of each edge and the pair of sources of each node."""
        return moves.genes()

    def neighbours(self, arch: Any) -> np.ndarray:
        """Architectures that differ in one operation or one source, int32 [n, 32]; 120 within NAS-Bench-301."""
        return graph.neighbours(arch)

    def extremes(self) -> np.ndarray:
        """Pools alone and separable 5x5 convolutions alone, with the smallest and largest costs: int32 [2, 32]."""
        return moves.extremes()

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """Whether any path leads from images to output, and why not."""
        return graph.is_valid(arch, self._sizes.reductions())

    def canonical(self, arch: Any) -> str:
        """Text shared by architectures that differ in the order of nodes and edges alone."""
        return graph.canonical(arch)

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters of one architecture or a population, auxiliary head included; exact."""
        return cost.num_params(np.asarray(archs), self._sizes)

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of convolutions and the classifier for one image, without the auxiliary head; exact."""
        return cost.macs(np.asarray(archs), self._sizes, self.image_size)

    def to_graph(self, arch: Any) -> Graph:
        """Both cells as a labelled graph."""
        return graph.to_graph(arch)

    # The network.

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables.

        Args:
          key: typed key.
          arch: int [32]; the tree is the same for every architecture.
          law: "torch" (uniform +-1/sqrt(fan_in), torch's default), "kaiming_fan_in" or "kaiming_fan_out" (normal,
            variance 2/fan), "normal" (standard normal). Fans are those of the architecture's own layers. Norms start
            at scale one and shift zero.
          dtype: floating dtype; by default JAX's default.

        Returns:
          Variables(params, stats); weights that the architecture lacks are zero.

        Raises:
          InputError: unknown law.
        """
        law = initial.check_law(law)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        params = parameters.init_params(key, self._sizes, jnp.asarray(arch), law, dtype)
        return Variables(params, parameters.init_stats(self._sizes, dtype))

    def apply(
        self,
        variables: Variables,
        arch: Array,
        images: Array,
        *,
        norm: str = "batch",
        train: bool = False,
        key: Array | None = None,
        tap: Tap | None = None,
        moments: PyTree | None = None,
        rescale: bool = False,
        drop_path: Array | float | None = None,
    ) -> Output:
        """Forward pass.

        Args:
          variables: see `init`.
          arch: int [32].
          images: float [batch, height, width, in_channels].
          norm: "batch", "running", "sample" or "none"; see `nasjax.nn.batch_norm`.
          train: whether the auxiliary head runs, if there is one; ``taps["auxiliary"]`` then holds its logits.
          key: typed keys [batch], one an image, for ``drop_path``.
          tap: called as tap(site, value) on the input of every rectifier; its results come back in ``taps``.
          moments: zero tree of readers of `nasjax.nn` shaped like ``weights``, whose gradient is what they read.
          rescale: divide by the largest magnitude after stem and cells, so that a network without norms neither
            over- nor underflows; ``taps["log_scale"]`` holds the logarithm of the product.
          drop_path: probability that the output of an edge is left out, for each image by itself; others grow in
            proportion. Identities stay. None computes nothing of it.

        Returns:
          Output(logits [batch, num_classes], new running statistics, taps).

        Raises:
          InputError: the strides do not divide the images.
        """
        arch, paths = jnp.asarray(arch), None
        if drop_path is not None:
            paths = drop.multipliers(
                drop.checked(key, self.name), drop_path, (self.cells, codec.NUM_EDGES), images.dtype
            )
        logits, extra, run = network.forward(
            Forward(norm, self.precision, rescale),
            self._sizes,
            variables,
            network.chosen_cell(arch),
            images,
            {} if tap is None else self.site_calls(arch),
            tap,
            moments,
            train and self.auxiliary,
            paths,
        )
        taps = run.taps | ({"log_scale": run.log_scale} if rescale else {})
        return Output(logits, run.stats, taps if extra is None else taps | {"auxiliary": extra})

    def blocks(self, variables: Variables, arch: Array, images: Array, visit: Visit, *, norm: str = "batch") -> Walk:
        """Stem and cells, each a function of the last output alone; see `nasjax.spaces.optional.HasBlocks`."""
        options = Forward(norm, self.precision, rescale=False)
        run = Runner(options, variables.params, variables.stats, {}, None, None, images.dtype)
        return blocks.walk(run, self._sizes, network.chosen_cell(jnp.asarray(arch)), images, visit)

    def layer_outputs(
        self, variables: Variables, arch: Array, images: Array, visit: OutputVisit, *, norm: str = "batch"
    ) -> list[PyTree]:
        """Outputs of the weight layers; see `nasjax.spaces.optional.HasLayerOutputs`."""
        options = Forward(norm, self.precision, rescale=False)
        run = Runner(options, *variables, {}, None, None, images.dtype, show=visit)
        return blocks.layer_outputs(run, self._sizes, network.chosen_cell(jnp.asarray(arch)), images)

    def loss(self, output: Output, targets: Array) -> Array:
        """Mean cross-entropy; with logits of an auxiliary head, 0.4 times theirs is added. ``targets``: int [batch]."""
        total = super().loss(output, targets)
        extra = output.taps.get("auxiliary")
        if extra is None:
            return total
        return total + AUXILIARY_WEIGHT * super().loss(output._replace(logits=extra), targets)

    def weight_mask(self, arch: Array) -> PyTree:
        """Which weights an architecture has: tree shaped like ``weights``, bool arrays that broadcast to them."""
        return parameters.weight_mask(self._sizes, jnp.asarray(arch))

    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a tree shaped like ``weights`` over each layer slot, in forward order: float [L]."""
        return parameters.layer_sums(terms, self._sizes)

    def layer_names(self) -> tuple[str, ...]:
        """Slot names: the module names of the official network."""
        return places.layer_names(self._sizes)

    def torch_places(self, arch: Any) -> dict[str, torch_layout.Place]:
        """Where every tensor of the official network goes; see `nasjax.spaces.torch_layout`."""
        return places.torch_places(self._sizes, codec.check(np.asarray(arch)))

    def layers(self, arch: Array) -> LayerTable:
        """The weight layers of an architecture, one row a slot; traceable."""
        return places.layer_table(self._sizes, jnp.asarray(arch))

    def site_calls(self, arch: Array) -> dict[str, Array]:
        """Activation calls by site and depth-percentile bin; see `nasjax.spaces.darts_slots.site_calls`."""
        return places.site_calls(self._sizes, jnp.asarray(arch))

    # The supernet.

    def init_supernet(self, key: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables of the supernet; arguments as of `init`."""
        law = initial.check_law(law)
        return supernet.init(key, self._sizes, law, jnp.zeros(()).dtype if dtype is None else dtype)

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
        """Forward pass of the supernet, for pruning and differentiable search.

        Args:
          variables: see `init_supernet`.
          mask: float [2, 14, 8]: weight of each operation on each edge of the normal and the reduction cell; see
            `nasjax.spaces.darts_supernet`. Operations of weight 0 are not computed, and their weight has gradient 0.
          images: float [batch, height, width, in_channels].
          norm: batch-norm mode.
          tap: as of `apply`; so are ``moments``, shaped like the weights of the supernet, and ``rescale``.
          moments: see above.
          rescale: see above.

        Returns:
          Output(logits [batch, num_classes], new running statistics, taps).

        Raises:
          InputError: a mask of another shape, or images that the strides do not divide.
        """
        mask, options = supernet.check_mask(mask), Forward(norm, self.precision, rescale)
        calls = {} if tap is None else supernet_slots.site_calls(self._sizes, mask)
        cell = supernet.mixed_cell(mask.astype(images.dtype))
        logits, _, run = network.forward(
            options, self._sizes, variables, cell, images, calls, tap, moments, auxiliary=False
        )
        return Output(logits, run.stats, run.taps | ({"log_scale": run.log_scale} if rescale else {}))

    def supernet_mask(self, arch: Any) -> np.ndarray:
        """The mask under which the supernet is one architecture: float64 [2, 14, 8]."""
        return supernet.mask_of(arch)

    def masked(self, *, mixture: str = "mean", shared_weights: bool = True) -> MaskedDarts:
        """Masks of the supernet as a space; options as of `nasjax.spaces.masked.Masked`.

        Raises:
          InputError: the variant has a deep stem, which the supernet lacks.
        """
        if self._sizes.kind.deep:
            raise InputError(f"darts: variant={self.variant!r} has no supernet of masks; prune another variant.")
        return MaskedDarts(self, mixture, shared_weights, self.precision)

    def inherit(self, variables: Variables, arch: Any) -> Variables:
        """Variables of one architecture with the weights of the supernet; for ``apply``.

        With variant "naslib" the network is then the supernet under ``supernet_mask(arch)``; the other variants differ
        from it in the norms on the edges.

        Args:
          variables: see `init_supernet`.
          arch: int [32], not traced.

        Returns:
          Variables; norms that the supernet does not scale start at scale one and shift zero.
        """
        dtype = variables.params["bias"]["head"].dtype
        template = self.init(jax.random.key(0), jnp.asarray(arch), dtype=dtype)
        return supernet.inherit(variables, arch, self._sizes, template)
