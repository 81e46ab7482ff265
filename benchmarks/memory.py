"""Peak memory of this process, from its start and from a moment on."""

from __future__ import annotations

import ctypes
import pathlib
import resource

_STATUS, _CLEAR = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")


def peak_gib() -> float:
    """Largest resident memory since the start, in GiB; ask before `restart`."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def restart() -> float | None:
    """Gives free memory back and lets the peak start anew.

    Returns:
      the peak until now, in GiB; None where the system has no such thing (it is Linux's), and nothing has changed.
    """
    before = peak_gib()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        _CLEAR.write_text("5")
    except (OSError, AttributeError):
        return None
    return before


def since_restart_gib() -> float:
    """Largest resident memory since `restart`, in GiB."""
    for row in _STATUS.read_text().splitlines():
        if row.startswith("VmHWM:"):
            return int(row.split()[1]) / 2**20
    raise RuntimeError(f"{_STATUS} has no VmHWM")
