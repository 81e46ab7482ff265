"""Writes nasjax/data/assets/proxies_*.csv.gz, the published scores of proxies, from the tables of reference data.

    NASJAX_SHARED=DIR python scripts/make_proxy_tables.py

DIR/data holds the tables; origins and licences are in NOTICE. Architectures are written as nasjax writes them, those of
NAS-Bench-101 as published; numbers stay as published, missing ones and the suite's -1e8 included. The output is the
same byte for byte at every run.
"""

import gzip
import io
import os
import pathlib

import pandas as pd

import nasjax

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = ROOT / "nasjax" / "data" / "assets"
PROXIES = ("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "params", "plain", "snip",
           "synflow", "zen")  # fmt: skip
# file, rows, space, accuracies (name there -> name here), task kept
SOURCES = {
    "nasbench201_cifar10": ("nasbench201_proxies_cifar10", 7108, "nasbench201",
                            {"cifar10_valid": "cifar10_valid", "cifar10_test": "cifar10_test"}, None),
    "nasbench201_imagenet16": ("nasbench201_proxies_imagenet16", 7108, "nasbench201",
                               {"imagenet16_valid": "imagenet16_valid", "imagenet16_test": "imagenet16_test"}, None),
    "nasbench201_cifar100": ("nbsz_nasbench201", 563, "nasbench201", {"val_accuracy": "cifar100_valid"}, "cifar100"),
    "nasbench301": ("nbsz_nasbench301", 543, "darts", {"val_accuracy": "cifar10_surrogate"}, None),
    "nasbench101": ("nbsz_nasbench101", 361, "nasbench101", {"val_accuracy": "cifar10_valid"}, None),
    "transnas_micro": ("nbsz_transnas_micro", 3773, "transnas_micro", {"val_accuracy": "valid"}, None),
    "transnas_micro_class_scene": ("transnasbench101_micro_class_scene_proxies", 1606, "transnas_micro",
                                   {"class_scene_valid": "valid"}, None),
    "transnas_macro": ("nbsz_transnas_macro", 3499, "transnas_macro", {"val_accuracy": "valid"}, None),
}  # fmt: skip


def main(target: pathlib.Path = TARGET) -> None:
    """Reads, selects, encodes and writes every table."""
    data = pathlib.Path(os.environ.get("NASJAX_SHARED", ROOT.parent / "shared")) / "data"
    truth = pd.read_csv(data / "nasbench201.csv.gz")
    for name, (file, rows, space, accuracies, task) in SOURCES.items():
        table = pd.read_csv(data / f"{file}.csv.gz", dtype={"arch": "str"})
        if task:
            table = table[table["task"] == task].drop(columns="task")
        elif "task" in table and table["task"].nunique() == 1:
            table = table.drop(columns="task")
        if "arch_index" in table:  # the built-in table of accuracies knows the official strings
            lacking = [column for column in accuracies if column not in table]
            table = table.merge(truth[["arch_index", *lacking]], on="arch_index", how="left")
            table = table.astype({"arch_index": "int64"})
        elif space != "nasbench101":  # there, rows of one cell differ in what pruning takes away
            known = nasjax.get_space(space)
            table["arch"] = known.encode(known.decode(list(table["arch"])))
        keys = [column for column in ("task", "arch_index", "arch") if column in table]
        columns = [*keys, *accuracies, *(proxy for proxy in PROXIES if proxy in table)]
        table = table[columns].rename(columns=accuracies).reset_index(drop=True)
        if len(table) != rows or table.duplicated(keys).any() or table[list(accuracies.values())].isna().any(axis=None):
            raise SystemExit(f"{file} is not the expected table: {rows} distinct architectures of known accuracy")
        text = io.StringIO()
        table.to_csv(text, index=False, lineterminator="\n")
        path = target / f"proxies_{name}.csv.gz"
        path.write_bytes(gzip.compress(text.getvalue().encode("ascii"), compresslevel=9, mtime=0))
        print(f"{path.name}: {len(table)} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
