"""What the README and the pages show works as they show it."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
from brian2 import prefs

from neuromod.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {"_build", "_generated", "auto_gallery", "models", "protocols"}
WRITTEN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(page for page in sorted(DOCS.rglob("*.md")) if not MADE & set(page.parts)),
]
# Code of tutorials is run when the site is built.
PAGES = [page for page in WRITTEN if page.parent.name != "tutorials"]
# What a browser would fetch from elsewhere before a page is complete.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//"""
    r"""|<link\b[^>]*\bhref=["']?(?:https?:)?//|url\(["']?(?:https?:)?//"""
    r"""|@import\s+["'](?:https?:)?//|\bimport\b[^\n;]*["']https?://|!\[[^\]]*\]\(https?:"""
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    found = []
    for page in WRITTEN:
        lines = [line for block in blocks(page, "bash") for line in whole(block).split("\n")]
        lines += re.findall(r"^(?:!|%run -m )(neuromod .+)", whole(page.read_text()), re.M)
        found += [part for line in lines for part in line.split("&&") if "neuromod " in part]
    return found


def whole(text: str) -> str:
    """Text in which no line ends in a backslash to go on in the next."""
    return text.replace("\\\n", "")


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_on_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    # Pages may change it; then it is as it was.
    monkeypatch.setitem(prefs, "codegen.target", prefs["codegen.target"])
    if "load_backbone" in page.read_text():
        kept = shutil.copytree(request.getfixturevalue("pretrained"), tmp_path / "cache")
        monkeypatch.setenv("NEUROMOD_CACHE", str(kept))
    space: dict[str, object] = {"__name__": "page"}
    for snippet in blocks(page, "python"):
        if page.name == "extend.md":
            # Each is to be copied alone.
            space = {"__name__": "page"}
        exec(compile(snippet, page.name, "exec", dont_inherit=True), space)


@pytest.mark.parametrize("line", commands())
def test_commands_on_the_pages_have_options_that_exist(line):
    command = typer.main.get_command(app)
    words = shlex.split(line, comments=True)
    context = typer.Context(command)
    name, *rest = words[words.index("neuromod") + 1 :]
    subcommand = command.get_command(context, name)  # type: ignore[attr-defined]
    assert subcommand is not None
    subcommand.make_context(name, rest)


def test_links_of_pages_outside_the_site_lead_somewhere():
    for page in PAGES:
        if page.parent == ROOT:
            for target in re.findall(r"\]\(\s*([^)#:\s]+)\)", page.read_text()):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_is_short_and_begins_with_the_commands_of_continuous_integration():
    page = ROOT / "README.md"
    assert len(page.read_text().splitlines()) < 120
    assert blocks(page, "bash")[0].splitlines() == [
        'pip install ".[train]" && neuromod demo --out demo-run',
        'pip install -e ".[train,test]" && pytest -n auto --dist loadfile',
    ]


@pytest.mark.parametrize("section", ["tutorials", "how-to", "explanation", "reference", "project"])
def test_a_section_s_first_page_tells_of_each_of_its_pages(section):
    index = DOCS / section / "index.md"
    told = re.findall(r"\]\(([\w.-]+)\.md\)", index.read_text())
    pages = {page.stem for page in index.parent.glob("*.md")} - {"index"}
    assert pages <= set(told), f"not told of: {sorted(pages - set(told))}"


def test_pages_and_reports_fetch_nothing_from_a_network():
    kinds = ("*.md", "*.rst", "*.html", "*.css", "*.js", "*.j2")
    for kind in kinds:
        for folder in (DOCS, ROOT / "neuromod", ROOT / "protocols"):
            for path in folder.rglob(kind):
                if not MADE & set(path.parts):
                    found = FETCHED.search(path.read_text(encoding="utf-8"))
                    assert found is None, f"{path.relative_to(ROOT)}: {found and found[0]}"


@pytest.mark.parametrize(
    "line",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<link rel=stylesheet href=//fonts.example/css>",
        "@import 'https://fonts.example/css'",
        "src: url(https://fonts.example/x.woff2)",
        '<img alt="" src="http://badges.example/x.svg">',
        "![build](https://badges.example/x.svg)",
        'import katex from "https://cdn.example/katex.mjs"',
    ],
)
def test_what_would_be_fetched_is_recognised(line):
    assert FETCHED.search(line)
    assert not FETCHED.search('[Brian2](https://brian2.readthedocs.io) <a href="https://neo.org">')


def test_a_tutorial_becomes_a_notebook_without_links_to_pages(monkeypatch):
    pytest.importorskip("jupytext")
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS)
    downloads = importlib.import_module("notebook_downloads")
    text = "See [tuning](../how-to/tuning.md) and [Neo](https://neo.org).\n\n:::{tip}\nDo.\n:::"
    assert (
        downloads.for_jupyter(text)
        == "See tuning and [Neo](https://neo.org).\n\n> **Tip**\n>\n> Do."
    )
