"""Sphinx configuration: `make docs` writes docs/_build/index.html."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # nothing is computed

import site_pages  # noqa: E402

project = "nasjax"
author = "The nasjax authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "search.md"]  # Sphinx has a search.html of its own: searching.md is that page
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autosummary_generate = False  # tables alone; site_pages.py makes the pages
autodoc_typehints = "none"  # the docstrings state shapes and types
autodoc_member_order = "bysource"
napoleon_use_ivar = True  # a NamedTuple lists its fields as well
# What stands in single backticks is a link where the reference has it, and code elsewhere.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:obj", ".*"), ("py:class", r"(?!nasjax\.).*")]
nitpick_ignore = [  # types of fields that users read and do not make
    ("py:class", f"nasjax.{name}")
    for name in (
        "das.backbones.VideoMobileNet",
        "das.backbones.VideoResNet",
        "das.crops.CropConfig",
        "das.loop.Fitted",
        "das.selection.Event",
        "das.variants.Variant",
        "data.augment.AugmentConfig",
        "data.readers.Reader",
        "grasp.features.Scaling",
        "search.comparison.Measured",
        "search.pruning.PruneState",
        "types.Variables",
    )
]
html_title = "nasjax"
html_theme = "furo"
html_math_renderer = "mathml"


def write_pages(app):
    site_pages.write(HERE)


def link(app, docname, source):
    """Links to pages that the site alone has: those of proxies, and search.md by its other name."""
    if docname == "proxies":
        source[0] = site_pages.linked(source[0])
    source[0] = source[0].replace("](search.md", "](searching.md")
    if docname == "index":
        source[0] = source[0].replace("\nsearch\n", "\nsearching\n")


def skip(app, what, name, member, options, *more):
    return True if site_pages.is_field(member) else None


def check_reference(app, env):
    from sphinx.util import logging

    for name in site_pages.undocumented(env.domaindata["py"]["objects"]):
        logging.getLogger("nasjax").warning("the reference lacks %s", name)


def inline_math(writer, node):
    from docutils.nodes import SkipNode

    writer.body.append(site_pages.mathml(node.astext(), display="inline"))
    raise SkipNode


def block_math(writer, node):
    from docutils.nodes import SkipNode

    formula = site_pages.mathml(node.astext(), display="block")
    writer.body.append(f'<div class="math" style="overflow-x: auto">{formula}</div>\n')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.connect("builder-inited", write_pages)
    app.connect("source-read", link)
    app.connect("autodoc-skip-member", skip)
    app.connect("env-check-consistency", check_reference)
