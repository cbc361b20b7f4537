"""NWB files of every layout give the sweeps that were recorded, or say why not."""

import itertools
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from brian2 import mV
from hypothesis import HealthCheck, given, settings, strategies as st
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.base import TimeSeriesReference, TimeSeriesReferenceVectorData
from pynwb.icephys import (
    CurrentClampSeries,
    CurrentClampStimulusSeries,
    IZeroClampSeries,
    VoltageClampSeries,
    VoltageClampStimulusSeries,
)

from neuromod.electrophysiology.nwb import read_sweeps
from neuromod.electrophysiology.sweeps import measure
from neuromod.errors import UserError

SAMPLING = 4000.0
GAINS = {"control": 1.0, "drug": 1.4}
CURRENTS = range(0, 401, 100)
ALL = list(itertools.product(GAINS, CURRENTS))
BEFORE, LENGTH, AFTER = 0.1, 0.5, 0.15


def rate(pa, condition):
    """The cell's true curve, hertz."""
    return max(0.0, 0.25 * (GAINS[condition] * pa - 60))


def command(pa, sampling=SAMPLING, before=BEFORE):
    """In ampere."""
    parts = (before, 0), (LENGTH, pa), (AFTER, 0)
    return np.concatenate([np.full(round(t * sampling), level * 1e-12) for t, level in parts])


def potential(pa, condition, sampling=SAMPLING, before=BEFORE):
    """In volt."""
    trace = np.full(len(command(pa, sampling, before)), -71.3e-3)
    hertz = rate(pa, condition) if condition else 0
    if hertz:
        times = before + np.arange(0.5 / hertz, LENGTH, 1 / hertz)
        trace[np.round(times * sampling).astype(int)] = 31.7e-3
    return trace


class Recording:
    """An NWB file in the making."""

    def __init__(self):
        self.file = NWBFile("steps", "cell", datetime(2024, 3, 1, tzinfo=UTC))
        self.device = self.file.create_device("amplifier")
        self.number = itertools.count()

    def electrode(self, name="pipette", **details):
        return self.file.create_icephys_electrode(
            name=name, description="whole cell", device=self.device, **details
        )

    def series(self, kind, electrode, pa, condition, **changes):
        """A response or stimulus of the test cell."""
        driving = kind is CurrentClampStimulusSeries
        data = command(pa) if driving else potential(pa, condition)
        name = f"{'stimulus' if driving else 'response'} {next(self.number)}"
        fields = {"name": name, "data": data, "electrode": electrode, "gain": 7.0}
        fields |= {} if "timestamps" in changes else {"rate": SAMPLING}
        return kind(**(fields | ({} if driving else {"description": condition}) | changes))

    def response(self, *what, **changes):
        return self.series(CurrentClampSeries, *what, **changes)

    def stimulus(self, *what, **changes):
        return self.series(CurrentClampStimulusSeries, *what, **changes)

    def numbered(self, electrode, response=None, stimulus=None, start=0):
        """Sweeps of all steps, joined by sweep_number."""
        for number, (condition, pa) in enumerate(ALL, start):
            what, same = (electrode, pa, condition), {"sweep_number": np.uint64(number)}
            self.file.add_acquisition(self.response(*what, **same, **(response or {})))
            self.file.add_stimulus(self.stimulus(*what, **same, **(stimulus or {})))

    def row(self, electrode, response, stimulus=None, **windows):
        return self.file.add_intracellular_recording(
            electrode=electrode, response=response, stimulus=stimulus, **windows
        )


@pytest.fixture
def recording():
    return Recording()


@pytest.fixture
def sweeps(tmp_path):
    """Sweeps of a recording, by way of a file."""

    def through_file(recording):
        path = tmp_path / "cell.nwb"
        with NWBHDF5IO(str(path), "w") as io:
            io.write(recording.file)
        return read_sweeps(path)

    return through_file


@pytest.fixture
def read(sweeps):
    return lambda recording: measure(sweeps(recording), "control", 0 * mV)


def assert_true(found, used=1, spikes=1):
    """Every current of both conditions is there with its rate, and nothing else."""
    rows = found[found.used]
    for condition, pa in ALL:
        same = rows[(rows.condition == condition) & np.isclose(rows.current_nA, pa / 1e3)]
        assert len(same) == used, found
        off = np.abs(same.rate_Hz - rate(pa, condition)) * same.step_s
        assert np.all(off <= spikes + 0.001), found
    assert len(rows) == used * len(ALL)


def test_sweeps_carry_electrode_cell_labels_stimulus_and_clock(recording, sweeps):
    pipette = recording.electrode(cell_id="cell 7")
    same = {"sweep_number": np.uint64(3), "starting_time": 12.5}
    what = pipette, 200, "control"
    recording.file.add_acquisition(recording.response(*what, **same, stimulus_description="NA"))
    recording.file.add_stimulus(recording.stimulus(*what, **same, description="long squares"))
    (sweep,) = sweeps(recording)
    assert (sweep.name, sweep.cell, sweep.electrode) == ("response 0", "cell 7", "pipette")
    assert (sweep.labels, sweep.stimulus) == (("control", "NA"), "long squares")
    assert (sweep.sampling, sweep.start, sweep.problem) == (SAMPLING, 12.5, "")
    assert np.allclose(sweep.command, command(200) * 1e9)
    assert np.allclose(sweep.potential, potential(200, "control") * 1e3)


def test_series_of_one_sweep_number_are_paired_by_electrode(recording, read):
    """The second cell gets its steps in the opposite order at the same numbers."""
    first, second = recording.electrode("first"), recording.electrode("second")
    recording.numbered(first)
    for number, (condition, pa) in enumerate(reversed(ALL)):
        same = {"sweep_number": np.uint64(number)}
        recording.file.add_stimulus(recording.stimulus(second, pa, condition, **same))
        recording.file.add_acquisition(recording.response(second, pa, condition, **same))
    found = read(recording)
    for electrode in ("first", "second"):
        assert_true(found[found.electrode == electrode])


def test_sweep_numbers_that_start_anew_are_told_apart_by_time_or_left_out(recording, read):
    pipette = recording.electrode()
    for start in (0.0, 100.0):
        at = {"starting_time": start}
        recording.numbered(pipette, at, at)
    found = read(recording)
    assert_true(found, used=2)
    recording = Recording()
    pipette = recording.electrode()
    recording.numbered(pipette)
    for copy in range(2):
        extra = recording.response(pipette, 300, "control", sweep_number=np.uint64(copy))
        recording.file.add_acquisition(extra)
    found = read(recording)
    twice = found[found.why.str.contains("those of several series")]
    assert not twice.used.any()
    assert len(twice) == 4
    assert found.used.sum() == 8


@pytest.mark.parametrize("delay", [0.5, -0.3])
@pytest.mark.parametrize("by", ["starting_time", "timestamps"])
def test_a_stimulus_that_starts_at_another_time_is_aligned(recording, read, by, delay):
    """The recorded response begins 0.5 s before its command, or 0.3 s after it."""
    pipette, early = recording.electrode(), BEFORE + max(delay, 0)
    for number, (condition, pa) in enumerate(ALL):
        data = command(pa)
        trace = potential(pa, condition, before=early)[max(-round(delay * SAMPLING), 0) :]
        times = 7.0 + delay + np.arange(len(data)) / SAMPLING
        at = {"starting_time": 7.0 + delay} if by == "starting_time" else {"timestamps": times}
        same = {"sweep_number": np.uint64(number)}
        begin = 7.0 if delay > 0 else 7.0 + delay - delay
        recording.file.add_acquisition(
            recording.response(pipette, pa, condition, data=trace, starting_time=begin, **same)
        )
        recording.file.add_stimulus(recording.stimulus(pipette, pa, condition, **at, **same))
    found = read(recording)
    assert_true(found)
    assert np.allclose(found.step_s, LENGTH if delay > 0 else LENGTH - 0.2)


def test_sweeps_whose_stimulus_lies_at_other_times_are_left_out(recording, read):
    recording.numbered(recording.electrode(), {"starting_time": 60.0})
    found = read(recording)
    assert set(found.why) == {"it lies at other times than its stimulus"}


@pytest.mark.parametrize("faster", [0.25, 2.5, 0.999])
def test_a_stimulus_sampled_otherwise_is_brought_onto_the_responses_clock(recording, read, faster):
    pipette = recording.electrode()
    for number, (condition, pa) in enumerate(ALL):
        what, same = (pipette, pa, condition), {"sweep_number": np.uint64(number)}
        other = {"rate": SAMPLING * faster, "data": command(pa, SAMPLING * faster)}
        recording.file.add_acquisition(recording.response(*what, **same))
        recording.file.add_stimulus(recording.stimulus(*what, **same, **other))
    assert_true(read(recording))


@pytest.mark.parametrize("fill", [0.0, np.nan, None])
def test_a_response_that_stops_within_the_step_counts_as_long_as_it_lasts(recording, read, fill):
    pipette, stop = recording.electrode(), round((BEFORE + 0.3) * SAMPLING)
    for number, (condition, pa) in enumerate(ALL):
        trace, same = potential(pa, condition), {"sweep_number": np.uint64(number)}
        if pa == 300:
            trace[stop:] = 0.0 if fill is None else fill
            trace = trace[:stop] if fill is None else trace
        what = pipette, pa, condition
        recording.file.add_acquisition(recording.response(*what, data=trace, **same))
        recording.file.add_stimulus(recording.stimulus(*what, **same))
    found = read(recording)
    assert_true(found)
    stopped = found[np.isclose(found.current_nA, 0.3)]
    assert set(stopped.step_s) == {0.3}
    assert set(stopped.why) == {"0.3 s of its step of 0.5 s were recorded and used"}


def long_series(recording, pipette, gap=0.0):
    """One response and one stimulus of all steps, and the window of each."""
    data = [(command(pa), potential(pa, condition)) for condition, pa in ALL]
    size = len(data[0][0])
    times = np.concatenate(
        [k * (size / SAMPLING + gap) + np.arange(size) / SAMPLING for k in range(len(ALL))]
    )
    at = {"timestamps": times} if gap else {}
    what = pipette, 0, ""
    waves, traces = (np.concatenate(parts) for parts in zip(*data, strict=True))
    stimulus = recording.stimulus(*what, data=waves, **at)
    response = recording.response(*what, data=traces, description="no description", **at)
    return response, stimulus, [(k * size, size) for k in range(len(ALL))]


def conditions(recording, rows, level="icephys_experimental_conditions", kind="steps"):
    """The tables above the recordings, with a column of conditions at one level."""
    file = recording.file
    table = getattr(file, f"get_{level}")()
    table.add_column("Condition", "what was in the bath")
    for condition, members in rows.items():
        named = {name: {} for name in ("simultaneous", "sequential", "repetitions", "conditions")}
        named[next(key for key in named if key in level)] = {"Condition": condition}
        simultaneous = [
            file.add_icephys_simultaneous_recording(recordings=[row], **named["simultaneous"])
            for row in members
        ]
        sequence = file.add_icephys_sequential_recording(
            simultaneous_recordings=simultaneous, stimulus_type=kind, **named["sequential"]
        )
        if level == "icephys_sequential_recordings":
            continue
        again = file.add_icephys_repetition(
            sequential_recordings=[sequence], **named["repetitions"]
        )
        if level == "icephys_experimental_conditions":
            file.add_icephys_experimental_condition(repetitions=[again], **named["conditions"])


@pytest.mark.parametrize("gap", [0.0, 2.3], ids=["unbroken", "gaps in the timestamps"])
def test_rows_name_windows_of_long_series(recording, read, gap):
    pipette = recording.electrode()
    response, stimulus, windows = long_series(recording, pipette, gap)
    rows = {name: [] for name in GAINS}
    for (condition, _), (start, count) in zip(ALL, windows, strict=True):
        row = recording.row(
            pipette,
            response,
            stimulus,
            response_start_index=start,
            response_index_count=count,
            stimulus_start_index=start,
            stimulus_index_count=count,
        )
        rows[condition].append(row)
    conditions(recording, rows)
    found = read(recording)
    assert_true(found)
    assert found.sweep.is_unique
    assert set(found.stimulus) == {"steps"}


def test_a_window_of_the_response_alone_bounds_its_long_stimulus(recording, read):
    pipette = recording.electrode()
    response, stimulus, windows = long_series(recording, pipette)
    rows = {name: [] for name in GAINS}
    for (condition, _), (start, count) in zip(ALL, windows, strict=True):
        window = {"response_start_index": start, "response_index_count": count}
        rows[condition].append(recording.row(pipette, response, stimulus, **window))
    conditions(recording, rows)
    assert_true(read(recording))


@pytest.mark.parametrize(
    "level",
    [
        "icephys_simultaneous_recordings",
        "icephys_sequential_recordings",
        "icephys_repetitions",
        "icephys_experimental_conditions",
    ],
)
@pytest.mark.parametrize("named", ["drug", "NA", "None", "null"])
def test_conditions_stand_in_any_table_and_may_have_any_name(recording, read, level, named):
    pipette, rows = recording.electrode(), {"control": [], named: []}
    for condition, pa in ALL:
        pair = [make(pipette, pa, condition) for make in (recording.response, recording.stimulus)]
        rows[named if condition == "drug" else condition].append(recording.row(pipette, *pair))
    conditions(recording, rows, level)
    extra = recording.response(pipette, 400, "control"), recording.stimulus(pipette, 400, "")
    recording.row(pipette, *extra)
    found = read(recording)
    assert found.why.iloc[-1] == "names no condition"
    found["condition"] = found.condition.replace(named, "drug")
    assert_true(found)


def test_a_row_in_two_conditions_is_left_out(recording, read):
    pipette, rows = recording.electrode(), {name: [] for name in GAINS}
    for condition, pa in ALL:
        pair = [make(pipette, pa, condition) for make in (recording.response, recording.stimulus)]
        rows[condition].append(recording.row(pipette, *pair))
    rows["drug"].append(rows["control"][-1])
    conditions(recording, rows)
    found = read(recording)
    assert found.why[4] == "it is in several conditions, control and drug"
    assert found.used.sum() == 9


def test_conditions_may_be_doses_and_stand_in_the_recordings_themselves(recording, sweeps):
    pipette = recording.electrode()
    table = recording.file.get_intracellular_recordings()
    table.add_column("condition", "micromolar", data=[])
    for dose in (0.0, 2.5):
        pair = recording.response(pipette, 100, ""), recording.stimulus(pipette, 100, "")
        recording.row(pipette, *pair, condition=dose)
    assert [sweep.labels[0] for sweep in sweeps(recording)] == ["0", "2.5"]


def test_rows_that_repeat_or_contradict_each_other_do_not_count_twice(recording, read):
    pipette = recording.electrode()
    pairs = [
        [make(pipette, pa, condition) for make in (recording.response, recording.stimulus)]
        for condition, pa in ALL
    ]
    for pair in [*pairs, pairs[2]]:
        recording.row(pipette, *pair)
    found = read(recording)
    assert_true(found)
    assert found.why.iloc[-1] == "an earlier row of intracellular_recordings names it"
    recording.row(pipette, pairs[2][0], pairs[3][1])
    found = read(recording)
    assert found.why.str.contains("names? it with different stimuli").sum() == 3
    assert found.used.sum() == 9


def test_what_no_table_or_number_joins_is_left_out_and_said(recording, read):
    pipette = recording.electrode()
    for condition, pa in ALL:
        pair = [make(pipette, pa, condition) for make in (recording.response, recording.stimulus)]
        recording.row(pipette, *pair)
    recording.row(pipette, recording.response(pipette, 400, "control"))
    recording.file.add_acquisition(recording.response(pipette, 400, "control"))
    found = read(recording)
    assert_true(found)
    assert list(found.why[10:]) == [
        "no stimulus is named for it",
        "no row of intracellular_recordings names it",
    ]
    recording = Recording()
    pipette, other = recording.electrode(), recording.electrode("other")
    recording.numbered(pipette)
    for changes in ({}, {"sweep_number": np.uint64(77)}):
        recording.file.add_acquisition(recording.response(other, 400, "control", **changes))
    alone = recording.stimulus(other, 400, "control", sweep_number=np.uint64(78))
    recording.file.add_stimulus(alone)
    found = read(recording)
    assert_true(found)
    assert set(found.why[found.electrode == "other"]) == {
        "it has no sweep_number, and no table joins it to a stimulus",
        "no stimulus has its sweep_number and electrode",
        "no response has its sweep_number and electrode",
    }


def test_other_clamps_are_left_out_and_said(recording, read):
    pipette = recording.electrode()
    recording.numbered(pipette)
    same = {"electrode": pipette, "rate": SAMPLING, "sweep_number": np.uint64(99)}
    same |= {"description": "control"}
    volt = VoltageClampSeries(name="vc", data=np.zeros(900), **same)
    recording.file.add_acquisition(volt)
    recording.file.add_stimulus(VoltageClampStimulusSeries(name="vs", data=np.zeros(900), **same))
    idle = IZeroClampSeries(
        name="iz", data=np.zeros(900), gain=1.0, **(same | {"sweep_number": 98})
    )
    recording.file.add_acquisition(idle)
    found = read(recording).set_index("sweep")
    assert "no current clamp (VoltageClampSeries)" in found.why["vc"]
    assert "without a command" in found.why["iz"]
    assert_true(found)


def test_a_stimulus_of_another_electrode_is_not_taken(recording, sweeps):
    pipette, other = recording.electrode(), recording.electrode("other")
    response = recording.response(pipette, 100, "control")
    stimulus = recording.stimulus(other, 100, "control")
    table = recording.file.get_intracellular_recordings()
    recording.file.add_acquisition(response)
    recording.file.add_stimulus(stimulus)
    table.add_row(
        electrodes={"electrode": pipette},
        stimuli={"stimulus": TimeSeriesReference(0, 100, stimulus)},
        responses={"response": TimeSeriesReference(0, 100, response)},
    )
    assert [s.problem for s in sweeps(recording)] == [
        "its stimulus is that of another electrode, other"
    ]


@pytest.mark.parametrize("clock", ["of the sweeps", "of its own"])
def test_templates_are_shared_by_sweeps(recording, read, clock):
    pipette = recording.electrode()
    templates = {pa: recording.stimulus(pipette, pa, "") for pa in CURRENTS}
    for template in templates.values():
        recording.file.add_stimulus_template(template)
    table = recording.file.get_intracellular_recordings()
    table.category_tables["stimuli"].add_column(
        name="stimulus_template",
        description="what was commanded",
        data=[],
        col_cls=TimeSeriesReferenceVectorData,
    )
    for number, (condition, pa) in enumerate(ALL):
        start = 0.0 if clock == "of the sweeps" else 5.0 * number
        response = recording.response(pipette, pa, condition, starting_time=start)
        recording.row(pipette, response, stimulus_template=templates[pa])
    assert_true(read(recording))


@pytest.mark.parametrize("start", [0.0, 3.0])
def test_templates_are_found_by_sweep_number(recording, read, start):
    pipette = recording.electrode()
    for number, (condition, pa) in enumerate(ALL):
        what, same = (pipette, pa, condition), {"sweep_number": np.uint64(number)}
        at = {"starting_time": start * number}
        recording.file.add_acquisition(recording.response(*what, **same, **at))
        recording.file.add_stimulus_template(recording.stimulus(*what, **same))
    assert_true(read(recording))


def test_one_long_template_is_on_the_clock_of_the_windows_that_it_covers(recording, read):
    pipette, rows = recording.electrode(), {name: [] for name in GAINS}
    response, template, windows = long_series(recording, pipette)
    recording.file.add_stimulus_template(template)
    table = recording.file.get_intracellular_recordings().category_tables["stimuli"]
    table.add_column(
        "stimulus_template", "commanded", data=[], col_cls=TimeSeriesReferenceVectorData
    )
    for (condition, _), (start, count) in zip(ALL, windows, strict=True):
        window = {"response_start_index": start, "response_index_count": count}
        row = recording.row(pipette, response, stimulus_template=template, **window)
        rows[condition].append(row)
    conditions(recording, rows)
    assert_true(read(recording))


def test_a_template_whose_clock_is_in_doubt_is_not_guessed(recording, sweeps):
    pipette, same = recording.electrode(), {"sweep_number": np.uint64(0)}
    late = recording.response(pipette, 100, "control", starting_time=0.2, **same)
    recording.file.add_acquisition(late)
    recording.file.add_stimulus_template(recording.stimulus(pipette, 100, "", **same))
    assert [s.problem for s in sweeps(recording)] == [
        "it starts at another time than its stimulus template"
    ]


def test_a_processed_copy_of_a_response_is_not_a_second_one(recording, read):
    pipette = recording.electrode()
    recording.numbered(pipette)
    module = recording.file.create_processing_module("ecephys", "filtered")
    for number, (condition, pa) in enumerate(ALL):
        same = {"sweep_number": np.uint64(number)}
        module.add(recording.response(pipette, pa, condition, **same))
    assert_true(read(recording))


def test_times_that_go_back_or_scatter_are_refused(recording, sweeps):
    times = np.arange(len(command(0))) / SAMPLING
    back = times.copy()
    back[700:] -= 0.01
    scattered = np.sort(np.random.default_rng(2).uniform(0, times[-1], len(times)))
    pipette = recording.electrode()
    for number, wrong in enumerate((back, scattered)):
        what, same = (pipette, 200, "control"), {"sweep_number": np.uint64(number)}
        recording.file.add_acquisition(recording.response(*what, timestamps=wrong, **same))
        recording.file.add_stimulus(recording.stimulus(*what, **same))
    assert [s.problem for s in sweeps(recording)] == [
        "it has times that do not rise",
        "it is sampled at irregular times",
    ]


def test_a_gap_in_the_timestamps_is_no_time_recorded(recording, read):
    pipette, keep = recording.electrode(), np.r_[0:900, 1100 : len(command(0))]
    times = np.arange(len(command(0))) / SAMPLING
    for number, (condition, pa) in enumerate(ALL):
        what, same = (pipette, pa, condition), {"sweep_number": np.uint64(number)}
        part = {"data": potential(pa, condition)[keep], "timestamps": times[keep]}
        recording.file.add_acquisition(recording.response(*what, **part, **same))
        recording.file.add_stimulus(recording.stimulus(*what, **same))
    found = read(recording)
    assert_true(found, spikes=2)
    assert np.allclose(found.step_s, 0.45, atol=1e-3)


def test_conversion_and_offset_make_the_values_and_gain_does_not(recording, read):
    pipette = recording.electrode()
    for number, (condition, pa) in enumerate(ALL):
        what, same = (pipette, pa, condition), {"sweep_number": np.uint64(number)}
        volts = np.round((potential(pa, condition) + 0.05) / 3e-5).astype(np.int16)
        trace = {"data": volts, "conversion": 3e-5, "offset": -0.05}
        wave = {
            "data": (command(pa) * 1e12 + 9).astype(np.int16),
            "conversion": 1e-12,
            "offset": -9e-12,
        }
        recording.file.add_acquisition(recording.response(*what, **trace, **same))
        recording.file.add_stimulus(recording.stimulus(*what, **wave, **same))
    assert_true(read(recording))


@pytest.mark.parametrize(
    ("response", "stimulus", "reason"),
    [
        ({"conversion": 1e3}, {}, "is it in mV, with a factor for V"),
        ({"conversion": 1e-3}, {}, "is it in V, with a factor for mV"),
        ({}, {"conversion": 1e12}, "is it in pA, with a factor for A"),
        ({}, {"conversion": 1e-3}, "is it in nA, with a factor for pA"),
    ],
)
def test_other_units_than_the_file_says_are_refused(recording, read, response, stimulus, reason):
    recording.numbered(recording.electrode(), response, stimulus)
    found = read(recording)
    assert not found.used.any()
    assert found.why.str.contains(reason).any()


def test_files_without_recordings_or_pynwb_or_whole_are_refused(
    recording, sweeps, tmp_path, monkeypatch
):
    recording.file.add_acquisition(TimeSeries(name="light", data=[1.0, 2.0], unit="W", rate=1.0))
    with pytest.raises(UserError, match=r"cell\.nwb holds no CurrentClampSeries with"):
        sweeps(recording)
    path = tmp_path / "cell.nwb"
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"no HDF5 at all"):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"cell\.nwb cannot be read as an NWB file"):
            read_sweeps(path)
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(UserError, match=r"pip install 'brian2-neuromod\[recordings\]'"):
        read_sweeps(path)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sampling=st.floats(1500, 9000),
    ratio=st.floats(0.3, 3),
    start=st.floats(-5, 1e5),
    delay=st.floats(-0.09, 0.09),
    conversion=st.sampled_from([1.0, 1e-3, 2.7e-12]),
    offset=st.sampled_from([0.0, 0.02]),
    timed=st.booleans(),
    hidden=st.integers(0, 500),
)
def test_a_generated_file_is_read_to_its_true_curve(
    read, sampling, ratio, start, delay, conversion, offset, timed, hidden
):
    """Whatever its rates, starting times, factors, offsets, windows and ways to say times."""
    recording = Recording()
    pipette = recording.electrode()
    for condition, pa in ALL:
        fast = sampling * ratio
        wave = command(pa, fast, BEFORE - delay)
        trace = (potential(pa, condition, sampling) - offset) / conversion
        trace = np.r_[np.full(hidden, 0.03 / conversion), trace]
        at = {"starting_time": start - hidden / sampling, "rate": sampling}
        if timed:
            at = {"timestamps": start + (np.arange(len(trace)) - hidden) / sampling}
        scale = {"conversion": conversion, "offset": offset}
        response = recording.response(pipette, pa, condition, data=trace, **scale, **at)
        drive = {"data": wave * 1e12, "conversion": 1e-12, "rate": fast}
        stimulus = recording.stimulus(pipette, pa, condition, **drive, starting_time=start + delay)
        recording.row(
            pipette,
            response,
            stimulus,
            response_start_index=hidden,
            response_index_count=len(trace) - hidden,
        )
    assert_true(read(recording))
