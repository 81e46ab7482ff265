"""Builds a benchmark of the Kronecker space after GRASP-GCN: the same architectures on several data sets.

Architectures are those of ids 0, 1, ..., no two of them isomorphic; a tenth is trained with two seeds. Validation
accuracy is measured after every epoch, for predictors that learn from networks that have not converged, and for the
analysis of when a ranking is settled. Stopped at any moment, the same command goes on from the last finished epoch.

Examples:
  python -m launch.grasp_benchmark --workdir=runs/kronecker --archs=ids:200
      --tasks=CIFAR-10,CIFAR-100,Fashion-MNIST,tiny_imagenet=folder:tiny-imagenet-200#train#val
  python -m launch.grasp_benchmark --workdir=runs/small --archs=ids:48 --channels=8 --image_size=16 --epochs=8
      --batch_size=64 --space_options=num_blocks=4,num_stages=2 --train_options=crop_padding=2
      --tasks=cifar10=npz:cifar10_subset.npz,cifar100=npz:cifar100_subset.npz
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from nasjax.benchmark import grasp
from nasjax.cli import archs, common
from nasjax.cli import benchmark as general
from nasjax.cli.common import option
from nasjax.training import presets
from nasjax.types import InputError

_WHAT, _TASKS, _TRAINING, _RUN = "What to train", "On which data sets", "How to train", "How to run"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraspBenchmarkCommand(general.BenchmarkCommand):
    """Options of launch.grasp_benchmark."""

    space: str = option("kronecker", "Search space.", section=_WHAT)
    archs: str = option("ids:200", "Which architectures: ids:N (the first N of the space, the same everywhere), or as"
                        " launch.benchmark has it: random:N, file:PATH, codes separated by ';'.", section=_WHAT)
    tasks: str = option("cifar10,cifar100,fashion_mnist", "Data sets separated by commas:"
                        f" {', '.join(grasp.DATA_SETS)}, others of launch.benchmark, or NAME=SOURCE, as in"
                        " cifar10=npz:FILE, tiny_imagenet=folder:DIR#train#val.", section=_TASKS)
    preset: str = option("grasp", f"Training: one of {', '.join(presets.names())}.", section=_TRAINING)
    seeds: int = option(2, "Trainings of an architecture on a data set.", section=_TRAINING, minimum=1)
    repeated: float = option(0.1, "Fraction of the architectures that get all seeds; the others get one.",
                             section=_TRAINING, minimum=0)


def main(config: GraspBenchmarkCommand) -> None:
    """Trains, prints a summary and writes benchmark.csv.gz, benchmark.json, result.json and report.html.

    Args:
      config: what to train, on what, and how.

    Raises:
      InputError: anything is wrong with the configuration, the data or the working directory.
    """
    general.train_all(
        config,
        tasks_text=grasp.named(config.tasks),
        choose_archs=choose,
        fit=lambda task: grasp.fitted(task, config.image_size),
        space_on=grasp.space_on,
    )


def choose(key: jax.Array, space: Any, config: GraspBenchmarkCommand) -> list[str]:
    """The architectures: ``ids:N``, or what launch.benchmark takes."""
    kind, colon, number = config.archs.strip().partition(":")
    if not colon or kind != "ids":
        return general.choose(key, space, config)
    if archs.whole_number(number) < 1:
        raise InputError(f"--archs={config.archs}: the count must be a whole number of at least 1, as in ids:200.")
    if not hasattr(space, "by_id"):
        raise InputError(f"--archs={config.archs}: {space.name} has no ids. Use --archs=random:{number}.")
    return list(space.encode(space.by_id(range(int(number)))))


def run() -> None:
    """Entry point of ``python -m launch.grasp_benchmark``."""
    common.run(main, GraspBenchmarkCommand)


if __name__ == "__main__":
    run()
