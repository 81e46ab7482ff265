"""DAS on CIFAR-10: search, retraining, and every baseline at equal epochs; receptive fields of the trained networks.

    python -m benchmarks.das_cifar --data=FILE.npz --workdir=DIR [--seeds=3] [--epochs=30] [--estimate]

FILE holds x_train, y_train, x_test and y_test; images are reduced to --image_size. A seed decides the weights, the
order of the images, the halves of the search and the random genotype. Every finished training is kept in DIR, and one
that was stopped goes on from its last epoch. --equal_compute names variants of one frame that are also trained for T
times the epochs, which costs what a variant of T frames costs. --estimate times one epoch of each kind and stops.
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
import jax.numpy as jnp
import numpy as np

import nasjax
from nasjax import parallel
from nasjax.checkpoint import Checkpoints
from nasjax.das.config import DASConfig
from nasjax.das.genotype import Genotype
from nasjax.das.networks import resnet
from nasjax.das.receptive_field import receptive_field
from nasjax.das.temporal import TemporalConfig
from nasjax.das.train import DASTrainConfig, Trained, recipe, train
from nasjax.das.variants import ON_FRAMES, VARIANTS
from nasjax.data.augment import prepare


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.das_cifar", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="npz file of images")
    parser.add_argument("--workdir", type=pathlib.Path, required=True, help="directory of the results")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind (3)")
    parser.add_argument("--epochs", type=int, default=30, help="of a training (30)")
    parser.add_argument("--search_epochs", type=int, default=20, help="of a search, before operations are chosen (20)")
    parser.add_argument("--interval", type=int, default=1, help="epochs of fine-tuning after each choice (1)")
    parser.add_argument("--image_size", type=int, default=16, help="pixels (16)")
    parser.add_argument("--images", type=int, help="images to train on (all)")
    parser.add_argument("--width", type=int, default=8, help="channels of the first stage (8)")
    parser.add_argument("--stages", default="1,1,1", help="blocks of each stage (1,1,1)")
    parser.add_argument("--frames", type=int, default=4, help="T (4)")
    parser.add_argument("--learning_rate", type=float, default=0.05, help="of trainings (0.05)")
    parser.add_argument("--batch_size", type=int, default=128, help="of trainings (128)")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="comma-separated (all)")
    parser.add_argument("--equal_compute", default="", help="variants of one frame to train T times as long (none)")
    parser.add_argument("--estimate", action="store_true", help="only time an epoch of each kind")
    parser.add_argument("--json", type=pathlib.Path, help="file to keep the numbers in")
    args = parser.parse_args(argv)
    args.variants = args.variants.split(",")
    args.equal_compute = [name for name in args.equal_compute.split(",") if name]
    for name in (*args.variants, *args.equal_compute):
        if name not in VARIANTS:
            parser.error(f"{name!r} is none of {', '.join(VARIANTS)}")
    for name in args.equal_compute:
        if name in ON_FRAMES:
            parser.error(f"--equal_compute={name}: it has T frames already")
    return args


def train_config(args: argparse.Namespace, epochs: int) -> DASTrainConfig:
    stages = tuple(int(word) for word in args.stages.split(","))
    own = recipe(epochs=epochs, learning_rate=args.learning_rate, batch_size=args.batch_size)
    smaller = dataclasses.replace(own.augment, crop_padding=max(1, args.image_size // 8))
    return DASTrainConfig(
        options=(("width", args.width), ("stages", stages), ("dropout", 0.0)),
        temporal=TemporalConfig(ratio=1.0),
        recipe=dataclasses.replace(own, augment=smaller),
        frames=args.frames,
    )


def find(args: argparse.Namespace, dataset: Any, seed: int) -> Genotype:
    """The genotype of a seed, searched or read."""
    from nasjax.das.search import search
    from nasjax.das.search_config import SearchConfig, linen_network, split_halves

    file = args.workdir / f"genotype_{seed}.json"
    if file.exists():
        return Genotype.load(file)
    images = dataset.images(np.arange(len(dataset))).astype(np.float32) / 255
    ready = (images - np.float32(dataset.mean)) / np.float32(dataset.std)
    key = jax.random.key(seed)
    halves = split_halves(jax.random.fold_in(key, 1), ready, dataset.labels, num_classes=dataset.num_classes)
    options = dict(train_config(args, 1).options)
    network = resnet(18, stem="cifar", num_classes=dataset.num_classes, temporal=TemporalConfig(ratio=1.0), **options)
    begin = time.monotonic()
    found = search(
        DASConfig(num_frames=args.frames), halves, linen_network(network), key=key,
        config=SearchConfig(epochs=args.search_epochs, interval=args.interval, crop_padding=args.image_size // 8,
                            flip=True), checkpoints=args.workdir / f"search_{seed}",
    )  # fmt: skip
    print(f"search, seed {seed}: {time.monotonic() - begin:.0f} s: {found.genotype}", flush=True)
    (args.workdir / f"argmax_{seed}.json").write_text(found.argmax.to_json())
    found.genotype.save(file)
    return found.genotype


def one(
    args: argparse.Namespace, data: Any, genotype: Genotype | None, name: str, seed: int, factor: int
) -> dict[str, Any]:
    """A training, done or read, with the receptive field of its network."""
    title = name if factor == 1 else f"{name}_x{factor}"
    file = args.workdir / f"{title}_{seed}.json"
    if file.exists():
        return json.loads(file.read_text())
    epochs, begin = args.epochs * factor, time.monotonic()
    with Checkpoints(args.workdir / f"{title}_{seed}") as states:
        result = train(genotype, *data, key=jax.random.key(seed), config=train_config(args, epochs), variant=name,
                       checkpoints=states, settings={"epochs": epochs, "genotype": str(genotype)},
                       test_every=max(1, epochs // 5))  # fmt: skip
    last = result.fitted.history[-1]
    row = {"variant": title, "seed": seed, "accuracy": last["test_accuracy"], "train_loss": last["train_loss"],
           "train_accuracy": last["train_accuracy"], "test_loss": last["test_loss"], "stopped": result.fitted.stopped,
           "seconds": sum(r["seconds"] for r in result.fitted.history), "epochs": last["epoch"],
           **field(result, data[1], seed)}  # fmt: skip
    file.write_text(json.dumps(row))
    print(f"{title}, seed {seed}: {100 * row['accuracy']:.2f} % in {time.monotonic() - begin:.0f} s", flush=True)
    return row


def field(result: Trained, test: Any, seed: int) -> dict[str, float]:
    """Area and radii of the trained network, and of one with fresh weights."""
    from nasjax.types import Variables

    images = prepare(test.images(np.arange(min(100, len(test)))), result.augment)
    video = jnp.zeros((1, result.variant.maker.num_frames, *images.shape[1:]), images.dtype)
    fresh = jax.jit(result.network.init)(jax.random.key(seed), video)
    found = {}
    for name, variables in (("trained", result.fitted.variables),
                            ("fresh", Variables(fresh["params"], fresh["batch_stats"]))):  # fmt: skip
        own = receptive_field(result.network, variables, images, result.variant.maker, batch_size=50)
        found |= {f"area_{name}": own.area, f"radius50_{name}": own.radius50, f"radius90_{name}": own.radius90}
    return found


def estimate(args: argparse.Namespace, data: Any) -> None:
    """Times the second epoch of a training on one frame and on T, and what all of it would take."""
    seconds = {}
    for name in ("2d", "identity"):
        result = train(None, *data, key=jax.random.key(0), config=train_config(args, 2), variant=name, test_every=2)
        seconds[name] = result.fitted.history[1]["seconds"]
        print(f"{name}: {result.fitted.history[0]['seconds']:.1f} s the first epoch, {seconds[name]:.1f} s a later one")
    epochs = sum(seconds["identity" if name in ON_FRAMES else "2d"] for name in args.variants) * args.epochs
    epochs += sum(seconds["2d"] for _ in args.equal_compute) * args.epochs * args.frames
    print(f"trainings of {args.seeds} seeds: about {args.seeds * epochs / 60:.0f} min, without searches")


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over seeds, a row a variant."""
    table = []
    for name in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == name]
        line: dict[str, Any] = {"variant": name, "seeds": len(own)}
        for column in ("accuracy", "train_loss", "seconds", "area_trained", "radius50_trained", "radius90_trained",
                       "area_fresh", "radius50_fresh", "radius90_fresh"):  # fmt: skip
            values = np.array([row[column] for row in own], float)
            line[column] = (float(values.mean()), float(values.std(ddof=1)) if len(own) > 1 else 0.0)
        table.append(line)
    return table


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    args.workdir.mkdir(parents=True, exist_ok=True)
    data = [nasjax.data.load_dataset(f"npz:{args.data}", split=split, image_size=args.image_size, num_images=number)
            for split, number in (("train", args.images), ("test", None))]  # fmt: skip
    size = f"{args.image_size}x{args.image_size}"
    print(f"{len(data[0])} and {len(data[1])} images of {size}; {parallel.device_summary()}")
    if args.estimate:
        estimate(args, data)
        return 0
    rows = []
    for seed in range(args.seeds):
        genotype = find(args, data[0], seed)
        jobs = [(name, 1) for name in args.variants] + [(name, args.frames) for name in args.equal_compute]
        rows += [one(args, data, genotype, name, seed, factor) for name, factor in jobs]
    table = summarise(rows)
    print(f"{'variant':<20}{'accuracy, %':>18}{'seconds':>9}{'area':>14}{'radius 50 %':>13}{'radius 90 %':>13}")
    for line in table:
        mean, deviation = line["accuracy"]
        print(f"{line['variant']:<20}{100 * mean:>10.2f} +- {100 * deviation:>4.2f}{line['seconds'][0]:>9.0f}"
              f"{line['area_trained'][0]:>7.0f} ({line['area_fresh'][0]:>3.0f}){line['radius50_trained'][0]:>13.2f}"
              f"{line['radius90_trained'][0]:>13.2f}")  # fmt: skip
    if args.json:
        given = {name: str(value) for name, value in vars(args).items()}
        args.json.write_text(json.dumps({"arguments": given, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
