"""The two execution forms of the Kronecker space: time to compile, time of a training step.

    python -m benchmarks.kronecker

A step is the gradient of the mean cross-entropy of one batch with respect to all parameters, without optimiser. The
masked form is compiled once; the unrolled form once for each architecture. Below, how many steps an architecture needs
until compiling it by itself has paid.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import platform
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

import nasjax
from nasjax.types import Variables


def step_of(space: Any) -> Any:
    """Compiled later: parameters, statistics, architecture, images, labels -> loss and gradient."""

    def loss(params: Any, stats: Any, arch: Any, images: Any, labels: Any) -> Any:
        return space.loss(space.apply(Variables(params, stats), arch, images), labels)

    return jax.jit(jax.value_and_grad(loss))


def timed(space: Any, archs: Any, images: Any, labels: Any, repeats: int) -> dict[str, Any]:
    """Seconds to compile the step of a program and seconds of a step, for each architecture."""
    compile_s, steps, losses = [], [], []
    programs: dict[str, Any] = {}
    for i, arch in enumerate(archs):
        signature = space.signature(arch[None])[0]
        bound = space.bind(signature)
        variables = jax.jit(bound.init)(jax.random.key(i), arch)
        given = (*variables, jnp.asarray(arch), images, labels)
        if signature not in programs:
            begin = time.perf_counter()
            programs[signature] = step_of(bound).lower(*given).compile()
            compile_s.append(time.perf_counter() - begin)
        program = programs[signature]
        jax.block_until_ready(program(*given))
        own = []
        for _ in range(repeats):
            begin = time.perf_counter()
            value, _ = jax.block_until_ready(program(*given))
            own.append(time.perf_counter() - begin)
        steps.append(statistics.median(own))
        losses.append(float(value))
    return {"compile_s": compile_s, "step_s": steps, "loss": losses}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measures, prints and returns the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archs", type=int, default=4, help="architectures, ids from 0")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--options", type=json.loads, default={}, help='of the space, as JSON: {"channels": 8}')
    parser.add_argument("--forms", default="masked,unrolled")
    parser.add_argument("--json", type=pathlib.Path, help="file that keeps the numbers")
    args = parser.parse_args(argv)
    jax.config.update("jax_enable_compilation_cache", False)

    space = nasjax.get_space("kronecker", **args.options)
    archs = space.by_id(range(args.archs))
    size = (args.batch, space.image_size, space.image_size, space.in_channels)
    images = jax.random.normal(jax.random.key(0), size)
    labels = jnp.arange(args.batch) % space.num_classes
    live = [len(space.to_graph(arch).nodes) - 2 for arch in archs]
    print(f"{jax.devices()[0].device_kind}, {platform.processor() or platform.machine()}, jax {jax.__version__}")
    print(f"{len(archs)} architectures of {space.num_blocks} blocks, {statistics.mean(live):.0f} vertices in the mean")
    found: dict[str, Any] = {"options": space.options, "batch": args.batch, "vertices": live}
    for form in args.forms.split(","):
        own = nasjax.get_space("kronecker", **args.options, form=form)
        found[form] = timed(own, archs, images, labels, args.repeats)
        compiled, step = (statistics.mean(found[form][key]) for key in ("compile_s", "step_s"))
        print(f"{form:9} compile {compiled:6.1f} s a program   step {1000 * step:7.1f} ms")
    if {"masked", "unrolled"} <= set(found):
        means = {(f, k): statistics.mean(found[f][k]) for f in ("masked", "unrolled") for k in ("compile_s", "step_s")}
        gain = means["masked", "step_s"] - means["unrolled", "step_s"]
        text = f"{means['unrolled', 'compile_s'] / gain:,.0f} steps of it" if gain > 0 else "never"
        print(f"an unrolled program pays for its compilation after: {text}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return found


if __name__ == "__main__":
    main()
