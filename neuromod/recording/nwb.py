"""Recordings in NWB files: spikes as units, potentials and injected currents as current clamp.

pynwb writes them, for all who know the standard. What it has no place for, such as the exact time
step, dimensions and provenance, stands in ``scratch/neuromod``, with the names of all series; by
that a file is read back to the bit, and without pynwb, which takes fifty times as long.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
from brian2 import Quantity, amp, get_dimensions, second, volt
from brian2.units.fundamentalunits import get_or_create_dimension

from neuromod.errors import UserError, listed
from neuromod.experiment import Spikes
from neuromod.parameters import unit_of
from neuromod.recording.recording import UNREADABLE, Recording, Signal, by_neuron

HEADER = "scratch/neuromod"
# What an electrode records and injects; a chip's supply is a potential, but of no membrane.
RESPONSE, STIMULUS = "response", "stimulus"
CLAMPED = {("v", volt.dim): RESPONSE, ("I_ext", amp.dim): STIMULUS}
# In NWB's words.
NAMED = {volt.dim: "volts", amp.dim: "amperes"}
# Of a file, a series, a neuron and a spike, at most.
FILE_BYTES, SERIES_BYTES, UNIT_BYTES, TIME_BYTES = 1_000_000, 20_000, 200, 8


def write(recording: Recording, path: Path) -> None:
    """Write an NWB file of that name, whatever it ends in.

    Raises
    ------
    UserError
        When the standard has no place for something in the recording.
    """
    from pynwb import NWBHDF5IO

    try:
        _check(recording)
        with _quiet():
            made = _file(recording)
            with _hdf5(path, "w") as file, NWBHDF5IO(file=file, mode="w") as io:
                io.write(made)
    except UserError:
        raise
    except (ValueError, TypeError) as error:
        raise UserError(
            f"NWB cannot hold this recording ({error}): give a name that ends in .nix, for a NIX "
            "file, which can."
        ) from error


def read(path: Path) -> Recording:
    """Recording in an NWB file.

    Raises
    ------
    UserError
        When the file is damaged or somebody else's.
    """
    try:
        with _hdf5(path, "r") as file:
            if file.attrs.get("format") != "nix":
                return _recording(file)
    except UNREADABLE as error:
        raise UserError(f"{path} is damaged, or no recording of neuromod.") from error
    right = path.with_suffix(".nix").name
    raise UserError(f"{path} is a NIX file, as version 0.1 wrote by any name: call it {right}.")


def most_bytes(recording: Recording) -> int:
    """Bytes that an NWB file of a recording takes, at most."""
    total = FILE_BYTES
    for spikes in recording.spikes.values():
        total += TIME_BYTES * len(spikes.times) + UNIT_BYTES * spikes.size
    for signals in recording.signals.values():
        for signal in signals.values():
            total += signal.values.nbytes + SERIES_BYTES * (len(signal.neurons) + 1)
    for totals in recording.totals.values():
        for values in totals.values():
            total += UNIT_BYTES * np.size(values) + SERIES_BYTES
    return total


def _check(recording: Recording) -> None:
    for name, spikes in recording.spikes.items():
        if np.any(np.diff(np.lexsort((spikes.neurons, spikes.times))) < 0):
            raise ValueError(f"of spikes of {name} at one time, the lowest neuron must come first")
    for population, signals in recording.signals.items():
        for variable, signal in signals.items():
            if len(np.unique(signal.neurons)) < len(signal.neurons):
                raise ValueError(f"{variable} of {population} is there twice for some neuron")
            if len(signal.neurons) and not np.size(signal.values):
                raise ValueError(f"{variable} of {population} has no samples")


def _file(recording: Recording) -> Any:
    from pynwb import NWBFile
    from pynwb.file import Subject

    file = NWBFile(
        session_description="A simulation by neuromod.",
        identifier=str(uuid4()),
        session_start_time=_start(recording),
        experiment_description="Simulated neurons: their spikes and what was traced of them.",
        keywords=["simulation"],
        # NWB Inspector asks for an age and a sex.
        subject=Subject(
            subject_id="simulation", description="No animal: a simulation.", age="P0D/", sex="U"
        ),
    )
    if any(len(spikes.neurons) for spikes in recording.spikes.values()):
        file.units = _units(recording)
    signals = _add_signals(file, recording)
    totals = _add_totals(file, recording)
    sizes = {name: int(spikes.size) for name, spikes in recording.spikes.items()}
    header = recording.described(populations=sizes, signals=signals, totals=totals)
    file.add_scratch(header, name="neuromod", description="What neuromod reads this file by, JSON.")
    return file


def _start(recording: Recording) -> datetime:
    """When the simulation started, or else when it is written."""
    with suppress(LookupError, ValueError, TypeError):
        return datetime.fromisoformat(recording.provenance["started"]).astimezone()
    return datetime.now(UTC)


def _units(recording: Recording) -> Any:
    """Table of units, one for every neuron."""
    from hdmf.common import VectorData, VectorIndex
    from pynwb.misc import Units

    times: list[np.ndarray] = [np.array([])]
    counts, names, numbers = [], [], []
    for name, spikes in recording.spikes.items():
        found, bounds = by_neuron(spikes)
        times.append(found)
        counts.append(np.diff(bounds))
        names += [name] * spikes.size
        numbers.append(np.arange(spikes.size))
    units, ends = len(names), np.cumsum(np.concatenate(counts))
    spike_times = VectorData(
        name="spike_times", description="Spikes, seconds.", data=np.concatenate(times)
    )
    observed = np.tile([0.0, float(recording.duration / second)], (units, 1))
    intervals = VectorData(name="obs_intervals", description="The whole run.", data=observed)
    columns = [
        VectorData(name="population", description="Population of the neuron.", data=names),
        VectorData(
            name="index", description="Its number there, from 0.", data=np.concatenate(numbers)
        ),
        VectorIndex(name="spike_times_index", data=ends, target=spike_times),
        spike_times,
        VectorIndex(name="obs_intervals_index", data=np.arange(1, units + 1), target=intervals),
        intervals,
    ]
    return Units(
        name="units",
        description="Simulated neurons, silent ones too.",
        columns=columns,
        resolution=float(recording.dt / second),
    )


def _add_signals(file: Any, recording: Recording) -> dict[str, dict[str, Any]]:
    """Add all traces; give where they stand, by population and variable."""
    clamps = _Clamps(file)
    apart = recording.intervals()
    places: dict[str, dict[str, Any]] = {population: {} for population in recording.signals}
    for population, signals in recording.signals.items():
        for variable, signal in signals.items():
            dimensions = get_dimensions(signal.values)
            role = CLAMPED.get((variable, dimensions))
            every = apart[population].get(variable)
            rate = 1 / (every or float(recording.dt / second))
            if role:
                made = clamps.series(role, population, variable, signal, rate)
            else:
                made = _plain(population, variable, signal, rate)
            add = file.add_stimulus if role == STIMULUS else file.add_acquisition
            group = "stimulus/presentation" if role == STIMULUS else "acquisition"
            for series in made:
                add(series)
            places[population][variable] = {
                "neurons": signal.neurons.tolist(),
                "dimensions": _powers(signal.values),
                "series": [f"{group}/{series.name}" for series in made],
                "steps": np.shape(signal.values)[1],
                "every_s": every,
            }
    for row in clamps.rows.values():
        file.add_intracellular_recording(**row)
    return places


class _Clamps:
    """Traced neurons: an electrode each, and what it records and injects."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.device = file.create_device(name="simulation", description="neuromod and Brian2.")
        self.rows: dict[str, dict[str, Any]] = {}
        self.sweeps: dict[str, int] = {}

    def series(
        self, role: str, population: str, variable: str, signal: Signal, rate: float
    ) -> list[Any]:
        """Series of one variable, one for every neuron."""
        from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

        is_response = role == RESPONSE
        kind = CurrentClampSeries if is_response else CurrentClampStimulusSeries
        made = []
        for neuron, values in zip(signal.neurons.tolist(), np.asarray(signal.values), strict=True):
            cell = f"{population}[{neuron}]"
            row = self._row(cell)
            row[role] = kind(
                name=f"{cell}.{variable}",
                # By which conditions are told apart where each is a population.
                description=population if is_response else "Injected current.",
                data=values,
                electrode=row["electrode"],
                gain=1.0,
                starting_time=0.0,
                rate=rate,
                sweep_number=np.uint32(self.sweeps[cell]),
            )
            made.append(row[role])
        return made

    def _row(self, cell: str) -> dict[str, Any]:
        if cell not in self.rows:
            electrode = self.file.create_icephys_electrode(
                name=cell, description="Of a simulated cell.", device=self.device, cell_id=cell
            )
            self.rows[cell] = {"electrode": electrode}
            self.sweeps[cell] = len(self.sweeps)
        return self.rows[cell]


def _plain(population: str, variable: str, signal: Signal, rate: float) -> list[Any]:
    """Series of one variable, a column for every neuron, and no more columns than time steps."""
    from pynwb import TimeSeries

    values = np.asarray(signal.values).T
    # NWB Inspector takes what is wider than long for turned round.
    width = max(len(values), 1)
    starts = range(0, len(signal.neurons), width)
    return [
        TimeSeries(
            name=f"{population}.{variable}" + (f" from column {start}" if start else ""),
            description=f"{variable} of {population}, whose numbers "
            f"{listed(map(str, signal.neurons[start : start + width]))} are the columns.",
            data=values[:, start : start + width],
            unit=NAMED.get(get_dimensions(signal.values), unit_of(signal.values)),
            starting_time=0.0,
            rate=rate,
        )
        for start in starts
    ]


def _add_totals(file: Any, recording: Recording) -> dict[str, dict[str, Any]]:
    """Add a table of totals for every part that has any; give their dimensions."""
    from hdmf.common import DynamicTable, VectorData

    for part, totals in recording.totals.items():
        columns = [
            VectorData(name=name, description=f"In {unit_of(values)}.", data=np.asarray(values))
            for name, values in totals.items()
        ]
        if not columns:
            continue
        about = "What each neuron, or synapse, had added up at the end of the run."
        file.add_analysis(DynamicTable(name=f"{part} totals", description=about, columns=columns))
    return {
        part: {name: _powers(values) for name, values in totals.items()}
        for part, totals in recording.totals.items()
    }


def _recording(file: h5py.File) -> Recording:
    header = json.loads(file[HEADER][()])
    return Recording(
        {name: _spikes(file, name, size) for name, size in header["populations"].items()},
        {
            population: {name: _signal(file, place) for name, place in places.items()}
            for population, places in header["signals"].items()
        },
        header["duration_s"] * second,
        header["dt_s"] * second,
        header["provenance"],
        {
            part: {
                name: _with_unit(file[f"analysis/{part} totals/{name}"][:], dimensions)
                for name, dimensions in totals.items()
            }
            for part, totals in header["totals"].items()
        },
    )


def _spikes(file: h5py.File, name: str, size: int) -> Spikes:
    if "units" not in file:
        return Spikes(name, size, np.array([], dtype=int), np.array([]) * second)
    units = file["units"]
    counts = np.diff(units["spike_times_index"][:].astype(int), prepend=0)
    mine = units["population"].asstr()[:] == name
    neurons = np.repeat(units["index"][:][mine], counts[mine])
    times = units["spike_times"][:][np.repeat(mine, counts)]
    order = np.lexsort((neurons, times))
    return Spikes(name, size, neurons[order], times[order] * second)


def _signal(file: h5py.File, place: dict[str, Any]) -> Signal:
    columns = [np.reshape(file[name]["data"][:], (place["steps"], -1)) for name in place["series"]]
    empty = np.empty((place["steps"], 0))
    values = _with_unit(np.hstack([empty, *columns]).T, place["dimensions"])
    # Files of version 0.1 have every time step.
    every = place.get("every_s")
    apart = None if every is None else every * second
    return Signal(np.array(place["neurons"], dtype=int), values, apart)


def _powers(values: Any) -> list[float]:
    return [float(power) for power in get_dimensions(values)._dims]


def _with_unit(values: np.ndarray, dimensions: list[float]) -> Quantity:
    return Quantity(values, dtype=float, dim=get_or_create_dimension(dimensions))


@contextmanager
def _hdf5(path: Path, mode: str) -> Iterator[h5py.File]:
    """HDF5 file, opened from inside its folder: HDF5 takes no path with bytes that are no UTF-8."""
    with chdir(path.parent), h5py.File(path.name, mode) as file:
        yield file


@contextmanager
def _quiet() -> Iterator[None]:
    """Let hdmf convert whole numbers to the shortest that will do without saying so of each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
