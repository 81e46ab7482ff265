"""One of two processes that score, search and train together; started by processes_test.py.

The flag hold stops a process for ever in the middle: process 1 of "score", process 0 of "search". The test then
kills it.
"""

import dataclasses
import importlib.util
import os
import pathlib
import sys
import time

import jax

from nasjax import checkpoint, parallel, records
from nasjax.cli import common, options, score, search

TINY = {"channels": 4, "cells": 1, "image_size": 8, "data": "noise", "batch_size": 4, "num_batches": 2, "chunk": 1}
SCORE = {**TINY, "archs": "random:13", "proxies": "nwot,params"}
SEARCH = {**TINY, "proxies": "nwot,params", "weights": "1,-1", "budget": 12,
          "algorithm_options": "population=5,parents=3,mutations=3,crossovers=2"}  # fmt: skip
LIVENESS = 8  # seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(common.ProcessesConfig, common.JobConfig):
    """What the test asks for."""

    hold: str = common.option("", "What to stop in the middle of.", section="What")


def main(config):
    """Scores, then searches."""
    workdir = pathlib.Path(config.workdir)
    if config.hold == "score" and parallel.process_index() == 1:
        hold_after(records.Store, "put", 2, workdir)
    score.main(score.ScoreConfig(workdir=str(workdir / "score"), **SCORE))
    if config.hold == "search" and parallel.is_main():
        hold_after(checkpoint.Checkpoints, "save", 1, workdir)
    search.main(search.SearchConfig(workdir=str(workdir / "search"), **SEARCH))


def hold_after(owner, name, count, workdir):
    """Lets a method return a number of times, then tells the test and stops for ever."""
    method, calls = getattr(owner, name), []

    def held(self, *args):
        if len(calls) == count:
            (workdir / f"held-{os.getpid()}").touch()
            time.sleep(1000)
        calls.append(1)
        return method(self, *args)

    setattr(owner, name, held)


if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("conftest", pathlib.Path(__file__).parents[1] / "conftest.py")
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    jax.config.update("jax_num_cpu_devices", 2)
    own, _ = options.parse(Config, sys.argv[1:])
    flags = {name: getattr(own, name) for name in common.PROCESS_FLAGS}
    parallel.initialize(**flags, timeout=60, liveness=LIVENESS)
    with conftest.quick():
        common.run(main, Config)
