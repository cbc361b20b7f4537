import re

import numpy as np
import pandas as pd
import pytest
from brian2 import nA

from neuromod.models import GainLIF
from neuromod.protocol import Section
from neuromod.runs.report import describe, draw, page, paragraphs, show

INFO = {
    "protocol": "tiny",
    "device": "cython",
    "seed": 1,
    "started": "2022-01-01T00:00:00+00:00",
    "versions": {"brian2-neuromod": "0"},
    "wall_s": {"measuring": 0.123},
    "notes": {"cache": "<cold>"},
    "platform": "somewhere",
    "cores": 2,
}


def test_a_page_is_self_contained_and_escaped(tiny):
    table = pd.DataFrame({"name": ["<script>"], "x": [1.23456789]})
    sections = [Section("Found", "First.\n\nSecond\nline.", "table"), Section("Bare", "Text.")]
    text = page(tiny(), INFO, {"table": table}, sections, b"PNG")
    assert "<script>" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    for shown in (
        "Spikes of neurons driven",
        "<p>Second line.</p>",
        "1.235",
        "neuron.tau_m",
        "membrane time constant",
        "&lt;cold&gt;",
    ):
        assert shown in " ".join(text.split()), shown


def test_a_figure_becomes_a_png(tiny):
    class Blank(tiny):
        def plot(self, tables, recordings):  # noqa: ARG002
            from matplotlib.figure import Figure

            return Figure(figsize=(1, 1))

    assert draw(Blank(), {}, {}).startswith(b"\x89PNG")


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
