"""Whether space, images and options fit together, before anything is computed."""

from __future__ import annotations

import dataclasses
from typing import Any

from nasjax.data.augment import AugmentConfig
from nasjax.data.stream import Dataset
from nasjax.training.config import TrainConfig
from nasjax.training.objectives import kind_of
from nasjax.training.step import check_drop_path
from nasjax.types import InputError


def normalised(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """The options with the data set's mean and deviation, unless they have some.

    Args:
      config: options.
      dataset: images.

    Returns:
      the options.
    """
    if config.augment.mean:
        return config
    own = dataclasses.replace(config.augment, mean=dataset.mean, std=dataset.std)
    return dataclasses.replace(config, augment=own)


def check(space: Any, dataset: Dataset, config: TrainConfig, *, evaluation: Dataset | None = None) -> None:
    """Refuses what does not fit together.

    Args:
      space: search space.
      dataset: images to train with.
      config: options.
      evaluation: images to evaluate with, or None.

    Raises:
      InputError: another image size, channels, classes or kind of targets, fewer images than a batch, or options that
        the space or its task lacks.
    """
    kind = kind_of(space)
    size = config.augment.size
    seen = dataset if size is None else dataclasses.replace(dataset, image_size=size)
    for data in (seen,) if evaluation is None else (seen, evaluation):
        if data.kind != kind:
            raise InputError(
                f"'{data.source}' has targets of kind {data.kind!r}, space {space.name} needs {kind!r}; allowed: the "
                "same; do: load the data for the task of the space, or change the space's task"
            )
        data.check_fits(space)
    if evaluation is not None and kind == "class":
        check_names(dataset, evaluation)
    if len(dataset) < config.batch_size:
        raise InputError(
            f"batch_size={config.batch_size}, but '{dataset.source}' has {len(dataset)} images; allowed: "
            f"{len(dataset)} at most; do: lower batch_size"
        )
    check_drop_path(space, config)
    moves = dataclasses.replace(config.augment, mean=(), std=()) != AugmentConfig()
    if kind != "class" and (moves or config.label_smoothing):
        raise InputError(
            f"augmentation or label smoothing with targets of kind {kind!r}; allowed: with classes, as other targets "
            "would have to move with the images; do: leave them out"
        )


def check_names(dataset: Dataset, evaluation: Dataset) -> None:
    """Refuses data sets whose numbers mean different classes.

    Args:
      dataset: images to train with.
      evaluation: images to evaluate with.

    Raises:
      InputError: both have names of classes, and these differ.
    """
    own, other = dataset.class_names, evaluation.class_names
    if own and other and own != other:
        alone = sorted({*own} ^ {*other})[:3]
        what = f"only one of them has {', '.join(alone)}" if alone else "they are in another order"
        raise InputError(
            f"classes of '{evaluation.source}' are not those of '{dataset.source}': {what}; allowed: the same names, "
            "so that a number means the same class; do: correct the data to evaluate with"
        )
