"""Layers in plain NumPy, to derive networks independently."""

import types

import chex
import jax
import numpy as np
import pytest


def norm(x, scale, shift, stats, mode, eps=1e-5):
    """Batch norm of [batch, h, w, channels] in any mode."""
    axes = {"batch": (0, 1, 2), "sample": (1, 2)}.get(mode)
    if mode == "none":
        return x
    if axes is None:
        mean, var = stats
    else:
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * scale + shift


def conv(x, w, stride=1):
    """Convolution of odd kernels, padded by half of them."""
    pad = w.shape[0] // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows, columns = ((n - w.shape[0]) // stride + 1 for n in x.shape[1:3])
    return sum(
        x[:, i : i + stride * rows : stride, j : j + stride * columns : stride][:, :rows, :columns] @ w[i, j]
        for i in range(w.shape[0])
        for j in range(w.shape[1])
    )


def transposed_conv(x, w):
    """What PyTorch's ConvTranspose2d(3, stride=2, padding=1, output_padding=1) does, by scattering.

    The kernel is that of the equivalent convolution: axes (in, out) last, turned by half a turn.
    """
    batch, height, width, _ = x.shape
    out = np.zeros((batch, 2 * height + 2, 2 * width + 2, w.shape[-1]))
    for i in range(3):
        for j in range(3):
            out[:, i : i + 2 * height : 2, j : j + 2 * width : 2] += x @ w[2 - i, 2 - j]
    return out[:, 1 : 1 + 2 * height, 1 : 1 + 2 * width]


def depthwise(x, w, stride, dilation):
    """Depthwise convolution, padded by half of the dilated kernel."""
    pad = w.shape[0] // 2 * dilation
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    size = (x.shape[1] - 2 * pad - 1) // stride + 1
    last = stride * (size - 1) + 1
    return sum(
        x[:, i * dilation : i * dilation + last : stride, j * dilation : j * dilation + last : stride] * w[i, j, 0]
        for i in range(w.shape[0])
        for j in range(w.shape[1])
    )


def pool(x, kind, stride):
    """3x3 pooling; the average is over the pixels that are there."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=np.nan)
    size = range(0, x.shape[1] - 2, stride)
    reduce = np.nanmax if kind == "max_pool_3x3" else np.nanmean
    return np.stack([np.stack([reduce(x[:, i : i + 3, j : j + 3], (1, 2)) for j in size], 1) for i in size], 1)


@pytest.fixture(scope="session")
def plain():
    """The layers above."""
    return types.SimpleNamespace(
        norm=norm, conv=conv, transposed_conv=transposed_conv, depthwise=depthwise, pool=pool
    )


@pytest.fixture(scope="module")
def double():
    """Everything in the module is in float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module", autouse=True)
def _fresh_trace_counts():
    """chex counts traces by a function's code, which the modules share."""
    chex.clear_trace_counter()
