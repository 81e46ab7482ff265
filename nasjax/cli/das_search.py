"""Searches for the image-to-video transformations of DAS: which operation on which edge of the cell.

Trains a small video network and the mixture of operations in turns, then chooses operations one by one by what their
removal costs. Shows the frames that the chosen cell makes.

Examples:
  python -m launch.das_search --workdir=runs/das
  python -m launch.das_search --workdir=runs/cifar --data=npz:cifar10.npz --num_images=0 --frames=8 --epochs=50
      --interval=5 --batch_size=64 --backbone=resnet18 --width=64 --crop_padding=4 --flip

The second is the setting of the paper's code; the first one is small enough for a laptop. The state is saved after
every epoch: stopped at any moment, the same command goes on from there and finds the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from typing import Any

import jax
import numpy as np

import nasjax
from nasjax import parallel, records
from nasjax.cli import common, das_report, repeat
from nasjax.cli.common import option
from nasjax.data.images import normalise, statistics
from nasjax.types import InputError

_IMAGES, _CELL, _NETWORK, _HOW, _RUN = (
    "Images", "The cell", "The network", "How to search", "How to run",
)  # fmt: skip
_NOT_COMPARED = ("devices", "shown")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DASSearchConfig(common.CommandConfig):
    """Options of launch.das_search."""

    workdir: str = option(
        None, "Directory of this run: results, figures and all that is needed to go on after a stop.",
        section="Output", required=True,
    )
    data: str = option("photos", "Images: photos (built in), npz:FILE[#split], folder:DIR (a folder a class).",
                       section=_IMAGES)
    num_images: int = option(200, "Images to search with, half for the weights and half for the choice of operations;"
                             " 0 takes all of them.", section=_IMAGES, minimum=0)
    image_size: int | None = option(None, "Height and width to resize images to, in pixels; as they are by default.",
                                    section=_IMAGES, kind=int, minimum=1)
    crop_padding: int = option(0, "Pixels of padding before a random crop.", section=_IMAGES, minimum=0)
    flip: bool = option(False, "Random horizontal flips.", section=_IMAGES)
    preset: str = option("geometric5", "Cell and operations: geometric5 (14 edges, 5 warps), single_edge (the same"
                         " warps on one edge), video10, autoaugment15.", section=_CELL,
                         choices=("geometric5", "single_edge", "video10", "autoaugment15"))
    ops: str = option("", "In place of those of the preset: operations, separated by commas.", section=_CELL)
    frames: int | None = option(None, "Frames of a video; 4 for geometric5 (the paper's code has 8).", section=_CELL,
                                kind=int, minimum=1)
    schedule: str = option("", "How frames differ: symmetric (both ways from the middle frame), linear, sweep or"
                           " constant; that of the preset by default.", section=_CELL,
                           choices=("symmetric", "linear", "sweep", "constant"))
    magnitude: str = option("sampled", "Whether magnitudes are drawn once, fixed, or learned.", section=_CELL,
                            choices=("sampled", "fixed", "learned"))
    backbone: str = option("resnet10", "Network: resnet10, resnet18, resnet34, resnet50, mobilenet_v2,"
                           " efficientnet_b0.", section=_NETWORK)
    width: float = option(8.0, "Channels of a ResNet's first stage; factor of the channels of the others.",
                          section=_NETWORK, minimum=0.01)
    stem: str = option("cifar", "First layer: cifar for small images, imagenet for large ones.", section=_NETWORK,
                       choices=("cifar", "imagenet"))
    temporal: str = option("gsf", "How frames see each other: gsf, gsm, tsm or none.", section=_NETWORK,
                           choices=("gsf", "gsm", "tsm", "none"))
    epochs: int = option(3, "Epochs before operations are chosen; the paper's code has 50.", section=_HOW, minimum=0)
    interval: int = option(1, "Epochs after each choice; the paper's code has 5.", section=_HOW, minimum=1)
    batch_size: int = option(25, "Images a step, of each half.", section=_HOW, minimum=1)
    select: str = option("perturbation", "What is chosen: the operation whose removal hurts most, or that of largest"
                         " alpha.", section=_HOW, choices=("perturbation", "argmax"))
    order: str = option("first", "Gradient of alpha: first order, or second order by finite_difference or exact.",
                        section=_HOW, choices=("first", "finite_difference", "exact"))
    weight_lr: float = option(0.025, "Learning rate of the network.", section=_HOW, minimum=0)
    alpha_lr: float = option(3e-4, "Learning rate of alpha.", section=_HOW, minimum=0)
    seeds: int = option(1, "Searches with different random numbers, to see how they agree.", section=_HOW, minimum=1)
    seed: int = option(0, "Seed of everything random; the same seed gives the same numbers.", section=_RUN, minimum=0)
    precision: str = option("highest", "Precision of convolutions and products; fast is TF32 or bfloat16 on"
                            " accelerators and the same on a CPU.", section=_RUN, choices=("highest", "fast"))
    devices: int | None = option(1, "How many devices share a batch.", section=_RUN, kind=int, minimum=1)
    shown: int = option(6, "Images whose frames are drawn.", section="Output", minimum=1)


def main(config: DASSearchConfig) -> None:
    """Searches, prints the genotype and writes genotype.json, result.json and report.html.

    Args:
      config: what to search, and how.

    Raises:
      InputError: anything is wrong with the configuration, the data or the working directory.
    """
    from nasjax import das

    cell_options, settings = cell_of(config), search_config(config)
    data, statistics = load_data(config)
    cell = dataclasses.replace(cell_options, **statistics)
    network = make_network(config, data.num_classes)
    workdir, console = pathlib.Path(config.workdir), common.stdout()
    cache = common.enable_compile_cache()
    about = common.compared(config) | {"images": f"sha256 {data.fingerprint[:16]}"}
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    begin, earlier = time.monotonic(), []
    with common.exclusive(workdir), _claimed(workdir, about):
        common.write_run_flags(workdir, config)
        common.note(f"{len(cell.edges)} edges, {len(cell.operations)} operations, {cell.num_frames} frames;"
                    f" {len(data.train_labels)} images for the weights, {len(data.valid_labels)} for the choice,"
                    f" {parallel.device_summary()}.")
        if cache is not None:
            common.note(f"Compiled programs are kept in {cache}; NASJAX_CACHE names another directory, or off.")
        with common.progress("Searching", unit="epoch") as report:

            def reported(done: int, total: int) -> None:
                earlier.append(done)
                report(done, total)

            found = das.search_seeds(
                cell, data, network, keys=keys, config=settings, checkpoints=workdir / "checkpoints",
                progress=reported, devices=config.devices,
            )  # fmt: skip
        images = data.valid_images[: config.shown]
        facts = {"Images": config.data, "Network": f"{config.backbone}, width {config.width:g}, {config.temporal}",
                 "Cell": f"{config.preset}, {cell.num_frames} frames"}  # fmt: skip
        file = das_report.write(workdir, found, images, facts, repeat=repeat.repeat(config, workdir))
    das_report.show(console, found)
    resumed = f", {earlier[0]} epochs of them by an earlier run" if any(earlier[:1]) else ""
    console.print(f"\n{len(found[0].history) * len(found)} epochs in {common.duration(time.monotonic() - begin)}"
                  f"{resumed}. Report: {file}", markup=False, soft_wrap=True)  # fmt: skip


def run() -> None:
    """Entry point of ``python -m launch.das_search``."""
    common.run(main, DASSearchConfig, kept="every finished epoch")


def cell_of(config: DASSearchConfig) -> Any:
    """The cell that the flags describe.

    Args:
      config: the options.

    Returns:
      a ``DASConfig``, without the statistics of the images.

    Raises:
      InputError: an operation is unknown, or options do not fit each other.
    """
    from nasjax import das

    changes: dict[str, Any] = {"magnitude": config.magnitude, "precision": config.precision}
    if config.ops:
        changes["ops"] = tuple(name.strip() for name in config.ops.split(",") if name.strip())
    if config.schedule:
        changes["schedule"] = config.schedule
    if config.frames is not None:
        changes["num_frames"] = config.frames
    elif config.preset in ("geometric5", "single_edge"):
        changes["num_frames"] = 4
    return das.preset(config.preset, **changes)


def search_config(config: DASSearchConfig) -> Any:
    """Settings of the search: a ``SearchConfig`` with the fields that are flags."""
    from nasjax import das

    names = {field.name for field in dataclasses.fields(das.SearchConfig)}
    given = {name: value for name, value in dataclasses.asdict(config).items() if name in names}
    return das.SearchConfig(**given)


def load_data(config: DASSearchConfig) -> tuple[Any, dict[str, tuple[float, ...]]]:
    """Loads the images and splits them in two.

    Args:
      config: the options.

    Returns:
      the halves, and the mean and deviation by which they were normalised.

    Raises:
      InputError: the images cannot be read, or there are too few.
    """
    from nasjax import das

    dataset = nasjax.data.load_dataset(config.data, image_size=config.image_size, seed=config.seed,
                                       num_images=config.num_images or None)
    if dataset.kind != "class":
        raise InputError(f"--data={config.data}: its targets are {dataset.kind}; images with a class are needed.")
    if len(dataset) < 2 * config.batch_size:
        raise InputError(f"{len(dataset)} images: two halves of at least --batch_size={config.batch_size} images each"
                         " are needed. Raise --num_images, or lower --batch_size.")
    every = np.arange(len(dataset))
    raw, labels = dataset.images(every), dataset.targets(every)
    mean, std = statistics(raw)
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    halves = das.split_halves(key, normalise(raw, mean, std, np.dtype(np.float32)), labels,
                              num_classes=dataset.num_classes)
    return halves, {"mean": mean, "std": std}


def make_network(config: DASSearchConfig, num_classes: int) -> Any:
    """The network that the flags describe.

    Args:
      config: the options.
      num_classes: of the images.

    Returns:
      a ``das.Network``.

    Raises:
      InputError: unknown network, or a value that is not allowed.
    """
    from nasjax import das
    from nasjax.das.networks import get_backbone

    resnet = config.backbone.startswith("resnet")
    if resnet and config.width != int(config.width):
        raise InputError(f"--width={config.width}: a whole number of channels is needed for a ResNet.")
    width = int(config.width) if resnet else config.width
    module = get_backbone(config.backbone, num_classes=num_classes, width=width, stem=config.stem,
                          temporal=config.temporal, precision=config.precision)
    name = f"{config.backbone} width={width} stem={config.stem} temporal={config.temporal} classes={num_classes}"
    return das.linen_network(module, name=name)


@contextlib.contextmanager
def _claimed(workdir: pathlib.Path, about: dict[str, Any]) -> Any:
    """Claims the working directory; a failure before the first saved epoch gives it back."""
    new = not (workdir / records.CONFIG_FILENAME).exists()
    records.claim_workdir(workdir, about, ignore=_NOT_COMPARED)
    try:
        yield
    except BaseException:
        if new and not any((workdir / "checkpoints").rglob("[0-9]*")):
            (workdir / records.CONFIG_FILENAME).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    run()
