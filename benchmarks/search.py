"""Regret of search on NAS-Bench-201: what is lost against the best cell, by algorithm, score and budget.

    python -m benchmarks.search [--seeds=20] [--budgets=50,200,1000] [--json=FILE]

No network runs: scores and accuracies are read from the tables of the package. Every seed searches the 7,108 cells that
have published scores of proxies; --cells=table takes all 12,134 with known accuracy, of which the others have no score
and are never chosen by one. Regret is the best CIFAR-10 test accuracy of the 12,134 cells less that of the cell that
the search puts first, in percentage points; with --trained=K, of the best of the K that it puts first. One search of
the largest budget gives the smaller ones: its first so many cells, ranked among themselves.

Scores: `single`, the proxy with the best Spearman correlation on 1,000 random cells of the seed; `libra`, three proxies
that LIBRA chooses on the same cells, merged by rank; `ranksum`, all proxies merged by rank; `random`, a random number a
cell; `table`, the test accuracy itself.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np
import pandas as pd

import nasjax
from nasjax import metrics, parallel
from nasjax.cli.progress import progress
from nasjax.data import proxy_tables, tables
from nasjax.search import TableObjective, libra, registry, search
from nasjax.types import InputError

OBJECTIVES = ("single", "libra", "ranksum", "random", "table")
TARGET, VALID = "cifar10_test", "cifar10_valid"
CHOSEN_ON = 1000  # cells that proxies are chosen on
# Aging as in the NAS-Bench-201 paper, whose population of 10 suits small budgets; others by their defaults.
OPTIONS: dict[str, dict[str, Any]] = {"aging": {"population": 10, "sample": 3, "children": 1}}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="searches of each kind (20)")
    parser.add_argument("--budgets", default="50,200,1000", help="cells scored, comma-separated (50,200,1000)")
    parser.add_argument("--algorithms", default=",".join(registry.names()), help="comma-separated (all)")
    parser.add_argument("--objectives", default=",".join(OBJECTIVES), help="comma-separated (all)")
    parser.add_argument("--cells", default="scored", choices=("scored", "table"), help="which are searched (scored)")
    parser.add_argument("--trained", type=int, default=1, help="cells put first whose best counts (1)")
    parser.add_argument("--json", type=pathlib.Path, help="file to keep the numbers in")
    args = parser.parse_args(argv)
    for name, known in (("algorithms", registry.names()), ("objectives", OBJECTIVES)):
        chosen = getattr(args, name).split(",")
        unknown = [word for word in chosen if word not in known]
        if unknown:
            parser.error(f"--{name}: {unknown[0]!r} is none of {', '.join(known)}")
        setattr(args, name, chosen)
    try:
        args.budgets = sorted(int(word) for word in args.budgets.split(","))
    except ValueError:
        parser.error(f"--budgets={args.budgets}: whole numbers separated by commas are needed")
    if min(args.seeds, args.budgets[0], args.trained) < 1:
        parser.error("--seeds, --budgets and --trained must be at least 1")
    if args.budgets[-1] < 50:
        parser.error(f"--budgets={args.budgets[-1]}: the largest must hold a population of 50")
    return args


def data(cells: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Accuracies with scores (NaN where none are published), a row a cell; names of the proxies."""
    published = proxy_tables.load("nasbench201_cifar10")
    table = tables.load("nasbench201")[["arch", TARGET]]
    scores = published.table[["arch", VALID, *published.proxies]]
    return table.merge(scores, on="arch", how="left" if cells == "table" else "inner"), published.proxies


def objective(name: str, frame: pd.DataFrame, proxies: tuple[str, ...], seed: int) -> tuple[TableObjective, list[str]]:
    """What a seed maximises, and the proxies behind it."""
    rng = np.random.default_rng(seed)
    if name == "table":
        return TableObjective.of(frame, TARGET), [TARGET]
    if name == "random":
        return TableObjective.of(frame.assign(number=rng.random(len(frame))), "number"), ["random"]
    if name == "ranksum":
        return TableObjective.of(frame, proxies), list(proxies)
    known = frame.dropna(subset=[VALID])
    sample = known.iloc[rng.choice(len(known), CHOSEN_ON, replace=False)]
    if name == "single":
        rho = {p: metrics.spearman(sample[p], sample[VALID], nan="drop") for p in proxies}
        best = max(rho, key=lambda p: rho[p])
        return TableObjective.of(frame, best), [best]
    choice = libra({p: sample[p].to_numpy() for p in proxies}, sample[VALID].to_numpy(), sample["params"].to_numpy(),
                   invalid="drop")  # fmt: skip
    made = TableObjective.of(frame, choice.proxies, weights=choice.signs, aggregation=choice.config.aggregation)
    return made, list(choice.proxies)


def found_at(result: Any, goal: TableObjective, budget: int, trained: int) -> list[str]:
    """The cells that a search of a smaller budget would put first."""
    columns = np.stack(list(result.columns.values()), 1)[:budget]
    alive = np.array(["no path" not in reason for reason in result.reasons[:budget]])
    scores = np.full(len(columns), -np.inf)
    scores[alive] = goal.combine(columns[alive])
    order = np.argsort(-scores, kind="stable")[:trained]
    return [result.encodings[i] for i in order if np.isfinite(scores[i])]


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    frame, proxies = data(args.cells)
    space = nasjax.get_space("nasbench201")
    accuracy = dict(zip(*(tables.load("nasbench201")[c] for c in ("arch", TARGET)), strict=True))
    best = max(accuracy.values())
    rows, total = [], args.seeds * len(args.objectives) * len(args.algorithms)
    with progress("Searching", unit="run") as report:
        report(0, total)
        for seed in range(args.seeds):
            for name in args.objectives:
                goal, behind = objective(name, frame, proxies, seed)
                for algorithm in args.algorithms:
                    begin = time.perf_counter()
                    result = search(
                        space, goal, key=jax.random.key(seed), algorithm=algorithm, budget=args.budgets[-1],
                        duplicates="encoding", **OPTIONS.get(algorithm, {}),
                    )  # fmt: skip
                    seconds = time.perf_counter() - begin
                    for budget in args.budgets:
                        first = found_at(result, goal, budget, args.trained)
                        regret = best - max(accuracy[arch] for arch in first)
                        rows.append({"algorithm": algorithm, "objective": name, "budget": budget, "seed": seed,
                                     "regret": regret, "proxies": behind, "seconds": seconds})  # fmt: skip
                    report(len(rows) // len(args.budgets), total)
    return rows


def show(rows: list[dict[str, Any]], args: argparse.Namespace, cells: int) -> None:
    frame = pd.DataFrame(rows)
    print(f"Regret on NAS-Bench-201, CIFAR-10 test, percentage points; mean +- standard deviation over {args.seeds}"
          f" seeds; {cells:,} cells; best of {args.trained} put first; {parallel.device_summary()}")  # fmt: skip
    for budget, part in frame.groupby("budget"):
        print(f"\n{budget} cells scored")
        grouped = part.groupby(["algorithm", "objective"], sort=False)["regret"]
        text = grouped.agg(lambda x: f"{x.mean():.2f} +- {x.std(ddof=0):.2f}").unstack()
        print(text.loc[args.algorithms, args.objectives].to_string())
    print("\nSeconds a search, by algorithm (compiling included)")
    print(frame.groupby("algorithm")["seconds"].median().round(2).to_string(header=False))


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    rows = measure(args)
    show(rows, args, len(data(args.cells)[0]))
    if args.json:
        args.json.write_text(json.dumps({"device": parallel.device_summary(), "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(str(error))
