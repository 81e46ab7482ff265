"""Seconds an architecture and peak memory of every space, beside plain PyTorch forward+backward of the same networks.

    python -m benchmarks.space_speed [SPACES...] --torch_python=PATH/TO/python

Per space, in one run and on the same random architectures: PyTorch before and after, nasjax between, each in processes
of their own. The PyTorch networks must have the parameters and multiply-adds of the space, else nothing is timed.
Compile times are cold, without the persistent cache.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import child_process, memory, torch_process

# Name -> space, options. Sizes are what two cores can bear; those of the benchmarks' own networks are ":full".
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "nasbench101": ("nasbench101", {"channels": 32}),
    "nasbench_macro": ("nasbench_macro", {}),
    "darts:darts": ("darts", {"variant": "darts", "channels": 16, "cells": 8}),
    "darts:naslib": ("darts", {"variant": "naslib", "channels": 16}),
    "darts:swap": ("darts", {"variant": "swap"}),
    "transnas_micro": ("transnas_micro", {"channels": 16, "task": "class_scene"}),
    "transnas_micro:segmentsemantic": ("transnas_micro", {"channels": 16, "task": "segmentsemantic"}),
    "transnas_macro": ("transnas_macro", {"channels": 16, "task": "class_scene"}),
    "autoformer_tiny": ("autoformer_tiny", {}),
    "kronecker": ("kronecker", {}),
    "nasbench101:full": ("nasbench101", {}),
    "nasbench201": ("nasbench201", {}),
    "darts:darts:full": ("darts", {"variant": "darts"}),
    "darts:naslib:full": ("darts", {"variant": "naslib"}),
    "transnas_macro:segmentsemantic": ("transnas_macro", {"channels": 16, "task": "segmentsemantic"}),
    "autoformer_small": ("autoformer_small", {}),
}
DEFAULT = tuple(SETTINGS)[:10]
GROUPS = ("forward+backward", "lswag", "all")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.space_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "spaces", nargs="*", metavar="SPACES", help=f"of {', '.join(SETTINGS)}; by default {', '.join(DEFAULT)}"
    )
    parser.add_argument("--archs", type=int, default=3, help="number of random architectures (3)")
    parser.add_argument("--batch_size", type=int, default=16, help="images a batch (16)")
    parser.add_argument("--repeats", type=int, default=2, help="timed runs; the median counts (2)")
    parser.add_argument("--options", type=_mapping, default={}, help="options of the spaces as JSON, over their own")
    parser.add_argument("--image_size", type=int, default=0, help="height and width (that of the space)")
    parser.add_argument("--programs", type=int, default=0, help="most programs among the architectures; 0: any (0)")
    parser.add_argument("--proxies", default="all", help="proxies of the last column (all that the space offers)")
    parser.add_argument("--seed", type=int, default=0, help="seed of architectures, images and weights (0)")
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch (this one)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    parser.add_argument("--child", choices=("describe", *GROUPS), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    args.spaces = args.spaces or list(DEFAULT)
    for name in args.spaces:
        if name not in SETTINGS:
            parser.error(f"space {name!r} is unknown; allowed: {', '.join(SETTINGS)}")
    for name in ("archs", "batch_size", "repeats"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}={getattr(args, name)}; allowed is 1 or more")
    for name in ("programs", "image_size"):
        if getattr(args, name) < 0:
            parser.error(f"--{name}={getattr(args, name)}; allowed is 0 or more")
    return args


def _mapping(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError
    return found


# What the processes of nasjax do. The parent imports no JAX: a process begins with the peak memory of its parent.


def setting(args: argparse.Namespace) -> tuple[Any, np.ndarray, Any]:
    """Space, architectures and key of a run."""
    import jax

    import nasjax

    name, options = SETTINGS[args.spaces[0]]
    size = {"image_size": args.image_size} if args.image_size else {}
    space = nasjax.get_space(name, **(options | args.options | size))
    key = jax.random.key(args.seed)
    if not args.programs:
        return space, np.asarray(space.sample(key, args.archs)), key
    pool = np.asarray(space.sample(key, 64 * args.archs))
    signatures = np.asarray(space.signature(pool))
    kept = list(dict.fromkeys(signatures.tolist()))[: args.programs]
    return space, pool[np.isin(signatures, kept)][: args.archs], key


def load(args: argparse.Namespace, space: Any, proxies: Any = ()) -> Any:
    """Noise images, with targets of the task: two batches, or as many as the proxies read."""
    import nasjax
    from nasjax.proxies import passes

    read = [passes.images_needed(p, args.batch_size) for proxy in proxies for p in getattr(proxy, "passes", ())]
    batches = nasjax.data.load(
        f"noise:classes={space.num_classes}",
        batch_size=args.batch_size,
        num_batches=max([2, *(-(-n // args.batch_size) for n in read)]),
        image_size=space.image_size,
        seed=args.seed,
    )
    if getattr(space, "task", "") == "segmentsemantic":
        shape = (*batches.images.shape[:4],)
        return batches.with_targets(np.random.default_rng(args.seed).integers(space.num_classes, size=shape))
    return batches


def describe(args: argparse.Namespace) -> dict[str, Any]:
    """What PyTorch has to run, and the device."""
    import jax

    space, archs, _ = setting(args)
    found = torch_process.job(space, archs, batch_size=args.batch_size, repeats=args.repeats)
    device = f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, jax {jax.__version__}"
    return found | {"programs": len(set(space.signature(archs))), "device": device}


def forward_backward(args: argparse.Namespace) -> dict[str, Any]:
    """Compile seconds, and seconds [repeats] an architecture of the loss gradient; weights are drawn beforehand.

    As in ``nasjax.score``, a program runs through the architectures of a signature in a loop. It returns the loss and
    the squared norm of the gradient.
    """
    import jax

    from nasjax.spaces.base import by_signature

    space, archs, key = setting(args)
    images, labels = (jax.numpy.asarray(a[0]) for a in load(args, space).stacked)
    runs, compile_seconds = [], 0.0
    for bound, places in by_signature(space, archs):
        own = jax.numpy.asarray(archs[places])
        keys = jax.random.split(key, len(places))
        variables = jax.block_until_ready(jax.jit(lambda *a, b=bound: jax.lax.map(lambda x: b.init(*x), a))(keys, own))

        def population(variables: Any, archs: Any, images: Any, labels: Any, bound: Any = bound) -> Any:
            def one(item: Any) -> Any:
                own, arch = item

                def loss(params: Any) -> Any:
                    return bound.loss(bound.apply(own._replace(params=params), arch, images), labels)

                value, gradient = jax.value_and_grad(loss)(own.params)
                return value, sum(jax.numpy.square(g).sum() for g in jax.tree.leaves(gradient))

            return jax.lax.map(one, (variables, archs))

        start = time.perf_counter()
        compiled = jax.jit(population).lower(variables, own, images, labels).compile()
        compile_seconds += time.perf_counter() - start
        runs.append((compiled, (variables, own, images, labels)))

    def once() -> float:
        start = time.perf_counter()
        for compiled, operands in runs:
            jax.block_until_ready(compiled(*operands))
        return (time.perf_counter() - start) / len(archs)

    once()
    before = memory.restart()
    return {
        "compile": compile_seconds,
        "seconds": [once() for _ in range(args.repeats)],
        **peaks(before),
    }


def proxy_seconds(args: argparse.Namespace, text: str) -> dict[str, Any]:
    """Compile seconds, and seconds [repeats] an architecture through ``nasjax.score``."""
    import nasjax
    from nasjax.proxies import population, registry

    space, archs, key = setting(args)
    proxies = registry.parse(text, space=space)
    pixels = getattr(space, "task", "") == "segmentsemantic"
    chosen = [p for p in proxies if not (pixels and _reads_classes(p))]
    single, _ = population.expand(chosen, registry.column_names(chosen))
    batches = load(args, space, single)

    def once() -> tuple[float, Any]:
        start = time.perf_counter()
        found = nasjax.score(space, archs, batches, chosen, key=key, engine="jit")
        return time.perf_counter() - start, found

    first, _ = once()
    before = memory.restart()
    runs = [once() for _ in range(args.repeats)]
    valid = {name: int(values.sum()) for name, values in runs[-1][1].valid.items()}
    seconds = [spent for spent, _ in runs]
    return {
        "compile": first - float(np.median(seconds)),
        "seconds": [spent / len(archs) for spent in seconds],
        "num_batches": batches.num_batches,
        "proxies": list(registry.column_names(chosen)),
        "left_out": [p.name for p in proxies if p not in chosen],
        "valid": valid,
        **peaks(before),
    }


def peaks(before: float | None) -> dict[str, Any]:
    """Peak memory of the whole process, and of the calls behind the first; None where it cannot be told."""
    if before is None:
        return {"peak_gib": memory.peak_gib(), "later_peak_gib": None}
    later = memory.since_restart_gib()
    return {"peak_gib": max(before, later), "later_peak_gib": later}


def _reads_classes(proxy: Any) -> bool:
    """Whether a proxy compares images of a class."""
    from nasjax.proxies.derivative_passes import LabelPass

    return any(isinstance(p, LabelPass) for p in proxy.passes)


def child(args: argparse.Namespace) -> dict[str, Any]:
    """What one process does for one space."""
    work: dict[str, Callable[[], dict[str, Any]]] = {
        "describe": lambda: describe(args),
        "forward+backward": lambda: forward_backward(args),
        "lswag": lambda: proxy_seconds(args, "lswag"),
        "all": lambda: proxy_seconds(args, args.proxies),
    }
    return work[args.child]()


# The parent.


def in_process(args: argparse.Namespace, space: str, what: str) -> dict[str, Any]:
    """Result of a child process."""
    names = ("archs", "batch_size", "repeats", "image_size", "programs", "proxies", "seed")
    options = [f"--{n}={getattr(args, n)}" for n in names] + [f"--options={json.dumps(args.options)}"]
    return child_process.run(
        "benchmarks.space_speed", [space, f"--child={what}", *options], what=f"{space}, {what}"
    )


def measure(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """All numbers of one space."""
    job = in_process(args, name, "describe")
    torch_runs = [torch_process.run(args.torch_python, job)]
    groups = {what: in_process(args, name, what) for what in GROUPS}
    if torch_runs[0] is not None:
        torch_runs.append(torch_process.run(args.torch_python, job))
    for found in groups.values():
        found["median"] = float(np.median(found["seconds"]))
    row = {"job": job, "programs": job["programs"], **groups, "torch": None}
    done = [run for run in torch_runs if run is not None]
    if done:
        seconds = np.concatenate([run["seconds"] for run in done])
        row["torch"] = {
            "torch": f"{done[0]['torch']} with {done[0]['threads']} threads",
            "runs": [run["seconds"] for run in done],
            "median": float(np.median(seconds, axis=0).mean()),
            "peak_gib": max(run["peak_gib"] for run in done),
        }
    return row


HEAD = (
    f"{'':31}{'torch':>8}{'fwd+bwd':>9}{'/torch':>8}{'lswag':>9}{'/torch':>8}{'all':>9}{'/torch':>8}"
    f"{'proxies':>9}{'programs':>10}{'compile s':>16}{'peak GiB':>22}{'with compile':>17}"
)


def line(name: str, row: dict[str, Any]) -> str:
    """One row of the table; compile seconds are of fwd+bwd, lswag and all, peaks those of torch and these three."""
    plain = row["torch"]
    text = f"{name:31}" + (f"{plain['median']:8.3f}" if plain else f"{'-':>8}")
    for what in GROUPS:
        seconds = row[what]["median"]
        text += f"{seconds:9.3f}" + (f"{seconds / plain['median']:8.2f}" if plain else f"{'-':>8}")
    compiled = "/".join(f"{row[what]['compile']:.0f}" for what in GROUPS)
    later = [plain and plain["peak_gib"], *(row[what]["later_peak_gib"] for what in GROUPS)]
    whole = [row[what]["peak_gib"] for what in GROUPS]
    text += f"{len(row['all']['proxies']):9}{row['programs']:10}{compiled:>16}{_joined(later):>22}{_joined(whole):>17}"
    return text


def _joined(peaks: list[float | None]) -> str:
    return "/".join("-" if peak is None else f"{peak:.2f}" for peak in peaks)


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    if args.child:
        from nasjax.types import InputError

        try:
            print(json.dumps(child(args)))
        except InputError as error:
            sys.exit(str(error))
        return 0
    rows: dict[str, Any] = {}
    for name in args.spaces:
        row = measure(args, name)
        if not rows:
            torch = f", torch {row['torch']['torch']}" if row["torch"] else ""
            device = f"{row['job']['device']}{torch}"
            print(f"{device}; load average {os.getloadavg()[0]:.1f}")
            print(f"{args.archs} architectures, batch {args.batch_size}; seconds an architecture\n{HEAD}")
        rows[name] = row
        print(line(name, row), flush=True)
        if args.json:  # after every space, so that a run that is stopped leaves what it has
            summary = {"setting": vars(args), "device": device, "rows": rows}
            pathlib.Path(args.json).write_text(json.dumps(summary, indent=1) + "\n")
    if any(row["torch"] is None for row in rows.values()):
        print(f"\n{torch_process.absent(args.torch_python)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
