"""Sphinx configuration: `make docs` writes docs/_build/index.html."""

project = "nasjax"
author = "The nasjax authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # the docstrings state shapes and types
autodoc_member_order = "bysource"
html_title = "nasjax"
napoleon_use_ivar = True  # a NamedTuple lists its fields as well
html_theme = "furo"
