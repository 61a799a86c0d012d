"""Sphinx: `make docs` builds docs/_build/html, warnings are errors."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from docs.pages import write_pages  # noqa: E402

from ddpm import __version__  # noqa: E402

project = "ddpm"
author = "the ddpm authors"
release = version = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx-mathjax-offline"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "ddpm"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_include_special_with_doc = True
add_module_names = False
nitpicky = True  # a link to code of ours that does not exist is an error
nitpick_ignore_regex = [("py:.*", r"(?!ddpm\.).*")]

write_pages(HERE / "generated")
