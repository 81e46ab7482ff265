"""How the speed of scoring changes with the population, the channels, the batch and the number of devices.

    python -m benchmarks.growth [PARTS...] [--proxy=lswag]

Architectures a second of `nasjax.score` on random cells of NAS-Bench-201, each number in a process of its own: one
setting is varied and the others stay. "first" is the call that compiles, without the persistent cache. With --virtual,
a CPU is divided into that many devices by XLA; they share its cores.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks import memory, torch_process

PARTS: dict[str, tuple[int, ...]] = {
    "population": (1, 2, 4, 8, 16, 32),
    "channels": (4, 8, 16, 32),
    "batch_size": (8, 16, 32, 64, 128),
    "devices": (1, 2, 4, 8),
}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PARTS", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--proxy", default="lswag", help="what is scored (lswag)")
    parser.add_argument("--population", type=int, default=8, help="architectures (8)")
    parser.add_argument("--channels", type=int, default=8, help="of the first stage (8)")
    parser.add_argument("--cells", type=int, default=1, help="a stage (1)")
    parser.add_argument("--batch_size", type=int, default=32, help="images a batch (32)")
    parser.add_argument("--devices", type=int, default=1, help="where the others are varied (1)")
    parser.add_argument("--virtual", type=int, default=0, help="devices that a CPU is divided into (none)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs; the median counts (3)")
    parser.add_argument("--most", type=int, default=0, help="largest number of any part (no limit)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    args.parts = args.parts or list(PARTS)
    for name in args.parts:
        if name not in PARTS:
            parser.error(f"part {name!r} is unknown; allowed: {', '.join(PARTS)}")
    for name in ("population", "channels", "cells", "batch_size", "devices", "repeats"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}={getattr(args, name)}; allowed is 1 or more")
    return args


def child(args: argparse.Namespace) -> dict[str, Any]:
    """One number."""
    import jax

    import nasjax
    from nasjax import parallel

    if args.devices > len(jax.devices()):
        return {"skipped": f"there are {len(jax.devices())} devices"}
    space = nasjax.get_space("nasbench201", channels=args.channels, cells=args.cells)
    key = jax.random.key(0)
    archs = space.sample(key, args.population)
    batches = nasjax.data.load("noise", batch_size=args.batch_size, num_batches=2)
    seconds = []
    before: float | None = None
    for turn in range(args.repeats + 1):
        start = time.perf_counter()
        nasjax.score(space, archs, batches, args.proxy, key=key, devices=args.devices)
        seconds.append(time.perf_counter() - start)
        if turn == 0:
            before = memory.restart()
    later = statistics.median(seconds[1:])
    return {
        "device": parallel.device_summary(),
        "first": seconds[0],
        "seconds": seconds[1:],
        "per_second": args.population / later,
        "later_peak_gib": memory.since_restart_gib() if before is not None else None,
    }


def measure(args: argparse.Namespace, part: str, value: int) -> dict[str, Any]:
    """Runs a child."""
    names = ("proxy", "population", "channels", "cells", "batch_size", "devices", "repeats")
    given = {name: getattr(args, name) for name in names} | {part: value}
    if part == "devices":  # so that every device has as many architectures as before
        given["population"] = args.population * value
    env = {name: text for name, text in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    if args.virtual:
        flags = f"{env.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={args.virtual}"
        env["XLA_FLAGS"] = flags.strip()
    command = [sys.executable, "-m", "benchmarks.growth", "--child", *(f"--{n}={v}" for n, v in given.items())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=torch_process.ROOT, env=env, check=False)
    if done.returncode:
        raise SystemExit(f"{part}={value}: the process failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    if args.child:
        print(json.dumps(child(args)))
        return 0
    rows: dict[str, dict[str, Any]] = {}
    for part in args.parts:
        print(f"\n{part:<12}{'archs/s':>10}{'first, s':>10}{'peak GiB':>10}", flush=True)
        for value in PARTS[part]:
            if args.most and value > args.most:
                continue
            found = rows.setdefault(part, {})[str(value)] = measure(args, part, value)
            if "skipped" in found:
                print(f"{value:<12}{found['skipped']}", flush=True)
                continue
            peak = "-" if found["later_peak_gib"] is None else f"{found['later_peak_gib']:.2f}"
            print(f"{value:<12}{found['per_second']:>10.2f}{found['first']:>10.1f}{peak:>10}", flush=True)
        if args.json:
            pathlib.Path(args.json).write_text(json.dumps({"setting": vars(args), "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
