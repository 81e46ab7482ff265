"""Writes nasjax/data/assets/nasbench201_hw_*.csv.gz from the full tables of reference data.

    NASJAX_SHARED=DIR python scripts/make_hardware.py

DIR/data/nasbench201_hw_*.csv.gz hold latencies and energies of 12,134 NAS-Bench-201 cells on six devices. Numbers are
rounded to five significant digits (a relative error of at most 5e-5), rows are those of nasbench201.csv.gz, which names
the cells. Origins are in NOTICE. The output is the same byte for byte at every run.
"""

import gzip
import os
import pathlib

import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = ROOT / "nasjax" / "data" / "assets"
DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "imagenet16_120"}  # name -> that of the source
DIGITS = 5


def main(target: pathlib.Path = TARGET) -> None:
    """Reads, checks, rounds and writes."""
    shared = pathlib.Path(os.environ.get("NASJAX_SHARED", ROOT.parent / "shared"))
    cells = pd.read_csv(ROOT / "nasjax" / "data" / "assets" / "nasbench201.csv.gz")
    for name, source in DATASETS.items():
        table = pd.read_csv(shared / "data" / f"nasbench201_hw_{source}.csv.gz").sort_values("arch_index")
        if table["arch_index"].tolist() != cells["arch_index"].tolist() or table.isna().any(axis=None):
            raise SystemExit(f"{source} is not the expected table: the cells of nasbench201.csv.gz, without gaps")
        columns = table.drop(columns="arch_index")
        rows = [",".join(columns.columns), *(",".join(f"{v:.{DIGITS}g}" for v in row) for row in columns.to_numpy())]
        text = "\n".join(rows) + "\n"
        path = target / f"nasbench201_hw_{name}.csv.gz"
        path.write_bytes(gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0))
        print(f"{path}: {len(table)} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
