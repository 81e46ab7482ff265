"""A planted task: does the search of DAS find the one transformation that is known to help?

    python -m benchmarks.das_planted

500 handwritten digits (of scikit-learn), half upright for the weights, half moved for alpha, by the opposite of one
operation of the cell: a network that learns upright digits sees them upright again in the frames of that operation
alone. The magnitudes are the same whichever operation is planted, so nothing tells the search which one it is. Networks
have 8 channels, and a choice is followed by one epoch of fine-tuning. Every seed draws images, weights and orders anew.

The cell has one edge ("single"), where the choice is right or wrong, or all 14 ("full"), where the planted operation
must be the most frequent on the edges that are kept, identities apart.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np

from nasjax import das
from nasjax.cli import common
from nasjax.das import warps

IMAGES, SIZE, CHANNELS, CLASSES = 500, 20, 8, 10
MAGNITUDES = {"identity": 0.0, "translate_x": 0.2, "translate_y": 0.2, "zoom": 1.6, "rotate": 50.0}
PLANTED = ("rotate", "translate_x", "translate_y", "zoom")


def digits(key: jax.Array, planted: str) -> das.SearchData:
    """The halves: upright digits, and digits moved by the opposite of the planted operation.

    Args:
      key: of the choice of images.
      planted: name of an operation.

    Returns:
      images float32 [250, SIZE, SIZE, 1]; the background is zero.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    rows = np.asarray(jax.random.permutation(key, len(found.images)))[:IMAGES]
    small = found.images[rows, :, :, None] / 16
    images = np.asarray(jax.image.resize(small, (IMAGES, 12, 12, 1), "linear"), np.float32)
    edge = (SIZE - 12) // 2
    images = np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0))) / 0.35
    labels, half = found.target[rows].astype(np.int32), IMAGES // 2
    moved = np.asarray(warps.warp(images[half:], planted, warps.inverse(planted, MAGNITUDES[planted])))
    return das.SearchData(images[:half], labels[:half], moved, labels[half:], CLASSES)


def setting(cell: str, epochs: int) -> tuple[das.DASConfig, das.Network, das.SearchConfig]:
    """Cell, network and settings."""
    fixed = {"num_frames": 3, "magnitude": "fixed", "magnitudes": tuple(MAGNITUDES.values())}
    made = das.preset("single_edge" if cell == "single" else "geometric5", **fixed)
    module = das.resnet(10, num_classes=CLASSES, width=CHANNELS, stem="cifar", stages=(1, 1), strides=(2, 2),
                        dropout=0.0)  # fmt: skip
    config = das.SearchConfig(epochs=epochs, batch_size=25, weight_lr=0.1, interval=1)
    return made, das.linen_network(module, name=f"resnet {CHANNELS}"), config


def right(genotype: das.Genotype, planted: str) -> bool:
    """Whether the planted operation is the most frequent one, identities apart, and alone so."""
    counts = collections.Counter(gene.op for gene in genotype.genes if gene.op != "identity").most_common(2)
    return bool(counts) and counts[0][0] == planted and (len(counts) == 1 or counts[0][1] > counts[1][1])


def run(planted: str, seed: int, cell: str, epochs: int) -> dict[str, Any]:
    """One search."""
    made, network, config = setting(cell, epochs)
    key = jax.random.key(seed)
    data = digits(jax.random.fold_in(key, 100), planted)
    begin = time.monotonic()
    found = das.search(made, data, network, key=key, config=config)
    return {
        "planted": planted,
        "seed": seed,
        "perturbation": str(found.genotype),
        "argmax": str(found.argmax),
        "found": right(found.genotype, planted),
        "found_by_argmax": right(found.argmax, planted),
        "accuracy": found.history[-1]["valid_accuracy"],
        "without": found.events[0].accuracy,
        "weights": np.asarray(jax.nn.softmax(found.alphas[epochs], -1)).mean(0).tolist(),
        "seconds": time.monotonic() - begin,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.das_planted", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--planted", nargs="+", choices=PLANTED, default=PLANTED, help="operations to plant (all)")
    parser.add_argument("--cell", choices=("single", "full"), default="single", help="one edge, or 14 (single)")
    parser.add_argument("--seeds", type=int, default=10, help="searches with each (10)")
    parser.add_argument("--epochs", type=int, default=15, help="before operations are chosen (15)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    args = parser.parse_args(argv)
    if args.seeds < 1 or args.epochs < 1:
        parser.error("--seeds and --epochs must be at least 1")
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}; {IMAGES} images {SIZE}x{SIZE}, {CHANNELS} channels,"
          f" {args.cell} cell, {args.epochs} epochs, projection interval 1\n")  # fmt: skip
    common.enable_compile_cache()  # every seed compiles the same programs
    rows = []
    for planted in args.planted:
        own = []
        for seed in range(args.seeds):
            own.append(run(planted, seed, args.cell, args.epochs))
            print(f"  {planted} seed {seed}: {own[-1]['perturbation']}; argmax {own[-1]['argmax']}"
                  f" ({own[-1]['seconds']:.0f} s)", flush=True)  # fmt: skip
        counts = [sum(row[name] for row in own) for name in ("found", "found_by_argmax")]
        accuracy = np.array([row["accuracy"] for row in own])
        print(f"{planted:12} perturbation {counts[0]}/{args.seeds}, argmax {counts[1]}/{args.seeds}, accuracy"
              f" {accuracy.mean():.3f} +- {accuracy.std():.3f}\n", flush=True)  # fmt: skip
        rows += own
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
