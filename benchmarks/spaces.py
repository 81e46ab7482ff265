"""Rank correlation on published tables of every space, on real images, with bootstrap intervals.

    python -m benchmarks.spaces nasbench_macro --data=DIR --workdir=runs/spaces [--archs=100] [--batch_size=32]

DIR holds the tables and images. Every finished score is kept in the working directory, so a run that was stopped goes
on. Printed: Spearman with each column of accuracies, its 95 % interval, the difference between L-SWAG and the number of
parameters, seconds an architecture, and the largest memory of the process.
"""

from __future__ import annotations

import argparse
import ast
import json
import pathlib
import re
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasjax.types import InputError

PROXIES = "params,flops,nwot,swap,zico,lswag,lswag:interval=auto,az_nas"


class Setting(NamedTuple):
    """How one table is read and scored.

    Attributes:
      space: name of the space.
      options: its options.
      table: file of accuracies.
      encoding: row -> something that the space decodes.
      columns: accuracies.
      images: file of images.
      image_size: height and width.
      task: of the table's rows, where it holds several.
      count: row -> a trivial number to compare with.
    """

    space: str
    options: dict[str, Any]
    table: str
    encoding: Callable[[Any], Any]
    columns: tuple[str, ...]
    images: str = "cifar10_subset.npz"
    image_size: int = 32
    task: str = ""
    count: Callable[[Any], float] | None = None


def _convolutions(row: Any) -> float:
    """Number of separable and dilated convolutions in both cells."""
    return float(len(re.findall(r"'(?:sep|dil)_conv", row.genotype)))


def _nasbench101(row: Any) -> tuple[list[list[int]], list[int]]:
    size, bits = int(row.n_vertices), [int(c) for c in row.adjacency_rowmajor]
    side = round(len(bits) ** 0.5)
    rows = [bits[i * side : i * side + size] for i in range(size)]
    return rows, ast.literal_eval(row.ops)[:size]


def _autoformer(row: Any) -> dict[str, Any]:
    lists = {k: ast.literal_eval(getattr(row, f"arch_{k}")) for k in ("mlp_ratio", "num_heads")}
    return {"hidden_dim": int(row.arch_hidden_dim), "depth": int(row.arch_depth), **lists}


def _transnas(kind: str, task: str) -> Setting:
    pixels = task == "segmentsemantic"
    return Setting(
        f"transnas_{kind}",
        {"task": task, **({"num_classes": 12} if pixels else {})},
        f"nbsz_transnas_{kind}.csv.gz",
        lambda row: str(row.arch),
        ("val_accuracy",),
        "camvid_96x128.npz" if pixels else "imagenet_sample_64x64.npz",
        64,
        task,
    )


SETTINGS = {
    "nasbench201": Setting(
        "nasbench201",
        {},
        "nasbench201.csv.gz",
        lambda row: row.arch_string,
        ("cifar10_test", "cifar100_test", "imagenet16_test"),
    ),
    "nasbench101": Setting("nasbench101", {}, "nasbench101_1k.csv.gz", _nasbench101, ("valid_108ep",)),
    "nasbench_macro": Setting(
        "nasbench_macro", {}, "nasbench_macro_cifar10.csv.gz", lambda row: str(row.arch), ("test_mean",)
    ),
    "darts": Setting(
        "darts",
        {"variant": "swap"},
        "darts_swap_cifar10.csv.gz",
        lambda row: row.genotype,
        ("cifar10_acc",),
        count=_convolutions,
    ),
    "autoformer": Setting(
        "autoformer_tiny",
        {"patch_size": 8, "num_classes": 1000},
        "vitbench101_autoformer.csv.gz",
        _autoformer,
        ("c100_base_acc", "flower_base_acc", "chaoyang_base_acc", "imagenet_super_acc"),
        "imagenet_sample_64x64.npz",
        64,
    ),
    **{
        f"transnas_{kind}:{task}": _transnas(kind, task)
        for kind, tasks in (
            ("micro", ("class_scene", "class_object", "autoencoder", "segmentsemantic")),
            ("macro", ("class_scene", "class_object")),
        )
        for task in tasks
    },
}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.spaces", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", metavar="TABLE", help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--data", required=True, type=pathlib.Path, help="directory of tables and images")
    parser.add_argument("--workdir", required=True, type=pathlib.Path, help="where scores are kept")
    parser.add_argument("--archs", type=int, default=100, help="architectures drawn from each table (100)")
    parser.add_argument("--batch_size", type=int, default=32, help="images a batch (32)")
    parser.add_argument("--proxies", default=PROXIES, help=f"comma-separated ({PROXIES})")
    parser.add_argument("--profile_archs", type=int, default=32, help="random ones behind the interval (32)")
    parser.add_argument("--options", default="{}", help="further options of the space, as JSON")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw, of weights and images (0)")
    args = parser.parse_args(argv)
    unknown = [t for t in args.tables if t not in SETTINGS]
    if unknown:
        parser.error(f"unknown table {unknown[0]!r}; allowed: {', '.join(SETTINGS)}")
    for name in ("archs", "batch_size", "profile_archs"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
    try:
        args.options = json.loads(args.options)
    except json.JSONDecodeError as error:
        parser.error(f"--options={args.options!r} is no JSON: {error}")
    return args


def rows_of(setting: Setting, directory: pathlib.Path, number: int, seed: int) -> pd.DataFrame:
    """Random rows of a table."""
    table = pd.read_csv(directory / setting.table, dtype={"arch": str, "adjacency_rowmajor": str})
    if setting.task:
        table = table[table.task == setting.task]
    picked = np.random.default_rng(seed).permutation(len(table))[:number]
    return table.iloc[picked].reset_index(drop=True)


def batches_of(setting: Setting, space: Any, directory: pathlib.Path, batch_size: int, seed: int) -> Any:
    """Two batches of real images, with the targets of the space's task."""
    from nasjax.data import Batches

    with np.load(directory / setting.images) as file:
        images, labels = (file[k] if k in file else file[f"{k}_train"] for k in ("x", "y"))
    size = min(images.shape[1:3])
    top, left = ((n - size) // 2 for n in images.shape[1:3])
    images = images[:, top : top + size, left : left + size]
    options: dict[str, Any] = {"batch_size": batch_size, "image_size": setting.image_size, "seed": seed}
    task = getattr(space, "task", "")
    if task == "segmentsemantic":
        labels = labels[:, top : top + size, left : left + size]
        nearest = (np.arange(setting.image_size) * size) // setting.image_size
        targets = labels[:, nearest][:, :, nearest].astype(np.int32)
        return Batches.from_arrays(images, None, targets=targets, **options)
    batches = Batches.from_arrays(images, labels % space.num_classes, num_classes=space.num_classes, **options)
    return batches.with_targets(batches.images) if task == "autoencoder" else batches


def run(name: str, args: argparse.Namespace) -> None:
    """Scores one table and prints its rows."""
    import jax

    import nasjax
    from nasjax import metrics
    from nasjax.proxies import registry
    from nasjax.records import Store

    setting = SETTINGS[name]
    space = nasjax.get_space(setting.space, image_size=setting.image_size, **(setting.options | args.options))
    rows = rows_of(setting, args.data, args.archs, args.seed)
    archs = space.encode(space.decode([setting.encoding(row) for row in rows.itertuples()]))
    batches = batches_of(setting, space, args.data, args.batch_size, args.seed)
    proxies = [p for p in registry.parse(args.proxies) if registry.offers(space, p)]
    args.workdir.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()

    def progress(done: int, total: int) -> None:
        print(f"\r{name}: {done}/{total}, {time.perf_counter() - start:.0f} s", end="", file=sys.stderr, flush=True)

    with Store.open(args.workdir / f"{name.replace(':', '_')}.sqlite") as store:
        result = nasjax.score(
            space,
            archs,
            batches,
            proxies,
            key=jax.random.key(args.seed),
            engine="jit",
            chunk=1,
            store=store,
            progress=progress,
            profile_archs=args.profile_archs,
        )
    print(file=sys.stderr)
    valid = np.all(list(result.valid.values()), axis=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{name}: {valid.sum()} of {len(archs)} architectures, batch {args.batch_size}, {space.options}")
    print(f"all proxies {np.median(result.seconds):.2f} s an architecture; memory {peak:.1f} GiB")
    for column, profile in result.intervals.items():
        print(f"{column}: bins {profile.interval}")
    for column in setting.columns:
        truth = rows[column].to_numpy(float)
        use = valid & np.isfinite(truth)
        print(f"{column}, {use.sum()} architectures")
        columns = dict(result.scores)
        if setting.count is not None:
            columns["(number of convolutions)"] = np.array([setting.count(row) for row in rows.itertuples()])
        for proxy, values in columns.items():
            low, high = metrics.bootstrap(metrics.spearman, values[use], truth[use])
            print(f"  {proxy:28}{metrics.spearman(values[use], truth[use]):+.3f}  {low:+.3f} to {high:+.3f}")
        if {"lswag", "params"} <= set(result.scores):
            pair = (result.scores[p][use] for p in ("lswag", "params"))
            found = metrics.paired_bootstrap(metrics.spearman, *pair, truth[use])
            print("  lswag less params           {:+.3f}  {:+.3f} to {:+.3f}".format(*found), flush=True)


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    for name in args.tables:
        run(name, args)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(str(error))
