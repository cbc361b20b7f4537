"""Whatever the layout of a file, what was done to the cell in it is found, or the file refused.

The cell fires at 0.25 (g I - 60) Hz for I in pA, g being 1 in control and 1.4 under the drug.
"""

import itertools
import runpy
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

import neuromod

SAMPLING = 2000.0
GAINS = {"control": 1.0, "drug": 1.4}
CURRENTS = [0, 50, 100, 150, 200, 250, 300, 350, 400]
REPEATS = 2
BEFORE, LENGTH, AFTER = 0.2, 1.0, 0.3


def rate(current, gain):
    return np.maximum(0.0, 0.25 * (gain * np.asarray(current) - 60))


def command(current, before=BEFORE):
    """In ampere."""
    parts = (before, 0), (LENGTH, current), (AFTER, 0)
    return np.concatenate([np.full(round(t * SAMPLING), level * 1e-12) for t, level in parts])


def potential(hertz, before=BEFORE):
    """In volt."""
    trace = np.full(len(command(0, before)), -68.0e-3)
    if hertz:
        spikes = before + np.arange(0.5 / hertz, LENGTH, 1 / hertz)
        trace[np.round(spikes * SAMPLING).astype(int)] = 25e-3
    return trace


class Nwb:
    """A file of all steps; what is given changes series by the number of their sweep."""

    def __init__(self):
        self.file = NWBFile("steps", "cell", datetime(2024, 3, 1, tzinfo=UTC))
        self.device = self.file.create_device("amplifier")
        self.numbers = itertools.count()

    def electrode(self, name, **more):
        return self.file.create_icephys_electrode(
            name=name, description="whole cell", device=self.device, **more
        )

    def add(self, electrode, condition, data, trace, **changes):
        number = next(self.numbers)
        common = {"electrode": electrode, "gain": 1.0, "sweep_number": np.uint64(number)}
        common |= {"description": condition}
        response = {"data": trace, "rate": SAMPLING} | changes.get("response", {})
        stimulus = {"data": data, "rate": SAMPLING} | changes.get("stimulus", {})
        for told in (response, stimulus):
            if "timestamps" in told:
                told.pop("rate")
        name = changes.get("name", number)
        self.file.add_acquisition(
            CurrentClampSeries(name=f"response {name}", **(common | response))
        )
        driven = CurrentClampStimulusSeries(name=f"stimulus {name}", **(common | stimulus))
        if changes.get("template"):
            self.file.add_stimulus_template(driven)
        else:
            self.file.add_stimulus(driven)

    def steps(self, electrode, gains=GAINS, change=None):
        for (condition, gain), pa, _ in itertools.product(gains.items(), CURRENTS, range(REPEATS)):
            data, trace = command(pa), potential(float(rate(pa, gain)))
            changes = {}
            if change is not None:
                data, trace, changes = change(pa, gain, data, trace)
            self.add(electrode, condition, data, trace, **changes)


def at_other_time(pa, gain, _data, _trace):
    """The stimulus starts half a second after the response."""
    trace = potential(float(rate(pa, gain)), BEFORE + 0.5)
    late = {"stimulus": {"starting_time": 7.5}, "response": {"starting_time": 7.0}}
    return command(pa), trace, late


def stopped(pa, gain, data, trace):
    """Zeros from 0.6 s into the step on, in the sweeps of one current."""
    if pa == 300:
        trace[round((BEFORE + 0.6) * SAMPLING) :] = 0 if gain == 1 else np.nan
    return data, trace, {}


def pulsed(_pa, _gain, data, trace):
    """A test pulse before the step."""
    data[100:160] -= 20e-12
    return data, trace, {}


def from_the_start(pa, gain, _data, _trace):
    return command(pa, 0.0), potential(float(rate(pa, gain)), 0.0), {}


def noisy(pa, _gain, data, trace):
    """The command as it was recorded."""
    draw = np.random.default_rng(round(pa))
    return data + 1.5e-12 * draw.standard_normal(len(data)), trace, {}


def in_millivolt(_pa, _gain, data, trace):
    factor = {"conversion": 1e-12}
    return data * 1e12, trace * 1e3, {"response": {"conversion": 1e-3}, "stimulus": factor}


def held(_pa, _gain, data, trace):
    return data - 35e-12, trace, {}


def by_timestamps(_pa, _gain, data, trace):
    times = {"timestamps": 3.0 + np.arange(len(data)) / SAMPLING}
    return data, trace, {"response": times, "stimulus": times}


RARER = (at_other_time, stopped, from_the_start, in_millivolt)
CHANGES = [
    *(None, pulsed, noisy, held, by_timestamps),
    *(pytest.param(change, marks=pytest.mark.thorough) for change in RARER),
]


@pytest.fixture
def verdicts(tmp_path):
    """Verdicts on a file in the making, on files, or on a table."""

    def through_protocol(given, **settings):
        if isinstance(given, Nwb):
            path = tmp_path / "cell.nwb"
            with NWBHDF5IO(str(path), "w") as io:
                io.write(given.file)
            given = path
        run = neuromod.run("gain-identification", data=str(given), **settings)
        return run.tables["verdicts"]

    return through_protocol


def assert_gain(found, cells):
    """Every cell's input was multiplied by 1.4."""
    told = found[found.cell != "population"]
    assert sorted(told.cell) == sorted(cells)
    assert set(told.verdict) == {"input gain"}, found
    assert told.estimate.to_numpy() == pytest.approx(1.4, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES, ids=lambda c: getattr(c, "__name__", "plain"))
def test_the_verdict_is_the_true_one_in_every_layout(verdicts, change):
    made = Nwb()
    made.steps(made.electrode("patch"), change=change)
    assert_gain(verdicts(made), ["cell"])


@pytest.mark.slow
def test_two_cells_that_share_sweep_numbers_are_two_verdicts(verdicts):
    made = Nwb()
    made.steps(made.electrode("one"))
    # The second is driven by the same steps in the opposite order.
    opposite, names = dict(zip(CURRENTS, reversed(CURRENTS), strict=True)), itertools.count()

    def other(pa, gain, _data, _trace):
        pa = opposite[pa]
        return command(pa), potential(float(rate(pa, gain))), {"name": f"two {next(names)}"}

    made.numbers = itertools.count()
    made.steps(made.electrode("two"), change=other)
    assert_gain(verdicts(made), ["one", "two"])


OTHERS = {
    "a ramp": lambda n: np.linspace(0, 300e-12, n),
    "a sinusoid": lambda n: 150e-12 * np.sin(2 * np.pi * 8 * np.arange(n) / SAMPLING),
    "noise": lambda n: 100e-12 * np.random.default_rng(3).standard_normal(n),
    "short pulses": lambda n: np.where(np.arange(n) % 400 < 6, 900e-12, 0),
}


@pytest.mark.slow
def test_what_is_no_step_in_the_same_file_changes_nothing(verdicts):
    made = Nwb()
    patch = made.electrode("patch")
    made.steps(patch)
    for condition, wave in itertools.product(GAINS, OTHERS.values()):
        trace = potential(37.0)
        made.add(patch, condition, wave(len(trace)), trace)
    assert_gain(verdicts(made), ["cell"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stimulus": {"conversion": 1e12}}, "is it in pA, with a factor"),
        ({"response": {"conversion": 1e3}}, "is it in mV, with a factor"),
        ({"stimulus": {"starting_time": 90.0}}, "at other times than its stimulus"),
    ],
)
def test_files_in_impossible_units_and_times_are_refused(verdicts, changes, message):
    made = Nwb()
    made.steps(made.electrode("patch"), change=lambda _pa, _gain, d, t: (d, t, changes))
    with pytest.raises(neuromod.UserError, match=message):
        verdicts(made)


def table(name="drug"):
    rows = itertools.product(GAINS.items(), CURRENTS, range(REPEATS))
    return pd.DataFrame(
        [
            {"condition": name if c == "drug" else c, "current (pA)": pa, "rate (Hz)": rate(pa, g)}
            for (c, g), pa, _ in rows
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "write",
    [
        lambda t, p: t.to_csv(p / "cell.csv", index=False, sep=";", decimal=","),
        lambda t, p: t.to_csv(p / "cell.tsv", index=False, sep="\t", encoding="utf-16"),
        lambda t, p: t.to_excel(p / "cell.xlsx", index=False),
        lambda t, p: t.rename(columns={"current (pA)": "Current_pA"}).to_csv(p / "cell.txt"),
        lambda t, p: (
            t.assign(**{"current (pA)": t["current (pA)"] / 1e6})
            .rename(columns={"current (pA)": "current [\u03bcA]"})
            .to_csv(p / "cell.csv", index=False)
        ),
    ],
    ids=["semicolons", "UTF-16", "Excel", "other columns", "Greek micro"],
)
def test_tables_of_every_kind_give_the_true_verdict(verdicts, tmp_path, write):
    write(table("NA"), tmp_path)
    found = verdicts(tmp_path)
    assert set(found.condition) == {"NA"}
    assert_gain(found, ["cell"])


@pytest.mark.slow
def test_axon_files_are_the_conditions_of_the_cell_that_their_folder_names(verdicts, tmp_path):
    axon = runpy.run_path(str(Path(__file__).with_name("test_axon.py")))
    folder = tmp_path / "mouse 5"
    folder.mkdir()
    levels = [*axon["CURRENTS"]] * 2
    for condition, gain in GAINS.items():
        voltage = ("IN 0", "mV", [axon["potential"](pa, gain) for pa in levels])
        current = ("IN 1", "pA", [axon["command"](pa) for pa in levels])
        channels, idle = [voltage, current], {"nWaveformEnable": 0}
        axon["abf2"](folder / f"{condition}.abf", channels, output=idle)
    found = verdicts(folder)
    assert found.cell.tolist() == ["mouse 5"]
    assert found.verdict.tolist() == ["input gain"]
    # Spikes of half a second are counted.
    assert found.estimate[0] == pytest.approx(1.4, abs=0.05)


@pytest.mark.slow
def test_cells_of_one_table_and_of_one_file_each_are_verdicts_of_their_own(verdicts, tmp_path):
    cells = [table().assign(cell=name) for name in ("a", "b")]
    pd.concat(cells).to_csv(tmp_path / "cells.csv", index=False)
    found = verdicts(tmp_path / "cells.csv")
    assert_gain(found, ["a", "b"])
    told = found[found.cell == "population"].iloc[0]
    assert told.verdict == "input gain"
    assert told.low == pytest.approx(told.high)
