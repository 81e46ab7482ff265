"""Whether loaded targets fit what a space predicts."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasjax.types import InputError


def check_targets(space: Any, targets: np.ndarray, images: np.ndarray) -> None:
    """Refuses targets that do not fit the space.

    A space with tasks other than classification brings its own ``check_targets(targets, images)``.

    Args:
      space: search space.
      targets: [num_batches, batch, ...].
      images: float [num_batches, batch, height, width, channels].

    Raises:
      InputError: they are no class numbers of the space, or not what its task needs.
    """
    own = getattr(space, "check_targets", None)
    if own is not None:
        own(targets, images)
        return
    if targets.ndim != 2 or not np.issubdtype(targets.dtype, np.integer):
        raise InputError(
            f"Targets of shape {list(targets.shape[1:])} and type {targets.dtype}; space {space.name!r} needs class "
            "numbers [batch]."
        )
    top, low = int(np.max(targets)), int(np.min(targets))
    if low < 0:
        raise InputError(f"Label {low} is no class number; allowed are 0 to {space.num_classes - 1}.")
    if top >= space.num_classes:
        raise InputError(
            f"Label {top} does not fit num_classes={space.num_classes}; "
            f"set the space's num_classes to at least {top + 1}."
        )
