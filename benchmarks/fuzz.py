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
import gzip
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from nasjax.types import InputError

LONGEST = 60  # seconds
DEFECTS = ("crash", "hang", "lost")
CELLS = ("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
         "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
         "|none~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|none~1|skip_connect~2|")  # fmt: skip


class Format(NamedTuple):
    """A kind of file.

    Attributes:
      make: writes it below a directory and returns the file, or the directory of several files.
      read: reads what ``make`` returned and gives something that can be compared.
      version: changes the file into one of another version; None: it has none.
      tolerant: whether files that cannot be read are done without (a memory of what was done).
    """

    make: Callable[[pathlib.Path], pathlib.Path]
    read: Callable[[pathlib.Path], Any]
    version: Callable[[pathlib.Path, int], None] | None = None
    tolerant: bool = False


# --- the formats -----------------------------------------------------------------------------------------------------


def _store(base: pathlib.Path) -> pathlib.Path:
    from nasjax.records import Record, Store

    with Store.open(base) as store:
        for proxy in ("nwot", "zico"):
            store.put([Record("c", arch, proxy, 1.5 + i, 2.0, True, "", 0.1) for i, arch in enumerate(CELLS)])
        return store.path


def _read_store(path: pathlib.Path) -> Any:
    from nasjax.records import Record, Store

    with Store.open(path.parent, read_only=True) as store:
        found = store.to_frame().to_csv()
    if path.is_file():  # a run that goes on there, and is given up at once
        copy = path.parent / "copy" / path.name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
        with Store.open(copy.parent) as store:
            store.put([Record("d", "a", "zico", 1.0, 1.0, True, "", 0.1)])
            assert store.get("d")["a"].score == 1.0
    return found


def _sqlite_version(path: pathlib.Path, version: int) -> None:
    import sqlite3

    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")


def _epochs(base: pathlib.Path) -> pathlib.Path:
    from nasjax.benchmark.store import EpochStore, Row

    with EpochStore(base) as store:
        for epoch in (1, 2):
            store.put(Row(arch, "t", 0, epoch, 1.0, 1.0, 50.0 + i, 40.0, 1.0, "cpu", True, "")
                      for i, arch in enumerate(CELLS))  # fmt: skip
        return store.path


def _read_epochs(path: pathlib.Path) -> Any:
    from nasjax.benchmark.store import EpochStore

    with EpochStore(path.parent, read_only=True) as store:
        return store.rows()


def _states(base: pathlib.Path) -> pathlib.Path:
    from nasjax.checkpoint import Checkpoints

    with Checkpoints(base / "states") as states:
        for step in (1, 2):
            states.save(step, {"w": np.arange(400.0) + step, "n": np.int32(step)}, {"step": step})
    return base / "states"


def _read_states(path: pathlib.Path) -> Any:
    from nasjax.checkpoint import Checkpoints

    with Checkpoints(path) as states:
        states.newest_meta()
        found = states.restore({"w": 0, "n": 0})
    if found is None:
        return None
    step = found.step
    assert found.meta == {"step": step}, found.meta
    np.testing.assert_array_equal(found.arrays["w"], np.arange(400.0) + step)
    return "a whole state"  # the newest, or the one before


def _predictor(base: pathlib.Path) -> pathlib.Path:
    from nasjax import get_space, grasp

    kept = _predictor.__dict__.setdefault("made", pathlib.Path(tempfile.mkdtemp()))
    if not (kept / "predictor").exists():
        space = get_space("nasbench201")
        graphs = grasp.encode(space, space.all()[:40])
        config = grasp.config.preset("published").with_options(steps=3, width=4, layers=1)
        grasp.fit(graphs, np.arange(40.0), seed=0, config=config).save(kept / "predictor")
    shutil.copytree(kept / "predictor", base / "predictor")
    return base / "predictor"


def _read_predictor(path: pathlib.Path) -> Any:
    import jax

    from nasjax import grasp

    model = grasp.load(path)
    return [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(model.params)], model.config


def _npz(base: pathlib.Path) -> pathlib.Path:
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
    np.savez_compressed(base / "images.npz", x=images, y=np.arange(12) % 3)
    return base / "images.npz"


def _read_npz(path: pathlib.Path) -> Any:
    import nasjax

    batches = nasjax.data.load(f"npz:{path}", batch_size=4, num_batches=2)
    return [(np.asarray(b.images).tolist(), np.asarray(b.labels).tolist()) for b in batches]


def _masks(base: pathlib.Path) -> pathlib.Path:
    random = np.random.default_rng(0)
    np.savez(base / "masks.npz", x_train=random.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8),
             y_train=random.integers(0, 3, (4, 8, 8)))  # fmt: skip
    return base / "masks.npz"


def _read_masks(path: pathlib.Path) -> Any:
    from nasjax.das.scenes import load_scenes

    scenes = load_scenes(f"npz:{path}")
    return [[part.tolist() for part in scenes[i]] for i in range(len(scenes))]


def _folder(base: pathlib.Path) -> pathlib.Path:
    from PIL import Image

    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (base / "images" / label).mkdir(parents=True)
        for i, ending in enumerate(("png", "jpg", "png")):
            pixels = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(base / "images" / label / f"{i}.{ending}")
    return base / "images"


def _read_folder(path: pathlib.Path) -> Any:
    import nasjax

    batches = nasjax.data.load(f"folder:{path}", batch_size=2, num_batches=1)
    return [np.asarray(b.images).tolist() for b in batches]


_TABLE = "arch,top1,params\n" + "".join(f"{arch},{90 + i}.25,{1000 * (i + 1)}\n" for i, arch in enumerate(CELLS))


def _csv(base: pathlib.Path) -> pathlib.Path:
    (base / "table.csv").write_text(_TABLE, encoding="utf-8")
    return base / "table.csv"


def _csv_gz(base: pathlib.Path) -> pathlib.Path:
    (base / "table.csv.gz").write_bytes(gzip.compress(_TABLE.encode(), mtime=0))
    return base / "table.csv.gz"


def _read_table(path: pathlib.Path) -> Any:
    from nasjax.cli import accuracies

    return accuracies.load(str(path), "nasbench201").to_csv()


def _read_scores(path: pathlib.Path) -> Any:
    from nasjax import correlation

    return correlation.mask_invalid(correlation.read_scores(path)).to_csv()


def _read_archs(path: pathlib.Path) -> Any:
    import jax

    import nasjax
    from nasjax.cli import archs

    return archs.choose(jax.random.key(0), nasjax.get_space("nasbench201"), f"file:{path}")


def _benchmark(base: pathlib.Path) -> pathlib.Path:
    from nasjax.benchmark.store import Row
    from nasjax.benchmark.table import Facts, write_table

    rows = [Row(arch, "t", 0, epoch, 1.0, 1.0, 50.0 + i + epoch, 40.0, 1.0, "cpu", True, "")
            for i, arch in enumerate(CELLS) for epoch in (1, 2)]  # fmt: skip
    write_table(base, rows, {("t", arch): Facts("s", 10, 20) for arch in CELLS}, space="nasbench201", epochs=2,
                archs=CELLS, about={})  # fmt: skip
    return base


def _read_benchmark(path: pathlib.Path) -> Any:
    from nasjax.cli import accuracies

    accuracies.space_options(str(path), "t_valid")
    return accuracies.load(str(path), "nasbench201").to_csv()


def _json(name: str, content: Callable[[], str]) -> Callable[[pathlib.Path], pathlib.Path]:
    def make(base: pathlib.Path) -> pathlib.Path:
        (base / name).write_text(content(), encoding="utf-8")
        return base / name

    return make


def _json_version(path: pathlib.Path, version: int) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"version": version}))


def _genotype() -> str:
    from nasjax.das.config import DASConfig
    from nasjax.das.genotype import Gene, Genotype

    return Genotype((Gene(0, 0, "rotate", 4.0), Gene(1, 2, "translate_y", -0.1)), DASConfig(num_frames=4)).to_json()


def _read_genotype(path: pathlib.Path) -> Any:
    from nasjax.das.genotype import Genotype

    return Genotype.load(path)


def _selection() -> str:
    return json.dumps({
        "format": "nasjax.selection", "version": 1, "proxies": ["nwot", "zen"], "signs": [1, -1],
        "aggregation": "ranksum", "space": "nasbench201", "source": "t", "reasons": {"a": 1},
    })  # fmt: skip


def _read_selection(path: pathlib.Path) -> Any:
    from nasjax.search import Selection

    return Selection.load(path)


def _interval(base: pathlib.Path) -> pathlib.Path:
    from nasjax.proxies import saved_intervals
    from nasjax.proxies.profile import IntervalProfile

    bins = np.linspace(-1.0, 1.0, 10)
    os.environ["NASJAX_INTERVALS"] = str(base)
    return saved_intervals.save("mine", IntervalProfile(bins, abs(bins), bins, (2, 6), 4), {"space": "nasbench201"})


def _read_interval(path: pathlib.Path) -> Any:
    from nasjax.proxies import saved_intervals

    os.environ["NASJAX_INTERVALS"] = str(path.parent)
    return json.dumps(saved_intervals.load(path.stem).to_json())


def _read_flags(path: pathlib.Path) -> Any:
    from nasjax.cli.options import parse
    from nasjax.cli.score import ScoreConfig

    return parse(ScoreConfig, [f"--flagfile={path}", "--workdir=w"])[0]


def _read_config(path: pathlib.Path) -> Any:
    from nasjax.records import claim_workdir

    claim_workdir(path.parent, {"seed": 0, "space": "nasbench201"})
    return "claimed"


def _parts(base: pathlib.Path) -> pathlib.Path:
    from nasjax.cli.grasp_parts import FILENAME, Parts

    Parts(base, "run")["a"] = [[0.5, 0.25]]
    return base / FILENAME


def _read_parts(path: pathlib.Path) -> Any:
    from nasjax.cli.grasp_parts import Parts

    return dict(Parts(path.parent, "run"))


def _golden(base: pathlib.Path) -> pathlib.Path:
    entry = {"index": 0, "arch": CELLS[0], "sha256": "0" * 64, "params": 1, "f64": {"loss": 1.0}, "f32": {"loss": 1.0},
             "lswag_f64": {"D": 3, "layers": []}, "scores_f64": {"nwot": 1.0}}  # fmt: skip
    kernel = ["stem.weight", [4, 3, 3, 3], "weight"]
    (base / "nasbench201.json").write_text(json.dumps({"meta": {"space": "nasbench201"}, "archs": [entry]}))
    (base / "nasbench201_params.json").write_text(json.dumps({"0": {"params": [kernel]}}))
    return base


def _read_golden(path: pathlib.Path) -> Any:
    from nasjax.testing import golden

    file, params = golden.load(path / "nasbench201.json")
    return [golden.weights(params[str(entry["index"])]["params"], entry["index"])[1] for entry in file["archs"]]


FORMATS: dict[str, Format] = {
    "store": Format(_store, _read_store, _sqlite_version),
    "benchmark_store": Format(_epochs, _read_epochs, _sqlite_version),
    "checkpoint": Format(_states, _read_states),
    "predictor": Format(_predictor, _read_predictor),
    "npz": Format(_npz, _read_npz),
    "masks": Format(_masks, _read_masks),
    "image_folder": Format(_folder, _read_folder),
    "table_csv": Format(_csv, _read_table),
    "table_csv_gz": Format(_csv_gz, _read_table),
    "scores_csv": Format(_csv, _read_scores),
    "scores_csv_gz": Format(_csv_gz, _read_scores),
    "archs_csv": Format(_csv, _read_archs),
    "archs_csv_gz": Format(_csv_gz, _read_archs),
    "benchmark_table": Format(_benchmark, _read_benchmark),
    "genotype": Format(_json("genotype.json", _genotype), _read_genotype, _json_version),
    "selection": Format(_json("selection.json", _selection), _read_selection, _json_version),
    "interval": Format(_interval, _read_interval),
    "run_flags": Format(_json("run.flags", lambda: "# Repeats this run\n--space=nasbench201\n--seed=3\n"
                                                   "--proxies=zico,nwot\n"), _read_flags),
    "config": Format(_json("config.json", lambda: '{"seed": 0, "space": "nasbench201"}'), _read_config),
    "transfer_parts": Format(_parts, _read_parts, tolerant=True),
    "golden": Format(_golden, _read_golden),
}  # fmt: skip


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
