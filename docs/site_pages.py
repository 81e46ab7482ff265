"""Pages that are made when the site is built: one of every proxy, and the reference of the public names.

The pages of proxies join the registry (presets, passes, spaces), the docstrings (options), ``proxy_facts.toml``
(formula, source, failures), the tables of ``proxies.md`` and ``results.md``, and the published tables. ``conf.py``
calls `write`.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pathlib
import re
import tomllib
from typing import Any

DOCS = pathlib.Path(__file__).resolve().parent

# The reference: a page of each, with its public names. Packages show what they export, modules what they define.
REFERENCE = {
    "nasjax": "What `import nasjax` gives; the parts below have pages of their own.",
    "nasjax.types": "",
    "nasjax.spaces": "",
    "nasjax.spaces.optional": "",
    "nasjax.spaces.initial": "",
    "nasjax.spaces.cell201": "",
    "nasjax.spaces.kronecker_graph": "",
    "nasjax.proxies": "",
    "nasjax.proxies.pass_base": "",
    "nasjax.own_model": "",
    "nasjax.data": "",
    "nasjax.data.augment": "",
    "nasjax.data.spherical": "",
    "nasjax.data.stream": "",
    "nasjax.data.tables": "",
    "nasjax.data.proxy_tables": "",
    "nasjax.data.tfds_write": "",
    "nasjax.search": "",
    "nasjax.grasp": "",
    "nasjax.training": "",
    "nasjax.benchmark": "",
    "nasjax.das": "",
    "nasjax.das.ops": "",
    "nasjax.das.warps": "",
    "nasjax.metrics": "",
    "nasjax.correlation": "",
    "nasjax.figures": "",
    "nasjax.report": "",
    "nasjax.records": "",
    "nasjax.parallel": "",
    "nasjax.nn": "",
    "nasjax.interop": "",
    "nasjax.hashing": "",
    "nasjax.testing": "",
}


def public_names(module: str) -> list[str]:
    """Names of a module that are for users, in the order of the source: ``__all__``, re-exports, or definitions."""
    found = importlib.import_module(module)
    listed = getattr(found, "__all__", None)
    if listed is not None:
        return list(listed)
    path = pathlib.Path(str(found.__file__))
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if path.name == "__init__.py":
        aliases = [a for node in body if isinstance(node, ast.ImportFrom) for a in node.names if a.asname == a.name]
        return [alias.name for alias in aliases]
    defined = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in defined if not name.startswith("_")]


def reference_pages() -> dict[str, str]:
    """File name -> Markdown, of every page of the reference and the page that lists them."""
    pages = {}
    homes = _homes()
    for module, about in REFERENCE.items():
        members = {name: getattr(importlib.import_module(module), name) for name in public_names(module)}
        parts = [name for name, value in members.items() if inspect.ismodule(value)]
        elsewhere = {name: homes[id(v)] for name, v in members.items() if homes.get(id(v), module) != module}
        own = {name: value for name, value in members.items() if name not in parts and name not in elsewhere}
        lines = [f"# {module}", "", about, "", "```{eval-rst}", f".. automodule:: {module}", "   :no-members:", ""]
        listed = [name for name, value in own.items() if callable(value)]
        if listed:
            lines += [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in listed), ""]
        for name, value in own.items():
            if inspect.isclass(value):
                lines += [f".. autoclass:: {name}", "   :members:", ""]
            elif callable(value):
                lines += [f".. autofunction:: {name}", ""]
            else:
                lines += [f".. py:data:: {name}", f"   :value: {value!r}", ""]
        lines += ["```", ""]
        if elsewhere:
            links = (f"{{py:obj}}`{home}.{name}`" for name, home in elsewhere.items())
            lines += ["Here, and described there: " + ", ".join(links) + ".", ""]
        if parts:
            lines += ["Modules: " + ", ".join(f"{{py:mod}}`{members[part].__name__}`" for part in parts) + ".", ""]
        pages[f"{module}.md"] = "\n".join(lines)
    tree = ["```{toctree}", ":maxdepth: 1", "", *REFERENCE, "```"]
    intro = "The names that `import nasjax` gives are a promise; the modules below them may gain more."
    pages["index.md"] = "\n".join(["# Reference", "", intro, "", *tree, ""])
    return pages


def _homes() -> dict[int, str]:
    """Function or class, by its identity -> the first module of the reference that has it, where it is described."""
    homes: dict[int, str] = {}
    for module in REFERENCE:
        found = importlib.import_module(module)
        for name in public_names(module):
            value = getattr(found, name)
            if callable(value):
                homes.setdefault(id(value), module)
    return homes


def tables_of(page: str, first: str) -> list[tuple[str, list[dict[str, str]]]]:
    """Tables of a Markdown text whose first column has a title, each with the heading above it.

    Returns:
      pairs (heading, rows), a row being column title -> text.
    """
    found: list[tuple[str, list[dict[str, str]]]] = []
    heading, columns, inside = "", [""], False
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []
        if not cells:
            inside = False
        elif not inside:
            inside = True
            columns = cells
            if cells[0] == first:
                found.append((heading, []))
        elif columns[0] == first and not set(cells[0]) <= {"-", ":"}:
            found[-1][1].append(dict(zip(columns, cells, strict=True)))
    return found


def proxy_pages() -> dict[str, str]:
    """File name -> Markdown, of every registered proxy and the page that lists them."""
    from nasjax.proxies import get, names, registry
    from nasjax.spaces import get_space
    from nasjax.spaces import names as space_names

    facts = tomllib.loads((DOCS / "proxy_facts.toml").read_text(encoding="utf-8"))
    rows = {row["Proxy"].strip("`"): row for _, table in tables_of(_read("proxies.md"), "Proxy") for row in table}
    results = _read("results.md")
    measured = tables_of(results[results.index("## Rank correlation on NAS-Bench-201") :], "Proxy")
    published = _published()
    refusals = {space: {n for n in names() if not registry.offers(get_space(space), get(n))} for space in space_names()}
    pages = {}
    for name in names():
        fact, row = facts[name], rows[name]
        refused = [f"`{space}`" for space, left_out in refusals.items() if name in left_out]
        about = {
            "Source": fact["source"],
            "Direction": row["Direction"],
            "Cost": f"{row['Cost']} (in forward and backward passes of a batch of 64; see [Proxies](../proxies.md))",
            "Passes": ", ".join(dict.fromkeys(f"`{type(p).__name__}`" for p in get(name).passes)) or "its members'",
            "Preset `paper`": row["Preset `paper`"],
            "Undefined": row["Undefined"],
            "Spaces that refuse it": ", ".join(refused) or "none",
        }
        function = registry._FACTORIES[name]
        where = f"{function.__module__}.{function.__name__}"
        lines = [f"# {name}: {fact['title']}", "", "```{math}", fact["formula"], "```", "", fact["symbols"], ""]
        lines += ["| | |", "|---|---|", *(f"| {title} | {text} |" for title, text in about.items()), ""]
        lines += ["## Call", "", f"    python -m launch.score --workdir=runs/{name} --proxies={name}", ""]
        space = "autoformer_tiny" if "`nasbench201`" in refused else "nasbench201"
        lines += ["```python", f'space = nasjax.get_space("{space}")']
        lines += [f'nasjax.score(space, space.sample(key, 16), batches, proxies=("{name}",), key=key)', "```", ""]
        if space != "nasbench201":
            lines[lines.index("## Call") + 2] += f" --space={space} --image_size=224"
        lines += ["```{eval-rst}", *_documented(where), "```", "", "## Where it works", "", fact["works"], ""]
        lines += _measured(name, measured) + _of_table(name, published)
        lines += ["## Where it is known to fail", "", *(f"- {text}" for text in fact["fails"]), ""]
        pages[f"{name}.md"] = "\n".join(lines)
    listed = ["| Proxy | What it is | Page |", "|---|---|---|"]
    listed += [f"| `{name}` | {facts[name]['title']} | [{name}]({name}.md) |" for name in names()]
    tree = ["```{toctree}", ":hidden:", "", *names(), "```"]
    intro = "Formula, source, direction, cost, where it works and where it is known to fail; a page each."
    pages["index.md"] = "\n".join(["# A page of every proxy", "", intro, "", *listed, "", *tree, ""])
    return pages


def _documented(where: str) -> list[str]:
    """Directives for the function that makes a proxy, with its options."""
    lines = [f".. autofunction:: {where}", "   :no-index:", ""]
    if where.endswith(".lswag"):
        lines += [".. autoclass:: nasjax.proxies.LswagConfig", "   :no-index:", ""]
    return lines


def _measured(name: str, tables: list[tuple[str, list[dict[str, str]]]]) -> list[str]:
    """Rows of results.md about a proxy."""
    lines = []
    for heading, rows in tables:
        for row in rows:
            variant = re.fullmatch(rf"{name}(?: \((.*)\))?", row["Proxy"])
            if variant is None:
                continue
            values = {title: text for title, text in row.items() if title not in ("Proxy", "95 %") and text}
            values = {title: text for title, text in values.items() if not title.startswith("Published")}
            interval = f" ({row['95 %']})" if row.get("95 %") else ""
            text = "; ".join(f"{title} {value}" for title, value in values.items())
            lines.append(f"| {heading}{f', {variant[1]}' if variant[1] else ''} | {text}{interval} |")
    if not lines:
        return ["Its rank correlation was not measured here.", ""]
    head = ["Measured here, with 95 % bootstrap intervals; settings and commands in [Results](../results.md):", ""]
    return [*head, "| Architectures | Spearman with accuracy |", "|---|---|", *lines, ""]


def _published() -> dict[str, dict[str, float]]:
    """Proxy -> published table -> Spearman of the published score with the table's accuracy."""
    from nasjax.data import proxy_tables

    found: dict[str, dict[str, float]] = {}
    for name in proxy_tables.names():
        loaded = proxy_tables.load(name)
        ranks = loaded.table[[loaded.accuracies[0], *loaded.proxies]]
        for proxy in loaded.proxies:
            pair = ranks[[loaded.accuracies[0], proxy]].dropna().rank()
            if pair[proxy].nunique() > 1:
                found.setdefault({"jacov": "jacob_cov"}.get(proxy, proxy), {})[name] = pair.corr().iloc[0, 1]
    return found


def _of_table(name: str, published: dict[str, dict[str, float]]) -> list[str]:
    if name not in published:
        return []
    text = "Spearman of the scores that NAS-Bench-Suite-Zero published with the accuracies beside them, all rows of "
    text += "the tables that `nasjax.data.proxy_tables` ships:"
    rows = [f"| `{table}` | {value:.2f} |" for table, value in published[name].items()]
    return [text, "", "| Table | Spearman |", "|---|---|", *rows, ""]


def _read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def write(folder: pathlib.Path) -> None:
    """Writes the pages below ``proxy`` and ``reference``; files that are the same already keep their date.

    ``search.md`` is copied to ``searching.md``, since Sphinx writes a ``search.html`` of its own.
    """
    searching = folder / "searching.md"
    text = (folder / "search.md").read_text(encoding="utf-8")
    if not searching.exists() or searching.read_text(encoding="utf-8") != text:
        searching.write_text(text, encoding="utf-8")
    for part, pages in (("proxy", proxy_pages()), ("reference", reference_pages())):
        target = folder / part
        target.mkdir(exist_ok=True)
        for old in target.glob("*.md"):
            if old.name not in pages:
                old.unlink()
        for file, text in pages.items():
            path = target / file
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")


def undocumented(objects: Any) -> list[str]:
    """Public names that a built reference lacks.

    Args:
      objects: full names that the site describes.

    Returns:
      full names.
    """
    wanted, homes = [], _homes()
    for module in REFERENCE:
        members = {name: getattr(importlib.import_module(module), name) for name in public_names(module)}
        own = {name: value for name, value in members.items() if not inspect.ismodule(value)}
        wanted += [f"{module}.{name}" for name, value in own.items() if homes.get(id(value), module) == module]
    return [name for name in wanted if name not in objects]


def linked(page: str) -> str:
    """The text of proxies.md with links from the first column of its table to the pages of the proxies."""
    names = {row["Proxy"].strip("`") for _, rows in tables_of(page, "Proxy") for row in rows}

    def link(match: re.Match[str]) -> str:
        return f"| [`{match[1]}`](proxy/{match[1]}.md) |" if match[1] in names else match[0]

    return re.sub(r"^\| `(\w+)` \|", link, page, flags=re.MULTILINE)


def mathml(formula: str, *, display: str) -> str:
    """A formula in LaTeX as MathML, which browsers draw without a script or a network."""
    from latex2mathml.converter import convert

    return str(convert(formula, display=display))


def is_field(value: Any) -> bool:
    """Whether a member of a class is a field of a named tuple, which its class describes already."""
    return type(value).__name__ == "_tuplegetter" or isinstance(value, dataclasses.Field)
