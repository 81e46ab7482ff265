"""Effective receptive field: which pixels of the image move the centre of the last feature map (Luo et al. 2016).

The derivative is taken with respect to the original image, through the cell, so the map includes the warps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.das.videos import VideoMaker
from nasjax.types import Array, InputError, Variables

AREA_SHARE = 0.01


class Field(NamedTuple):
    """An effective receptive field.

    Attributes:
      map: float64 [height, width], mean over images of the sum over channels of abs(dy / dx).
      centre: row and column that the unit stands over, in pixels: its number times the stride, since the networks here
        pad both sides alike.
      area: pixels with more than one per cent of the peak.
      radius50: distance from the centre, in pixels, within which half of the sum lies.
      radius90: likewise nine tenths.
      images: how many were averaged.
    """

    map: np.ndarray
    centre: tuple[float, float]
    area: int
    radius50: float
    radius90: float
    images: int


def receptive_field(
    network: Any,
    variables: Variables,
    images: Array,
    maker: VideoMaker,
    *,
    stage: int = -1,
    batch_size: int = 20,
) -> Field:
    """Measures the receptive field of the centre unit of a feature map.

    The unit is the mean over channels and frames at the centre of the map, all other units counting nothing. Norms use
    their running statistics, so that images do not see each other.

    Args:
      network: Linen module with ``output="features"``, such as those of ``nasjax.das.networks``.
      variables: its parameters and statistics.
      images: float [n, height, width, channels], normalised; 100 or more are usual.
      maker: what makes videos of them.
      stage: number of the feature map; the last by default.
      batch_size: images at a time.

    Returns:
      The field.

    Raises:
      InputError: no image, or a derivative that is zero everywhere or no number.
    """
    if images.ndim != 4 or not len(images):
        raise InputError(f"images {images.shape}; need [n, height, width, channels] with at least one image")
    feature_shape: list[tuple[int, ...]] = []

    def units(images: Array, variables: Variables) -> Array:
        own = {"params": variables.params, "batch_stats": variables.stats}
        found = network.apply(own, maker(images), output="features")[stage]
        feature_shape.append(found.shape)
        centre = found[:, found.shape[1] // 2, found.shape[2] // 2]
        return centre.reshape(len(images), -1).mean(1).sum()

    total = np.zeros(images.shape[1:3])
    gradient = jax.jit(lambda images, variables: jnp.abs(jax.grad(units)(images, variables)).sum((0, 3)))
    for start in range(0, len(images), batch_size):
        total += np.asarray(gradient(images[start : start + batch_size], variables), np.float64)
    rows, columns = feature_shape[0][1:3]
    height, width = images.shape[1:3]
    # Layers that are padded alike on both sides put unit i at pixel i times the stride.
    centre = (float(rows // 2 * round(height / rows)), float(columns // 2 * round(width / columns)))
    return field_of(total / len(images), centre, images=len(images))


def field_of(map: np.ndarray, centre: tuple[float, float], *, images: int) -> Field:
    """Area and radii of a map.

    Args:
      map: [height, width], not negative.
      centre: row and column from which radii are measured.
      images: how many were averaged.

    Returns:
      The field.

    Raises:
      InputError: the map is zero everywhere or holds what is no number.
    """
    map = np.asarray(map, np.float64)
    if not np.isfinite(map).all() or map.max(initial=0) <= 0:
        raise InputError("the derivative of the centre unit is zero or no number; do: check the weights and the images")
    rows, columns = np.indices(map.shape)
    distance = np.hypot(rows - centre[0], columns - centre[1]).ravel()
    order = np.argsort(distance, kind="stable")
    share = np.cumsum(map.ravel()[order]) / map.sum()
    radii = [float(distance[order][np.searchsorted(share, part * (1 - 1e-12))]) for part in (0.5, 0.9)]
    return Field(map, centre, int((map > AREA_SHARE * map.max()).sum()), radii[0], radii[1], images)
