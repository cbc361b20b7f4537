"""Parts of pages that are written from the code at every build; git ignores their folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "_generated"


def write(name: str, text: str, folder: Path = FOLDER) -> None:
    """Write a file of a folder if it changes; a new date would have its pages built again."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as a table in Markdown, under the names of the first row."""
    cells = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)
