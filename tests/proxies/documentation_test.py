"""The tables of docs/proxies.md against the registry."""

import re

import pytest

from nasjax.proxies import get, names, registry
from nasjax.spaces import registry as spaces


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "proxies.md").read_text(encoding="utf-8")


def table(page, first):
    """Rows of the table whose first column has a title: list of dictionaries by column title."""
    lines = page.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


@pytest.fixture(scope="module")
def proxies(page):
    return {row["Proxy"].strip("`"): row for row in table(page, "Proxy")}


def test_every_proxy_has_one_row(page, proxies):
    assert len(table(page, "Proxy")) == len(proxies)
    assert set(proxies) == set(names())


@pytest.mark.parametrize("name", names())
def test_a_row_says_what_the_registry_says(name, page, proxies):
    row, shared, paper = proxies[name], get(name, preset="nbsz"), get(name, preset="paper")
    assert row["Direction"] == {1: "higher", -1: "higher (raw: lower)"}[shared.raw_sign]
    assert (row["Preset `paper`"] == "same") == ((shared.options, shared.passes) == (paper.options, paper.passes))
    options = set(registry._options(name)) - {"preset"}
    if name == "lswag":  # has a table of its own
        assert {o["Option"].strip("`") for o in table(page, "Option")} == options
    else:
        assert set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row["Options"]))) == options
    assert row["Cost"] and row["Undefined"]


def test_what_spaces_do_not_offer(page):
    found = {row["Space"]: set(re.findall(r"`(\w+)`", row["Refused"])) for row in table(page, "Space")}
    found = {name: refused for spaces_, refused in found.items() for name in re.findall(r"`(\w+)`", spaces_)}
    assert set(found) == set(spaces.names())
    for name, refused in found.items():
        space = spaces.get_space(name)
        assert refused == {n for n in names() if not registry.offers(space, get(n))}, name
