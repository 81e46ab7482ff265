"""From the name of an image source to batches."""

from __future__ import annotations

from nasjax.data.batches import Batches


def load(source: str, *, batch_size: int = 64, num_batches: int = 2) -> Batches:
    """Loads batches (to be filled in)."""
    raise NotImplementedError
