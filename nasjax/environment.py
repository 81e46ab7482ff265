"""What a run ran on: versions, system, devices, time."""

from __future__ import annotations

import datetime
import importlib.metadata
import pathlib
import platform
import subprocess

from nasjax import parallel

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pandas")


def describe(version: str = "", *, devices: bool = True) -> dict[str, str]:
    """Describes the environment for a report.

    Args:
      version: of nasjax; that of the installed package by default.
      devices: whether devices are named.

    Returns:
      Short name -> text.
    """
    facts = {"nasjax": with_commit(version or _installed("nasjax") or "of a checkout")}
    facts["Python"] = platform.python_version()
    facts |= {name: found for name in PACKAGES if (found := _installed(name))}
    facts["System"] = f"{platform.system()} {platform.machine()}"
    if devices:
        facts["Devices"] = parallel.device_summary()
    facts["Written"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return facts


def with_commit(version: str, *, root: pathlib.Path | None = None) -> str:
    """A version, of a checkout with its commit.

    Args:
      version: such as "0.1.0".
      root: of the checkout; where this package lies by default.

    Returns:
      such as "0.1.0, commit 1a2b3c4", with "-dirty" where files were changed.
    """
    root = root or pathlib.Path(__file__).parents[1]
    if not (root / ".git").exists():
        return version
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--match="], capture_output=True, text=True,
            timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return version
    commit = done.stdout.strip()
    return f"{version}, commit {commit}" if done.returncode == 0 and commit else version


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
