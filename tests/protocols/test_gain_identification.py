"""Known modulation of simulated neurons is identified; so is that of a user's own recording."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from brian2 import Hz, linspace, mV, nA, second

import neuromod
from neuromod.analysis.identification import ADDITIVE, EFFECTS, INPUT, NONE, OUTPUT, SHIFT
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
    assert run.info["notes"] == {"data": str(cell), "data sha256": digest}
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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "missing.csv"}, "There is no file .*missing.csv"),
        ({"data": "cell.csv", "I": [0.3, 0.4] * nA}, "I would have no effect"),
        ({"data": "cell.csv", "tau_m": 17 * second}, "neuron would have no effect"),
        ({"control": "ACSF"}, "control would have no effect"),
        ({"spike_level": -10 * mV}, "spike_level would have no effect"),
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
