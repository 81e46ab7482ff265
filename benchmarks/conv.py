"""Gradients of nasjax.nn convolutions against those autodiff derives for lax, inside and outside of control flow.

    python -m benchmarks.conv

Three rectifier-convolution layers, gradient with respect to input and kernels. "map" applies them side by
side to one input, the others one after the other; "switch" chooses each from (identity, convolution).
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn

LAYERS = 3
# Name, channels, image size, kernel size, dilation, depthwise?
CASES = (
    ("conv 3x3, 16 ch, 32x32", 16, 32, 3, 1, False),
    ("conv 3x3, 32 ch, 16x16", 32, 16, 3, 1, False),
    ("conv 3x3, 64 ch, 8x8", 64, 8, 3, 1, False),
    ("conv 1x1, 16 ch, 32x32", 16, 32, 1, 1, False),
    ("depthwise 3x3, 16 ch, 32x32", 16, 32, 3, 1, True),
    ("depthwise 3x3, 64 ch, 8x8", 64, 8, 3, 1, True),
    ("depthwise 5x5 dilated, 16 ch, 32x32", 16, 32, 5, 2, True),
)
CONTEXTS = ("top", "scan", "map", "switch")
Layer = Callable[[jax.Array, jax.Array], jax.Array]


def layers(dilation: int, depthwise: bool) -> tuple[Layer, Layer]:
    """The convolution of this library, and the same one left to autodiff."""

    def plain(x: jax.Array, w: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            x,
            w,
            (1, 1),
            "SAME",
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1] if depthwise else 1,
            precision="highest",
        )

    own = nn.depthwise_conv if depthwise else functools.partial(nn.conv, fast=True)
    return functools.partial(own, dilation=dilation), plain


def program(layer: Layer, context: str) -> Callable[..., Any]:
    """Gradient of the sum of squares of the layers' output; arguments: x, kernels [3, ...], choices [3]."""

    def step(x: jax.Array, w: jax.Array) -> jax.Array:
        return layer(jax.nn.relu(x), w)

    def value(x: jax.Array, kernels: jax.Array, choices: jax.Array) -> jax.Array:
        if context == "top":
            for i in range(LAYERS):
                x = step(x, kernels[i])
        elif context == "scan":
            x = lax.scan(lambda x, w: (step(x, w), None), x, kernels)[0]
        elif context == "map":
            return (lax.map(lambda w: step(x, w), kernels) ** 2).sum()
        else:
            for i in range(LAYERS):
                x = lax.switch(choices[i], [lambda x, w: x, step], x, kernels[i])
        return (x**2).sum()

    return jax.jit(jax.grad(value, argnums=(0, 1)))


def median_ms(programs: list[Callable[..., Any]], operands: tuple[Any, ...], repeats: int) -> list[float]:
    """Median milliseconds of each program, runs interleaved."""
    for run in programs:
        jax.block_until_ready(run(*operands))
    times: list[list[float]] = [[] for _ in programs]
    for _ in range(repeats):
        for own, run in zip(times, programs, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(run(*operands))
            own.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(own) for own in times]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conv", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch_size", type=int, default=64, help="images a batch (64)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs; the median counts (3)")
    parser.add_argument("--cases", default="", help="only cases whose name contains this text")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    args = parser.parse_args(argv)
    cases = [case for case in CASES if args.cases in case[0]]
    if not cases:
        parser.error(f"--cases={args.cases!r} matches none of: {'; '.join(case[0] for case in CASES)}")
    if args.repeats < 1 or args.batch_size < 1:
        parser.error("--repeats and --batch_size must be at least 1")
    device = jax.devices()[0].device_kind
    print(f"{device}, jax {jax.__version__}; batch {args.batch_size}, {LAYERS} layers, gradient\n")
    print(f"{'':38}{'':8}{'nasjax ms':>11}{'lax ms':>11}{'lax/nasjax':>12}")
    rows = []
    for name, channels, size, kernel, dilation, depthwise in cases:
        keys = jax.random.split(jax.random.key(0))
        x = jax.random.normal(keys[0], (args.batch_size, size, size, channels))
        shape = (LAYERS, kernel, kernel, 1 if depthwise else channels, channels)
        kernels = jax.random.normal(keys[1], shape) / (kernel * (1 if depthwise else channels**0.5))
        operands = (x, kernels, jnp.ones(LAYERS, jnp.int32))
        for context in CONTEXTS:
            programs = [program(layer, context) for layer in layers(dilation, depthwise)]
            own, plain = median_ms(programs, operands, args.repeats)
            rows.append({"case": name, "context": context, "nasjax_ms": own, "lax_ms": plain})
            print(f"{name:38}{context:8}{own:11.1f}{plain:11.1f}{plain / own:12.1f}", flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
