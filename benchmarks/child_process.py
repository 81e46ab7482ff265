"""Runs a module in a process of its own, so that memory, devices and compiled programs are its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import torch_process


def run(module: str, options: Sequence[str], *, what: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Runs a module without the persistent compilation cache, so that compile times are cold.

    Args:
      module: such as ``benchmarks.growth``.
      options: its command line.
      what: what is measured, for the message.
      env: environment variables beside those of this process.

    Returns:
      the JSON of the last line that it prints.

    Raises:
      SystemExit: the process failed.
    """
    own = {name: text for name, text in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"} | dict(env or {})
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=torch_process.ROOT, env=own, check=False)
    if done.returncode:
        raise SystemExit(f"{what}: the process failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
