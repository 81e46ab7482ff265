"""Images on a sphere: the projection behind Spherical-CIFAR-100 of NAS-Bench-360 (Tu et al., 2022).

The image lies in the plane of a stereographic projection, is carried to the sphere, turned at random, and read on an
equiangular grid. The benchmark takes the procedure of spherical CNNs (Cohen et al., 2018); this is an implementation of
its own. What the papers leave open is an option: how much of the sphere the image covers, and the law of the rotation.

Geometry. Point ``p`` of the unit sphere goes to ``(u, v) = (p_x, p_y) / (1 - p_z)``: projection from the north pole to
the plane of the equator, so the south pole is the centre of the image and the equator has radius 1. Column ``j`` of an
image with ``n`` pixels a side has its centre at ``u = extent * ((2 j + 1) / n - 1)``; rows give ``v`` likewise. Grid
point ``(j, k)`` of bandwidth ``b`` has polar angle ``pi (2 j + 1) / (4 b)`` and azimuth ``pi k / b``: the grid of
Driscoll and Healy (1994), ``2 b`` by ``2 b``. With rotation ``R`` it shows the image at the projection of ``R^T p``.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from nasjax.types import InputError

FILLS = ("zeros", "edge")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SphericalConfig:
    """How images are projected.

    Attributes:
      bandwidth: the grid has twice as many rows and columns; 30 in the benchmark, 60 x 60 values.
      noise: how far an image is turned: an angle is drawn as for uniform rotations and multiplied by this; 0 turns
        nothing, 1 gives uniform rotations.
      seed: of the rotations; an image has its own, by its number.
      extent: half of the image's side in the plane; at 1 the middle of each side touches the equator.
      fill: what the rest of the sphere shows: "zeros", or "edge", the nearest pixel.

    Raises:
      InputError: a value is not allowed.
    """

    bandwidth: int = 30
    noise: float = 1.0
    seed: int = 0
    extent: float = 1.0
    fill: str = "zeros"

    def __post_init__(self) -> None:
        """Refuses what is no projection."""
        for name, fine, allowed in (
            ("bandwidth", isinstance(self.bandwidth, int) and self.bandwidth >= 1, "1 or more"),
            ("noise", 0 <= self.noise <= 1, "0 to 1"),
            ("seed", isinstance(self.seed, int) and self.seed >= 0, "0 or more"),
            ("extent", 0 < self.extent < math.inf, "a positive number"),
            ("fill", self.fill in FILLS, " or ".join(FILLS)),
        ):
            if not fine:
                raise InputError(f"SphericalConfig: {name}={getattr(self, name)!r}; allowed: {allowed}; do: correct it")


def project(images: np.ndarray, config: SphericalConfig, *, indices: np.ndarray | None = None) -> np.ndarray:
    """Projects images to the sphere.

    Args:
      images: uint8 or float [n, height, width, channels].
      config: options.
      indices: int [n], the number of each image in its data set, which decides on its rotation; 0 to n - 1 by default.

    Returns:
      [n, 2 b, 2 b, channels] of the same dtype, uint8 rounded: polar angles by azimuths.
    """
    numbers = np.arange(len(images)) if indices is None else np.asarray(indices)
    points = grid(config.bandwidth)
    side = 2 * config.bandwidth
    out = np.empty((len(images), side, side, images.shape[-1]), images.dtype)
    for position, (number, image) in enumerate(zip(numbers, images, strict=True)):
        turned = points @ rotation(int(number), config)  # rows are R^T p
        values = _sample(image.astype(np.float64), *_plane(turned), config)
        if images.dtype == np.uint8:
            values = np.clip(np.rint(values), 0, 255)
        out[position] = values.reshape(out.shape[1:])
    return out


def grid(bandwidth: int) -> np.ndarray:
    """Points of the equiangular grid on the unit sphere.

    Args:
      bandwidth: half the number of rows and of columns.

    Returns:
      float64 [4 b^2, 3], azimuth running fastest.
    """
    polar = np.pi * (2 * np.arange(2 * bandwidth) + 1) / (4 * bandwidth)
    azimuth = np.pi * np.arange(2 * bandwidth) / bandwidth
    polar, azimuth = (angle.ravel() for angle in np.meshgrid(polar, azimuth, indexing="ij"))
    return np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], -1)


def rotation(number: int, config: SphericalConfig) -> np.ndarray:
    """The rotation of an image, by a unit quaternion whose angle is shortened by the noise.

    Args:
      number: of the image.
      config: options.

    Returns:
      float64 [3, 3], orthogonal with determinant 1.
    """
    if config.noise == 0:
        return np.eye(3)
    quaternion = np.random.default_rng([config.seed, number]).standard_normal(4)
    quaternion *= np.where(quaternion[0] < 0, -1, 1) / np.linalg.norm(quaternion)  # an angle of at most pi
    half = math.acos(min(1.0, quaternion[0]))
    axis = quaternion[1:] / np.linalg.norm(quaternion[1:])
    angle = 2 * half * config.noise
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def _plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stereographic projection from the north pole; the pole itself goes far out of any image."""
    below = np.maximum(1 - points[:, 2], 1e-12)
    return points[:, 0] / below, points[:, 1] / below


def _sample(image: np.ndarray, u: np.ndarray, v: np.ndarray, config: SphericalConfig) -> np.ndarray:
    """Bilinear values of an image [h, w, c] at points of the plane: float64 [points, c]."""
    height, width, channels = image.shape
    columns = ((u / config.extent + 1) * width - 1) / 2
    rows = ((v / config.extent + 1) * height - 1) / 2
    # Half a pixel beyond the outermost centres is still within the image.
    inside = (np.abs(u) <= config.extent) & (np.abs(v) <= config.extent)
    columns, rows = np.clip(columns, 0, width - 1), np.clip(rows, 0, height - 1)
    left = np.minimum(columns.astype(np.int64), max(width - 2, 0))
    top = np.minimum(rows.astype(np.int64), max(height - 2, 0))
    right, low = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (columns - left)[:, None], (rows - top)[:, None]
    values = (image[top, left] * (1 - across) + image[top, right] * across) * (1 - down) + (
        image[low, left] * (1 - across) + image[low, right] * across
    ) * down
    return values if config.fill == "edge" else np.where(inside[:, None], values, 0)
