"""Predicts which architectures are good from a few that are known (GRASP-GCN): trains, measures, transfers and ranks.

Examples:
  python -m launch.grasp --workdir=runs/eval --num_train=78
  python -m launch.grasp --workdir=runs/matrix --job=transfer --column=cifar10_test,cifar100_test,imagenet16_test
  python -m launch.grasp --workdir=runs/strong --num_train=78 --preset=strong --scores=nasbench201_cifar10
      --pretrain=nwot,synflow,zen,flops,params
  python -m launch.grasp --workdir=runs/fitted --job=fit
  python -m launch.grasp --workdir=runs/rank --job=rank --model=runs/fitted/predictor --archs=all

evaluate (the default) trains on --num_train architectures and ranks all others, once a split; transfer trains on each
column and ranks on each; fit trains on the whole table and saves the predictor; rank orders --archs by a predictor.
Functional duplicates never lie on both sides of a split.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from typing import Any

import jax
import numpy as np

import nasjax
from nasjax import grasp, hashing, parallel
from nasjax.cli import archs, common, grasp_input, grasp_parts, grasp_report, score
from nasjax.cli.common import option
from nasjax.grasp import storage
from nasjax.grasp.config import PRESETS, PredictorConfig, option_names, preset
from nasjax.grasp.predictor import check_targets
from nasjax.types import InputError

_WHAT, _MODEL, _HOW = "What to learn from", "The predictor", "How to run"
JOBS = ("evaluate", "transfer", "fit", "rank")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraspCommandConfig(common.PluginsConfig):
    """Options of launch.grasp."""

    workdir: str = option(None, "Directory that results are written to.", section="Output", required=True)
    job: str = option("evaluate", "What to do.", section=_WHAT, choices=JOBS)
    space: str = option("nasbench201", "Search space.", section=_WHAT)
    space_options: str = option("", "Options of the space, as name=value separated by commas; image_size and channels"
                                " show in the vertex shapes.", section=_WHAT)
    column_options: str = option("", "Options of the space for single columns of transfer, as column:name=value"
                                 " separated by ';', such as imagenet16_test:image_size=16: vertex shapes then show the"
                                 " data set.",
                                 section=_WHAT)
    table: str = option("nasbench201", "Table of accuracies: a built-in one, or a CSV file with a column arch.",
                        section=_WHAT)
    column: str = option("cifar10_test", "Column to learn; several, separated by commas, for transfer.", section=_WHAT)
    truth: str = option("", "Column that evaluate compares with, where it is another one than was learnt: the end of a"
                        " training, where --column is an early epoch.", section=_WHAT)
    groups: str = option("", "Column that architectures of the same function share; iso_group where there is one, else"
                         " the canonical form.", section=_WHAT)
    scores: str = option("", "Where proxies are read from: a built-in table such as nasbench201_cifar10, a CSV file, or"
                         " the workdir of a launch.score. params and flops are counted.", section=_WHAT)
    validation: str = option("", "Column of accuracies that may choose within the top of the ranking.", section=_WHAT)
    archs: str = option("all", "Architectures to rank, as launch.score takes them.", section=_WHAT)
    model: str = option("", "Saved predictor to rank by; one is trained on the whole table by default.", section=_WHAT)
    num_train: int = option(78, "Architectures to train on.", section=_WHAT, minimum=4)
    splits: int = option(5, "Random splits, trained and measured one by one.", section=_WHAT, minimum=1)
    finetune: int = option(0, "Labels of the target data set that transfer may use; 0 is zero-shot.", section=_WHAT,
                           minimum=0)
    preset: str = option("published", "published takes the defaults; strong passes messages both ways, learns the whole"
                         " order (listmle) and averages five networks.", section=_MODEL, choices=tuple(PRESETS))
    options: str = option("", "Options of the predictor, as name=value separated by commas, such as"
                          " loss=hinge,members=5; a wrong name is answered by a list.", section=_MODEL)
    proxies: str = option("", "Proxies that the predictor reads, separated by commas.", section=_MODEL)
    pretrain: str = option("", "Proxies that it is first taught on all architectures, without labels.", section=_MODEL)
    drop_dead: bool = option(True, "Leave out operations that lead nowhere (nasbench201).", section=_MODEL)
    skip: str = option("node", "Whether skip connections are operations or edges (nasbench201).", section=_MODEL,
                       choices=("node", "contract"))
    seed: int = option(0, "Seed of everything random.", section=_HOW, minimum=0)
    precision: str = option("highest", "Precision of products; fast is TF32 or bfloat16 on accelerators.", section=_HOW,
                            choices=("highest", "fast"))
    engine: str = option("auto", "How devices are used: auto is pmap on several devices and jit on one.", section=_HOW,
                         choices=parallel.ENGINES)
    devices: int | None = option(None, "How many devices to use; all by default.", section=_HOW, kind=int, minimum=1)
    top: int = option(10, "Rows of the printed ranking.", section="Output", minimum=0)


def main(config: GraspCommandConfig) -> None:
    """Does the job, prints and writes.

    Args:
      config: what to do.

    Raises:
      InputError: anything is wrong with the options, the table or the working directory.
    """
    made = predictor_config(config)
    workdir = pathlib.Path(config.workdir)
    if (workdir / "config.json").exists():
        raise InputError(f"--workdir={workdir} holds a run of another command, whose files would be replaced. Use"
                         " another directory.")  # fmt: skip
    columns = words(config.column)
    if not columns or (config.job != "transfer" and len(columns) > 1):
        raise InputError(f"--column={config.column}: {config.job} takes one column")
    for name in ("validation", "truth"):
        if getattr(config, name) and config.job != "evaluate":
            raise InputError(f"--{name} is read by evaluate alone, and --job={config.job}. Leave it out.")
    if config.model and config.job != "rank":
        raise InputError(f"--model={config.model} is read by rank alone, and --job={config.job}. Leave it out.")
    common.enable_compile_cache()
    begin = time.monotonic()
    run: dict[str, Any] = {"engine": config.engine, "devices": config.devices}
    if config.job == "rank":
        rank(config, made, workdir, run, begin)
        return
    needed = list(dict.fromkeys([*columns, *(name for name in (config.validation, config.truth) if name)]))
    proxies = list(dict.fromkeys([*made.features.proxies, *made.train.pretrain]))
    data = grasp_input.read(config, needed, proxies)
    with common.exclusive(workdir):
        common.note(f"{len(data.archs):,} architectures of {config.table}, {len(set(data.groups.tolist())):,} distinct"
                    f" by {data.grouped_by}; {parallel.device_summary()}.")  # fmt: skip
        if config.job == "fit":
            storage.check_free(workdir / "predictor", made)
            model = train_on_all(config, made, data, columns[0], run)
            model.save(workdir / "predictor")
            common.write_run_flags(workdir, config)
            prediction = model.predict(data.graphs, **run)
            file = grasp_report.write_fit(workdir, config, made, data, prediction, time.monotonic() - begin)
            common.stdout().print(f"Trained on {len(data.archs):,} architectures in"
                                  f" {common.duration(time.monotonic() - begin)}. Predictor: {workdir / 'predictor'}"
                                  f"  Report: {file}", markup=False, soft_wrap=True)  # fmt: skip
        elif config.job == "transfer":
            graphs = grasp_input.graphs_by_column(config, data, columns)
            kept = grasp_parts.Parts(workdir, transfer_fingerprint(config, made, data, graphs))
            done = sum(column in kept for column in columns)
            if done:
                common.note(f"{done} of {len(columns)} data sets were trained on before.")
            with common.progress("Training", unit="data set") as report:
                report(done, len(columns))
                found = grasp.transfer_matrix(
                    graphs, data.targets, num_train=config.num_train, seeds=seeds(config), groups=data.groups,
                    finetune=config.finetune, config=made, progress=report, kept=kept, **run,
                )  # fmt: skip
            grasp_report.write_transfer(workdir, config, made, data, found, time.monotonic() - begin)
        else:
            evaluated = evaluate(config, made, data, columns[0], run)
            grasp_report.write_evaluation(workdir, config, made, data, evaluated, time.monotonic() - begin)


def predictor_config(config: GraspCommandConfig) -> PredictorConfig:
    """The predictor's options from the flags.

    Args:
      config: the flags.

    Returns:
      the configuration.

    Raises:
      InputError: an unknown option, or a value that is not allowed.
    """
    given = score.pairs("options", config.options)
    for name in given:
        if name in ("proxies", "pretrain", "precision"):
            raise InputError(f"--options={config.options}: {name} has a flag of its own, --{name}.")
        if name not in option_names():
            raise InputError(f"--options={config.options}: {common.nearest(name, option_names())}")
    flags: dict[str, Any] = {"precision": config.precision, "proxies": tuple(words(config.proxies)),
                             "pretrain": tuple(words(config.pretrain))}  # fmt: skip
    if flags["pretrain"]:
        flags["pretrain_steps"] = 500
    if flags["proxies"]:
        flags["head"] = 128
    return preset(config.preset).with_options(**(flags | given))


def evaluate(
    config: GraspCommandConfig, made: PredictorConfig, data: grasp_input.Labelled, column: str, run: dict[str, Any]
) -> list[grasp_report.Measured]:
    """Trains on every split, in one program, and ranks the others.

    Args:
      config: the flags.
      made: options of the predictor.
      data: the table.
      column: what to learn.
      run: engine and devices.

    Returns:
      one measurement a split.
    """
    parts = grasp.splits(data.groups, config.num_train, seeds(config))
    rows = np.stack([part.train for part in parts])
    targets, truth = data.targets[column], data.targets[config.truth or column]
    check_targets(truth, len(truth))
    found: list[grasp_report.Measured] = []
    with common.progress("Training", unit="split") as report:
        report(0, len(parts))
        models = grasp.fit_many(data.graphs, rows, targets[rows], seeds=seeds(config), config=made, **run)
        for model, part in zip(models, parts, strict=True):
            prediction = model.predict(data.graphs[part.test], **run)
            chosen = data.targets[config.validation][part.test] if config.validation else None
            metrics = grasp.evaluate(prediction.score, truth[part.test], validation=chosen)
            found.append(grasp_report.Measured(part, prediction, metrics))
            report(len(found), len(parts))
    return found


def transfer_fingerprint(
    config: GraspCommandConfig, made: PredictorConfig, data: grasp_input.Labelled, graphs: dict[str, grasp.Graphs]
) -> str:
    """Stands for everything that decides the numbers of a transfer matrix, but for rounding on another machine."""
    parts = [hashing.array_fingerprint(g.ops, g.adjacency, g.shapes, *g.proxies.values()) for g in graphs.values()]
    return hashing.fingerprint({
        "version": nasjax.__version__, "predictor": made.describe(), "seeds": seeds(config), "archs": data.archs,
        "num_train": config.num_train, "finetune": config.finetune, "graphs": parts, "groups": data.groups,
        "targets": data.targets,
    })  # fmt: skip


def train_on_all(
    config: GraspCommandConfig, made: PredictorConfig, data: grasp_input.Labelled, column: str, run: dict[str, Any]
) -> grasp.Predictor:
    """A predictor of the whole table."""
    check_targets(data.targets[column], len(data.archs))
    with common.progress("Training", unit="predictor") as report:
        report(0, 1)
        model = grasp.fit(data.graphs, data.targets[column], seed=config.seed, config=made, **run)
        report(1, 1)
    return model


def rank(config: GraspCommandConfig, made: PredictorConfig, workdir: pathlib.Path, run: dict[str, Any],
         begin: float) -> None:  # fmt: skip
    """Ranks architectures by a saved predictor, or one of the whole table."""
    if config.model:
        own = any(changed(config, name) for name in ("preset", "options", "proxies", "pretrain"))
        model = grasp.load(config.model, config=made if own else None)
    space = grasp_input.make_space(config, "" if config.model else words(config.column)[0])
    chosen = archs.choose(jax.random.key(config.seed), space, config.archs)
    common.check_writable(workdir)
    if not config.model:
        proxies = list(dict.fromkeys([*made.features.proxies, *made.train.pretrain]))
        column = words(config.column)[0]
        model = train_on_all(config, made, grasp_input.read(config, [column], proxies), column, run)
    population = space.decode(chosen)
    encoding = grasp.EncodeConfig(drop_dead=config.drop_dead, skip=config.skip)
    groups = grasp.groups_of(space, population) if config.scores else np.arange(len(chosen))
    known = grasp_input.proxy_values(config, space, population, chosen, groups, model.config.features.proxies)
    graphs = grasp.encode(space, population, config=encoding).with_proxies(known)
    prediction = model.predict(graphs, **run)
    with common.exclusive(workdir):
        grasp_report.write_ranking(workdir, config, space, chosen, prediction, time.monotonic() - begin)


def kept(config: GraspCommandConfig) -> str:
    """What a stopped run leaves behind."""
    return "every finished data set" if config.job == "transfer" else ""


def seeds(config: GraspCommandConfig) -> tuple[int, ...]:
    """Seeds of the splits."""
    return tuple(range(config.seed, config.seed + config.splits))


def changed(config: GraspCommandConfig, name: str) -> bool:
    """Whether an option differs from its default."""
    return bool(getattr(config, name) != GraspCommandConfig.__dataclass_fields__[name].default)


def words(text: str) -> list[str]:
    """Words separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def run() -> None:
    """Entry point of ``python -m launch.grasp``."""
    common.run(main, GraspCommandConfig, kept=kept)


if __name__ == "__main__":
    run()
