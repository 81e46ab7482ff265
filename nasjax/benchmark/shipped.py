"""The benchmark that comes with the package."""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import io
import json
from typing import TYPE_CHECKING, Any

from nasjax.types import InputError

if TYPE_CHECKING:
    import pandas as pd

NAME = "kronecker"


def kronecker_table() -> pd.DataFrame:
    """The shipped benchmark of the Kronecker space: small networks on subsets of CIFAR-10 and CIFAR-100.

    Trained by ``launch.grasp_benchmark`` on a CPU; `kronecker_about` has the command. The architectures are those of
    ids 0, 1, ... of the space that its options make.

    Returns:
      A fresh table with a row an epoch, as `nasjax.benchmark.read_table` gives it, for `nasjax.benchmark.curves` and
      `nasjax.benchmark.wide`.

    Raises:
      InputError: the installation lacks the file, or it was changed.
    """
    import pandas as pd

    about = _about()
    content = _asset(f"{NAME}.csv.gz")
    found = hashlib.sha256(content).hexdigest()
    if found != about["sha256"]:
        raise InputError(
            f"{NAME}.csv.gz of the package is not the table that {NAME}.json describes (SHA-256 {found[:16]}..., there "
            f"{about['sha256'][:16]}...); do: install nasjax again"
        )
    types = {"arch": "str", "signature": "str", "task": "str", "reason": "str"}
    return pd.read_csv(io.BytesIO(content), compression="gzip", dtype=types).fillna({"reason": ""})


def kronecker_about() -> dict[str, Any]:
    """How the shipped benchmark was made: flags, options, images, versions of packages, devices."""
    described: dict[str, Any] = json.loads(json.dumps(_about()))
    return described


def kronecker_space(task: str) -> Any:
    """The space of the shipped benchmark on one of its tasks.

    Args:
      task: "cifar10" or "cifar100".

    Returns:
      the space.

    Raises:
      InputError: another task.
    """
    from nasjax.spaces.kronecker import Kronecker

    options = _about()["benchmark"]["space options"]
    if task not in options:
        raise InputError(f"task={task!r}; allowed: {', '.join(options)}; do: choose one of them")
    return Kronecker(**options[task])


@functools.cache
def _about() -> dict[str, Any]:
    described: dict[str, Any] = json.loads(_asset(f"{NAME}.json"))
    return described


def _asset(name: str) -> bytes:
    try:
        return (importlib.resources.files("nasjax.data") / "assets" / name).read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"this installation lacks {name}; do: install nasjax again, or make it by launch.grasp_benchmark and "
            "scripts/make_kronecker.py"
        ) from None
