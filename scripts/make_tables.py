"""Writes nasjax/data/assets/nasbench201.csv.gz from the full table of reference data.

    NASJAX_SHARED=DIR python scripts/make_tables.py

DIR/data/nasbench201.csv.gz holds the accuracies of 12,134 NAS-Bench-201 cells; the six columns that the
package needs are kept. Origins are in NOTICE. The output is the same byte for byte at every run.
"""

import gzip
import io
import os
import pathlib

import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = ROOT / "nasjax" / "data" / "assets" / "nasbench201.csv.gz"
COLUMNS = ["arch", "arch_index", "iso_group", "cifar10_test", "cifar100_test", "imagenet16_test"]


def main(target: pathlib.Path = TARGET) -> None:
    """Reads, selects, sorts by official index and writes."""
    shared = pathlib.Path(os.environ.get("NASJAX_SHARED", ROOT.parent / "shared"))
    table = pd.read_csv(shared / "data" / "nasbench201.csv.gz", dtype={"arch_string": "str"})
    table = table.rename(columns={"arch_string": "arch"})[COLUMNS].sort_values("arch_index")
    if len(table) != 12_134 or table.isna().any(axis=None) or table["arch"].duplicated().any():
        raise SystemExit("the source is not the expected table: 12,134 distinct cells without gaps")
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    target.write_bytes(gzip.compress(text.getvalue().encode("ascii"), compresslevel=9, mtime=0))
    print(f"{target}: {len(table)} rows, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
