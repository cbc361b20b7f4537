"""Every tutorial as a notebook to download: a link under its title, and the file behind it."""

import re
from pathlib import Path

import jupytext
from generated import write
from sphinx.application import Sphinx

TITLE = re.compile(r"^# .+\n", re.MULTILINE)
PAGE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")
ADMONITION = re.compile(
    r"^:::+ *\{(\w+)\} *([^\n]*)\n(?::class:.*\n)?(.*?)^:::+ *$", re.MULTILINE | re.DOTALL
)


def write_notebooks(app: Sphinx) -> None:
    """Write the notebook of every tutorial."""
    for page in sorted(Path(app.srcdir, "tutorials").glob("[0-9]*.md")):
        notebook = jupytext.read(page, fmt="md:myst")
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = for_jupyter(cell.source)
        del notebook.metadata["jupytext"]
        for number, cell in enumerate(notebook.cells):
            # Drawn by chance otherwise, and with it the whole file.
            cell.id = f"cell-{number}"
        write(f"notebooks/{page.stem}.ipynb", jupytext.writes(notebook, fmt="ipynb"))


def for_jupyter(text: str) -> str:
    """Markdown that Jupyter shows: no links to other pages, admonitions as quotations."""
    return ADMONITION.sub(quoted, PAGE_LINK.sub(r"\1", text))


def quoted(admonition: re.Match[str]) -> str:
    """An admonition as a quotation, under its title or kind."""
    kind, title, text = admonition.groups()
    return f"> **{title or kind.capitalize()}**\n>\n" + re.sub("(?m)^", "> ", text.strip())


def link_notebook(app: Sphinx, docname: str, source: list[str]) -> None:  # noqa: ARG001
    """Put a link to its notebook under the title of a tutorial."""
    folder, _, name = docname.partition("/")
    if folder == "tutorials" and name[:1].isdigit():
        notebook = f"{name}.ipynb"
        link = f"{{download}}`{notebook} <../_generated/notebooks/{notebook}>`"
        source[0] = TITLE.sub(
            lambda title: f"{title[0]}\nThis page as a notebook: {link}\n", source[0], count=1
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_notebooks)
    app.connect("source-read", link_notebook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
