"""MeCo and Dextr: how collinear the channels of every module's output are, on one image."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.proxies.base import Facts, Proxy, Value, check_count, plain
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.pass_base import CustomPass, needed
from nasjax.types import Array, PyTree, Variables

_COORDINATES = 10  # outputs that the curvature of Dextr is taken of


@dataclasses.dataclass(frozen=True)
class CorrelationPass(CustomPass):
    """Smallest eigenvalues of the correlation between channels, for a noise image.

    Attributes:
      init: as in `CustomPass`; so are ``repeats``.
      size: height and width of the noise image, or None for those of the loaded images.
    """

    size: int | None = 64

    requires: ClassVar[tuple[str, ...]] = ("modules",)

    def images_needed(self, batch_size: int) -> int:
        """None: the image is noise."""
        del batch_size
        return 0

    def measure(
        self,
        space: Any,
        variables: Variables,
        arch: PyTree,
        images: Array,
        labels: Array,
        *,
        key: Array | None = None,
        fixed: PyTree = None,
    ) -> PyTree:
        """See `CustomPass.measure`; ``fixed`` is the noise image, float [1, height, width, channels].

        Returns:
          "meco" []: the sum over modules of the smallest eigenvalue.
        """
        del labels
        if fixed is None:
            height, width = (self.size, self.size) if self.size else images.shape[2:4]
            fixed = jax.random.normal(needed(key), (1, height, width, images.shape[-1]), images.dtype)

        def visit(values: Array, counts: Array) -> tuple[Array, Array]:
            correlations = jax.vmap(lambda v: _correlation(v, space.precision))(_channels(values))
            return correlations, counts.astype(values.dtype)

        # One decomposition for each number of channels: they make up much of the compile time.
        widths: dict[int, list[tuple[Array, Array]]] = {}
        for matrices, counts in space.modules(variables, arch, fixed, visit)[1]:
            width = matrices.shape[-1]
            widths.setdefault(width, []).append((matrices.reshape(-1, width, width), counts.reshape(-1)))
        sums = []
        for parts in widths.values():
            matrices, counts = (jnp.concatenate(column) for column in zip(*parts, strict=True))
            sums.append((jnp.linalg.eigvalsh(matrices)[:, 0] * counts).sum())
        return {"meco": jnp.stack(sums).sum()}


@dataclasses.dataclass(frozen=True)
class SingularPass(CustomPass):
    """Ratios of singular values of every module's output, and the curvature of the network's, on one image.

    Attributes:
      init: as in `CustomPass`; so are ``repeats``.
    """

    requires: ClassVar[tuple[str, ...]] = ("modules",)
    forward_mode: ClassVar[bool] = True

    def images_needed(self, batch_size: int) -> int:
        """One image."""
        del batch_size
        return 1

    def measure(
        self,
        space: Any,
        variables: Variables,
        arch: PyTree,
        images: Array,
        labels: Array,
        *,
        key: Array | None = None,
        fixed: PyTree = None,
    ) -> PyTree:
        """See `CustomPass.measure`; ``fixed`` is ([pixels, 2] whose columns span the circle, outputs int [10]).

        Returns:
          "ratios" []: the sum over modules of the smallest over the largest singular value of channels x pixels;
          "curvature" []: extrinsic curvature, in 10 outputs, of the network's image of the unit circle.
        """
        del labels
        x = images[0, :1]
        if fixed is None:
            key = needed(key)
            directions = jax.random.normal(jax.random.fold_in(key, 0), (math.prod(x.shape), 2), x.dtype)
            outputs = jax.random.randint(jax.random.fold_in(key, 1), (_COORDINATES,), 0, space.num_classes)
        else:
            directions, outputs = fixed
        directions = _orthonormal(directions)

        def visit(values: Array, counts: Array) -> Array:
            values = lax.stop_gradient(_channels(values))
            singular = jnp.linalg.svd(values, compute_uv=False)
            top = singular[..., 0]
            ratios = jnp.where(top == 0, 0, singular[..., -1] / jnp.where(top == 0, 1, top))  # NaN stays
            return (ratios * counts.astype(values.dtype)).sum()

        def along(angle: Array, plane: Array) -> tuple[Array, Array]:
            point = plane[:, 0] * jnp.cos(angle) + plane[:, 1] * jnp.sin(angle)
            logits, seen = space.modules(variables, arch, point.reshape(x.shape), visit)
            return logits[0, outputs], jnp.stack([part.sum() for part in seen]).sum()

        def velocity(angle: Array, plane: Array) -> tuple[Array, Array]:
            _, first, ratios = jax.jvp(lambda t: along(t, plane), (angle,), (jnp.ones_like(angle),), has_aux=True)
            return first, ratios

        def curve(plane: Array) -> tuple[Array, Array, Array]:
            zero = jnp.zeros((), x.dtype)
            first, second, ratios = jax.jvp(lambda t: velocity(t, plane), (zero,), (jnp.ones_like(zero),), has_aux=True)
            return first, second, ratios

        # The image itself as a curve that starts there, so that one program serves both.
        image = jnp.stack([x.reshape(-1), jnp.zeros(x.size, x.dtype)], 1)
        firsts, seconds, ratios = lax.map(curve, jnp.stack([image, directions]))
        first, second = firsts[1], seconds[1]
        vv, aa, va = (first * first).sum(), (second * second).sum(), (first * second).sum()
        curvature = jnp.sqrt(jnp.maximum(vv * aa - va * va, 0)) / vv**1.5
        return {"ratios": ratios[0], "curvature": curvature}


def _orthonormal(columns: Array) -> Array:
    """Two columns made orthonormal, the first direction kept."""
    first = columns[:, 0] / jnp.linalg.norm(columns[:, 0])
    second = columns[:, 1] - first * (first * columns[:, 1]).sum()
    return jnp.stack([first, second / jnp.linalg.norm(second)], 1)


def _channels(values: Array) -> Array:
    """[k, batch, ..., channels] -> [k, channels, positions] of the first sample."""
    first = values[:, 0]
    return first.reshape(first.shape[0], -1, first.shape[-1]).swapaxes(1, 2)


def _correlation(rows: Array, precision: Any) -> Array:
    """Correlation of rows [c, n] -> [c, c]; zero where a row is constant."""
    rows = rows - rows.mean(1, keepdims=True)
    norm = jnp.sqrt((rows * rows).sum(1))
    unit = jnp.where(norm > 0, 1 / jnp.where(norm > 0, norm, 1), 0)
    rows = rows * unit[:, None]
    return jnp.clip(jnp.dot(rows, rows.T, precision=precision), -1, 1)


def meco(*, preset: str = "nbsz", init: str = "torch", size: int | None = 64) -> Proxy:
    """Sum over modules of the smallest eigenvalue of the correlation between the channels of their output.

    On one standard-normal image. Every module of the official network counts, containers again. Higher is better.
    Reads neither images nor labels.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.
      size: height and width of the noise image, or None for those of the loaded images.

    Returns:
      the proxy.

    References:
      Jiang et al., MeCo, NeurIPS 2023; code HamsterMimi/MeCo studied, with its 64x64 image.
    """
    check_preset("meco", preset)
    check_count("meco", "size", size)
    p = CorrelationPass(init=init, size=size)

    def finish(facts: Facts) -> Value:
        return plain(float(facts.stats[p]["meco"]))

    return Proxy("meco", (("init", init), ("size", size)), (p,), finish)


def dextr(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``h c / (h + c)`` with ``h = log(1 + sum_modules s_min / s_max)`` and ``c = log(1 + curvature)``.

    s are the singular values of a module's output, channels x pixels, on the first image; the curvature is that
    of the network's image of a random circle of inputs, in ten outputs drawn with replacement. Higher is better.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Asthana et al., Dextr, TMLR 2025, Eq. 8; code rohanasthana/Dextr studied: where the curvature is not a
      number, h alone.
    """
    check_preset("dextr", preset)
    p = SingularPass(init=init)

    def finish(facts: Facts) -> Value:
        ratios, curvature = float(facts.stats[p]["ratios"]), float(facts.stats[p]["curvature"])
        h = float(np.log1p(ratios))
        if not np.isfinite(curvature):
            return Value(h, h, "the curvature is not a number; the singular values alone were used")
        c = float(np.log1p(curvature))
        return plain(h * c / (h + c) if h + c > 0 else 0.0)

    # Version 2: outputs that are not finite make it invalid.
    return Proxy("dextr", (("init", init),), (p,), finish, version=2)
