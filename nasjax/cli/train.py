"""Trains one architecture of any search space.

Examples:
  python -m launch.train --workdir=runs/one --arch=random:1 --epochs=12 --batch_size=64
  python -m launch.train --workdir=runs/trained --data=npz:cifar10.npz#train --valid=npz:cifar10.npz#test
      --arch='|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'
  python -m launch.train --workdir=runs/vit --space=autoformer_tiny --preset=autoformer --data=folder:imagenet/train
      --valid=folder:imagenet/val --image_size=224 --arch=file:found.txt
  python -m launch.train --workdir=runs/darts --space=darts --space_options=auxiliary=true --preset=darts_cifar
      --data=tfds:cifar10#train --valid=tfds:cifar10#test --arch=file:genotype.txt

The state is saved after every epoch: stopped at any moment, the same command goes on from there and ends with the same
numbers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import jax

import nasjax
from nasjax import parallel, records, training
from nasjax.cli import archs, common, repeat, score, train_options, train_results
from nasjax.cli.common import option
from nasjax.proxies.score import with_precision
from nasjax.training import presets
from nasjax.types import InputError

_WHAT, _IMAGES, _HOW = "What to train", "Images", "How to train"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainCommand(common.PluginsConfig, common.ProcessesConfig, common.JobConfig):
    """Options of launch.train."""

    space: str = option("nasbench201", "Search space.", section=_WHAT)
    arch: str = option("random:1", "The architecture: official string, index or tuple; file:PATH with one line;"
                       " random:1 draws one by the seed.", section=_WHAT)
    channels: int | None = option(None, "Channels of the first stage; the space's own number by default.",
                                  section=_WHAT, kind=int, minimum=1)
    cells: int | None = option(None, "Cells a stage; the space's own number by default.", section=_WHAT, kind=int,
                               minimum=1)
    space_options: str = option("", "Further options of the space, as name=value separated by commas; a wrong name is"
                                " answered by a list of them.", section=_WHAT)
    num_classes: int | None = option(None, "Classes the network tells apart; those of the images by default.",
                                     section=_WHAT, kind=int, minimum=2)
    task: str = option("", "Task of TransNAS-Bench-101, for its spaces and for folders laid out for it.", section=_WHAT)
    data: str = option("photos", "Images to train with: photos (built in), npz:FILE[#split], folder:DIR (a folder a"
                       " class), tfds:NAME[#split], noise.", section=_IMAGES)
    valid: str = option("", "Images to evaluate with, named likewise.", section=_IMAGES)
    hold_out: float = option(0.1, "Without --valid: share of the images that is kept for the evaluation; 0 evaluates"
                             " nothing.", section=_IMAGES, minimum=0)
    num_images: int | None = option(None, "So many images of the data alone, drawn by the seed; all by default.",
                                    section=_IMAGES, kind=int, minimum=1)
    image_size: int | None = option(None, "Height and width to resize images to, in pixels; as they are by default.",
                                    section=_IMAGES, kind=int, minimum=1)
    spherical: bool = option(False, "Project images to a sphere, as in Spherical-CIFAR-100.", section=_IMAGES)
    preset: str = option("nasbench201_12", "Published setting to begin with.", section=_HOW, choices=presets.names())
    epochs: int | None = option(None, "Passes over the images; the preset's by default.", section=_HOW, kind=int,
                                minimum=1)
    batch_size: int | None = option(None, "Images a step, over all devices; the preset's by default.", section=_HOW,
                                    kind=int, minimum=1)
    learning_rate: float | None = option(None, "Peak learning rate; the preset's by default.", section=_HOW, kind=float,
                                         minimum=0)
    options: str = option("", "Further changes to the preset, as name=value separated by commas, such as"
                          " weight_decay=1e-4,average=0.999; a wrong name is answered by a list of them.", section=_HOW)
    augment: str = option("", "Changes to the preset's augmentation, likewise, such as cutout=8,randaugment=2:9; off"
                          " begins with none.", section=_HOW)
    evaluate_every: int = option(1, "Epochs between evaluations.", section=_HOW, minimum=1)
    save_every: int | None = option(None, "Steps between states saved within an epoch, for long epochs.", section=_HOW,
                                    kind=int, minimum=1)


def main(config: TrainCommand) -> None:
    """Trains, prints what came out and writes history.csv, result.json and report.html.

    Args:
      config: what to train, with which images, and how.

    Raises:
      InputError: anything is wrong with the configuration, the data or the working directory, or the loss has become
        no number.
    """
    options = train_options.read(config)  # mistakes show before data are read
    dataset, evaluation = images(config)
    space = with_precision(make_space(config, dataset), config.precision)
    arch_key, key = jax.random.split(jax.random.key(config.seed))
    chosen = archs.choose(arch_key, space, config.arch, flag="arch")
    if len(chosen) != 1:
        raise InputError(f"--arch={config.arch} names {len(chosen)} architectures; one is trained. To train many,"
                         " launch.benchmark.")
    arch = space.decode(chosen)[0]
    cache = common.enable_compile_cache()
    workdir, console = pathlib.Path(config.workdir), common.stdout()
    settings = {**common.compared(config), "space_options": dict(space.options), "arch": chosen[0],
                "images": f"sha256 {dataset.fingerprint[:16]}"}  # fmt: skip
    with common.exclusive(workdir), claimed(workdir, settings):
        common.write_run_flags(workdir, config)
        common.note(f"Training {chosen[0]} of {space.name} on {len(dataset):,} images of {config.data},"
                    f" {options.epochs} epochs, {parallel.device_summary()}.")
        if cache is not None:
            common.note(f"Compiled programs are kept in {cache}; NASJAX_CACHE names another directory, or off.")
        begin, lines = time.monotonic(), common.Sparse()
        with common.progress("Training", unit="image") as report:

            def watch(row: dict[str, Any]) -> None:
                if common.watched() or lines.due() or row["epoch"] == options.epochs:
                    common.note(train_results.line(row, options.epochs, dataset.kind))

            result = training.train(
                space, arch, dataset, options, key=key, evaluation=evaluation, workdir=workdir,
                devices=config.devices, evaluate_every=config.evaluate_every, save_every=config.save_every,
                progress=report, watch=watch,
            )  # fmt: skip
            if result.stopped and not result.history:  # the directory may be claimed by other settings
                raise InputError(f"Stopped: {result.stopped} The directory is free for other settings.")
        file = None
        if result.history and parallel.is_main():
            facts = {"Space": space.name, "Images": config.data, "Preset": config.preset}
            file = train_results.write(workdir, result, dataset.kind, facts, repeat=repeat.repeat(config, workdir))
    if file is not None:
        train_results.show(console, result, dataset.kind)
        resumed = f", {result.resumed} of them by an earlier run" if result.resumed else ""
        console.print(f"\n{len(result.history)} epochs in {common.duration(time.monotonic() - begin)}{resumed}."
                      f" Report: {file}", markup=False, soft_wrap=True)
    if result.stopped:
        raise InputError(f"Stopped: {result.stopped} Other settings need a new --workdir: {workdir} holds the state of"
                         " these.")


def run() -> None:
    """Entry point of ``python -m launch.train``."""
    common.run(main, TrainCommand, kept="every finished epoch")


def images(config: TrainCommand) -> tuple[Any, Any]:
    """Opens the images to train and to evaluate with.

    Args:
      config: names them.

    Returns:
      two data sets; the second may be None.

    Raises:
      InputError: they cannot be read, or a share is none.
    """
    own: dict[str, Any] = {"image_size": config.image_size, "task": config.task or None, "spherical": config.spherical,
           "seed": config.seed}  # fmt: skip
    dataset = nasjax.data.load_dataset(config.data, num_images=config.num_images, **own)
    if config.valid:
        classes = dataset.num_classes if dataset.kind == "class" else None
        return dataset, nasjax.data.load_dataset(config.valid, num_classes=classes, **own)
    if not config.hold_out:
        return dataset, None
    if config.hold_out >= 1:
        raise InputError(f"--hold_out={config.hold_out}: a share below 1 is needed, as in 0.1; 0 evaluates nothing.")
    return dataset.hold_out(config.hold_out, seed=config.seed)


def make_space(config: TrainCommand, dataset: Any) -> Any:
    """Builds the search space for the images.

    Args:
      config: names the space and its options.
      dataset: gives the number of classes and the image size.

    Returns:
      the space.

    Raises:
      InputError: unknown space, or an option that it does not have.
    """
    options = {"channels": config.channels, "cells": config.cells, "image_size": dataset.image_size,
               "task": config.task or None, "num_classes": config.num_classes or dataset.num_classes}  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    return nasjax.get_space(config.space, **(given | score.space_options(config.space_options)))


@contextlib.contextmanager
def claimed(workdir: pathlib.Path, settings: dict[str, Any]) -> Iterator[None]:
    """Claims the working directory; a failure before the first state gives it back.

    Args:
      workdir: the directory.
      settings: everything that decides the outcome.

    Yields:
      Nothing.
    """
    new = not (workdir / records.CONFIG_FILENAME).exists()
    records.claim_workdir(workdir, settings, ignore=(*common.NOT_COMPARED, "save_every"))
    try:
        yield
    except BaseException:
        if new and parallel.is_main() and not any((workdir / "checkpoints" / "last").glob("[0-9]*")):
            (workdir / records.CONFIG_FILENAME).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    run()
