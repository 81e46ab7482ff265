"""NAS-Bench-201: 15,625 cells in one program (Dong and Yang, ICLR 2020; topology space of NATS-Bench)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import cell201, dag, initial, nasbench201_blocks, nasbench201_modules, torch_layout
from nasjax.spaces import nasbench201_network as network
from nasjax.spaces import nasbench201_supernet as supernet
from nasjax.spaces.base import depth_bin
from nasjax.spaces.checks import check_sizes, population
from nasjax.spaces.genes import Genes, product
from nasjax.spaces.nasbench201_masked import MaskedNasBench201
from nasjax.spaces.optional import ModuleVisit, OutputVisit, ResponseVisit
from nasjax.spaces.shared import Classifier, OneProgram
from nasjax.spaces.slots import layer_table
from nasjax.types import Array, Graph, InputError, LayerTable, Output, PyTree, Tap, Variables, Visit, Walk

_NUM_BINS = 10


@dataclasses.dataclass(frozen=True)
class NasBench201(Classifier, OneProgram):
    """The NAS-Bench-201 search space; see `nasjax.spaces.base.SearchSpace` for the functions.

    An architecture is int [6]: the operation on each edge, edges in the order of the official string.
    One compiled program serves the whole space.

    Attributes:
      channels: channels of the first stage; doubled at each of the two reductions.
      cells: cells a stage.
      num_classes: outputs of the classifier.
      image_size: height and width of the images; a multiple of 4.
      in_channels: channels of the images.
      drop_dead: replace operations that lead nowhere, or are fed by nothing, by ``none`` before
        anything is computed. Off, as in the official codes, which compute and count them.
      precision: matrix precision of every convolution and product.
    """

    channels: int = 16
    cells: int = 5
    num_classes: int = 10
    image_size: int = 32
    in_channels: int = 3
    drop_dead: bool = False
    precision: str = "highest"

    forward_over_reverse: ClassVar[bool] = True  # see `nasjax.spaces.optional`
    together: ClassVar[bool] = True  # likewise

    def __post_init__(self) -> None:
        """Checks the sizes."""
        check_sizes(self, "channels", "cells", "num_classes", "image_size", "in_channels")
        if self.image_size % 4:
            raise InputError(f"nasbench201: image_size={self.image_size}; allowed is a multiple of 4.")
        if not isinstance(self.drop_dead, bool):
            raise InputError(f"nasbench201: drop_dead={self.drop_dead!r}; allowed are True and False.")

    @property
    def name(self) -> str:
        """Registered name of the space."""
        return "nasbench201"

    @property
    def options(self) -> dict[str, Any]:
        """Configuration as JSON-serialisable values; ``precision`` is kept apart by the records."""
        options = dataclasses.asdict(self)
        del options["precision"]
        return options

    @property
    def _sizes(self) -> network.Sizes:
        return network.Sizes(self.channels, self.cells, self.num_classes, self.in_channels)

    # Encodings, moves and costs.

    def decode(self, encodings: Sequence[Any] | Any) -> np.ndarray:
        """Official strings, indices or NASLib tuples to a population int32 [n, 6].

        Raises:
          InputError: an encoding is malformed; the message names the part.
        """

        def single(given: Any) -> bool:
            numbers = isinstance(given, tuple) and not any(isinstance(e, (str, tuple, list)) for e in given)
            return bool(numbers and given)

        return population(
            self.name,
            encodings,
            one=cell201.decode,
            rows=cell201.check_arch,
            single=single,
            example=repr(cell201.EXAMPLE),
        )

    def encode(self, archs: Any) -> list[str]:
        """Official strings of a population int [n, 6]."""
        return list(cell201.to_string(np.atleast_2d(np.asarray(archs))))

    def sample(self, key: Array, num: int) -> Array:
        """Uniform population int32 [num, 6]."""
        return cell201.sample(key, num)

    def all(self) -> np.ndarray:
        """Every architecture, int32 [15625, 6], in the official order."""
        return cell201.from_index(np.arange(15625))

    def mutate(self, key: Array, arch: Array, *, num_edges: int = 1) -> Array:
        """Changes ``num_edges`` edges to another operation; traceable."""
        return cell201.mutate(key, arch, num_edges=num_edges)

    def crossover(self, key: Array, first: Array, second: Array) -> Array:
        """Takes each edge from either parent; traceable."""
        return cell201.crossover(key, first, second)

    def genes(self) -> Genes:
        """The operation of each edge."""
        return product((cell201.NUM_OPS,) * cell201.NUM_EDGES)

    def neighbours(self, arch: Any) -> np.ndarray:
        """All 24 architectures that differ in one edge, int32 [24, 6]."""
        return cell201.neighbours(arch)

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """Whether any path leads from input to output, and why not."""
        return cell201.is_valid(arch)

    def canonical(self, arch: Any) -> str:
        """Text shared by isomorphic cells; 6,466 distinct ones."""
        return cell201.canonical(arch)

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters of one architecture or a population; exact."""
        archs = self._effective(archs)
        return cell201.num_params(
            archs, channels=self.channels, cells=self.cells, num_classes=self.num_classes, in_channels=self.in_channels
        )

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of convolutions and the classifier for one image; exact."""
        return cell201.macs(
            self._effective(archs),
            channels=self.channels,
            cells=self.cells,
            num_classes=self.num_classes,
            image_size=self.image_size,
            in_channels=self.in_channels,
        )

    def to_graph(self, arch: Any) -> Graph:
        """The cell as a labelled graph."""
        return cell201.to_graph(arch)

    def _effective(self, archs: Any) -> Any:
        array = np.asarray(archs)
        return np.where(cell201.live_edges(array), array, 0) if self.drop_dead else array

    def _traced(self, arch: Array) -> Array:
        """Architecture as computed: with ``drop_dead``, useless operations replaced by ``none``."""
        arch = jnp.asarray(arch)
        return dag.traced_live_edges(arch) * arch if self.drop_dead else arch

    # The network.

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables.

        Args:
          key: typed key.
          arch: int [6]; the tree is the same for every architecture, slots that are not used included.
          law: "torch" (uniform +-1/sqrt(fan_in), torch's default), "kaiming_fan_in" or "kaiming_fan_out"
            (normal, variance 2/fan), "normal" (standard normal). Norms start at scale one and shift zero.
          dtype: floating dtype; by default JAX's default.

        Returns:
          Variables(params, stats).

        Raises:
          InputError: unknown law.
        """
        del arch
        law = initial.check_law(law)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        return Variables(network.init_params(key, self._sizes, law, dtype), network.init_stats(self._sizes, dtype))

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
          arch: int [6].
          images: float [batch, image_size, image_size, in_channels]; other multiples of 4 work too.
          norm: "batch", "running", "sample" or "none"; see `nasjax.nn.batch_norm`.
          train: unused: the network behaves alike in training and evaluation, up to ``norm``.
          key: unused: nothing is random.
          tap: called as tap(site, value) on the input of every rectifier; its results come back in ``taps``.
          moments: zero tree of `nasjax.nn.Moments` shaped like ``weights``, whose gradient is per-sample moments.
          rescale: divide by the largest magnitude after stem, cells and blocks, so that a network without
            norms neither over- nor underflows; ``taps["log_scale"]`` holds the logarithm of the product.

        Returns:
          Output(logits [batch, num_classes], new running statistics, taps).
        """
        del train, key
        arch = self._traced(arch)
        options = network.Forward(norm, self.precision, rescale)
        run_cell = network.chosen_cell(options, arch)
        return network.output(options, *variables, run_cell, images, self._calls(arch), tap, moments)

    def blocks(self, variables: Variables, arch: Array, images: Array, visit: Visit, *, norm: str = "batch") -> Walk:
        """Stem, cells, reduction blocks and last norm; see `nasjax.spaces.optional.HasBlocks`."""
        return nasbench201_blocks.walk(self._forward(norm), variables, self._traced(arch), images, visit)

    def modules(
        self, variables: Variables, arch: Array, images: Array, visit: ModuleVisit, *, norm: str = "batch"
    ) -> tuple[Array, list[PyTree]]:
        """Modules of the AutoDL network; see `nasjax.spaces.optional.HasModules`."""
        return nasbench201_modules.modules(self._forward(norm), variables, self._traced(arch), images, visit)

    def layer_outputs(
        self, variables: Variables, arch: Array, images: Array, visit: OutputVisit, *, norm: str = "batch"
    ) -> list[PyTree]:
        """Outputs of the weight layers; see `nasjax.spaces.optional.HasLayerOutputs`."""
        return nasbench201_modules.layer_outputs(self._forward(norm), variables, self._traced(arch), images, visit)

    def responses(
        self,
        variables: Variables,
        arch: Array,
        images: Array,
        labels: Array,
        visit: ResponseVisit,
        *,
        norm: str = "batch",
    ) -> list[PyTree]:
        """Rectifiers with their gradients; see `nasjax.spaces.optional.HasResponses`."""

        def loss(logits: Array) -> Array:
            return self.loss(Output(logits, variables.stats, {}), labels)

        arch = self._traced(arch)
        return nasbench201_modules.responses(self._forward(norm), variables, arch, images, loss, visit)

    def thin(self) -> nasbench201_modules.ThinCell:
        """One cell of one channel; see `nasjax.spaces.optional.HasThin`."""
        return nasbench201_modules.ThinCell(self.precision)

    # The supernet; see `nasjax.spaces.optional.HasSupernet`.

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
        """Forward pass of the supernet; ``mask`` [6, 5]: weight of each operation on each edge."""
        options = network.Forward(norm, self.precision, rescale)
        calls = supernet.site_calls(supernet.layer_table(self.layer_names(), supernet.check_mask(mask)), self.cells)
        run_cell = supernet.mixed_cell(options, jnp.asarray(mask, images.dtype))
        return network.output(options, *variables, run_cell, images, calls, tap, moments)

    def supernet_mask(self, arch: Any) -> np.ndarray:
        """The mask under which the supernet is one architecture: float64 [6, 5]."""
        return supernet.mask_of(arch)

    def inherit(self, variables: Variables, arch: Any) -> Variables:
        """Variables of one architecture int [6], not traced, out of those of the supernet; for ``apply``."""
        return supernet.inherit(variables, arch)

    def masked(self, *, mixture: str = "mean", shared_weights: bool = True) -> MaskedNasBench201:
        """Masks of the supernet as a space; options as of `nasjax.spaces.masked.Masked`."""
        return MaskedNasBench201(self, mixture, shared_weights, self.precision)

    def _forward(self, norm: str) -> network.Forward:
        return network.Forward(norm, self.precision, rescale=False)

    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a tree shaped like ``weights`` over each layer slot, in forward order: float [L]."""
        parts = [terms["stem"].sum()[None]]
        for s in range(3):
            stage = terms["stages"][s]
            parts.append(sum(stage[k].sum((2, 3, 4, 5)) for k in ("pointwise", "kernel")).reshape(-1))
            if s < 2:
                parts.append(jnp.stack([terms["reductions"][s][k].sum() for k in ("conv_a", "conv_b", "shortcut")]))
        return jnp.concatenate([*parts, terms["head"].sum()[None]])

    def weight_mask(self, arch: Array) -> PyTree:
        """Which weights an architecture has: tree shaped like ``weights``, bool arrays that broadcast to them."""
        arch = self._traced(arch)
        shapes = network.weight_shapes(self._sizes)
        mask = jax.tree.map(lambda s: jnp.ones((1,) * len(s), bool), shapes, is_leaf=initial.is_shape)
        for stage in mask["stages"]:
            stage |= {op: (arch == network.OPS.index(op))[None, :, None, None, None, None] for op in stage}
        return mask

    def layer_names(self) -> tuple[str, ...]:
        """Slot names: the module names of the AutoDL network."""
        names, block = ["stem.0"], 0
        for s in range(3):
            names += [f"cells.{block + c}.layers.{e}.op.1" for c in range(self.cells) for e in range(6)]
            block += self.cells
            if s < 2:
                names += [f"cells.{block}.{k}" for k in ("conv_a.op.1", "conv_b.op.1", "downsample.1")]
                block += 1
        return (*names, "classifier")

    def torch_places(self, arch: Any) -> dict[str, torch_layout.Place]:
        """Where every tensor of the AutoDL network goes; see `nasjax.spaces.torch_layout`."""
        weight, norm = torch_layout.weight, torch_layout.norm
        places, block = weight("stem.0", "stem") | norm("stem.1", "stem"), 0
        for s in range(3):
            for c in range(self.cells):
                for e, op in enumerate(np.asarray(arch)):
                    if op in (network.POINTWISE, network.KERNEL):
                        kind = "pointwise" if op == network.POINTWISE else "kernel"
                        name = f"cells.{block}.layers.{e}.op"
                        places |= weight(f"{name}.1", "stages", s, kind, index=(c, e))
                        places |= norm(f"{name}.2", "stages", s, index=(c, e))
                block += 1
            if s < 2:
                for part in ("conv_a", "conv_b"):
                    places |= weight(f"cells.{block}.{part}.op.1", "reductions", s, part)
                    places |= norm(f"cells.{block}.{part}.op.2", "reductions", s, part)
                places |= weight(f"cells.{block}.downsample.1", "reductions", s, "shortcut")
                block += 1
        places |= norm("lastact.0", "head") | weight("classifier", "head")
        return places | {"classifier.bias": ("params", ("bias",), None)}

    def layers(self, arch: Array) -> LayerTable:
        """The weight layers, one row a slot; an edge holds at most one convolution; traceable."""
        arch = self._traced(arch)
        edges = jnp.tile((arch == network.POINTWISE) | (arch == network.KERNEL), self.cells)
        block, one = jnp.ones(3, bool), jnp.ones(1, bool)
        active = jnp.concatenate([one, edges, block, edges, block, edges, one])
        return layer_table(self.layer_names(), active)

    def site_calls(self, arch: Array) -> dict[str, Array]:
        """Activation calls of the official network by site and depth-percentile bin.

        A rectifier of the official network belongs to the bin of the number of weight layers executed
        before it. All rectifiers on one node share their input, so a node is one site.

        Returns:
          "stage{s}/node{i}": int32 [cells, 10]; "reduction{s}/a", "reduction{s}/b", "head": int32 [10].
        """
        calls = self._calls(self._traced(arch))
        flat = {k: v for k, v in calls.items() if not k.startswith("stage")}
        return flat | {f"stage{s}/node{i}": calls[f"stage{s}"][:, i] for s in range(3) for i in range(3)}

    def _calls(self, arch: Array) -> dict[str, Array]:
        """As `site_calls`, stages as int32 [cells, 3 nodes, 10]."""
        table = dataclasses.replace(self, drop_dead=False).layers(arch)
        bins = jnp.arange(_NUM_BINS)
        # One-hot bin of the rectifier in front of each slot's convolution.
        before = depth_bin(table.order - 1, table.depth)
        hot = ((before[:, None] == bins[None]) & table.active[:, None]).astype(jnp.int32)
        calls, start = {}, 1
        for s in range(3):
            stage = hot[start : start + 6 * self.cells].reshape(self.cells, 6, _NUM_BINS)
            calls[f"stage{s}"] = jnp.einsum("ne,ceb->cnb", jnp.asarray(dag.SOURCES, jnp.int32), stage)
            start += 6 * self.cells
            if s < 2:
                calls[f"reduction{s}/a"], calls[f"reduction{s}/b"] = hot[start], hot[start + 1]
                start += 3
        return calls | {"head": hot[start]}
