"""docs/search.md and the help page: commands and options that they name exist."""

import dataclasses
import doctest
import importlib
import re
import shlex

import pytest

from nasjax.cli import options, search
from nasjax.search import PruneConfig, registry


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "search.md").read_text(encoding="utf-8")


def commands(text):
    found = re.findall(r"python -m launch\.search ((?:.*\\\n)*.*)", text.replace("\n      --", " --"))
    return [shlex.split(command.replace("\\\n", " ").rstrip("`")) for command in found]


def test_commands_of_the_page(page, root):
    readme = (root / "README.md").read_text(encoding="utf-8")
    found = commands(page) + commands(search.__doc__) + commands(readme)
    assert len(found) >= 9
    for argv in found:
        config, _ = options.parse(search.SearchConfig, argv)
        search.algorithm_options(config)


def test_algorithms_and_their_options_are_on_the_page(page):
    for name in registry.names():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        for field in dataclasses.fields(registry.config(name)):
            assert f"`{field.name}`" in row, f"{name}: {field.name}"
            assert str(field.default) in row, f"{name}: default of {field.name}"


def test_options_of_pruning_are_on_their_page(root):
    page = (root / "docs" / "pruning.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(PruneConfig):
        assert f"`{field.name}`" in page


def test_example_of_the_docstring():
    result = doctest.testmod(importlib.import_module("nasjax.search.run"))
    assert result.attempted and not result.failed
