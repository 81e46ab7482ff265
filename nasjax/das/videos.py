"""Images to videos for training and use: a genotype, copies of the image, or the image alone; and the way back."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from nasjax.das.cell import apply_cell
from nasjax.das.dense_targets import unwarp
from nasjax.das.genotype import Genotype
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
          InputError: there is no genotype, or one of several cells in a row.
        """
        genotype = self.genotype
        if genotype is None:
            raise InputError("unwarp needs a genotype: frames of this variant are all alike; do: leave unwarp out")
        size = (1, self.num_frames, 2, 2, 1)
        jax.eval_shape(lambda maps: unwarp(genotype, maps), jax.ShapeDtypeStruct(size, jnp.float32))

    def unwarp(self, maps: Array) -> Array:
        """Moves what was found in each frame back to where it is in the image.

        A frame is a sum over paths of warps one after the other: each path is undone, and their mean taken. What the
        way back cannot see is zero.

        Args:
          maps: float [batch, frames, height, width, channels], such as logits.

        Returns:
          Array of the same shape.

        Raises:
          InputError: several cells in a row.
        """
        return maps if self.genotype is None else unwarp(self.genotype, maps)
