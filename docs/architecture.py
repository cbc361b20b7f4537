"""Draw which room of the code imports which, and list what each is for, from the code itself."""

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from generated import FOLDER, table, write
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[1]
FOLDERS = ("models", "protocols", "neuromod")
STARTS = ("__init__", "__main__")
"""Modules of the package's own folder that only name or start others."""


def modules() -> Iterator[tuple[str, Path]]:
    """Each module of the package with its room: a folder, or a module that stands alone."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT / folder)
            if folder != "neuromod":
                yield folder, path
            elif len(place.parts) > 1:
                yield place.parts[0], path
            elif path.stem not in STARTS:
                yield f"{path.stem}.py", path


def imported(path: Path, rooms: set[str]) -> Iterator[str]:
    """The rooms that a module imports from, once for every import."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            first = rest.partition(".")[0]
            if package == "neuromod" and {first, f"{first}.py"} & rooms:
                yield first if first in rooms else f"{first}.py"


def links() -> tuple[dict[str, int], Counter[tuple[str, str]]]:
    """Lines of code of each room, and how many names each room imports from another."""
    lines: Counter[str] = Counter()
    every = list(modules())
    for room, path in every:
        lines[room] += len(path.read_text(encoding="utf-8").splitlines())
    found = Counter(
        (room, other)
        for room, path in every
        for other in imported(path, set(lines))
        if other != room
    )
    return dict(lines), found


def ordered(rooms: list[str], found: Counter[tuple[str, str]]) -> list[str]:
    """Rooms, each above all that it imports; those that import each other stand together."""
    at = {room: index for index, room in enumerate(rooms)}
    rows, columns = zip(*((at[one], at[other]) for one, other in found), strict=True)
    graph = csr_matrix(([1] * len(rows), (rows, columns)), shape=(len(rooms),) * 2)
    _, group = connected_components(graph, directed=True, connection="strong")
    sorter: TopologicalSorter[int] = TopologicalSorter({int(each): () for each in group})
    for one, other in found:
        if group[at[one]] != group[at[other]]:
            sorter.add(int(group[at[one]]), int(group[at[other]]))
    from_below = list(sorter.static_order())
    imports = Counter({room: sum(n for (one, _), n in found.items() if one == room) for room in at})
    return sorted(rooms, key=lambda room: (-from_below.index(group[at[room]]), -imports[room]))


def draw(path: Path) -> None:
    """Save the matrix of imports: a row imports from its columns, down the layers."""
    lines, found = links()
    rooms = ordered(list(lines), found)
    upward = [
        f"{one} imports {other}" for one, other in found if rooms.index(other) < rooms.index(one)
    ]
    if upward:
        raise ExtensionError(f"No two rooms may need each other, but {' and '.join(upward)}.")
    figure = Figure(figsize=(8.6, 8.2), layout="constrained")
    axes = figure.subplots()
    for row, room in enumerate(rooms):
        axes.axhspan(row - 0.5, row + 0.5, color="0.96" if row % 2 else "1.0", lw=0)
        axes.add_patch(Rectangle((row - 0.5, row - 0.5), 1, 1, color="0.75", lw=0))
        for column, other in enumerate(rooms):
            if count := found[room, other]:
                axes.text(column, row, count, ha="center", va="center", fontsize=8, color="#0b6fa4")
    names = [f"{room}  ({lines[room]})" for room in rooms]
    axes.set_yticks(range(len(rooms)), names)
    axes.set_xticks(range(len(rooms)), rooms, rotation=90)
    axes.xaxis.tick_top()
    axes.set(xlim=(-0.5, len(rooms) - 0.5), ylim=(len(rooms) - 0.5, -0.5))
    axes.set_xlabel("is imported; names counted")
    axes.set_ylabel("imports (lines of code)")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.savefig(path, facecolor="white", metadata={"Date": None})


def purposes() -> str:
    """A table of rooms and what each is for, from their first lines."""
    lines, found = links()
    starts = {
        room: path
        for room, path in modules()
        if room.endswith(".py") or (path.stem, path.parent.name) == ("__init__", room)
    }
    rows = []
    for room in ordered(list(lines), found):
        told = ast.get_docstring(ast.parse(starts[room].read_text(encoding="utf-8"))) or ""
        first = told.partition("\n")[0].replace("``", "`")
        rows.append({"room": f"`{room}`", "is for": first})
    return table(rows)


def write_architecture(app: Sphinx) -> None:  # noqa: ARG001
    """Write the picture and the table of rooms."""
    write("architecture.md", purposes())
    draw(FOLDER / "architecture.svg")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_architecture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
