"""NWB files are what the standard says, so that others read them by the standard alone."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import h5py
import numpy as np
import pytest
from brian2 import ms, mV, nA, second, umolar
from brian2.units.allunits import pjoule

from neuromod.analysis.identification import INPUT, Curve, identify
from neuromod.devices.simulation import simulate
from neuromod.electrophysiology.files import Choice, read_curves
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Input, Population, Spikes, Trace
from neuromod.models.gain_lif import GainLIF
from neuromod.recording import Recording, Signal

pynwb = pytest.importorskip("pynwb")

DT = 0.13 * ms
STEPS = 40
RNG = np.random.default_rng(11)
V = RNG.normal(-61.7, 3, (2, STEPS)) * mV
INJECTED = RNG.normal(0.3, 0.1, (1, STEPS)) * nA
CONCENTRATION = RNG.uniform(0, 3, (3, STEPS)) * umolar
RECORDING = Recording(
    {
        "drug": Spikes("drug", 4, np.array([1, 3, 1]), np.array([2, 5, 7]) * DT),
        "control": Spikes("control", 2, np.array([0]), np.array([5]) * DT),
    },
    {
        "drug": {
            "v": Signal(np.array([3, 1]), V),
            "conc": Signal(np.array([2, 0, 3]), CONCENTRATION),
            "I_ext": Signal(np.array([1]), INJECTED),
            "gain": Signal(np.array([0]), RNG.uniform(1, 2, (1, 6)), 7 * DT),
        },
        "control": {"v": Signal(np.array([1]), V[:1] - 1 * mV)},
    },
    STEPS * DT,
    DT,
    {"device": "cython", "started": "2024-03-05T07:11:13+00:00"},
    {"drug": {"energy": np.array([1.3, 0.2, 7.1, 0.0]) * pjoule}},
)
SILENT = Recording(
    {"cells": Spikes("cells", 3, np.array([], dtype=int), [] * second)}, {}, STEPS * DT, DT
)
SHORT = Recording(
    {}, {"cells": {"gain": Signal(np.arange(7), np.arange(14.0).reshape(7, 2))}}, 2 * DT, DT
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.nwb"
    RECORDING.save(path)
    return path


@pytest.fixture
def file(path):
    """What a script that knows nothing of neuromod reads."""
    with pynwb.NWBHDF5IO(str(path), "r") as opened:
        yield opened.read()


def test_every_neuron_is_a_unit_with_its_population_and_index(file):
    units = file.units.to_dataframe()
    whose = list(zip(units.population, units["index"], strict=True))
    assert whose == [("drug", n) for n in range(4)] + [("control", n) for n in range(2)]
    assert [len(times) for times in units.spike_times] == [0, 2, 0, 1, 1, 0]
    np.testing.assert_allclose(units.spike_times[1], [2 * 0.13e-3, 7 * 0.13e-3], rtol=1e-12)
    for intervals in units.obs_intervals:
        np.testing.assert_allclose(intervals, [[0, 40 * 0.13e-3]], rtol=1e-12)
    assert file.units.resolution == pytest.approx(0.13e-3)


def test_a_membrane_s_potential_is_a_current_clamp_in_volts_on_an_electrode_of_its_own(file):
    series = file.acquisition["drug[1].v"]
    assert isinstance(series, pynwb.icephys.CurrentClampSeries)
    assert (series.unit, series.conversion, series.starting_time) == ("volts", 1.0, 0.0)
    np.testing.assert_array_equal(series.data[:], np.asarray(V)[1])
    assert series.rate == pytest.approx(1e3 / 0.13)
    assert (series.electrode.name, series.electrode.cell_id) == ("drug[1]", "drug[1]")
    assert set(file.icephys_electrodes) == {"drug[1]", "drug[3]", "control[1]"}


def test_a_variable_that_was_sampled_less_often_has_a_rate_of_its_own(file):
    series = file.acquisition["drug.gain"]
    assert series.rate == pytest.approx(1e3 / (7 * 0.13))
    assert series.data.shape == (6, 1)


def test_an_injected_current_is_a_stimulus_in_amperes(file):
    (series,) = file.stimulus.values()
    assert isinstance(series, pynwb.icephys.CurrentClampStimulusSeries)
    assert (series.name, series.unit) == ("drug[1].I_ext", "amperes")
    np.testing.assert_array_equal(series.data[:], np.asarray(INJECTED)[0])


def test_response_and_stimulus_of_an_electrode_are_joined_by_table_and_by_sweep_number(file):
    response, stimulus = file.acquisition["drug[1].v"], file.stimulus["drug[1].I_ext"]
    assert response.sweep_number == stimulus.sweep_number
    numbers = [s.sweep_number for s in file.acquisition.values() if hasattr(s, "sweep_number")]
    assert sorted(numbers) == [0, 1, 2]
    table = file.intracellular_recordings.to_dataframe()
    assert len(table) == 3
    joined = {
        row[("electrodes", "electrode")].name: (
            row[("responses", "response")].timeseries.name,
            row[("stimuli", "stimulus")].count,
        )
        for _, row in table.iterrows()
    }
    assert joined["drug[1]"] == ("drug[1].v", STEPS)
    # Nothing was injected that was recorded.
    assert joined["drug[3]"] == ("drug[3].v", None)


def test_a_simulated_f_i_experiment_is_read_and_identified_as_a_physiologist_s(tmp_path):
    """Steps of 1 s into neurons of two populations, which are the conditions."""
    # At none of them a potential stays between the spike level and the threshold.
    current = np.linspace(0.31, 1.1275, 16) * nA
    each = np.arange(len(current))
    on = Spikes("on", len(each), each, np.full(len(each), 100) * ms)
    cells, clamps = [], []
    for name, gain in (("control", 1.0), ("drug", 1.4)):
        cells.append(Population(name, GainLIF(receptors=()), len(each), {"trained_gain": gain}))
        step = Connection("on", name, "I_ext", i=each, j=each, weight=current, width=1 * second)
        clamps.append(Input(name, equations="I_ext : amp", sources=(on,), connections=(step,)))
    traces = [Trace(population.name, ("v", "I_ext"), each) for population in cells]
    experiment = Experiment(populations=cells, traces=traces, duration=1.2 * second, dt=0.1 * ms)
    recording = simulate(experiment.add(*clamps))
    recording.save(tmp_path / "steps.nwb")
    found = read_curves([tmp_path / "steps.nwb"], "control", -51 * mV, Choice(pooled=True)).rates
    assert found.condition.tolist() == ["control"] * len(each) + ["drug"] * len(each)
    np.testing.assert_allclose(found.current_nA, np.tile(current / nA, 2), rtol=1e-6)
    counts = [*recording.spikes["control"].counts(), *recording.spikes["drug"].counts()]
    # One may be on its way when a step ends.
    np.testing.assert_allclose(found.rate_Hz, counts, rtol=1e-3, atol=1)
    control, drug = (
        Curve(rows.current_nA.to_numpy(), rows.rate_Hz.to_numpy())
        for _, rows in found.groupby("condition")
    )
    verdict = identify(control, drug, 0.1)
    assert verdict.verdict == INPUT.name
    (fit,) = (fit for fit in verdict.fits if fit.hypothesis is INPUT)
    assert fit.value == pytest.approx(1.4, rel=0.02)


def test_other_variables_are_series_with_their_unit_and_a_column_for_every_neuron(file):
    series = file.acquisition["drug.conc"]
    assert type(series) is pynwb.TimeSeries
    # 1 mM is 1 mol/m^3.
    assert series.unit == "mmolar"
    np.testing.assert_array_equal(series.data[:], np.asarray(CONCENTRATION).T)
    assert "2, 0 and 3" in series.description


def test_totals_are_a_table_with_a_row_for_every_neuron(file):
    totals = file.analysis["drug totals"]
    np.testing.assert_allclose(totals["energy"][:], [1.3e-12, 0.2e-12, 7.1e-12, 0.0], rtol=1e-12)
    assert totals["energy"].description == "In joule."


def test_a_session_starts_when_the_simulation_did(file):
    assert file.session_start_time == datetime(2024, 3, 5, 7, 11, 13, tzinfo=UTC)


@pytest.mark.parametrize("started", [None, "yesterday", 3])
def test_or_when_it_is_saved(started, tmp_path):
    about = {} if started is None else {"started": started}
    Recording({}, {}, STEPS * DT, DT, about).save(tmp_path / "bare.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "bare.nwb"), "r") as opened:
        start = opened.read().session_start_time
    assert abs(datetime.now(UTC) - start) < timedelta(minutes=5)


def test_files_have_identifiers_of_their_own(tmp_path):
    found = set()
    for name in ("a.nwb", "b.nwb"):
        RECORDING.save(tmp_path / name)
        with h5py.File(tmp_path / name) as file:
            found.add(file["identifier"][()])
    assert len(found) == 2


def test_pynwb_s_own_validator_finds_nothing(path):
    with pynwb.NWBHDF5IO(str(path), "r") as opened:
        assert pynwb.validate(io=opened) == []


@pytest.mark.parametrize("recording", [RECORDING, SILENT, SHORT], ids=["full", "silent", "short"])
def test_nwb_inspector_finds_nothing_critical(recording, tmp_path):
    inspector = shutil.which("nwbinspector")
    if inspector is None:
        pytest.skip("NWB Inspector is not installed: pip install nwbinspector brings it.")
    recording.save(tmp_path / "run.nwb")
    command = [inspector, tmp_path / "run.nwb", "--json-file-path", tmp_path / "found.json"]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads((tmp_path / "found.json").read_text())["messages"]
    told = {message["check_function_name"]: message["importance"] for message in found}
    # No animal, so no species; nobody says who simulates where.
    assert set(told) <= {
        "check_subject_species_exists",
        "check_experimenter_exists",
        "check_institution",
        "check_single_row",
    }
    assert set(told.values()) <= {"BEST_PRACTICE_VIOLATION", "BEST_PRACTICE_SUGGESTION"}


def test_a_series_is_never_wider_than_long(tmp_path):
    SHORT.save(tmp_path / "short.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "short.nwb"), "r") as opened:
        shapes = [series.data.shape for series in opened.read().acquisition.values()]
    assert sorted(shapes) == [(2, 1), (2, 2), (2, 2), (2, 2)]


def test_a_supply_in_volts_is_no_membrane(tmp_path):
    signals = {"chip": {"vdd": Signal(np.array([0]), V[:1])}}
    Recording({}, signals, STEPS * DT, DT).save(tmp_path / "chip.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "chip.nwb"), "r") as opened:
        (series,) = opened.read().acquisition.values()
    assert (type(series), series.unit) == (pynwb.TimeSeries, "volts")


def traced(numbers, steps=STEPS, name="cells"):
    values = np.zeros((len(numbers), steps)) * mV
    return Recording({}, {name: {"v": Signal(np.array(numbers), values)}}, steps * DT, DT)


@pytest.mark.parametrize(
    ("recording", "what"),
    [
        (
            Recording(
                {"b": Spikes("b", 3, np.array([2, 0]), np.array([4, 4]) * DT)}, {}, STEPS * DT, DT
            ),
            "of spikes of b at one time, the lowest neuron must come first",
        ),
        (traced([1, 1]), "v of cells is there twice for some neuron"),
        (traced([1], steps=0), "v of cells has no samples"),
        (traced([1], name="a/b"), "cannot contain"),
    ],
)
def test_what_nwb_cannot_hold_is_named_with_what_can(recording, what, tmp_path):
    with pytest.raises(UserError, match=rf"NWB cannot hold .*{what}.*\.nix") as told:
        recording.save(tmp_path / "run.nwb")
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())
    recording.save(tmp_path / "run.nix")


def test_without_pynwb_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr("neuromod.recording.recording.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'brian2-neuromod\[recordings\]'"):
        RECORDING.save(tmp_path / "run.nwb")
    assert not list(tmp_path.iterdir())


def test_a_file_is_read_without_pynwb(path, python):
    ended = python(
        "import sys; sys.modules['pynwb'] = None; from neuromod.recording import Recording; "
        f"print(Recording.load({str(path)!r}).spikes['drug'].neurons)"
    )
    assert (ended.code, ended.out.strip()) == (0, "[1 3 1]"), ended.err


def test_a_nix_file_named_nwb_as_version_0_1_wrote_is_told(tmp_path):
    RECORDING.save(tmp_path / "run.nix")
    (tmp_path / "run.nix").rename(tmp_path / "run.nwb")
    with pytest.raises(UserError, match=r"is a NIX file.* call it run\.nix"):
        Recording.load(tmp_path / "run.nwb")


def test_somebody_elses_nwb_file_is_refused(tmp_path):
    theirs = pynwb.NWBFile("steps", "cell", datetime(2024, 3, 1, tzinfo=UTC))
    with pynwb.NWBHDF5IO(str(tmp_path / "theirs.nwb"), "w") as opened:
        opened.write(theirs)
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(tmp_path / "theirs.nwb")


@pytest.mark.parametrize("gone", ["acquisition/drug[3].v", "units/index", "analysis/drug totals"])
def test_a_file_that_lost_a_part_is_refused(gone, path):
    with h5py.File(path, "r+") as file:
        del file[gone]
    with pytest.raises(UserError, match="damaged, or no recording of neuromod"):
        Recording.load(path)
