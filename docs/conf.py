"""Sphinx' settings. The pages are gathered by `pages.py` first: see `make docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import maladist

project = "maladist"
author = "maladist developers"
copyright = author
release = version = maladist.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "mathml",  # beside this file
    "docstrings",
    "names",
]
exclude_patterns = ["_made"]  # parts of pages

# Attributes of a class are taken for references to any object of that name, and several have a `grid`.
suppress_warnings = ["ref.python"]

# What a docstring puts in single backticks is a name of Python where there is one, and code where there is none.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"  # else every private helper's types would be a list of their own
autodoc_typehints_format = "short"
autodoc_mock_imports = ["triton"]  # 1 GB, and only on a GPU
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "amsmath", "attrs_block"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
nb_execution_mode = "off"  # `make test-slow` runs the notebooks, and so does `make docs OUTPUTS=1`
nb_ipywidgets_js = {}  # from a CDN, and no notebook here has widgets

html_theme = "furo"
html_title = f"maladist {version}"
html_static_path = ["static"]
html_css_files = ["maladist.css"]
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
templates_path = []
pygments_style = "friendly"
pygments_dark_style = "monokai"
