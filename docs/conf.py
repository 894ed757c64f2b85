"""How the documentation is built; `make docs` builds it with warnings as errors."""

import sys
from pathlib import Path

import hierrl

sys.path.insert(
    0, str(Path(__file__).parent)
)  # our own extensions stand beside this file

project = "hierrl"
author = "The hierrl developers"
version = release = hierrl.__version__

extensions = [
    "formulas",
    "myst_parser",
    "numpydoc",
    "running",  # the code of the pages; starts before the gallery, and works while that does
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 2

autodoc_typehints = "none"  # numpydoc sections carry the types
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_validation_checks = {"GL01", "GL02", "GL03", "PR01", "PR02", "SS03"}
numpydoc_validation_exclude = {
    r"^hierrl\.[A-Z]"
}  # fields and methods of classes carry their own sentence

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    "filename_pattern": r"\.py$",  # all are run
    "run_stale_examples": True,  # the package may have changed, if the script has not
    "thumbnail_size": (640, 440),
    "reset_modules": ("matplotlib", "gallery.short_warnings"),
    "reset_argv": "gallery.arguments",
    "within_subsection_order": "gallery.order",
    "image_scrapers": ("gallery.pictures", "matplotlib"),
    "capture_repr": (),
    "doc_module": ("hierrl",),
    "backreferences_dir": None,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"  # of `formulas`
html_title = "hierrl"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
