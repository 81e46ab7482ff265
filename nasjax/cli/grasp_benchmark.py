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
import pathlib
import re
import time
from typing import Any

import jax

from nasjax import benchmark, parallel
from nasjax.benchmark import grasp, plan, runner, tasks
from nasjax.cli import benchmark as general
from nasjax.cli import benchmark_results, common
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
    training = general.train_config(config)  # mistakes show before data are read
    settings = benchmark.BenchmarkConfig(
        seeds=config.seeds, repeated=config.repeated, valid_fraction=config.valid_fraction,
        split_seed=config.split_seed, block=config.block, batching=config.batching, steps=config.steps,
    )  # fmt: skip
    wanted = tasks.parse(grasp.named(config.tasks), image_size=config.image_size)
    space = general.make_space(config)
    archs_key, train_key = jax.random.split(jax.random.key(config.seed))
    chosen = choose(archs_key, space, config)
    data = [grasp.fitted(general.load_task(task, settings), config.image_size) for task in wanted]
    spaces = {task.name: grasp.space_on(space, task) for task in data}
    trainer = general.make_trainer(training)
    for task in data:
        runner.check_images(spaces[task.name], task)
        runner.steps_per_epoch(task, trainer(task))

    cache = common.enable_compile_cache()
    workdir = pathlib.Path(config.workdir)
    general.claim(workdir, config, spaces, data, training, chosen)
    common.write_run_flags(workdir, config)
    count = sum(len(block.archs) for block in plan.blocks(space, chosen, list(spaces), settings))
    common.note(f"{len(chosen):,} architectures of {space.name} on {', '.join(spaces)}: {count:,} trainings of"
                f" {training.epochs} epochs, {parallel.device_summary()}.")
    if cache is not None:
        common.note(f"Compiled programs are kept in {cache}; NASJAX_CACHE names another directory, or off.")
    begin = time.monotonic()
    with common.progress("Training", unit="epoch") as report:
        path = benchmark.build(
            space, chosen, data, trainer, key=train_key, workdir=workdir, config=settings, spaces=spaces,
            devices=config.devices, progress=report, about={"flags": config.run_flags.splitlines()},
        )  # fmt: skip
    if not parallel.is_main():
        return
    console = common.stdout()
    benchmark_results.show(console, path, top=config.top)
    files = benchmark_results.write(workdir, path)
    console.print(f"\n{common.duration(time.monotonic() - begin)}. Table: {path}  Report: {files[0]}", markup=False,
                  soft_wrap=True)


def choose(key: jax.Array, space: Any, config: GraspBenchmarkCommand) -> list[str]:
    """The architectures: ``ids:N``, or what launch.benchmark takes."""
    kind, colon, number = config.archs.strip().partition(":")
    if not colon or kind != "ids":
        return general.choose(key, space, config)
    if not re.fullmatch(r"[0-9]+", number) or int(number) < 1:
        raise InputError(f"--archs={config.archs}: the count must be a whole number of at least 1, as in ids:200.")
    if not hasattr(space, "by_id"):
        raise InputError(f"--archs={config.archs}: {space.name} has no ids. Use --archs=random:{number}.")
    return list(space.encode(space.by_id(range(int(number)))))


def run() -> None:
    """Entry point of ``python -m launch.grasp_benchmark``."""
    common.run(main, GraspBenchmarkCommand)


if __name__ == "__main__":
    run()
