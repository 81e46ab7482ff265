"""Steps a second of training beside a plain PyTorch loop in the same run; many networks in one program; the input.

    python -m benchmarks.training --torch_python=PATH/TO/python

One network: `nasjax.training` as its driver runs it, with flips, crops and images read ahead by a thread. Many: a
program that trains all networks, one after the other, for some steps a call, against one call a network and step.
Input: batches that are read and put on the device while nothing is computed, and augmentation on the device alone.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import torch_process

PARTS = ("one", "many", "input")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PARTS", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--arch", default="", help="a cell of NAS-Bench-201 (a random one with three convolutions)")
    parser.add_argument("--channels", type=int, default=16, help="of the first stage (16, as published)")
    parser.add_argument("--cells", type=int, default=5, help="a stage (5, as published)")
    parser.add_argument("--image_size", type=int, default=32, help="height and width (32)")
    parser.add_argument("--batch_size", type=int, default=64, help="images a step (64)")
    parser.add_argument("--steps", type=int, default=10, help="timed steps; the median counts (10)")
    parser.add_argument("--archs", type=int, default=4, help="networks in one program (4)")
    parser.add_argument("--per_call", type=int, default=5, help="steps a call of that program (5)")
    parser.add_argument("--images", type=int, default=4096, help="images of the data set (4096)")
    parser.add_argument("--data", default="", help="source of images for the part input (uint8 noise in memory)")
    parser.add_argument("--seed", type=int, default=0, help="of architectures, images and weights (0)")
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch (this one)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE, too")
    args = parser.parse_args(argv)
    args.parts = args.parts or list(PARTS)
    for name in args.parts:
        if name not in PARTS:
            parser.error(f"part {name!r} is unknown; allowed: {', '.join(PARTS)}")
    for name in ("channels", "cells", "batch_size", "steps", "archs", "per_call"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}={getattr(args, name)}; allowed is 1 or more")
    if args.images < args.batch_size:
        parser.error(f"--images={args.images}; allowed is at least the batch size, {args.batch_size}")
    return args


def setting(args: argparse.Namespace) -> tuple[Any, np.ndarray, Any, Any]:
    """Space, population, options and data set."""
    import jax

    import nasjax
    from nasjax.training import preset

    space = nasjax.get_space("nasbench201", channels=args.channels, cells=args.cells, image_size=args.image_size)
    pool = np.asarray(space.sample(jax.random.key(args.seed), 64 * args.archs))
    archs = pool[((pool == 2) | (pool == 3)).sum(1) == 3][: args.archs]  # as many convolutions as an average cell
    if args.arch:
        archs[0] = space.decode([args.arch])[0]
    config = preset("nasbench201_12", batch_size=args.batch_size)
    return space, archs, config, dataset(args)


def dataset(args: argparse.Namespace) -> Any:
    """Images of a source, or noise as uint8 in memory."""
    import tempfile

    import nasjax

    if args.data:
        return nasjax.data.load_dataset(args.data, image_size=args.image_size)
    rng = np.random.default_rng(args.seed)
    shape = (args.images, args.image_size, args.image_size, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "noise.npz"
        np.savez(path, x=rng.integers(0, 256, shape, dtype=np.uint8), y=np.arange(args.images) % 10)
        return nasjax.data.load_dataset(f"npz:{path}")


def seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """Times of a call that returns arrays, behind a first one that is not counted."""
    import jax

    found = []
    for turn in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(call())
        if turn:
            found.append(time.perf_counter() - start)
    return found


def one(args: argparse.Namespace) -> dict[str, Any]:
    """Steps of one network, as the driver takes them."""
    import jax

    from nasjax.data import stream
    from nasjax.training.checks import normalised
    from nasjax.training.programs import programs
    from nasjax.training.state import init_state

    space, archs, config, data = setting(args)
    config = normalised(config, data)
    job = torch_process.job(space, archs[:1], batch_size=args.batch_size, repeats=args.steps)
    torch = functools.partial(torch_process.run, args.torch_python, job, module="benchmarks.torch_train")
    before = torch()
    step = programs(space, config, devices=1).step
    key = jax.random.key(args.seed)
    state = init_state(key, space, archs[0], config, len(data) // args.batch_size)
    times, begin, first = [], time.perf_counter(), 0.0

    def endless() -> Any:
        for epoch in range(args.steps + 1):
            yield from stream.batches(data, args.batch_size, epoch=epoch)

    with stream.prefetch(endless(), transfer=lambda batch: step.place(tuple(batch))) as ahead:
        for number, batch in enumerate(ahead):
            start = time.perf_counter()
            state, measures = step((state, archs[0], key), batch)
            float(measures["loss"])
            if number == 0:
                first = time.perf_counter() - begin
            else:
                times.append(time.perf_counter() - start)
            if len(times) == args.steps:
                break
        waited = ahead.waited
    after = torch()
    found: dict[str, Any] = {"arch": space.encode(archs[:1])[0], "seconds": times, "first": first, "waited": waited}
    if before is None or after is None:
        print(torch_process.absent(args.torch_python))
    else:
        found |= {"torch": before["torch"], "threads": before["threads"], "torch_device": before["device"]}
        found |= {"torch_before": before["seconds"][0], "torch_after": after["seconds"][0]}
    rate = 1 / statistics.median(times)
    print(f"One network, {found['arch']}, batch {args.batch_size}: first step {first:.1f} s (with compiling)")
    print(f"  nasjax   {rate:8.2f} steps/s, {rate * args.batch_size:8.0f} images/s")
    for name in ("torch_before", "torch_after"):
        if name in found:
            rate = 1 / statistics.median(found[name])
            print(f"  {name.replace('_', ' '):<12} {rate:4.2f} steps/s, {rate * args.batch_size:8.0f} images/s")
    return found


def many(args: argparse.Namespace) -> dict[str, Any]:
    """Networks in one program against one after another."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    from nasjax.training import init_state, train_step
    from nasjax.training.checks import normalised

    space, archs, config, data = setting(args)
    config = normalised(config, data)
    rows = np.arange(args.per_call * args.batch_size) % len(data)
    images, labels = data.batch(rows)
    images = jnp.asarray(images.reshape(args.per_call, args.batch_size, *images.shape[1:]))
    labels = jnp.asarray(labels.reshape(args.per_call, args.batch_size))
    keys, archs = jax.random.split(jax.random.key(args.seed), len(archs)), jnp.asarray(archs)
    begin = jax.jit(lambda key, arch: init_state(key, space, arch, config, 50))
    step = jax.jit(functools.partial(train_step, space=space, config=config))

    @jax.jit
    def together(states: Any, archs: Any, keys: Any, images: Any, labels: Any) -> Any:
        def of_one(own: Any) -> Any:
            state, arch, key = own
            return lax.scan(
                lambda state, batch: (train_step(state, arch, *batch, key, space=space, config=config)[0], None),
                state,
                (images, labels),
            )[0]

        return lax.map(of_one, (states, archs, keys))

    states = [begin(keys[i], archs[i]) for i in range(len(archs))]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)

    def in_turn() -> Any:
        found = []
        for i, state in enumerate(states):
            for s in range(args.per_call):
                state, _ = step(state, archs[i], images[s], labels[s], keys[i])
            found.append(state)
        return found

    repeats = max(1, args.steps // args.per_call)
    found = {
        "together": seconds(lambda: together(stacked, archs, keys, images, labels), repeats),
        "in_turn": seconds(in_turn, repeats),
    }
    count = len(archs) * args.per_call
    print(f"{len(archs)} networks, {args.per_call} steps a call, batch {args.batch_size}: steps a second of any")
    for name, times in found.items():
        print(f"  {name.replace('_', ' '):<10}{count / statistics.median(times):8.2f}")
    return {**found, "networks": len(archs), "steps": args.per_call}


def input_pipeline(args: argparse.Namespace) -> dict[str, Any]:
    """Images a second of reading and of augmentation."""
    import jax

    from nasjax.data import stream
    from nasjax.data.augment import AugmentConfig, augment
    from nasjax.training import presets

    data = dataset(args)
    found: dict[str, Any] = {}
    batches = stream.batches(data, args.batch_size)
    start, number = time.perf_counter(), 0
    with stream.prefetch(batches, transfer=lambda batch: jax.device_put(tuple(batch))) as ahead:
        for images, _ in ahead:
            images.block_until_ready()
            number += len(images)
    found["reading"] = number / (time.perf_counter() - start)
    images, labels = jax.device_put(tuple(data.batch(np.arange(args.batch_size))))
    soft = jax.nn.one_hot(labels, data.num_classes)
    key = jax.random.key(args.seed)
    policies = {"nothing": AugmentConfig()} | {name: presets.preset(name).augment for name in presets.names()}
    del policies["nasbench201_200"]  # the same as with 12 epochs
    for name, policy in policies.items():
        run = jax.jit(functools.partial(augment, config=policy))
        times = seconds(functools.partial(run, key, images, soft), args.steps)
        found[f"augment {name}"] = args.batch_size / statistics.median(times)
    print(f"Input, {data.source or 'noise'}, {args.image_size} pixels, batch {args.batch_size}: images a second")
    for name, rate in found.items():
        print(f"  {name:<26}{rate:12,.0f}")
    return found


def main(argv: list[str] | None = None) -> int:
    import jax

    args = arguments(argv)
    device = jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}, {args.channels} channels, {args.cells} cells a stage")
    runs = {"one": one, "many": many, "input": input_pipeline}
    found = {name: runs[name](args) for name in args.parts}
    if args.json:
        text = json.dumps({"device": device.device_kind, "args": vars(args), **found}, indent=1)
        pathlib.Path(args.json).write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
