"""Builds a benchmark: every architecture on every task, block by block, on all local devices."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from nasjax import parallel
from nasjax.benchmark import plan as planning
from nasjax.benchmark.config import BenchmarkConfig
from nasjax.benchmark.plan import Block
from nasjax.benchmark.programs import Programs
from nasjax.benchmark.store import EpochStore, Row
from nasjax.benchmark.table import TABLE, Facts, packages, write_table
from nasjax.benchmark.tasks import TaskData
from nasjax.benchmark.trainer import Trainer
from nasjax.benchmark.training import Setting, steps_per_epoch, train_block
from nasjax.hashing import fingerprint
from nasjax.spaces.base import check_key
from nasjax.types import InputError

Progress = Callable[[int, int], None]


def build(
    space: Any,
    archs: Sequence[str],
    tasks: Sequence[TaskData],
    trainer: Callable[[TaskData], Trainer],
    *,
    key: jax.Array,
    workdir: str | os.PathLike[str],
    config: BenchmarkConfig | None = None,
    spaces: Mapping[str, Any] | None = None,
    devices: int | Sequence[jax.Device] | None = None,
    process: int | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
    about: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Trains architectures on tasks and writes the table; goes on where an earlier call was stopped.

    Args:
      space: search space.
      archs: official encodings, each once; see ``sample_distinct``.
      tasks: of `nasjax.benchmark.tasks.prepare`.
      trainer: how networks are trained on a task, such as `standard_trainer` with the statistics of the task.
      key: typed key; that of an architecture is folded from it, seed, task and encoding, so what a network becomes
        does not depend on the others.
      workdir: directory of the states, the rows and the table.
      config: seeds, held-out images and blocks.
      spaces: task -> its space; by default ``space`` with the task's number of classes and image size.
      devices: None for all local ones, a number, or the devices; each takes one block after another.
      process: number of this process; that of `nasjax.parallel` by default.
      processes: how many processes share the blocks, all with the same arguments and a common ``workdir``; likewise.
      progress: called as progress(done, total), in epochs of an architecture.
      about: for the record in ``benchmark.json``.

    Returns:
      ``benchmark.csv.gz``. Processes that `nasjax.parallel.initialize` joined wait for all, and the first writes it; of
      others, the last one to end writes the whole.

    Raises:
      InputError: anything does not fit, or the workdir cannot be written.
    """
    check_key(key)
    config = BenchmarkConfig() if config is None else config
    process = parallel.process_index() if process is None else process
    processes = parallel.process_count() if processes is None else processes
    by_task = {data.name: data for data in tasks}
    if not by_task or len(by_task) < len(tasks):
        raise InputError(f"tasks {[d.name for d in tasks]}; allowed: one or more of different names; do: rename")
    trainers = {name: trainer(data) for name, data in by_task.items()}
    own_spaces = {name: (spaces or {}).get(name) or for_task(space, data) for name, data in by_task.items()}
    plan = planning.blocks(space, archs, list(by_task), config)
    mine = planning.share(plan, process=process, processes=processes)
    for name, data in by_task.items():
        steps_per_epoch(data, trainers[name])
        check_images(own_spaces[name], data)
    epochs = {t.epochs for t in trainers.values()}
    if len(epochs) > 1:
        raise InputError(f"trainings of {sorted(epochs)} epochs; allowed: as many on every task; do: make them alike")
    description = {
        "space": space.name,
        "space options": {name: s.options for name, s in own_spaces.items()},
        "tasks": {name: data.describe() for name, data in by_task.items()},
        "training": {name: dict(t.description) for name, t in trainers.items()},
        "config": config.describe(),
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "architectures": fingerprint(list(archs)),
    }
    directory = pathlib.Path(workdir)
    chosen = _devices(devices)
    with EpochStore(directory, process=process if processes > 1 else None) as store:
        store.begin({"packages": packages(), "devices": [d.device_kind for d in chosen], "processes": processes})
        (number,) = epochs
        counter = _Counter(mine, number, progress)
        todo = _unfinished(store, mine, number, counter, directory)
        work = _Work(by_task, trainers, own_spaces, config, key, description, directory, counter)
        if len(chosen) == 1:
            for block in todo:
                work.train(block, chosen[0], store)
        else:
            _on_lanes(todo, chosen, work, process if processes > 1 else None)
        if parallel.process_count() > 1:
            parallel.gather("benchmark", process)  # until all are done
            if not parallel.is_main():
                return directory / TABLE
        return _write(space, archs, own_spaces, store, number, directory, {**(about or {}), "benchmark": description})


def for_task(space: Any, data: TaskData) -> Any:
    """The space with the classes, the image size and the channels of a task.

    Args:
      space: search space.
      data: the task.

    Returns:
      A space that differs in nothing else.
    """
    known = {field.name for field in dataclasses.fields(space)}
    wanted = {"num_classes": data.num_classes, "image_size": data.image_size, "in_channels": data.channels}
    return dataclasses.replace(space, **{name: value for name, value in wanted.items() if name in known})


def check_images(space: Any, data: TaskData) -> None:
    """Refuses a space that cannot take the images of a task.

    Args:
      space: of the task.
      data: the task.

    Raises:
      InputError: image size, channels or number of classes do not fit.
    """
    for name, value in (("image_size", data.image_size), ("in_channels", data.channels)):
        if getattr(space, name, value) != value:
            raise InputError(
                f"images of task {data.name} have {name}={value}, the space expects {getattr(space, name)}; do: make "
                "them alike"
            )
    if space.num_classes < data.num_classes:
        raise InputError(
            f"task {data.name} has {data.num_classes} classes, the space num_classes={space.num_classes}; allowed: at "
            "least as many; do: raise num_classes"
        )


class _Counter:
    """Epochs of architectures that are finished, over all blocks of this process."""

    def __init__(self, mine: Sequence[Block], epochs: int, progress: Progress | None) -> None:
        self._total = epochs * sum(len(block.archs) for block in mine)
        self._sizes = {block.number: len(block.archs) for block in mine}
        self._done = dict.fromkeys(self._sizes, 0)
        self._progress = progress
        self._lock = threading.Lock()

    def set(self, block: Block, epochs: int, *, quiet: bool = False) -> None:
        with self._lock:
            self._done[block.number] = epochs * self._sizes[block.number]
            done = sum(self._done.values())
            if self._progress is not None and not quiet:
                self._progress(done, self._total)


def _unfinished(
    store: EpochStore, mine: Sequence[Block], epochs: int, counter: _Counter, directory: pathlib.Path
) -> list[Block]:
    """The blocks that lack a row of the last epoch; what is left of the state of the others is removed."""
    reached: dict[tuple[str, str, int], int] = {}
    for row in store.rows():
        name = (row.arch, row.task, row.seed)
        reached[name] = max(reached.get(name, 0), row.epoch)
    todo = []
    for block in mine:
        least = min(reached.get((arch, block.task, block.seed), 0) for arch in block.archs)
        counter.set(block, least, quiet=True)
        if least < epochs:
            todo.append(block)
        else:
            shutil.rmtree(states(directory, block), ignore_errors=True)
    if mine:
        last = mine[-1]
        counter.set(last, min(reached.get((arch, last.task, last.seed), 0) for arch in last.archs))
    return todo


def states(directory: pathlib.Path, block: Block) -> pathlib.Path:
    """Where the state of a block lies while it is trained."""
    return directory / "checkpoints" / block.name


@dataclasses.dataclass
class _Work:
    """What the lanes share."""

    tasks: dict[str, TaskData]
    trainers: dict[str, Trainer]
    spaces: dict[str, Any]
    config: BenchmarkConfig
    key: jax.Array
    description: dict[str, Any]
    directory: pathlib.Path
    counter: _Counter
    programs: dict[Any, Programs] = dataclasses.field(default_factory=dict)

    def train(self, block: Block, device: jax.Device, store: EpochStore) -> None:
        """Trains one block on one device."""
        space = self.spaces[block.task]
        first = space.decode([block.archs[0]])
        bound = space.bind(space.signature(first)[0])
        name = (block.task, bound, device)
        if name not in self.programs:
            # Blocks come by task and signature: a device needs the programs of one at a time.
            for old in [known for known in self.programs if known[2] == device]:
                del self.programs[old]
            single = self.config.batching == "single"
            slots, batching = (1, "map") if single else (self.config.block, self.config.batching)
            self.programs[name] = Programs(self.trainers[block.task], bound, slots, batching, device)
        setting = Setting(
            self.trainers[block.task], self.tasks[block.task], bound, self.programs[name], self.key, self.config.steps,
            self.description,
        )  # fmt: skip
        train_block(
            block, setting, store, states(self.directory, block),
            advanced=lambda epochs: self.counter.set(block, epochs),
        )  # fmt: skip


def _on_lanes(todo: Iterable[Block], devices: Sequence[jax.Device], work: _Work, process: int | None) -> None:
    """Gives blocks to devices in turn, each in a thread of its own; the first failure stops all after their epoch."""
    waiting: queue.SimpleQueue[Block] = queue.SimpleQueue()
    for block in todo:
        waiting.put(block)
    failures: list[BaseException] = []

    def lane(device: jax.Device) -> None:
        try:
            with EpochStore(work.directory, process=process) as store:
                while not failures:
                    try:
                        block = waiting.get_nowait()
                    except queue.Empty:
                        return
                    work.train(block, device, store)
        except BaseException as error:  # handed to the caller
            failures.append(error)

    x64 = jax.dtypes.canonicalize_dtype(np.float64) == np.float64

    def started(device: jax.Device) -> None:
        with jax.enable_x64(x64):  # a setting of the thread
            lane(device)

    threads = [threading.Thread(target=started, args=(device,), name=f"nasjax-{i}") for i, device in enumerate(devices)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as error:
        failures.append(error)
        for thread in threads:
            thread.join()
        raise
    if failures:
        raise failures[0]


def _devices(devices: int | Sequence[jax.Device] | None) -> tuple[jax.Device, ...]:
    """Checked by the population map, which knows the rules."""
    return parallel.population_map(lambda item: item, engine="host", devices=devices).devices


def _write(
    space: Any,
    archs: Sequence[str],
    spaces: Mapping[str, Any],
    store: EpochStore,
    epochs: int,
    directory: pathlib.Path,
    about: Mapping[str, Any],
) -> pathlib.Path:
    """The table of all rows that there are."""
    facts = {(task, arch): fact for task, own in spaces.items() for arch, fact in facts_of(own, archs).items()}
    rows: list[Row] = store.rows()
    path, _ = write_table(
        directory, rows, facts, space=space.name, epochs=epochs, archs=archs, about={**about, "runs": store.runs()}
    )
    return path


def facts_of(space: Any, archs: Sequence[str]) -> dict[str, Facts]:
    """Signature and costs of architectures.

    Args:
      space: of a task.
      archs: official encodings.

    Returns:
      architecture -> facts.
    """
    population = space.decode(list(archs))
    signatures = space.signature(population)
    rows = planning.members(population)
    return {
        text: Facts(str(signature), int(space.num_params(arch)), int(space.flops(arch)))
        for text, signature, arch in zip(archs, signatures, rows, strict=True)
    }
