"""What to lower where a device has no memory left, and whether programs fill the memory maps of a process."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any, TypeVar

import jax

from nasjax.types import InputError

Item = TypeVar("Item")
_SIGNS = ("RESOURCE_EXHAUSTED", "out of memory")


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the host or on a device."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, jax.errors.JaxRuntimeError) and any(sign.lower() in str(error).lower() for sign in _SIGNS)


def advised(blocks: Iterator[Item], space: Any, images: Any, mapped: Any) -> Iterator[Item]:
    """The blocks of a population; where memory runs out, an error that says what to lower.

    Args:
      blocks: from `nasjax.parallel.Mapped.chunks`.
      space: search space.
      images: float [num_batches, batch, height, width, channels].
      mapped: the `nasjax.parallel.Mapped` that makes them.

    Yields:
      the blocks.

    Raises:
      InputError: memory ran out.
    """
    try:
        yield from blocks
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_exhausted(error):
            raise
        raise InputError(f"{space.name}: out of memory; {advice(space, images, mapped)}") from error


def advice(space: Any, images: Any, mapped: Any) -> str:
    """What decides how much memory a run takes, the values it has, and what to do; see `advised`."""
    _, batch, height, width, _ = images.shape
    parts = [f"batch_size={batch}", f"images of {height}x{width} pixels"]
    options = space.options
    parts += [f"{name}={options[name]}" for name in ("channels", "cells", "embed_dims") if name in options]
    together = mapped.batching == "vmap"
    todo = ["batch_size", "image_size", *(["channels"] if "channels" in options else [])]
    if together:
        parts.append(f"chunk={mapped.chunk} architectures at once (batching=vmap)")
        todo = ["chunk, or use batching=map", *todo]
    return f"what takes it: {', '.join(parts)}; do: lower {', '.join(todo)}, or score fewer proxies at a time"


def crowded(share: float = 0.6) -> bool:
    """Whether compiled programs take more than a share of the memory maps that Linux allows a process.

    Each of the many parts of a program for the CPU is a map of its own, and the compiler ends the process where there
    are no more.
    """
    try:
        used = pathlib.Path("/proc/self/maps").read_bytes().count(b"\n")
        allowed = int(pathlib.Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):
        return False  # another system
    return used > share * allowed
