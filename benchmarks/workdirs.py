"""Read-only and full working directories, and two runs in one: what becomes of every command that writes one.

    python -m benchmarks.workdirs --workdir=DIR [--full=3] [--jobs=score,...] [--seed=0] [--json=FILE]

The commands are those of `benchmarks.kills`; Linux and root are needed, as file systems are mounted. For each:

- read-only: a file system that cannot be written. The command must end with exit status 2 and one paragraph.
- full: a file system with as much room as is drawn between nothing and what a whole run needs. The command must end
  with status 2 and one paragraph, or get through; with room made, the same command must end with the results of an
  undisturbed run.
- two: a second run is started while the first goes on. It must be refused with status 2 (runs of launch.score share a
  store: both end well), and the first must end with the results of an undisturbed run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import kills

SIZE = 64  # MB of the file system


@contextlib.contextmanager
def mounted(place: pathlib.Path) -> Iterator[None]:
    """A small file system of its own."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def told(run: kills.Run, *parts: str) -> str:
    """What is wrong with how a run was refused; empty: nothing."""
    lines = [line for line in run.output.splitlines() if line.strip()]
    if run.code != 2:
        return f"exit status {run.code}: {run.output[-1500:]}"
    if "Traceback" in run.output:
        return f"a traceback: {run.output[-1500:]}"
    if not lines or not any(part in lines[-1] for part in parts):
        return f"unclear: {lines[-3:]}"
    return ""


def read_only(begin: kills.Begin, place: pathlib.Path, log: pathlib.Path) -> dict[str, Any]:
    """A run in a file system that cannot be written."""
    with mounted(place):
        (place / "run").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        run = kills.start(begin, place / "run", log)
        return {"trial": "read-only", "said": run.output.strip().splitlines()[-1:], "failure": told(run, "Read-only")}


def full(
    begin: kills.Begin, place: pathlib.Path, log: pathlib.Path, room: int, wanted: dict[str, str]
) -> dict[str, Any]:
    """A run whose disk has some bytes of room, and one after room was made."""
    with mounted(place):
        filler = place / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        os.truncate(filler, max(0, filler.stat().st_size - room))
        run = kills.start(begin, place / "run", log)
        failure = "" if run.code == 0 else told(run, "No space left", "disk is full", "Make room")
        filler.unlink()
        again = kills.start(begin, place / "run", log)
        if not failure and again.code:
            failure = f"after room was made: exit status {again.code}: {again.output[-1500:]}"
        elif not failure:
            different = kills.differing(wanted, kills.apart(place / "run"))
            failure = f"differs: {', '.join(different)}" if different else ""
        return {"trial": "full", "room": room, "stopped": run.code != 0, "said": run.output.strip().splitlines()[-1:],
                "failure": failure}  # fmt: skip


def two(begin: kills.Begin, workdir: pathlib.Path, log: pathlib.Path, wanted: dict[str, str], *,
        shared: bool) -> dict[str, Any]:  # fmt: skip
    """Two runs at once in one directory."""
    shutil.rmtree(workdir, ignore_errors=True)
    second: list[kills.Run] = []

    def other() -> None:
        deadline = time.monotonic() + kills.LONGEST
        while not (workdir / "run.flags").exists() and not (workdir / ".lock").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        second.append(kills.start(begin, workdir, log.with_suffix(".second")))

    thread = threading.Thread(target=other)
    thread.start()
    first = kills.start(begin, workdir, log)
    thread.join()
    failure = f"the first: exit status {first.code}: {first.output[-1500:]}" if first.code else ""
    if not failure and shared:
        failure = f"the second: {second[0].output[-1500:]}" if second[0].code else ""
    elif not failure and second[0].code == 0:
        failure = "" if second[0].begun > first.seconds else "both went on"
    elif not failure:
        failure = told(second[0], "belongs to a run that is going on")
    different = [] if failure else kills.differing(wanted, kills.apart(workdir))
    return {"trial": "two", "said": second[0].output.strip().splitlines()[-1:],
            "failure": failure or (f"differs: {', '.join(different)}" if different else "")}  # fmt: skip


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Runs the trials, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.workdirs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", type=pathlib.Path, required=True, help="directory of the runs")
    parser.add_argument("--full", type=int, default=3, help="trials with a full disk for each command (3)")
    parser.add_argument("--jobs", default="score,search,train,grasp,das", help="which commands (all)")
    parser.add_argument("--seed", type=int, default=0, help="of the room on the full disks (0)")
    parser.add_argument("--json", type=pathlib.Path, help="keeps the numbers")
    args = parser.parse_args(argv)
    if os.geteuid():
        parser.error("file systems are mounted: run it as root")
    base = args.workdir.resolve()
    kills.prepare(base)
    rows: list[dict[str, Any]] = []
    for number, job in enumerate(kills.chosen(base, args.jobs)):
        begin, log, random = kills.forked(job), base / "log", np.random.default_rng([args.seed, number])
        reference = base / job.name / "first"
        if not reference.exists() and kills.start(begin, reference, log).code:
            raise SystemExit(f"{job.name} fails undisturbed: {log.read_text()[-3000:]}")
        wanted = kills.apart(reference)
        size = sum(f.stat().st_size for f in reference.rglob("*") if f.is_file())
        place = base / "mounted"
        own = [read_only(begin, place, log)]
        own += [full(begin, place, log, int(random.integers(0, size)), wanted) for _ in range(args.full)]
        own.append(two(begin, base / "two", log, wanted, shared=job.group == "score"))
        for row in own:
            rows.append({"job": job.name, **row})
            said = row["failure"] or f"as it should be: {' '.join(row['said'])}"
            print(f"{job.name}, {row['trial']}: {said}", flush=True)
        if args.json:
            args.json.write_text(json.dumps({"seed": args.seed, "trials": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"\n{'job':<18}{'read-only':>11}{'full':>6}{'stopped':>9}{'two':>5}{'failed':>8}")
    for name in dict.fromkeys(row["job"] for row in rows):
        own = [row for row in rows if row["job"] == name]
        counts = [sum(row["trial"] == kind for row in own) for kind in ("read-only", "full", "two")]
        stopped, failed = sum(row.get("stopped", False) for row in own), sum(bool(row["failure"]) for row in own)
        print(f"{name:<18}{counts[0]:>11}{counts[1]:>6}{stopped:>9}{counts[2]:>5}{failed:>8}")
    return rows


if __name__ == "__main__":
    sys.exit(any(row["failure"] for row in main()))
