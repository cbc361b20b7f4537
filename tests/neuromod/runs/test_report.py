import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from brian2 import nA
from matplotlib.figure import Figure

from neuromod.models import GainLIF
from neuromod.protocol import Section
from neuromod.runs.picture import Picture
from neuromod.runs.report import _ems, describe, draw, page, paragraphs, show

ROOT = Path(__file__).parents[3]

INFO = {
    "protocol": "tiny",
    "device": "cython",
    "precision": "double",
    "seed": 1,
    "started": "2022-01-01T00:00:00+00:00",
    "versions": {"brian2-neuromod": "0"},
    "wall_s": {"measuring": 0.123},
    "notes": {"cache": "<cold>"},
    "platform": "somewhere",
    "cores": 2,
}


def made(study, table=None, sections=(), **kept):
    """A page, on one line."""
    table = pd.DataFrame({"name": ["<script>"], "x": [1.23456789]}) if table is None else table
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().plot([1.5, 2.5], [3, 4], "o")
    return " ".join(page(study, INFO | kept, {"table": table}, sections, Picture(figure)).split())


def test_a_page_is_self_contained_and_escaped(tiny):
    sections = [Section("Found", "First.\n\nSecond\nline.", "table"), Section("Bare", "Text.")]
    text = made(tiny(), sections=sections)
    assert "<script>" not in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    for shown in (
        "Spikes of neurons driven",
        "<p>Second line.</p>",
        "1.235",
        "neuron.<wbr>tau_<wbr>m",
        "membrane time constant",
        "&lt;cold&gt;",
    ):
        assert shown in text, shown


def test_of_a_run_in_a_folder_all_files_are_linked(tiny):
    kept = {"table.csv": "", "tiny.nix": "", "figure.png": "", "figure.svg": "", "report.html": ""}
    table = pd.DataFrame({"x": range(99)})
    text = made(tiny(), table=table, sections=[Section("All", "", "table")], files=kept)
    links = set(re.findall(r"href=\"([^#\"]+)\"", text))
    assert links == {*kept, "run.json"} - {"report.html"}
    assert '<caption><a href="table.csv">table.csv</a>, 99 rows</caption>' in text
    assert '39 more rows in <a href="table.csv">' in text


def test_settings_that_were_changed_say_what_they_are_by_default(tiny):
    text = made(tiny(repeats=3, note=""))
    assert ">3 (default: 1)<" in text
    assert "> (default: none)<" in text
    assert text.count("(default: ") == 2
    assert "Asked for was tiny with 2 settings changed and seed 1." in text


def test_a_protocol_that_has_no_name_says_that_no_command_repeats_it(tiny):
    class Nameless(tiny):
        """Of no package."""

    text = made(Nameless(), protocol="Nameless")
    assert "No single command repeats it: There is no protocol named" in text
    assert "<pre" in text.partition("Citation")[2]
    assert "neuromod run" not in text


def test_the_citation_is_that_of_the_repository():
    yaml = pytest.importorskip("yaml")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    template = (ROOT / "neuromod/runs/citation.bib.j2").read_text(encoding="utf-8")
    (article,) = cited["references"]
    names = [f"{one['family-names']}, {one['given-names']}" for one in article["authors"]]
    for known in (
        cited["title"],
        cited["authors"][0]["name"],
        f"year = {{{cited['date-released'].year}}}",
        " and ".join(names),
        *(f"{{{article[name]}}}" for name in ("title", "journal", "volume", "year", "doi")),
    ):
        assert known in template, known


def test_a_table_on_paper_has_room_for_its_longest_number_and_word():
    few = _ems({"columns": ["x"], "rows": [["0.0001"]]})
    assert _ems({"columns": ["x"], "rows": [["0.0001"], ["0.000123456"]]}) > few
    assert _ems({"columns": ["closed_form_Hz"], "rows": []}) < _ems(
        {"columns": ["closedformHz"], "rows": []}
    )
    assert _ems({"columns": ["x"], "rows": [["w" * 99]]}) == _ems(
        {"columns": ["x"], "rows": [["w" * 999]]}
    )


def test_a_figure_becomes_a_png(tiny):
    class Blank(tiny):
        def plot(self, tables, recordings):  # noqa: ARG002
            from matplotlib.figure import Figure

            return Figure(figsize=(1, 1))

    assert draw(Blank(), {}, {}).png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (1.23456789, "1.235"),
        (3, "3"),
        (np.nan, "–"),
        (None, "–"),
        ("nt1", "nt1"),
        (True, "yes"),
        (np.float64(1e-12), "1e-12"),
        (44309.0, "44 309"),
        (123642856.0, "123 642 856"),
        (3e12, "3e12"),
        (44309.5, "44 310"),
    ],
)
def test_cells_are_short(value, cell):
    assert show(pd.DataFrame({"x": pd.Series([value], dtype=object)}))["rows"] == [[cell]]


def test_long_tables_are_cut_and_say_so():
    shown = show(pd.DataFrame({"x": range(17)}), 5)
    assert (len(shown["rows"]), shown["hidden"]) == (5, 12)


def test_paragraphs_lose_their_line_breaks():
    assert paragraphs("a\n  b\n\n\n c ") == ["a b", "c"]


def test_settings_of_inner_models_are_described(tiny):
    rows = {
        row["name"]: row
        for row in describe(tiny(current=np.linspace(0, 1, 9) * nA, neuron=GainLIF()))
    }
    assert rows["current"]["value"] == "0 to 1 nA, 9 values"
    k_on = rows["neuron.receptors.generic.k_on"]
    assert k_on["source"].startswith("chosen here")
    assert (k_on["value"], k_on["range"]) == ("1/(µM s)", "above 0/(µM s)")
    assert rows["neuron.receptors.generic.k_off"]["value"] == "1/s"
    assert rows["mode"]["range"] == "plain or fancy"
    assert rows["weights"]["value"] == "1.5 and 2.5"
