"""Runs a module that times PyTorch in a process of its own, and checks that its networks are those of the space."""

from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any

import numpy as np

from benchmarks.torch_time import ABSENT

ROOT = pathlib.Path(__file__).resolve().parents[1]


def job(space: Any, archs: Any, *, batch_size: int, repeats: int) -> dict[str, Any]:
    """What the PyTorch process is to do, JSON-serialisable, with the counts that its networks must have.

    Args:
      space: search space.
      archs: population.
      batch_size: images a batch.
      repeats: timed runs.

    Returns:
      the job.
    """
    described = archs.tolist()
    if space.name == "nasbench101":
        described = [json.loads(text) for text in space.encode(archs)]
    elif space.name == "kronecker":
        described = [space.specification(arch) for arch in archs]
    return {
        "space": space.name,
        "options": space.options,
        "archs": described,
        "batch_size": batch_size,
        "repeats": repeats,
        "params": np.asarray(space.num_params(archs)).tolist(),
        "multiply_adds": np.asarray(space.flops(archs)).tolist(),
    }


def run(python: str, job: dict[str, Any], *, module: str = "benchmarks.torch_time") -> dict[str, Any] | None:
    """Runs a job.

    Args:
      python: path of a Python that has torch.
      job: of `job`.
      module: what does it.

    Returns:
      what the module prints; None without torch.

    Raises:
      SystemExit: the process failed, or its networks are not those of the space.
    """
    command = [python, "-m", module]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode == ABSENT:
        return None
    if done.returncode:
        raise SystemExit(f"The PyTorch process failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    for count in ("params", "multiply_adds"):
        for arch, own, wanted in zip(job["archs"], found[count], job[count], strict=True):
            if own != wanted:
                raise SystemExit(
                    f"{job['space']} {arch}: the PyTorch network has {count}={own}, the space {wanted}; they are not "
                    "the same network, so their times say nothing: correct benchmarks/torch_nets"
                )
    return found


def absent(python: str) -> str:
    """What to say without torch."""
    return (
        f"{python} has no torch: nothing to compare with. Install the extra 'benchmark', "
        "or name a Python that has it by --torch_python."
    )
