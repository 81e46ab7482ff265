"""Whole populations by L-SWAG, as one would on an accelerator: all of NAS-Bench-201, 1,000 AutoFormer-small.

    python -m benchmarks.whole [cells] [vits] [--precisions=fast,highest]

Each runs through `nasjax.score` on all devices in a process of its own, from the first call on, so compilation is part
of the time; "again" is the same call there, where everything is compiled. Scores of both precisions are compared
by rank. --cells and --vits are for machines that cannot bear all. On a CPU both precisions are the same; --mantissa=10
rounds the operands of the products of "fast" as TF32 does, for the ranks, not for the time.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
from typing import Any

import numpy as np

from benchmarks import child_process, rounding

# Name -> space, options, images a batch.
SETTINGS: dict[str, tuple[str, dict[str, Any], int]] = {
    "cells": ("nasbench201", {}, 64),
    "vits": ("autoformer_small", {}, 64),
}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.whole", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PARTS", help=f"of {', '.join(SETTINGS)}; both by default")
    parser.add_argument("--cells", type=int, default=15625, help="cells of NAS-Bench-201, by their number (15625)")
    parser.add_argument("--vits", type=int, default=1000, help="random networks of AutoFormer-small (1000)")
    parser.add_argument("--batch_size", type=int, default=0, help="images a batch (64)")
    parser.add_argument("--image_size", type=int, default=0, help="height and width (that of the space)")
    parser.add_argument("--options", type=json.loads, default={}, help="options of the spaces as JSON")
    parser.add_argument("--proxies", default="lswag", help="what is scored (lswag)")
    parser.add_argument("--precisions", default="fast,highest", help="comma-separated (fast,highest)")
    parser.add_argument("--batching", default="auto", help="map, vmap or auto, inside a block (auto)")
    parser.add_argument("--chunk", type=int, default=0, help="architectures a block and device (chosen)")
    parser.add_argument("--mantissa", type=int, default=0, help="bits that products of fast keep (0: the device's own)")
    parser.add_argument("--again", type=int, default=1, help="0 leaves the second call out (1)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    parser.add_argument("--child", choices=("fast", "highest"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    args.parts = args.parts or list(SETTINGS)
    for name in args.parts:
        if name not in SETTINGS:
            parser.error(f"part {name!r} is unknown; allowed: {', '.join(SETTINGS)}")
    for name in args.precisions.split(","):
        if name not in ("fast", "highest"):
            parser.error(f"--precisions={args.precisions}: {name!r} is neither fast nor highest")
    if not 0 <= args.mantissa <= 23:
        parser.error(f"--mantissa={args.mantissa}; allowed are 1 to 23 bits, and 0 for what the device does")
    for name in ("cells", "vits"):
        if getattr(args, name) < 2:
            parser.error(f"--{name}={getattr(args, name)}; allowed is 2 or more")
    return args


def child(args: argparse.Namespace) -> dict[str, Any]:
    """One part with one precision."""
    import jax

    import nasjax
    from nasjax import parallel

    if args.mantissa and args.child == "fast":
        rounding.round_products(args.mantissa)
    part = args.parts[0]
    name, options, batch = SETTINGS[part]
    size = {"image_size": args.image_size} if args.image_size else {}
    space = nasjax.get_space(name, **(options | args.options | size))
    key, count = jax.random.key(0), getattr(args, part)
    # Spread over the table, where not all are wanted.
    archs = space.all()[np.linspace(0, 15624, count).astype(int)] if part == "cells" else space.sample(key, count)
    batches = nasjax.data.load(
        "photos", batch_size=args.batch_size or batch, num_batches=2, image_size=space.image_size
    )

    def once() -> tuple[float, Any]:
        start = time.perf_counter()
        found = nasjax.score(
            space, archs, batches, args.proxies, key=key, precision=args.child, batching=args.batching,
            chunk=args.chunk or None,
        )  # fmt: skip
        return time.perf_counter() - start, found

    runs = [once() for _ in range(2 if args.again else 1)]
    scores = {name: values.tolist() for name, values in runs[-1][1].scores.items()}
    valid = {name: values.tolist() for name, values in runs[-1][1].valid.items()}
    peak = None
    stats = jax.local_devices()[0].memory_stats()
    if stats:
        peak = stats["peak_bytes_in_use"] / 2**30
    return {
        "device": parallel.device_summary(),
        "archs": len(archs),
        "with_compile": runs[0][0],
        "without": runs[1][0] if args.again else None,
        "peak_gib": peak,
        "scores": scores,
        "valid": valid,
    }


def in_process(args: argparse.Namespace, part: str, precision: str) -> dict[str, Any]:
    """Runs a child."""
    names = ("cells", "vits", "batch_size", "image_size", "proxies", "batching", "chunk", "again", "mantissa")
    options = [*(f"--{n}={getattr(args, n)}" for n in names), f"--options={json.dumps(args.options)}"]
    return child_process.run(
        "benchmarks.whole", [part, f"--child={precision}", *options], what=f"{part}, {precision}"
    )


def agreement(runs: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Spearman correlation of the first two precisions, by proxy, where both are valid."""
    from nasjax import metrics

    one, two = list(runs.values())[:2]
    found = {}
    for name in one["scores"]:
        both = np.array(one["valid"][name]) & np.array(two["valid"][name])
        pair = [np.array(run["scores"][name], float)[both] for run in (one, two)]
        found[name] = metrics.spearman(*pair)
    return found


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    if args.child:
        print(json.dumps(child(args)))
        return 0
    rows: dict[str, Any] = {}
    for part in args.parts:
        runs = {name: in_process(args, part, name) for name in dict.fromkeys(args.precisions.split(","))}
        for name, found in runs.items():
            without = "" if found["without"] is None else f", {found['without']:.1f} s again"
            peak = "" if found["peak_gib"] is None else f", {found['peak_gib']:.1f} GiB"
            what = f"{part}, {found['device']}, {name}: {found['archs']:,} by {args.proxies}"
            print(f"{what} in {found['with_compile']:.1f} s with compiling{without}{peak}", flush=True)
        kept = {n: {k: v for k, v in run.items() if k not in ("scores", "valid")} for n, run in runs.items()}
        rows[part] = {"runs": kept}
        if len(runs) > 1:
            rows[part]["spearman"] = agreement(runs)
            print(f"{part}: Spearman of the two precisions: {rows[part]['spearman']}", flush=True)
        if args.json:
            pathlib.Path(args.json).write_text(json.dumps({"setting": vars(args), "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
