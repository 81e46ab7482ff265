"""The main job on built-in data: scores NAS-Bench-201 cells on photos and compares with their known accuracies.

Needs no download. Does what these two commands do, with cells drawn from those of known accuracy:
  python -m launch.score --workdir=runs/demo --archs=file:runs/demo/architectures.txt --proxies=all --data=photos
  python -m launch.correlate --workdir=runs/demo
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nasjax import records
from nasjax.cli import common, correlate, options, score
from nasjax.cli.options import option
from nasjax.data import tables
from nasjax.types import InputError

ARCHITECTURES_FILE = "architectures.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Options of the demonstration."""

    workdir: str = option("runs/demo", "Directory for results.", section="Demonstration")
    number: int = option(32, "How many architectures to score.", section="Demonstration", minimum=3)
    channels: int = option(16, "Channels of the networks' first stage.", section="Demonstration", minimum=1)
    cells: int = option(5, "Cells a stage.", section="Demonstration", minimum=1)
    batch_size: int = option(64, "Images a batch.", section="Demonstration", minimum=2)
    proxies: str = option(
        "lswag,zico,swap,nwot,synflow,snip,grad_norm,params,flops",
        "Scores to compute; the first one ranks. All of them would compile for minutes.",
        section="Demonstration",
    )
    seed: int = option(0, "Seed of the sample and of the networks.", section="Demonstration", minimum=0)

    run_flags: str = dataclasses.field(default="", compare=False)


def main(config: DemoConfig) -> None:
    """Scores, correlates and says what to do next.

    Args:
      config: size of the demonstration.

    Raises:
      InputError: the working directory cannot be used.
    """
    begin = time.monotonic()
    workdir = pathlib.Path(config.workdir)
    file = workdir / ARCHITECTURES_FILE
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write {workdir}: {error.strerror}. Use a --workdir that you may write to.") from None
    with records.replaced(file) as stream:
        stream.writelines(f"{arch}\n" for arch in sample(config.number, seed=config.seed))
    _step(score.main, score.ScoreConfig, {
        "workdir": workdir, "archs": f"file:{file}", "proxies": config.proxies, "data": "photos", "seed": config.seed,
        "channels": config.channels, "cells": config.cells, "batch_size": config.batch_size,
    })  # fmt: skip
    console = common.stdout()
    console.print()
    _step(correlate.main, correlate.CorrelateConfig, {"workdir": workdir, "seed": config.seed})
    console.print(
        f"\nDone in {common.duration(time.monotonic() - begin)}. Next: open {workdir / 'report.html'}, then score your"
        " own images: python -m launch.score --helpshort", soft_wrap=True,
    )  # fmt: skip


def sample(number: int, *, seed: int = 0) -> list[str]:
    """Draws cells of known accuracy, without repetition.

    Args:
      number: how many.
      seed: seed of the draw.

    Returns:
      Official strings.

    Raises:
      InputError: there are not so many.
    """
    known = tables.load("nasbench201")["arch"].astype(str).to_numpy()
    if number > known.size:
        raise InputError(f"number={number}: there are {known.size:,} cells of known accuracy; use at most so many.")
    return [str(arch) for arch in np.random.default_rng(seed).choice(known, number, replace=False)]


def run() -> None:
    """Entry point of ``python -m nasjax.cli.demo``."""
    common.run(main, DemoConfig)


def _step(step: Callable[[Any], None], config_type: type[Any], flags: dict[str, object]) -> None:
    """Runs another command as if typed, so that its run.flags repeats it."""
    config: Any
    config, given = options.parse(config_type, [f"--{name}={value}" for name, value in flags.items()])
    step(dataclasses.replace(config, run_flags=given))


if __name__ == "__main__":
    run()
