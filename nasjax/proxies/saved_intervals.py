"""Layer intervals kept by name, to be found once for a space and task and used ever after."""

from __future__ import annotations

import json
import os
import pathlib
import re
from typing import Any

from nasjax.proxies.profile import IntervalProfile
from nasjax.types import InputError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_RESERVED = ("auto", "none", "all")


def folder() -> pathlib.Path:
    """Where intervals lie: ``$NASJAX_INTERVALS``, or ``intervals`` in the current directory."""
    return pathlib.Path(os.environ.get("NASJAX_INTERVALS") or "intervals")


def check_name(name: str) -> str:
    """The name, if an interval may have it.

    Raises:
      InputError: it is not a word that ``interval=`` could not mean otherwise.
    """
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
        raise InputError(
            f"{name!r} is no name for a layer interval; allowed: a letter, then letters, digits, '_', '-' and '.', but "
            f"not {', '.join(_RESERVED)}."
        )
    return name


def save(name: str, profile: IntervalProfile, about: dict[str, Any]) -> pathlib.Path:
    """Keeps a profile by name; one of the same name is replaced.

    Args:
      name: what ``interval=`` will call it.
      profile: statistics and the chosen interval.
      about: what it belongs to: space, options, data; JSON-serialisable.

    Returns:
      the file.

    Raises:
      InputError: not a name, or the folder cannot be written.
    """
    file = folder() / f"{check_name(name)}.json"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_name(f".{file.name}.{os.getpid()}")
        half.write_text(json.dumps({**about, "profile": profile.to_json()}, indent=2) + "\n", encoding="utf-8")
        half.replace(file)  # at once: readers see the old file or the new one
    except OSError as error:
        hint = "Set NASJAX_INTERVALS to a folder that you may write to."
        raise InputError(f"Cannot write {file}: {error.strerror}. {hint}") from None
    return file


def load(name: str) -> IntervalProfile:
    """A profile kept by name.

    Args:
      name: as given to ``save``.

    Returns:
      the profile.

    Raises:
      InputError: there is none of that name (the others are listed), or the file is damaged.
    """
    file = folder() / f"{check_name(name)}.json"
    if not file.is_file():
        known = ", ".join(sorted(f.stem for f in folder().glob("*.json"))) or "none"
        raise InputError(
            f"No layer interval named {name!r} in {folder()}; there: {known}. Make it by launch.profile_layers "
            f"--name={name}, set NASJAX_INTERVALS to its folder, or give bins as low-high (0..9), auto or none."
        )
    try:
        return IntervalProfile.from_json(json.loads(file.read_text(encoding="utf-8"))["profile"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file} is not a layer interval as launch.profile_layers writes it; make it again.") from None
