"""Every command with its arguments and options, as Typer describes them."""

import re
import subprocess
import sys

from generated import table, write
from sphinx.application import Sphinx

COMMAND = re.compile(r"^#{2,3} `neuromod (.+)`\n\n(.+)\n", re.MULTILINE)


def write_commands(app: Sphinx) -> None:  # noqa: ARG001
    """Write a table of all commands, and a section on each."""
    typer = [sys.executable, "-m", "typer", "neuromod.cli", "utils", "docs", "--name", "neuromod"]
    told = subprocess.run(typer, check=True, capture_output=True, text=True).stdout
    told = told[told.index("\n## ") :].replace("* `--help`: Show this message and exit.\n", "")
    # Sections that held nothing else, and groups, whose commands are in sections of their own.
    told = re.sub(r"\*\*Options\*\*:\n\n(?!\*)", "", told)
    told = re.sub(r"## `neuromod export`\n.*?(?=^#)", "", told, flags=re.DOTALL | re.MULTILINE)
    told = told.replace("### ", "## ")
    rows = [
        {"command": f"[`{name}`](#neuromod-{name.replace(' ', '-')})", "does": does}
        for name, does in COMMAND.findall(told)
    ]
    write("commands.md", f"{table(rows)}\n{told}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
