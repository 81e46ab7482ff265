"""Kills runs at random moments, starts them again, and compares what they end with.

    python -m benchmarks.kills --workdir=DIR [--kills=10] [--jobs=score,search,train,grasp,das] [--seed=0] [--json=FILE]

Each command runs twice without a stop, which fills the cache of compiled programs, says how long a run takes and shows
that two runs agree. Then it is started, killed by SIGKILL at a moment drawn uniformly over that time, started again by
the same command, and so on until it ends by itself: a chain, of five kills at most. Chains follow until the number of
kills is reached. A start is a child of a process that has imported nasjax, so that imports are left out. All that a run
leaves but times and the report is compared with the first run: tables, JSON, figures, weights, rows of the store.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

TIMES = ("seconds", "elapsed", "waited", "images_per_second")  # of a run, not of its result
LONGEST = 1800.0  # seconds; a run that takes longer hangs
CHAIN = 5  # kills after which a chain runs to its end


class Job(NamedTuple):
    """A command to be killed.

    Attributes:
      name: of the job.
      group: jobs that share a number of kills.
      share: of the group's kills.
      command: module and flags, without ``--workdir``.
    """

    name: str
    group: str
    share: float
    command: tuple[str, ...]


def jobs(data: pathlib.Path) -> list[Job]:
    """The commands, small enough for a laptop.

    Args:
      data: directory of ``images.npz`` and ``genotype.json``.
    """
    images = f"--data=npz:{data / 'images.npz'}"
    space = ("--channels=4", "--cells=1", "--image_size=8")
    noise = ("--data=noise", "--batch_size=8", "--num_batches=2")
    train = ("--channels=4", "--cells=1", "--epochs=8", "--batch_size=8", "--augment=off,flip=true", "--devices=1")
    cells = "num_blocks=2,num_stages=2,min_vertices=2,max_vertices=3"
    das = ("--image_size=8", "--batch_size=10", "--devices=1")
    return [
        Job("score", "score", 1, ("launch.score", *space, *noise, "--archs=random:60", "--proxies=nwot,l2_norm",
                                  "--chunk=2", "--devices=1")),
        Job("search", "search", 1, ("launch.search", *space, *noise, "--proxies=nwot,params", "--weights=1,-1",
                                    "--budget=60", "--chunk=2", "--devices=1",
                                    "--algorithm_options=population=8,parents=4,mutations=4,crossovers=3")),
        Job("train", "train", 1, ("launch.train", *train, images, "--save_every=3", "--hold_out=0.25")),
        Job("grasp_transfer", "grasp", 0.4, ("launch.grasp", "--job=transfer", "--num_train=20", "--splits=2",
                                             "--column=cifar10_test,cifar100_test,imagenet16_test", "--engine=jit",
                                             "--options=steps=60,width=8,layers=1", "--devices=1")),
        Job("grasp_fit", "grasp", 0.2, ("launch.grasp", "--job=fit", "--options=steps=60,width=8,layers=1",
                                        "--engine=jit", "--devices=1")),
        Job("grasp_benchmark", "grasp", 0.4, ("launch.grasp_benchmark", "--channels=4", "--epochs=3", "--block=3",
                                              "--archs=ids:6", f"--space_options={cells}", "--batch_size=16",
                                              f"--tasks=mine=npz:{data / 'images.npz'}", "--image_size=8",
                                              "--train_options=crop_padding=1", "--steps=4", "--devices=1")),
        Job("das_search", "das", 0.5, ("launch.das_search", images, *das, "--num_images=40", "--preset=single_edge",
                                       "--frames=2", "--epochs=3", "--ops=identity,rotate,translate_x", "--shown=2",
                                       "--width=8", "--temporal=tsm")),
        Job("das_train", "das", 0.5, ("launch.das_train", images, *das, "--variant=das", "--epochs=6",
                                      f"--genotype={data / 'genotype.json'}", "--network=resnet10", "--stages=1,1",
                                      "--width=8", "--temporal=tsm", "--dropout=0.1")),
    ]  # fmt: skip


def make_inputs(data: pathlib.Path) -> None:
    """Images of four classes and a genotype."""
    from nasjax.das.config import DASConfig
    from nasjax.das.genotype import Gene, Genotype

    data.mkdir(parents=True, exist_ok=True)
    random, arrays = np.random.default_rng(0), {}
    for split, number in (("train", 64), ("test", 16)):
        arrays[f"x_{split}"] = random.integers(0, 256, (number, 8, 8, 3)).astype(np.uint8)
        arrays[f"y_{split}"] = np.arange(number) % 4
    np.savez(data / "images.npz", **arrays)  # type: ignore[arg-type]
    config = DASConfig(num_frames=2, num_nodes=1, num_inputs=1)
    Genotype((Gene(0, 0, "translate_x", 0.1),), config).save(data / "genotype.json")


# --- what a run ends with --------------------------------------------------------------------------------------------


def results(workdir: pathlib.Path) -> dict[str, str]:
    """Everything that a finished run leaves but times and reports: name -> SHA-256 of the content."""
    found = {}
    for path in sorted(workdir.iterdir()):
        content = _content(path)
        if content is not None:
            found[path.name] = hashlib.sha256(content).hexdigest()
    for states in ("weights", "predictor", "checkpoints/best", "checkpoints/last"):
        if (workdir / states).is_dir():
            found[states] = _weights(workdir / states)
    return found


def apart(workdir: pathlib.Path) -> dict[str, str]:
    """``results`` in a process of its own: a process that has used JAX cannot be forked."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    number = os.fork()
    if not number:
        try:
            os.write(writer, json.dumps(results(workdir)).encode())
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read()
    os.waitpid(number, 0)
    return dict(json.loads(text))


def _content(path: pathlib.Path) -> bytes | None:
    """What counts in a file; None: nothing."""
    if path.name.startswith(".") or path.suffix in (".html", ".gz", ".flags"):
        return None
    if path.suffix == ".json":
        about = json.loads(path.read_text(encoding="utf-8"))
        if path.name == "benchmark.json":
            about = about["results_sha256"]
        return json.dumps(_untimed(about), sort_keys=True).encode()
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]
        return json.dumps(rows).encode()
    if path.suffix == ".sqlite":
        with sqlite3.connect(path) as connection:
            if path.name.startswith("benchmark"):
                return None  # its rows are those of results_sha256
            query = "SELECT context, arch, proxy, score, raw, valid, reason FROM scores ORDER BY 1, 2, 3"
            return repr(connection.execute(query).fetchall()).encode()
    return path.read_bytes() if path.suffix == ".png" else None


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        # That of the whole table of a benchmark, which has times; the one of its results stays.
        left_out = (*TIMES, "sha256") if "results_sha256" in value else TIMES
        return {name: _untimed(inner) for name, inner in value.items() if name not in left_out}
    return [_untimed(inner) for inner in value] if isinstance(value, list) else value


def _weights(directory: pathlib.Path) -> str:
    """Hash of the arrays of the newest state."""
    from nasjax.checkpoint import Checkpoints

    with Checkpoints(directory, read_only=True) as states:
        number = len(states._texts(states.steps()[-1])["shapes"])
        saved = states.restore([0] * number)
    assert saved is not None
    parts = [repr((a.dtype.name, a.shape)).encode() + a.tobytes() for a in map(np.asarray, saved.arrays)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def differing(one: dict[str, str], two: dict[str, str]) -> list[str]:
    """Names of what differs or is there once."""
    return [name for name in sorted({*one, *two}) if one.get(name) != two.get(name)]


# --- runs ------------------------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """One start of a command.

    Attributes:
      seconds: from start to end.
      begun: seconds until the working directory was there, if it was not before.
      killed: whether it was still going on at the moment of the kill.
      code: exit status.
      output: what it printed.
    """

    seconds: float
    begun: float
    killed: bool
    code: int
    output: str


Begin = Callable[[pathlib.Path, pathlib.Path], int]  # workdir, log -> number of a new process


def forked(job: Job) -> Begin:
    """Starts a command in a child of this process, which has imported all and computed nothing yet."""
    module = importlib.import_module(job.command[0].replace("launch.", "nasjax.cli."))
    from nasjax.cli import common

    config = module.main.__annotations__["config"]

    def begin(workdir: pathlib.Path, log: pathlib.Path) -> int:
        sys.stdout.flush()
        number = os.fork()
        if number:
            return number
        try:
            os.setsid()
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, 1)
            os.dup2(file, 2)
            sys.argv = [job.command[0], f"--workdir={workdir}", *job.command[1:]]
            common.run(module.main, getattr(module, config))
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)

    return begin


def start(begin: Begin, workdir: pathlib.Path, log: pathlib.Path, *, kill_after: float | None = None) -> Run:
    """Runs a command to its end or to its kill.

    Args:
      begin: starts it.
      workdir: of the run.
      log: takes its output.
      kill_after: seconds until the kill, from the moment that the workdir is made if it is not there, else from the
        start.
    """
    fresh, first = not workdir.exists(), time.monotonic()
    number = begin(workdir, log)
    begun, killed, status = 0.0, False, None
    while status is None:
        done, code = os.waitpid(number, os.WNOHANG)
        now = time.monotonic() - first
        if done:
            status = os.waitstatus_to_exitcode(code)
            break
        if fresh and not begun and workdir.exists():
            begun = now
        due = kill_after is not None and (begun or not fresh) and now >= begun + kill_after
        if due or now > LONGEST:
            os.kill(number, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
            killed = due and status == -signal.SIGKILL
            if not due:
                raise TimeoutError(f"a run takes more than {LONGEST:.0f} s; see {log}")
            break
        time.sleep(0.002)
    return Run(time.monotonic() - first, begun, killed, status, log.read_text(errors="replace"))


def chain(
    begin: Begin, workdir: pathlib.Path, log: pathlib.Path, reference: Run, random: np.random.Generator, limit: int
) -> tuple[list[float], str]:
    """Starts a run and kills it, up to a number of times, until it ends by itself.

    Args:
      begin: starts the command.
      workdir: of the chain; not there yet.
      log: takes the output of the last start.
      reference: a run without a stop.
      random: draws moments.
      limit: most kills.

    Returns:
      the moments of the kills, as a share of a whole run after its imports; why it failed, or "".
    """
    moments: list[float] = []
    while True:
        fresh, share = not workdir.exists(), float(random.uniform())
        after = share * (reference.seconds - reference.begun) + (0.0 if fresh else reference.begun)
        run = start(begin, workdir, log, kill_after=None if len(moments) == limit else after)
        if run.killed:
            moments.append(share)
        elif run.code:
            return moments, f"exit status {run.code}: {run.output[-2000:]}"
        elif "Traceback" in run.output:
            return moments, f"a traceback: {run.output[-2000:]}"
        else:
            return moments, ""


def torture(
    name: str, begin: Begin, base: pathlib.Path, kills: int, random: np.random.Generator
) -> list[dict[str, Any]]:
    """All chains of one command: a row a chain, the first of which is the second run without a kill."""
    base.mkdir(parents=True, exist_ok=True)
    log, rows = base / "log", []
    for label in ("first", "second"):
        shutil.rmtree(base / label, ignore_errors=True)
        reference = start(begin, base / label, log)
        if reference.code:
            return [{"job": name, "kills": [], "seconds": reference.seconds, "compared": [], "differing": [],
                     "failure": f"fails without a kill: {reference.output[-3000:]}", "left": []}]  # fmt: skip
    wanted = apart(base / "first")
    rows.append({"job": name, "kills": [], "seconds": round(reference.seconds, 2), "compared": sorted(wanted),
                 "differing": differing(wanted, apart(base / "second")), "failure": "", "left": []})  # fmt: skip
    while (done := sum(len(row["kills"]) for row in rows)) < kills:
        workdir, first = base / f"chain{len(rows)}", time.monotonic()
        shutil.rmtree(workdir, ignore_errors=True)
        moments, failure = chain(begin, workdir, log, reference, random, min(CHAIN, kills - done))
        found = differing(wanted, apart(workdir)) if not failure else []
        left = sorted({p.name for p in workdir.iterdir()} - {p.name for p in (base / "first").iterdir()})
        rows.append({"job": name, "kills": [round(m, 3) for m in moments], "compared": sorted(wanted),
                     "seconds": round(time.monotonic() - first, 2), "differing": found, "failure": failure,
                     "left": left})  # fmt: skip
        if not moments:  # the machine has become faster: later moments are drawn from this time
            reference = reference._replace(seconds=min(reference.seconds, time.monotonic() - first))
        said = failure or (f"differs: {', '.join(found)}" if found else "same results")
        print(f"{name}: killed at {', '.join(f'{m:.2f}' for m in moments) or 'no moment'} of a run; {said}"
              f"{'; left over: ' + ', '.join(left) if left else ''}", flush=True)  # fmt: skip
        if not failure and not found:
            shutil.rmtree(workdir)
    return rows


def prepare(base: pathlib.Path) -> None:
    """Writes the inputs, and sets what JAX reads when it is imported, which is in the functions above."""
    os.environ |= {
        "JAX_PLATFORMS": "cpu", "COLUMNS": "100", "JAX_COMPILATION_CACHE_DIR": str(base / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }  # fmt: skip
    make_inputs(base)


def chosen(base: pathlib.Path, text: str) -> list[Job]:
    """Jobs by names of their own or of their groups."""
    wanted = text.split(",")
    found = [job for job in jobs(base) if job.group in wanted or job.name in wanted]
    if not found:
        raise SystemExit(f"--jobs={text}: allowed are {', '.join(job.name for job in jobs(base))} and their groups")
    return found


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Kills, prints a table and writes JSON; exit status 1 if any result differs."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kills", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", type=pathlib.Path, required=True, help="directory of the runs and their cache")
    parser.add_argument("--kills", type=int, default=10, help="of each job (10)")
    parser.add_argument("--jobs", default="score,search,train,grasp,das", help="what is killed (all five)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--json", type=pathlib.Path, help="keeps the numbers")
    args = parser.parse_args(argv)
    base = args.workdir.resolve()
    prepare(base)
    wanted = args.jobs.split(",")
    rows: list[dict[str, Any]] = []
    for number, job in enumerate(chosen(base, args.jobs)):
        kills = args.kills if job.name in wanted else round(args.kills * job.share)
        rows += torture(job.name, forked(job), base / job.name, kills, np.random.default_rng([args.seed, number]))
        if rows[-1]["failure"]:
            print(f"{job.name}: {rows[-1]['failure']}", flush=True)
        if args.json:
            args.json.write_text(json.dumps({"seed": args.seed, "chains": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"\n{'job':<18}{'kills':>7}{'chains':>8}{'compared':>10}{'differ':>8}{'failed':>8}")
    for name in dict.fromkeys(row["job"] for row in rows):
        own = [row for row in rows if row["job"] == name]
        print(f"{name:<18}{sum(len(r['kills']) for r in own):>7}{len(own) - 1:>8}{len(own[0]['compared']):>10}"
              f"{sum(bool(r['differing']) for r in own):>8}{sum(bool(r['failure']) for r in own):>8}")  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(any(row["differing"] or row["failure"] for row in main()))
