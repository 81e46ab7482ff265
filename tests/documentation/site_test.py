"""The pages that the site makes: one of every proxy, and a reference without gaps."""

import ast
import importlib.util
import re

import pytest

from nasjax.proxies import names, registry

DIRECTIVE = r"^\.\. (?:autoclass|autofunction|py:data):: (\w+)$"


@pytest.fixture(scope="module")
def site(root):
    spec = importlib.util.spec_from_file_location("site_pages", root / "docs" / "site_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def proxy_pages(site):
    return site.proxy_pages()


@pytest.fixture(scope="module")
def reference(site):
    return site.reference_pages()


@pytest.mark.parametrize("name", names())
def test_every_proxy_has_its_page(name, proxy_pages):
    page = proxy_pages[f"{name}.md"]
    assert page.startswith(f"# {name}: ") and f"[{name}]({name}.md)" in proxy_pages["index.md"]
    for part in ("```{math}", "| Source | ", "| Direction | higher", "| Cost | ", "| Spaces that refuse it | "):
        assert part in page, part
    for heading in ("## Call", "## Where it works", "## Where it is known to fail"):
        body = page.split(f"{heading}\n")[1].split("\n## ")[0]
        assert len(body.strip()) > 20, heading
    function = registry._FACTORIES[name]
    assert f".. autofunction:: {function.__module__}.{function.__name__}" in page


def test_numbers_of_a_page_are_those_of_the_results(proxy_pages, root):
    results = (root / "docs" / "results.md").read_text(encoding="utf-8")
    value = re.search(r"\| gradsign \| (-\.\d+ \([^)]*\))", results)[1]
    assert value in proxy_pages["gradsign.md"]
    assert "| TransNAS-Bench-101, macro, auto: bins 0 to 1 |" in proxy_pages["lswag.md"]
    assert "| `nasbench201_cifar10` | " in proxy_pages["jacob_cov.md"]
    assert "was not measured here" in proxy_pages["dss.md"]


def test_a_formula_is_drawn_without_a_network(site):
    text = site.mathml(r"\sum_l \left| w_l \right|", display="block")
    assert text.startswith("<math") and 'display="block"' in text and "\\" not in text


def test_formulas_hold_no_unknown_command(site, proxy_pages):
    for file, page in proxy_pages.items():
        for formula in re.findall(r"```\{math\}\n(.*?)\n```", page, re.DOTALL):
            assert not re.search(r">[^<]*\\[^<]*<", site.mathml(formula, display="block")), file


def exports(path):
    """Names that the source of a package promises: ``__all__``, or what it imports under the same name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return {a.asname for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names if a.asname == a.name}


def test_the_reference_has_every_public_name(root, reference):
    for path in (root / "nasjax").rglob("__init__.py"):
        module = ".".join(path.parent.relative_to(root).parts)
        wanted = exports(path)
        if not wanted or module.startswith(("nasjax.cli", "nasjax.testing.kits")):
            continue
        page = reference[f"{module}.md"]
        shown = set(re.findall(DIRECTIVE, page, re.MULTILINE))
        parts = {part.rpartition(".")[2] for part in re.findall(r"\{py:(?:mod|obj)\}`([\w.]+)`", page)}
        assert wanted == shown | parts, module
        assert f"\n{module}\n" in reference["index.md"]


def test_modules_that_users_import_are_in_the_reference(reference):
    for module in ("types", "metrics", "correlation", "figures", "report", "interop", "hashing", "spaces.optional"):
        assert len(re.findall(r"^\.\. auto", reference[f"nasjax.{module}.md"], re.MULTILINE)) > 1, module


def test_what_lacks_is_named(site, reference):
    every = {f"{file[:-3]}.{name}" for file, page in reference.items()
             for name in re.findall(DIRECTIVE, page, re.MULTILINE)}
    assert site.undocumented(every) == []
    assert site.undocumented(every - {"nasjax.search.libra"}) == ["nasjax.search.libra"]
