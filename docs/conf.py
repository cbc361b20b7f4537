"""Sphinx configuration; the modules beside it write parts of pages from the code."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from neuromod import __version__

project = "neuromod"
author = copyright = "The neuromod developers"
version = release = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    # of this folder
    "architecture",
    "command_reference",
    "explorer_files",
    "notebook_downloads",
    "reference_pages",
]
# The gallery's sources, and its notebooks, which are there to download.
exclude_patterns = ["_build", ".jupyter_cache", "_generated", "gallery", "auto_gallery/**.ipynb"]

# Pages and notebooks
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_merge_streams = True  # what a loop prints stands in one box
autodoc_typehints = "none"
# A name in single quotation marks of a docstring leads to what it names, where that is on a page.
default_role = "py:obj"
# Attributes of several classes share names such as `neurons`.
suppress_warnings = ["ref.python"]

# The gallery
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "subsection_order": [
        f"gallery/{group}" for group in ("receptors", "networks", "learning", "chip")
    ]
    + ["*"],
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "parallel": 2,
    "reset_modules": ("matplotlib", "gallery_reset.reset"),
    "capture_repr": ("_repr_html_",),
    "doc_module": ("neuromod",),
    "backreferences_dir": "auto_gallery/backreferences",
    "show_signature": False,
    "write_computation_times": False,
}

# The site
html_theme = "furo"
html_title = "neuromod"
mathjax = find_spec("sphinx-mathjax-offline")
html_static_path = ["_static", str(Path(mathjax.origin).parent / "static")]
# SVG takes no fonts, which browsers refuse to load for a page on the disk.
mathjax_path = "mathjax/tex-svg.js"
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
copybutton_prompt_text = "$ "
