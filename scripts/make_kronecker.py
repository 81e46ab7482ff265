"""Writes nasjax/data/assets/kronecker.csv.gz and kronecker.json from the workdir of a finished benchmark.

    python scripts/make_kronecker.py WORKDIR

WORKDIR is that of

    python -m launch.grasp_benchmark --workdir=WORKDIR --archs=ids:48 --channels=8 --image_size=16 --epochs=8
        --batch_size=64 --space_options=num_blocks=4,num_stages=2,generator=mixed --train_options=crop_padding=2
        --tasks=cifar10=npz:cifar10_subset.npz,cifar100=npz:cifar100_subset.npz

whose files hold 4,000 and 2,000 training images and 1,000 test images each. The table is copied byte for byte, with the
description beside it, which has the flags (files by their names), the versions of packages and the device.
"""

import json
import pathlib
import re
import sys

from nasjax import benchmark

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = ROOT / "nasjax" / "data" / "assets"
MOST = 1_000_000  # bytes


def main(workdir: pathlib.Path, target: pathlib.Path = TARGET) -> None:
    """Checks the table and copies it."""
    rows = benchmark.read_table(workdir)  # compares the checksum
    last = rows[rows["epoch"] == rows["epochs"]]
    trainings = rows.drop_duplicates(["arch", "task", "seed"])
    if len(last) < len(trainings):
        missing = len(trainings) - len(last)
        raise SystemExit(f"{missing} of {len(trainings)} trainings have not ended; run the command again")
    about = json.loads((workdir / "benchmark.json").read_text(encoding="utf-8"))
    text = re.sub(r'npz:[^,"]*/', "npz:", json.dumps(about, indent=1, sort_keys=True)) + "\n"  # names of files alone
    if any(str(folder) in text for folder in (pathlib.Path.home(), workdir.resolve(), ROOT)):
        raise SystemExit("the description names directories of this machine: give relative paths in the flags")
    content = (workdir / "benchmark.csv.gz").read_bytes()
    if len(content) + len(text) > MOST:
        raise SystemExit(f"{len(content) + len(text):,} bytes are more than {MOST:,}")
    (target / "kronecker.csv.gz").write_bytes(content)
    (target / "kronecker.json").write_text(text, encoding="utf-8")
    print(f"{len(rows):,} rows, {rows['arch'].nunique()} architectures, {len(content):,} bytes")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
