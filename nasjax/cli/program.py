"""How commands are called: ``python -m launch.score`` in a checkout, ``nasjax-score`` where nasjax is installed."""

from __future__ import annotations

import pathlib
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

PREFIX = "nasjax-"


def program() -> str:
    """How this process was started, as a person would type it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        return f"python -m {re.sub(r'[.]__main__$', '', spec.name)}"
    name = pathlib.PurePath(sys.argv[0]).stem
    if name.startswith(PREFIX):
        return name
    return f"python {sys.argv[0]}" if sys.argv[0] else "python"


def command(config: Any) -> str:
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
    name = pathlib.PurePath(sys.argv[0]).stem
    return name if name == script(own) else f"python -m {module}"


def spelled(text: str) -> str:
    """Names commands as this one was called.

    Args:
      text: names them as a checkout does, ``python -m launch.score`` or ``launch.score``.

    Returns:
      The text; in an installed command with ``nasjax-score``.
    """
    if not program().startswith(PREFIX):
        return text
    return re.sub(r"(?:python -m )?\blaunch\.([a-z]+(?:_[a-z]+)*)", lambda m: script(m[1]), text)


def script(name: str) -> str:
    """The installed command of a module of ``launch``: "das_search" -> "nasjax-das-search"."""
    return PREFIX + name.replace("_", "-")


def again(argv: Sequence[str], flags: str, file: pathlib.Path | None) -> str:
    """The command that repeats this one.

    Args:
      argv: its words.
      flags: those that differ from their defaults, one a line.
      file: the run.flags of its working directory, or None.

    Returns:
      With ``--flagfile`` where the file holds these flags, else with all words.
    """
    try:
        if file is not None and flags and file.read_text(encoding="utf-8").endswith(f"\n{flags}"):
            return f"{program()} {shlex.quote(f'--flagfile={file}')}"
    except OSError:
        pass
    return " ".join([program(), *map(shlex.quote, argv)])
