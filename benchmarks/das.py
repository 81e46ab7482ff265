"""Speed of the DAS cell and of a step of its search, beside plain PyTorch of the same in the same run.

    python -m benchmarks.das --torch_python=PATH/TO/python

The cell has 14 edges and 5 operations on 8 frames. "forward" makes videos; "backward" also has the derivative with
respect to images and weights of operations; "step" is one step of the search, of alpha and of the weights, with a
ResNet with temporal shifts. PyTorch runs before and after: an operation is affine_grid and grid_sample on all frames,
and once more with the two savings that any framework could have ("shared": a level once, level 0 not at all).
Outputs and derivatives of both sides are compared first. "parts" says where the time of a cell goes.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import memory
from benchmarks.torch_das import ABSENT
from benchmarks.torch_process import absent
from nasjax import das
from nasjax.das import linear, search_steps

ROOT = pathlib.Path(__file__).resolve().parents[1]
CLASSES, STAGES = 10, 3
Job = Callable[[], Any]


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.das", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch_size", type=int, default=64, help="images a batch (64)")
    parser.add_argument("--image_size", type=int, default=32, help="height and width (32)")
    parser.add_argument("--frames", type=int, default=8, help="frames of a video (8)")
    parser.add_argument("--width", type=int, default=16, help="channels of the network's first stage (16)")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs; the median counts (5)")
    parser.add_argument("--jobs", default="forward,backward,step", help="comma-separated (forward,backward,step)")
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    args = parser.parse_args(argv)
    unknown = set(args.jobs.split(",")) - {"forward", "backward", "step"}
    if unknown or min(args.batch_size, args.image_size, args.frames, args.width, args.repeats) < 1:
        parser.error(f"unknown jobs {sorted(unknown)}, or a number below 1")
    return args


def own_jobs(args: argparse.Namespace) -> tuple[dict[str, Job], Job, Job, dict[str, Any]]:
    """What is timed here, and what PyTorch is to do."""
    cell = das.DASConfig(num_frames=args.frames)
    magnitudes = jnp.asarray(das.reference_magnitudes(cell), jnp.float32)
    rng = np.random.default_rng(0)
    shape = args.batch_size, args.image_size, args.image_size, 3
    images = jnp.asarray(rng.standard_normal((shape[0], 3, *shape[1:3])).transpose(0, 2, 3, 1), jnp.float32)
    weights = jnp.asarray(np.random.default_rng(1).dirichlet(np.ones(5), len(cell.edges)), jnp.float32)
    run = jax.jit(lambda x, w: das.mixture(x, w, magnitudes_(w, magnitudes), config=cell))
    pull = jax.jit(jax.grad(lambda x, w, m: jnp.square(das.mixture(x, w, m, config=cell)).mean(), argnums=(0, 1)))
    module = das.resnet(18, num_classes=CLASSES, width=args.width, stem="cifar", temporal="tsm",
                        stages=(1,) * STAGES, dropout=0.0)  # fmt: skip
    config = das.SearchConfig(batch_size=args.batch_size)
    program = search_steps.make_program(das.linen_network(module), cell, config)
    state = program.init(jax.random.key(0), shape[1:], magnitudes)
    labels = jnp.arange(args.batch_size) % CLASSES
    step = jax.jit(program.step)
    batch, rate, key = (images, labels), jnp.float32(0.025), jax.random.key(1)
    jobs: dict[str, Job] = {
        "forward": lambda: run(images, weights),
        "backward": lambda: pull(images, weights, magnitudes),
        "step": lambda: step(state, batch, batch, rate, key),
    }
    job = {
        "batch_size": args.batch_size, "image_size": args.image_size, "channels": 3, "levels": cell.levels,
        "magnitudes": np.asarray(magnitudes, float).tolist(), "weights": np.asarray(weights, float).tolist(),
        "edges": cell.edges, "names": cell.names, "gain": float(cell.path_gain()), "classes": CLASSES,
        "width": args.width, "stages": STAGES, "repeats": args.repeats, "jobs": args.jobs.split(","),
        "params": das.networks.count_params(state.params),
    }  # fmt: skip
    return jobs, lambda: run(images, weights), lambda: pull(images, weights, magnitudes)[1], job


def magnitudes_(like: Any, magnitudes: Any) -> Any:
    """The magnitudes as an argument of the program, so that nothing is folded at compile time."""
    return magnitudes + 0 * like


def torch_run(python: str, job: dict[str, Any], *, shared: bool) -> dict[str, Any] | None:
    """Runs the PyTorch process; None without torch."""
    text = json.dumps({**job, "shared": shared})
    done = subprocess.run([python, "-m", "benchmarks.torch_das"], input=text, capture_output=True, text=True, cwd=ROOT,
                          check=False)  # fmt: skip
    if done.returncode == ABSENT:
        return None
    if done.returncode:
        raise SystemExit(f"The PyTorch process failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check_same(found: dict[str, Any], video: Any, gradient: Any, params: int) -> None:
    """Refuses to compare times of different functions."""
    own = np.asarray(video)[:2, :, ::7, ::5].transpose(0, 1, 4, 2, 3).reshape(-1)
    for name, here, there in (("videos", own, found["sample"]), ("derivatives", np.asarray(gradient).reshape(-1),
                                                                found["gradient"])):  # fmt: skip
        gap = np.abs(here - np.asarray(there)).max() / np.abs(here).max()
        if not gap < 1e-3:
            raise SystemExit(f"the {name} of PyTorch differ by {gap:.1e}, so the times say nothing")
    if found["params"] != params:
        raise SystemExit(f"the PyTorch network has {found['params']} parameters, this one {params}")


def median_ms(job: Job, repeats: int) -> float:
    """Median milliseconds."""
    times = []
    for turn in range(repeats + 1):
        begin = time.perf_counter()
        jax.block_until_ready(job())
        if turn:
            times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times)


def parts(args: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of the forward pass with some of the operations alone."""
    found = {}
    for names in (("identity",), ("translate_x",), ("translate_y",), ("zoom",), ("rotate",)):
        cell = das.DASConfig(num_frames=args.frames, ops=names)
        assert linear.applies(cell)
        magnitudes = das.sample_magnitudes(jax.random.key(0), cell)
        images = jax.random.normal(jax.random.key(1), (args.batch_size, args.image_size, args.image_size, 3))
        run = jax.jit(lambda x, w, m, cell=cell: das.mixture(x, w, m, config=cell))
        weights = jnp.ones((len(cell.edges), 1))
        found[names[0]] = median_ms(lambda run=run, a=(images, weights, magnitudes): run(*a), args.repeats)
    return found


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    jobs, video, gradient, job = own_jobs(args)
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}; batch {args.batch_size}, {args.image_size}x"
          f"{args.image_size}, {args.frames} frames, 14 edges, 5 operations\n")  # fmt: skip
    before = {shared: torch_run(args.torch_python, job, shared=shared) for shared in (False, True)}
    if before[False] is None:
        print(absent(args.torch_python))
    else:
        for found in before.values():
            assert found is not None
            check_same(found, video(), gradient(), job["params"])
    memory.restart()
    own = {name: median_ms(jobs[name], args.repeats) for name in args.jobs.split(",")}
    peak = memory.since_restart_gib()
    rows: dict[str, Any] = {"nasjax_ms": own, "peak_gib": peak, "parts_ms": parts(args)}
    after = None if before[False] is None else torch_run(args.torch_python, job, shared=False)
    print(f"{'':10}{'nasjax ms':>11}{'images/s':>10}{'torch ms':>11}{'ratio':>8}{'torch shared':>14}{'ratio':>8}")
    for name, ms in own.items():
        line = f"{name:10}{ms:11.1f}{1e3 * args.batch_size / ms:10.0f}"
        if after is not None and before[False] is not None and before[True] is not None:
            plain = 1e3 * statistics.median([*before[False]["seconds"][name], *after["seconds"][name]])
            shared = 1e3 * statistics.median(before[True]["seconds"][name])
            rows.setdefault("torch_ms", {})[name], rows.setdefault("torch_shared_ms", {})[name] = plain, shared
            line += f"{plain:11.1f}{plain / ms:8.1f}{shared:14.1f}{shared / ms:8.1f}"
        print(line, flush=True)
    print(f"\nforward with one operation alone, ms: {', '.join(f'{k} {v:.1f}' for k, v in rows['parts_ms'].items())}")
    print(f"peak memory: nasjax {peak:.2f} GiB", end="")
    if before[False] is not None:
        rows |= {"torch": before[False]["torch"], "torch_peak_gib": before[False]["peak_gib"]}
        print(f", PyTorch {before[False]['torch']} {before[False]['peak_gib']:.2f} GiB,"
              f" {before[False]['threads']} threads", end="")  # fmt: skip
    print()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
