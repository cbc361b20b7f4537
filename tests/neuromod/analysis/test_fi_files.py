"""f-I curves are read from tables and current-clamp recordings, or refused in one sentence."""

import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from brian2 import mV
from pynwb import NWBHDF5IO, NWBFile
from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

from neuromod.analysis.fi_files import read_curves
from neuromod.errors import UserError

SAMPLING = 5000.0
BEFORE, STEP, AFTER = 0.11, 0.5, 0.07
LEVELS_PA = [0, 70, 130, 190, 260]
SPIKES = {"control": [0, 0, 3, 7, 12], "oxotremorine": [0, 2, 6, 11, 17]}


def table(**changes):
    columns = {
        "condition": ["control"] * 5 + ["5-HT"] * 5,
        "current_nA": [0.11, 0.23, 0.31, 0.47, 0.52] * 2,
        "rate_Hz": [0, 0, 3.1, 7.7, 12.9, 0, 4.3, 8.1, 13.3, 19.7],
    }
    columns |= changes
    return pd.DataFrame({name: values for name, values in columns.items() if values is not None})


@pytest.fixture
def read(tmp_path):
    """Curves of a table or of text, by way of a CSV file."""

    def through_file(content, control="control"):
        path = tmp_path / "cell.csv"
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        else:
            path.write_text(content)
        return read_curves(path, control, 0 * mV)

    return through_file


def command(level_pa, holding_pa=0.0):
    """A test pulse of 20 ms, then the step, in ampere."""
    samples = np.zeros(round((BEFORE + STEP + AFTER) * SAMPLING))
    samples[100:200] = -20e-12
    start = round(BEFORE * SAMPLING)
    samples[start : start + round(STEP * SAMPLING)] = level_pa * 1e-12
    return samples + holding_pa * 1e-12


def potential(spikes):
    """Rest at -71 mV and triangular spikes up to 23 mV during the step, one after it; in mV."""
    trace = np.full(round((BEFORE + STEP + AFTER) * SAMPLING), -71.0)
    during = BEFORE + STEP * (np.arange(spikes) + 0.5) / max(spikes, 1)
    for time in [*during, BEFORE + STEP + 0.04]:
        at = round(time * SAMPLING)
        trace[at - 2 : at + 3] = [-40, -5, 23, -5, -60]
    return trace


@pytest.fixture
def nwb(tmp_path):
    """An NWB file of two conditions as pynwb writes it, joined and named in different ways."""

    def write(
        joined="tables", named="condition", level=LEVELS_PA, holding_pa=0.0, **stimulus_timing
    ):
        file = NWBFile("steps", "cell", datetime(2024, 3, 1, tzinfo=UTC))
        electrode = file.create_icephys_electrode(
            name="pipette", description="whole cell", device=file.create_device("amplifier")
        )
        common = {"electrode": electrode, "gain": 1.0}
        timing = stimulus_timing or {"rate": SAMPLING}
        rows = {condition: [] for condition in SPIKES}
        for condition, counts in SPIKES.items():
            for pa, spikes in zip(level, counts, strict=True):
                number = len(file.acquisition)
                words = {named: condition} if named != "condition" else {}
                sweep = {"sweep_number": np.uint64(number), **common}
                response = CurrentClampSeries(
                    name=f"response {number}",
                    data=potential(spikes),
                    conversion=1e-3,
                    rate=SAMPLING,
                    **words,
                    **sweep,
                )
                stimulus = CurrentClampStimulusSeries(
                    name=f"stimulus {number}", data=command(pa, holding_pa), **timing, **sweep
                )
                if joined == "tables":
                    row = file.add_intracellular_recording(
                        electrode=electrode, stimulus=stimulus, response=response
                    )
                    rows[condition].append(row)
                elif joined == "sweep_number":
                    file.add_acquisition(response)
                    file.add_stimulus(stimulus)
                else:
                    file.add_acquisition(response)
        if joined == "tables" and named == "condition":
            tabulate(file, rows)
        path = tmp_path / "cell.nwb"
        with NWBHDF5IO(str(path), "w") as io:
            io.write(file)
        return path

    return write


def tabulate(file, rows):
    """The levels of tables above the recordings, with a column condition at the top."""
    file.get_icephys_experimental_conditions().add_column("condition", "what was in the bath")
    for condition, recordings in rows.items():
        simultaneous = [
            file.add_icephys_simultaneous_recording(recordings=[row]) for row in recordings
        ]
        sequence = file.add_icephys_sequential_recording(
            simultaneous_recordings=simultaneous, stimulus_type="steps"
        )
        repetition = file.add_icephys_repetition(sequential_recordings=[sequence])
        file.add_icephys_experimental_condition(repetitions=[repetition], condition=condition)


def test_a_table_comes_back_as_it_is(read):
    found = read(table())
    assert list(found.columns) == ["condition", "current_nA", "trial", "rate_Hz"]
    assert found.rate_Hz.tolist() == table().rate_Hz.tolist()
    assert found.current_nA.tolist() == table().current_nA.tolist()
    assert set(found.trial) == {1}


@pytest.mark.parametrize(
    ("name", "factor"), [("current_pA", 1e3), ("current_uA", 1e-3), ("current_A", 1e-9)]
)
def test_currents_carry_their_unit_in_the_name(read, name, factor):
    currents = {"current_nA": None, name: table().current_nA * factor}
    assert read(table(**currents)).current_nA.tolist() == table().current_nA.tolist()


@pytest.mark.parametrize(("name", "factor"), [("duration_s", 1), ("duration_ms", 1e3)])
def test_rates_are_spikes_over_the_duration(read, name, factor):
    counts = {"rate_Hz": None, "spikes": range(10), name: 0.8 * factor}
    assert np.allclose(read(table(**counts)).rate_Hz, np.arange(10) / 0.8)


def test_trials_are_numbered_in_order_or_taken_from_the_table(read):
    twice = pd.concat([table(), table()])
    assert read(twice).trial.tolist() == [1] * 10 + [2] * 10
    assert read(table(trial="cell 7")).trial.tolist() == ["cell 7"] * 10


def test_conditions_may_be_concentrations(read):
    found = read(table(condition=[0] * 5 + [10] * 5), control="0")
    assert list(dict.fromkeys(found.condition)) == ["0", "10"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"condition": None}, "needs a column condition; it has current_nA, rate_Hz"),
        ({"current_nA": None}, "needs one column of currents with its unit"),
        ({"current_pA": 1.0}, "needs one column of currents .* current_nA, current_pA"),
        ({"current_nA": None, "current_mV": 1.0}, "current_mV must end in a unit of current"),
        ({"current_nA": None, "current": 1.0}, "current must end in a unit of current"),
        ({"rate_Hz": None}, "needs a column rate_Hz, or spikes with duration_s"),
        ({"rate_Hz": None, "spikes": 3}, "needs a column rate_Hz, or spikes with duration_s"),
        ({"rate_Hz": [1.0] * 9 + [None]}, "rate_Hz in row 10 is nan, not a finite number"),
        ({"rate_Hz": ["many"] * 10}, "rate_Hz in row 1 is many, not a finite number"),
        ({"rate_Hz": [1.0, -3.7] * 5}, "rate_Hz in row 2 is -3.7, below 0"),
        ({"current_nA": [0.1, 0.2, np.inf, 0.4, 0.5] * 2}, "current_nA in row 3 is inf"),
        ({"rate_Hz": None, "spikes": 2.5, "duration_s": 1}, "spikes in row 1 must be a whole"),
        ({"rate_Hz": None, "spikes": 2, "duration_s": 0}, "duration_s in row 1 must be above 0"),
        ({"condition": ["control"] * 9 + [None]}, "condition is missing in row 10"),
        ({"condition": "control"}, "holds one condition, 'control'"),
        ({"condition": ["Control"] * 5 + ["5-HT"] * 5}, "named 'control': did you mean|; there"),
        ({"current_nA": [0.1, 0.2, 0.3, 0.4, 0.4] * 2}, "4 different currents under '5-HT'"),
    ],
)
def test_malformed_tables_are_refused_in_one_sentence(read, changes, message):
    with pytest.raises(UserError, match=message):
        read(table(**changes))


@pytest.mark.parametrize("text", ["", 'a,b\n1,2,3\n4,5\n"', "\0\0\0"])
def test_what_is_no_table_is_refused(read, text):
    with pytest.raises(UserError, match=r"cell\.csv"):
        read(text)


def test_missing_files_and_other_formats_are_refused(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_curves(tmp_path / "no.csv", "control", 0 * mV)
    (tmp_path / "cell.abf").write_bytes(b"ABF2")
    with pytest.raises(UserError, match=r"must be a table \(\.csv\) or a current-clamp recording"):
        read_curves(tmp_path / "cell.abf", "control", 0 * mV)


@pytest.mark.parametrize(
    ("joined", "named"),
    [
        ("tables", "condition"),
        ("tables", "description"),
        ("sweep_number", "description"),
        ("sweep_number", "stimulus_description"),
    ],
)
def test_steps_and_rates_of_an_nwb_file_are_those_written(nwb, joined, named):
    found = read_curves(nwb(joined, named), "control", 0 * mV)
    for condition, counts in SPIKES.items():
        rows = found[found.condition == condition]
        assert np.allclose(rows.current_nA, np.array(LEVELS_PA) / 1000)
        # The spike after the step does not count; the test pulse is no step.
        assert np.allclose(rows.rate_Hz, np.array(counts) / STEP)


def test_a_step_is_counted_from_the_holding_current(nwb):
    found = read_curves(nwb(holding_pa=-37.0), "control", 0 * mV)
    assert np.allclose(found.current_nA[:5], np.array(LEVELS_PA) / 1000)


def test_the_level_of_a_spike_decides_what_is_one(nwb):
    path = nwb()
    assert read_curves(path, "control", 20 * mV).rate_Hz.sum() > 0
    assert read_curves(path, "control", 30 * mV).rate_Hz.sum() == 0


def test_recordings_without_stimuli_steps_or_conditions_are_refused(nwb):
    with pytest.raises(UserError, match="holds no CurrentClampSeries with"):
        read_curves(nwb(joined="nothing"), "control", 0 * mV)
    with pytest.raises(UserError, match="no current steps of at least 50 ms"):
        read_curves(nwb(level=[0] * 5), "control", 0 * mV)
    with pytest.raises(UserError, match=r"no condition 'ACSF' .* it has control, oxotremorine"):
        read_curves(nwb(), "ACSF", 0 * mV)


def test_sampling_is_read_from_timestamps_too_and_must_be_that_of_the_stimulus(nwb):
    times = np.arange(round((BEFORE + STEP + AFTER) * SAMPLING)) / SAMPLING
    found = read_curves(nwb(timestamps=times), "control", 0 * mV)
    assert np.allclose(found.rate_Hz[:5], np.array(SPIKES["control"]) / STEP)
    with pytest.raises(UserError, match="response 0 and its stimulus are sampled at different"):
        read_curves(nwb(rate=SAMPLING / 2), "control", 0 * mV)


def test_without_pynwb_the_message_says_how_to_get_it(nwb, monkeypatch):
    path = nwb()
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(UserError, match=r"pip install 'brian2-neuromod\[nwb\]'"):
        read_curves(path, "control", 0 * mV)


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_damaged_recordings_are_refused(nwb, damage):
    path = nwb()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no HDF5 at all")
    with pytest.raises(UserError, match="cannot be read as an NWB file"):
        read_curves(path, "control", 0 * mV)
