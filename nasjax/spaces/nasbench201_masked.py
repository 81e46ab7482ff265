"""Masks of the NAS-Bench-201 supernet as a search space."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import nn
from nasjax.spaces import initial, nasbench201_blocks
from nasjax.spaces import nasbench201_network as network
from nasjax.spaces import nasbench201_supernet as supernet
from nasjax.spaces.cell201 import OPS
from nasjax.spaces.dag import EDGES
from nasjax.spaces.masked import Choice, Masked
from nasjax.types import Array, LayerTable, PyTree, Variables, Visit, Walk

_CHOICE = Choice(
    supernet.MASK_SHAPE,
    OPS,
    tuple(f"{source}>{target}" for source, target in EDGES),
    (),
    0,
    OPS.index("none"),
)


@dataclasses.dataclass(frozen=True)
class MaskedNasBench201(Masked[Any]):
    """Supernets of NAS-Bench-201: int32 [6, 5], which operations are alive on each edge."""

    @property
    def choice(self) -> Choice:
        """See `Masked`."""
        return _CHOICE

    def arch(self, mask: np.ndarray) -> np.ndarray:
        """The living operation of each edge, the last of several; ``none`` where none lives: int32 [6]."""
        alive = np.asarray(mask) > 0
        return np.where(alive, np.arange(len(OPS)), 0).max(-1).astype(np.int32)

    def unit_costs(self, cost: str) -> tuple[int, np.ndarray]:
        """See `Masked`; operations on edges add up."""
        base = dataclasses.replace(self.base, drop_dead=False)  # a single operation leads nowhere
        count = base.num_params if cost == "params" else base.flops
        single = np.zeros((len(EDGES), len(OPS), len(EDGES)), np.int32)
        single[np.arange(len(EDGES)), :, np.arange(len(EDGES))] = np.arange(len(OPS))
        nothing = int(count(np.zeros(len(EDGES), np.int32)))
        return nothing, count(single.reshape(-1, len(EDGES))).reshape(supernet.MASK_SHAPE) - nothing

    def thin(self) -> MaskedThinCell:
        """One cell of one channel; see `nasjax.spaces.optional.HasThin`."""
        return MaskedThinCell(self)

    def blocks(self, variables: Variables, arch: Array, images: Array, visit: Visit, *, norm: str = "batch") -> Walk:
        """Stem, cells, reduction blocks and last norm; see `nasjax.spaces.optional.HasBlocks`."""
        options = network.Forward(norm, self.precision, rescale=False)
        mixed = supernet.mixed_cell(options, self.weigh(arch, images.dtype))

        def run_cell(x: Array, own: PyTree) -> tuple[Array, Array, Array]:
            nodes, means, variances = mixed(x, own | {"moments": None})
            return nodes[3], means, variances

        return nasbench201_blocks.walk(options, variables, arch, images, visit, run_cell)

    def weight_mask(self, arch: Array) -> PyTree:
        """See `Masked`."""
        shapes = network.weight_shapes(self.network._sizes)
        mask = jax.tree.map(lambda s: jnp.ones((1,) * len(s), bool), shapes, is_leaf=initial.is_shape)
        for stage in mask["stages"]:
            for op in supernet.KINDS:
                stage[network.OPS[op]] = (jnp.asarray(arch)[:, op] > 0)[None, :, None, None, None, None]
        return mask

    def layer_sums(self, terms: PyTree) -> Array:
        """See `Masked`."""
        return supernet.layer_sums(terms)

    def layer_names(self) -> tuple[str, ...]:
        """Slot names: those of the space, with the operation for the two of an edge."""
        return supernet.layer_names(self.base.layer_names())

    def layers(self, arch: Array) -> LayerTable:
        """See `Masked`."""
        return supernet.layer_table(self.base.layer_names(), jnp.asarray(arch))

    def site_calls(self, arch: Array) -> dict[str, Array]:
        """See `Masked`; sites are those of the space."""
        calls = supernet.site_calls(self.layers(arch), self.base.cells)
        flat = {k: v for k, v in calls.items() if not k.startswith("stage")}
        return flat | {f"stage{s}/node{i}": calls[f"stage{s}"][:, i] for s in range(3) for i in range(3)}


@dataclasses.dataclass(frozen=True)
class MaskedThinCell:
    """One cell of the supernet, one channel wide, without stem, then norm and rectifier.

    Attributes:
      space: whose masks are run.
    """

    space: MaskedNasBench201

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Variables of a network of one channel and one cell a stage, of which the first cell is read."""
        del arch
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        return supernet.init(key, network.Sizes(1, 1, 1, 1), law, dtype)

    def codes(self, variables: Variables, arch: Array, images: Array) -> tuple[Array, Array]:
        """Patterns bool [batch, 4 x positions]: three nodes and the output; and whether all is finite."""
        options = network.Forward("batch", self.space.precision, rescale=False)
        params, stats = variables
        own: PyTree = {f: params[f]["stages"][0] for f in ("weights", "scale", "shift")}
        own |= {f: stats[f]["stages"][0] for f in ("mean", "var")}
        first = jax.tree.map(lambda a: a[0], own) | {"moments": None}
        nodes = supernet.mixed_cell(options, self.space.weigh(arch, images.dtype))(images, first)[0]
        alive = jnp.asarray(arch)[:, np.array(supernet.KINDS)].any(-1)
        read = jnp.stack([jnp.stack([alive[e] for e, (a, _) in enumerate(EDGES) if a == n]).any() for n in range(3)])
        read = read.reshape(3, *(1,) * images.ndim)
        finite = (jnp.isfinite(nodes[:3]) | ~read).all() & jnp.isfinite(nodes[3]).all()
        signs = (nodes[:3] > 0) & read
        output = nn.batch_norm(nodes[3], None, None)[0] > 0  # scale 1 and shift 0, as every fresh norm
        return jnp.concatenate([s.reshape(s.shape[0], -1) for s in (*signs, output)], 1), finite
