"""Rank correlation over seeds, two proxies against each other, and agreement with published scores.

    python -m benchmarks.ranking WORKDIR... [--pair=lswag,zico] [--published=FILE]

Each WORKDIR is one of `launch.score`. With several, which then are runs of the same cells with different
seeds, the table holds mean and standard deviation over them. The paired bootstrap resamples architectures.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import pandas as pd

from nasjax import metrics
from nasjax.correlation import mask_invalid, proxy_columns, read_scores
from nasjax.data import tables
from nasjax.types import InputError


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ranking", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR", help="working directories of launch.score")
    parser.add_argument("--table", default="nasbench201", help="accuracies, a name or a CSV file (nasbench201)")
    parser.add_argument("--columns", default="", help="comma-separated columns of accuracies (all)")
    parser.add_argument("--pair", default="", help="two proxies A,B: interval of the difference A - B")
    parser.add_argument("--published", metavar="FILE", help="CSV of published scores, a column a proxy")
    parser.add_argument("--published_key", default="arch_index", help="its column that names the cell (arch_index)")
    return parser.parse_args(argv)


def correlations(scores: pd.DataFrame, table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Spearman of every proxy (rows) with every column of accuracies, on the cells valid for all proxies."""
    proxies = proxy_columns(scores)
    joined, _ = tables.join(mask_invalid(scores)[["arch", *proxies]], table[["arch", *columns]])
    joined = joined.dropna()
    found = {c: [metrics.spearman(joined[p], joined[c]) for p in proxies] for c in columns}
    frame = pd.DataFrame(found, index=pd.Index(proxies))
    frame.attrs["count"] = len(joined)
    return frame


def difference(scores: pd.DataFrame, table: pd.DataFrame, columns: list[str], pair: list[str]) -> pd.DataFrame:
    """Spearman of the first proxy less that of the second, with a 95 % interval."""
    known = proxy_columns(scores)
    if len(pair) != 2 or not set(pair) <= set(known):
        raise InputError(f"--pair={','.join(pair)}: two columns of scores are needed; there are {', '.join(known)}")
    joined, _ = tables.join(mask_invalid(scores)[["arch", *pair]], table[["arch", *columns]])
    joined = joined.dropna()
    rows = [metrics.paired_bootstrap(metrics.spearman, joined[pair[0]], joined[pair[1]], joined[c]) for c in columns]
    return pd.DataFrame(rows, index=pd.Index(columns), columns=["difference", "low", "high"])


def agreement(scores: pd.DataFrame, table: pd.DataFrame, published: pd.DataFrame, key: str) -> pd.DataFrame:
    """Spearman of scores with published ones of the same cells, for every proxy in both."""
    shared = [p for p in proxy_columns(scores) if p in published]
    if not shared:
        raise InputError(f"published scores have {', '.join(published.columns)}: no proxy of this run")
    own = mask_invalid(scores)[["arch", *shared]]
    own = own if key == "arch" else own.merge(table[["arch", key]], on="arch")
    joined = own.merge(published[[key, *shared]], on=key, suffixes=("", "/published"))
    rows = []
    for proxy in shared:
        both = joined[[proxy, f"{proxy}/published"]].dropna()
        rows.append((metrics.spearman(both.iloc[:, 0], both.iloc[:, 1]), len(both)))
    return pd.DataFrame(rows, index=pd.Index(shared), columns=["spearman", "cells"])


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    table = tables.load(args.table)
    known = [c for c in table.columns if c not in ("arch", "arch_index", "iso_group")]
    columns = args.columns.split(",") if args.columns else known
    runs = [read_scores(w) for w in args.workdirs]
    found = [correlations(run, table, columns) for run in runs]
    names = [p for p in found[0].index if all(p in f.index for f in found)]
    values = np.stack([f.loc[names].to_numpy() for f in found])
    counts = ", ".join(str(f.attrs["count"]) for f in found)
    print(f"Spearman on {counts} cells that are valid for every proxy, {len(runs)} runs")
    mean = pd.DataFrame(values.mean(0), names, columns)
    if len(runs) > 1:
        spread = pd.DataFrame(values.std(0, ddof=1), names, columns)
        print((mean.map("{:.3f}".format) + " +- " + spread.map("{:.3f}".format)).to_string())
    else:
        print(mean.map("{:.3f}".format).to_string())
    if args.pair:
        pair = args.pair.split(",")
        print(f"\n{pair[0]} less {pair[1]}, paired bootstrap over architectures, 95 %")
        print(difference(runs[0], table, columns, pair).map("{:+.3f}".format).to_string())
    if args.published:
        print("\nAgreement with published scores of the same cells")
        published = pd.read_csv(args.published)
        print(agreement(runs[0], table, published, args.published_key).round(3).to_string())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(str(error))
