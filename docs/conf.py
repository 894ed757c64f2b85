"""How the documentation is built; `make docs` builds it with warnings as errors."""

import hierrl

project = "hierrl"
author = "The hierrl developers"
version = release = hierrl.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 2

autodoc_typehints = "none"  # numpydoc sections carry the types
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_validation_checks = {"GL01", "GL02", "GL03", "PR01", "PR02", "SS03"}
numpydoc_validation_exclude = {r"^hierrl\.[A-Z]"}  # fields and methods of classes carry their own sentence

html_theme = "pydata_sphinx_theme"
html_title = "hierrl"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
