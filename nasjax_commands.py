"""Entry points of the commands: ``nasjax-score`` and its like, and ``python -m launch.score``.

It stands beside the package, not in it: importing nasjax loads JAX and takes seconds, and Ctrl-C should be heard from
the first of them.
"""

import importlib
import os
import signal

COMMANDS = (
    "benchmark",
    "correlate",
    "das_erf",
    "das_search",
    "das_train",
    "grasp",
    "grasp_benchmark",
    "libra",
    "profile_layers",
    "score",
    "search",
    "train",
)


def start(name: str) -> None:
    """Runs a command and ends the process with its exit code.

    Args:
      name: a module of ``nasjax.cli`` with a function ``run``, one of ``COMMANDS``.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _leave)
    importlib.import_module(f"nasjax.cli.{name}").run()


def _leave(number: int, frame: object) -> None:
    """Ends a process that is still loading its libraries; once they are loaded, the command itself listens."""
    del frame
    os.write(2, b"Stopped while starting; nothing was written. The same command begins anew.\n")
    os._exit(128 + number)


def benchmark() -> None:
    """``nasjax-benchmark``: trains architectures on tasks and writes one table of their accuracies."""
    start("benchmark")


def correlate() -> None:
    """``nasjax-correlate``: measures how well scores rank architectures."""
    start("correlate")


def das_erf() -> None:
    """``nasjax-das-erf``: measures effective receptive fields."""
    start("das_erf")


def das_search() -> None:
    """``nasjax-das-search``: searches for the image-to-video transformations of DAS."""
    start("das_search")


def das_train() -> None:
    """``nasjax-das-train``: trains a network on the videos of a genotype."""
    start("das_train")


def grasp() -> None:
    """``nasjax-grasp``: predicts which architectures are good from a few that are known."""
    start("grasp")


def grasp_benchmark() -> None:
    """``nasjax-grasp-benchmark``: builds a benchmark of the Kronecker space."""
    start("grasp_benchmark")


def libra() -> None:
    """``nasjax-libra``: chooses proxies that complement each other."""
    start("libra")


def profile_layers() -> None:
    """``nasjax-profile-layers``: finds which layers of a search space L-SWAG should read."""
    start("profile_layers")


def score() -> None:
    """``nasjax-score``: scores architectures without training them."""
    start("score")


def search() -> None:
    """``nasjax-search``: searches a space for the best architecture."""
    start("search")


def train() -> None:
    """``nasjax-train``: trains one architecture."""
    start("train")
