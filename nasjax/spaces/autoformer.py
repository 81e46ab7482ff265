"""AutoFormer: vision transformers with heads and MLP ratio chosen block by block (Chen et al., ICCV 2021)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import autoformer_codec as codec
from nasjax.spaces import autoformer_cost as cost
from nasjax.spaces import autoformer_moves as moves
from nasjax.spaces import autoformer_params as parameters
from nasjax.spaces import autoformer_slots as tables
from nasjax.spaces import drop, initial, torch_layout
from nasjax.spaces.autoformer_network import Network
from nasjax.spaces.checks import check_sizes, is_positive, population
from nasjax.spaces.genes import Genes
from nasjax.spaces.optional import WeightRoles
from nasjax.spaces.shared import Classifier
from nasjax.types import Array, Graph, InputError, LayerTable, Output, PyTree, Tap, Variables, Visit, Walk

_NORMS = ("batch", "running", "sample", "none")


@dataclasses.dataclass(frozen=True)
class AutoFormer(Classifier):
    """An AutoFormer search space; see `nasjax.spaces.base.SearchSpace` for the functions.

    An architecture is int32 [2 + 2 D]: embedding width, depth, heads of each block, ten times the MLP ratio of
    each block; zeros beyond the depth. The width fixes tensor shapes: one compiled program serves all
    architectures of a width (``signature``, ``bind``); depth, heads and ratios are masks in it.

    Attributes:
      embed_dims: widths, one for all blocks.
      depths: numbers of blocks.
      heads: attention heads of a block; queries, keys and values have head_dim x heads units whatever the width.
      mlp_ratios: hidden units of a block's MLP over the width, multiples of 0.1.
      num_classes: outputs of the classifier.
      image_size: height and width of the images; a multiple of patch_size.
      in_channels: channels of the images.
      patch_size: side of a patch.
      head_dim: units of a head.
      max_distance: relative positions farther apart share their embedding.
      precision: matrix precision of every product.
    """

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratios: tuple[float, ...]
    num_classes: int = 1000
    image_size: int = 224
    in_channels: int = 3
    patch_size: int = 16
    head_dim: int = 64
    max_distance: int = 14
    precision: str = "highest"

    tokens: ClassVar[bool] = True  # see `nasjax.spaces.optional`
    drops_paths: ClassVar[bool] = True

    _name: ClassVar[str] = "autoformer"
    _super_dim: ClassVar[int] = 1  # width of the official supernet, where it exceeds every choice

    def __post_init__(self) -> None:
        """Checks the choices and sizes."""
        check_sizes(self, "num_classes", "image_size", "in_channels", "patch_size", "head_dim", "max_distance")
        if self.image_size % self.patch_size:
            raise InputError(
                f"{self.name}: image_size={self.image_size} with patch_size={self.patch_size}; allowed is a multiple "
                "of the patch size: images are cut into whole patches."
            )
        for field in ("embed_dims", "depths", "heads", "mlp_ratios"):
            values = getattr(self, field)
            values = tuple(values) if isinstance(values, Sequence) and not isinstance(values, str) else (values,)
            good = all(is_positive(v) or (field == "mlp_ratios" and _tenths(v)) for v in values)
            if not values or not good or list(values) != sorted(set(values)):
                kind = "multiples of 0.1" if field == "mlp_ratios" else "integers"
                raise InputError(f"{self.name}: {field}={values!r}; allowed are positive {kind}, increasing.")
            object.__setattr__(self, field, tuple(map(float, values)) if field == "mlp_ratios" else values)

    @property
    def name(self) -> str:
        """Registered name of the space."""
        return self._name

    @property
    def options(self) -> dict[str, Any]:
        """Configuration as JSON-serialisable values; ``precision`` is kept apart by the records."""
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        del options["precision"]
        return options

    @property
    def choices(self) -> codec.Choices:
        """What architectures choose from."""
        return codec.Choices(self.embed_dims, self.depths, self.heads, tuple(round(10 * r) for r in self.mlp_ratios))

    @property
    def _sizes(self) -> cost.Sizes:
        return cost.Sizes(*(getattr(self, field) for field in cost.Sizes._fields))

    # Encodings, moves and costs.

    def decode(self, encodings: Sequence[Any] | Any) -> np.ndarray:
        """Official tuples, dictionaries, their texts, or arrays to a population int32 [n, 2 + 2 D].

        See `nasjax.spaces.autoformer_codec.decode`.

        Raises:
          InputError: an encoding is malformed or not in the space; the message names the block.
        """

        def single(given: Any) -> bool:
            return isinstance(given, tuple) and bool(given) and isinstance(given[0], int | float)

        return population(
            self.name,
            encodings,
            one=lambda encoding: codec.decode(self.choices, encoding),
            rows=lambda array: codec.check(self.choices, array),
            single=single,
            example=codec.example(self.choices),
        )

    def encode(self, archs: Any) -> list[str]:
        """Texts of the official tuples of a population int [n, 2 + 2 D]."""
        return [codec.to_text(row) for row in np.atleast_2d(np.asarray(archs))]

    def sample(self, key: Array, num: int) -> Array:
        """Random population int32 [num, 2 + 2 D]: depth, then every block, then width, each uniform."""
        return moves.sample(key, self.choices, num)

    def mutate(self, key: Array, arch: Array, *, block_rate: float = 0.2, shape_rate: float = 0.4) -> Array:
        """Draws parts anew as the official search does; traceable. See `nasjax.spaces.autoformer_moves.mutate`."""
        return moves.mutate(key, self.choices, arch, block_rate=block_rate, shape_rate=shape_rate)

    def crossover(self, key: Array, first: Array, second: Array) -> Array:
        """Takes every part from either parent; traceable."""
        return moves.crossover(key, first, second)

    def genes(self) -> Genes:
        """Width, depth, heads and MLP ratio of every block."""
        return moves.genes(self.choices)

    def neighbours(self, arch: Any) -> np.ndarray:
        """All architectures that differ in one choice, int32 [n, 2 + 2 D]."""
        return moves.neighbours(self.choices, arch)

    def extremes(self) -> np.ndarray:
        """The smallest and the largest architecture, by parameters and by multiply-adds: int32 [2, 2 + 2 D]."""
        return moves.extremes(self.choices)

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """True: residual connections lead from input to output in every architecture."""
        codec.check(self.choices, arch)
        return True, ""

    def canonical(self, arch: Any) -> str:
        """The encoding: no two architectures are known to be the same."""
        return codec.to_text(codec.check(self.choices, arch))

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters of one architecture or a population; exact."""
        return self._counted(cost.num_params, archs)

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of the patch convolution and the linear layers for one image; exact."""
        return self._counted(cost.macs, archs)

    def complexity(self, archs: Any) -> Any:
        """The official code's own count, products of tokens and norms included."""
        return self._counted(cost.complexity, archs)

    def _counted(self, count: Any, archs: Any) -> Any:
        found = count(codec.check(self.choices, archs), self._sizes)
        return found.item() if found.ndim == 0 else found

    def to_graph(self, arch: Any) -> Graph:
        """The network as a chain of blocks with residual connections; every ``add`` has two sources."""
        width, depth, heads, tenths = codec.split(codec.check(self.choices, arch))
        nodes, edges, stream = ["input", f"patch_embedding({width})"], [(0, 1)], 1
        for block in range(int(depth)):
            for part in (f"attention({heads[block]})", f"mlp({tenths[block] / 10})"):
                nodes += [part, "add"]
                edges += [(stream, len(nodes) - 2), (stream, len(nodes) - 1), (len(nodes) - 2, len(nodes) - 1)]
                stream = len(nodes) - 1
        nodes += ["head", "output"]
        edges += [(stream, len(nodes) - 2), (len(nodes) - 2, len(nodes) - 1)]
        return Graph(tuple(nodes), tuple(edges))

    def signature(self, archs: Any) -> list[str]:
        """The width of each architecture."""
        return [str(width) for width in np.atleast_2d(np.asarray(archs))[:, 0].tolist()]

    def bind(self, signature: str) -> AutoFormer:
        """The space of one width."""
        return dataclasses.replace(self, embed_dims=(int(signature),))

    def _width(self, arch: Any) -> int:
        if len(self.embed_dims) == 1:
            return self.embed_dims[0]
        if isinstance(arch, jax.core.Tracer):
            raise InputError(
                f"{self.name}: the width fixes tensor shapes, so a traced architecture needs a space of one width; "
                "use space.bind(signature), signature one of space.signature(archs)."
            )
        return int(np.asarray(arch)[0])

    # The network.

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables.

        Args:
          key: typed key.
          arch: int [2 + 2 D]; traceable in a space of one width.
          law: "torch": the official code's (weights and embeddings normal with deviation 0.02, the patch convolution
            as torch draws it); "kaiming_fan_in", "kaiming_fan_out" (variance 2/fan, fans of the sub-network) or
            "normal" (standard normal) for the weights. Norms start at scale one and shift zero.
          dtype: floating dtype; by default JAX's default.

        Returns:
          Variables(params, {}), slots of the largest size, zero where the architecture has nothing.

        Raises:
          InputError: unknown law, or a traced architecture in a space of several widths.
        """
        law = initial.check_law(law)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        width = self._width(arch)
        return Variables(parameters.init_params(key, self.choices, self._sizes, width, arch, law, dtype), {})

    def inherit(self, variables: Variables, arch: Array) -> Variables:
        """The variables that a sub-network inherits from a supernet by slicing.

        Args:
          variables: of a supernet, such as ``init`` of `supernet`, or read from official weights.
          arch: int [2 + 2 D]; traceable in a space of one width.

        Returns:
          Variables for ``apply``.

        Raises:
          InputError: the supernet is too small for the space.
        """
        width = self._width(arch)
        return Variables(parameters.inherit(variables.params, self.choices, self._sizes, width, arch), {})

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
          arch: int [2 + 2 D], of the width of the variables.
          images: float [batch, image_size, image_size, in_channels].
          norm: accepted for all modes of batch norm; layer norm has none.
          train: unused: the network behaves alike in training and evaluation.
          key: typed keys [batch], one an image, for ``drop_path``.
          tap: called as tap(site, value) on the input of every GELU; its results come back in ``taps``, stacked over
            the slots of blocks. A block's units are one site a ratio: those the ratio adds to the next smaller.
          moments: zero tree of `nasjax.nn.Moments` shaped like ``weights``, whose gradient is per-sample moments.
          rescale: adds ``taps["log_scale"]`` = 0: layer norm keeps activations in range.
          drop_path: probability that half of a block is left out in the last slot, for each image by itself; it grows
            in a line from 0 in the first, as in the official code, whose slots are those of the supernet. None computes
            nothing of it.

        Returns:
          Output(logits [batch, num_classes], {}, taps).

        Raises:
          InputError: unknown norm mode, or images of another size.
        """
        del train
        if norm.partition("@")[0] not in _NORMS:
            raise InputError(f"{self.name}: norm={norm!r}; allowed are {', '.join(_NORMS)}.")
        if images.shape[1:] != (self.image_size, self.image_size, self.in_channels):
            raise InputError(
                f"{self.name}: images of shape {images.shape}; allowed is [batch, {self.image_size}, "
                f"{self.image_size}, {self.in_channels}]: the position embedding fixes the size; set image_size."
            )
        paths = None
        if drop_path is not None:
            slots = self.choices.slots
            rates = drop_path * jnp.linspace(0.0, 1.0, slots)[:, None]
            paths = drop.multipliers(drop.checked(key, self.name), rates, (slots, 2), images.dtype)
        network = Network.of(self.choices, self._sizes, self.precision, variables.params, arch, moments, paths)
        logits, taps = network.forward(images, self.site_calls(arch), tap)
        return Output(logits, {}, {**taps, "log_scale": jnp.zeros((), images.dtype)} if rescale else taps)

    def blocks(self, variables: Variables, arch: Array, images: Array, visit: Visit, *, norm: str = "batch") -> Walk:
        """Halves of blocks, as AZ-NAS takes them; see `nasjax.spaces.optional.HasBlocks`."""
        del norm
        return Network.of(self.choices, self._sizes, self.precision, variables.params, arch).walk(images, visit)

    def weight_mask(self, arch: Array) -> PyTree:
        """Which weights an architecture has: tree shaped like ``weights``, bool arrays that broadcast to them."""
        return parameters.weight_mask(parameters.masks(self.choices, self._sizes, self._width(arch), arch))

    def weights_by_role(self, weights: PyTree) -> WeightRoles:
        """Weights of attention, MLP and head; see `nasjax.spaces.optional.HasRoles`."""
        return WeightRoles((weights["qkv"], weights["proj"]), (weights["fc1"], weights["fc2"]), weights["head"])

    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a tree shaped like ``weights`` over each layer slot, in forward order: float [L]."""
        blocks = [terms[name].reshape(self.choices.slots, -1).sum(1) for name in ("qkv", "proj", "fc1", "fc2")]
        outer = [terms[name].sum()[None] for name in ("patch", "head")]
        return jnp.concatenate([outer[0], jnp.stack(blocks, 1).reshape(-1), outer[1]])

    def layers(self, arch: Array) -> LayerTable:
        """The weight layers of an architecture, one row a slot; traceable."""
        return tables.layer_table(self.choices, arch)

    def site_calls(self, arch: Array) -> dict[str, Array]:
        """Activation calls by site and depth-percentile bin: "mlp/{ratio}" int32 [D, 10], for each ratio."""
        return tables.site_calls(self.choices, arch)

    def torch_places(self, arch: Any) -> dict[str, torch_layout.Place]:
        """Where every tensor of the official sub-network goes; see `nasjax.spaces.torch_layout`."""
        return tables.torch_places(self.choices, self._sizes, arch)

    def supernet(self) -> Supernet:
        """The space whose only architecture is the supernet of this space; see `inherit`."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        largest = {name: fields[name][-1:] for name in ("depths", "heads", "mlp_ratios")}
        width = max(self._super_dim, self.embed_dims[-1])
        return Supernet(**(fields | largest | {"embed_dims": (width,)}))


@dataclasses.dataclass(frozen=True)
class Supernet(AutoFormer):
    """A supernet: one architecture, whose official weights have their queries, keys and values interleaved."""

    def torch_places(self, arch: Any) -> dict[str, torch_layout.Place]:
        """As for a sub-network, but rows of ``qkv.weight`` alternate between queries, keys and values."""
        return tables.torch_places(self.choices, self._sizes, arch, interleaved=True)


def _tenths(value: Any) -> bool:
    return isinstance(value, float) and value > 0 and abs(10 * value - round(10 * value)) < 1e-9


@dataclasses.dataclass(frozen=True)
class AutoFormerTiny(AutoFormer):
    """AutoFormer-Tiny: 5.4 to 10.5 million parameters at 1000 classes."""

    embed_dims: tuple[int, ...] = (192, 216, 240)
    depths: tuple[int, ...] = (12, 13, 14)
    heads: tuple[int, ...] = (3, 4)
    mlp_ratios: tuple[float, ...] = (3.5, 4.0)

    _name: ClassVar[str] = "autoformer_tiny"
    _super_dim: ClassVar[int] = 256


@dataclasses.dataclass(frozen=True)
class AutoFormerSmall(AutoFormer):
    """AutoFormer-Small: 13.1 to 34.8 million parameters at 1000 classes."""

    embed_dims: tuple[int, ...] = (320, 384, 448)
    depths: tuple[int, ...] = (12, 13, 14)
    heads: tuple[int, ...] = (5, 6, 7)
    mlp_ratios: tuple[float, ...] = (3.0, 3.5, 4.0)

    _name: ClassVar[str] = "autoformer_small"


@dataclasses.dataclass(frozen=True)
class AutoFormerBase(AutoFormer):
    """AutoFormer-Base: the largest; some codes allow 8 heads too (``heads=(8, 9, 10)``)."""

    embed_dims: tuple[int, ...] = (528, 576, 624)
    depths: tuple[int, ...] = (14, 15, 16)
    heads: tuple[int, ...] = (9, 10)
    mlp_ratios: tuple[float, ...] = (3.0, 3.5, 4.0)

    _name: ClassVar[str] = "autoformer_base"
    _super_dim: ClassVar[int] = 640
