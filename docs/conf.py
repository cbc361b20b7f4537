"""Sphinx configuration; tables of parameters are written from the code at every build."""

from inspect import getdoc
from pathlib import Path

from neuromod import __version__
from neuromod.models import library, sensors
from neuromod.parameters import Parameters
from neuromod.runs import registry
from neuromod.runs.report import describe

project = "neuromod"
author = "The neuromod maintainers"
version = release = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "sphinx_design",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
nb_execution_raise_on_error = True
autodoc_typehints = "none"
# Attributes of several classes share names such as `neurons`.
suppress_warnings = ["ref.python"]

GENERATED = Path(__file__).parent / "_generated"


def write_tables() -> None:
    """Name, default, meaning, range and source of every parameter, as parts of pages."""
    GENERATED.mkdir(exist_ok=True)
    parts = [
        f"## {name}\n\n{table(describe(found()))}"
        for kind in ("model", "protocol")
        for name in registry.names(kind)
        if issubclass(found := registry.find(kind, name), Parameters)
    ]
    (GENERATED / "parameters.md").write_text("\n".join(parts), encoding="utf-8")
    for page, shelf in (("receptors.md", library), ("sensors.md", sensors)):
        parts = [
            f"### {name}\n\n{getdoc(ready)}\n\n{table(describe(ready))}"
            for name, ready in shelf.items()
        ]
        (GENERATED / page).write_text("\n".join(parts), encoding="utf-8")


def table(rows: list[dict[str, str]]) -> str:
    """Rows as a table in Markdown."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


write_tables()
exclude_patterns.append("_generated")
