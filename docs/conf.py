"""Sphinx: `make docs` builds docs/_build/html, warnings are errors."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from docs.gallery import Folder, Pictures  # noqa: E402
from docs.lab import write_lab  # noqa: E402
from docs.ledger import write_ledger  # noqa: E402
from docs.notes import modules, write_notes  # noqa: E402
from docs.pages import paper, write_pages  # noqa: E402
from docs.reference import ROOMS, write_reference  # noqa: E402
from docs.results import write_results  # noqa: E402

from ddpm import __version__  # noqa: E402

project = "ddpm"
author = "the ddpm authors"
release = version = __version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "generated/lab", "reference/settings.txt"]
html_theme = "furo"
html_title = "ddpm"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_extra_path = ["generated/lab"]  # the live laboratory: lab.en.html, lab.ko.html
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}
html_show_copyright = False
napoleon_include_special_with_doc = True
add_module_names = False
nitpicky = True  # a link to code of ours that does not exist is an error
nitpick_ignore_regex = [("py:.*", r"(?!ddpm\.).*")]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "generated/examples",
    "filename_pattern": r"\.py$",
    "image_scrapers": (Pictures(),),
    "reset_argv": Folder(HERE / "_build" / "examples"),
    "reset_modules": (),
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "capture_repr": (),
    "write_computation_times": False,
    "min_reported_time": 1000,
    "remove_config_comments": True,
    "plot_gallery": "True",
    "abort_on_example_error": True,
}
suppress_warnings = ["config.cache"]  # a scraper is an object, which Sphinx does not pickle

GENERATED = HERE / "generated"
write_pages(GENERATED)
write_reference(GENERATED, [*(place.module for line in paper() for place in line.code), *modules()])
write_results(GENERATED / "results")
write_ledger(GENERATED, tuple(ROOMS))
write_notes(GENERATED)
write_lab(GENERATED / "lab")
