"""Reads the options of a training from flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from nasjax.cli import common, score
from nasjax.data.augment import AugmentConfig
from nasjax.training import TrainConfig, preset
from nasjax.types import InputError

_FLAGS = ("epochs", "batch_size", "learning_rate")


def read(config: Any) -> TrainConfig:
    """The preset with what the flags change.

    Args:
      config: has ``preset``, ``options``, ``augment``, ``epochs``, ``batch_size`` and ``learning_rate``.

    Returns:
      the options.

    Raises:
      InputError: a name that there is not, or a value that is not allowed.
    """
    changes = pairs("options", config.options, names(TrainConfig))
    for name in _FLAGS:
        value = getattr(config, name)
        if value is not None:
            if name in changes:
                raise InputError(f"--options={config.options}: {name} has a flag of its own, which is given too.")
            changes[name] = value
    if "augment" in changes:
        raise InputError("--options: augment has a flag of its own, --augment.")
    start = preset(config.preset)
    augment, text = start.augment, config.augment.strip()
    if text == "off" or text.startswith("off,"):
        augment, text = AugmentConfig(), text.partition(",")[2]
    augment = dataclasses.replace(augment, **pairs("augment", text, names(AugmentConfig)))
    return dataclasses.replace(start, **changes, augment=augment)


def names(config_type: type) -> list[str]:
    """Names of the options of a dataclass."""
    return [field.name for field in dataclasses.fields(config_type)]


def pairs(flag: str, text: str, known: Sequence[str]) -> dict[str, Any]:
    """Reads pairs name=value; numbers joined by colons are a tuple, none is None.

    Args:
      flag: its name, for messages.
      text: pairs separated by commas.
      known: names that are allowed.

    Returns:
      name -> value.

    Raises:
      InputError: a name that there is not, or another form.
    """
    found: dict[str, Any] = {}
    for name, value in score.pairs(flag, text).items():
        if name not in known:
            raise InputError(f"--{flag}={text}: there is no {name!r}. {common.nearest(name, known)}")
        if value == "none":
            value = None
        elif isinstance(value, str) and ":" in value:
            try:
                value = tuple(int(part) if part.isdigit() else float(part) for part in value.split(":"))
            except ValueError:
                raise InputError(
                    f"--{flag}={text}: {value!r} is no list of numbers joined by colons, as in randaugment=2:9."
                ) from None
        found[name] = value
    return found
