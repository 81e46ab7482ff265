"""NAS-Bench-Macro: eight layers of three choices, 6,561 architectures in one program (Su et al., CVPR 2021)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import initial, torch_layout
from nasjax.spaces import nasbench_macro_blocks as blocks
from nasjax.spaces import nasbench_macro_network as network
from nasjax.spaces.base import depth_bin
from nasjax.spaces.checks import check_sizes, population, shown
from nasjax.spaces.genes import Genes, product
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Forward, Runner
from nasjax.spaces.shared import Classifier, OneProgram
from nasjax.types import Array, Graph, InputError, LayerTable, Output, PyTree, Tap, Variables, Visit, Walk

OPS = ("identity", "MB3_K3", "MB6_K5")
_NUM_BINS = 10
_LENGTH = network.NUM_LAYERS
_FIRST = np.cumsum([0, *network.STAGES[:-1]])  # layers that change the shape
_OP_NAMES = ("identity", *network.BLOCKS)


@dataclasses.dataclass(frozen=True)
class NasBenchMacro(Classifier, OneProgram):
    """The NAS-Bench-Macro search space; see `nasjax.spaces.base.SearchSpace` for the functions.

    An architecture is int [8]: the operation of each layer, 0 identity, 1 MB3_K3, 2 MB6_K5. An identity in the
    first layer of a stage is a 1x1 convolution of stride 2. One compiled program serves the whole space.

    Attributes:
      channels: channels of the stem; doubled by each of the three stages.
      head_channels: channels of the last convolution.
      num_classes: outputs of the classifier.
      image_size: height and width of the images; every stage halves it, rounding up.
      in_channels: channels of the images.
      precision: matrix precision of every convolution and product.
    """

    channels: int = 32
    head_channels: int = 1280
    num_classes: int = 10
    image_size: int = 32
    in_channels: int = 3
    precision: str = "highest"

    def __post_init__(self) -> None:
        """Checks the sizes."""
        check_sizes(self, "channels", "head_channels", "num_classes", "image_size", "in_channels")

    @property
    def name(self) -> str:
        """Registered name of the space."""
        return "nasbench_macro"

    @property
    def options(self) -> dict[str, Any]:
        """Configuration as JSON-serialisable values; ``precision`` is kept apart by the records."""
        options = dataclasses.asdict(self)
        del options["precision"]
        return options

    @property
    def _sizes(self) -> network.Sizes:
        return network.Sizes(self.channels, self.head_channels, self.num_classes, self.in_channels)

    # Encodings, moves and costs.

    def decode(self, encodings: Sequence[Any] | Any) -> np.ndarray:
        """Codes of eight digits, as text or number, to a population int32 [n, 8].

        A number stands for the code with its leading zeros, which tables tend to lose.

        Raises:
          InputError: an encoding is no code of eight digits 0..2.
        """
        return population(
            self.name,
            encodings,
            one=_decode,
            rows=lambda array: np.stack([_check(row) for row in array]),
            single=lambda given: False,
            example="'01201201'",
        )

    def encode(self, archs: Any) -> list[str]:
        """Official codes of a population int [n, 8]."""
        return ["".join(map(str, row)) for row in np.atleast_2d(np.asarray(archs)).tolist()]

    def sample(self, key: Array, num: int) -> Array:
        """Uniform population int32 [num, 8]."""
        return jax.random.randint(key, (num, _LENGTH), 0, len(OPS), jnp.int32)

    def all(self) -> np.ndarray:
        """Every architecture, int32 [6561, 8], in the order of the codes."""
        return np.stack(np.unravel_index(np.arange(3**_LENGTH), (3,) * _LENGTH), -1).astype(np.int32)

    def mutate(self, key: Array, arch: Array) -> Array:
        """Gives one layer another operation; traceable."""
        place, shift = jax.random.split(key)
        layer = jax.random.randint(place, (), 0, _LENGTH)
        arch = jnp.asarray(arch, jnp.int32)
        return arch.at[layer].set((arch[layer] + jax.random.randint(shift, (), 1, len(OPS), jnp.int32)) % len(OPS))

    def crossover(self, key: Array, first: Array, second: Array) -> Array:
        """Takes each layer from either parent; traceable."""
        first, second = jnp.asarray(first, jnp.int32), jnp.asarray(second, jnp.int32)
        return jnp.where(jax.random.bernoulli(key, 0.5, first.shape), first, second)

    def genes(self) -> Genes:
        """The operation of each layer."""
        return product((len(OPS),) * _LENGTH)

    def neighbours(self, arch: Any) -> np.ndarray:
        """All 16 architectures that differ in one layer, int32 [16, 8]."""
        arch = _check(np.asarray(arch))
        layer, shift = np.divmod(np.arange(2 * _LENGTH), 2)
        found = np.repeat(arch[None], 2 * _LENGTH, axis=0)
        found[np.arange(len(found)), layer] = (arch[layer] + 1 + shift) % len(OPS)
        return found

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """True: every architecture is a chain from input to output."""
        _check(np.asarray(arch))
        return True, ""

    def canonical(self, arch: Any) -> str:
        """Code shared by equal networks: within a stage, identities that are nothing come last."""
        digits = _check(np.asarray(arch)).tolist()
        parts = []
        for start, count in zip(_FIRST.tolist(), network.STAGES, strict=True):
            rest = digits[start + 1 : start + count]
            parts += [digits[start], *sorted(rest, key=lambda op: op == 0)]
        return "".join(map(str, parts))

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters of one architecture or a population; exact."""
        shapes = network.weight_shapes(self._sizes)

        def count(parts: Iterable[tuple[int, ...]]) -> int:
            return sum(int(np.prod(shape)) + 2 * shape[-1] for shape in parts)

        table = [[count(shapes[f"layer{i}"].get(op, {}).values()) for op in _OP_NAMES] for i in range(_LENGTH)]
        head = int(np.prod(shapes["head"])) + self.num_classes
        return count([shapes["stem"], shapes["out"]]) + head + _look_up(table, archs)

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of convolutions and the classifier for one image; exact."""
        shapes, side, table = network.weight_shapes(self._sizes), self.image_size, []
        total = int(np.prod(shapes["stem"])) * side**2
        for i, (_, _, stride) in enumerate(self._sizes.layers()):
            before, side = side, -(-side // stride)
            row = []
            for op in _OP_NAMES:
                parts = shapes[f"layer{i}"].get(op, {}).items()
                # Only the expansion sees the image before the stride.
                row.append(sum(int(np.prod(s)) * (before if part == "expand" else side) ** 2 for part, s in parts))
            table.append(row)
        total += int(np.prod(shapes["out"])) * side**2 + int(np.prod(shapes["head"]))
        return total + _look_up(table, archs)

    def to_graph(self, arch: Any) -> Graph:
        """The chain of layers as a labelled graph."""
        ops = [OPS[op] for op in _check(np.asarray(arch))]
        return Graph(("input", *ops, "output"), tuple((i, i + 1) for i in range(len(ops) + 1)))

    # The network.

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables.

        Args:
          key: typed key.
          arch: int [8]; the tree is the same for every architecture, slots that are not used included.
          law: "torch" (uniform +-1/sqrt(fan_in), the official code's), "kaiming_fan_in" or "kaiming_fan_out"
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
          arch: int [8].
          images: float [batch, height, width, in_channels].
          norm: "batch", "running", "sample" or "none"; see `nasjax.nn.batch_norm`.
          train: unused: the network behaves alike in training and evaluation, up to ``norm``.
          key: unused: nothing is random.
          tap: called as tap(site, value) on the input of every rectifier; its results come back in ``taps``.
          moments: zero tree of `nasjax.nn.Moments` shaped like ``weights``, whose gradient is per-sample moments.
          rescale: divide by the largest magnitude after stem and layers, so that a network without norms neither
            over- nor underflows; ``taps["log_scale"]`` holds the logarithm of the product.

        Returns:
          Output(logits [batch, num_classes], new running statistics, taps).
        """
        del train, key
        arch = jnp.asarray(arch)
        logits, stats, taps, log_scale = network.forward(
            Forward(norm, self.precision, rescale),
            self._sizes,
            variables,
            arch,
            images,
            self.site_calls(arch),
            tap,
            moments,
        )
        return Output(logits, stats, {**taps, "log_scale": log_scale} if rescale else taps)

    def blocks(self, variables: Variables, arch: Array, images: Array, visit: Visit, *, norm: str = "batch") -> Walk:
        """Stem, layers and last convolution; see `nasjax.spaces.optional.HasBlocks`."""
        options = Forward(norm, self.precision, rescale=False)
        run = Runner(options, *variables, {}, None, None, images.dtype)
        return blocks.walk(run, self._sizes, jnp.asarray(arch), images, visit)

    def layer_outputs(
        self, variables: Variables, arch: Array, images: Array, visit: OutputVisit, *, norm: str = "batch"
    ) -> list[PyTree]:
        """Outputs of the weight layers; see `nasjax.spaces.optional.HasLayerOutputs`."""
        options = Forward(norm, self.precision, rescale=False)
        run = Runner(options, *variables, {}, None, None, images.dtype, show=visit)
        return blocks.layer_outputs(run, self._sizes, jnp.asarray(arch), images)

    def weight_mask(self, arch: Array) -> PyTree:
        """Which weights an architecture has: tree shaped like ``weights``, bool arrays that broadcast to them."""
        arch = jnp.asarray(arch)
        shapes = network.weight_shapes(self._sizes)
        mask = jax.tree.map(lambda s: jnp.ones((1,) * len(s), bool), shapes, is_leaf=initial.is_shape)
        for i in range(_LENGTH):
            for op, parts in mask[f"layer{i}"].items():
                chosen = (arch[i] == _OP_NAMES.index(op)).reshape(1, 1, 1, 1)
                mask[f"layer{i}"][op] = dict.fromkeys(parts, chosen)
        return mask

    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a tree shaped like ``weights`` over each layer slot, in forward order: float [L]."""
        sums = [terms["stem"].sum()]
        for i in range(_LENGTH):
            own = terms[f"layer{i}"]
            sums += [own["identity"]["down"].sum()] if "identity" in own else []
            sums += [sum(own[op][part].sum() for op in network.BLOCKS) for part in network.PARTS]
        return jnp.stack([*sums, terms["out"].sum(), terms["head"].sum()])

    def layer_names(self) -> tuple[str, ...]:
        """Slot names: the module names of the official network; both blocks of a layer share theirs."""
        names = ["stem.0"]
        for i in range(_LENGTH):
            names += [f"features.{i}.downsample.0"] if i in _FIRST else []
            names += [f"features.{i}.conv.{3 * p}" for p in range(len(network.PARTS))]
        return (*names, "out.0", "classifier")

    def torch_places(self, arch: Any) -> dict[str, torch_layout.Place]:
        """Where every tensor of the official network goes; see `nasjax.spaces.torch_layout`."""
        weight, norm = torch_layout.weight, torch_layout.norm
        places = weight("stem.0", "stem") | norm("stem.1", "stem")
        for i, op in enumerate(np.asarray(arch).tolist()):
            layer, kind = f"layer{i}", _OP_NAMES[op]
            if op:
                for p, part in enumerate(network.PARTS):
                    places |= weight(f"features.{i}.conv.{3 * p}", layer, kind, part)
                    places |= norm(f"features.{i}.conv.{3 * p + 1}", layer, kind, part)
            elif i in _FIRST:
                places |= weight(f"features.{i}.downsample.0", layer, kind, "down")
                places |= norm(f"features.{i}.downsample.1", layer, kind, "down")
        places |= weight("out.0", "out") | norm("out.1", "out") | weight("classifier", "head")
        return places | {"classifier.bias": ("params", ("bias", "head"), None)}

    def layers(self, arch: Array) -> LayerTable:
        """The weight layers of an architecture, one row a slot; traceable."""
        arch = jnp.asarray(arch)
        one = jnp.array(True)
        slots = [one]
        for i in range(_LENGTH):
            slots += [arch[i] == 0] if i in _FIRST else []
            slots += [arch[i] > 0] * len(network.PARTS)
        active = jnp.stack([*slots, one, one])
        count = jnp.cumsum(active.astype(jnp.int32))
        order = jnp.where(active, count, 0)
        bins = jnp.where(active, depth_bin(order, count[-1]), -1)
        return LayerTable(self.layer_names(), active, order, count[-1], bins)

    def site_calls(self, arch: Array) -> dict[str, Array]:
        """Activation calls of the official network by site and depth-percentile bin.

        A rectifier belongs to the bin of the convolution before it. The channels that only MB6_K5 has are a site
        of their own.

        Returns:
          "stem", "layer{i}/expand", "layer{i}/expand/rest", "layer{i}/depthwise", "layer{i}/depthwise/rest",
          "out": int32 [10].
        """
        table = self.layers(arch)
        hot = ((table.bins[:, None] == jnp.arange(_NUM_BINS)[None]) & table.active[:, None]).astype(jnp.int32)
        places = {name: i for i, name in enumerate(self.layer_names())}
        calls = {"stem": hot[0], "out": hot[-2]}
        for i in range(_LENGTH):
            wider = (jnp.asarray(arch)[i] == 2).astype(jnp.int32)
            for p, part in enumerate(network.PARTS[:2]):
                own = hot[places[f"features.{i}.conv.{3 * p}"]]
                calls |= {f"layer{i}/{part}": own, f"layer{i}/{part}/rest": own * wider}
        return calls


def _look_up(table: list[list[int]], archs: Any) -> np.ndarray:
    """Sum over layers of the entry of each operation."""
    archs = np.asarray(archs)
    return np.asarray(table, np.int64)[np.arange(_LENGTH), archs].sum(-1)


def _decode(encoding: Any) -> np.ndarray:
    if hasattr(encoding, "__array__") and np.ndim(encoding):
        return _check(np.asarray(encoding))
    whole = isinstance(encoding, int | np.integer) and not isinstance(encoding, bool)
    text = f"{int(encoding):0{_LENGTH}d}" if whole else str(encoding).strip()
    if not re.fullmatch(f"[0-{len(OPS) - 1}]{{{_LENGTH}}}", text):
        raise InputError(
            f"{shown(encoding)} is no NAS-Bench-Macro code; allowed: {_LENGTH} digits, one a layer, "
            f"{', '.join(f'{i} {op}' for i, op in enumerate(OPS))}; do: write it like 01201201"
        )
    return np.array(list(text), dtype=np.int32)


def _check(arch: np.ndarray) -> np.ndarray:
    if arch.shape != (_LENGTH,) or not np.issubdtype(arch.dtype, np.integer) or not np.isin(arch, range(3)).all():
        raise InputError(f"{arch.tolist()} is no NAS-Bench-Macro architecture; allowed: {_LENGTH} integers 0..2")
    return arch.astype(np.int32)
