"""AZ-NAS: expressivity, progressivity and trainability of feature maps, and their rank over a population."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.proxies import classic, population
from nasjax.proxies.base import Facts, Proxy, Value
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.pass_base import CustomPass, needed
from nasjax.types import Array, Block, BlockFunction, InputError, PyTree, Variables

_EPS_LOG, _EPS_INVERSE = 1e-8, 1e-6  # inside the logarithm and the reciprocal, as the official code has them


@dataclasses.dataclass(frozen=True)
class FeaturePass(CustomPass):
    """Eigenvalues of feature maps and singular values of the blocks between them.

    Attributes:
      init: as in `CustomPass`.
      source: "batch" reads the first mini-batch, "noise" standard-normal images of its shape.
      norm: batch-norm mode.
    """

    source: str = "batch"
    norm: str = "batch"

    requires: ClassVar[tuple[str, ...]] = ("blocks",)

    def images_needed(self, batch_size: int) -> int:
        """One batch, or none for noise."""
        return batch_size if self.source == "batch" else 0

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
        """See `CustomPass.measure`; ``fixed``: block name -> probes +-1 of the shape of its output, cells leading.

        Returns:
          by feature map in forward order, [n]: "entropy" of the normalised eigenvalues of its covariance over
          channels; "gain", the largest singular value of the averaged Jacobian of the block in front of it (of
          no meaning for the first); "identity", whether that block hands its gradient through; "active".
          "tokens" []: 1 for feature maps of tokens, 0 for images.
        """
        del labels
        x = images[0]
        if self.source == "noise":
            x = jax.random.normal(jax.random.fold_in(needed(key), 0), x.shape, x.dtype)
        names: list[str] = []
        tokens: list[int] = []
        words = None if fixed is not None else self._words(space, variables, arch, x, needed(key))

        def visit(block: Block, function: BlockFunction, x: Array) -> Any:
            if not block.feature:
                return function(x), None
            names.append(block.name)
            active = jnp.asarray(block.active)
            if isinstance(block.number, int) and block.number == 0:
                y, stats = function(x)
                tokens.append(int(y.ndim == 3))
                return (y, stats), (_entropy(y, space.precision), jnp.ones((), y.dtype), jnp.array(False), active)
            y, pull, stats = jax.vjp(function, x, has_aux=True)
            probe = _probe(block, y, words, fixed)
            dx = pull(probe)[0]
            identity = (dx == probe).all() if dx.shape == probe.shape else jnp.array(False)
            seen = (_entropy(y, space.precision), _gain(dx, probe, space.precision), identity, active)
            return (y, stats), seen

        seen = space.blocks(variables, arch, x, visit, norm=self.norm).seen
        columns = [jax.tree.map(lambda a: a.reshape(-1), seen[name]) for name in dict.fromkeys(names)]
        stacked = [jnp.concatenate(parts) for parts in zip(*columns, strict=True)]
        out: dict[str, Array] = dict(zip(("entropy", "gain", "identity", "active"), stacked, strict=True))
        return out | {"tokens": jnp.array(tokens[0], jnp.int32)}

    def _words(self, space: Any, variables: Variables, arch: PyTree, x: Array, key: Array) -> Array:
        """Random words uint32, as many as the largest feature map has entries."""
        sizes: list[int] = []

        def visit(block: Block, function: BlockFunction, x: Array) -> Any:
            y, stats = function(x)
            sizes.append(y.size)
            return (y, stats), None

        jax.eval_shape(lambda: space.blocks(variables, arch, x, visit, norm=self.norm).features)
        return jax.random.bits(jax.random.fold_in(key, 1), (max(sizes),), jnp.uint32)


def _probe(block: Block, y: Array, words: Array | None, fixed: PyTree) -> Array:
    """Probe +-1 of the shape of y: one bit of each word a block, so one draw serves 32 blocks."""
    if words is None:
        given = fixed[block.name]
        return jnp.asarray(given if given.ndim == y.ndim else given[block.position], y.dtype)
    bit = (words[: y.size] >> jnp.asarray(block.number % 32, jnp.uint32)) & jnp.uint32(1)
    return (2 * bit.astype(y.dtype) - 1).reshape(y.shape)


def _entropy(y: Array, precision: Any) -> Array:
    """Entropy of the eigenvalues of the covariance over channels, normalised to sum 1; NaN where all are zero."""
    rows = y.reshape(-1, y.shape[-1])
    rows = rows - rows.mean(0)[None]
    covariance = jnp.dot(rows.T, rows, precision=precision) / rows.shape[0]
    # Rounding leaves small negative ones where the rank is not full; the official code then gives up.
    values = jnp.maximum(jnp.linalg.eigvalsh(covariance), 0)
    share = values / values.sum()
    return -(share * jnp.log(share + jnp.asarray(_EPS_LOG, y.dtype))).sum()


def _gain(dx: Array, probe: Array, precision: Any) -> Array:
    """Largest singular value of ``dx^T probe / positions``; dx is folded to the probe's size of image.

    An odd side is cut where the stride leaves its last pixel out, which then has no gradient, or filled up with zeros
    where the stride takes it in.
    """
    if dx.ndim == 4 and dx.shape[1:3] != probe.shape[1:3]:
        outs = probe.shape[1:3]
        steps = [max(round(n / out), 1) for n, out in zip(dx.shape[1:3], outs, strict=True)]
        folded = [step * out for step, out in zip(steps, outs, strict=True)]
        dx = dx[:, : folded[0], : folded[1]]
        dx = jnp.pad(dx, ((0, 0), *((0, f - n) for f, n in zip(folded, dx.shape[1:3], strict=True)), (0, 0)))
        dx = dx.reshape(dx.shape[0], outs[0], steps[0], outs[1], steps[1], -1).transpose(0, 1, 3, 2, 4, 5)
    rows = probe.reshape(-1, probe.shape[-1])
    mean = jnp.dot(dx.reshape(rows.shape[0], -1).T, rows, precision=precision) / rows.shape[0]
    mean = mean if mean.shape[0] >= mean.shape[1] else mean.T
    return jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(jnp.dot(mean.T, mean, precision=precision))[-1], 0))


def _options(name: str, preset: str, init: str | None, source: str | None) -> tuple[FeaturePass, tuple[Any, ...]]:
    paper = check_preset(name, preset) == "paper"
    init = init or ("kaiming_fan_in" if paper else "torch")
    source = source or ("noise" if paper else "batch")
    if source not in ("noise", "batch"):
        raise InputError(f"{name}: source={source!r}; allowed are noise, batch.")
    return FeaturePass(init=init, source=source), (("init", init), ("source", source))


def _value(score: float, note: str) -> Value:
    """The official codes give -inf where there is no number."""
    return Value(score, score) if np.isfinite(score) else Value(-np.inf, -np.inf, note)


def az_expressivity(*, preset: str = "nbsz", init: str | None = None, source: str | None = None) -> Proxy:
    """Sum over feature maps of the entropy of their normalised covariance eigenvalues. Higher is better.

    Args:
      preset: "paper": noise images and Kaiming weights (fan in); "nbsz": one batch, default initialisation.
      init: initialisation law; overrides the preset.
      source: "noise" or "batch"; overrides the preset.

    Returns:
      the proxy.

    References:
      Lee and Ham, AZ-NAS, CVPR 2024; code cvlab-yonsei/AZ-NAS studied. Negative eigenvalues,
      which are rounding, count as zero.
    """
    p, options = _options("az_expressivity", preset, init, source)

    def finish(facts: Facts) -> Value:
        stats = facts.stats[p]
        return _value(float(stats["entropy"][stats["active"]].sum()), "a feature map is constant")

    return Proxy("az_expressivity", options, (p,), finish)


def az_progressivity(*, preset: str = "nbsz", init: str | None = None, source: str | None = None) -> Proxy:
    """Smallest gain of entropy from one feature map to the next. Higher is better. For images, not for tokens.

    Args:
      preset: see `az_expressivity`; so are ``init`` and ``source``.
      init: see above.
      source: see above.

    Returns:
      the proxy.

    References:
      Lee and Ham, AZ-NAS, CVPR 2024.
    """
    p, options = _options("az_progressivity", preset, init, source)

    def finish(facts: Facts) -> Value:
        stats = facts.stats[p]
        if stats["tokens"]:
            return Value(np.nan, np.nan, "progressivity is not defined for tokens")
        gains = np.diff(stats["entropy"][stats["active"]])
        if not gains.size:
            return _value(np.nan, "there is one feature map alone")
        return _value(float(gains.min()), "a feature map is constant")

    return Proxy("az_progressivity", options, (p,), finish, images_only=True)


def az_trainability(*, preset: str = "nbsz", init: str | None = None, source: str | None = None) -> Proxy:
    """Mean over blocks of ``2 - s - 1/s``, s the largest singular value of the block's averaged Jacobian.

    The Jacobian is estimated by one backward pass of a random +-1 probe through each block by itself. Higher is
    better. A block that is the identity gives -inf in a network of images and is left out in one of tokens.

    Args:
      preset: see `az_expressivity`; so are ``init`` and ``source``.
      init: see above.
      source: see above.

    Returns:
      the proxy.

    References:
      Lee and Ham, AZ-NAS, CVPR 2024.
    """
    p, options = _options("az_trainability", preset, init, source)

    def finish(facts: Facts) -> Value:
        stats = facts.stats[p]
        used = np.asarray(stats["active"], bool).copy()
        used[0] = False
        identity = np.asarray(stats["identity"], bool)
        if stats["tokens"]:
            used &= ~identity
        gain = stats["gain"][used]
        terms = 2 - gain - 1 / (gain + _EPS_INVERSE)
        score = float(np.mean(np.where(identity[used], -np.inf, terms))) if len(terms) else np.nan
        return _value(score, "a block is the identity")

    return Proxy("az_trainability", options, (p,), finish)


def az_nas(*, preset: str = "nbsz", init: str | None = None, source: str | None = None) -> Proxy:
    """``sum_k log(rank_k / n)`` over expressivity, progressivity, trainability and FLOPs. Higher is better.

    Ranks are taken within the population that is scored together, so the score belongs to it and is not stored.

    Args:
      preset: see `az_expressivity`; so are ``init`` and ``source``.
      init: see above.
      source: see above.

    Returns:
      the proxy.

    References:
      Lee and Ham, AZ-NAS, CVPR 2024; the notebook of cvlab-yonsei/AZ-NAS studied.
    """
    options: dict[str, Any] = {"preset": preset, "init": init, "source": source}
    parts = tuple(part(**options) for part in (az_expressivity, az_progressivity, az_trainability))
    members = (*parts, classic.flops(preset=preset))
    return population.proxy("az_nas", parts[0].options, members, population.log_ranks)
