"""Segmentation of CamVid with a small PSPNet: the image alone, T copies of it, and the video of a genotype.

    python -m benchmarks.das_camvid --data=camvid.npz --workdir=DIR --genotype=FILE [--seeds=3] [--epochs=30]

Networks and recipe are the same but for the frames and the temporal modules. Every finished training is kept in DIR.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np

from nasjax.checkpoint import Checkpoints
from nasjax.das.crops import CropConfig
from nasjax.das.genotype import Genotype
from nasjax.das.scenes import load_scenes
from nasjax.das.segmentation import SegmentationConfig, train_segmentation
from nasjax.das.temporal import TemporalConfig
from nasjax.das.variants import make_variant

VARIANTS = ("2d", "identity", "das", "das_unwarped")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.das_camvid", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, help="npz file of CamVid")
    parser.add_argument("--workdir", type=pathlib.Path, required=True, help="directory of the results")
    parser.add_argument("--genotype", required=True, help="genotype.json of a search")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind (3)")
    parser.add_argument("--epochs", type=int, default=30, help="of a training (30)")
    parser.add_argument("--width", type=int, default=8, help="channels of the first stage (8)")
    parser.add_argument("--batch_size", type=int, default=8, help="images a step (8)")
    parser.add_argument("--learning_rate", type=float, default=0.1, help="at the start (0.1)")
    parser.add_argument("--output_stride", type=int, default=4, help="of the backbone, whose stem keeps a quarter (4)")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="comma-separated (all)")
    parser.add_argument("--json", type=pathlib.Path, help="file to keep the numbers in")
    args = parser.parse_args(argv)
    args.variants = args.variants.split(",")
    for name in args.variants:
        if name not in VARIANTS:
            parser.error(f"--variants: {name!r} is none of {', '.join(VARIANTS)}")
    return args


def one(args: argparse.Namespace, data: Any, genotype: Genotype, name: str, seed: int) -> dict[str, Any]:
    file = args.workdir / f"{name}_{seed}.json"
    if file.exists():
        return json.loads(file.read_text())
    unwarp = name == "das_unwarped"
    variant = make_variant(name.removesuffix("_unwarped"), genotype)
    crops = CropConfig(size=(80, 80), base=0, rotate=10.0, blur=0.0, test=(0, 0))
    config = SegmentationConfig(
        network="resnet10", width=args.width, stem="imagenet", output_stride=args.output_stride, epochs=args.epochs,
        batch_size=args.batch_size, learning_rate=args.learning_rate, crops=crops, unwarp=unwarp,
        temporal=TemporalConfig(ratio=1.0, relative_to="output") if variant.temporal else TemporalConfig(kind="none"),
    )  # fmt: skip
    maker = variant.maker.normalised(config.mean, config.std)
    begin = time.monotonic()
    with Checkpoints(args.workdir / f"{name}_{seed}") as states:
        result = train_segmentation(*data, maker, key=jax.random.key(seed), config=config, checkpoints=states,
                                    settings={"config": json.loads(json.dumps(dataclasses.asdict(config)))},
                                    test_every=max(1, args.epochs // 5))  # fmt: skip
    last = result.fitted.history[-1]
    row = {"variant": name, "seed": seed, "miou": last["test_miou"], "accuracy": last["test_accuracy"],
           "train_loss": last["train_loss"], "seconds": time.monotonic() - begin,
           "class_iou": [None if np.isnan(v) else float(v) for v in result.class_iou]}  # fmt: skip
    file.write_text(json.dumps(row))
    print(f"{name}, seed {seed}: mIoU {100 * row['miou']:.2f} % in {row['seconds']:.0f} s", flush=True)
    return row


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    args.workdir.mkdir(parents=True, exist_ok=True)
    genotype = Genotype.load(args.genotype)
    data = [load_scenes(f"camvid:{args.data}", split=split) for split in ("train", "test")]
    rows = [one(args, data, genotype, name, seed) for seed in range(args.seeds) for name in args.variants]
    print(f"{'variant':<16}{'mIoU, %':>18}{'pixels, %':>18}")
    for name in args.variants:
        text = ""
        for column in ("miou", "accuracy"):
            values = 100 * np.array([row[column] for row in rows if row["variant"] == name])
            text += f"{values.mean():>10.2f} +- {values.std(ddof=1) if len(values) > 1 else 0.0:>4.2f}"
        print(f"{name:<16}{text}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
