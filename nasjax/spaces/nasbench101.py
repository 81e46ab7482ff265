"""NAS-Bench-101: 423,624 cells of up to seven vertices and nine edges (Ying et al., ICML 2019)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import cell101_codec as codec
from nasjax.spaces import cell101_cost as cost
from nasjax.spaces import cell101_graph as graph
from nasjax.spaces import cell101_moves as moves
from nasjax.spaces import initial, torch_layout
from nasjax.spaces import nasbench101_blocks as blocks
from nasjax.spaces import nasbench101_network as network
from nasjax.spaces import nasbench101_torch as naming
from nasjax.spaces.base import depth_bin
from nasjax.spaces.checks import check_sizes, population
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Forward, Runner
from nasjax.spaces.shared import Classifier
from nasjax.types import Array, Graph, InputError, LayerTable, Output, PyTree, Tap, Variables, Visit, Walk

_NUM_BINS = 10
_SIGNATURE = "branches="


@dataclasses.dataclass(frozen=True)
class NasBench101(Classifier):
    """The NAS-Bench-101 search space; see `nasjax.spaces.base.SearchSpace` for the functions.

    An architecture is int [26], see `nasjax.spaces.cell101_graph`. Arrays that prune to the same cell are one
    architecture: they share the encoding, and with it the random weights. The signature is the number of
    vertices that the output of a cell concatenates, which decides the widths: four programs for the space.

    ``init``, ``apply``, ``site_calls``, ``layer_sums`` and ``weight_mask`` are traceable once the space is bound
    to a signature; unbound, they take an architecture that is not traced, and bind themselves.

    Attributes:
      channels: channels of stem and first stack; doubled from one stack to the next.
      stacks: number of stacks, a 2x2 maximum pooling between them.
      cells: cells a stack.
      num_classes: outputs of the classifier.
      image_size: height and width of the images; every pooling halves it, rounding down.
      in_channels: channels of the images.
      precision: matrix precision of every convolution and product.
      branches: concatenated vertices of the architectures that the space is bound to; set by ``bind``.
    """

    channels: int = 128
    stacks: int = 3
    cells: int = 3
    num_classes: int = 10
    image_size: int = 32
    in_channels: int = 3
    precision: str = "highest"
    branches: int | None = dataclasses.field(default=None, metadata={"option": False})

    def __post_init__(self) -> None:
        """Checks the sizes."""
        check_sizes(self, "channels", "stacks", "cells", "num_classes", "image_size", "in_channels")
        if self.channels < graph.MAX_BRANCHES:
            raise InputError(
                f"nasbench101: channels={self.channels}; allowed is {graph.MAX_BRANCHES} or more, since a cell shares "
                "its channels among up to four vertices."
            )
        if self.image_size < 2 ** (self.stacks - 1):
            raise InputError(
                f"nasbench101: image_size={self.image_size} is too small for {self.stacks} stacks; "
                f"allowed is {2 ** (self.stacks - 1)} or more."
            )

    @property
    def name(self) -> str:
        """Registered name of the space."""
        return "nasbench101"

    @property
    def options(self) -> dict[str, Any]:
        """Configuration as JSON-serialisable values; ``precision`` is kept apart by the records."""
        fields = ("channels", "stacks", "cells", "num_classes", "image_size", "in_channels")
        return {field: getattr(self, field) for field in fields}

    # Encodings, moves and costs.

    def decode(self, encodings: Sequence[Any] | Any) -> np.ndarray:
        """Encodings to a population int32 [n, 26]; see `nasjax.spaces.cell101_codec.decode` for the forms.

        Raises:
          InputError: an encoding is malformed, or names no cell of the space.
        """
        return population(
            self.name,
            encodings,
            one=codec.decode,
            rows=lambda array: np.stack([codec.check(row) for row in array]),
            single=lambda given: False,
            example=codec.EXAMPLE,
        )

    def encode(self, archs: Any) -> list[str]:
        """Official matrices and operations of a population int [n, 26], pruned, as JSON texts."""
        return [codec.encode(arch) for arch in np.atleast_2d(np.asarray(archs))]

    def sample(self, key: Array, num: int) -> Array:
        """Random population int32 [num, 26]; see `nasjax.spaces.cell101_moves.sample` for the law."""
        return moves.sample(key, num)

    def mutate(self, key: Array, arch: Array, *, rate: float = 1.0) -> Array:
        """Flips edges and changes operations; traceable."""
        return moves.mutate(key, arch, rate=rate)

    def crossover(self, key: Array, first: Array, second: Array) -> Array:
        """Takes each edge and operation from either parent; traceable."""
        return moves.crossover(key, first, second)

    def neighbours(self, arch: Any) -> np.ndarray:
        """Other cells one edge or operation away, int32 [n, 26]."""
        return moves.neighbours(arch)

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """Whether the cell belongs to the space, and why not."""
        return graph.is_valid(np.asarray(arch))

    def canonical(self, arch: Any) -> str:
        """Official hash of the graph, shared by isomorphic cells."""
        return graph.graph_hash(*graph.spec(np.asarray(arch)))

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters of one architecture or a population; exact."""
        return cost.num_params(np.asarray(archs), self._shape)

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of convolutions and the classifier for one image; exact."""
        return cost.macs(np.asarray(archs), self._shape, self.image_size)

    def to_graph(self, arch: Any) -> Graph:
        """The pruned cell as a labelled graph."""
        return graph.to_graph(np.asarray(arch))

    def signature(self, archs: Any) -> list[str]:
        """Number of concatenated vertices; a cell without any runs in the program of the narrowest ones."""
        ends = graph.branches(graph.prune(np.atleast_2d(np.asarray(archs))))
        return [f"{_SIGNATURE}{n or graph.MAX_BRANCHES}" for n in ends.tolist()]

    def bind(self, signature: str) -> NasBench101:
        """The space for architectures of one signature."""
        return dataclasses.replace(self, branches=int(signature.removeprefix(_SIGNATURE)))

    @property
    def _shape(self) -> cost.Shape:
        return cost.Shape(self.channels, self.stacks, self.cells, self.num_classes, self.in_channels)

    def _sizes(self, arch: Any) -> network.Sizes:
        branches = self.branches
        if branches is None:
            if isinstance(arch, jax.core.Tracer):
                raise InputError(
                    "nasbench101: the architecture is traced, and shapes depend on it; "
                    "bind the space first: space.bind(space.signature(arch)[0])."
                )
            branches = self.bind(self.signature(arch)[0]).branches
            assert branches is not None
        return network.Sizes(*self._shape, branches)

    # The network.

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables.

        Args:
          key: typed key.
          arch: int [26].
          law: "torch" (uniform +-1/sqrt(fan_in)), "kaiming_fan_in" or "kaiming_fan_out" (normal, variance 2/fan;
            the latter is that of the official code but for the classifier), "normal" (standard normal). Fans are
            those of the cell's own layers. Norms start at scale one and shift zero.
          dtype: floating dtype; by default JAX's default.

        Returns:
          Variables(params, stats); weights that the cell does not use are zero.

        Raises:
          InputError: unknown law, or an unbound space under a transformation.
        """
        law = initial.check_law(law)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        sizes = self._sizes(arch)
        params = network.init_params(key, sizes, graph.prune(jnp.asarray(arch)), law, dtype)
        return Variables(params, network.init_stats(sizes, dtype))

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
    ) -> Output:
        """Forward pass.

        Args:
          variables: see `init`.
          arch: int [26].
          images: float [batch, height, width, in_channels].
          norm: "batch", "running", "sample" or "none"; see `nasjax.nn.batch_norm`.
          train: unused: the network behaves alike in training and evaluation, up to ``norm``.
          key: unused: nothing is random.
          tap: called as tap(site, value) on the input of every rectifier; its results come back in ``taps``.
          moments: zero tree of `nasjax.nn.Moments` shaped like ``weights``, whose gradient is per-sample moments.
          rescale: divide by the largest magnitude after stem and cells, so that a network without norms neither
            over- nor underflows; ``taps["log_scale"]`` holds the logarithm of the product.

        Returns:
          Output(logits [batch, num_classes], new running statistics, taps).
        """
        del train, key
        sizes, options = self._sizes(arch), Forward(norm, self.precision, rescale)
        pruned = graph.prune(jnp.asarray(arch))
        logits, stats, taps, log_scale = network.forward(
            options, sizes, variables, pruned, images, self._calls(arch), tap, moments
        )
        return Output(logits, stats, {**taps, "log_scale": log_scale} if rescale else taps)

    def blocks(self, variables: Variables, arch: Array, images: Array, visit: Visit, *, norm: str = "batch") -> Walk:
        """Stem and cells; see `nasjax.spaces.optional.HasBlocks`."""
        options = Forward(norm, self.precision, rescale=False)
        run = Runner(options, *variables, {}, None, None, images.dtype)
        return blocks.walk(run, self._sizes(arch), graph.prune(jnp.asarray(arch)), images, visit)

    def layer_outputs(
        self, variables: Variables, arch: Array, images: Array, visit: OutputVisit, *, norm: str = "batch"
    ) -> list[PyTree]:
        """Outputs of the weight layers; see `nasjax.spaces.optional.HasLayerOutputs`."""
        options = Forward(norm, self.precision, rescale=False)
        run = Runner(options, *variables, {}, None, None, images.dtype, show=visit)
        return blocks.layer_outputs(run, self._sizes(arch), graph.prune(jnp.asarray(arch)), images)

    def weight_mask(self, arch: Array) -> PyTree:
        """Which weights an architecture has: tree shaped like ``weights``, bool arrays that broadcast to them."""
        return network.weight_mask(self._sizes(arch), graph.prune(jnp.asarray(arch)))

    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a tree shaped like ``weights`` over each layer slot, in forward order: float [L]."""
        parts = [terms["stem"].sum()[None]]
        for s in range(self.stacks):
            for own in terms[f"stack{s}"].values():
                inner = jnp.stack([own[part].sum((-4, -3, -2, -1)) for part in ("project", "vertex")], -1)
                inner = inner.reshape(-1, 2 * graph.NUM_INNER)
                output = own["output"].sum((-4, -3, -2, -1)).reshape(-1, 1)
                parts.append(jnp.concatenate([inner, output], 1).reshape(-1))
        return jnp.concatenate([*parts, terms["head"].sum()[None]])

    def layer_names(self) -> tuple[str, ...]:
        """Slot names; see `nasjax.spaces.nasbench101_torch`."""
        return naming.slot_names(self)

    def official_names(self, arch: Any) -> tuple[str, ...]:
        """Names of the official modules in the slots of ``layers``, for one architecture that is not traced."""
        return naming.official_names(self, np.asarray(arch))

    def torch_places(self, arch: Any) -> dict[str, torch_layout.Place]:
        """Where every tensor of the official network goes; see `nasjax.spaces.torch_layout`."""
        return naming.places(self._sizes(arch), np.asarray(arch))

    def layers(self, arch: Array) -> LayerTable:
        """The weight layers of an architecture, one row a slot; traceable, bound or not.

        A vertex holds at most one convolution, so it is one slot.
        """
        pruned = graph.prune(arch if isinstance(arch, np.ndarray) else jnp.asarray(arch))
        matrix, kinds = jnp.asarray(pruned.matrix), jnp.asarray(pruned.kinds)
        convolves = (kinds == network.KERNEL) | (kinds == network.CENTRE)
        inner = jnp.stack([matrix[0, 1 : graph.OUTPUT], convolves], -1).reshape(-1)
        cell = jnp.concatenate([inner, matrix[0, graph.OUTPUT :]])
        one = jnp.ones(1, bool)
        active = jnp.concatenate([one, jnp.tile(cell, self.stacks * self.cells), one])
        count = jnp.cumsum(active.astype(jnp.int32))
        order = jnp.where(active, count, 0)
        bins = jnp.where(active, depth_bin(order, count[-1]), -1)
        return LayerTable(self.layer_names(), active, order, count[-1], bins)

    def site_calls(self, arch: Array) -> dict[str, Array]:
        """Activation calls of the official network by site and depth-percentile bin.

        Every rectifier follows a convolution and belongs to its bin. The channel that only some vertices have is
        a site of its own, "…/last".

        Returns:
          "stem": int32 [10]; "stack{s}/input", "stack{s}/vertex": int32 [cells x 5, 10], the vertices of a cell
          together; "stack{s}/output": int32 [cells, 10].
        """
        return self._calls(arch)

    def _calls(self, arch: Array) -> dict[str, Array]:
        table = self.layers(arch)
        hot = ((table.bins[:, None] == jnp.arange(_NUM_BINS)[None]) & table.active[:, None]).astype(jnp.int32)
        sizes, pruned = self._sizes(arch), graph.prune(jnp.asarray(arch))
        slots = hot[1:-1].reshape(self.stacks, self.cells, -1, _NUM_BINS)
        calls = {"stem": hot[0]}
        for s in range(self.stacks):
            wider = graph.wide(pruned, sizes.extra(s))[None, :, None].astype(jnp.int32)
            for i, part in enumerate(("input", "vertex")):
                own = slots[s, :, i:-1:2]
                calls[f"stack{s}/{part}"] = own.reshape(-1, _NUM_BINS)
                if sizes.extra(s):
                    calls[f"stack{s}/{part}/last"] = (own * wider).reshape(-1, _NUM_BINS)
            calls[f"stack{s}/output"] = slots[s, :, -1]
        return calls
