"""How a run is repeated: its command, flags, versions, devices, seed and fingerprints, for its report."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import nasjax
from nasjax import environment, records
from nasjax.cli import common
from nasjax.cli.program import command
from nasjax.report import Repeat

_FINGERPRINT = re.compile(r"sha256 [0-9a-f]{8,}")


def repeat(
    config: Any, workdir: pathlib.Path, *, file: str = common.RUN_FLAGS, devices: bool = True,
    earlier: Sequence[tuple[str, str, str]] = (),
) -> Repeat:  # fmt: skip
    """Describes a run for its report.

    Args:
      config: configuration of the command, with the flags that were given as ``run_flags``.
      workdir: directory of the run, whose ``config.json``, where there is one, holds fingerprints.
      file: name of the file of flags in it.
      devices: whether the run computed on devices, which are then named.
      earlier: what has to run before it, as of the function of this name.

    Returns:
      The description.
    """
    facts = environment.describe(nasjax.__version__, devices=devices)
    for name in ("seed", "precision"):
        if hasattr(config, name):
            facts[name.capitalize()] = str(getattr(config, name))
    facts |= fingerprints(workdir)
    return Repeat(f"{command(config)} --flagfile={workdir / file}", config.run_flags, facts, tuple(earlier))


def earlier(workdir: pathlib.Path, sentence: str, *, file: str = common.RUN_FLAGS) -> list[tuple[str, str, str]]:
    """The command whose results another one reads, as its file of flags tells it.

    Args:
      workdir: directory of the earlier run.
      sentence: what it did.
      file: name of the file of flags.

    Returns:
      One entry (sentence, command, flags); none where there is no such file.
    """
    try:
        first, _, flags = (workdir / file).read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return []
    line = first.removeprefix("# Repeats this run: ")
    return [(sentence, line, flags)] if line != first else []


def fingerprints(workdir: pathlib.Path) -> dict[str, str]:
    """Fingerprints of what a run works on.

    Args:
      workdir: its directory.

    Returns:
      name -> text with a SHA-256; empty without ``config.json``.
    """
    try:
        known: Any = json.loads((workdir / records.CONFIG_FILENAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    texts = {
        name: ", ".join(value) if isinstance(value, list) and all(isinstance(part, str) for part in value) else value
        for name, value in known.items()
    }
    return {
        name.replace("_", " ").capitalize(): value
        for name, value in texts.items()
        if isinstance(value, str) and _FINGERPRINT.search(value)
    }
