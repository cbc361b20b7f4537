"""Known modulation of simulated neurons is identified; so is that of a user's own recording."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from brian2 import Hz, linspace, mV, nA, second

import neuromod
from neuromod.analysis.identification import ADDITIVE, EFFECTS, INPUT, NONE, OUTPUT, SHIFT
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.protocols.gain_identification import GainIdentification
from neuromod.runs.run import load_run, render


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    protocol = GainIdentification(trials=3, input_gain=1.37, shift=0.173 * nA)
    return neuromod.run(protocol, out=tmp_path_factory.mktemp("simulated") / "run")


@pytest.fixture
def cell(tmp_path):
    """A table of a cell whose input gain and threshold two drugs change, and a third silences."""
    draw = np.random.default_rng(23)
    current = np.repeat(np.linspace(0.11, 1.33, 12), 4)
    neuron = GainLIF(receptors=())
    inputs = {
        "ACSF": current,
        "5-HT 10": 1.37 * current,
        "NE, 3 uM": current - 0.19,
        "GABA": 0.1 * current,
    }
    parts = [
        pd.DataFrame(
            {
                "condition": name,
                "current_pA": 1000 * current,
                "spikes": draw.poisson(neuron.rate(seen * nA) * 2.5 * second),
                "duration_s": 2.5,
            }
        )
        for name, seen in inputs.items()
    ]
    path = tmp_path / "cell.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


def test_every_modulation_of_the_simulated_neurons_is_named(run):
    verdicts = run.tables["verdicts"].set_index("condition").verdict
    assert verdicts.to_dict() == {h.name: h.name for h in (*EFFECTS, NONE)}


def test_what_was_done_lies_within_the_intervals(run):
    told = run.table.dropna(subset="truth").set_index("hypothesis")
    done = {INPUT.name: 1.37, OUTPUT.name: 0.6, ADDITIVE.name: 12, SHIFT.name: 0.173}
    assert told.truth.to_dict() == done
    assert (told.low < told.truth).all()
    assert (told.truth < told.high).all()


def test_the_closed_form_finds_the_same_within_the_intervals_width(run):
    told = run.table.dropna(subset="truth")
    assert (abs(told.lif_estimate - told.estimate) < told.high - told.low).all()


def test_simulated_rates_scatter_between_trials_around_the_closed_form(run):
    curves = run.tables["curves"]
    control = curves[(curves.condition == "control") & (curves.current_nA > 0.75)]
    exact = run.protocol.neuron.rate(control.current_nA.to_numpy() * nA) / Hz
    off = control.rate_Hz - exact
    # 1.2 mV are 0.03 nA, at a slope of some 75 Hz per nA; spikes are counted over a second.
    assert off.std() == pytest.approx(0.03 * 75, rel=0.35)
    assert abs(off.mean()) < 1.5


def test_at_its_small_size_every_condition_has_enough_rates_for_a_verdict():
    told = neuromod.run("gain-identification", **GainIdentification.small).tables["verdicts"]
    assert "why" not in told
    assert len(told) == len(EFFECTS) + 1
    assert told.weight.notna().all()


def test_conditions_made_from_spikes_have_the_mean_of_their_law(run):
    mean = run.tables["curves"].groupby(["condition", "current_nA"]).rate_Hz.mean().unstack(0)
    firing = mean[mean.control > 40]
    assert (firing[OUTPUT.name] / firing.control).mean() == pytest.approx(0.6, rel=0.05)
    assert (mean[ADDITIVE.name] - mean.control).mean() == pytest.approx(12, rel=0.15)


def test_the_report_says_what_was_found_and_what_no_single_neuron_does(run):
    verdicts, every, origin = run.protocol.report(run.tables)
    assert "input gain: input gain, 1.3" in verdicts.text
    assert "additive: additive, 1" in verdicts.text
    assert " Hz (95 % interval" in verdicts.text
    assert (
        "no modulation: no modulation. A gain of the input would lie between 0.9" in verdicts.text
    )
    assert "rheobase where it is" in every.text
    assert "A single LIF neuron neither adds to its output nor scales it" in origin.text


def test_verdicts_that_name_nothing_say_why(run):
    tables = run.tables | {"verdicts": run.tables["verdicts"].assign(verdict="other")}
    text = run.protocol.report(tables)[0].text
    assert "input gain: none of the hypotheses. Separate curves fit" in text
    tables["verdicts"] = run.tables["verdicts"].assign(verdict="undecided")
    text = run.protocol.report(tables)[0].text
    assert "undecided; possible: input gain. A wider range of currents" in text


def test_a_range_of_currents_far_above_rheobase_leaves_adding_and_shifting_undecided():
    narrow = GainIdentification(I=linspace(1.05, 1.25, 7) * nA, trials=3)
    verdicts = neuromod.run(narrow).tables["verdicts"].set_index("condition")
    assert verdicts.verdict[SHIFT.name] == "undecided"
    assert SHIFT.name in verdicts.candidates[SHIFT.name]
    assert ADDITIVE.name in verdicts.candidates[SHIFT.name]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Tables of four cells, one without the second drug, whose input gain one drug multiplies."""
    draw = np.random.default_rng(31)
    current = np.repeat(np.linspace(0.11, 1.33, 12), 3)
    neuron = GainLIF(receptors=())
    folder = tmp_path_factory.mktemp("cells")
    for number in range(4):
        size = np.exp(0.15 * draw.standard_normal())
        gains = {"ACSF": 1.0, "muscarine": 1.4, "wash": 1.0}
        parts = []
        for name, gain in gains.items():
            drifted = gain * np.exp(0.015 * draw.standard_normal())
            rate = neuron.rate(drifted * current / size * nA)
            counts = {"spikes": draw.poisson(rate * 3 * second), "duration (s)": 3}
            parts.append(pd.DataFrame({"Condition": name, "current (pA)": 1000 * current} | counts))
        table = pd.concat(parts[: 2 if number == 2 else 3])
        table.to_csv(folder / f"mouse {number}.csv", index=False, sep=";", decimal=",")
    (folder / "notes.pdf").write_text("%PDF")
    return folder


@pytest.fixture(scope="module")
def of_cells(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("of cells") / "run"
    return neuromod.run("gain-identification", out=folder, data=str(cells), control="ACSF")


def test_every_cell_has_its_verdict_and_the_population_one_over_cells(of_cells):
    verdicts = of_cells.tables["verdicts"]
    assert verdicts.cell.tolist()[:2] == ["population", "population"]
    assert set(verdicts.cell[2:]) == {f"mouse {n}" for n in range(4)}
    assert len(verdicts) == 2 + 7
    told = verdicts[verdicts.cell == "population"].set_index("condition")
    assert told.verdict["muscarine"] == INPUT.name
    assert told.low["muscarine"] < 1.4 < told.high["muscarine"]
    assert told.verdict["wash"] == NONE.name
    assert told.why.to_dict() == {"muscarine": "4 of 4 cells", "wash": "3 of 3 cells"}
    alone = verdicts[(verdicts.condition == "muscarine") & (verdicts.cell != "population")]
    mean = np.exp(np.log(alone.estimate).mean())
    assert told.estimate["muscarine"] == pytest.approx(mean)


def test_what_was_read_and_left_out_is_kept_and_told(of_cells, cells):
    read = of_cells.tables["read"]
    assert list(read.columns) == ["file", "cell", "condition", "used", "why"]
    assert read.why[0].startswith("36 rates of 0 to ")
    assert "semicolons, UTF-8, decimal comma; current (pA), duration (s), spikes" in read.why[0]
    left = of_cells.tables["left_out"]
    assert left.to_dict("records") == [{"rows": 1, "why": "is neither a table nor a recording"}]
    notes = of_cells.info["notes"]
    for path in cells.glob("*.csv"):
        assert notes[f"SHA-256 of {path}"] == hashlib.sha256(path.read_bytes()).hexdigest()
    titles = [section.title for section in of_cells.protocol.report(of_cells.tables)]
    assert titles[2:4] == ["What was read", "What was left out"]


def test_the_words_tell_the_population_first(of_cells):
    words = of_cells.protocol.report(of_cells.tables)[0].text
    first = words.split("\n\n")[1]
    assert first.startswith("muscarine, population (4 of 4 cells): input gain, 1.")
    assert "over cells" in first
    assert "wash, population (3 of 3 cells): no modulation. The mean gain of the input" in words
    assert "muscarine, mouse 2: " in words


def test_a_run_of_several_cells_is_drawn_again_from_its_folder(of_cells, tmp_path):
    folder = tmp_path / "again"
    neuromod.run(of_cells.protocol, out=folder)
    before = (folder / "report.html").read_text()
    assert render(folder).read_text() == before


def test_a_verdict_on_the_population_that_names_nothing_says_why(of_cells):
    tables = of_cells.tables | {"verdicts": of_cells.tables["verdicts"].assign(verdict="other")}
    text = of_cells.protocol.report(tables)[0].text
    assert "(4 of 4 cells): none of the hypotheses. In more than half of the cells" in text
    tables["verdicts"] = of_cells.tables["verdicts"].assign(verdict="undecided")
    text = of_cells.protocol.report(tables)[0].text
    assert "(4 of 4 cells): undecided; possible: input gain. More cells, or" in text


def test_one_cell_of_several_is_chosen_and_has_no_population(cells):
    chosen = neuromod.run(
        "gain-identification", data=str(cells), control="ACSF", cell="mouse 1"
    ).tables
    assert set(chosen["verdicts"].cell) == {"mouse 1"}
    assert set(chosen["left_out"].why) > {"another cell was chosen"}


def test_cells_are_one_where_they_are_pooled(cells):
    names = [cells / "mouse 0.csv", str(cells / "mouse 1.csv")]
    tables = neuromod.run("gain-identification", data=names, control="ACSF", pooled=True).tables
    assert tables["verdicts"].cell.tolist() == ["all cells"] * 2
    assert len(tables["curves"]) == 2 * 3 * 36


def test_a_comma_may_be_part_of_a_file_s_name(cell):
    path = cell.rename(cell.parent / "cell 3, slice 1.csv")
    run = neuromod.run("gain-identification", data=str(path), control="ACSF")
    assert set(run.tables["verdicts"].cell) == {"cell 3, slice 1"}


def test_data_are_a_path_a_list_of_paths_or_a_text_with_commas():
    listed = GainIdentification(data=[Path("a.csv"), "b.nwb"])
    assert listed.data == GainIdentification(data="a.csv,b.nwb").data
    assert GainIdentification(data=Path("a.csv")).data == "a.csv"
    # Nothing that was found must not become a simulation.
    with pytest.raises(UserError, match="data is an empty list: name files, or leave it out"):
        GainIdentification(data=[])
    with pytest.raises(UserError, match=r"cannot hold 'a,b\.csv' beside others"):
        GainIdentification(data=["a,b.csv", "c.csv"])


def test_no_cell_is_called_population(cell):
    pd.read_csv(cell).assign(cell="population").to_csv(cell, index=False)
    with pytest.raises(neuromod.UserError, match="No cell can be called 'population'"):
        neuromod.run("gain-identification", data=str(cell), control="ACSF")


def test_cells_too_poor_to_be_identified_do_not_enter(cells, tmp_path):
    for number in range(2):
        shutil.copy(cells / f"mouse {number}.csv", tmp_path)
    poor = pd.read_csv(cells / "mouse 3.csv", sep=";", decimal=",")
    poor[poor["current (pA)"] < 500].to_csv(tmp_path / "poor.csv", index=False)
    tables = neuromod.run("gain-identification", data=str(tmp_path), control="ACSF").tables
    told = tables["verdicts"].set_index(["cell", "condition"])
    why = told.why["population", "muscarine"]
    assert why == "2 of 3 cells; too little data of poor"
    assert "different currents" in told.why["poor", "muscarine"]


def test_a_table_of_the_users_own_is_identified(cell):
    run = neuromod.run("gain-identification", data=str(cell), control="ACSF")
    verdicts = run.tables["verdicts"].set_index("condition")
    found = {"5-HT 10": INPUT.name, "NE, 3 uM": SHIFT.name, "GABA": "undecided"}
    assert verdicts.verdict.to_dict() == found
    assert verdicts.low["5-HT 10"] < 1.37 < verdicts.high["5-HT 10"]
    assert verdicts.low["NE, 3 uM"] < 0.19 < verdicts.high["NE, 3 uM"]
    assert "0 of which make the neuron fire" in verdicts.why["GABA"]
    assert not run.recordings
    assert "truth" not in run.table


def test_a_run_from_a_file_is_rendered_again_without_it_and_says_what_it_read(cell, tmp_path):
    folder = tmp_path / "run"
    run = neuromod.run("gain-identification", data=str(cell), control="ACSF", out=folder)
    digest = hashlib.sha256(cell.read_bytes()).hexdigest()
    assert run.info["notes"] == {f"SHA-256 of {cell}": digest}
    cell.unlink()
    before = (folder / "report.html").read_text()
    assert render(folder).read_text() == before
    pd.testing.assert_frame_equal(load_run(folder).table, run.table, check_exact=False)
    assert "5-HT 10: input gain, 1." in before
    assert "GABA: undecided. The modulated condition has 12 different currents" in before


def test_concentrations_as_conditions_survive_the_way_through_the_folder(cell, tmp_path):
    table = pd.read_csv(cell)
    named = {"ACSF": "0", "5-HT 10": "10", "NE, 3 uM": "30"}
    table.assign(condition=table.condition.map(named)).dropna().to_csv(cell, index=False)
    neuromod.run("gain-identification", data=str(cell), control="0", out=tmp_path / "run")
    assert "10: input gain" in render(tmp_path / "run").read_text()


def test_the_command_line_identifies_a_table(neuromod, cell, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    settings = ("--set", f"data={cell}", "--set", "control=ACSF")
    ended = neuromod("run", "gain-identification", *settings, "--out", "here")
    assert (ended.code, ended.err) == (0, "")
    assert "threshold shift" in ended.out
    assert "48 rates of 0 to " in ended.out
    assert "commas, UTF-8, decimal point; current_pA, duration_s, spikes" in ended.out


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "1e3", "0.10"])
def test_any_word_names_a_condition_through_folder_and_page(cell, tmp_path, name):
    table = pd.read_csv(cell)
    # With a number for the other one, all could be numbers.
    named = {"ACSF": name, "5-HT 10": "10"}
    table.assign(condition=table.condition.map(named)).dropna().to_csv(cell, index=False)
    neuromod.run("gain-identification", data=str(cell), control=name, out=tmp_path / "run")
    before = (tmp_path / "run" / "figure.png").read_bytes()
    render(tmp_path / "run")
    assert (tmp_path / "run" / "figure.png").read_bytes() == before


def test_a_run_of_version_0_1_is_drawn_without_cells(run, tmp_path):
    tables = {
        name: table.drop(columns="truth", errors="ignore") for name, table in run.tables.items()
    }
    old = GainIdentification(data="cell.csv")
    assert "What was read" not in [section.title for section in old.report(tables)]
    assert "input gain: input gain, 1." in old.report(tables)[0].text
    old.plot(tables, {}).savefig(tmp_path / "figure.png")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "missing.csv"}, "There is no file .*missing.csv"),
        ({"data": "cell.csv", "I": [0.3, 0.4] * nA}, "I would have no effect"),
        ({"data": "cell.csv", "tau_m": 17 * second}, "neuron would have no effect"),
        ({"control": "ACSF"}, "control would have no effect"),
        ({"spike_level": -10 * mV}, "spike_level would have no effect"),
        ({"pooled": True}, "pooled would have no effect"),
        ({"cell": "c1"}, "cell would have no effect"),
        ({"data": "x" * 5000}, r"^'/.*\.\.\.x{39}' cannot be used: File name too long\.$"),
        ({"data": ",".join(["missing.csv"] * 500)}, "There is no file .*missing.csv"),
        ({"data": " , "}, "No file was given"),
        ({"I": [0.3, 0.4, 0.3] * nA}, "different currents"),
        ({"I": [0.3, 0.4] * nA}, "different currents"),
        ({"I": linspace(0.1, 0.4, 9) * nA}, "fire"),
        ({"receptors": "D1"}, "receptors would have no effect here"),
        ({"output_gain": 1.3}, "output_gain = 1.3 is out of range"),
        ({"margin": 0.0}, "margin = 0 is out of range"),
    ],
)
def test_impossible_settings_are_refused(settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(neuromod.UserError, match=message):
        neuromod.run("gain-identification", **settings)


def test_a_control_that_no_file_names_is_refused(cell):
    protocol = GainIdentification(data=str(cell), control="Ringer")
    with pytest.raises(neuromod.UserError, match="There is no control condition named 'Ringer'"):
        neuromod.run(protocol)
