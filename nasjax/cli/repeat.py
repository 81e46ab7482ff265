"""How a run is repeated: its command, flags, versions, devices, seed and fingerprints, for its report."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import pathlib
import platform
import re
import subprocess
import sys
from typing import Any

import nasjax
from nasjax import parallel, records
from nasjax.cli import common
from nasjax.report import Repeat

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pandas")
_FINGERPRINT = re.compile(r"sha256 [0-9a-f]{8,}")


def repeat(config: Any, workdir: pathlib.Path, *, file: str = common.RUN_FLAGS, devices: bool = True) -> Repeat:
    """Describes a run for its report.

    Args:
      config: configuration of the command, with the flags that were given as ``run_flags``.
      workdir: directory of the run, whose ``config.json``, where there is one, holds fingerprints.
      file: name of the file of flags in it.
      devices: whether the run computed on devices, which are then named.

    Returns:
      The description.
    """
    facts = {"nasjax": version(), "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    facts["System"] = f"{platform.system()} {platform.machine()}"
    if devices:
        facts["Devices"] = parallel.device_summary()
    for name in ("seed", "precision"):
        if hasattr(config, name):
            facts[name.capitalize()] = str(getattr(config, name))
    facts |= fingerprints(workdir)
    facts["Written"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Repeat(f"{program(config)} --flagfile={workdir / file}", config.run_flags, facts)


def program(config: Any) -> str:
    """The command of a configuration, also where another program called it, such as the demonstration.

    Args:
      config: configuration of the command.

    Returns:
      How a person types it.
    """
    module = type(config).__module__
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    started, own = "" if spec is None else spec.name, module.rpartition(".")[2]
    if started and (module == "__main__" or started.rpartition(".")[2] == own):
        return f"python -m {started}"
    script = pathlib.Path(sys.argv[0]).stem
    return script if script == f"nasjax-{own.replace('_', '-')}" else f"python -m {module}"


def version() -> str:
    """Version of nasjax; of a checkout with its commit.

    Returns:
      such as "0.1.0, commit 1a2b3c4", with "-dirty" where files were changed.
    """
    root = pathlib.Path(nasjax.__file__).parents[1]
    if not (root / ".git").exists():
        return str(nasjax.__version__)
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--match="], capture_output=True, text=True,
            timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return str(nasjax.__version__)
    commit = done.stdout.strip()
    return f"{nasjax.__version__}, commit {commit}" if done.returncode == 0 and commit else str(nasjax.__version__)


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
    return {
        name.replace("_", " ").capitalize(): value
        for name, value in known.items()
        if isinstance(value, str) and _FINGERPRINT.search(value)
    }
