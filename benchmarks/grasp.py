"""Speed of the predictor beside a dense GCN in PyTorch: fit on 469 cells, rank all of NAS-Bench-201's table.

    python -m benchmarks.grasp [--torch_python=PATH] [--num_train=469] [--threads=N]

Both train the same network (4 x 128, symmetric propagation, LayerNorm, dropout) on the same cells with the same loss,
steps and optimiser, one after the other in one run. The first time of nasjax includes encoding and compilation, without
a compilation cache.
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

import nasjax
from benchmarks.torch_gcn import ABSENT
from benchmarks.torch_process import absent
from nasjax import grasp, metrics, parallel
from nasjax.data import tables
from nasjax.grasp.features import fit_scaling, inputs

ROOT = pathlib.Path(__file__).resolve().parents[1]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.grasp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch (this one)")
    parser.add_argument("--num_train", type=int, default=469, help="training cells (469)")
    parser.add_argument("--steps", type=int, default=300, help="optimiser steps (300)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of PyTorch (cores)")
    parser.add_argument("--implementations", default="dense,jraph", help="of nasjax, comma-separated (dense,jraph)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    return parser.parse_args(argv)


def own(
    implementation: str, args: argparse.Namespace, archs: Any, space: Any, part: Any, targets: np.ndarray
) -> dict[str, Any]:
    options = {"implementation": implementation, "steps": args.steps}
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        graphs = grasp.encode(space, archs[part.train])
        model = grasp.fit(graphs, targets[part.train], **options)
        fitted = time.perf_counter()
        scores = model.score(grasp.encode(space, archs))
        times.append((fitted - begin, time.perf_counter() - fitted))
    tau = metrics.kendall(scores[part.test], targets[part.test])
    for name, (fit, rank) in zip(("with compilation", "again"), times, strict=True):
        print(f"nasjax {implementation:6} {name:17} fit {fit:6.1f} s   rank {len(archs):,}: {rank:5.2f} s   "
              f"tau {tau:.3f}", flush=True)  # fmt: skip
    (cold_fit, cold_rank), (fit, rank) = times
    return {"first_fit": cold_fit, "first_rank": cold_rank, "fit": fit, "rank": rank, "tau": float(tau)}


def pytorch(
    args: argparse.Namespace, archs: Any, space: Any, part: Any, targets: np.ndarray
) -> dict[str, Any] | None:
    config = grasp.PredictorConfig()
    graphs = grasp.encode(space, archs)
    made = inputs(graphs, config.features, config.model, fit_scaling(graphs, ()))
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "data.npz"
        np.savez(file, nodes=made.nodes, mask=made.mask, links=made.links[:, 0], rows=part.train,
                 targets=targets[part.train].astype(np.float32), seed=0, steps=args.steps, threads=args.threads,
                 layers=config.model.layers, width=config.model.width)  # fmt: skip
        command = [args.torch_python, "-m", "benchmarks.torch_gcn", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode == ABSENT:
        print(absent(args.torch_python))
        return None
    if done.returncode:
        raise SystemExit(f"The PyTorch process failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    tau = metrics.kendall(np.array(found["scores"])[part.test], targets[part.test])
    print(f"PyTorch {found['torch']}, {args.threads} threads    fit {found['fit']:6.1f} s   rank {len(archs):,}: "
          f"{found['rank']:5.2f} s   tau {tau:.3f}")  # fmt: skip
    return {"torch": found["torch"], "fit": found["fit"], "rank": found["rank"], "tau": float(tau)}


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    table = tables.load("nasbench201")
    space = nasjax.get_space("nasbench201")
    archs, targets = space.decode(table["arch"].tolist()), table["cifar10_test"].to_numpy()
    part = grasp.split(table["iso_group"], args.num_train, seed=0)
    cores = len(os.sched_getaffinity(0))
    print(f"{parallel.device_summary()}, {cores} cores; {args.num_train} cells, {args.steps} steps")
    rows: dict[str, Any] = {"setting": vars(args), "archs": len(archs)}
    for implementation in args.implementations.split(","):
        rows[implementation] = own(implementation, args, archs, space, part, targets)
    rows["torch"] = pytorch(args, archs, space, part, targets)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
