"""A run as one self-contained page, and its figure as a picture."""

from __future__ import annotations

import inspect
import math
import numbers
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from neuromod.errors import UserError
from neuromod.parameters import About, Parameters, holds_models, parameters
from neuromod.protocol import Section, Study
from neuromod.recording import Recording
from neuromod.runs.commands import LONGEST, changed, files, python, shell
from neuromod.runs.files import INFO, PAGES
from neuromod.runs.picture import Picture
from neuromod.support.figures import style
from neuromod.support.text import number, say

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN = 60
ROWS_SUMMARISED = 16
BREAKS = re.compile(r"(?<=[^\W\d][_./])(?=[^\W\d])|(?<=\d_)(?=[^\W\d])")
"""Where a long name may be broken: behind its underscores, full stops and slashes."""
NUMERAL = re.compile(r"[-+]?[\d., ]+(e-?\d+)?|[-+]?inf|–|")
LONGEST_WORD = 11
"""Characters that columns of words have room for on paper."""


def draw(
    protocol: Study, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]
) -> Picture:
    """Picture of a protocol's figure."""
    with style():
        return Picture(protocol.plot(tables, recordings))


def page(
    protocol: Study,
    info: dict[str, Any],
    tables: dict[str, pd.DataFrame],
    sections: Sequence[Section],
    picture: Picture,
) -> str:
    """Self-contained HTML page of a run; `info` is what ``run.json`` holds.

    Of a run that has a folder, it links to the files there.
    """
    title, _, intro = inspect.getdoc(protocol).partition("\n\n")  # type: ignore[union-attr]
    stages = [[stage, f"{seconds:.2f}"] for stage, seconds in info["wall_s"].items()]
    return _template("report.html.j2").render(
        title=title.rstrip("."),
        intro=paragraphs(intro),
        info=info,
        sections=_shown(sections, tables),
        settings=_settings(protocol),
        stages={"columns": ["stage", "wall time (s)"], "rows": stages},
        picture=picture,
        linked="files" in info,
        files=_files(info),
        asked=_asked(protocol, info),
    )


def document(
    title: str,
    byline: str,
    intro: str,
    sections: Sequence[Section],
    tables: Mapping[str, pd.DataFrame],
    picture: Picture,
) -> str:
    """Self-contained HTML page of words, tables and one figure, in the look of a run's."""
    return _template("page.html.j2").render(
        title=title,
        byline=byline,
        intro=paragraphs(intro),
        sections=[section | {"file": ""} for section in _shown(sections, tables)],
        picture=picture,
        linked=False,
    )


def summary(title: str, tables: Mapping[str, pd.DataFrame], picture: Picture) -> str:
    """Piece of HTML for a notebook: a figure and the first rows of tables."""
    return _template("summary.html.j2").render(
        title=title,
        tables={name: show(table, ROWS_SUMMARISED) for name, table in tables.items()},
        picture=picture,
    )


def _shown(sections: Sequence[Section], tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    return [
        {
            "title": section.title,
            "paragraphs": paragraphs(section.text),
            "table": show(tables[section.table]) if section.table else None,
            "rows": len(tables[section.table]) if section.table else 0,
            "file": f"{section.table}.csv",
        }
        for section in sections
    ]


def _settings(protocol: Study) -> dict[str, Any]:
    """Table of all settings; those that were changed say what they are by default."""
    before = {row["name"]: row["value"] for row in describe(type(protocol)())}
    rows = [list(row.values()) for row in describe(protocol)]
    for row in rows:
        default = before.get(row[0], row[1])
        row[1] += f" (default: {default or 'empty'})" if default != row[1] else ""
    return {"columns": ["name", "value", "meaning", "range", "source"], "rows": rows}


def _files(info: Mapping[str, Any]) -> list[str]:
    """Files of a run's folder besides its report, figures last; none of a run without a folder."""
    return [*sorted({*info["files"], INFO} - set(PAGES)), *PAGES[:-1]] if "files" in info else []


def _asked(protocol: Study, info: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of neuromod: in words, as a command and as a call in Python."""
    asked: dict[str, Any] = {"shell": "", "python": "", "lacks": "", "files": files(protocol)}
    try:
        texts = changed(protocol)
    except UserError as error:
        words = f"Asked for was {info['protocol']} with seed {info['seed']}."
        return asked | {"words": words, "lacks": f"No single command repeats it: {error}"}
    name, count = info["protocol"], len([name for name in texts if name != "seed"])
    settings = "all settings at their defaults"
    if count:
        settings = f"{count} setting{'s' if count > 1 else ''} changed"
    asked["words"] = f"Asked for was {name} with {settings} and seed {info['seed']}."
    for how, write in (("shell", shell), ("python", python)):
        try:
            command = write(protocol, texts, info)
        except UserError:
            # The other one can do it.
            continue
        if len(command) <= LONGEST:
            asked[how] = command
    return asked


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neuromod.runs", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"breakable": _breakable, "ems": _ems}
    environment.tests["numeral"] = NUMERAL.fullmatch
    return environment.get_template(name)


def _breakable(text: str) -> Markup:
    """A long name or number of a table, which may be broken behind its marks."""
    return Markup(BREAKS.sub("<wbr>", str(escape(text))))


def _ems(table: Mapping[str, Any]) -> int:
    """Width of a table in widths of an m, with numbers whole and words broken where they may be."""
    columns = zip(*table["rows"], strict=True) if table["rows"] else ((),) * len(table["columns"])
    total = 0.0
    for name, cells in zip(table["columns"], columns, strict=True):
        head = max(map(len, BREAKS.split(name)))
        words = [len(cell) if NUMERAL.fullmatch(cell) else LONGEST_WORD for cell in cells]
        total += 0.62 * max([head, *words]) + 0.8
    return math.ceil(total)


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
