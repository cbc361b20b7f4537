"""A run as one self-contained page, and its figure as a picture."""

from __future__ import annotations

import base64
import inspect
import io
import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from neuromod.parameters import About, Parameters, holds_models, parameters
from neuromod.protocol import Section, Study
from neuromod.recording import Recording
from neuromod.support.figures import style
from neuromod.support.text import number, say

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ROWS_SHOWN = 60
ROWS_SUMMARISED = 16


def draw(
    protocol: Study, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> bytes:
    """Picture of a protocol's figure: PNG at 150 dots per inch."""
    with style():
        return png(protocol.plot(tables, recordings))


def png(figure: Figure) -> bytes:
    """Picture of a figure: PNG at 150 dots per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def page(
    protocol: Study,
    info: dict[str, Any],
    tables: dict[str, pd.DataFrame],
    sections: Sequence[Section],
    image: bytes,
) -> str:
    """Self-contained HTML page of a run; `info` is what ``run.json`` holds."""
    title, _, intro = inspect.getdoc(protocol).partition("\n\n")  # type: ignore[union-attr]
    return _template("report.html.j2").render(
        title=title.rstrip("."),
        intro=paragraphs(intro),
        info=info,
        sections=_shown(sections, tables),
        settings=describe(protocol),
        image=base64.b64encode(image).decode(),
    )


def document(
    title: str,
    byline: str,
    intro: str,
    sections: Sequence[Section],
    tables: Mapping[str, pd.DataFrame],
    image: bytes,
) -> str:
    """Self-contained HTML page of words, tables and one figure, in the look of a run's."""
    return _template("page.html.j2").render(
        title=title,
        byline=byline,
        intro=paragraphs(intro),
        sections=_shown(sections, tables),
        image=base64.b64encode(image).decode(),
    )


def summary(title: str, tables: Mapping[str, pd.DataFrame], image: bytes) -> str:
    """Piece of HTML for a notebook: a figure and the first rows of tables."""
    return _template("summary.html.j2").render(
        title=title,
        tables={name: show(table, ROWS_SUMMARISED) for name, table in tables.items()},
        image=base64.b64encode(image).decode(),
    )


def _shown(sections: Sequence[Section], tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    return [
        {
            "title": section.title,
            "paragraphs": paragraphs(section.text),
            "table": show(tables[section.table]) if section.table else None,
            "file": f"{section.table}.csv",
        }
        for section in sections
    ]


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neuromod.runs", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def paragraphs(text: str) -> list[str]:
    """Text split at blank lines, line breaks inside a paragraph removed."""
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def show(table: pd.DataFrame, most: int = ROWS_SHOWN) -> dict[str, Any]:
    """Cells of a table as text: numbers to four digits, a dash for what is missing.

    Returns
    -------
    dict
        ``columns``, ``rows``, at most so many, and ``hidden``, the number of rows beyond.
    """
    shown = table.head(most)
    rows = [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
    return {"columns": list(table.columns), "rows": rows, "hidden": len(table) - len(shown)}


def describe(settings: Parameters, prefix: str = "") -> list[dict[str, str]]:
    """Name, value, meaning, range and source of every parameter; `prefix` stands before names."""
    rows = []
    for name, _, about in parameters(type(settings)):
        value = getattr(settings, name)
        if isinstance(value, Parameters):
            rows += describe(value, f"{prefix}{name}.")
        elif holds_models(value):
            for member in value:
                rows += describe(member, f"{prefix}{name}.{member.name}.")
        elif isinstance(value, Mapping):
            rows += [row_of(f"{prefix}{name}.{key}", item, about) for key, item in value.items()]
        else:
            rows.append(row_of(prefix + name, value, about))
    return rows


def row_of(name: str, value: Any, about: About) -> dict[str, str]:
    """A parameter or input as `describe` gives it."""
    shown, allowed = say(value), about.range
    if name.rpartition(".")[2].startswith("k_"):
        # Rate constants are not frequencies.
        shown, allowed = shown.replace(" Hz", "/s"), allowed.replace(" Hz", "/s")
    row = {"name": name, "value": shown, "meaning": about.meaning}
    return row | {"range": allowed, "source": about.source}


def _cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if value is None or value != value:
        return "–"
    return number(value) if isinstance(value, numbers.Real) else str(value)
