"""Examples of docstrings: they run, and the main entry points have one."""

import doctest
import importlib
import inspect
import pathlib

import pytest

import nasjax
from nasjax.proxies import registry as proxy_registry
from nasjax.spaces import registry as space_registry

ROOT = pathlib.Path(nasjax.__file__).resolve().parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "nasjax").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]
ENTRIES = (
    "nasjax.score",
    "nasjax.score_model",
    "nasjax.get_space",
    "nasjax.search.libra",
    "nasjax.search.search",
    "nasjax.grasp.fit",
    "nasjax.das.apply_cell",
    "nasjax.proxies.register",
    "nasjax.spaces.register",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, monkeypatch):
    monkeypatch.setattr(proxy_registry, "_FACTORIES", dict(proxy_registry._FACTORIES))
    monkeypatch.setattr(space_registry, "_SPACES", dict(space_registry._SPACES))
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted and not result.failed


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_point_has_an_example(name):
    module, _, attribute = name.rpartition(".")
    function = getattr(importlib.import_module(module), attribute)
    assert ">>> " in (inspect.getdoc(function) or "")
    assert inspect.getmodule(function).__name__ in MODULES


def test_correlation_has_an_example():
    correlation = importlib.import_module("nasjax.correlation")
    assert ">>> " in correlation.correlate.__doc__
