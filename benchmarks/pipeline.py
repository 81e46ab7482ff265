"""Images a second of the input pipeline: reading, decoding, reading ahead and augmentation.

    python -m benchmarks.pipeline --data=npz:cifar10_subset.npz --images=4000

The images of --data are written as .npz, as image files and as ArrayRecord of tensorflow-datasets, and read back from
each. "first" is an epoch that decodes every image, "later" one whose images were kept in memory. "waiting" is the share
of the time that a consumer waits, in the first epoch, which takes --step_ms a batch, as a training step does: near 0 %
the device is not starved. Augmentations are timed from images in memory, on the device, with the transfer.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from nasjax.data import AugmentConfig, Dataset, load_dataset, stream, tfds_write
from nasjax.data.augment import augment
from nasjax.training import preset

SOURCES = ("npz", "folder", "tfds")
_CIFAR = {"crop_padding": 4, "flip": True}
AUGMENTATIONS = {
    "none": AugmentConfig(),
    "crop, flip": AugmentConfig(**_CIFAR),
    "crop, flip, cutout": AugmentConfig(**_CIFAR, cutout=16),
    "crop, flip, randaugment": AugmentConfig(**_CIFAR, randaugment=(2, 9)),
    "crop, flip, trivialaugment": AugmentConfig(**_CIFAR, trivialaugment=True),
    "deit": preset("autoformer").augment,
}


def prepare(kind: str, images: np.ndarray, labels: np.ndarray, root: pathlib.Path) -> str:
    """Writes the images once, and names the source that reads them."""
    target = root / kind
    target.mkdir()
    if kind == "npz":
        np.savez(target / "images.npz", x=images, y=labels)
        return f"npz:{target / 'images.npz'}"
    if kind == "tfds":
        return f"tfds:{tfds_write.write(target, {'train': (images, labels)}, num_classes=int(labels.max()) + 1)}"
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        directory = target / f"class{label:04d}"
        directory.mkdir(exist_ok=True)
        Image.fromarray(image).save(directory / f"{index:06d}.png")
    return f"folder:{target}"


def rate(batches: Iterable[Any], consume: Callable[[Any], Any], size: int) -> float:
    """Images a second that reach a consumer."""
    start, steps = time.perf_counter(), 0
    with stream.prefetch(batches, transfer=jax.device_put) as ahead:
        for batch in ahead:
            consume(batch)
            steps += 1
    return steps * size / (time.perf_counter() - start)


def read(dataset: Dataset, size: int) -> dict[str, float]:
    """Images a second in the first epoch and in a later one, which visits the same images."""
    return {name: rate(stream.batches(dataset, size), jax.block_until_ready, size) for name in ("first", "later")}


def starved(dataset: Dataset, size: int, step_s: float) -> float:
    """Share of the time that a consumer waits in the first epoch, its first batch left out."""
    with stream.prefetch(stream.batches(dataset, size), transfer=jax.device_put) as ahead:
        next(ahead)
        began, waited = time.perf_counter(), ahead.waited
        for _ in ahead:
            time.sleep(step_s)
        return (ahead.waited - waited) / (time.perf_counter() - began)


def augmented(dataset: Dataset, size: int, config: AugmentConfig, epochs: int) -> tuple[float, float]:
    """Images a second of reading from memory and augmenting, and seconds of compilation."""
    step = jax.jit(lambda key, images, labels: augment(key, images, labels, config))
    key = jax.random.key(0)

    def consume(batch: Any) -> None:
        labels = jax.nn.one_hot(batch.labels, dataset.num_classes)
        jax.block_until_ready(step(key, jnp.asarray(batch.images), labels))

    begin = time.perf_counter()
    consume(dataset.batch(np.arange(size)))
    compiled = time.perf_counter() - begin
    rates = [rate(stream.batches(dataset, size, epoch=epoch), consume, size) for epoch in range(epochs)]
    return float(np.median(rates)), compiled


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pipeline", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", default="photos", help="source of the images, as of nasjax.data.load_dataset (photos)"
    )
    parser.add_argument("--images", type=int, default=1024, help="so many images (1024)")
    parser.add_argument("--image_size", type=int, help="pixels a side; as stored by default")
    parser.add_argument("--batch_size", type=int, default=128, help="images a batch (128)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of an augmentation; the median counts (3)")
    parser.add_argument("--step_ms", type=float, default=50, help="milliseconds of the consumer that may starve (50)")
    parser.add_argument("--sources", default=",".join(SOURCES), help=f"of {', '.join(SOURCES)} (all)")
    parser.add_argument("--augmentations", default="", help="only those whose name contains this text")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    args = parser.parse_args(argv)
    kinds = args.sources.split(",")
    configs = {name: config for name, config in AUGMENTATIONS.items() if args.augmentations in name}
    if set(kinds) - set(SOURCES):
        parser.error(f"--sources={args.sources} names others than {', '.join(SOURCES)}")
    if not configs:
        parser.error(f"--augmentations={args.augmentations!r} matches none of: {'; '.join(AUGMENTATIONS)}")
    if args.epochs < 1 or not 2 * args.batch_size <= args.images:
        parser.error("--epochs must be at least 1, and --images at least two batches")
    whole = load_dataset(args.data, num_images=args.images, image_size=args.image_size)
    images, labels = whole.batch(np.arange(len(whole)))
    if images.dtype != np.uint8:
        parser.error(f"--data={args.data} has images of {images.dtype}; uint8 is needed to write them as files")
    device = jax.devices()[0].device_kind
    print(f"{device}, jax {jax.__version__}; {len(images)} images {whole.image_size}x{whole.image_size}, batch"
          f" {args.batch_size}\n")  # fmt: skip
    print(f"{'source':30}{'first, img/s':>14}{'later, img/s':>14}{'waiting':>10}   ({args.step_ms:g} ms a batch)")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for kind in kinds:
            source = prepare(kind, images, labels, pathlib.Path(name))
            row = {"source": kind, **read(load_dataset(source), args.batch_size)}
            row["waiting"] = starved(load_dataset(source), args.batch_size, args.step_ms / 1e3)
            rows.append(row)
            print(f"{kind:30}{row['first']:14,.0f}{row['later']:14,.0f}{row['waiting']:10.1%}", flush=True)
    print(f"\n{'augmentation':30}{'img/s':>14}{'compile, s':>14}")
    for name, config in configs.items():
        speed, compiled = augmented(whole, args.batch_size, config, args.epochs)
        rows.append({"augmentation": name, "images_per_second": speed, "compile_s": compiled})
        print(f"{name:30}{speed:14,.0f}{compiled:14.1f}", flush=True)
    if args.json:
        numbers = {"device": device, "images": len(images), "batch_size": args.batch_size, "rows": rows}
        pathlib.Path(args.json).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
