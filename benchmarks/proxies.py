"""Seconds an architecture: forward+backward, each proxy, all together, and a plain PyTorch network.

    python -m benchmarks.proxies --torch_python=PATH/TO/python

Everything is measured in one run: PyTorch before and after, JAX between. Compile times are cold, without
the persistent cache; the start in a second process is measured with it.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks import device, device_tables, torch_process


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.proxies", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archs", type=int, default=8, help="number of random architectures, a block (8)")
    parser.add_argument("--batch_size", type=int, default=64, help="images a batch (64)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs; the median counts (3)")
    parser.add_argument("--channels", type=int, default=16, help="channels of the first stage (16)")
    parser.add_argument("--cells", type=int, default=5, help="cells a stage (5)")
    parser.add_argument("--proxies", default="all", help="comma-separated, or all")
    parser.add_argument("--seed", type=int, default=0, help="seed of architectures and weights (0)")
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch (this one)")
    parser.add_argument("--start_proxy", default="lswag", help="proxy whose start is timed; empty: none (lswag)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    for name in ("archs", "batch_size", "repeats", "channels", "cells"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return args


def setting(args: argparse.Namespace) -> tuple[Any, np.ndarray, Any, Any]:
    """Space, architectures, data and key of a run."""
    import jax

    import nasjax

    batches = nasjax.data.load("photos", batch_size=args.batch_size, num_batches=2)
    space = nasjax.get_space("nasbench201", channels=args.channels, cells=args.cells, num_classes=batches.num_classes)
    key = jax.random.key(args.seed)
    return space, np.asarray(space.sample(key, args.archs)), batches, key


def forward_backward(args: argparse.Namespace, space: Any, archs: np.ndarray, batches: Any, key: Any) -> dict[str, Any]:
    """Compile seconds and seconds of the loss gradient, weights drawn beforehand, as for PyTorch.

    Two forms: "population", seconds [repeats] an architecture of one program over all architectures, which is how
    proxies run; "single", seconds [repeats, archs] of one call an architecture.
    """
    import jax

    images, labels = (jax.numpy.asarray(a[0]) for a in batches.stacked)
    variables = jax.block_until_ready(jax.jit(space.init)(key, archs[0]))

    def run(params: Any, stats: Any, arch: Any, images: Any, labels: Any) -> Any:
        def loss(params: Any) -> Any:
            return space.loss(space.apply(variables._replace(params=params, stats=stats), arch, images), labels)

        return jax.value_and_grad(loss)(params)

    def population(params: Any, stats: Any, archs: Any, images: Any, labels: Any) -> Any:
        return jax.lax.map(lambda arch: run(params, stats, arch, images, labels), archs)

    def timed(compiled: Any, arch: Any) -> float:
        start = time.perf_counter()
        jax.block_until_ready(compiled(*variables, arch, images, labels))
        return time.perf_counter() - start

    start = time.perf_counter()
    together = jax.jit(population).lower(*variables, archs, images, labels).compile()
    compile_seconds = time.perf_counter() - start
    alone = jax.jit(run).lower(*variables, archs[0], images, labels).compile()
    rows = [(timed(together, archs) / len(archs), [timed(alone, a) for a in archs]) for _ in range(args.repeats + 1)]
    both, single = zip(*rows[1:], strict=True)
    return {"compile": compile_seconds, "population": list(both), "single": list(single)}


def proxy_seconds(
    args: argparse.Namespace, space: Any, archs: np.ndarray, batches: Any, key: Any, proxies: Any
) -> dict[str, Any]:
    """First-call overhead and seconds [repeats] an architecture through ``nasjax.score``."""
    import nasjax

    def once() -> float:
        start = time.perf_counter()
        nasjax.score(space, archs, batches, proxies, key=key, engine="jit", chunk=1)
        return time.perf_counter() - start

    first = once()
    runs = [once() for _ in range(args.repeats)]
    return {"compile": first - float(np.median(runs)), "seconds": [r / len(archs) for r in runs]}


def child(args: argparse.Namespace) -> None:
    """Prints the seconds until one architecture is scored."""
    space, archs, batches, key = setting(args)
    start = time.perf_counter()
    import nasjax

    nasjax.score(space, archs[:1], batches, args.start_proxy, key=key, engine="jit", chunk=1)
    print(json.dumps({"first_score": time.perf_counter() - start}))


def start_seconds(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Seconds of a first and of a second process that share a compilation cache, start of Python included."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        env = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        names = ("batch_size", "channels", "cells", "seed", "start_proxy")
        options = [f"--{n}={getattr(args, n)}" for n in names]
        command = [sys.executable, "-m", "benchmarks.proxies", "--child", "--archs=1", *options]
        for name in ("first process", "second process"):
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, cwd=torch_process.ROOT, env=env, check=True)
            found[name] = {"total": time.perf_counter() - start, **json.loads(done.stdout.splitlines()[-1])}
    return found


def one_after_another(args: argparse.Namespace, job: dict[str, Any], chosen: Any) -> dict[str, float] | None:
    """Seconds an architecture that PyTorch takes for each proxy; None where one of them is not written in it."""
    names = [proxy.name for proxy in chosen]
    if len(names) < 2 or not set(names) <= set(device.SUITE.split(",")):
        return None
    found = torch_process.run(args.torch_python, job | {"proxies": names}, module="benchmarks.torch_proxies")
    assert found is not None  # there was torch before
    return {name: float(np.median(found["proxies"][name], axis=0).mean()) for name in names}


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    if args.child:
        child(args)
        return 0
    import jax

    from nasjax.proxies import registry

    space, archs, batches, key = setting(args)
    job = torch_process.job(space, archs, batch_size=args.batch_size, repeats=args.repeats)
    torch_runs = [torch_process.run(args.torch_python, job)]
    base = forward_backward(args, space, archs, batches, key)
    if torch_runs[0] is not None:
        torch_runs.append(torch_process.run(args.torch_python, job))
    own = float(np.median(base["population"]))
    single = float(np.median(base["single"], axis=0).mean())
    plain = None
    if torch_runs[0] is not None:
        plain = float(np.median(np.concatenate([r["seconds"] for r in torch_runs if r]), axis=0).mean())
    cost = f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, jax {jax.__version__}"
    if torch_runs[0]:
        cost += f", torch {torch_runs[0]['torch']} with {torch_runs[0]['threads']} threads"
    print(f"{cost}; load average {os.getloadavg()[0]:.1f}")
    print(f"{len(archs)} architectures, batch {args.batch_size}, {space.channels} channels, {space.cells} cells\n")
    print(f"{'':28}{'s/arch':>9}{'x fwd+bwd':>11}{'x torch':>9}{'compile s':>11}", flush=True)
    rows: dict[str, Any] = {}

    def row(name: str, seconds: float, compile_seconds: float | None = None) -> None:
        rows[name] = {"seconds": seconds, "compile": compile_seconds}
        torch_ratio = "-" if plain is None else f"{seconds / plain:.2f}"
        compiled = "-" if compile_seconds is None else f"{compile_seconds:.1f}"
        print(f"{name:28}{seconds:9.3f}{seconds / own:11.2f}{torch_ratio:>9}{compiled:>11}", flush=True)

    if plain is not None:
        row("PyTorch forward+backward", plain)
    row("forward+backward", own, base["compile"])
    row("  a call for each", single)
    chosen = registry.parse(args.proxies)
    parts = [(name, (p,)) for name, p in zip(registry.column_names(chosen), chosen, strict=True)]
    for name, group in parts if len(parts) == 1 else [*parts, ("all together", chosen)]:
        found = proxy_seconds(args, space, archs, batches, key, group)
        row(name, float(np.median(found["seconds"])), found["compile"])
    others = None if plain is None else one_after_another(args, job, chosen)
    if others:
        rows[device_tables.OTHERS] = {"seconds": sum(others.values()), "compile": None, "proxies": others}
        factor = sum(others.values()) / rows[name]["seconds"]
        print(f"\nthe same proxies one after another in PyTorch take {sum(others.values()):.3f} s an architecture:")
        print(f"all together is {factor:.2f} times as fast (the whole suite: goal 3, gate 2)")
        print("  " + ", ".join(f"{name} {seconds:.3f}" for name, seconds in others.items()))
    if plain is None:
        print(f"\n{torch_process.absent(args.torch_python)}")
    else:
        print(
            f"\nforward+backward runs at {plain / own:.2f} of PyTorch's speed (goal 1, gate 0.7); "
            f"with a call for each architecture at {plain / single:.2f}"
        )
    starts = start_seconds(args) if args.start_proxy else {}
    for name, spent in starts.items():
        first, total = spent["first_score"], spent["total"]
        print(f"{args.start_proxy}, {name}: first score after {first:.1f} s, {total:.1f} s with the start of Python")
    if args.json:
        summary = {"setting": vars(args), "device": cost, "rows": rows, "start": starts}
        pathlib.Path(args.json).write_text(json.dumps(summary, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
