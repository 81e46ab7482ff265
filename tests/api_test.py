"""Conventions of the public functions, read from their source, and the list of public names."""

import ast
import importlib
import inspect
import pathlib
import re
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nasjax"

# A new public name is entered here on purpose: it is a promise.
PUBLIC = {
    "Batch",
    "InputError",
    "Output",
    "ScoreResult",
    "Variables",
    "data",
    "get_space",
    "grasp",
    "metrics",
    "own_model",
    "proxies",
    "score",
    "score_model",
    "score_models",
    "search",
    "spaces",
}

# Optional parameters that may be given by position, since every call reads better so.
POSITIONAL = {
    "nasjax.own_model.scoring.score_model": {"proxies"},
    "nasjax.own_model.scoring.score_models": {"proxies"},
    "nasjax.proxies.score.score": {"proxies"},
    "nasjax.metrics.regret": {"k"},
    "nasjax.nn.batch_norm": {"stats"},
    "nasjax.records.store.Store.get": {"archs"},
}

# Modules whose every public function is for users; of the others, what their subpackage exports is.
MODULES = {
    "nasjax.correlation",
    "nasjax.data.augment",
    "nasjax.data.proxy_tables",
    "nasjax.data.spherical",
    "nasjax.data.stream",
    "nasjax.data.tables",
    "nasjax.data.tfds_write",
    "nasjax.figures",
    "nasjax.hashing",
    "nasjax.interop",
    "nasjax.metrics",
    "nasjax.nn",
    "nasjax.parallel",
    "nasjax.report",
    "nasjax.report.charts",
    "nasjax.spaces.base",
    "nasjax.spaces.cell201",
    "nasjax.spaces.registry",
}


class Function(NamedTuple):
    """A public function or method: where it is, and its syntax tree."""

    module: str
    name: str
    node: ast.FunctionDef
    method: bool


def public_functions():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] == "cli" or any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        module = ".".join(["nasjax", *(part for part in parts if part != "__init__")])
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                found.append(Function(module, f"{module}.{node.name}", node, method=False))
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                for member in node.body:
                    if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                        name = f"{module}.{node.name}.{member.name}"
                        found.append(Function(module, name, member, method=True))
    return found


FUNCTIONS = public_functions()


def exported():
    """Full names of the functions and classes that a package re-exports from its modules."""
    found = set()
    for path in PACKAGE.rglob("__init__.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


EXPORTED = exported()
DOCUMENTED = [
    f for f in FUNCTIONS if f.module in MODULES or f.name in EXPORTED or f.name.rpartition(".")[0] in EXPORTED
]
# What a space does is documented once, in its base class.
INHERITED = {f.node.name for f in FUNCTIONS if f.name.startswith("nasjax.spaces.base.SearchSpace.")}
# So is what an objective of a search does.
OBJECTIVE = {f.node.name for f in FUNCTIONS if f.name.startswith("nasjax.search.objectives.Objective.")}


def parameters(function):
    """Names of the parameters: positional ones, keyword-only ones, and positional ones with a default."""
    arguments = function.node.args
    positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    optional = positional[len(positional) - len(arguments.defaults) :] if arguments.defaults else []
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.node.decorator_list)
    if function.method and not static:
        positional = positional[1:]
    return positional, [a.arg for a in arguments.kwonlyargs], optional


def overloaded(function):
    names = {ast.unparse(d) for d in function.node.decorator_list}
    return bool(names & {"overload", "typing.overload", "property", "functools.cached_property"})


def test_keys_come_first():
    for function in DOCUMENTED:
        positional, keyword, _ = parameters(function)
        assert not {"rng", "prng", "prng_key", "rng_key"} & {*positional, *keyword}, f"{function.name}: call it key"
        assert "key" not in positional[1:], f"{function.name}: key is the first parameter, or keyword-only"


def test_optional_parameters_are_keyword_only():
    wrong = {}
    for function in DOCUMENTED:
        _, _, optional = parameters(function)
        extra = set(optional) - POSITIONAL.get(function.name, set())
        if extra:
            wrong[function.name] = extra
    assert not wrong, f"put these behind a *: {wrong}"


def test_docstrings_state_arguments_and_results():
    wrong = []
    for function in DOCUMENTED:
        if function.method and function.node.name in INHERITED and function.module != "nasjax.spaces.base":
            continue
        if re.search(r"\w+Objective\.\w+$", function.name) and function.node.name in OBJECTIVE:
            continue
        text = ast.get_docstring(function.node)
        if not text:
            wrong.append(f"{function.name}: no docstring")
            continue
        positional, keyword, _ = parameters(function)
        if overloaded(function) or "\n" not in text and len(positional) + len(keyword) <= 1:
            continue  # a property, or one line that says it all about one argument
        if positional + keyword and "Args:" not in text:
            wrong.append(f"{function.name}: no Args")
        missing = [p for p in positional + keyword if not re.search(rf"\b{p}\b", text)]
        if missing:
            wrong.append(f"{function.name}: says nothing of {', '.join(missing)}")
        returns = function.node.returns
        none = isinstance(returns, ast.Constant) and returns.value is None
        if not none and not re.search(r"^(Returns|Yields):", text, re.MULTILINE):
            wrong.append(f"{function.name}: no Returns")
    assert not wrong, "\n".join(wrong)


def test_public_functions_are_annotated():
    wrong = [f.name for f in FUNCTIONS if f.node.returns is None]
    assert not wrong, f"no return annotation: {wrong}"


def test_public_names_are_those_listed():
    nasjax = importlib.import_module("nasjax")
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imported = [alias for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert {alias.asname for alias in imported} == PUBLIC, "one explicit `import name as name` for each public name"
    for name in PUBLIC:
        assert inspect.getdoc(getattr(nasjax, name)), f"nasjax.{name} says nothing of itself"


def test_proxies_document_their_formula():
    proxies = importlib.import_module("nasjax.proxies")
    page = (ROOT / "docs" / "proxies.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in proxies.names():
        assert f"`{name}`" in page, f"docs/proxies.md does not list {name}"
        assert f"`{name}`" in readme, f"README.md does not list {name}"


@pytest.mark.parametrize("name", ["setup.py", "nasjax/__init__.py", "CHANGELOG.md"])
def test_version_is_stated_once_or_alike(name):
    version = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text(encoding="utf-8"))[1]
    stated = re.findall(r'__version__ = "([^"]+)"', (ROOT / name).read_text(encoding="utf-8"))
    assert all(other == version for other in stated)
