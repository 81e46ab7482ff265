"""Norms, and probes that read cotangents."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.types import Array, InputError


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _probe(reduce: Callable[[Array, Array], Any], x: Array, dummy: Any) -> Array:
    del reduce, dummy
    return x


def _probe_fwd(reduce: Callable[[Array, Array], Any], x: Array, dummy: Any) -> tuple[Array, Array]:
    del reduce, dummy
    return x, x


def _probe_bwd(reduce: Callable[[Array, Array], Any], x: Array, dy: Array) -> tuple[Array, Any]:
    return dy, reduce(x, dy)


_probe.defvjp(_probe_fwd, _probe_bwd)


def probe(x: Array, dummy: Any, reduce: Callable[[Array, Array], Any]) -> Array:
    """Identity whose backward emits a statistic as the gradient of ``dummy``.

    Args:
      x: any array.
      dummy: zero pytree of the statistic's structure, shapes and dtypes.
      reduce: pure function (value, cotangent) -> statistic; static, so define it once at module level.

    Returns:
      ``x`` unchanged.
    """
    return _probe(reduce, x, dummy)


def _over_batch(v: Array, like: Array) -> Array:
    """[channels] -> [1, ..., 1, channels]."""
    return v.reshape((1,) * (like.ndim - 1) + (-1,))


def batch_mode(mode: str) -> tuple[bool, str | None]:
    """Whether a mode takes statistics of the batch, and the name of the axis of devices that share the batch."""
    kind, _, axis = mode.partition("@")
    return kind == "batch", axis or None


def batch_moments(x: Array, *, axis: str | None = None) -> tuple[Array, Array]:
    """Mean and biased variance over all axes but the last.

    Args:
      x: float [..., channels].
      axis: name of an axis of devices that share the batch in equal parts; the moments are those of all.

    Returns:
      two of [1, ..., 1, channels].
    """
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes, keepdims=True)
    var = jnp.square(x - mean).mean(axes, keepdims=True)
    if axis is None:
        return mean, var
    # One message; nothing cancels, as it would with means of squares.
    means, variances = lax.all_gather(jnp.stack([mean, var]), axis, axis=1)
    mean = means.mean(0)
    return mean, (variances + jnp.square(means - mean)).mean(0)


def batch_count(x: Array, *, axis: str | None = None) -> int:
    """Values of a channel in a batch.

    Args:
      x: float [..., channels].
      axis: name of an axis of devices that share the batch in equal parts, or None.

    Returns:
      number of values, over all devices of the axis.
    """
    return x.size // x.shape[-1] * (1 if axis is None else lax.axis_size(axis))


def running_stats(
    stats: tuple[Array, Array], moments: tuple[Array, Array], count: int, *, momentum: float = 0.1
) -> tuple[Array, Array]:
    """Running (mean, variance) after a batch.

    Args:
      stats: running mean and variance before, float [channels] each; further leading axes are allowed.
      moments: mean and biased variance of the batch, of the same shapes.
      count: values of each channel in the batch.
      momentum: weight of the batch.

    Returns:
      the new (mean, variance); the variance of the batch enters unbiased.
    """
    unbiased = moments[1] * (count / max(count - 1, 1))
    return stats[0] + momentum * (moments[0] - stats[0]), stats[1] + momentum * (unbiased - stats[1])


def _normalised(
    eps: float, x: Array, scale: Array, bias: Array, moments: tuple[Array, Array]
) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    """The output, and what its backward needs."""
    mean, var = moments
    inverse = lax.rsqrt(var + jnp.asarray(eps, x.dtype))
    y = (x - mean) * (inverse * _over_batch(scale, x)) + _over_batch(bias, x)
    return y, (x, mean, inverse, scale)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _normalise(
    eps: float, axis: str | None, x: Array, scale: Array, bias: Array, moments: tuple[Array, Array]
) -> Array:
    """Batch norm by moments of ``x`` itself, through which the gradient flows although theirs is zero."""
    del axis
    return _normalised(eps, x, scale, bias, moments)[0]


def _normalise_fwd(eps: float, axis: str | None, *given: Any) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    del axis
    return _normalised(eps, *given)


def _normalise_bwd(eps: float, axis: str | None, saved: Any, dy: Array) -> tuple[Array, Array, Array, None]:
    del eps
    x, mean, inverse, scale = saved
    axes, count = tuple(range(x.ndim - 1)), batch_count(x, axis=axis)
    dbias = dy.sum(axes, keepdims=True)
    dscale = (dy * (x - mean)).sum(axes, keepdims=True) * inverse
    # What flows through the moments flows to the images of all devices; scale and shift see their own.
    shift, slope = (dbias, dscale) if axis is None else lax.psum((dbias, dscale), axis)
    dx = inverse * _over_batch(scale, x) * (dy - shift / count - (x - mean) * (inverse * slope / count))
    return dx, dscale.reshape(-1), dbias.reshape(-1), None


_normalise.defvjp(_normalise_fwd, _normalise_bwd)


def batch_norm(
    x: Array,
    scale: Array | None,
    bias: Array | None,
    *,
    stats: tuple[Array, Array] | None = None,
    mode: str = "batch",
    momentum: float = 0.1,
    eps: float = 1e-5,
    fast: bool = False,
    moments: tuple[Array, Array] | None = None,
) -> tuple[Array, tuple[Array, Array] | None]:
    """Batch normalisation over all axes but the last.

    Args:
      x: float [batch, height, width, channels].
      scale: float [channels] or None.
      bias: float [channels] or None.
      stats: running (mean, variance), each float [channels].
      mode: "batch": statistics of the batch (biased variance), running statistics updated with the
        unbiased one; "batch@AXIS": the same over the batches of all devices of a mapped axis, which share it in equal
        parts; "running": the given statistics; "sample": statistics of each sample by itself,
        which is what batch mode does to a batch of one; "none": identity, without scale and bias.
      momentum: weight of the new value in the running statistics.
      eps: added to the variance.
      fast: whether mode "batch" with scale and bias has a backward of its own, which reads the batch once for its
        sums and once for the result; the new running statistics then carry no gradient. Forward-mode
        derivatives (jvp, not jvp of grad) need False.
      moments: mean and biased variance of this very x where they are known (see `batch_moments`), for mode "batch";
        saves two passes over it.

    Returns:
      normalised x, and the (updated) running statistics.

    Raises:
      InputError: unknown mode, or mode "running" without statistics.
    """
    if mode == "none":
        return x, stats
    new: tuple[Array, Array] | None
    whole, axis = batch_mode(mode)
    if mode == "running":
        if stats is None:
            raise InputError("batch_norm: mode 'running' needs stats=(mean, variance).")
        mean, var, new = stats[0], stats[1], stats
    elif whole or mode == "sample":
        new = stats
        if whole:
            mean, var = batch_moments(x, axis=axis) if moments is None else moments
            if stats is not None:
                seen, count = (mean.reshape(-1), var.reshape(-1)), batch_count(x, axis=axis)
                new = running_stats(stats, seen, count, momentum=momentum)
            if fast and scale is not None and bias is not None:
                return _normalise(eps, axis, x, scale, bias, (mean, var)), new
        else:
            axes = tuple(range(1, x.ndim - 1))
            mean = x.mean(axes, keepdims=True)
            var = jnp.square(x - mean).mean(axes, keepdims=True)
    else:
        raise InputError(f"batch_norm: mode={mode!r}; allowed are 'batch', 'batch@AXIS', 'running', 'sample', 'none'.")
    lead = (1,) * (x.ndim - 1)
    y = (x - mean.reshape(mean.shape if mean.ndim > 1 else (*lead, -1))) * lax.rsqrt(
        var.reshape(var.shape if var.ndim > 1 else (*lead, -1)) + jnp.asarray(eps, x.dtype)
    )
    if scale is not None:
        y = y * scale.reshape(*lead, -1)
    if bias is not None:
        y = y + bias.reshape(*lead, -1)
    return y, new


def layer_norm(x: Array, scale: Array | None, bias: Array | None, *, eps: float = 1e-5) -> Array:
    """Layer normalisation over the last axis, with the biased variance.

    Args:
      x: float [..., features].
      scale: float [features], or None.
      bias: float [features], or None.
      eps: added to the variance.

    Returns:
      float [..., features].
    """
    mean = x.mean(-1, keepdims=True)
    y = (x - mean) * lax.rsqrt(jnp.square(x - mean).mean(-1, keepdims=True) + jnp.asarray(eps, x.dtype))
    lead = (1,) * (x.ndim - 1)
    if scale is not None:
        y = y * scale.reshape(*lead, -1)
    return y if bias is None else y + bias.reshape(*lead, -1)
