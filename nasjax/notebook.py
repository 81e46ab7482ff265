"""Help for notebooks: versions and devices, progress and time of a step, figures.

Works in Jupyter, Colab and, without pictures, in plain Python.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from matplotlib.figure import Figure

from nasjax import parallel, report

_SHOWN = ("nasjax", "jax", "flax", "optax")
_EVERY = 0.5  # seconds between two lines of progress
_INCH = 96  # pixels of a page


def about() -> str:
    """Says what runs here.

    Returns:
      Two lines: versions of nasjax, JAX, Flax, Optax and Python; kind and number of the devices.
    """
    versions = ", ".join(f"{name} {_version(name)}" for name in _SHOWN)
    return f"{versions}, Python {platform.python_version()}\ndevices: {parallel.device_summary()}"


def show(figure: Figure) -> None:
    """Shows a figure beneath the cell, sharp on dense screens.

    Args:
      figure: of `nasjax.figures` or any other of matplotlib.
    """
    from IPython.display import Image, display

    display(Image(report.png(figure), width=round(figure.get_size_inches()[0] * _INCH)))


@contextlib.contextmanager
def progress(what: str, *, file: TextIO | None = None) -> Iterator[Callable[[int, int], None]]:
    """Shows how far a step is, and how long it took.

    Args:
      what: the step, such as "Scoring".
      file: where the line goes; standard output by default.

    Yields:
      a function (done, total) for the argument ``progress`` of nasjax; calling it is optional.
    """
    begin, last, shown = time.monotonic(), -_EVERY, ""
    out = sys.stdout if file is None else file

    def line(text: str) -> None:
        nonlocal shown
        out.write(f"\r{text.ljust(len(shown))}")  # covers what stood there
        out.flush()
        shown = text

    def report_progress(done: int, total: int) -> None:
        nonlocal last
        elapsed = time.monotonic() - begin
        if elapsed - last >= _EVERY:
            last = elapsed
            line(f"{what}: {done:,} of {total:,}, {elapsed:.0f} s")

    yield report_progress
    line(f"{what}: {time.monotonic() - begin:.1f} s")
    out.write("\n")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # a checkout on the path
        return "not installed"
