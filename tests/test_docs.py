"""What the README and the pages show works as they show it."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
from brian2 import prefs

from neuromod.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if not {"_build", "_generated", "tutorials"} & set(page.relative_to(ROOT).parts)
    ),
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line for page in PAGES for block in blocks(page, "bash") for line in block.split("\n")]
    return [part for line in lines for part in line.split("&&") if "neuromod " in part]


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_on_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    # Pages may change it; then it is as it was.
    monkeypatch.setitem(prefs, "codegen.target", prefs["codegen.target"])
    if "load_backbone" in page.read_text():
        kept = shutil.copytree(request.getfixturevalue("pretrained"), tmp_path / "cache")
        monkeypatch.setenv("NEUROMOD_CACHE", str(kept))
    if page.name == "README.md":
        import neuromod

        # The folder that the page's command line has made before.
        neuromod.run("vdd-sweep", out="curves")
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


def test_links_between_the_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(\s*([^)#:\s]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
