"""Who may import whom, what only one file may name, and what importing must not do."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nasjax"
FILES = sorted(PACKAGE.rglob("*.py"))

# A module may import lower layers, and its own subpackage; the numbers follow the direction of dependency.
LAYERS = {
    "types": 0,
    "hashing": 0,
    "locking": 0.5,
    "parallel": 0.5,  # states of jobs are shared by the processes
    "nn": 1,
    "metrics": 1,
    "data": 1,
    "records": 1,
    "checkpoint": 1,
    "spaces": 2,
    "proxies": 3,
    "training": 3,
    "benchmark": 4,
    "grasp": 4,
    "das": 4,
    "search": 5,
    "interop": 6,
    "own_model": 6,
    "report": 5,  # draws what it is given
    "figures": 1,
    "figure_style": 0,
    "graph_layout": 1,
    "environment": 1,
    "correlation": 6,
    "notebook": 6,
    "cli": 7,
    "testing": 7,
    "": 8,  # nasjax/__init__.py itself
}
TOP = 7  # from here on, `import nasjax` as a whole is allowed
DISTRIBUTION = {
    "IPython": "ipython",
    "PIL": "pillow",
    "absl": "absl-py",
    "orbax": "orbax-checkpoint",
    "tensorflow_datasets": "tensorflow-datasets",
}


def unit(path: pathlib.Path) -> str:
    """The unit of LAYERS that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports(path: pathlib.Path) -> set[str]:
    """Full dotted names that a file imports; `from a import b` gives a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = path.relative_to(ROOT).parent.parts[: len(path.relative_to(ROOT).parent.parts) - node.level + 1]
                prefix = ".".join([*base, *([node.module] if node.module else [])])
            else:
                prefix = node.module or ""
            found |= {f"{prefix}.{alias.name}" for alias in node.names}
    return found


def names(path: pathlib.Path) -> set[str]:
    """Dotted names that the code (not its strings) uses, with those it imports."""
    found = imports(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.Name):
            found.add(node.id)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path):
    here = unit(path)
    assert here in LAYERS, f"{here} has no layer: add it to LAYERS where the design puts it"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "nasjax":
            continue
        there = parts[1] if len(parts) > 1 and parts[1] in LAYERS else ""
        if there == here or (there == "" and LAYERS[here] >= TOP):
            continue
        assert LAYERS[there] < LAYERS[here], f"{path.name} imports {name}: {here} is not above {there or 'nasjax'}"


def test_proxies_name_no_concrete_space():
    for path in FILES:
        if unit(path) == "proxies":
            concrete = {name for name in imports(path) if re.match(r"nasjax\.spaces\.(?!base\b|registry\b)\w+", name)}
            assert not concrete, f"{path.name} imports {concrete}"


def test_only_parallel_names_device_machinery():
    for path in FILES:
        if unit(path) == "parallel":
            continue
        used = {part for name in names(path) for part in name.split(".")}
        forbidden = used & {"pmap", "shard_map", "Mesh", "make_mesh", "PartitionSpec", "NamedSharding"}
        assert not forbidden, f"{path.relative_to(ROOT)} names {forbidden}: that belongs into nasjax/parallel"
        distributed = ("jax.distributed", "jax._src.distributed", "jax.experimental.multihost_utils")
        assert not any(name.startswith(distributed) for name in names(path)), path


def test_only_commands_change_the_jax_configuration():
    for path in FILES:
        if unit(path) != "cli":
            assert "jax.config.update" not in names(path), f"{path.relative_to(ROOT)} changes jax.config"


def test_keys_are_typed():
    for path in FILES:
        assert not any(name.endswith("PRNGKey") for name in names(path)), path


def test_imports_are_declared():
    declared = set(re.findall(r'"([a-z][a-z-]*)>=', (ROOT / "setup.py").read_text(encoding="utf-8")))
    optional = {"torch"}
    for path in FILES:
        for name in imports(path):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top in {"nasjax", *optional}:
                continue
            assert DISTRIBUTION.get(top, top) in declared, f"{path.relative_to(ROOT)} imports {top}, not in setup.py"


def test_modules_stay_readable():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    long = {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 400}
    assert not long, f"look for a seam: {long}"


def test_importing_touches_no_device_and_no_configuration():
    code = (
        "import jax; before = {k: v for k, v in jax.config.values.items()}\n"
        "import nasjax\n"
        "assert {k: v for k, v in jax.config.values.items()} == before, 'configuration changed'\n"
        "from jax.extend import backend; from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized(), 'a device was touched'\n"
        "import sys; heavy = {'pandas', 'matplotlib', 'scipy.stats', 'rich'} & set(sys.modules)\n"
        "assert not heavy, f'{heavy} would make every start slower'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
