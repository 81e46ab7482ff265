"""Measures effective receptive fields: which pixels of an image move the centre of the last feature map.

Examples:
  python -m launch.das_erf --workdir=runs/erf --genotype=runs/das/genotype.json --data=npz:cifar10.npz
  python -m launch.das_erf --workdir=runs/erf_trained --trained=runs/2d,runs/videos --data=npz:cifar10.npz

The derivative is taken through the cell, with respect to the image itself. --trained names workdirs of
launch.das_train; each is measured with its own weights and, beside them, with fresh ones.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nasjax
from nasjax import parallel, records, report
from nasjax.cli import common, das_train, repeat
from nasjax.cli.common import option
from nasjax.cli.das_results import load_variables
from nasjax.das.genotype import Genotype
from nasjax.das.receptive_field import AREA_SHARE, Field, receptive_field
from nasjax.das.train import DASTrainConfig, make_network
from nasjax.das.train_figures import field_figure
from nasjax.das.variants import NEEDS_GENOTYPE, VARIANTS
from nasjax.types import InputError, Variables

_WHAT, _IMAGES, _NETWORK = "What to measure", "Images", "Network"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ERFFlags(common.MeasureConfig):
    """Options of launch.das_erf."""

    variants: str = option("2d,identity,das,dilated,large_kernel", "Variants of launch.das_train, separated by commas,"
                           " with fresh weights; those that need a genotype are left out without one.", section=_WHAT)
    genotype: str = option("", "genotype.json of launch.das_search.", section=_WHAT)
    trained: str = option("", "Workdirs of launch.das_train, separated by commas, in place of variants.", section=_WHAT)
    data: str = option("photos", "Images: photos, npz:FILE, folder:DIR, tfds:NAME.", section=_IMAGES)
    test_split: str = option("", "Split to take them from; test by default.", section=_IMAGES)
    image_size: int | None = option(None, "Height and width to resize images to, in pixels; as they are by default.",
                                    section=_IMAGES, kind=int, minimum=1)
    num_images: int = option(100, "Images to average over.", section=_IMAGES, minimum=1)
    batch_size: int = option(20, "Images at a time.", section=_IMAGES, minimum=1)
    network: str = option("resnet18", "Network of fresh variants.", section=_NETWORK)
    width: float | None = option(None, "Its width, as for launch.das_train.", section=_NETWORK, kind=float, minimum=0)
    stages: str = option("", "Its blocks, as for launch.das_train.", section=_NETWORK)
    stem: str = option("auto", "Its first layers.", section=_NETWORK, choices=("auto", "imagenet", "cifar", "deep"))
    temporal: str = option("gsf", "Its temporal module.", section=_NETWORK, choices=("tsm", "gsm", "gsf"))
    temporal_ratio: float | None = option(None, "Share of the channels that it treats; 1 by default.", section=_NETWORK,
                                          kind=float, minimum=0)
    direction: str = option("both", "Which frames it sees.", section=_NETWORK, choices=("both", "past", "future"))


def main(config: ERFFlags) -> None:
    """Measures, prints a table and writes erf.csv, erf.npz, a figure and report.html.

    Args:
      config: what to measure.

    Raises:
      InputError: anything is wrong with the configuration, the data or the working directory.
    """
    genotype = Genotype.load(config.genotype) if config.genotype else None
    trained = [pathlib.Path(name.strip()) for name in config.trained.split(",") if name.strip()]
    names = [] if trained else _names(config, genotype)
    split = config.test_split or "test"
    data = nasjax.data.load_dataset(config.data, split=split, image_size=config.image_size)
    rows = np.unique(np.linspace(0, len(data) - 1, min(config.num_images, len(data))).astype(int))
    images = data.images(rows)
    jobs = [(name, *_fresh(name, config, genotype, data)) for name in names]
    short = len({directory.name for directory in trained}) == len(trained)
    for directory in trained:
        jobs += _loaded(directory, directory.name if short else str(directory), data, config.seed)
    common.enable_compile_cache()
    workdir, console = pathlib.Path(config.workdir), common.stdout()
    fields: dict[str, Field] = {}
    begin = time.monotonic()
    with common.exclusive(workdir), das_train.claimed(workdir, common.compared(config), ignore=common.NOT_COMPARED):
        common.write_run_flags(workdir, config)
        common.note(f"Receptive fields over {len(rows)} images of {config.data}. {parallel.device_summary()}.")
        with common.progress("Measuring", unit="network") as shown:
            shown(0, len(jobs))
            for name, network, maker, variables, mean, std in jobs:
                ready = _normalised(images, mean or data.mean, std or data.std)
                fields[name] = receptive_field(network, variables, ready, maker, batch_size=config.batch_size)
                shown(len(fields), len(jobs))
    file = _write(workdir, fields, config)
    console.print(f"{'':<28}{'area, px':>10}{'of image':>10}{'radius 50 %':>13}{'radius 90 %':>13}")
    for name, field in fields.items():
        share = f"{100 * field.area / field.map.size:.1f} %"
        line = f"{name:<28}{field.area:>10}{share:>10}{field.radius50:>13.2f}{field.radius90:>13.2f}"
        console.print(line, markup=False)
    seconds = common.duration(time.monotonic() - begin)
    console.print(f"\n{len(fields)} networks in {seconds}. Report: {file}", markup=False, soft_wrap=True)


def run() -> None:
    """Entry point of ``python -m launch.das_erf``."""
    common.run(main, ERFFlags)


def _names(config: ERFFlags, genotype: Genotype | None) -> list[str]:
    names = [name.strip() for name in config.variants.split(",") if name.strip()]
    for name in names:
        if name not in VARIANTS:
            raise InputError(f"--variants={config.variants}: {common.nearest(name, VARIANTS)}")
    kept = [name for name in names if genotype is not None or name not in NEEDS_GENOTYPE]
    if not kept:
        raise InputError(f"--variants={config.variants} need --genotype; do: give the genotype.json of a search")
    return kept


def _fresh(name: str, config: ERFFlags, genotype: Genotype | None, data: Any) -> tuple[Any, ...]:
    own = DASTrainConfig(network=config.network, options=tuple(das_train.network_options(config).items()),
                         stem=config.stem, temporal=das_train.temporal(config))  # fmt: skip
    variant, network = make_network(genotype, name, own, data.num_classes, data.image_size, config.seed)
    maker = variant.maker.normalised(data.mean, data.std)
    return network, maker, _initial(network, maker, data.image_size, data.channels, config.seed), (), ()


def _loaded(directory: pathlib.Path, name: str, data: Any, seed: int) -> list[tuple[Any, ...]]:
    """A training, with its own weights and with fresh ones."""
    try:
        facts = json.loads((directory / "result.json").read_text())["network"]
        flags = json.loads((directory / records.CONFIG_FILENAME).read_text())
    except (OSError, ValueError, KeyError):
        raise InputError(f"{directory} is no finished training of classes; do: run launch.das_train first") from None
    if facts["channels"] != data.channels:
        raise InputError(f"{directory} was trained on images of {facts['channels']} channels, '{data.source}' has"
                         f" {data.channels}; do: give --data of the training")  # fmt: skip
    known = {field.name for field in dataclasses.fields(das_train.DASTrainFlags)}
    config = das_train.DASTrainFlags(workdir=str(directory), **{k: v for k, v in flags.items() if k in known})
    path = directory / "genotype.json"
    genotype = Genotype.load(path) if path.exists() else None
    variant, network = make_network(genotype, config.variant, das_train.train_config(config), facts["num_classes"],
                                    facts["image_size"], facts["seed"])  # fmt: skip
    maker = variant.maker.normalised(tuple(facts["mean"]), tuple(facts["std"]))
    fresh = _initial(network, maker, facts["image_size"], facts["channels"], seed)
    ready = (network, maker, load_variables(directory, fresh), facts["mean"], facts["std"])
    return [(f"{name}, trained", *ready), (f"{name}, fresh", *ready[:2], fresh, *ready[3:])]


def _initial(network: Any, maker: Any, size: int, channels: int, seed: int) -> Variables:
    video = jax.ShapeDtypeStruct((1, maker.num_frames, size, size, channels), jnp.float32)
    found = jax.jit(lambda key: network.init(key, jnp.zeros(video.shape, video.dtype)))(jax.random.key(seed))
    return Variables(found["params"], found.get("batch_stats", {}))


def _normalised(images: np.ndarray, mean: Any, std: Any) -> Any:
    unit = images.astype(np.float32) / 255 if images.dtype == np.uint8 else images.astype(np.float32)
    return jnp.asarray((unit - np.asarray(mean, np.float32)) / np.asarray(std, np.float32))


def _write(workdir: pathlib.Path, fields: Mapping[str, Field], config: ERFFlags) -> pathlib.Path:
    columns = ("name", "area", "area_share", "radius50", "radius90", "images")
    rows = [(name, f.area, f.area / f.map.size, f.radius50, f.radius90, f.images) for name, f in fields.items()]
    with records.replaced(workdir / "erf.csv") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
    try:
        maps: dict[str, Any] = {name: f.map for name, f in fields.items()}
        np.savez_compressed(workdir / "erf.npz", **maps)
    except OSError as error:
        raise InputError(f"Cannot write in {workdir}: {error.strerror}. Name a directory that you may write.") from None
    text = (f"Share of the peak, on a logarithmic scale. The area counts pixels with more than {100 * AREA_SHARE:.0f} %"
            " of the peak; the circles, and the radii, hold 50 and 90 % of the sum.")  # fmt: skip
    widest = max(rows, key=lambda row: row[3])
    summary = f"Widest is {widest[0]}: half of what reaches the centre comes from within {widest[3]:.1f} pixels."
    cells = [[n, str(area), f"{100 * share:.1f} %", f"{r50:.2f}", f"{r90:.2f}"] for n, area, share, r50, r90, _ in rows]
    titles = ("network", "area, px", "of image", "radius 50 %, px", "radius 90 %, px")
    picture = report.Picture("erf", "heat maps of receptive fields", text, functools.partial(_figure, fields),
                             functools.partial(_figure, fields, narrow=True))  # fmt: skip
    body: list[Any] = [report.Table(titles, cells), picture]
    return report.write_report(workdir / "report.html", title="Effective receptive fields",
                               summary=summary, facts={"Images": config.data, "Averaged over": f"{rows[0][-1]} images"},
                               sections=[report.Section("Fields", body)],
                               repeat=repeat.repeat(config, workdir))  # fmt: skip


def _figure(fields: Mapping[str, Field], theme: Any, narrow: bool = False) -> Any:
    return field_figure(fields, theme=theme, narrow=narrow)


if __name__ == "__main__":
    run()
