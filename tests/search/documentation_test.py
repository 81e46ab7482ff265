"""docs/libra.md and the examples of docstrings: they run, and they name what there is."""

import doctest
import importlib
import re

import pytest

from nasjax.data import proxy_tables
from nasjax.search import LibraConfig, Selection
from nasjax.search.comparison import METHODS


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "libra.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "compare(" in block]
    exec(compile(code, "docs/libra.md", "exec"), {})
    assert "best_pair" in capsys.readouterr().out
    assert Selection.load(tmp_path / "selection.json").space == "nasbench201"


def test_tables_methods_and_options_are_on_the_page(page):
    for name in proxy_tables.names():
        family = re.sub("(transnas_m....)_(?!class_scene_early).*", r"\1_TASK", name)
        assert f"`{family}`" in page, name
    for name in (*METHODS, *LibraConfig.__dataclass_fields__):
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("name", ["aggregation", "combine"])
def test_examples_of_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"nasjax.search.{name}"))
    assert result.attempted and not result.failed
