"""Parity with golden numbers: ``python -m nasjax.testing.parity FILE...``.

A line for each quantity: of the architectures, the relative error that comes nearest to its tolerance, the
tolerance, verdict, and the first layer that is off. Exit status 0 when everything claimed is there and within its
tolerance, 1 otherwise, 2 for bad input.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

import numpy as np

from nasjax.testing import golden, kits, libra
from nasjax.types import InputError


def check(
    path: str | pathlib.Path, *, data: str | pathlib.Path | None = None, double: bool = True
) -> tuple[list[str], bool]:
    """Compares one golden file.

    Args:
      path: ``<space>.json``, with ``<space>_params.json`` beside it, or the golden file of LIBRA.
      data: folder of the images, or their file, or of LIBRA's tables; by default ``../data`` from the file's folder.
      double: float64, or float32 with tolerances of a few official float32-float64 gaps.

    Returns:
      report lines, and whether everything passes.

    Raises:
      InputError: the file, its data or its space is not usable.
    """
    path = pathlib.Path(path)
    if libra.is_golden(path):
        return libra.check(path, data=data)
    file, params = golden.load(path)
    try:
        kit = kits.get(file["meta"]["space"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    data = path.resolve().parent.parent / "data" if data is None else data
    computer = golden.Computer(kit, *kit.batches(data, np.float64 if double else np.float32))
    found: dict[str, list[golden.Quantity]] = {}
    lines, good = [f"{path.name}: {len(file['archs'])} architectures, {'float64' if double else 'float32'}"], True
    for entry in file["archs"]:
        tensors, digest = golden.weights(params[str(entry["index"])]["params"], entry["index"])
        if digest != entry["sha256"]:
            lines.append(f"  index {entry['index']}: weights differ from the recipe's hash; nothing was compared.")
            good = False
            continue
        try:
            quantities = computer(entry, tensors)
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: index {entry['index']} lacks something, or holds it in another form"
                             f" ({error!r}); do: get the file again.") from error
        for quantity in quantities:
            found.setdefault(quantity.name, []).append(quantity)
        print(f"  index {entry['index']} done", file=sys.stderr, flush=True)
    for name, quantities in found.items():
        bad = [q for q in quantities if not q.passes]
        # References of one name may be in double precision for some networks and in single for others.
        worst = max(quantities, key=lambda q: (not q.passes, q.error / q.tolerance if q.tolerance else q.error))
        line = f"  {name:34} {worst.error:9.2e}  tolerance {worst.tolerance:7.1e}  "
        first = f"first layer off: {bad[0].where}" if bad and bad[0].where else ""
        lines.append(line + ("ok" if not bad else f"OUTSIDE ({len(bad)} of {len(quantities)}) {first}"))
        good = good and not bad
    missing = [name for name in kit.claimed if name not in found]
    if missing:
        lines.append(f"  missing: {', '.join(missing)}")
    return lines, good and not missing


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    import jax

    parser = argparse.ArgumentParser(prog="python -m nasjax.testing.parity", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="golden files, <space>.json or libra.json")
    parser.add_argument("--data", help="folder of the images or tables behind the numbers, or the file of images")
    parser.add_argument("--float32", action="store_true", help="compare in float32, with wider tolerances")
    args = parser.parse_args(argv)
    good = True
    with jax.enable_x64(not args.float32):
        for file in args.files:
            try:
                lines, passes = check(file, data=args.data, double=not args.float32)
            except InputError as error:
                print(error, file=sys.stderr)
                return 2
            print("\n".join(lines))
            good = good and passes
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
