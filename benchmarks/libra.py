"""LIBRA against the other aggregations on published tables of proxies, over random samples as in the paper.

    python -m benchmarks.libra [TABLE...] [--scores=WORKDIR] [--seeds=20] [--size=1000] [--json=FILE]

Every seed draws --size architectures of a table (all where it has fewer, once); all methods choose and are measured on
them. Printed for each method: mean and standard deviation of Spearman's correlation over the seeds, in how many no
other was better (best_pair, which tries all pairs against the accuracies, aside), and what LIBRA chose how often.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import sys
from typing import Any

import numpy as np

from nasjax.cli import libra_input
from nasjax.data import proxy_tables
from nasjax.search import compare
from nasjax.types import InputError


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.libra", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="tables as launch.libra takes them (all built in)")
    parser.add_argument("--scores", default="", help="run of launch.score whose proxies join those of the table")
    parser.add_argument("--accuracy", default="", help="column of accuracies (the table's usual one)")
    parser.add_argument("--proxies", default="", help="comma-separated columns to use (all)")
    parser.add_argument("--prefer", default="table", choices=("table", "scores"), help="whose column counts")
    parser.add_argument("--invalid", default="drop", choices=("drop", "suite"), help="what is done about NaN (drop)")
    parser.add_argument("--direction", default="given", choices=("given", "data"), help="as of launch.libra (given)")
    parser.add_argument("--choose_on", type=int, default=0, help="choose on so many, measure on the others (0)")
    parser.add_argument("--seeds", type=int, default=20, help="samples (20)")
    parser.add_argument("--size", type=int, default=1000, help="architectures a sample (1000)")
    parser.add_argument("--json", type=pathlib.Path, help="file to keep the numbers in")
    args = parser.parse_args(argv)
    for name in ("seeds", "size"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
    args.tables = args.tables or list(proxy_tables.names())
    return args


def measure(table: str, args: argparse.Namespace) -> dict[str, Any]:
    """Correlations of every method and sample, and what LIBRA chose."""
    words = [word.strip() for word in args.proxies.split(",") if word.strip()]
    given = libra_input.read(table, args.scores, accuracy=args.accuracy, proxies=words, prefer=args.prefer)
    total, rhos, chosen = len(given.accuracies), collections.defaultdict(list), []
    for seed in range(args.seeds if total > args.size or args.choose_on else 1):
        rows = np.random.default_rng(seed).choice(total, args.size, replace=False) if total > args.size else slice(None)
        params = None if given.num_params is None else given.num_params[rows]
        found = compare({name: values[rows] for name, values in given.scores.items()}, given.accuracies[rows], params,
                        choose_on=args.choose_on, num_bootstrap=0, seed=seed, invalid=args.invalid,
                        direction=args.direction)  # fmt: skip
        for entry in found.measured:
            rhos[entry.method].append(entry.spearman)
        chosen.append(found.choice.proxies)
    return {"table": given.source, "accuracy": given.target, "rows": total, "proxies": list(given.scores),
            "notes": given.notes, "spearman": dict(rhos), "chosen": chosen}  # fmt: skip


def show(result: dict[str, Any]) -> None:
    rhos = {method: np.array(values) for method, values in result["spearman"].items()}
    seeds = len(result["chosen"])
    about = f"{result['rows']} rows, {len(result['proxies'])} proxies, {seeds} sample{'s' * (seeds > 1)}"
    print(f"\n{result['table']}, {result['accuracy']}: {about}")
    for note in result["notes"]:
        print(f"  {note}")
    rivals = [values for method, values in rhos.items() if method != "best_pair"]
    best = np.nanmax(rivals, axis=0)
    for method, values in sorted(rhos.items(), key=lambda item: -item[1].mean()):
        spread = f" +- {values.std():.3f}" if seeds > 1 else ""
        first = f"  first in {int((values >= best).sum())}" if seeds > 1 and method != "best_pair" else ""
        print(f"  {method:14} {values.mean():.3f}{spread}{first}")
    for proxies, count in collections.Counter(tuple(c) for c in result["chosen"]).most_common(5):
        print(f"  chosen {count:3}x  {', '.join(proxies)}")


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    results = []
    for table in args.tables:
        results.append(measure(table, args))
        show(results[-1])
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(str(error))
