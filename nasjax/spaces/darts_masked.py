"""Masks of the DARTS supernet as a search space."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from nasjax import nn
from nasjax.spaces import darts_blocks as blocks
from nasjax.spaces import darts_codec as codec
from nasjax.spaces import darts_cost as cost
from nasjax.spaces import darts_graph as graph
from nasjax.spaces import darts_network as network
from nasjax.spaces import darts_supernet as supernet
from nasjax.spaces import darts_supernet_slots as places
from nasjax.spaces.darts_plan import Sizes
from nasjax.spaces.darts_supernet import EDGES, MASK_SHAPE
from nasjax.spaces.masked import Choice, Masked
from nasjax.spaces.runner import Forward, Runner
from nasjax.types import Array, LayerTable, PyTree, Site, Variables, Visit, Walk

_KEEP = 2  # inputs of a node
_NODES = range(2, 6)
_GROUPS = tuple(
    tuple(c * len(EDGES) + e for e, (_, target) in enumerate(EDGES) if target == node)
    for c in range(len(codec.CELLS))
    for node in _NODES
)
_CHOICE = Choice(
    MASK_SHAPE,
    codec.OPS,
    tuple(f"{cell} {source}>{target}" for cell in codec.CELLS for source, target in EDGES),
    _GROUPS,
    _KEEP,
    codec.NONE,
)
_THIN = Sizes("swap", 1, 3, 1, 1, False)  # no stem, one channel, a normal cell and reduction cells


@dataclasses.dataclass(frozen=True)
class MaskedDarts(Masked[Any]):
    """Supernets of DARTS: int32 [2, 14, 8], which operations are alive on each edge of both cells."""

    @property
    def choice(self) -> Choice:
        """See `Masked`."""
        return _CHOICE

    @property
    def _sizes(self) -> Sizes:
        sizes: Sizes = self.base._sizes
        return sizes

    def arch(self, mask: np.ndarray) -> np.ndarray:
        """See `Masked`: the first two living edges of each node; ``none`` where there are fewer: int32 [32]."""
        rows = []
        for own in np.asarray(mask) > 0:
            for node in _NODES:
                alive = [(op, EDGES[e][0]) for e, op in np.argwhere(own) if EDGES[e][1] == node and op != codec.NONE]
                rows += (alive + [(codec.NONE, 0), (codec.NONE, 1)])[:_KEEP]
        return np.array(rows, np.int32).reshape(-1)

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """Whether the output depends on the images, by any living operation."""
        alive = np.delete(np.asarray(arch) > 0, codec.NONE, -1)
        normal, reduce = (self._depends(own.any(-1)) for own in alive)
        return graph.reaches(normal, reduce, self._sizes.reductions())

    @staticmethod
    def _depends(alive: np.ndarray) -> tuple[bool, bool]:
        """Whether the output of a cell depends on its first and on its second input; living edges bool [14]."""
        found = []
        for start in (0, 1):
            reached = {start}
            for (source, target), there in zip(EDGES, alive, strict=True):
                if there and source in reached:
                    reached.add(target)
            found.append(len(reached) > 1)
        return found[0], found[1]

    def unit_costs(self, cost_of: str) -> tuple[int, np.ndarray]:
        """See `Masked`."""
        return cost.supernet_costs(self._sizes, self.image_size, EDGES)[cost_of]

    def thin(self) -> MaskedThinCells:
        """A normal and a reduction cell of one channel; see `nasjax.spaces.optional.HasThin`."""
        return MaskedThinCells(self)

    def blocks(self, variables: Variables, arch: Array, images: Array, visit: Visit, *, norm: str = "batch") -> Walk:
        """Stem and cells; see `nasjax.spaces.optional.HasBlocks`."""
        options = Forward(norm, self.precision, rescale=False)
        run = Runner(options, variables.params, variables.stats, {}, None, None, images.dtype)
        cell = supernet.mixed_cell(self.weigh(arch, images.dtype))
        return blocks.walk(run, self._sizes, cell, images, visit)

    def weight_mask(self, arch: Array) -> PyTree:
        """See `Masked`."""
        return places.weight_mask(self._sizes, jnp.asarray(arch))

    def layer_sums(self, terms: PyTree) -> Array:
        """See `Masked`."""
        return places.layer_sums(terms, self._sizes)

    def layer_names(self) -> tuple[str, ...]:
        """Slot names, see `nasjax.spaces.darts_supernet_slots`."""
        return places.layer_names(self._sizes)

    def layers(self, arch: Array) -> LayerTable:
        """See `Masked`."""
        return places.layer_table(self._sizes, jnp.asarray(arch))

    def site_calls(self, arch: Array) -> dict[str, Array]:
        """See `Masked`."""
        return places.site_calls(self._sizes, jnp.asarray(arch))


@dataclasses.dataclass(frozen=True)
class MaskedThinCells:
    """A normal and a reduction cell without stem, then norm and rectifier, as TE-NAS counts regions in.

    Its patches have three pixels a side; here a row and a column of zeros follow, since reductions halve even sides.

    Attributes:
      space: whose masks are run.
    """

    space: MaskedDarts

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables of one channel."""
        del arch
        return supernet.init(key, _THIN, law, jnp.zeros(()).dtype if dtype is None else dtype)

    def codes(self, variables: Variables, arch: Array, images: Array) -> tuple[Array, Array]:
        """Patterns bool [batch, neurons] of all rectifiers there are and of the output; whether all is finite."""
        arch = jnp.asarray(arch)

        def signs(site: Site, value: Array) -> tuple[Array, Array]:
            read = site.calls.any()
            return (value > 0) & read, jnp.isfinite(value).all() | ~read

        options = Forward("batch", self.space.precision, rescale=False)
        cell = supernet.mixed_cell(self.space.weigh(arch, images.dtype))
        x = jnp.pad(images, ((0, 0), *((0, n % 2) for n in images.shape[1:3]), (0, 0)))
        run = Runner(options, *variables, places.site_calls(_THIN, arch), signs, None, images.dtype)
        run.read(x, "stem")
        older = newer = x
        for segment in _THIN.segments()[:2]:
            older, newer = network.run_segment(run, _THIN, segment, cell, older, newer)
        output = nn.batch_norm(newer, None, None)[0] > 0  # scale 1 and shift 0, as every fresh norm
        del run.taps["reduction0/output"]  # read behind the norm
        sites = [jnp.moveaxis(s.reshape(-1, *x.shape[:1], *s.shape[-3:]), 1, 0) for s, _ in run.taps.values()]
        finite = jnp.stack([good.all() for _, good in run.taps.values()]).all() & jnp.isfinite(newer).all()
        return jnp.concatenate([s.reshape(x.shape[0], -1) for s in (*sites, output)], 1), finite
