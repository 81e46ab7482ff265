"""TransNAS-Bench-101, macro space: 3,256 skeletons (Duan et al., CVPR 2021)."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import dag, torch_layout
from nasjax.spaces import transnas_codec as codec
from nasjax.spaces import transnas_heads as heads
from nasjax.spaces import transnas_macro_blocks as blocks
from nasjax.spaces import transnas_macro_network as network
from nasjax.spaces import transnas_macro_plan as macro_plan
from nasjax.spaces import transnas_stem as stem
from nasjax.spaces import transnas_tasks as tasks
from nasjax.spaces.transnas_space import TransNas, population
from nasjax.types import Array, Graph, InputError

_SIGNATURE = "peak="
_POSITIONS = np.repeat(np.arange(codec.LENGTH), len(codec.MODULES))
_DIGITS = np.tile(np.arange(len(codec.MODULES)), codec.LENGTH)
_MASKS = np.array(list(itertools.product((True, False), repeat=codec.LENGTH)))


@dataclasses.dataclass(frozen=True)
class TransNasMacro(TransNas):
    """The macro search space, with the options of `nasjax.spaces.transnas_space.TransNas`.

    An architecture is int [6]: the digits of the skeleton padded with zeros. One compiled program serves the
    whole space; bound to a signature, one of three, it has buffers as large as those architectures need, which for
    two thirds of them is an eighth.

    Attributes:
      peak: of `nasjax.spaces.transnas_macro_plan.PEAKS`, that of the signature that the space is bound to; set by
        ``bind``.
    """

    peak: int = dataclasses.field(default=macro_plan.PEAKS[-1], metadata={"option": False})

    _network: ClassVar[Any] = network
    _blocks: ClassVar[Any] = blocks
    _name: ClassVar[str] = "transnas_macro"
    _smallest: ClassVar[int] = 1 << (macro_plan.STEM_HALVINGS + macro_plan.SIDES - 1)

    @property
    def _sizes(self) -> macro_plan.Sizes:
        side = stem.macs(self.in_channels, self.channels, self._side)[1]
        return macro_plan.Sizes(self.channels, self.in_channels, side, self._task, self.num_classes, self.peak)

    def signature(self, archs: Any) -> list[str]:
        """What fixes tensor shapes: how far the activations outgrow those of the stem, one text an architecture."""
        return [f"{_SIGNATURE}{peak}" for peak in macro_plan.peaks(np.atleast_2d(np.asarray(archs)))]

    def bind(self, signature: str) -> TransNasMacro:
        """The space for architectures of one signature."""
        return dataclasses.replace(self, peak=int(signature.removeprefix(_SIGNATURE)))

    # Encodings, moves and costs.

    def decode(self, encodings: Any) -> np.ndarray:
        """Official codes, skeletons ("1234", "123400", tuples of six digits) or integer arrays: int32 [n, 6].

        Raises:
          InputError: an encoding is malformed; the message names the part.
        """
        return codec.decode_macro(encodings, self.channels)

    def encode(self, archs: Any) -> list[str]:
        """Official codes, "64-...-basic", whatever the base width."""
        return codec.macro_to_string(archs)

    def sample(self, key: Array, num: int) -> Array:
        """Uniform population int32 [num, 6]."""
        dag.check_number(num)
        everything = codec.all_macro()
        return jnp.asarray(everything)[jax.random.randint(key, (num,), 0, len(everything))]

    def all(self) -> np.ndarray:
        """Every architecture, int32 [3256, 6], shorter ones first, then by digits."""
        return codec.all_macro().copy()

    def mutate(self, key: Array, arch: Array) -> Array:
        """A uniform draw among the `neighbours`; traceable."""
        arch = jnp.asarray(arch, jnp.int32)
        candidates = _changed(arch)
        allowed = codec.in_macro_space(candidates) & (candidates != arch[None]).any(-1)
        return _choose(key, candidates, allowed)

    def crossover(self, key: Array, first: Array, second: Array) -> Array:
        """Takes each digit from either parent, uniformly among the choices that stay in the space; traceable."""
        first, second = (jnp.asarray(parent, jnp.int32)[None] for parent in (first, second))
        candidates = jnp.where(jnp.asarray(_MASKS), first, second)
        return _choose(key, candidates, codec.in_macro_space(candidates))

    def neighbours(self, arch: Any) -> np.ndarray:
        """All architectures that differ in one of the six digits, int32 [n, 6].

        A module changes, or one is added or taken away at the end.
        """
        one = _one(arch)
        candidates = np.asarray(_changed(one))
        return candidates[codec.in_macro_space(candidates) & (candidates != one).any(-1)]

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """True: the output of every skeleton depends on the input."""
        _one(arch)
        return True, ""

    def canonical(self, arch: Any) -> str:
        """The code: different skeletons are different networks."""
        return self.encode(_one(arch))[0]

    def to_graph(self, arch: Any) -> Graph:
        """The chain of modules as a labelled graph."""
        nodes = ("input", *(codec.MODULES[digit] for digit in _one(arch) if digit), "output")
        return Graph(nodes, tuple((i, i + 1) for i in range(len(nodes) - 1)))

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters of one architecture or a population; exact."""
        array, single = self._population(archs)
        total = np.full(len(array), stem.num_params(self.in_channels, self.channels), np.int64)
        width, _ = self._states(array)
        for m in range(codec.LENGTH):
            weights, norms = self._module(array[:, m], width[m], width[m + 1])
            total += weights + norms
        by_width = np.array([heads.num_params(self._head(self.channels << c)) for c in range(macro_plan.WIDTHS)])
        total += by_width[width[-1]]
        return int(total[0]) if single else total

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of convolutions and linear layers for one image; exact."""
        array, single = self._population(archs)
        total = np.full(len(array), stem.macs(self.in_channels, self.channels, self._side)[0], np.int64)
        width, halvings = self._states(array)
        sides = np.array(self._sizes.sides())
        for m in range(codec.LENGTH):
            total += self._module(array[:, m], width[m], width[m + 1])[0] * sides[halvings[m + 1]] ** 2
        head = np.array(
            [
                [
                    heads.macs(self._head(self.channels << c), side, macro_plan.STEM_HALVINGS + s)
                    for s, side in enumerate(sides)
                ]
                for c in range(macro_plan.WIDTHS)
            ]
        )
        total = total * self._tiles + head[width[-1], halvings[-1]]
        return int(total[0]) if single else total

    def _states(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Doublings and halvings before each module and at the end: int [7, n] each."""
        zero = np.zeros((1, len(array)), np.int64)
        found = (np.cumsum(change(array).T, 0) for change in (codec.doubles, codec.halves))
        doublings, halvings = (np.concatenate([zero, sums]) for sums in found)
        return doublings, halvings

    def _module(self, digit: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights and norm parameters of the convolutions of a module, int [n] each."""
        c, d = self.channels << before, self.channels << after
        weights = 9 * c * d + 27 * d * d + (digit > 1) * c * d
        norms = 2 * d * (4 + (digit > 1))
        return (digit > 0) * weights, (digit > 0) * norms

    def _population(self, archs: Any) -> tuple[np.ndarray, bool]:
        codec.check_macro(archs)
        return population(archs)

    def torch_places(self, arch: Any) -> dict[str, torch_layout.Place]:
        """Where every tensor of the official network goes; see `nasjax.spaces.torch_layout`.

        Raises:
          InputError: the task has a decoder, whose transposed kernels are laid out otherwise.
        """
        tasks.check_linear(self.task)
        one = _one(arch)
        width = [int(w) for w in self._states(one[None])[0][:, 0]]
        places = stem.torch_places()

        def layer(name: str, norm: str, tree: str, lead: tuple[int, ...], ins: int, outs: int) -> None:
            corner = (*lead, slice(None), slice(None), slice(ins), slice(outs))
            nonlocal places
            places |= torch_layout.weight(name, tree, index=corner)
            places |= torch_layout.norm(norm, tree, index=(*lead, slice(outs)))

        for m, digit in enumerate(one.tolist()):
            c, d = self.channels << width[m], self.channels << width[m + 1]
            if not digit:
                continue
            for block in range(2):
                for i, conv in enumerate(("conv_a", "conv_b")):
                    name, ins = f"layer{m}.{block}.{conv}.ops", d if block or i else c
                    layer(f"{name}.1", f"{name}.2", "convs", (2 * m + block, i), ins, d)
            if digit > 1:
                layer(f"layer{m}.0.downsample.0", f"layer{m}.0.downsample.1", "shortcuts", (2 * m,), c, d)
        features, widest = self.channels << width[-1], self._sizes.widest
        rows = np.concatenate([t * widest + np.arange(features) for t in range(self._tiles)])
        return places | heads.torch_places(rows)


def _changed(arch: Any) -> Any:
    """Every digit in every place of one architecture: int32 [30, 6]."""
    xp = jnp if isinstance(arch, jax.Array) else np
    place = xp.asarray(np.arange(codec.LENGTH)[None] == _POSITIONS[:, None])
    return xp.where(place, xp.asarray(_DIGITS, np.int32)[:, None], arch[None])


def _choose(key: Array, candidates: Array, allowed: Array) -> Array:
    """A uniform draw among the allowed rows."""
    return candidates[jax.random.categorical(key, jnp.where(allowed, 0.0, -jnp.inf))]


def _one(arch: Any) -> np.ndarray:
    """A single architecture, int32 [6]."""
    array = codec.check_macro(arch)
    if array.ndim != 1:
        raise InputError(f"architectures of shape {list(array.shape)}; allowed: [6]; do: take one at a time")
    return array
