"""Trains a network on the videos of a genotype, or a baseline beside it, for classes or for segmentation.

Examples:
  python -m launch.das_train --workdir=runs/videos --genotype=runs/das/genotype.json --data=npz:cifar10.npz
  python -m launch.das_train --workdir=runs/2d --variant=2d --data=npz:cifar10.npz
  python -m launch.das_train --workdir=runs/masks --task=segmentation --variant=identity --data=camvid:camvid.npz
      --network=resnet18 --width=16 --stem=cifar --output_stride=4 --crop=96 --base=0 --test_size=0

Variants: das, views (its frames without temporal modules), identity (T copies of the image), random (a random
genotype), 2d, dilated, large_kernel, randaugment, trivialaugment. Every epoch is saved in the workdir: stopped at any
moment, the same command goes on from there with the same numbers.
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
from nasjax import parallel, records
from nasjax.checkpoint import Checkpoints
from nasjax.cli import common, das_results, repeat
from nasjax.cli.common import option
from nasjax.das.crops import CropConfig
from nasjax.das.genotype import Genotype
from nasjax.das.scenes import Scenes, load_scenes
from nasjax.das.segmentation import HEADS, SegmentationConfig, train_segmentation
from nasjax.das.temporal import DIRECTIONS, KINDS, TemporalConfig
from nasjax.das.train import DASTrainConfig, recipe, train
from nasjax.das.variants import VARIANTS, make_variant
from nasjax.hashing import fingerprint
from nasjax.types import InputError

_WHAT, _IMAGES, _NETWORK, _RECIPE, _PIXELS = "What to train", "Images", "Network", "Recipe", "Segmentation"
_NOT_PIXELS = ("randaugment", "trivialaugment", "dilated")
NOT_COMPARED = (*common.NOT_COMPARED, "examples")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DASTrainFlags(common.JobConfig):
    """Options of launch.das_train."""

    task: str = option("classification", "What the labels are.", section=_WHAT,
                       choices=("classification", "segmentation"))
    variant: str = option("das", "DAS or a baseline.", section=_WHAT, choices=tuple(VARIANTS))
    genotype: str = option("", "genotype.json of launch.das_search; das and views need it, random takes its cell.",
                           section=_WHAT)
    frames: int | None = option(None, "Copies of the image for identity; as many as the genotype has, or 8, by"
                                " default.", section=_WHAT, kind=int, minimum=1)
    data: str = option("photos", "Images to train on. Classes: photos, npz:FILE, folder:DIR, tfds:NAME. Segmentation:"
                       " camvid:FILE, npz:FILE, voc:DIR, cityscapes:DIR, tfds:NAME.", section=_IMAGES)
    train_split: str = option("", "Split to train on; train where the source has splits.", section=_IMAGES)
    test_split: str = option("", "Split to evaluate on; test by default.", section=_IMAGES)
    image_size: int | None = option(None, "Height and width to resize images to, in pixels; as they are by default.",
                                    section=_IMAGES, kind=int, minimum=1)
    num_classes: int | None = option(None, "Classes; those of the images by default.", section=_IMAGES, kind=int,
                                     minimum=2)
    ignore: int | None = option(None, "Label of masks that does not count, beside 255.", section=_IMAGES, kind=int,
                                minimum=0)
    network: str = option("resnet18", "resnet10, resnet18, resnet34, resnet50, mobilenet_v2 or efficientnet_b0.",
                          section=_NETWORK)
    width: float | None = option(None, "Channels of the first stage of a ResNet, factor of all channels of the others;"
                                 " as published by default.", section=_NETWORK, kind=float, minimum=0)
    stages: str = option("", "Blocks of each stage of a ResNet, separated by commas; as published by default.",
                         section=_NETWORK)
    stem: str = option("auto", "First layers: cifar keeps the resolution; auto is cifar up to 64 pixels, for"
                       " segmentation deep.", section=_NETWORK, choices=("auto", "imagenet", "cifar", "deep"))
    temporal: str = option("gsf", "Temporal module of the variants that have one.", section=_NETWORK,
                           choices=KINDS[1:])
    temporal_ratio: float | None = option(None, "Share of the channels that gsm and gsf treat; 1, for segmentation"
                                          " 0.25, by default.", section=_NETWORK, kind=float, minimum=0)
    direction: str = option("both", "Which frames are seen.", section=_NETWORK, choices=DIRECTIONS)
    dropout: float | None = option(None, "Dropout before the classifier; as published by default.", section=_NETWORK,
                                   kind=float, minimum=0)
    epochs: int | None = option(None, "Passes over the training images; 120, for segmentation 80, by default.",
                                section=_RECIPE, kind=int, minimum=1)
    batch_size: int | None = option(None, "Images a step; 128, for segmentation 16, by default.", section=_RECIPE,
                                    kind=int, minimum=1)
    learning_rate: float | None = option(None, "At the start; 0.05, for segmentation 0.02, by default.",
                                         section=_RECIPE, kind=float, minimum=0)
    schedule: str = option("steps", "steps: a fifth at every quarter of the epochs. Segmentation has its own.",
                           section=_RECIPE, choices=("steps", "cosine", "constant"))
    weight_decay: float | None = option(None, "3e-4, for segmentation 1e-4, by default.", section=_RECIPE, kind=float,
                                        minimum=0)
    label_smoothing: float = option(0.0, "Share of the target spread over all classes.", section=_RECIPE, minimum=0)
    crop_padding: int = option(4, "Zeros around an image before a random crop.", section=_RECIPE, minimum=0)
    resized_crop: bool = option(False, "Random crops of 8 to 100 % of the area, resized: the recipe of ImageNet, in"
                                " place of --crop_padding.", section=_RECIPE)
    flip: bool = option(True, "Random horizontal flips.", section=_RECIPE)
    cutout: int = option(0, "Side of a square set to the mean, in pixels.", section=_RECIPE, minimum=0)
    randaugment: str = option("3,5", "Operations and magnitude 0 to 10 of that variant.", section=_RECIPE)
    test_every: int = option(1, "Epochs between evaluations.", section=_RECIPE, minimum=1)
    head: str = option("pspnet", "Segmentation head.", section=_PIXELS, choices=HEADS)
    output_stride: int | None = option(None, "By how much the last stage is coarser than the image; 8 for pspnet, 16"
                                       " for deeplab by default.", section=_PIXELS, kind=int, minimum=1)
    crop: int = option(380, "Height and width of training crops, in pixels.", section=_PIXELS, minimum=1)
    base: int = option(400, "Long side before random scaling by 0.5 to 2; 0 leaves images as they are.",
                       section=_PIXELS, minimum=0)
    test_size: int = option(480, "Side of the centre that is evaluated; 0 takes whole images.", section=_PIXELS,
                            minimum=0)
    unwarp: bool = option(False, "Moves what is found in each frame back before frames are averaged.", section=_PIXELS)
    examples: int = option(3, "Images in the figure of masks.", section="Output", minimum=1)


def main(config: DASTrainFlags) -> None:
    """Trains, prints the result and writes history.csv, result.json, figures and report.html.

    Args:
      config: what to train and how.

    Raises:
      InputError: anything is wrong with the configuration, the data or the working directory.
    """
    genotype = Genotype.load(config.genotype) if config.genotype else None
    make_variant(config.variant, genotype)  # mistakes show before data are read
    if config.task == "segmentation":
        if config.variant in _NOT_PIXELS:
            raise InputError(f"--variant={config.variant} is not for segmentation, whose networks are dilated and whose"
                             " crops augment already; do: choose another variant")  # fmt: skip
        segmentation_config(config)
    else:
        train_config(config)
    data = scenes(config) if config.task == "segmentation" else images(config)
    cache = common.enable_compile_cache()
    workdir, console = pathlib.Path(config.workdir), common.stdout()
    about = {"genotype_text": described(genotype), "images": [f"sha256 {part.fingerprint[:16]}" for part in data]}
    with common.exclusive(workdir), claimed(workdir, common.compared(config) | about, ignore=NOT_COMPARED):
        common.write_run_flags(workdir, config)
        if genotype is not None:
            genotype.save(workdir / "genotype.json")
        common.note(f"{config.task} on {config.data}: {VARIANTS[config.variant]}. {parallel.device_summary()}.")
        if cache is not None:
            common.note(f"Compiled programs are kept in {cache}; NASJAX_CACHE names another directory, or off.")
        begin = time.monotonic()
        run = _segmentation if config.task == "segmentation" else _classification
        with Checkpoints(workdir / "checkpoints") as states, common.progress("Training", unit="epoch") as report:
            result = run(config, genotype, data, states, report)
    seconds = time.monotonic() - begin
    file = das_results.write(workdir, result, config, seconds, repeat=repeat.repeat(config, workdir))
    das_results.show(console, result, config, seconds)
    console.print(f"Report: {file}", markup=False, soft_wrap=True)
    if result.fitted.stopped:
        raise InputError(f"Stopped: {result.fitted.stopped}. A smaller learning rate may help. Other settings need a"
                         f" new --workdir: {workdir} holds the state of these.")


def run() -> None:
    """Entry point of ``python -m launch.das_train``."""
    common.run(main, DASTrainFlags, kept="every finished epoch")


@contextlib.contextmanager
def claimed(workdir: pathlib.Path, settings: dict[str, Any], *, ignore: tuple[str, ...]) -> Iterator[None]:
    """Claims the working directory; a failure before the first saved state gives it back.

    Args:
      workdir: the directory.
      settings: what decides the outcome.
      ignore: names of settings that decide none.

    Yields:
      Nothing.
    """
    new = not (workdir / records.CONFIG_FILENAME).exists()
    records.claim_workdir(workdir, settings, ignore=ignore)
    try:
        yield
    except BaseException:
        if new and not any((workdir / "checkpoints").glob("[0-9]*")):
            (workdir / records.CONFIG_FILENAME).unlink(missing_ok=True)
        raise


def images(config: Any) -> tuple[Any, Any]:
    """Images to train and to evaluate on.

    Args:
      config: names them.

    Returns:
      Two data sets.

    Raises:
      InputError: they cannot be read.
    """
    whole = "#" in config.data
    if whole:
        raise InputError(f"--data={config.data} names a split; do: give --train_split and --test_split")
    options = {"image_size": config.image_size, "num_classes": config.num_classes}
    splits = (config.train_split or "train", config.test_split or "test")
    return tuple(nasjax.data.load_dataset(config.data, split=split, **options) for split in splits)  # type: ignore[return-value]


def scenes(config: DASTrainFlags) -> tuple[Scenes, Scenes]:
    """Images with masks to train and to evaluate on.

    Args:
      config: names them.

    Returns:
      Two sets.

    Raises:
      InputError: they cannot be read, or a mask is wrong.
    """
    splits = (config.train_split or "train", config.test_split or "test")
    one, two = (load_scenes(config.data, split=split, num_classes=config.num_classes, ignore=config.ignore)
                for split in splits)  # fmt: skip
    if config.image_size is not None:
        raise InputError("--image_size does not belong to segmentation; do: give --crop, --base and --test_size")
    for data in (one, two):
        data[0]  # a wrong mask shows before anything is compiled
    return one, two


def temporal(config: Any) -> TemporalConfig:
    """The temporal module that flags name.

    Args:
      config: flags.

    Returns:
      Its configuration.
    """
    pixels = getattr(config, "task", "") == "segmentation"
    ratio = config.temporal_ratio if config.temporal_ratio is not None else (0.25 if pixels else 1.0)
    return TemporalConfig(kind=config.temporal, ratio=ratio, direction=config.direction,
                          relative_to="output" if pixels else "inner")  # fmt: skip


def network_options(config: Any) -> dict[str, Any]:
    """Options of the network that flags name.

    Args:
      config: flags.

    Returns:
      name -> value, of those that are given.

    Raises:
      InputError: stages that are no numbers.
    """
    options: dict[str, Any] = {"precision": config.precision}
    if config.width is not None:
        resnet = config.network.startswith("resnet")
        if resnet and config.width != int(config.width):
            raise InputError(f"--width={config.width}: a whole number of channels is needed for a ResNet")
        options["width"] = int(config.width) if resnet else config.width
    if config.stages:
        try:
            options["stages"] = tuple(int(part) for part in config.stages.split(","))
        except ValueError:
            raise InputError(f"--stages={config.stages}: whole numbers are needed, as in 2,2,2,2") from None
    return options


def train_config(config: DASTrainFlags) -> DASTrainConfig:
    """Network and recipe that flags name.

    Args:
      config: flags.

    Returns:
      The configuration.

    Raises:
      InputError: a value that is not allowed.
    """
    options = network_options(config)
    if config.dropout is not None:
        options["dropout"] = config.dropout
    names = ("epochs", "batch_size", "learning_rate", "weight_decay")
    given = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    changes = dataclasses.replace(
        recipe().augment, crop_padding=0 if config.resized_crop else config.crop_padding, flip=config.flip,
        resized_crop=(0.08, 1.0) if config.resized_crop else None, cutout=config.cutout,
    )  # fmt: skip
    changed = recipe(**given, schedule=config.schedule, label_smoothing=config.label_smoothing, augment=changes)
    try:
        policy = tuple(float(part) for part in config.randaugment.split(","))
    except ValueError:
        raise InputError(f"--randaugment={config.randaugment}: two numbers are needed, as in 3,5") from None
    return DASTrainConfig(network=config.network, options=tuple(options.items()), stem=config.stem,
                          temporal=temporal(config), recipe=changed, frames=config.frames,
                          randaugment=policy)  # fmt: skip


def segmentation_config(config: DASTrainFlags) -> SegmentationConfig:
    """Network and recipe of segmentation that flags name.

    Args:
      config: flags.

    Returns:
      The configuration.

    Raises:
      InputError: a value that is not allowed.
    """
    names = ("epochs", "batch_size", "learning_rate", "weight_decay", "width")
    chosen: dict[str, Any] = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    if config.stem != "auto":
        chosen["stem"] = config.stem
    chosen |= {name: value for name, value in network_options(config).items() if name == "width"}
    crops = CropConfig(size=(config.crop, config.crop), base=config.base, test=(config.test_size, config.test_size))
    return SegmentationConfig(
        head=config.head, network=config.network, temporal=temporal(config), output_stride=config.output_stride,
        unwarp=config.unwarp, crops=crops, precision=config.precision, **chosen,
    )  # fmt: skip


def _classification(
    config: DASTrainFlags, genotype: Genotype | None, data: Any, states: Checkpoints, report: Any
) -> Any:
    return train(genotype, *data, key=jax.random.key(config.seed), config=train_config(config), variant=config.variant,
                 checkpoints=states, settings=settings(config, genotype), test_every=config.test_every,
                 devices=config.devices, progress=report)  # fmt: skip


def _segmentation(config: DASTrainFlags, genotype: Genotype | None, data: Any, states: Checkpoints, report: Any) -> Any:
    own = segmentation_config(config)
    variant = make_variant(config.variant, genotype, frames=config.frames, seed=config.seed)
    stages = {name: value for name, value in network_options(config).items() if name == "stages"}
    if not variant.temporal:
        own = dataclasses.replace(own, temporal=TemporalConfig(kind="none"))
    maker = variant.maker.normalised(own.mean, own.std)
    trained = train_segmentation(
        data[0], data[1], maker, key=jax.random.key(config.seed), config=own,
        backbone=variant.network | stages,
        checkpoints=states, settings=settings(config, genotype), test_every=config.test_every, devices=config.devices,
        progress=report,
    )  # fmt: skip
    return das_results.with_examples(trained, data[1], maker, own, config.examples)


def settings(config: Any, genotype: Genotype | None) -> dict[str, Any]:
    """What decides the outcome.

    Args:
      config: flags.
      genotype: read from a file, or None.

    Returns:
      What the saved state holds.
    """
    fields = {name: value for name, value in common.compared(config).items() if name not in NOT_COMPARED}
    return {**fields, "genotype": described(genotype)}


def described(genotype: Genotype | None) -> str:
    """A genotype in a line, and the hash of all of it, frames and normalisation included.

    Args:
      genotype: or None.

    Returns:
      text.
    """
    return "none" if genotype is None else f"{genotype}; sha256 {fingerprint(genotype.to_json())[:16]}"


if __name__ == "__main__":
    run()
