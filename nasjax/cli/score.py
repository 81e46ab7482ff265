"""Scores neural architectures without training them, and ranks them.

Examples:
  python -m launch.score --workdir=runs/first --archs=random:64
  python -m launch.score --workdir=runs/cifar --data=npz:cifar10.npz#test --proxies=lswag,zico --archs=all
  python -m launch.score --workdir=runs/mine --archs=file:my_architectures.txt --proxies=all

Every finished block is saved in the workdir: stopped at any moment, the same command goes on from there. Several
processes share the work where each is started with --coordinator_address, --num_processes and --process_id, or by
SLURM, GKE, a TPU pod or Open MPI.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
import time
from collections.abc import Iterator
from typing import Any

import jax

import nasjax
from nasjax import hashing, parallel, records
from nasjax.cli import archs, common, intervals, ranking, repeat, score_report
from nasjax.cli.common import option
from nasjax.proxies import registry
from nasjax.proxies.score import check_batches
from nasjax.types import InputError

_WHAT, _IMAGES = "What to score", "Images to score with"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreConfig(common.PluginsConfig, common.ProcessesConfig, common.RunConfig):
    """Options of launch.score."""

    space: str = option("nasbench201", "Search space.", section=_WHAT)
    archs: str = option("random:64", "Architectures: random:N, all, file:PATH (one a line, or a CSV file with a column"
                        " arch), or the architectures themselves separated by ';'.", section=_WHAT)
    proxies: str = option("lswag", "Scores to compute, separated by commas: names, name:option=value, or all.",
                          section=_WHAT)
    preset: str = option("nbsz", "Protocol of the proxies: nbsz shares passes between proxies, paper follows each"
                         " proxy's own publication.", section=_WHAT, choices=("nbsz", "paper"))
    channels: int | None = option(None, "Channels of the first stage; the space's own number by default.",
                                  section=_WHAT, kind=int, minimum=1)
    cells: int | None = option(None, "Cells a stage; the space's own number by default.", section=_WHAT, kind=int,
                               minimum=1)
    space_options: str = option("", "Further options of the space, as name=value separated by commas; a wrong name is"
                                " answered by a list of them.", section=_WHAT)
    num_classes: int | None = option(None, "Classes the network tells apart; those of the images by default.",
                                     section=_WHAT, kind=int, minimum=2)
    data: str = option("photos", "Images: photos (built in), npz:FILE[#split], folder:DIR (a folder a class),"
                       " tfds:NAME, noise.", section=_IMAGES)
    batch_size: int = option(64, "Images a batch.", section=_IMAGES, minimum=1)
    num_batches: int = option(2, "Batches.", section=_IMAGES, minimum=1)
    image_size: int | None = option(None, "Height and width to resize images to, in pixels; as they are by default.",
                                    section=_IMAGES, kind=int, minimum=1)
    rank_by: str = option("", "Proxy that ranks the printed table; the first one by default, lswag among all.",
                          section="Output")
    top: int = option(ranking.TOP, "Rows of the printed ranking.", section="Output", minimum=0)


def main(config: ScoreConfig) -> None:
    """Scores, prints a ranking and writes scores.csv and report.html.

    Args:
      config: what to score, and how.

    Raises:
      InputError: anything is wrong with the configuration, the data or the working directory.
    """
    nasjax.proxies.parse(config.proxies, preset=config.preset)  # mistakes show before data are read
    batches = nasjax.data.load(config.data, batch_size=config.batch_size, num_batches=config.num_batches,
                               image_size=config.image_size, seed=config.seed)
    space = make_space(config, batches)
    # "all" means what this space offers.
    proxies = nasjax.proxies.parse(config.proxies, preset=config.preset, space=space)
    by = ranking_proxy(config, registry.column_names(proxies))
    archs_key, score_key = jax.random.split(jax.random.key(config.seed))
    chosen = archs.choose(archs_key, space, config.archs)

    # What does not fit is refused before anything is written.
    check_batches(space, batches, proxies)
    parallel.population_map(_nothing, engine=config.engine, chunk=config.chunk, devices=config.devices)

    cache = common.enable_compile_cache()
    workdir = pathlib.Path(config.workdir)
    with claimed(workdir, settings(config, space, batches, chosen)) as store:
        common.write_run_flags(workdir, config)
        names = ", ".join(proxy.name for proxy in proxies)
        common.note(f"{len(chosen):,} architectures of {space.name} by {names}, on {config.data}"
                    f" ({config.num_batches} x {config.batch_size} images), {parallel.device_summary()}.")
        if cache is not None:
            common.note(f"Compiled programs are kept in {cache}; NASJAX_CACHE names another directory, or off.")
        begin, earlier = time.monotonic(), []
        with common.progress("Scoring") as report:

            def reported(done: int, total: int) -> None:
                earlier.append(done)
                report(done, total)

            result = nasjax.score(
                space, chosen, batches, proxies, key=score_key, preset=config.preset, engine=config.engine,
                batching=config.batching, chunk=config.chunk, devices=config.devices, precision=config.precision,
                store=store, progress=reported,
            )  # fmt: skip
        if not parallel.is_main():
            return
        records.write_scores(workdir / "scores.csv", result.archs, columns(result))
        figures = intervals.write(workdir, result.intervals)
        file = score_report.write(
            workdir, result, space, by=by, images=f"{config.data}, {config.num_batches} x {config.batch_size}",
            seconds=time.monotonic() - begin, repeat=repeat.repeat(config, workdir),
        )  # fmt: skip
    console = common.stdout()
    ranking.show(console, result, by=by, top=config.top)
    resumed = f", {earlier[0]:,} of them by an earlier run" if any(earlier[:1]) else ""
    console.print(f"\n{len(result.archs):,} architectures in {common.duration(time.monotonic() - begin)}{resumed}."
                  f" Scores: {workdir / 'scores.csv'}  Report: {file}", markup=False, soft_wrap=True)
    for figure in figures:
        console.print(f"Layer interval: {figure}", markup=False, soft_wrap=True)


def _nothing(item: Any) -> Any:
    return item


def run() -> None:
    """Entry point of ``python -m launch.score``."""
    common.run(main, ScoreConfig, kept="every finished block of architectures")


def ranking_proxy(config: ScoreConfig, names: list[str]) -> str:
    """Finds which proxy ranks the printed table.

    Args:
      config: the options.
      names: columns of the result.

    Returns:
      One of ``names``.

    Raises:
      InputError: the proxy asked for is not among them.
    """
    if not config.rank_by:
        return "lswag" if config.proxies.strip() == "all" else names[0]
    if config.rank_by not in names:
        raise InputError(f"--rank_by={config.rank_by}: {common.nearest(config.rank_by, names)}")
    return config.rank_by


def make_space(config: Any, batches: Any) -> Any:
    """Builds the search space for the images.

    Args:
      config: a `ScoreConfig` or another one that names the space, its options and the images.
      batches: give the number of classes and the image size where the options do not.

    Returns:
      The space.

    Raises:
      InputError: unknown space, or an option that it does not have.
    """
    if config.num_classes is not None and config.num_classes < batches.num_classes:
        raise InputError(f"--num_classes={config.num_classes}: {config.data} has {batches.num_classes} classes. Leave"
                         " it out, or use at least as many.")
    options = {
        "channels": config.channels,
        "cells": config.cells,
        "num_classes": config.num_classes or batches.num_classes,
        "image_size": batches.image_size,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return nasjax.get_space(config.space, **(given | space_options(config.space_options)))


def space_options(text: str) -> dict[str, Any]:
    """Reads ``--space_options``.

    Args:
      text: name=value pairs separated by commas.

    Returns:
      name -> whole number, number, true or false, or text.

    Raises:
      InputError: a part is of another form, or sets what has a flag of its own.
    """
    found = pairs("space_options", text)
    for name in found:
        if name in ("image_size", "num_classes", "precision"):
            raise InputError(f"--space_options={text}: {name} has a flag of its own, --{name}.")
    return found


def pairs(flag: str, text: str) -> dict[str, Any]:
    """Reads the value of a flag of name=value pairs.

    Args:
      flag: its name.
      text: pairs separated by commas; a value may be several in parentheses, as in heads=(3,4).

    Returns:
      name -> whole number, number, true or false, text, or a tuple of them.

    Raises:
      InputError: a part is of another form.
    """
    found: dict[str, Any] = {}
    for part in (part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()):
        name, sign, value = (word.strip() for word in part.partition("="))
        if not (name and sign and value):
            raise InputError(f"--{flag}={text}: {part!r} is not of the form name=value, as in stacks=2.")
        found[name] = _number(value)
    return found


def _number(text: str) -> Any:
    """A number, true or false, a text, or a tuple of them, which holds no tuple."""
    if text.startswith("(") and text.endswith(")"):
        return tuple(_number(part.strip().strip("()")) for part in text[1:-1].split(",") if part.strip())
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def settings(config: ScoreConfig, space: Any, batches: Any, chosen: list[str]) -> dict[str, Any]:
    """Everything that decides the numbers of a run, and for the record how it runs.

    Args:
      config: the options.
      space: the search space.
      batches: the images.
      chosen: the architectures.

    Returns:
      What ``config.json`` holds.
    """
    return {
        **common.compared(config),
        "space_options": dict(space.options),
        "architectures": f"{len(chosen)}, sha256 {hashing.fingerprint(chosen)[:16]}",
        "images": f"sha256 {batches.fingerprint[:16]}",
    }


@contextlib.contextmanager
def claimed(workdir: pathlib.Path, config: dict[str, Any]) -> Iterator[records.Store]:
    """Claims the working directory and opens its store; of several processes, each writes a file of its own.

    A failure before the first score gives the directory back: who corrects a flag may use it again.

    Args:
      workdir: the directory.
      config: see ``settings``.

    Yields:
      The store.
    """
    new = not (workdir / records.CONFIG_FILENAME).exists()
    records.claim_workdir(workdir, config, ignore=(*common.NOT_COMPARED, "top", "rank_by"))
    try:
        process = parallel.process_index() if parallel.process_count() > 1 else None
        with records.Store.open(workdir, process=process) as store:
            try:
                yield store
                if parallel.is_main():  # a run beside this one may have failed at once, and given the directory back
                    records.claim_workdir(workdir, config, ignore=(*common.NOT_COMPARED, "top", "rank_by"))
            finally:
                saved = any((workdir / "checkpoints").glob("[0-9]*"))  # of a search
                new = new and store.is_empty() and not saved
    except BaseException:
        if new and parallel.is_main():
            (workdir / records.CONFIG_FILENAME).unlink(missing_ok=True)
        raise


def columns(result: Any) -> dict[str, dict[str, records.Record]]:
    """Turns a result into the columns of ``scores.csv``.

    Args:
      result: a ``ScoreResult``.

    Returns:
      proxy -> architecture -> record.
    """
    return {
        name: {
            arch: records.Record("", arch, name, float(score), float(raw), bool(valid), reason, float(seconds))
            for arch, score, raw, valid, reason, seconds in zip(
                result.archs, result.scores[name], result.raw[name], result.valid[name], result.reasons[name],
                result.seconds, strict=True,
            )  # fmt: skip
        }
        for name in result.scores
    }


if __name__ == "__main__":
    run()
