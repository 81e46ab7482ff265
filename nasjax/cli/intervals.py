"""Figures of the layer intervals that a run has found for itself."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

from nasjax import report
from nasjax.figures import Profile, interval_figure
from nasjax.types import InputError


def write(workdir: pathlib.Path, profiles: Mapping[str, Profile]) -> list[pathlib.Path]:
    """Writes one figure for each profile.

    Args:
      workdir: where to.
      profiles: name of the score -> gradient statistics by depth, and the chosen bins.

    Returns:
      The files, named after the scores.

    Raises:
      InputError: a file cannot be written.
    """
    files = []
    for name, profile in profiles.items():
        file = workdir / f"interval_{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}.png"
        try:
            file.write_bytes(report.png(interval_figure(profile)))
        except OSError as error:
            raise InputError(f"Cannot write {file}: {error.strerror}. Use a --workdir that you may write to.") from None
        files.append(file)
    return files
