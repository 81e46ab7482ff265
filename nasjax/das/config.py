"""The cell of the search: its options, its edges, the levels of its frames, the gain of its paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from nasjax.das import ops as operations
from nasjax.das.warps import FILLS, INTERPOLATIONS
from nasjax.types import InputError

SCHEDULES = ("symmetric", "linear", "sweep", "constant")
MAGNITUDES = ("sampled", "fixed", "learned")
GAINS = ("paths", "reference")
LAYOUTS = ("correct", "tras")
PRECISIONS = ("highest", "fast")
_MOST = 256  # a damaged file may ask for more than any memory holds


@dataclasses.dataclass(frozen=True, kw_only=True)
class DASConfig:
    """Options of the cell that turns images into videos.

    The body of the paper could not be read; defaults follow the third stage of its first author's code, and each
    attribute says where they depart from it.

    Attributes:
      num_frames: frames of a video, T.
      num_nodes: nodes of a cell; each receives an edge from every earlier state, the last one is the output.
      num_inputs: input states, all of them the replicated image in the first cell.
      num_cells: cells in a row, which share operations and magnitudes.
      ops: a set ("geometric5", "video10", "autoaugment15") or a tuple of operations.
      schedule: level of frame t: "symmetric", abs(t - T // 2); "linear", t; "sweep", t - T // 2; "constant", 1, for
        single images. Level 0 leaves an image as it is.
      magnitude: "sampled", drawn once for each edge and operation (the code); "fixed" to ``magnitudes``; "learned"
        along with the choice of operations, within their ranges (ours; what the paper does is not known).
      magnitudes: base magnitude of each operation for "fixed"; by default halfway from no change to the largest.
      interpolation: "bilinear"; the code has "nearest" for shifts and rotations.
      fill: "zeros", the mean colour of normalised images, or "edge".
      whole_pixels: whether shifts are rounded to whole pixels, as in the code.
      gain: "paths" divides the output by the number of paths, so that identities give the image back; "reference" sums.
      layout: "correct"; "tras" scrambles colours and frames as the code does, for reproduction alone.
      mean: what was subtracted from images in 0..1, a number a channel; operations on values undo and redo it.
      std: what they were divided by.
      precision: of products, "highest" or "fast".

    Raises:
      InputError: a value that is not allowed.
    """

    num_frames: int = 8
    num_nodes: int = 4
    num_inputs: int = 2
    num_cells: int = 1
    ops: str | tuple[str, ...] = "geometric5"
    schedule: str = "symmetric"
    magnitude: str = "sampled"
    magnitudes: tuple[float, ...] = ()
    interpolation: str = "bilinear"
    fill: str = "zeros"
    whole_pixels: bool = False
    gain: str = "paths"
    layout: str = "correct"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    precision: str = "highest"

    def __post_init__(self) -> None:
        """Checks every field."""
        for name in ("num_frames", "num_nodes", "num_inputs", "num_cells"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
                raise InputError(f"{name}={value!r}; allowed: a whole number of 1 to {_MOST}; do: change it")
        choices: dict[str, Sequence[str]] = {
            "schedule": SCHEDULES, "magnitude": MAGNITUDES, "interpolation": INTERPOLATIONS, "fill": FILLS,
            "gain": GAINS, "layout": LAYOUTS, "precision": PRECISIONS,
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r}; allowed: {', '.join(allowed)}; do: choose one")
        for name in ("magnitudes", "mean", "std"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        if not isinstance(self.ops, str):
            object.__setattr__(self, "ops", tuple(self.ops))
        number = len(self.operations)
        if self.magnitudes and self.magnitude != "fixed":
            raise InputError(f"magnitudes are given with magnitude={self.magnitude!r}; do: set magnitude='fixed'")
        if self.magnitudes and len(self.magnitudes) != number:
            raise InputError(f"{len(self.magnitudes)} magnitudes for {number} operations; do: give one for each")
        for operation, magnitude in zip(self.operations, self.magnitudes, strict=False):
            operations.check_magnitude(operation, magnitude, where=f"magnitudes={self.magnitudes}")
        if len(self.mean) != len(self.std):
            raise InputError(f"mean has {len(self.mean)} numbers and std {len(self.std)}; do: give one each a channel")
        if not np.isfinite(self.mean).all() or not all(0 < value < float("inf") for value in self.std):
            raise InputError(f"mean={self.mean}, std={self.std}; allowed: finite numbers, those of std above 0")

    @property
    def operations(self) -> tuple[operations.Operation, ...]:
        """The operations, in the order of the columns of alpha."""
        return operations.get_set(self.ops)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the operations."""
        return tuple(operation.name for operation in self.operations)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(node, source) of each edge; source s is an input below ``num_inputs``, then node s - num_inputs."""
        return tuple((i, s) for i in range(self.num_nodes) for s in range(self.num_inputs + i))

    @property
    def levels(self) -> tuple[int, ...]:
        """Level of each frame."""
        middle = self.num_frames // 2
        rules = {"symmetric": lambda t: abs(t - middle), "linear": lambda t: t, "sweep": lambda t: t - middle,
                 "constant": lambda t: 1}  # fmt: skip
        return tuple(rules[self.schedule](t) for t in range(self.num_frames))

    @property
    def moved(self) -> tuple[int, ...]:
        """The levels other than 0, each once: frames of one level are alike, so they are computed once."""
        return tuple(sorted(set(self.levels) - {0}))

    def node_edges(self, node: int) -> tuple[int, ...]:
        """Numbers of the edges into a node."""
        return tuple(e for e, (i, _) in enumerate(self.edges) if i == node)

    def path_gain(self, *, kept: Any = None) -> np.ndarray:
        """How often identities along all paths would add an image up at the last node.

        Args:
          kept: bool [..., edges]; all by default.

        Returns:
          float64 [...]: g of the last node, with g = 1 at the inputs and the sum over kept edges elsewhere; 1 where
          nothing reaches it, and 1 everywhere for ``gain="reference"``.
        """
        mask = np.ones(len(self.edges), bool) if kept is None else np.asarray(kept, bool)
        if self.gain == "reference":
            return np.ones(mask.shape[:-1])
        gains = [np.ones(mask.shape[:-1]) for _ in range(self.num_inputs)]
        for node in range(self.num_nodes):
            own = [mask[..., e] * gains[self.edges[e][1]] for e in self.node_edges(node)]
            gains.append(np.sum(own, axis=0))
        return np.where(gains[-1] > 0, gains[-1], 1.0)


def preset(name: str, **changes: Any) -> DASConfig:
    """A cell that was published, or one like it.

    Args:
      name: "geometric5" (third stage: 14 edges, 5 operations, 8 frames), "video10" (first stage: one edge, ten
        operations, 5 frames at levels 0 to 4), "autoaugment15" (second stage: one edge, operations on single images),
        or "single_edge" (one edge, the operations of geometric5).
      **changes: fields to change.

    Returns:
      The configuration.

    Raises:
      InputError: an unknown name, or a value that is not allowed.
    """
    one_edge = {"num_nodes": 1, "num_inputs": 1}
    presets: dict[str, dict[str, Any]] = {
        "geometric5": {},
        "video10": {**one_edge, "ops": "video10", "num_frames": 5, "schedule": "linear"},
        "autoaugment15": {**one_edge, "ops": "autoaugment15", "num_frames": 1, "schedule": "constant"},
        "single_edge": one_edge,
    }
    if name not in presets:
        raise InputError(f"preset {name!r} is unknown; allowed: {', '.join(presets)}; do: choose one of them")
    return DASConfig(**{**presets[name], **changes})
