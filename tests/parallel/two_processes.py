"""One of two processes that search, score and train together; started by processes_test.py.

The flag hold stops process 1 for ever in the middle of the second generation, where the test kills it.
"""

import dataclasses
import importlib.util
import pathlib
import sys
import time

import jax

from nasjax import data, parallel, records, training
from nasjax.cli import common, options, score, search

TINY = {"channels": 4, "cells": 1, "image_size": 8, "data": "noise", "batch_size": 4, "num_batches": 2, "chunk": 1}
SCORE = {**TINY, "archs": "random:13", "proxies": "nwot,params"}
SEARCH = {**TINY, "proxies": "nwot,params", "weights": "1,-1", "budget": 12,
          "algorithm_options": "population=5,parents=3,mutations=3,crossovers=2"}  # fmt: skip
TRAIN = {"epochs": 3, "batch_size": 8, "learning_rate": 0.5, "average": 0.8, "drop_path": 0.1}
LIVENESS = 6  # seconds until the others notice a kill


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(common.ProcessesConfig, common.JobConfig):
    """What the test asks for."""

    hold: bool = common.option(False, "Whether to stop in the middle of the search.", section="What")


def main(config):
    """Searches, scores, trains."""
    workdir = pathlib.Path(config.workdir)
    if config.hold and parallel.process_index() == 1:
        hold_after(1, workdir)  # a generation is a block
    search.main(search.SearchConfig(workdir=str(workdir / "search"), **SEARCH))
    score.main(score.ScoreConfig(workdir=str(workdir / "score"), **SCORE))
    train(workdir / "train", workdir.parent / "tiny.npz")


def train(workdir, file, **options):
    """Trains the tiny space of the tests of training, in float64."""
    space = load("training/conftest.py").Tiny()
    images = [data.load_dataset(f"npz:{file}", split=split) for split in ("train", "test")]
    augmented = data.augment.AugmentConfig(flip=True, crop_padding=1, mixup=0.3)
    with jax.enable_x64(True):
        config = training.TrainConfig(**TRAIN, augment=augmented)
        return training.train(space, space.decode(["1"])[0], images[0], config, key=jax.random.key(3),
                              evaluation=images[1], workdir=workdir, **options)  # fmt: skip


def load(name):
    """A module of the tests."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), pathlib.Path(__file__).parents[1] / name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def hold_after(blocks, workdir):
    """Lets the store take a number of blocks, then tells the test and stops for ever."""
    put, taken = records.Store.put, []

    def held(store, rows):
        if len(taken) == blocks:
            (workdir / "held").touch()
            time.sleep(1000)
        taken.append(1)
        put(store, rows)

    records.Store.put = held


if __name__ == "__main__":
    conftest = load("conftest.py")
    jax.config.update("jax_num_cpu_devices", 2)
    # The second pair finds even the smallest programs of the first.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    own, _ = options.parse(Config, sys.argv[1:])
    flags = {name: getattr(own, name) for name in common.PROCESS_FLAGS}
    parallel.initialize(**flags, liveness=LIVENESS if own.hold else parallel.LIVENESS)
    common.run(main, Config)
