"""Writes nasjax/data/assets/nasbench201_robustness.csv.gz from the full table of reference data.

    NASJAX_SHARED=DIR python scripts/make_robustness.py

DIR/data/nasbench201_robustness_cifar10.csv.gz holds the accuracies of 12,134 NAS-Bench-201 cells on attacked CIFAR-10
images; four attacks at 1/255, where accuracies spread, are kept. Rows are those of nasbench201.csv.gz, which names the
cells. Origins are in NOTICE. The output is the same byte for byte at every run.
"""

import gzip
import os
import pathlib

import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = ROOT / "nasjax" / "data" / "assets" / "nasbench201_robustness.csv.gz"
ATTACKS = {  # name -> that of the source
    "fgsm_1": "fgsm@Linf_eps-1.0",
    "pgd_1": "pgd@Linf_eps-1.0",
    "apgd_1": "aa_apgd-ce@Linf_eps-1.0",
    "square_1": "aa_square@Linf_eps-1.0",
}


def main(target: pathlib.Path = TARGET) -> None:
    """Reads, checks and writes."""
    shared = pathlib.Path(os.environ.get("NASJAX_SHARED", ROOT.parent / "shared"))
    cells = pd.read_csv(ROOT / "nasjax" / "data" / "assets" / "nasbench201.csv.gz")
    table = pd.read_csv(shared / "data" / "nasbench201_robustness_cifar10.csv.gz").sort_values("arch_index")
    if table["arch_index"].tolist() != cells["arch_index"].tolist() or table.isna().any(axis=None):
        raise SystemExit("the source is not the expected table: the cells of nasbench201.csv.gz, without gaps")
    kept = table[list(ATTACKS.values())].set_axis(list(ATTACKS), axis=1)
    text = kept.to_csv(index=False, lineterminator="\n")
    target.write_bytes(gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0))
    print(f"{target}: {len(kept)} rows, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
