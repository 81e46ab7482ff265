"""Builds a benchmark: trains architectures on tasks and writes one table of their accuracies.

Architectures of one signature are trained by one program, several tasks and seeds one after another; validation
accuracy is measured after every epoch, the test images are read once, after the last. The table is read by
launch.correlate --table, launch.libra --table and predictors. Stopped at any moment, the same command goes on from the
last finished epoch.

Examples:
  python -m launch.benchmark --workdir=runs/cells --channels=8 --cells=1 --archs=random:24 --epochs=10 --batch_size=64
      --tasks=cifar10=npz:cifar10_subset.npz --image_size=16 --seeds=2 --repeated=0.25
  python -m launch.benchmark --workdir=runs/vit --space=autoformer_tiny --archs=random:100 --preset=autoformer
      --tasks=ImageNet,CIFAR-10,CIFAR-100,Pets,SVHN,Spherical-CIFAR-100
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax

import nasjax
from nasjax import benchmark, hashing, parallel, records
from nasjax.benchmark import plan, runner, tasks
from nasjax.benchmark.config import BATCHINGS
from nasjax.benchmark.store import EpochStore
from nasjax.cli import archs, benchmark_results, common, repeat, score, train_options
from nasjax.cli.common import option
from nasjax.data.augment import AugmentConfig
from nasjax.proxies.score import with_precision
from nasjax.training import TrainConfig, preset, presets
from nasjax.training.step import check_drop_path

_WHAT, _TASKS, _TRAINING, _RUN = "What to train", "On which tasks", "How to train", "How to run"
NOT_COMPARED = ("devices", "steps", "top")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkCommand(common.PluginsConfig, common.ProcessesConfig, common.JobConfig):
    """Options of launch.benchmark."""

    space: str = option("nasbench201", "Search space.", section=_WHAT)
    archs: str = option("random:24", "Which architectures: random:N (no two isomorphic, none dead), all, file:PATH (one"
                        " a line, or a CSV file with a column arch), or codes separated by ';'.", section=_WHAT)
    dead: bool = option(False, "Whether random:N draws dead architectures too.", section=_WHAT)
    channels: int | None = option(None, "Channels of the first stage; the space's own number by default.",
                                  section=_WHAT, kind=int, minimum=1)
    cells: int | None = option(None, "Cells a stage; the space's own number by default.", section=_WHAT, kind=int,
                               minimum=1)
    space_options: str = option("", "Further options of the space, as name=value separated by commas.", section=_WHAT)
    tasks: str = option("cifar10", f"Tasks separated by commas: {', '.join(tasks.NAMED)} (by tensorflow-datasets), or"
                        " NAME=SOURCE, as in cifar10=npz:FILE, pets=folder:DIR, mine=photos; NAME=SOURCE#TRAIN#TEST"
                        " names the splits.", section=_TASKS)
    image_size: int | None = option(None, "Height and width to resize images to, in pixels; the task's own by default.",
                                    section=_TASKS, kind=int, minimum=1)
    valid_fraction: float = option(0.1, "Fraction of the training images that is held out for the accuracy after every"
                                   " epoch.", section=_TASKS)
    split_seed: int = option(0, "Seed that chooses the images held out.", section=_TASKS, minimum=0)
    preset: str = option("nasbench201_12", f"Training: one of {', '.join(presets.names())}.", section=_TRAINING)
    epochs: int | None = option(None, "Epochs; those of the preset by default.", section=_TRAINING, kind=int, minimum=1)
    batch_size: int | None = option(None, "Images a step; those of the preset by default.", section=_TRAINING, kind=int,
                                    minimum=1)
    learning_rate: float | None = option(None, "Peak learning rate; that of the preset by default.", section=_TRAINING,
                                         kind=float, minimum=0)
    train_options: str = option("", "Further options of the training and its augmentation, as name=value separated by"
                                " commas, such as cutout=8,randaugment=2:9; a wrong name is answered by a list of"
                                " them.", section=_TRAINING)
    seeds: int = option(1, "Trainings of an architecture on a task.", section=_TRAINING, minimum=1)
    repeated: float = option(1.0, "Fraction of the architectures that get all seeds; the others get one.",
                             section=_TRAINING, minimum=0)
    block: int = option(8, "Architectures of one program.", section=_RUN, minimum=1)
    batching: str = option("map", "Whether a program trains its architectures one after another (map) or together"
                           " (vmap), or holds one alone (single).", section=_RUN, choices=BATCHINGS)
    steps: int = option(32, "Optimisation steps of one call of a program.", section=_RUN, minimum=1)
    devices: int | None = option(None, "How many devices to use, each for blocks of its own; all by default.",
                                 section=_RUN, kind=int, minimum=1)
    top: int = option(10, "Rows of the printed ranking.", section="Output", minimum=0)


def main(config: BenchmarkCommand) -> None:
    """Trains, prints a summary and writes benchmark.csv.gz, benchmark.json, result.json and report.html.

    Args:
      config: what to train, on what, and how.

    Raises:
      InputError: anything is wrong with the configuration, the data or the working directory.
    """
    train_all(config, tasks_text=config.tasks, choose_archs=choose)


def train_all(
    config: BenchmarkCommand,
    *,
    tasks_text: str,
    choose_archs: Callable[[jax.Array, Any, Any], list[str]],
    fit: Callable[[tasks.TaskData], tasks.TaskData] = lambda task: task,
    space_on: Callable[[Any, tasks.TaskData], Any] = runner.for_task,
) -> None:
    """What the commands that build benchmarks have in common.

    Args:
      config: options.
      tasks_text: data sets, as ``--tasks`` has them.
      choose_archs: key, space and options -> encodings.
      fit: makes a task fit the networks.
      space_on: the space for a task.

    Raises:
      InputError: as ``main``.
    """
    training = train_config(config)  # mistakes show before data are read
    settings = benchmark.BenchmarkConfig(
        seeds=config.seeds, repeated=config.repeated, valid_fraction=config.valid_fraction,
        split_seed=config.split_seed, block=config.block, batching=config.batching, steps=config.steps,
    )  # fmt: skip
    wanted = tasks.parse(tasks_text, image_size=config.image_size)
    space = make_space(config)
    archs_key, train_key = jax.random.split(jax.random.key(config.seed))
    chosen = choose_archs(archs_key, space, config)
    data = [fit(load_task(task, settings)) for task in wanted]
    spaces = {task.name: space_on(space, task) for task in data}
    trainer = make_trainer(training)
    for task in data:
        runner.check_images(spaces[task.name], task)
        check_drop_path(spaces[task.name], training)
        runner.steps_per_epoch(task, trainer(task))

    cache = common.enable_compile_cache()
    workdir = pathlib.Path(config.workdir)
    with common.exclusive(workdir):
        claim(workdir, config, spaces, data, training, chosen)
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
        files = benchmark_results.write(workdir, path, repeat=repeat.repeat(config, workdir))
        console.print(f"\n{common.duration(time.monotonic() - begin)}. Table: {path}  Report: {files[0]}", markup=False,
                      soft_wrap=True)


def train_config(config: Any) -> TrainConfig:
    """The training that a command's options ask for.

    Args:
      config: a `BenchmarkCommand`, or another one with the options of its section "How to train".

    Returns:
      The preset with what differs.

    Raises:
      InputError: an unknown preset, option or value.
    """
    known = train_options.names(TrainConfig)
    augmenting = [name for name in train_options.names(AugmentConfig) if name not in known]
    changes = train_options.pairs("train_options", config.train_options, known + augmenting)
    for name in ("epochs", "batch_size", "learning_rate"):
        if getattr(config, name) is not None:
            changes[name] = getattr(config, name)
    policy = {name: changes.pop(name) for name in list(changes) if name in augmenting}
    chosen = preset(config.preset, **changes)
    if not policy:
        return chosen
    return dataclasses.replace(chosen, augment=dataclasses.replace(chosen.augment or AugmentConfig(), **policy))


def make_trainer(training: TrainConfig) -> Callable[[tasks.TaskData], benchmark.Trainer]:
    """Trainers that normalise images by the statistics of their task."""
    return lambda data: benchmark.standard_trainer(training, mean=data.mean, std=data.std)


def make_space(config: BenchmarkCommand) -> Any:
    """The space, before it is fitted to the tasks."""
    options = {"channels": config.channels, "cells": config.cells}
    given = {name: value for name, value in options.items() if value is not None}
    return with_precision(nasjax.get_space(config.space, **given, **score.space_options(config.space_options)),
                          config.precision)  # fmt: skip


def choose(key: jax.Array, space: Any, config: BenchmarkCommand) -> list[str]:
    """The architectures; isomorphic ones of a list are said and kept, as the user named them."""
    kind, _, number = config.archs.strip().partition(":")
    if kind == "random" and archs.whole_number(number) > 0:
        return benchmark.sample_distinct(key, space, int(number), dead=config.dead)
    chosen = archs.choose(key, space, config.archs)
    pairs = plan.isomorphic(space, chosen)
    if pairs:
        common.note(f"{len(pairs):,} of {len(chosen):,} architectures are isomorphic to an earlier one, such as"
                    f" {pairs[0][0]} to {pairs[0][1]}; all are trained.")
    return chosen


def load_task(task: tasks.Task, settings: benchmark.BenchmarkConfig) -> tasks.TaskData:
    """Opens the images of a task."""
    return tasks.load(task, valid_fraction=settings.valid_fraction, split_seed=settings.split_seed)


def claim(
    workdir: pathlib.Path, config: BenchmarkCommand, spaces: dict[str, Any], data: list[tasks.TaskData],
    training: TrainConfig, chosen: list[str],
) -> None:  # fmt: skip
    """Makes the directory belong to this benchmark; one that holds no row yet may change its mind."""
    described = {
        **common.compared(config),
        "spaces": {name: dict(space.options) for name, space in spaces.items()},
        "training": training.describe(),
        "images": {task.name: task.describe() for task in data},
        "architectures": f"{len(chosen)}, sha256 {hashing.fingerprint(chosen)[:16]}",
    }
    if parallel.is_main():
        common.check_writable(workdir)
        started = any(workdir.glob("benchmark*.sqlite"))
        if started:
            with EpochStore(workdir, read_only=True) as store:
                started = bool(store.rows())
        own = _fields(workdir / records.CONFIG_FILENAME) == set(described)  # else it is another command's
        if own and not started and not any((workdir / "checkpoints").glob("*/[0-9]*")):
            (workdir / records.CONFIG_FILENAME).unlink(missing_ok=True)
        records.claim_workdir(workdir, described, ignore=NOT_COMPARED)
    parallel.shared("claimed", lambda: True)
    records.claim_workdir(workdir, described, ignore=NOT_COMPARED)


def _fields(file: pathlib.Path) -> set[str]:
    """Names that a config.json holds; none where it is damaged."""
    try:
        return set(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


def run() -> None:
    """Entry point of ``python -m launch.benchmark``."""
    common.run(main, BenchmarkCommand, kept="every finished epoch, and the table of what is trained")


if __name__ == "__main__":
    run()
