"""TransNAS-Bench-101, cell space: 4,096 cells in one program (Duan et al., CVPR 2021)."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, ClassVar

import numpy as np

from nasjax.spaces import dag, torch_layout
from nasjax.spaces import transnas_codec as codec
from nasjax.spaces import transnas_heads as heads
from nasjax.spaces import transnas_micro_blocks as blocks
from nasjax.spaces import transnas_micro_network as network
from nasjax.spaces import transnas_stem as stem
from nasjax.spaces import transnas_tasks as tasks
from nasjax.spaces.genes import Genes, product
from nasjax.spaces.transnas_space import TransNas, population
from nasjax.types import Array, Graph, InputError

_SKIP, _POINTWISE, _KERNEL = (codec.OPS.index(op) for op in ("skip_connect", "nor_conv_1x1", "nor_conv_3x3"))


@dataclasses.dataclass(frozen=True)
class TransNasMicro(TransNas):
    """The micro search space, with the options of `nasjax.spaces.transnas_space.TransNas`.

    An architecture is int [6]: the operation on each edge, in the order of the official code. One compiled
    program serves the whole space.

    Attributes:
      drop_dead: replace operations that lead nowhere, or are fed by nothing, by ``none`` before
        anything is computed. Off, as in the official code, which computes and counts them.
    """

    drop_dead: bool = False

    forward_over_reverse: ClassVar[bool] = True  # see `nasjax.spaces.optional`
    _network: ClassVar[Any] = network
    _blocks: ClassVar[Any] = blocks
    _name: ClassVar[str] = "transnas_micro"
    _smallest: ClassVar[int] = 1 << network.HALVINGS

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        if not isinstance(self.drop_dead, bool):
            raise InputError(f"transnas_micro: drop_dead={self.drop_dead!r}; allowed are True and False.")

    @property
    def _sizes(self) -> network.Sizes:
        head = self._head(self.channels << network.NUM_STAGES)
        return network.Sizes(self.channels, self.in_channels, head)

    def _traced(self, arch: Array) -> Array:
        arch = super()._traced(arch)
        return dag.traced_live_edges(arch) * arch if self.drop_dead else arch

    # Encodings, moves and costs.

    def decode(self, encodings: Any) -> np.ndarray:
        """Official codes, cells ("1_02_333"), digits ("102333", tuples) or integer arrays: int32 [n, 6].

        Raises:
          InputError: an encoding is malformed; the message names the part.
        """
        return codec.decode_micro(encodings, self.channels)

    def encode(self, archs: Any) -> list[str]:
        """Official codes, "64-41414-...", whatever the base width."""
        return codec.micro_to_string(archs)

    def sample(self, key: Array, num: int) -> Array:
        """Uniform population int32 [num, 6]."""
        return dag.sample(key, num, len(codec.OPS))

    def all(self) -> np.ndarray:
        """Every architecture, int32 [4096, 6], by digits."""
        return np.array(list(itertools.product(range(len(codec.OPS)), repeat=codec.LENGTH)), np.int32)

    def mutate(self, key: Array, arch: Array, *, num_edges: int = 1) -> Array:
        """Changes ``num_edges`` edges to another operation; traceable."""
        return dag.mutate(key, arch, len(codec.OPS), num_edges)

    def crossover(self, key: Array, first: Array, second: Array) -> Array:
        """Takes each edge from either parent; traceable."""
        return dag.crossover(key, first, second)

    def genes(self) -> Genes:
        """The operation of each edge."""
        return product((len(codec.OPS),) * codec.LENGTH)

    def neighbours(self, arch: Any) -> np.ndarray:
        """All 18 architectures that differ in one edge, int32 [18, 6]."""
        return dag.neighbours(_one(arch), len(codec.OPS))

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """Whether any path leads from input to output, and why not."""
        valid = bool(dag.reachable(_one(arch))[3])
        return valid, "" if valid else dag.NO_PATH

    def canonical(self, arch: Any) -> str:
        """Text shared by isomorphic cells.

        A skip from the input counts as an operation of its own: in a reduction cell it has weights.
        """
        return dag.text(_one(arch).tolist(), codec.OPS, lambda op, source: op == _SKIP and source > 0)

    def to_graph(self, arch: Any) -> Graph:
        """The cell as a labelled graph."""
        return dag.to_graph(_one(arch).tolist(), codec.OPS)

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters of one architecture or a population; exact."""
        array, single = self._effective(archs)
        fixed = stem.num_params(self.in_channels, self.channels) + heads.num_params(self._sizes.head)
        total = np.full(len(array), fixed, np.int64)
        for (c, d), cells in zip(self._sizes.widths(), network.NORMAL_CELLS, strict=True):
            for count, weights, normed in self._cells(array, c, d, cells):
                total += count * (weights + 2 * d * normed)
        return int(total[0]) if single else total

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of convolutions and linear layers for one image; exact."""
        array, single = self._effective(archs)
        fixed, side = stem.macs(self.in_channels, self.channels, self._side)
        total = np.full(len(array), fixed, np.int64)
        for (c, d), cells in zip(self._sizes.widths(), network.NORMAL_CELLS, strict=True):
            side = -(-side // 2)
            for count, weights, _ in self._cells(array, c, d, cells):
                total += count * weights * side**2
        total = total * self._tiles + heads.macs(self._sizes.head, side, network.HALVINGS)
        return int(total[0]) if single else total

    def _cells(self, array: np.ndarray, c: int, d: int, cells: int) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """(how many, convolution weights [n], norms [n]) of the reduction cell and the other cells of a stage."""
        taps = np.array([0, 0, 1, 9])
        outer, inner = array[:, network.OUTER], array[:, network.INNER]
        # A skip that changes the shape is two pointwise convolutions of half the width.
        reduced = np.where(outer == _SKIP, 1, taps[outer]).sum(1) * c * d + taps[inner].sum(1) * d * d
        norms = (outer > 0).sum(1) + (inner >= _POINTWISE).sum(1)
        return [(1, reduced, norms), (cells, taps[array].sum(1) * d * d, (array >= _POINTWISE).sum(1))]

    def _effective(self, archs: Any) -> tuple[np.ndarray, bool]:
        codec.check_micro(archs)
        array, single = population(archs)
        return np.where(dag.live_edges(array), array, 0) if self.drop_dead else array, single

    def torch_places(self, arch: Any) -> dict[str, torch_layout.Place]:
        """Where every tensor of the official network goes; see `nasjax.spaces.torch_layout`.

        Raises:
          InputError: the task has a decoder, whose transposed kernels are laid out otherwise.
        """
        tasks.check_linear(self.task)
        weight, norm = torch_layout.weight, torch_layout.norm
        places = stem.torch_places()
        for s in range(network.NUM_STAGES):
            stage = f"stage{s}"
            for e, op in enumerate(_one(arch).tolist()):
                group, index = ("outer", network.OUTER) if e in network.OUTER else ("inner", network.INNER)
                place, name = index.index(e), f"layer{2 * s}.0.edges.{e}"
                if op == _SKIP and group == "outer":
                    for i, part in enumerate(network.REDUCED):
                        places |= weight(f"{name}.convs.{i}", stage, group, part, index=(place,))
                    places |= norm(f"{name}.bn", stage, "reduction", index=(e,))
                if op >= _POINTWISE:
                    kind = network.NORMAL_OPS[op]
                    places |= weight(f"{name}.ops.1", stage, group, kind, index=(place,))
                    places |= norm(f"{name}.ops.2", stage, "reduction", index=(e,))
                    for i, (m, c) in enumerate(network.normal_cells(s)):
                        name_c = f"layer{m}.{c}.edges.{e}"
                        places |= weight(f"{name_c}.ops.1", stage, "normal", kind, index=(i, e))
                        places |= norm(f"{name_c}.ops.2", stage, "normal", index=(i, e))
        return places | heads.torch_places()


def _one(arch: Any) -> np.ndarray:
    """A single architecture, int32 [6]."""
    array = codec.check_micro(arch)
    if array.ndim != 1:
        raise InputError(f"architectures of shape {list(array.shape)}; allowed: [6]; do: take one at a time")
    return array
