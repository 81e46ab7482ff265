"""Notebooks agree with their paired scripts, open and install as they should, and run."""

import glob
import importlib.metadata
import importlib.util
import pathlib
import re
import shutil
import subprocess

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 25  # lines; logic belongs into the library
BADGE = r"\[!\[Open in Colab\]\(https://colab\.research\.google\.com/assets/colab-badge\.svg\)\]"
OPENS = r"\(https://colab\.research\.google\.com/github/([^/]+/[^/]+)/blob/main/notebooks/(\w+)\.ipynb\)"

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code(path):
    return [cell.source for cell in read(path).cells if cell.cell_type == "code"]


def test_there_are_five():
    names = ["das", "grasp_transfer", "own_flax_model", "quickstart", "vit_search_libra"]
    assert [path.stem for path in NOTEBOOKS] == names
    for page in (ROOT / "README.md", ROOT / "docs" / "notebooks.md"):
        text = page.read_text(encoding="utf-8")
        opened = [name for _, name in re.findall(OPENS, text)]
        assert sorted(opened) == names, f"{page.name} opens {opened}"


@every
def test_notebook_is_its_script(path):
    script = jupytext.read(path.with_suffix(".py"))
    assert [(c.cell_type, c.source) for c in read(path).cells] == [(c.cell_type, c.source) for c in script.cells], (
        "run python scripts/notebooks.py sync"
    )


@every
def test_notebook_is_short_and_without_results(path):
    for cell in read(path).cells:
        assert len(cell.source.splitlines()) <= LONGEST_CELL
        assert not cell.get("outputs") and not cell.get("execution_count")


@every
def test_notebook_begins_and_ends_as_all_do(path):
    cells = read(path).cells
    badge, title = cells[0].source.splitlines()[0], cells[0].source.splitlines()[2]
    repository, name = re.fullmatch(BADGE + OPENS, badge).groups()
    assert name == path.stem and title.startswith("# ")
    assert "**What to expect.**" in cells[0].source and re.search(r"\d+ (s|min)\b", cells[0].source)
    install, versions = code(path)[:2]
    assert f'REPOSITORY = "https://github.com/{repository}"\n' in install
    assert "print(notebook.about())" in versions and "SMOKE_TEST" in versions
    assert cells[-1].cell_type == "markdown" and "## Scale up\n" in cells[-1].source


def test_notebooks_install_alike():
    assert len({code(path)[0] for path in NOTEBOOKS}) == 1


@pytest.mark.parametrize(
    "devices, program, packages, expected",
    [
        ([], None, [], "jax>=0.10"),
        (["/dev/vfio/0"], None, [], "jax[tpu]>=0.10"),
        (["/dev/accel0"], None, [], "jax[tpu]>=0.10"),
        ([], "/usr/bin/nvidia-smi", ["jax-cuda12-plugin"], "jax[cuda12]>=0.10"),
        ([], "/usr/bin/nvidia-smi", ["jax-cuda13-plugin"], "jax[cuda13]>=0.10"),
    ],
)
def test_what_the_first_cell_installs(devices, program, packages, expected, monkeypatch):
    (cell,) = {code(path)[0] for path in NOTEBOOKS}
    ran = []
    there = [type("Package", (), {"name": name}) for name in packages]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: there)
    monkeypatch.setattr(shutil, "which", lambda name: program)
    monkeypatch.setattr(glob, "glob", lambda pattern: [d for d in devices if pathlib.Path(d).match(pattern)])
    monkeypatch.setattr(subprocess, "run", lambda command, check: ran.append(command))
    exec(cell, {})
    (command,) = ran
    assert command[1:5] == ["-m", "pip", "install", "--quiet"]
    assert command[5].startswith("nasjax @ git+https://github.com/") and command[6] == expected


def test_the_first_cell_leaves_an_installation_alone(monkeypatch):
    ran = []
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: ran.append(args))
    exec(code(NOTEBOOKS[0])[0], {})
    assert not ran


@every
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the tools of Jupyter, not ours, warn in this process
def test_notebook_runs(path, monkeypatch, tmp_path):
    monkeypatch.setenv("SMOKE_TEST", "1")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "xla"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    notebook = read(path)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        shown = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert len(shown) == cell.source.count("notebook.show("), cell.source
        assert "warning" not in "".join(o.get("text", "") for o in cell.outputs if o.get("name") == "stderr").lower()
