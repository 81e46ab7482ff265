"""Searches a space for the best architecture by training-free scores, a selection of them, or a table.

Examples:
  python -m launch.search --workdir=runs/cell --proxies=zico --budget=200
  python -m launch.search --workdir=runs/vit --space=autoformer_small --selection=FILE --min_params=21e6
      --max_params=24e6 --image_size=64 --batch_size=8
  python -m launch.search --workdir=runs/darts --space=darts --algorithm=pruning --selection=FILE
  python -m launch.search --workdir=runs/predicted --predictor=runs/fitted/predictor
  python -m launch.search --workdir=runs/table --table=nasbench201 --column=cifar10_test --algorithm=aging

FILE is a selection of proxies, as launch.libra writes it. Every generation is saved in the workdir: stopped at any
moment, the same command goes on from there and finds the same network. Several processes share the work, as those of
launch.score do.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax

import nasjax
from nasjax import grasp, parallel, search
from nasjax.cli import accuracies, common, pruning, repeat, score, search_results
from nasjax.cli.common import option
from nasjax.search import TableObjective, registry
from nasjax.search.proxy_objective import ProxyObjective
from nasjax.types import InputError

_SPACE, _GOAL, _HOW, _LIMITS, _IMAGES = (
    "Where to search", "What to maximise", "How to search", "What an architecture must meet", "Images to score with",
)  # fmt: skip
PRUNING = "pruning"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig(common.PluginsConfig, common.ProcessesConfig, common.RunConfig):
    """Options of launch.search."""

    space: str = option("nasbench201", "Search space.", section=_SPACE)
    channels: int | None = option(None, "Channels of the first stage; the space's own number by default.",
                                  section=_SPACE, kind=int, minimum=1)
    cells: int | None = option(None, "Cells a stage; the space's own number by default.", section=_SPACE, kind=int,
                               minimum=1)
    space_options: str = option("", "Further options of the space, as name=value separated by commas.", section=_SPACE)
    num_classes: int | None = option(None, "Classes the network tells apart; those of the images by default.",
                                     section=_SPACE, kind=int, minimum=2)
    proxies: str = option("", "Scores, separated by commas, as for launch.score; several are merged by their ranks"
                          " within what was scored so far.", section=_GOAL)
    weights: str = option("", "A number for each of the proxies, separated by commas; a negative one prefers low"
                          " scores.", section=_GOAL)
    aggregation: str = option("ranksum", "How several scores are merged.", section=_GOAL,
                              choices=search.aggregation.KINDS)
    preset: str = option("nbsz", "Protocol of the proxies, see launch.score.", section=_GOAL, choices=("nbsz", "paper"))
    selection: str = option("", "In place of proxies: a selection file of launch.libra.", section=_GOAL)
    table: str = option("", "In place of proxies: a table of known numbers, the name of a built-in one or a CSV file"
                        " with a column arch. Its architectures alone are searched.", section=_GOAL)
    predictor: str = option("", "In place of proxies: the directory of a predictor that launch.grasp --job=fit saved.",
                            section=_GOAL)
    column: str = option("", "Columns of the table, separated by commas.", section=_GOAL)
    algorithm: str = option("evolution", f"One of {', '.join(registry.names())} or {PRUNING}.", section=_HOW)
    budget: int | None = option(None, "How many architectures to score; what the algorithm's publication scores, or"
                                " 1000, by default.", section=_HOW, kind=int, minimum=1)
    algorithm_options: str = option("", "Options of the algorithm, as name=value separated by commas; a wrong name is"
                                    " answered by a list of them.", section=_HOW)
    costs: str = option("params", "What nsga2 and the Pareto front weigh against the score, separated by commas:"
                        " params, flops, latency.", section=_HOW)
    duplicates: str = option("canonical", "What is scored once: isomorphic architectures, or equal codes alone.",
                             section=_HOW, choices=("canonical", "encoding"))
    min_params: float | None = option(None, "Smallest number of parameters, as in 21e6.", section=_LIMITS, kind=float,
                                      minimum=0)
    max_params: float | None = option(None, "Largest number of parameters.", section=_LIMITS, kind=float, minimum=0)
    min_flops: float | None = option(None, "Smallest number of multiply-adds for one image.", section=_LIMITS,
                                     kind=float, minimum=0)
    max_flops: float | None = option(None, "Largest number of multiply-adds for one image.", section=_LIMITS,
                                     kind=float, minimum=0)
    latency: str = option("", "CSV file of measured latencies, with a column arch; or cifar10, cifar100, imagenet16 for"
                          " those of HW-NAS-Bench on nasbench201 (built in).", section=_LIMITS)
    latency_column: str = option("latency", "Column of the latencies, such as raspi4_latency.", section=_LIMITS)
    max_latency: float | None = option(None, "Largest latency, in the unit of the file.", section=_LIMITS, kind=float,
                                       minimum=0)
    data: str = option("photos", "Images: photos (built in), npz:FILE[#split], folder:DIR (a folder a class),"
                       " tfds:NAME, noise.", section=_IMAGES)
    batch_size: int = option(64, "Images a batch.", section=_IMAGES, minimum=1)
    num_batches: int = option(2, "Batches.", section=_IMAGES, minimum=1)
    image_size: int | None = option(None, "Height and width to resize images to, in pixels; as they are by default.",
                                    section=_IMAGES, kind=int, minimum=1)
    top: int = option(5, "Rows of the printed ranking.", section="Output", minimum=0)


def main(config: SearchConfig) -> None:
    """Searches, prints what was found and writes search.csv, result.json and report.html.

    Args:
      config: where to search, for what, and how.

    Raises:
      InputError: anything is wrong with the configuration, the data or the working directory.
    """
    options = algorithm_options(config)  # mistakes show before data are read
    limits, costs, latency = constraints(config)
    batches = None
    if not config.table and not config.predictor:
        check_goal(config)
        batches = nasjax.data.load(config.data, batch_size=config.batch_size, num_batches=config.num_batches,
                                   image_size=config.image_size, seed=config.seed)
    space = make_space(config, batches)
    search_key, score_key = jax.random.split(jax.random.key(config.seed))
    objective = make_objective(config, space, batches, score_key)
    objective.check(space)
    limits.check(space)
    facts = {"Objective": _goal(config), "Space": space.name, "Algorithm": config.algorithm}
    if not limits.empty:
        facts["Limits"] = _limits(config)
    cache = common.enable_compile_cache()
    workdir, console = pathlib.Path(config.workdir), common.stdout()
    with common.exclusive(workdir), score.claimed(workdir, settings(config, space, objective, limits)) as store:
        common.write_run_flags(workdir, config)
        if isinstance(objective, ProxyObjective):
            objective = dataclasses.replace(objective, run={**objective.run, "store": store})
        common.note(f"{config.algorithm} in {space.name} for {', '.join(objective.names)},"
                    f" {parallel.device_summary()}.")
        if cache is not None and batches is not None:
            common.note(f"Compiled programs are kept in {cache}; NASJAX_CACHE names another directory, or off.")
        begin, earlier = time.monotonic(), []
        unit = "supernet" if config.algorithm == PRUNING else "architecture"
        with common.progress("Searching", unit=unit) as report:

            def reported(done: int, total: int) -> None:
                earlier.append(done)
                report(done, total)

            states = workdir / "checkpoints"
            if config.algorithm == PRUNING:
                pruned = pruning.prune(config, space, objective, batches, search_key, options, states, reported)
                scored = len(pruned.result.table())
            else:
                found = search.search(
                    space, objective, key=search_key, algorithm=config.algorithm, budget=config.budget, limits=limits,
                    costs=costs, tables=latency, duplicates=config.duplicates, checkpoints=states, progress=reported,
                    **options,
                )  # fmt: skip
                scored = len(found.scores)
        if not parallel.is_main():
            return
        again = repeat.repeat(config, workdir)
        if config.algorithm == PRUNING:
            file = pruning.write(workdir, pruned, facts, repeat=again)
        else:
            file = search_results.write(workdir, found, facts, repeat=again)[0]
    if config.algorithm == PRUNING:
        pruning.show(console, pruned)
    else:
        search_results.show(console, found, top=config.top)
    resumed = f", {earlier[0]:,} of them by an earlier run" if any(earlier[:1]) else ""
    console.print(f"\n{scored:,} {unit}s in {common.duration(time.monotonic() - begin)}{resumed}. Report: {file}",
                  markup=False, soft_wrap=True)


def run() -> None:
    """Entry point of ``python -m launch.search``."""
    common.run(main, SearchConfig, kept="every finished generation, and every finished block of scores")


def algorithm_options(config: SearchConfig) -> dict[str, Any]:
    """Reads ``--algorithm`` and ``--algorithm_options``.

    Args:
      config: the options.

    Returns:
      the options of the algorithm.

    Raises:
      InputError: an unknown algorithm or option, or a value that is not allowed; the nearest names are offered.
    """
    known = (*registry.names(), PRUNING)
    if config.algorithm not in known:
        raise InputError(f"--algorithm={config.algorithm}: {common.nearest(config.algorithm, known)}")
    options = score.pairs("algorithm_options", config.algorithm_options)
    if config.algorithm == PRUNING:
        pruning.check(config, options)
    else:
        registry.config(config.algorithm, **options)
    return options


def check_goal(config: SearchConfig) -> None:
    """Refuses what no proxy can be made of, before images are read.

    Args:
      config: the options.

    Raises:
      InputError: nothing or too much is named, an unknown proxy, or a selection file that cannot be read.
    """
    if bool(config.proxies) == bool(config.selection):
        given = "the first two are both given" if config.proxies else "none is given"
        raise InputError(f"--proxies, --selection and --table say what to maximise; {given}."
                         " Give exactly one, as in --proxies=zico.")
    if config.selection:
        chosen = search.Selection.load(config.selection)
        if chosen.space and chosen.space != config.space:
            common.note(f"The selection was made on {chosen.space}; the search is in {config.space}.")
    else:
        nasjax.proxies.parse(config.proxies, preset=config.preset)
    _weights(config)


def constraints(config: SearchConfig) -> tuple[search.Limits, tuple[str, ...], Mapping[str, Mapping[str, float]]]:
    """Reads the limits and the costs.

    Args:
      config: the options.

    Returns:
      the limits; names of the costs; tables of the costs.

    Raises:
      InputError: limits contradict each other, or the file of latencies cannot be read.
    """
    bounds = {name: getattr(config, name) for name in ("min_params", "max_params", "min_flops", "max_flops")}
    costs = tuple(name.strip() for name in config.costs.split(",") if name.strip())
    if not config.latency:
        if config.max_latency is not None or "latency" in costs:
            raise InputError("--latency is missing: name the CSV file of measured latencies.")
        return search.Limits(**bounds), costs, {}
    table = latencies(config)
    limit = search.TableLimit.of(table, config.latency_column, maximum=config.max_latency)
    limits = search.Limits(**bounds, tables=(limit,) if config.max_latency is not None else ())
    return limits, costs, {"latency": limit.values}


def latencies(config: SearchConfig) -> Any:
    """The table of latencies, built in or a file.

    Args:
      config: the options.

    Returns:
      pandas table with a column ``arch``.

    Raises:
      InputError: there is no such table.
    """
    built_in = nasjax.data.hardware.DATASETS.get(config.space, ())
    if config.latency in built_in:
        return nasjax.data.latency(config.space, config.latency)
    if not pathlib.Path(config.latency).suffix:
        known = f"{', '.join(built_in)}, or" if built_in else f"{config.space} has no built-in ones;"
        raise InputError(f"--latency={config.latency}: allowed: {known} a CSV file with a column arch.")
    return accuracies.load(config.latency, config.space)


def make_space(config: SearchConfig, batches: Any) -> Any:
    """Builds the search space, for the images where there are any.

    Args:
      config: names the space and its options.
      batches: images, or None.

    Returns:
      the space.

    Raises:
      InputError: unknown space, or an option that it does not have.
    """
    if batches is not None:
        return score.make_space(config, batches)
    options = {name: getattr(config, name) for name in ("channels", "cells", "num_classes", "image_size")}
    given = {name: value for name, value in options.items() if value is not None}
    return nasjax.get_space(config.space, **(given | score.space_options(config.space_options)))


def make_objective(config: SearchConfig, space: Any, batches: Any, key: jax.Array) -> Any:
    """What is maximised.

    Args:
      config: the options.
      space: search space.
      batches: images, or None for a table.
      key: of the weights.

    Returns:
      the objective.

    Raises:
      InputError: proxies, weights, table or columns do not fit.
    """
    if config.table:
        if config.proxies or config.selection or config.predictor:
            raise InputError("--table stands in place of --proxies, --selection and --predictor. Leave the others out.")
        columns = [name.strip() for name in config.column.split(",") if name.strip()]
        table = accuracies.load(config.table, config.space)
        if not columns:
            known = ", ".join(str(name) for name in table.columns if name != "arch")
            raise InputError(f"--column is missing: which column of {config.table} to maximise. It has {known}.")
        return TableObjective.of(table, columns, weights=_weights(config), aggregation=config.aggregation)
    if config.predictor:
        if config.proxies or config.selection:
            raise InputError("--predictor stands in place of --proxies and --selection. Leave the others out.")
        return search.PredictorObjective(grasp.load(config.predictor))
    run = {name: getattr(config, name) for name in ("engine", "batching", "chunk", "devices", "precision")}
    if config.selection:
        return ProxyObjective.of_selection(config.selection, batches, key=key, preset=config.preset, space=space, **run)
    return ProxyObjective.of(config.proxies, batches, key=key, weights=_weights(config), preset=config.preset,
                             aggregation=config.aggregation, space=space, **run)  # fmt: skip


def settings(config: SearchConfig, space: Any, objective: Any, limits: search.Limits) -> dict[str, Any]:
    """Everything that decides the outcome of a run, and for the record how it runs.

    Args:
      config: the options.
      space: the search space.
      objective: what is maximised.
      limits: what an architecture must meet.

    Returns:
      What ``config.json`` holds.
    """
    return {
        **common.compared(config),
        "space_options": dict(space.options),
        "objective": objective.describe(),
        "limits": limits.describe(),
    }


def _weights(config: SearchConfig) -> tuple[float, ...]:
    parts = [part.strip() for part in config.weights.split(",") if part.strip()]
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        raise InputError(f"--weights={config.weights}: numbers separated by commas are needed, as in 1,-0.5.") from None


def _limits(config: SearchConfig) -> str:
    names = ("min_params", "max_params", "min_flops", "max_flops", "max_latency")
    given = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    return ", ".join(f"{name} {value:,.12g}" for name, value in given.items())


def _goal(config: SearchConfig) -> str:
    if config.table:
        return f"{config.column} of {config.table}"
    if config.predictor:
        return f"predictor {config.predictor}"
    return f"selection {config.selection}" if config.selection else config.proxies


if __name__ == "__main__":
    run()
