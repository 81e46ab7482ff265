"""The speed of everything on the device at hand, as one table and one file.

    python -m benchmarks.device [SECTIONS...] [--torch_python=PATH/TO/python] [--quick]

Runs the benchmarks one after another, each in a process of its own, and keeps what each found in
benchmarks/results/DEVICE.json before the next begins; a section that is there is not run again (but with --again). On
an accelerator the sizes are larger, and whole populations are scored. --show=FILE prints the tables of a file.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks import device_tables, torch_process

FOLDER = torch_process.ROOT / "benchmarks" / "results"
SUITE = ("epe_nas,fisher,flops,grad_norm,grasp,jacob_cov,l2_norm,nwot,params,plain,snip,synflow,zen,"
         "zico,swap,lswag")  # fmt: skip
MORE = "reg_swap,gradsign,te_nas,az_nas,meco,snr,t_cet,wrcor,gsnr,dextr"

# Section -> module and options; "cpu" and "accelerator" hold what differs, "quick" what a trial run leaves.
SECTIONS: dict[str, dict[str, Any]] = {
    "suite": {
        "module": "proxies",
        "options": [f"--proxies={SUITE}"],
        "accelerator": ["--archs=64"],
        "quick": ["--archs=1", "--repeats=1", "--channels=4", "--cells=1", "--batch_size=4"],
    },
    "proxies": {
        "module": "proxies",
        "options": [f"--proxies={MORE}", "--start_proxy="],
        "cpu": ["--archs=4", "--repeats=1", "--cells=1"],
        "accelerator": ["--archs=64"],
        "quick": ["--archs=1", "--channels=4", "--batch_size=4"],
    },
    "spaces": {
        "module": "space_speed",
        "options": ["--programs=1"],
        # All proxies of a space take minutes to compile on a few cores; `benchmarks.space_speed` has them by default.
        "cpu": ["--archs=2", "--repeats=1", "--proxies=params,flops,nwot,swap,zico,lswag"],
        "accelerator": ["--archs=16", "--batch_size=64"],
        "quick": ["nasbench_macro", "--archs=1", "--batch_size=4", "--proxies=params,nwot"],
    },
    "growth": {
        "module": "growth",
        "options": [],
        "accelerator": ["--channels=16", "--cells=5", "--batch_size=64", "--population=64"],
        "quick": ["population", "--most=2", "--channels=4", "--batch_size=4", "--repeats=1"],
    },
    "conv": {"module": "conv", "options": [], "quick": None},
    "grasp": {"module": "grasp", "options": [], "quick": ["--steps=5", "--num_train=20", "--implementations=dense"]},
    "das": {
        "module": "das",
        "options": [],
        "accelerator": ["--batch_size=256"],
        "quick": ["--batch_size=2", "--image_size=8", "--frames=2", "--width=4", "--repeats=1", "--jobs=forward"],
    },
    "training": {
        "module": "training",
        "options": ["one", "many"],
        "accelerator": ["--batch_size=256", "--archs=16"],
        "quick": ["--channels=4", "--cells=1", "--batch_size=4", "--steps=1", "--images=64", "--archs=1"],
    },
    "whole": {
        "module": "whole",
        "options": [],
        "cpu": None,
        "quick": ["cells", "--cells=2", "--batch_size=4", '--options={"channels":4,"cells":1}', "--again=0"],
    },
}
TAKES_TORCH = ("proxies", "space_speed", "grasp", "das", "training")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.device", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTIONS", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch (this one)")
    parser.add_argument("--out", type=pathlib.Path, help="file of the numbers (benchmarks/results/DEVICE.json)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; no result")
    parser.add_argument("--again", action="store_true", help="run sections again that are in the file")
    parser.add_argument("--show", type=pathlib.Path, metavar="FILE", help="only print the tables of FILE")
    args = parser.parse_args(argv)
    for name in args.sections:
        if name not in SECTIONS:
            parser.error(f"section {name!r} is unknown; allowed: {', '.join(SECTIONS)}")
    return args


def describe(torch_python: str) -> dict[str, Any]:
    """Names of the device and versions, asked of a process of its own, since an accelerator serves one at a time."""
    code = (
        "import json, jax; from nasjax import parallel; d = jax.devices(); print(json.dumps({'kind': d[0].device_kind,"
        "'platform': d[0].platform, 'count': len(d), 'jax': jax.__version__, 'summary': parallel.device_summary()}))"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, cwd=torch_process.ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"JAX does not start:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    code = "import torch; print(torch.__version__)"
    torch = subprocess.run([torch_python, "-c", code], capture_output=True, text=True, check=False)
    return found | {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "torch": torch.stdout.strip() if torch.returncode == 0 else None,
        "date": datetime.date.today().isoformat(),
    }


def processor() -> str:
    """Name of the processor, with the vector instructions that decide its speed."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"model name\s*:\s*(.+)", text)
    vector = "AVX-512" if "avx512f" in text else "AVX2" if "avx2" in text else ""
    return " ".join(word for word in (name.group(1) if name else platform.machine(), vector) if word)


def slug(device: dict[str, Any]) -> str:
    """Name of the file of a device."""
    own = device["kind"] if device["platform"] != "cpu" else f"{device['processor']}-{device['cores']}-cores"
    count = f"-x{device['count']}" if device["platform"] != "cpu" and device["count"] > 1 else ""
    return re.sub(r"[^a-z0-9]+", "-", (own + count).lower()).strip("-")


def command(name: str, device: dict[str, Any], args: argparse.Namespace) -> list[str] | None:
    """What a section runs; None where it is not for this device."""
    section = SECTIONS[name]
    kind = "cpu" if device["platform"] == "cpu" else "accelerator"
    own = section["quick"] if args.quick else section.get(kind, [])
    if own is None and not (name in args.sections and not args.quick):
        return None
    options = [*section["options"], *(own or [])]
    if args.quick and section["module"] in ("space_speed", "growth"):
        options = own
    if section["module"] in TAKES_TORCH:
        options = [*options, f"--torch_python={args.torch_python}"]
    return ["-m", f"benchmarks.{section['module']}", *options]


def run(name: str, words: list[str]) -> dict[str, Any]:
    """Runs a section and returns what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "found.json"
        load, start = os.getloadavg()[0], time.monotonic()
        done = subprocess.run([sys.executable, *words, f"--json={file}"], cwd=torch_process.ROOT, check=False)
        if done.returncode or not file.exists():
            raise SystemExit(f"section {name} failed with exit status {done.returncode}; what came before is kept")
        shown = " ".join(w if not w.startswith("--torch_python") else "--torch_python=PATH" for w in words)
        return {
            "command": f"python {shown}",
            "seconds": round(time.monotonic() - start, 1),
            "load_before": round(load, 2),
            "result": without_paths(json.loads(file.read_text())),
        }


def without_paths(found: Any) -> Any:
    """The numbers without the paths of this machine among the settings."""
    for name in ("setting", "args"):
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            kept = {k: v for k, v in found[name].items() if k not in ("torch_python", "json", "child")}
            found = found | {name: kept}
    return found


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    if args.show:
        print(device_tables.markdown(json.loads(args.show.read_text())))
        return 0
    device = describe(args.torch_python)
    out = args.out or FOLDER / f"{'quick-' if args.quick else ''}{slug(device)}.json"
    found: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"sections": {}}
    found["device"] = device
    print(f"{device['summary']}; {device['processor']}, {device['cores']} cores; numbers go to {out}", flush=True)
    for name in args.sections or SECTIONS:
        words = command(name, device, args)
        if words is None or (name in found["sections"] and not args.again):
            continue
        print(f"\n== {name}: python {' '.join(words)}", flush=True)
        found["sections"][name] = run(name, words)
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_suffix(".part")
        part.write_text(json.dumps(found, indent=1) + "\n")
        part.replace(out)
    print("\n" + device_tables.markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
