"""Notebooks: written from their scripts, pointed at a repository, run in full with times and figures.

    python scripts/notebooks.py sync                        # notebooks/*.ipynb from notebooks/*.py
    python scripts/notebooks.py repository OWNER/NAME       # what badges open and the first cell installs
    python scripts/notebooks.py run --out=runs/notebooks    # executes all; times in times.json, figures as PNG
    SMOKE_TEST=1 python scripts/notebooks.py run --out=runs/smoke das quickstart
"""

import argparse
import base64
import json
import os
import pathlib
import re
import time

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
PAGES = (ROOT / "README.md", ROOT / "docs" / "notebooks.md")
TIMEOUT = 3600  # seconds a cell


def sync() -> None:
    """Writes every notebook from its script, without results."""
    for script in sorted(NOTEBOOKS.glob("*.py")):
        notebook = jupytext.read(script)
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"{script.stem}-{number}".replace("_", "-")[-64:]  # the same at every run
        path = script.with_suffix(".ipynb")
        notebook.metadata.pop("jupytext", None)
        nbformat.write(nbformat.from_dict(notebook), path)
        print(path.relative_to(ROOT))


def point_at(repository: str) -> None:
    """Names the repository on GitHub that badges open and the first cell installs from.

    Args:
      repository: OWNER/NAME.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise SystemExit(f"{repository!r} is no repository; give OWNER/NAME")
    for path in (*sorted(NOTEBOOKS.glob("*.py")), *PAGES):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"(colab\.research\.google\.com/github/)[^/]+/[^/]+/", rf"\g<1>{repository}/", text)
        text = re.sub(r'(REPOSITORY = "https://github\.com/)[^"]+', rf"\g<1>{repository}", text)
        path.write_text(text, encoding="utf-8")
    sync()


def run(out: pathlib.Path, names: list[str]) -> None:
    """Executes notebooks one after the other, each in a directory of its own.

    Args:
      out: where executed notebooks, their figures and times.json go.
      names: which; all by default.
    """
    out.mkdir(parents=True, exist_ok=True)
    report = out / "times.json"
    times = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    for name in names or [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]:
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        folder = out / name
        folder.mkdir(exist_ok=True)
        begin, before = time.monotonic(), os.times()
        client = NotebookClient(
            notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        try:
            client.execute()
        finally:
            after = os.times()
            busy = sum(getattr(after, k) - getattr(before, k) for k in ("children_user", "children_system"))
            times[name] = {"seconds": time.monotonic() - begin, "cpu_seconds": busy}
            nbformat.write(notebook, out / f"{name}.ipynb")
            figures = save_figures(notebook, folder)
        print(f"{name}: {times[name]['seconds']:.0f} s, {busy:.0f} s of processor time, {figures} figures", flush=True)
        report.write_text(json.dumps(times, indent=1) + "\n", encoding="utf-8")


def save_figures(notebook: nbformat.NotebookNode, folder: pathlib.Path) -> int:
    """Writes the pictures among the outputs as PNG files.

    Args:
      notebook: an executed one.
      folder: where to.

    Returns:
      How many.
    """
    found = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            picture = output.get("data", {}).get("image/png")
            if picture:
                (folder / f"figure_{found}.png").write_bytes(base64.b64decode(picture))
                found += 1
    return found


def main() -> None:
    """Does what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sync")
    commands.add_parser("repository").add_argument("repository", metavar="OWNER/NAME")
    running = commands.add_parser("run")
    running.add_argument("--out", type=pathlib.Path, required=True)
    running.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.command == "sync":
        sync()
    elif options.command == "repository":
        point_at(options.repository)
    else:
        run(options.out.resolve(), options.names)


if __name__ == "__main__":
    main()
