"""Damages files that commands read, and counts what becomes of it.

    python -m benchmarks.fuzz [--trials=40] [--formats=store,npz] [--seed=0] [--json=FILE]

A trial makes a good file, damages it in a way drawn by the seed (cut, bytes changed, blocks of zeros, random bytes,
empty, a foreign file, a directory in its place, missing, a value of JSON of another kind, another version), and reads
it. Outcomes:

- same: what is read is what was written; so, too, where an older state is taken for a damaged newer one;
- other: something else is read, as from a digit changed in a table without a checksum;
- refused: one `InputError`;
- crash: any other exception; hang: no end within a minute; lost: reading has changed what was left of the file.

The last three are defects, and give exit status 1. With --json the count goes on where it was.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import pathlib
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.fuzz_formats import FORMATS, Format
from nasjax.types import InputError

LONGEST = 60  # seconds
DEFECTS = ("crash", "hang", "lost")


# --- damage ----------------------------------------------------------------------------------------------------------


def _cut(path: pathlib.Path, random: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(random.integers(0, max(1, len(content))))])


def _flip(path: pathlib.Path, random: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    for place in random.integers(0, max(1, len(content)), int(random.integers(1, 9))):
        if content:
            content[place] ^= int(random.integers(1, 256))
    path.write_bytes(bytes(content))


def _zeros(path: pathlib.Path, random: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    start = int(random.integers(0, max(1, len(content))))
    block = content[start : start + int(random.integers(1, 4096))]
    content[start : start + len(block)] = bytes(len(block))
    path.write_bytes(bytes(content))


def _noise(path: pathlib.Path, random: np.random.Generator) -> None:
    path.write_bytes(random.bytes(int(random.integers(1, 5000))))


def _empty(path: pathlib.Path, random: np.random.Generator) -> None:
    path.write_bytes(b"")


def _foreign(path: pathlib.Path, random: np.random.Generator) -> None:
    """A good file of another kind."""
    with tempfile.TemporaryDirectory() as folder:
        names = ["npz", "table_csv", "table_csv_gz", "genotype", "selection", "benchmark_store", "store", "run_flags"]
        made = FORMATS[names[int(random.integers(len(names)))]].make(pathlib.Path(folder))
        path.write_bytes(made.read_bytes())


def _directory(path: pathlib.Path, random: np.random.Generator) -> None:
    path.unlink()
    path.mkdir()


def _missing(path: pathlib.Path, random: np.random.Generator) -> None:
    path.unlink()


def _value(path: pathlib.Path, random: np.random.Generator) -> None:
    """A value of JSON, anywhere in it, becomes one of another kind; in other files, a part of the text is doubled."""
    content = path.read_bytes()
    try:
        tree = json.loads(content)
    except ValueError:
        start, end = sorted(random.integers(0, max(1, len(content)), 2))
        path.write_bytes(content[:end] + content[start:])
        return
    path.write_text(json.dumps(_changed(tree, random)))


def _changed(tree: Any, random: np.random.Generator) -> Any:
    if isinstance(tree, dict | list) and len(tree) and random.random() < 0.85:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = keys[int(random.integers(len(keys)))]
        copy = tree.copy()
        if random.random() < 0.15:
            del copy[key]
        else:
            copy[key] = _changed(tree[key], random)
        return copy
    others: list[Any] = [None, True, -1, 10**30, 1e308, "", "x", [], {}, [[1]], {"a": None}, float("nan")]
    return others[int(random.integers(len(others)))]


DAMAGES: dict[str, Callable[[pathlib.Path, np.random.Generator], None]] = {
    "cut": _cut, "flip": _flip, "zeros": _zeros, "noise": _noise, "empty": _empty, "foreign": _foreign,
    "directory": _directory, "missing": _missing, "value": _value,
}  # fmt: skip
WEIGHTS = {"cut": 3, "flip": 3, "zeros": 2, "value": 4}


def damage(kind: Format, path: pathlib.Path, random: np.random.Generator) -> str:
    """Damages a file, or one of a directory; returns how."""
    names = [*DAMAGES, *(["version"] if kind.version else [])]
    weights = np.array([WEIGHTS.get(name, 1) for name in names], float)
    name = str(random.choice(names, p=weights / weights.sum()))
    if name == "version" and kind.version:
        kind.version(path, int(random.choice([0, 2, 3, 99])))
        return name
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file() and f.name != ".lock")
    DAMAGES[name](files[int(random.integers(len(files)))], random)
    return name


# --- trials ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    def ring(number: int, frame: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _all_bytes(path: pathlib.Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else list(path.rglob("*"))
    return {str(f): f.read_bytes() for f in files if f.is_file() and f.name != ".lock"}


def trial(name: str, number: int, *, seed: int = 0) -> tuple[str, str, str]:
    """One trial.

    Args:
      name: of the format.
      number: of the trial.
      seed: of all trials.

    Returns:
      how the file was damaged, the outcome, and the message or traceback.
    """
    kind, random = FORMATS[name], np.random.default_rng([seed, number, *name.encode()])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        path = kind.make(pathlib.Path(folder))
        good = kind.read(path)
        how = damage(kind, path, random)
        before = _all_bytes(path)
        try:
            with _alarm(LONGEST):
                found = kind.read(path)
            outcome, said = ("same" if found == good else "other"), ""
        except TimeoutError:
            return how, "hang", ""
        except InputError as error:
            outcome, said = "refused", str(error)
        except Exception as error:
            return how, "crash", f"{type(error).__name__}: {error}"
        after = _all_bytes(path) if path.exists() else {}
        if any(after.get(file) != content for file, content in before.items()):
            return how, "lost", said
    return how, outcome, said


def main(argv: list[str] | None = None) -> dict[str, dict[str, int]]:
    """Runs trials, prints what failed and a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=40, help="of each format (40)")
    parser.add_argument("--formats", default=",".join(FORMATS), help="which (all)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (0)")
    parser.add_argument("--json", type=pathlib.Path, help="keeps the numbers, and goes on from them")
    args = parser.parse_args(argv)
    known = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    counts: dict[str, dict[str, int]] = known.get("outcomes", {}) if known.get("seed") == args.seed else {}
    columns = ("same", "other", "refused", *DEFECTS)
    for name in args.formats.split(","):
        own = collections.Counter(counts.get(name, {}))
        for number in range(sum(own.values()), args.trials):
            how, outcome, said = trial(name, number, seed=args.seed)
            own[outcome] += 1
            if outcome in DEFECTS:
                print(f"{name}, trial {number}, {how}: {outcome}: {said}", flush=True)
            counts[name] = dict(own)
            if args.json:
                args.json.write_text(json.dumps({"seed": args.seed, "outcomes": counts}, indent=1) + "\n")
    print(f"{'format':<18}{'trials':>7}" + "".join(f"{column:>9}" for column in columns))
    for name, row in counts.items():
        print(f"{name:<18}{sum(row.values()):>7}" + "".join(f"{row.get(column, 0):>9}" for column in columns))
    return counts


if __name__ == "__main__":
    sys.exit(any(row.get(defect) for row in main().values() for defect in DEFECTS))
