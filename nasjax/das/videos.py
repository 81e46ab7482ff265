"""Images to videos for training and use: a genotype, copies of the image, or the image alone; and the way back."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp
import numpy as np

from nasjax.das.cell import apply_cell
from nasjax.das.genotype import Genotype
from nasjax.das.ops import OPERATIONS, Operation, frame_magnitude, is_warp, part_magnitude
from nasjax.types import Array, InputError


@dataclasses.dataclass(frozen=True)
class VideoMaker:
    """Turns images into videos.

    Attributes:
      genotype: what makes the frames; None repeats the image.
      frames: how often it is repeated; not read with a genotype.
    """

    genotype: Genotype | None = None
    frames: int = 1

    def __post_init__(self) -> None:
        """Refuses videos without frames."""
        if self.frames < 1:
            raise InputError(f"frames={self.frames}; allowed: 1 or more")

    @property
    def num_frames(self) -> int:
        """Frames of a video."""
        return self.frames if self.genotype is None else self.genotype.config.num_frames

    def __call__(self, images: Array) -> Array:
        """Makes videos.

        Args:
          images: float [batch, height, width, channels], normalised.

        Returns:
          float [batch, frames, height, width, channels].
        """
        if self.genotype is None:
            return jnp.repeat(images[:, None], self.frames, 1)
        return apply_cell(self.genotype, images)

    def normalised(self, mean: tuple[float, ...], std: tuple[float, ...]) -> VideoMaker:
        """The same for images of this normalisation, which operations on values undo and redo.

        Args:
          mean: what was subtracted from images in 0..1.
          std: what they were divided by.

        Returns:
          Another maker.
        """
        if self.genotype is None:
            return self
        config = dataclasses.replace(self.genotype.config, mean=tuple(mean), std=tuple(std))
        return VideoMaker(Genotype(self.genotype.genes, config))

    def check_unwarp(self) -> None:
        """Refuses what cannot be moved back.

        Raises:
          InputError: there is no genotype, or a frame has no way back.
        """
        if self.genotype is None:
            raise InputError("unwarp needs a genotype; the frames of this variant are all alike; do: leave unwarp out")
        for level in self.genotype.config.levels:
            self._map(level, 32, 32)

    def unwarp(self, maps: Array) -> Array:
        """Moves what was found in each frame back to where it is in the image.

        A frame is a sum over paths of warps one after the other; what is undone is the mean over paths of their affine
        maps, which is exact where there is one path and an approximation otherwise. What the way back cannot see is
        zero.

        Args:
          maps: float [batch, frames, height, width, channels], such as logits.

        Returns:
          Array of the same shape.

        Raises:
          InputError: the mean map of a frame cannot be inverted.
        """
        if self.genotype is None:
            return maps
        height, width = maps.shape[2:4]
        done: dict[int, np.ndarray] = {}
        frames = []
        for t, level in enumerate(self.genotype.config.levels):
            if level not in done:
                done[level] = np.linalg.inv(self._map(level, height, width))
            frames.append(read_affine(maps[:, t], done[level]) if level else maps[:, t])
        return jnp.stack(frames, 1)

    def _map(self, level: int, height: int, width: int) -> np.ndarray:
        """Where a frame reads the image: 3x3 on (y, x, 1), pixels from the centre; mean over paths."""
        assert self.genotype is not None
        config = self.genotype.config
        states: list[tuple[np.ndarray, float]] = [(np.eye(3), 1.0)] * config.num_inputs
        for _ in range(config.num_cells):
            nodes = list(states)
            for node in range(config.num_nodes):
                total, paths = np.zeros((3, 3)), 0.0
                for gene in self.genotype.genes:
                    if gene.node == node:
                        source, count = nodes[gene.source]
                        total += count * source @ _matrix(OPERATIONS[gene.op], gene.magnitude, level, height, width)
                        paths += count
                nodes.append((total / paths if paths else np.eye(3), paths))
            states = [*states[1:], (nodes[-1][0], 1.0)]
        found = states[-1][0]
        if abs(np.linalg.det(found)) < 1e-6:
            raise InputError(f"frames of level {level} have no way back (a singular mean map); do: leave unwarp out")
        return found


def read_affine(images: Array, matrix: np.ndarray) -> Array:
    """Reads images at affinely mapped places, bilinearly, zero outside.

    Args:
      images: float [batch, height, width, channels].
      matrix: float [3, 3] on (y, x, 1), pixels from the centre: place in the result -> place in the image.

    Returns:
      float [batch, height, width, channels].
    """
    batch, height, width, channels = images.shape
    dtype = images.dtype
    dy = jnp.arange(height, dtype=dtype)[:, None] - (height - 1) / 2
    dx = jnp.arange(width, dtype=dtype)[None] - (width - 1) / 2
    (yy, yx, y0), (xy, xx, x0) = ([float(value) for value in row] for row in matrix[:2])
    y, x = yy * dy + yx * dx + (y0 + (height - 1) / 2), xy * dy + xx * dx + (x0 + (width - 1) / 2)
    top, left = jnp.floor(y), jnp.floor(x)
    flat, total = images.reshape(batch, height * width, channels), jnp.zeros(images.shape, dtype)
    for down in (0, 1):
        for right in (0, 1):
            row, column = top + down, left + right
            weight = (1 - jnp.abs(y - row)) * (1 - jnp.abs(x - column))
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = (jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)).astype(jnp.int32)
            read = jnp.take(flat, place.reshape(-1), axis=1).reshape(images.shape)
            total = total + jnp.where(inside, weight, 0).astype(dtype)[None, :, :, None] * read
    return total


def _matrix(operation: Operation, magnitude: float, level: int, height: int, width: int) -> np.ndarray:
    """Where an operation reads; the identity for operations on values."""
    if level == 0 or not is_warp(operation):
        return np.eye(3)
    found = np.eye(3)
    for part in operation.parts or (operation.name,):
        own = OPERATIONS[part]
        base = float(part_magnitude(own, magnitude)) if operation.parts else magnitude
        found = found @ _warp_matrix(part, float(frame_magnitude(own, base, level)), height, width)
    return found


def _warp_matrix(name: str, value: float, height: int, width: int) -> np.ndarray:
    matrix = np.eye(3)
    if name == "translate_y":
        matrix[0, 2] = -value * height
    elif name == "translate_x":
        matrix[1, 2] = -value * width
    elif name == "zoom":
        matrix[0, 0] = matrix[1, 1] = 1 / value
    elif name == "rotate":
        cos, sin = math.cos(math.radians(value)), math.sin(math.radians(value))
        matrix[:2, :2] = [[cos, sin], [-sin, cos]]
    elif name == "shear_x":
        matrix[1, 0] = -value
    else:
        matrix[0, 1] = -value
    return matrix
