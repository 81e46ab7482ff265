"""Measures of a network on a whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from nasjax.data import stream
from nasjax.data.stream import Dataset
from nasjax.parallel import DataParallel
from nasjax.spaces.base import bind_one
from nasjax.training.config import TrainConfig
from nasjax.training.objectives import kind_of, summary
from nasjax.training.programs import programs
from nasjax.types import PyTree, Variables

_IN_FLIGHT = 2  # batches handed to the device before the host waits for one


def evaluate(
    space: Any,
    arch: PyTree,
    variables: Variables,
    dataset: Dataset,
    config: TrainConfig,
    *,
    devices: int | Sequence[jax.Device] | None = None,
) -> dict[str, float]:
    """Measures a network on a data set, with running statistics and without augmentation.

    Args:
      space: search space.
      arch: one architecture.
      variables: of the network.
      dataset: images and targets.
      config: options of the training, of which batch size and normalisation count; see `TrainResult.config`.
      devices: as of `nasjax.training.train`.

    Returns:
      measure -> number: "loss"; of classes "accuracy" and, with more than five, "top5", shares of the images; of
      classes of pixels "accuracy" and "miou"; of images "ssim".

    Raises:
      InputError: images do not fit.
    """
    bound = bind_one(space, arch)
    dataset.check_fits(bound)
    run = programs(bound, config, devices=devices).evaluate
    arch = jax.tree.map(np.asarray, arch)
    return measure(run, arch, variables, dataset, config.batch_size, kind_of(bound))


def measure(
    run: DataParallel, arch: PyTree, variables: Variables, dataset: Dataset, batch_size: int, kind: str
) -> dict[str, float]:
    """Measures a network with a program that is made already.

    Args:
      run: "evaluate" of `nasjax.training.programs.Programs`.
      arch: one architecture.
      variables: of the network.
      dataset: images and targets.
      batch_size: images a batch, over all devices.
      kind: of the targets.

    Returns:
      as of `evaluate`.
    """
    number, parts = run.part
    share = batch_size // parts
    own = slice(number * share, (number + 1) * share)
    cut = (
        (batch.images[own], batch.labels[own], weights[own]) for batch, weights in stream.in_order(dataset, batch_size)
    )
    total: dict[str, Any] = {}
    pending: list[PyTree] = []
    with stream.prefetch(cut, transfer=run.place) as ahead:
        for batch in ahead:
            pending.append(run((variables, arch), batch))
            if len(pending) > _IN_FLIGHT:
                _add(total, pending.pop(0))
    for sums in pending:
        _add(total, sums)
    return summary(kind, total)


def _add(total: dict[str, Any], sums: PyTree) -> None:
    for name, value in sums.items():
        total[name] = total.get(name, 0.0) + np.asarray(value, np.float64)
